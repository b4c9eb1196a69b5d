"""What a tape measure says of a body at rest: height, weight, lengths, widths and girths.

Convention:
    Everything is measured on the rest pose. A girth is the length of a tape around the cut of a plane with the body:
    the perimeter of the cut's convex hull. The weight is that of the skin's volume filled with water.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.spatial import ConvexHull
from torch import Tensor

from liquidwarp.body.model import BodyModel, RestBody
from liquidwarp.body.parts import PARTS

__all__ = ["MEASURED", "measure"]

_DENSITY = 1000.0
"""[kg/m³]."""
_DOWN = (0.0, 1.0, 0.0)

_LIMBS: Mapping[str, tuple[str, str]] = {
    "upperarm": ("upper_arm", "lower_arm"),
    "lowerarm": ("lower_arm", "hand"),
    "upperleg": ("upper_leg", "lower_leg"),
    "lowerleg": ("lower_leg", "foot"),
}
"""Roles of the joints between which a limb lies."""


@dataclass(frozen=True)
class _Tape:
    """Where a girth is measured."""

    parts: tuple[str, ...]
    """Around which parts, of the left side if there are two."""
    limb: str = ""
    """The limb across which the tape lies; none: the tape lies level."""


_TAPES: Mapping[str, _Tape] = {
    "neck-girth": _Tape(("head", "face", "torso")),
    "upperarm-girth": _Tape(("left_upper_arm",), "upperarm"),
    "lowerarm-girth": _Tape(("left_lower_arm",), "lowerarm"),
    "thigh-girth": _Tape(("left_upper_leg",)),
    "calf-girth": _Tape(("left_lower_leg",)),
    "bust-girth": _Tape(("torso",)),
    "waist-girth": _Tape(("torso",)),
    "hips-girth": _Tape(("torso", "left_upper_leg", "right_upper_leg")),
}


def measure(model: BodyModel, betas: Float[Tensor, "K"], name: str) -> float:
    """One measure of a body.

    Args:
        model: The body.
        betas: Its shape.
        name: One of :data:`MEASURED`.

    Returns:
        [m], of "weight" [kg].
    """
    return MEASURED[name](model, model.rest(betas[None]))


def _height(model: BodyModel, rest: RestBody) -> float:
    return _reach(rest.vertices[0], 1)


def _weight(model: BodyModel, rest: RestBody) -> float:
    """By the divergence theorem; the small holes of eyes and mouth do not count."""
    a, b, c = (rest.vertices[0][model.faces[:, corner]].double() for corner in range(3))
    return _DENSITY * abs(float((a * torch.linalg.cross(b, c)).sum()) / 6)


def _reach(points: Float[Tensor, "N 3"], axis: int) -> float:
    return float(points[:, axis].max() - points[:, axis].min())


def _between(first: str, second: str) -> Callable[[BodyModel, RestBody], float]:
    """Mean over both sides of the distance of two joints."""

    def length(model: BodyModel, rest: RestBody) -> float:
        start, end = (rest.joints[0, list(getattr(model.roles, role))] for role in (first, second))
        return float((end - start).norm(dim=-1).mean())

    return length


def _across(role: str) -> Callable[[BodyModel, RestBody], float]:
    """Distance of the left joint of a role from the right one."""

    def width(model: BodyModel, rest: RestBody) -> float:
        left, right = rest.joints[0, list(getattr(model.roles, role))]
        return float((left - right).norm())

    return width


def _extent(axis: int, *parts: str) -> Callable[[BodyModel, RestBody], float]:
    """How far parts reach along an axis."""

    def extent(model: BodyModel, rest: RestBody) -> float:
        numbers = torch.tensor([PARTS.index(part) for part in parts], device=model.vertex_part.device)
        return _reach(rest.vertices[0][torch.isin(model.vertex_part, numbers)], axis)

    return extent


def _torso(model: BodyModel, rest: RestBody) -> float:
    """Hip joints to the neck, straight up."""
    hips = rest.joints[0, list(model.roles.upper_leg), 1].mean()
    return float(hips - rest.joints[0, model.roles.neck[0], 1])


def _neck(model: BodyModel, rest: RestBody) -> float:
    return float((rest.joints[0, model.roles.neck[-1]] - rest.joints[0, model.roles.neck[0]]).norm())


def _middle_finger(model: BodyModel, rest: RestBody) -> float:
    """Between its first and its last joint, mean of both hands."""
    chains = [side[2] for side in model.roles.fingers if side]
    return sum(float((rest.joints[0, c[-1]] - rest.joints[0, c[0]]).norm()) for c in chains) / max(1, len(chains))


def _hand(model: BodyModel, rest: RestBody) -> float:
    """Wrist to the last joint of the middle finger, mean of both hands."""
    ends = [(wrist, side[2][-1]) for wrist, side in zip(model.roles.hand, model.roles.fingers, strict=True) if side]
    return sum(float((rest.joints[0, b] - rest.joints[0, a]).norm()) for a, b in ends) / max(1, len(ends))


def _girth(name: str) -> Callable[[BodyModel, RestBody], float]:
    def girth(model: BodyModel, rest: RestBody) -> float:
        tape, vertices, joints = _TAPES[name], rest.vertices[0], rest.joints[0]
        parts = torch.tensor([PARTS.index(part) for part in tape.parts], device=vertices.device)
        # The tape lies where the body's own direction of that name changes it most.
        shape = torch.zeros(1, len(model.beta_names), device=vertices.device)
        moved = model.rest(shape.index_fill(1, torch.tensor([model.beta_names.index(name)]), 1.0)).vertices[0]
        weight = (moved - model.rest(shape).vertices[0]).square().sum(1) * torch.isin(model.vertex_part, parts)
        centre = (weight[:, None] * vertices).sum(0) / weight.sum()
        axis = vertices.new_tensor(_DOWN)
        if tape.limb:
            start, end = (joints[getattr(model.roles, role)[0]] for role in _LIMBS[tape.limb])
            axis = torch.nn.functional.normalize(end - start, dim=0)
        faces = model.faces[torch.isin(model.face_part, parts)]
        return _tape_around(vertices[faces], centre, axis)

    return girth


def _tape_around(triangles: Float[Tensor, "F 3 3"], centre: Float[Tensor, "3"], axis: Float[Tensor, "3"]) -> float:
    """Perimeter of the convex hull of a plane's cut with triangles [m]."""
    height = (triangles - centre) @ axis
    points = []
    for first, second in ((0, 1), (1, 2), (2, 0)):
        a, b = height[:, first], height[:, second]
        cut = (a < 0) != (b < 0)
        share = (a / (a - b))[cut, None]
        points.append(torch.lerp(triangles[cut, first], triangles[cut, second], share))
    side = torch.linalg.svd(axis[None])[2][1:]  # two directions in the plane
    flat = (torch.cat(points) - centre) @ side.T
    return float(ConvexHull(flat.cpu().double().numpy()).area) if len(flat) > 2 else 0.0


MEASURED: Mapping[str, Callable[[BodyModel, RestBody], float]] = {
    "height": _height,
    "weight": _weight,
    **{f"{limb}-length": _between(*roles) for limb, roles in _LIMBS.items()},
    "torso-length": _torso,
    "neck-length": _neck,
    "shoulder-width": _across("upper_arm"),
    "hip-width": _across("upper_leg"),
    "hand-size": _hand,
    "finger-length": _middle_finger,
    "foot-size": _extent(2, "left_foot"),
    "head-height": _extent(1, "head", "face"),
    "head-width": _extent(0, "head", "face"),
    "head-depth": _extent(2, "head", "face"),
    **{name: _girth(name) for name in _TAPES},
}
"""Name to the function that measures it; height and weight, else the body's named directions."""
