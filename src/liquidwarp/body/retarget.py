"""Retargeting: one person's motion for another person's body, in the other's photo.

Paper:
    Liu et al. 2021, Sec. 3.4: motion imitation keeps the source's shape and takes the driving's pose. Of the camera
    the paper copies or smooths the driving's; here the default is what looks natural in the source's own photo.

Convention:
    The cameras that come out are in the pixels of the source's photo. The driving's turn relative to its camera is
    kept; ``turn`` adds to it.

The three cameras:
    natural: the source's size and place, the driving's relative motion in units of leg length, feet on the ground.
        The floor is found as the slowly changing lowest place of the body. Small gaps to it are errors (other legs,
        other shoes) and closed; large ones are jumps and kept. Depth that is known (motion files) or plain (a slow,
        large change of size in a video: somebody walks towards the camera) becomes perspective: size and ground line
        change together, as for a camera at chest height; where the photo has no room for that, less of it. The
        driving's small changes of size are ignored.
    follow: size and travel as the driving's camera saw them; only the first ground line is the source's.
    fixed: the root joint stays where it is in the photo, at the photo's size.

Cuts:
    Each shot of a cut film is retargeted by itself: nothing is smoothed across a cut, and the ground is looked for
    anew.

Half bodies:
    A photo without feet shows no ground, and its hips are a guess. There the middle of what it shows of head and trunk
    takes the root joint's place: it starts where it is in the photo and travels as the driving's does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams, skin
from liquidwarp.body.motion import Motion, leg_length
from liquidwarp.body.parts import PARTS
from liquidwarp.body.turntable import seen_upright
from liquidwarp.errors import MotionError, SettingError, ShapeError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import rotation_about

__all__ = ["CameraStrategy", "retarget"]

CameraStrategy = Literal["natural", "follow", "fixed"]

_VIEWING_DISTANCE = 4.0
"""How far away the photographer of the source is taken to stand [m]; more if the motion comes close."""
_NEAREST = 0.2
"""The motion comes nearer by at most this share of the viewing distance, so sizes grow by at most 1.25."""
_CAMERA_HEIGHT = 1.6
"""Height of the camera above the ground, in leg lengths: about the chest."""
_CONTACT, _JUMP = 0.04, 0.12
"""Gaps between the lowest point and the floor, in leg lengths: below the first it is closed, above the second kept."""
_ZOOM_DEADBAND, _ZOOM_LIMIT = math.log(1.1), math.log(1.25)
"""Logarithms of a change of size: what is less is no walk in depth; no walk changes the size by more."""
_FLOOR_SECONDS, _STEADY_SECONDS, _ZOOM_SECONDS = 0.6, 0.06, 0.5
"""Over which the floor is looked for (to each side), the lowest point and the size are smoothed [s]."""
_FLOOR_QUANTILE = 0.8
"""Of the lowest points, y down, so that a foot that goes through the floor for some frames does not lower it."""
_FIRST_SECONDS = 0.5
"""From the beginning, in which the driving's feet show where its ground is [s]."""
_MARGIN = 0.02
"""Free border that :func:`_keep_in_frame` leaves, as a share of the picture's size."""
_SMALLEST = 0.85
"""The person is not scaled below this to stay in the picture."""
_MAY_GO = 0.5
"""Share of what a photo shows to a side of a half body's middle that may leave where the photo itself cuts it."""


@dataclass(frozen=True)
class _Extent:
    """How far the posed body reaches from its root joint in each frame [m]: left, right, up as positive numbers."""

    left: Float[Tensor, "T"]
    right: Float[Tensor, "T"]
    above: Float[Tensor, "T"]
    below: Float[Tensor, "T"]
    """Down to the lowest point."""

    def __getitem__(self, frames: slice) -> "_Extent":
        return _Extent(self.left[frames], self.right[frames], self.above[frames], self.below[frames])


def retarget(
    motion: Motion,
    source: BodyParams,
    model: BodyModel,
    camera: CameraStrategy = "natural",
    image_size: tuple[int, int] | None = None,
    keep_in_frame: bool | None = None,
    turn: float = 0.0,
) -> BodyParams:
    """Let the source's person do the motion.

    Args:
        motion: What to do, T frames.
        source: The person in the photo, one frame.
        model: The body model of both.
        camera: See the head of this file.
        image_size: (width, height) of the source's photo [px]; needed to keep the person inside of it.
        keep_in_frame: First shorten the travel in depth, then shift the path, then shorten its travel sideways, then
            shrink the person (down to 0.85, about the ground line), each only as far as needed, until nobody leaves
            the picture. A side on which the photo itself already cuts the person is left alone. Half bodies are only
            shifted, and their travel shortened. None: on for "natural" where ``image_size`` is known.
        turn: Turns the whole motion about the vertical [rad]; positive turns who faces the camera to the image's left.

    Returns:
        T frames with the source's shape, in the source photo's pixels.

    Raises:
        ShapeError: ``source`` has not one frame, or the motion is for a body with other joints.
        SettingError: no such camera; or the person shall be kept in a picture of unknown size.
        MotionError: the motion has no frames.
    """
    _check(motion, source, model, camera)
    if keep_in_frame and image_size is None:
        raise SettingError("keep_in_frame: expected image_size, the (width, height) of the source's photo, got None.")
    rel_rotmats, path = _turned(motion, source, model, turn)
    leg = leg_length(model, source.betas)
    extent = _extent(replace(source, rel_rotmats=rel_rotmats), model)
    stage = _Stage(source.camera, leg, _extent(source, model))
    path = path * (leg / motion.leg_length)
    inside = image_size if (camera == "natural" if keep_in_frame is None else keep_in_frame) else None
    bust = None if image_size is None else seen_upright(source, model, image_size)
    if bust is not None:
        shown = _Shown.of(replace(source, rel_rotmats=rel_rotmats), model, bust)
        cameras = _of_half_body(motion, path, shown, _Shown.of(source, model, bust), source.camera, camera, inside)
        return BodyParams(source.betas, rel_rotmats, cameras)
    if camera == "fixed":
        frames = len(motion)
        cameras = WeakPerspective(source.camera.scale.expand(frames), source.camera.translation.expand(frames, 2))
    elif camera == "follow":
        cameras = WeakPerspective.joined(_follow(motion[s], path[s], extent[s], stage) for s in motion.stretches)
    else:
        for depth in (1.0, 0.75, 0.5, 0.25, 0.0):
            cameras = WeakPerspective.joined(
                _natural(motion[s], path[s], extent[s], stage, depth) for s in motion.stretches
            )
            if inside is None or _height_fits(cameras, extent, stage, inside[1]):
                break
    if inside is not None:
        cameras = _keep_in_frame(cameras, extent, stage, inside)
    return BodyParams(source.betas, rel_rotmats, cameras)


def _check(motion: Motion, source: BodyParams, model: BodyModel, camera: str) -> None:
    if camera not in get_args(CameraStrategy):
        raise SettingError(f"camera: expected one of {', '.join(get_args(CameraStrategy))}, got {camera!r}.")
    if len(source) != 1:
        raise ShapeError(f"source: expected one frame, got {len(source)}. Select one: source[0:1].")
    if len(motion) == 0:
        raise MotionError("motion: expected at least one frame, got none.")
    found, expected = motion.rel_rotmats.shape[1], len(model.joint_names)
    if found != expected or source.rel_rotmats.shape[1] != expected:
        raise ShapeError(
            f"motion and source: expected {expected} joints ({model.name}), got {found} and "
            f"{source.rel_rotmats.shape[1]}. Load the motion with the same body model."
        )


def _turned(
    motion: Motion, source: BodyParams, model: BodyModel, turn: float
) -> tuple[Float[Tensor, "T J 3 3"], Float[Tensor, "T 3"]]:
    """Pose and path, turned about the vertical; fingers of which the motion says nothing are the source's."""
    device = source.rel_rotmats.device
    rel_rotmats, path = motion.rel_rotmats.to(device).clone(), motion.translation.to(device)
    around = rotation_about("y", torch.tensor(turn, dtype=path.dtype, device=device))
    rel_rotmats[:, model.roles.root] = around @ rel_rotmats[:, model.roles.root]
    fingers = [joint for side in model.roles.fingers for finger in side for joint in finger]
    if fingers:
        identity = torch.eye(3, dtype=rel_rotmats.dtype, device=device)
        if float((rel_rotmats[:, fingers] - identity).abs().max()) < 1e-4:
            rel_rotmats[:, fingers] = source.rel_rotmats[:, fingers]
    return rel_rotmats, path @ around.T


def _outline_vertices(model: BodyModel) -> Int64[Tensor, "N"]:
    """Enough vertices to tell how far the body reaches: many of the feet, some of everything."""
    feet = (model.vertex_part == PARTS.index("left_foot")) | (model.vertex_part == PARTS.index("right_foot"))
    chosen = torch.zeros_like(feet)
    chosen[::12] = True
    chosen[feet.nonzero()[::3, 0]] = True
    return chosen.nonzero()[:, 0]


def _extent(body: BodyParams, model: BodyModel) -> _Extent:
    """Reach of the posed body in every frame."""
    chosen = _outline_vertices(model)
    rest = model.rest(body.betas[None])
    points, weights = rest.vertices[:, chosen], model.lbs_weights[chosen]
    low, high = [], []
    for rel_rotmats in torch.split(body.rel_rotmats, 64):
        transforms = _transforms(model, rest.joints, rel_rotmats)
        places = skin(points, weights, transforms)[..., :2]
        low.append(places.amin(1))
        high.append(places.amax(1))
    least, most = torch.cat(low), torch.cat(high)
    return _Extent(-least[:, 0], most[:, 0], -least[:, 1], most[:, 1])


def _transforms(
    model: BodyModel, joints: Float[Tensor, "1 J 3"], rel_rotmats: Float[Tensor, "T J 3 3"]
) -> Float[Tensor, "T J 3 4"]:
    """Forward kinematics alone: the model's own ``pose`` would skin every vertex."""
    rotations, places = list(rel_rotmats.unbind(1)), list(joints.expand(len(rel_rotmats), -1, -1).unbind(1))
    for joint, parent in enumerate(model.parents):
        if parent >= 0:
            rotations[joint] = rotations[parent] @ rel_rotmats[:, joint]
            bone = joints[0, joint] - joints[0, parent]
            places[joint] = places[parent] + rotations[parent] @ bone
    turned, moved = torch.stack(rotations, 1), torch.stack(places, 1)
    return torch.cat([turned, (moved - (turned @ joints[..., None])[..., 0])[..., None]], -1)


@dataclass(frozen=True)
class _Stage:
    """Where the source stands in its photo."""

    camera: WeakPerspective
    leg: float
    """The source's leg length [m]."""
    source: _Extent

    @property
    def scale(self) -> Float[Tensor, ""]:
        """[px/m]."""
        return self.camera.scale[0]

    @property
    def ground(self) -> Float[Tensor, ""]:
        """Height of the lowest point in the image [px]."""
        return self.camera.translation[0, 1] + self.scale * self.source.below[0]

    def ground_at(self, zoom: Float[Tensor, "T"]) -> Float[Tensor, "T"]:
        """The ground line of somebody who looks ``zoom`` times as large, being nearer or farther [px]."""
        return self.ground + self.scale * _CAMERA_HEIGHT * self.leg * (zoom - 1)


def _perspective(depth: Float[Tensor, "T"]) -> Float[Tensor, "T"]:
    """Apparent size relative to frame 0 at a depth relative to frame 0 [m]."""
    nearest = float(-depth.min())
    distance = max(_VIEWING_DISTANCE, nearest / _NEAREST)
    return distance / (distance + depth)


def _depth_walk(zoom: Float[Tensor, "T"], fps: float) -> Float[Tensor, "T"]:
    """What of a video's change of size is taken to be a walk in depth: slow, large and bounded."""
    change = _smooth(zoom.clamp(min=1e-3).log(), _ZOOM_SECONDS * fps)
    change = change - change[0]
    beyond = change.sign() * (change.abs() - _ZOOM_DEADBAND).clamp(min=0)
    return (_ZOOM_LIMIT * torch.tanh(beyond / _ZOOM_LIMIT)).exp()


def _natural(
    motion: Motion, path: Float[Tensor, "T 3"], extent: _Extent, stage: _Stage, depth: float
) -> WeakPerspective:
    """Size and place of the source, relative motion of the driving, feet on the ground, a share of the depth."""
    fps, size = motion.fps, motion.zoom.to(path.device)
    near = _perspective(path[:, 2]) ** depth
    zoom = near * _depth_walk(size, fps) ** depth
    lowest = path[:, 1] + size * extent.below
    gap = (_floor(_smooth(lowest, _STEADY_SECONDS * fps), fps) - lowest) / stage.leg
    share = ((gap.abs() - _CONTACT) / (_JUMP - _CONTACT)).clamp(0, 1)
    air = gap * share * share * (3 - 2 * share) * stage.leg
    # What is done to the driving's own height is smoothed, so that a foot through the floor does not jolt the body.
    root = path[:, 1] - _smooth(lowest + air, _STEADY_SECONDS * fps) + (size - 1) * extent.below
    scale = stage.scale * zoom
    x = stage.camera.translation[0, 0] + stage.scale * near * path[:, 0]
    y = stage.ground_at(zoom) + scale * root
    return WeakPerspective(scale, torch.stack([x, y], 1))


def _follow(motion: Motion, path: Float[Tensor, "T 3"], extent: _Extent, stage: _Stage) -> WeakPerspective:
    """Size and travel as the driving's camera saw them; the first ground line is the source's."""
    near, zoom = _perspective(path[:, 2]), motion.zoom.to(path.device)
    first = max(1, round(_FIRST_SECONDS * motion.fps))
    start = (path[:, 1] + zoom * extent.below)[:first].max()
    x = stage.camera.translation[0, 0] + stage.scale * near * path[:, 0]
    y = stage.ground_at(near) + stage.scale * near * (path[:, 1] - start)
    return WeakPerspective(stage.scale * near * zoom, torch.stack([x, y], 1))


@dataclass(frozen=True)
class _Shown:
    """Of the vertices that a photo shows of head and trunk, from the root joint in each frame [m]."""

    centre: Float[Tensor, "T 2"]
    low: Float[Tensor, "T 2"]
    """Left and top."""
    high: Float[Tensor, "T 2"]
    """Right and bottom."""

    @staticmethod
    def of(body: BodyParams, model: BodyModel, chosen: Int64[Tensor, "N"]) -> "_Shown":
        """Where they are in every frame."""
        rest = model.rest(body.betas[None])
        points, weights = rest.vertices[:, chosen], model.lbs_weights[chosen]
        places = [
            skin(points, weights, _transforms(model, rest.joints, rel_rotmats))[..., :2]
            for rel_rotmats in torch.split(body.rel_rotmats, 64)
        ]
        centre, low, high = (torch.cat(parts) for parts in zip(*map(_bounds, places), strict=True))
        return _Shown(centre, low, high)


def _bounds(places: Float[Tensor, "T N 2"]) -> tuple[Tensor, Tensor, Tensor]:
    return places.mean(1), places.amin(1), places.amax(1)


def _of_half_body(
    motion: Motion,
    path: Float[Tensor, "T 3"],
    shown: _Shown,
    source: _Shown,
    photo: WeakPerspective,
    camera: CameraStrategy,
    inside: tuple[int, int] | None,
) -> WeakPerspective:
    """The middle of what the photo shows starts at its place there and travels as the driving's does."""
    near, size = _perspective(path[:, 2]), motion.zoom.to(path.device)
    walk = torch.cat([_depth_walk(size[s], motion.fps) for s in motion.stretches])
    scale = photo.scale * near * (size if camera == "follow" else walk)
    way = path[:, :2] + size[:, None] * shown.centre
    starts = torch.cat([way[s][:1].expand_as(way[s]) for s in motion.stretches])
    travel = photo.scale * near[:, None] * (way - starts)
    if camera == "fixed":
        scale, travel = photo.scale.expand(len(path)), torch.zeros_like(travel)
    start = photo.translation + photo.scale * source.centre
    if inside is not None:
        below, above = (scale[:, None] * (edge - shown.centre) for edge in (shown.low, shown.high))
        held_low, held_high = (photo.translation + photo.scale * edge for edge in (source.low, source.high))
        held = torch.stack([held_low, held_high], -1)[0].tolist()
        axes = [
            _held_travel(travel[:, axis], start[0, axis], below[:, axis], above[:, axis], held[axis], length)
            for axis, length in enumerate(inside)
        ]
        travel = torch.stack(axes, 1)
    return WeakPerspective(scale, start + travel - scale[:, None] * shown.centre)


def _held_travel(
    travel: Float[Tensor, "T"],
    start: Float[Tensor, ""],
    low: Float[Tensor, "T"],
    high: Float[Tensor, "T"],
    held: Sequence[float],
    length: int,
) -> Float[Tensor, "T"]:
    """Travel along one axis, shifted and shortened so that head and trunk stay in the picture [px].

    Beyond a border that cuts them in the photo itself, a half of what is shown to that side of the middle may go.
    ``low`` and ``high`` are the reach from the middle, ``held`` the same edges in the photo.
    """
    margin = _MARGIN * length
    least = margin - (_MAY_GO * low if held[0] < margin else low) - start
    most = length - margin - (_MAY_GO * high if held[1] > length - margin else high) - start
    found = _fit_travel(travel, least, most)
    if found is None:
        return torch.full_like(travel, float((least + most).mean() / 2))
    share, shift = found
    return shift + share * travel


def _floor(lowest: Float[Tensor, "T"], fps: float) -> Float[Tensor, "T"]:
    """Height of the floor over time (y down): about the lowest place within a second, so that jumps stand out.

    A quantile, not the extreme: a foot that goes through the floor for some frames does not lower it.
    """
    reach = min(max(1, round(_FLOOR_SECONDS * fps)), len(lowest) - 1)
    windows = _extended(lowest, reach).unfold(0, 2 * reach + 1, 1)
    return _smooth(windows.quantile(_FLOOR_QUANTILE, dim=1), _FLOOR_SECONDS / 2 * fps)


def _smooth(values: Float[Tensor, "T"], sigma: float) -> Float[Tensor, "T"]:
    """Gaussian smoothing over time without lag; ``sigma`` in frames."""
    if len(values) < 2:
        return values
    reach = min(max(1, math.ceil(3 * sigma)), len(values) - 1)
    offset = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    kernel = torch.exp(-0.5 * (offset / max(sigma, 1e-3)) ** 2)
    padded = _extended(values, reach)
    return F.conv1d(padded[None, None], (kernel / kernel.sum())[None, None])[0, 0]


def _extended(values: Float[Tensor, "T"], reach: int) -> Float[Tensor, "N"]:
    """Values continued by ``reach`` frames at both ends, mirrored about the end's own value: a trend goes on."""
    if reach == 0:
        return values
    head = 2 * values[0] - values[1 : reach + 1].flip(0)
    tail = 2 * values[-1] - values[-reach - 1 : -1].flip(0)
    return torch.cat([head, values, tail])


def _height_fits(cameras: WeakPerspective, extent: _Extent, stage: _Stage, height: int) -> bool:
    """Whether head and feet stay in the picture; feet that the photo itself does not show need not."""
    ground = float(stage.ground)
    bottom = min(height, max((1 - _MARGIN) * height, ground + _MARGIN / 2 * height))
    lowest = float((cameras.translation[:, 1] + cameras.scale * extent.below).max())
    return (ground >= height or lowest <= bottom) and _height_factor(cameras, extent, stage, height) == 1


def _height_factor(cameras: WeakPerspective, extent: _Extent, stage: _Stage, height: int) -> float:
    """How far the person must be shrunk about the ground line to stay below the picture's top."""
    top = min(_MARGIN * height, float(stage.camera.translation[0, 1] - stage.scale * stage.source.above[0]))
    reach = stage.ground - (cameras.translation[:, 1] - cameras.scale * extent.above)
    return min(1.0, float(((stage.ground - top) / reach.clamp(min=1e-6)).min()))


def _keep_in_frame(
    cameras: WeakPerspective, extent: _Extent, stage: _Stage, image_size: tuple[int, int]
) -> WeakPerspective:
    """Shift the path, shorten its travel, shrink the person: each as little as needed to stay in the picture."""
    width, height = image_size
    anchor, size, source, scale = stage.camera.translation[0], stage.scale, stage.source, cameras.scale
    left = min(_MARGIN * width, float(anchor[0] - size * source.left[0]))
    right = max((1 - _MARGIN) * width, float(anchor[0] + size * source.right[0]))
    factor = _height_factor(cameras, extent, stage, height)
    travel = cameras.translation[:, 0] - anchor[0]
    factor = max(factor, _SMALLEST)
    while True:
        low = left + factor * scale * extent.left - anchor[0]
        high = right - factor * scale * extent.right - anchor[0]
        found = _fit_travel(factor * travel, low, high)
        if found is not None or factor <= _SMALLEST:
            break
        factor = max(_SMALLEST, 0.97 * factor)
    share, shift = found if found is not None else (0.0, float((low + high).mean() / 2))
    x = anchor[0] + shift + share * factor * travel
    y = stage.ground + factor * (cameras.translation[:, 1] - stage.ground)
    return WeakPerspective(factor * scale, torch.stack([x, y], 1))


def _fit_travel(
    travel: Float[Tensor, "T"], low: Float[Tensor, "T"], high: Float[Tensor, "T"]
) -> tuple[float, float] | None:
    """The largest share of the travel, and the least shift, that stay within the bounds; None if none does."""
    for step in range(20, -1, -1):
        share = step / 20
        least, most = float((low - share * travel).max()), float((high - share * travel).min())
        if least <= most:
            return share, min(max(0.0, least), most)
    return None
