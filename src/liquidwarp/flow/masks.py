"""Growing and shrinking masks, on any device."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["dilate", "erode"]


def dilate(mask: Float[Tensor, "B 1 H W"], radius: int) -> Float[Tensor, "B 1 H W"]:
    """The largest value within ``radius`` pixels in each direction (a square)."""
    size = 2 * radius + 1
    rows = F.max_pool2d(mask, (size, 1), 1, (radius, 0))
    return F.max_pool2d(rows, (1, size), 1, (0, radius))


def erode(mask: Float[Tensor, "B 1 H W"], radius: int) -> Float[Tensor, "B 1 H W"]:
    """Shrink a mask by ``radius`` pixels (an octagon); the picture's border does not count as outside."""
    eroded = mask
    for step in range(radius):
        if step % 2 == 0:
            eroded = -dilate(-eroded, 1)
        else:  # a plus: every other step keeps the corners round
            vertical = F.max_pool2d(-eroded, (3, 1), 1, (1, 0))
            eroded = -torch.maximum(vertical, F.max_pool2d(-eroded, (1, 3), 1, (0, 1)))
    return eroded
