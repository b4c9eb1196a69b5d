"""Outlines as the product's halos carry them, for training.

In use, a mesh made from each photo carries hair and cloth along (flow/halo.py), so that the warped outline is nearly
right. Such meshes differ from person to person and take too long to make at every step. So some training people get
an outline that is right but for the errors which a carried one has: it lies beside the true one by a distance that
changes slowly along it, and it is found as a matte is.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.flow.masks import erode
from liquidwarp.flow.texture import grow_colours
from liquidwarp.geometry.warp import Flow, warp
from liquidwarp.learn.datasets import degrade_mattes

__all__ = ["carry_outlines"]

_BESIDE = 0.007
"""Standard deviation of the distance, per axis, relative to the picture's height."""
_CELLS = 5
"""So many independent distances along each axis of the picture."""
_INSIDE = 0.012
"""The body stays opaque this far within its silhouette, relative to the picture's height."""
_OPAQUE = 0.5


def carry_outlines(
    colours: Float[Tensor, "N 3 H W"],
    matte: Float[Tensor, "N 1 H W"],
    body: Bool[Tensor, "N 1 H W"],
    truth: Float[Tensor, "N 1 H W"],
    generator: torch.Generator,
) -> tuple[Float[Tensor, "N 3 H W"], Float[Tensor, "N 1 H W"]]:
    """Give a warped texture an outline near the true one, and colours up to there.

    Args:
        colours: The warped texture, RGB in [0, 1].
        matte: Its opacity.
        body: Where the body's mesh is.
        truth: The true matte.
        generator: On the CPU.

    Returns:
        Colours and opacity.
    """
    pictures, _, height, width = truth.shape
    coarse = torch.randn(pictures, 2, _CELLS, _CELLS, generator=generator).to(truth.device)
    beside = 2 * _BESIDE * F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    here = Flow.identity(height, width, pictures, truth.device)
    moved = replace(here, grid=here.grid + beside.permute(0, 2, 3, 1))
    outline = degrade_mattes(warp(truth, moved), generator)
    deep = erode(body.to(matte.dtype), round(_INSIDE * height))
    carried = torch.maximum(outline, deep * matte)
    grown = grow_colours(colours, (matte > _OPAQUE).to(colours.dtype))
    return grown * (carried > 0), carried
