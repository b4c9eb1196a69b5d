"""A person whose body is known, and what perfect (or noisy) detectors would see of it."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotation_about, rotvec_to_matrix
from liquidwarp.recover.detection.detections import Detections, PackedMasks
from liquidwarp.recover.fitting.observation import DEPTH_BIAS
from liquidwarp.recover.fitting.skeleton import Skeleton
from liquidwarp.recover.fitting.terms import Hinges

SIZE = (384, 512)


@dataclass(frozen=True)
class Truth:
    body: BodyParams
    detections: Detections


def landmarks_of(model: BodyModel, body: BodyParams) -> Tensor:
    """The 33 landmarks in body space [m]."""
    skeleton = Skeleton.of(model)
    posed = skeleton.pose(body.rel_rotmats[:, skeleton.joints], body.betas)
    return skeleton.locate(posed, skeleton.landmark_points(model.landmarks["body"]), body.betas)


def make_person(
    model: BodyModel,
    frames: int,
    video: bool = True,
    image_noise: float = 0.0,
    world_noise: float = 0.0,
    betas: Tensor | None = None,
    seed: int = 0,
) -> Truth:
    """A person who swings arms, knees and hips; smoothly in a video, at random in photos."""
    torch.manual_seed(seed)
    skeleton = Skeleton.of(model)
    num = len(skeleton.parents)
    if video:
        time = torch.linspace(0, 0.1 * frames, frames)[:, None, None]
        phase, amplitude = torch.rand(num, 3) * 6, torch.randn(num, 3)
        wave = torch.sin(2.0 * time + phase) * amplitude
    else:
        wave = torch.randn(frames, num, 3)
    rotvec = 0.06 * wave
    roles = model.roles
    for joint in (*roles.upper_arm, *roles.upper_leg):
        rotvec[:, skeleton.index(joint)] *= 4
    bending = Hinges.of(model, skeleton)
    for joint, axis in zip(bending.joints, bending.axes, strict=True):
        rotvec[:, joint] = rotvec[:, joint] * 0.3 + axis * (0.5 + 0.4 * torch.tanh(wave[:, joint, :1]))
    rotations = torch.eye(3).repeat(frames, len(model.parents), 1, 1)
    rotations[:, skeleton.joints] = rotvec_to_matrix(rotvec)
    rotations[:, roles.root] = rotation_about("y", 0.4 * wave[:, 0, 0]) @ rotations[:, roles.root]
    if betas is None:
        betas = torch.randn(len(model.beta_names)) * 0.4
    camera = WeakPerspective(torch.full((frames,), 230.0), torch.tensor([[190.0, 260.0]]).repeat(frames, 1))
    body = BodyParams(betas, rotations, camera)
    return Truth(body, detections_of(model, body, 25.0 if video else 0.0, image_noise, world_noise))


def detections_of(
    model: BodyModel, body: BodyParams, fps: float, image_noise: float = 0.0, world_noise: float = 0.0
) -> Detections:
    """What detectors see of a known body."""
    frames = len(body)
    points = landmarks_of(model, body)
    xy = body.camera.project(points)[..., :2]
    world = points - points[:, 23:25].mean(1, keepdim=True)
    world[..., 2] += torch.tensor(DEPTH_BIAS)  # the real detector's habit, which the fit takes off again
    vertices = model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices
    covered = rasterize(body.camera.project(vertices), model.faces, SIZE[1], SIZE[0]).covered.numpy()
    masks = np.stack([cv2.resize(c.astype(np.uint8), (192, 256), interpolation=cv2.INTER_AREA) > 0.5 for c in covered])
    return Detections(
        torch.ones(frames, dtype=torch.bool),
        xy + image_noise * torch.randn_like(xy),
        world + world_noise * torch.randn_like(world),
        torch.ones(frames, 33),
        torch.zeros(frames, 2, 21, 2),
        torch.zeros(frames, 2, 21, 3),
        torch.zeros(frames, 2),
        torch.zeros(frames, 468, 2),
        torch.zeros(frames),
        PackedMasks.pack(masks),
        SIZE,
        fps,
    )
