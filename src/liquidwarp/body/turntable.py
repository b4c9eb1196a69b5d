"""A camera that walks around a person: the body turned instead, with its feet left on the photo's ground line.

Convention:
    A positive ``angle`` takes the camera to the person's left, 180 degrees to the back. A positive ``elevation``
    raises it, so that it looks down on the person.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import rotation_about, swing

__all__ = ["frozen_turns", "orbit", "seen_centre", "seen_upright", "standing_pose"]

_UPRIGHT = ("head", "torso")
"""Parts about whose middle a person without feet in the picture turns."""
_RAMP = 0.15
"""Share of a turn in which the camera gathers speed, and again in which it slows down."""


def orbit(
    body: BodyParams,
    model: BodyModel,
    angle: Float[Tensor, "T"],
    elevation: float = 0.0,
    about: Float[Tensor, "3"] | None = None,
) -> BodyParams:
    """See a body from other sides.

    The camera turns about the vertical through the root joint. The point of the ground below it stays where it is in
    the picture, so that the person neither sinks nor floats when the camera rises.

    Args:
        body: T frames, or one that is seen from T sides.
        model: The body model.
        angle: About the vertical [rad].
        elevation: Of the camera [rad].
        about: A point that stays where it is in the picture instead of the root joint and the ground [m, body space];
            see :func:`seen_centre`.

    Returns:
        T frames; those of angle 0 and elevation 0 are the given ones.
    """
    tilt = rotation_about("x", angle.new_tensor(elevation))
    turned = body.rel_rotmats.repeat(len(angle) // len(body), 1, 1, 1)
    turn = tilt @ rotation_about("y", angle)
    turned[:, model.roles.root] = turn @ turned[:, model.roles.root]
    if about is not None:
        shift = (about - turn @ about)[:, :2]
    elif elevation:
        drop = _ground(body, model) * (1 - tilt[1, 1])
        shift = torch.stack([torch.zeros_like(drop), drop], 1)
    else:
        shift = torch.zeros_like(body.camera.translation)
    translation = body.camera.translation + body.camera.scale[:, None] * shift
    camera = WeakPerspective(body.camera.scale.expand(len(angle)), translation.expand(len(angle), 2))
    return BodyParams(body.betas, turned, camera)


def seen_centre(body: BodyParams, model: BodyModel, size: tuple[int, int]) -> Float[Tensor, "3"] | None:
    """The middle of head and trunk as far as a picture holds them, where it does not hold the feet.

    Without a ground below it, the person turns about itself: turned about its hips, what leans would leave the picture.

    Args:
        body: One frame.
        model: The body model.
        size: (width, height) of the picture [px].

    Returns:
        A point relative to the root joint [m]; None where the picture holds a foot, or nothing of the person.
    """
    chosen = seen_upright(body, model, size)
    if chosen is None:
        return None
    seen = model.pose(model.rest(body.betas[None]), body.rel_rotmats[:1]).vertices[0, chosen]
    return (seen.amin(0) + seen.amax(0)) / 2


def seen_upright(body: BodyParams, model: BodyModel, size: tuple[int, int]) -> Int64[Tensor, "N"] | None:
    """The vertices of head and trunk that lie within a picture, where it does not hold the feet.

    Args:
        body: One frame.
        model: The body model.
        size: (width, height) of the picture [px].

    Returns:
        None where the picture holds a foot, or nothing of head and trunk.
    """
    limits = body.camera.translation.new_tensor(size)

    def held(pixels: Float[Tensor, "N 2"]) -> Bool[Tensor, "N"]:
        return ((pixels >= 0) & (pixels <= limits)).all(-1)

    posed = model.pose(model.rest(body.betas[None]), body.rel_rotmats[:1])
    if bool(held(body.camera.project(posed.joints)[0, list(model.roles.foot), :2]).any()):
        return None
    upright = torch.isin(model.vertex_part, model.vertex_part.new_tensor([PARTS.index(name) for name in _UPRIGHT]))
    seen = (upright & held(body.camera.project(posed.vertices)[0, :, :2])).nonzero()[:, 0]
    return seen if len(seen) else None


def _ground(body: BodyParams, model: BodyModel) -> Float[Tensor, "T"]:
    """How far below the root joint the lowest point is in each frame [m]."""
    rest = model.rest(body.betas[None])
    poses = [body.rel_rotmats[t : t + 1] for t in range(len(body))]
    return torch.cat([model.pose(rest, pose).vertices[..., 1].amax(1) for pose in poses])


def frozen_turns(
    body: BodyParams, model: BodyModel, stops: Sequence[tuple[int, int]]
) -> tuple[BodyParams, tuple[int, ...]]:
    """Bullet time: a moving body stands still for some frames while the camera goes once around it.

    The turn begins with the frame itself and ends one step before it comes back to it, so that the motion goes on
    without a doubled frame; the camera starts and stops softly.

    Args:
        body: T frames.
        model: The body model.
        stops: (frame, frames): where the motion stands still, and for how many frames instead of one.

    Returns:
        The longer motion, and which of the T frames each of its frames shows.
    """
    pieces, shown, start = list[BodyParams](), list[int](), 0
    for frame, frames in sorted(stops):
        pieces.append(body[slice(start, frame)])
        angles = math.tau * _eased(torch.arange(frames) / frames)
        pieces.append(orbit(body[slice(frame, frame + 1)], model, angles))
        shown += [*range(start, frame), *[frame] * frames]
        start = frame + 1
    pieces.append(body[slice(start, None)])
    shown += range(start, len(body))
    camera = WeakPerspective.joined(piece.camera for piece in pieces)
    return BodyParams(body.betas, torch.cat([piece.rel_rotmats for piece in pieces]), camera), tuple(shown)


def _eased(share: Float[Tensor, "T"]) -> Float[Tensor, "T"]:
    """From 0 to 1 with a constant speed but for a linear start and stop."""
    middle = (share - _RAMP / 2) / (1 - _RAMP)
    rise = share.square() / (2 * _RAMP * (1 - _RAMP))
    fall = 1 - (1 - share).square() / (2 * _RAMP * (1 - _RAMP))
    return torch.where(share < _RAMP, rise, torch.where(share > 1 - _RAMP, fall, middle))


def standing_pose(model: BodyModel, betas: Float[Tensor, "K"], arms: float) -> Float[Tensor, "1 J 3 3"]:
    """Upright, facing the camera, with straight arms.

    Args:
        model: The body model.
        betas: The person's shape.
        arms: Angle of the arms below the horizontal [rad]: 0 for a T, a quarter of pi for an A.

    Returns:
        Rotations of all joints; the fingers are those of the rest pose.
    """
    joints, roles = model.rest(betas[None]).joints[0], model.roles
    rotations = torch.eye(3, dtype=betas.dtype, device=betas.device).repeat(len(model.joint_names), 1, 1)
    down = betas.new_tensor(arms)
    for side, sign in enumerate((1.0, -1.0)):
        along = torch.stack([sign * down.cos(), down.sin(), torch.zeros_like(down)])
        upper, lower, hand = roles.upper_arm[side], roles.lower_arm[side], roles.hand[side]
        raised = swing(joints[lower] - joints[upper], along)
        straight = swing(joints[hand] - joints[lower], along)
        rotations[upper], rotations[lower] = raised, raised.mT @ straight
    return rotations[None]
