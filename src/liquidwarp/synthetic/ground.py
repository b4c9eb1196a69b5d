"""The shade that people throw on the ground they stand on: without it they float before the photo."""

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS

__all__ = ["ground_shade"]

_FEET = (PARTS.index("left_foot"), PARTS.index("right_foot"))
_SOLE = 0.03
"""What is this little above a foot's lowest point is its sole [m]."""
_AROUND = 0.03
"""How far the dark patch goes beyond the sole [m]."""
_LIFTED = 0.06
"""At this height above the lower foot a patch has lost two thirds [m]."""
_WIDE = (0.45, 0.08)
"""Half width and height of the body's own shade [m]."""
_AWAY = 0.3
"""How far it reaches to the side that the first lamp does not light [m]."""


def ground_shade(
    model: BodyModel,
    points: Float[Tensor, "N V 2"],
    scale: Float[Tensor, "N"],
    lamp: Float[Tensor, "N 3"],
    size: int,
) -> Float[Tensor, "N 1 S S"]:
    """How dark the place becomes, 0..1: a dark patch under each foot and a wide, faint one beside them.

    Args:
        model: The body.
        points: Its projected vertices [px].
        scale: Of the cameras [px/m].
        lamp: Unit vectors towards the lamp that throws shadows.
        size: Side of the pictures [px].
    """
    pixels = torch.arange(size, device=points.device) + 0.5
    unit = scale[:, None]
    floor = points[..., 1].amax(1, keepdim=True)
    shade = points.new_zeros(len(points), size, size)
    middles = []
    for part in _FEET:
        foot = points[:, model.vertex_part == part]
        low = foot[..., 1].amax(1, keepdim=True)
        sole = foot[..., 1] > low - _SOLE * unit
        left = torch.where(sole, foot[..., 0], torch.inf).amin(1, keepdim=True)
        right = torch.where(sole, foot[..., 0], -torch.inf).amax(1, keepdim=True)
        middle = torch.cat([(left + right) / 2, low - _SOLE / 2 * unit], 1)
        wide = (right - left) / 2 + _AROUND * unit
        flat = torch.maximum(0.3 * wide, 0.02 * unit)
        near = torch.exp(-((floor - low) / (_LIFTED * unit)).square())[..., None]
        shade = torch.maximum(shade, near * _patch(middle, torch.cat([wide, flat], 1), pixels))
        middles.append(middle)
    beside = torch.stack(middles).mean(0)
    beside = torch.cat([beside[:, :1] - _AWAY * unit * lamp[:, :1], floor - _SOLE / 2 * unit], 1)
    faint = _patch(beside, unit * points.new_tensor(_WIDE), pixels)
    return (1 - (1 - 0.8 * shade) * (1 - 0.4 * faint))[:, None]


def _patch(
    middle: Float[Tensor, "N 2"], half: Float[Tensor, "N 2"], pixels: Float[Tensor, "S"]
) -> Float[Tensor, "N S S"]:
    """1 in the middle, about a third at the ellipse of these half axes."""
    across = ((pixels - middle[:, :1]) / half[:, :1]).square()
    down = ((pixels - middle[:, 1:]) / half[:, 1:]).square()
    return torch.exp(-down)[:, :, None] * torch.exp(-across)[:, None, :]
