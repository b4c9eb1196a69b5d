"""Body Mesh Recovery: one shape, T poses and T cameras from what the detectors saw.

Paper:
    Liu et al. 2021, Sec. 3.1, where a network regresses SMPL's (theta, beta, camera) per frame. Here the detector
    gives landmarks and a mask, and the body is fitted to them, with one shape for all frames of a person.

Method: closed form (initial.py); Levenberg-Marquardt on key frames for the shared shape, on all frames for pose and
camera (bundle.py, terms.py); the same with the mask's outline (silhouette.py), because joints do not show girths.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.config import FitConfig
from liquidwarp.errors import NoPersonFoundError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.recover.bundle import FitState, Problem, Term, adjust
from liquidwarp.recover.detections import Detections
from liquidwarp.recover.initial import first_camera, first_pose, first_shape
from liquidwarp.recover.observation import Observation, observe, seen_joints, unflip
from liquidwarp.recover.skeleton import Skeleton
from liquidwarp.recover.terms import ImageLandmarks, PosePrior, WorldLandmarks

__all__ = ["BodyFit", "fit_body", "landmark_terms", "shape_weights"]

IMAGE_SIGMA = 0.012
"""Trusted accuracy of image landmarks, on the body [m]."""
WORLD_SIGMA = (0.09, 0.09, 0.048)
"""The same of world landmarks per axis [m]: x and y are known better from the image."""
_FRAMES_PER_CHUNK = 256


@dataclass(frozen=True)
class BodyFit:
    """The fitted body of T frames."""

    body: BodyParams
    seen: Bool[Tensor, "T J"]
    """False: nothing was seen of what this joint turns; its rotation is the prior's."""
    fitted: Bool[Tensor, "T"]
    """False: no detection in this frame; its pose is bridged from the neighbours."""
    swapped: Bool[Tensor, "T"]
    """Frames in which the detector had taken left for right."""


def shape_weights(model: BodyModel) -> Float[Tensor, "K"]:
    """Strength of the shape's prior per beta; shoes are not to be read off landmarks."""
    return torch.tensor([1.0 if name.startswith("shoe") else 0.08 for name in model.beta_names])


def landmark_terms(
    observation: Observation, model: BodyModel, skeleton: Skeleton
) -> tuple[ImageLandmarks, WorldLandmarks]:
    """Both landmark terms of some frames."""
    points = skeleton.landmark_points(model.landmarks["body"])
    return (
        ImageLandmarks(points, observation.image, observation.weight, IMAGE_SIGMA),
        WorldLandmarks(
            points, observation.world, observation.world_weight, torch.tensor(WORLD_SIGMA), observation.anchors
        ),
    )


def fit_body(
    detections: Detections,
    model: BodyModel,
    config: FitConfig | None = None,
    shared_betas: Float[Tensor, "K"] | None = None,
) -> BodyFit:
    """Fit a body to the frames of a video (``detections.fps`` > 0) or to several photos of one person.

    Args:
        detections: What was seen.
        model: The body, on the CPU.
        config: Settings.
        shared_betas: A known shape; None fits it.

    Returns:
        Shape, poses and cameras; frames without a person are bridged (video) or at rest (photos).

    Raises:
        NoPersonFoundError: no frame holds a person.
    """
    config = config or FitConfig()
    index = detections.found.nonzero()[:, 0]
    if len(index) == 0:
        raise NoPersonFoundError("no person was found in any frame; expected one that is at least partly visible.")
    skeleton = Skeleton.of(model)
    present, swapped = unflip(detections.select(index))
    observation = observe(present, swapped)
    seen = seen_joints(present, model, skeleton)
    prior = PosePrior.of(model, skeleton)
    state = _first_state(observation, model, skeleton, seen)
    keys = key_frames(observation, config.key_frames)
    if shared_betas is None:
        problem = Problem(
            skeleton, (*landmark_terms(observation.frames(keys), model, skeleton), prior), shape_weights(model)
        )
        start = adjust(problem, state.frames(keys), config.landmark_steps // 2, with_shape=False)
        betas = adjust(problem, start, config.landmark_steps, with_shape=True).betas
    else:
        betas = shared_betas
    state = FitState(state.rel_rotmats, betas, state.camera)
    state = fit_poses(observation, state, model, skeleton, config.landmark_steps)
    return _result(state, observation, seen, swapped, detections, model, skeleton)


def fit_poses(
    observation: Observation,
    state: FitState,
    model: BodyModel,
    skeleton: Skeleton,
    steps: int,
    extra: tuple[Term, ...] = (),
) -> FitState:
    """Pose and camera of every frame for a fixed shape; frames are independent, so in chunks."""
    prior, weights = PosePrior.of(model, skeleton), shape_weights(model)
    parts = []
    for start in range(0, len(observation), _FRAMES_PER_CHUNK):
        part = slice(start, start + _FRAMES_PER_CHUNK)
        terms: list[Term] = [*landmark_terms(observation.frames(part), model, skeleton), prior, *extra]
        parts.append(adjust(Problem(skeleton, terms, weights), state.frames(part), steps, with_shape=False))
    return FitState(torch.cat([p.rel_rotmats for p in parts]), state.betas, torch.cat([p.camera for p in parts]))


def key_frames(observation: Observation, count: int) -> Int64[Tensor, "M"]:
    """Evenly spread frames, of each stretch the best seen one."""
    num_frames = len(observation)
    if num_frames <= count:
        return torch.arange(num_frames)
    quality = observation.world_weight.sum(1)
    edges = torch.linspace(0, num_frames, count + 1).round().long().tolist()
    return torch.tensor([start + int(quality[start:end].argmax()) for start, end in pairwise(edges)])


def _first_state(observation: Observation, model: BodyModel, skeleton: Skeleton, seen: Bool[Tensor, "T J"]) -> FitState:
    """Closed form: poses, shape, cameras."""
    rotations = first_pose(model, skeleton, observation.world)
    known = seen[:, skeleton.joints].clone()
    known[:, skeleton.index(model.roles.root)] = True
    rotations = torch.where(known[..., None, None], rotations, torch.eye(3))
    weights = shape_weights(model)
    precision = observation.world_weight / WORLD_SIGMA[0] ** 2
    betas = first_shape(model, skeleton, rotations, observation.world, precision, weights)
    points = skeleton.landmark_points(model.landmarks["body"])
    positions = skeleton.locate(skeleton.pose(rotations, betas), points, betas)
    return FitState(rotations, betas, first_camera(positions, observation.image, observation.weight))


def _result(
    state: FitState,
    observation: Observation,
    seen: Bool[Tensor, "T J"],
    swapped: Bool[Tensor, "T"],
    detections: Detections,
    model: BodyModel,
    skeleton: Skeleton,
) -> BodyFit:
    """Back to original pixels, all joints and all frames."""
    num_frames, num_joints = len(detections), len(model.parents)
    found = detections.found
    scale = observation.pixels_per_metre[:, None]
    camera = torch.cat([state.camera[:, :1] * scale, state.camera[:, 1:] * scale + observation.centre], 1)
    rotations = torch.eye(3).repeat(num_frames, num_joints, 1, 1)
    index = found.nonzero()[:, 0]
    rotations[index[:, None], skeleton.joints[None]] = state.rel_rotmats
    cameras = camera.median(0).values.repeat(num_frames, 1)
    cameras[index] = camera
    all_seen = torch.zeros(num_frames, num_joints, dtype=torch.bool)
    all_seen[index] = seen
    all_swapped = torch.zeros(num_frames, dtype=torch.bool)
    all_swapped[index] = swapped
    body = BodyParams(state.betas, rotations, WeakPerspective(cameras[:, 0], cameras[:, 1:]))
    return BodyFit(body, all_seen, found, all_swapped)
