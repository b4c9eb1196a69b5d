"""Which frames of a video serve as photos of the person."""

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.cache import Cache, digest_of_tensors
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.mesh import vertex_normals
from liquidwarp.geometry.raster import rasterize
from liquidwarp.media import open_frames
from liquidwarp.recover.digitize import Recovery

__all__ = ["CANDIDATES", "choose_views", "views_of_video"]

CANDIDATES = 48
"""So many frames of a video are looked at."""
_SHARPNESS_WEIGHT = 0.35
"""How much a sharp frame is preferred, per deviation from the median."""
_LEAST_SPREAD = 0.3
"""Differences of the logarithm of sharpness smaller than this hardly count."""
_SMALL = 128
"""Side of the pictures in which it is looked up what covers what [px]."""
_THICKNESS = 0.04
"""What lies this little behind the seen surface is seen itself [m]."""
_VIEWS = "views-4"


def views_of_video(
    path: Path, recovery: Recovery, num_views: int, model: BodyModel, cache: Cache, fps: float | int | None = None
) -> Int64[Tensor, "S"]:
    """Numbers of the frames that serve as photos, chosen by :func:`choose_views`.

    Args:
        path: The video.
        recovery: Of the video, or of its first frames.
        num_views: How many are wanted; fewer if the person is seen in fewer.
        model: The body.
        cache: Where the choice is kept.
        fps: The rate at which the video was recovered; None: its own.
    """
    rotations = recovery.body.rel_rotmats
    held = [] if recovery.held is None else [torch.from_numpy(recovery.held.bits)]
    usable = recovery.of_person
    state = digest_of_tensors(rotations, usable, *held)
    key = cache.key(_VIEWS, [path], {"views": num_views, "state": state})
    known = cache.load(key)
    if known is not None:
        return known[0]["chosen"]
    usable = usable.nonzero()[:, 0]
    candidates = usable[torch.linspace(0, len(usable) - 1, min(CANDIDATES, len(usable))).round().long()]
    wanted = set(candidates.tolist())
    sharpness = torch.zeros(len(recovery))
    masks = recovery.detections.masks
    for index, frame in enumerate(open_frames(path, fps)):
        if index in wanted:
            sharpness[index] = _sharpness(frame, masks[index])
    free = _in_view(model, recovery, candidates)
    chosen = choose_views(model, recovery.body, candidates, sharpness, min(num_views, len(candidates)), free)
    cache.save(key, {"chosen": chosen})
    return chosen


def _sharpness(frame: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "h w"]) -> float:
    """Of the person; a sharp background says nothing of a moving arm."""
    edges = cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    size = (frame.shape[1], frame.shape[0])
    person = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return float(np.log((edges[person].var() if person.any() else 0.0) + 1e-6))


def choose_views(
    model: BodyModel,
    body: BodyParams,
    candidates: Int64[Tensor, "N"],
    sharpness: Float[Tensor, "T"],
    count: int,
    free: Bool[Tensor, "N V"] | None = None,
) -> Int64[Tensor, "S"]:
    """Frames of a video that together show as much of the person as possible.

    The first faces the camera and hides little of itself; each further one adds the most surface that was not seen
    yet, or not as well. Blurred frames show everything worse.

    Args:
        model: The body.
        body: The recovered video.
        candidates: Frames to choose from.
        sharpness: Of each frame of the video; any unit, larger is sharper.
        count: How many, at most N.
        free: Which points of the body are in the picture, and not hidden by what the person holds; None: all.

    Returns:
        Frame numbers, the one that faces the camera first.
    """
    value = sharpness[candidates]
    spread = value.std().clamp(min=_LEAST_SPREAD) if len(value) > 1 else torch.tensor(1.0)
    bonus = _SHARPNESS_WEIGHT * ((value - value.median()) / spread).clamp(-2, 1)
    shown = _shown_surface(model, body[candidates]) * (1 + bonus / 2)[:, None]
    if free is not None:
        shown = shown * free
    facing = F.normalize(body.rel_rotmats[candidates, 0][:, [0, 2], 2], dim=1)[:, 1]  # 1: the pelvis to the camera
    chosen = [int((shown.sum(1) * (1.05 + facing)).argmax())]
    while len(chosen) < count:
        gain = (shown - shown[chosen].amax(0)).clamp(min=0).sum(1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
    return candidates[chosen]


def _shown_surface(model: BodyModel, body: BodyParams) -> Float[Tensor, "N V"]:
    """How well each frame shows each point of the body: turned to the camera, nothing before it; times its area."""
    rest = model.rest(body.betas[None])
    corners = rest.vertices[0][model.faces]
    sizes = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1)
    area = rest.vertices.new_zeros(rest.vertices.shape[1])
    area.index_add_(0, model.faces.flatten(), sizes.repeat_interleave(3))
    shown = []
    for frame in range(len(body)):
        vertices = model.pose(rest, body.rel_rotmats[frame : frame + 1]).vertices
        low, high = vertices.amin(1), vertices.amax(1)
        scale = (_SMALL - 4) / (high - low)[:, :2].amax(1)
        camera = WeakPerspective(scale, _SMALL / 2 - scale[:, None] * (low + high)[:, :2] / 2)
        points = camera.project(vertices)
        raster = rasterize(points, model.faces, _SMALL, _SMALL)
        column, row = points[0, :, 0].long(), points[0, :, 1].long()
        before = points[0, :, 2] <= raster.depth[0, row, column] + _THICKNESS
        towards = -vertex_normals(vertices, model.faces)[0, :, 2].clamp(max=0)
        shown.append(towards.square() * before * area)
    return torch.stack(shown)


def _in_view(model: BodyModel, recovery: Recovery, frames: Int64[Tensor, "N"]) -> Bool[Tensor, "N V"]:
    """Points of the body that are in the picture, and before which nothing is held."""
    held, body = recovery.held, recovery.body
    rest = model.rest(body.betas[None])
    free = []
    for frame in frames.tolist():
        vertices = model.pose(rest, body.rel_rotmats[frame : frame + 1]).vertices
        things = np.zeros(recovery.detections.masks[frame].shape, bool) if held is None else held[frame]
        height, width = things.shape
        camera = body.camera[slice(frame, frame + 1)].resized(width / recovery.image_size[0])
        column, row = camera.project(vertices)[0, :, :2].floor().long().unbind(-1)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        covered = torch.from_numpy(things)[row.clamp(0, height - 1), column.clamp(0, width - 1)]
        free.append(inside & ~covered)
    return torch.stack(free)
