"""Growing, shrinking and softening masks, and colours beyond a mask's edge, on any device."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["dilate", "erode", "grow_colours", "soften"]

_CERTAIN = 0.03
"""Where less than this of a picture covers a pixel, its colour comes partly from around."""
_BEYOND = 24
"""How far colours go on beyond the edge [px]."""


def dilate(mask: Float[Tensor, "B 1 H W"], radius: int) -> Float[Tensor, "B 1 H W"]:
    """The largest value within ``radius`` pixels in each direction (a square)."""
    return _widened(_widened(mask, radius, 2), radius, 3)


def _widened(mask: Float[Tensor, "B 1 H W"], radius: int, axis: int) -> Float[Tensor, "B 1 H W"]:
    """The largest value along one axis, by windows that double; on a CPU pooling takes 20 to 100 times as long."""
    border = (0, 0, radius, radius) if axis == 2 else (radius, radius, 0, 0)
    largest, reach, size = F.pad(mask, border, value=-torch.inf), 1, 2 * radius + 1
    while reach < size:
        step = min(reach, size - reach)
        length = largest.shape[axis] - step
        largest = torch.maximum(largest.narrow(axis, 0, length), largest.narrow(axis, step, length))
        reach += step
    return largest


def erode(mask: Float[Tensor, "B 1 H W"], radius: int) -> Float[Tensor, "B 1 H W"]:
    """Shrink a mask by ``radius`` pixels (an octagon); the picture's border does not count as outside."""
    eroded = mask
    for step in range(radius):
        if step % 2 == 0:
            eroded = -dilate(-eroded, 1)
        else:  # a plus: every other step keeps the corners round
            eroded = -torch.maximum(_widened(-eroded, 1, 2), _widened(-eroded, 1, 3))
    return eroded


def soften(mask: Float[Tensor, "B 1 H W"], deviation: float) -> Float[Tensor, "B 1 H W"]:
    """Gaussian blur with this standard deviation [px]."""
    radius = math.ceil(2.5 * deviation)
    weight = (-0.5 * (torch.arange(-radius, radius + 1, device=mask.device) / deviation).square()).exp()
    weight = (weight / weight.sum()).to(mask.dtype)
    padded = F.pad(mask, (radius, radius, radius, radius), mode="replicate")
    return F.conv2d(F.conv2d(padded, weight.view(1, 1, 1, -1)), weight.view(1, 1, -1, 1))


def grow_colours(ink: Float[Tensor, "C H W"], cover: Float[Tensor, "1 H W"]) -> Float[Tensor, "C H W"]:
    """Straight colours from premultiplied ones, going on a little beyond the edge of what is covered.

    Editors and codecs mix neighbouring pixels, opaque or not: black ones beside the edge would show as a dark fringe.

    Args:
        ink: Colours times their cover.
        cover: Opacity, 0..1.

    Returns:
        The colours; black further outside.
    """
    inks, covers = [ink[None]], [cover[None]]
    while max(covers[-1].shape[-2:]) > 1:
        inks.append(F.avg_pool2d(inks[-1], 2, ceil_mode=True, count_include_pad=False))
        covers.append(F.avg_pool2d(covers[-1], 2, ceil_mode=True, count_include_pad=False))
    colour = inks[-1] / covers[-1].clamp(min=1e-4)
    for layer, share in zip(reversed(inks[:-1]), reversed(covers[:-1]), strict=True):
        around = F.interpolate(colour, layer.shape[-2:], mode="bilinear", align_corners=False)
        certain = (share / _CERTAIN).clamp(0, 1)
        colour = certain * layer / share.clamp(min=1e-4) + (1 - certain) * around
    near = dilate((cover[None] > 0).to(cover.dtype), _BEYOND)
    return (colour * near)[0].clamp(0, 1)
