"""Backward warping. This file alone knows ``grid_sample`` and the pixel convention.

Convention:
    A flow's grid holds (x, y) in NDC: target pixel -> source position. -1/+1 are the outer pixel edges
    (``align_corners=False`` everywhere), so resizing a flow never moves it. Where a target pixel has no source,
    the flow says so with its mask ``valid``; the grid holds 0 there, never a sentinel.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.errors import ShapeError

__all__ = ["Flow", "resize", "resize_flow", "sample_at", "warp"]


@dataclass(frozen=True)
class Flow:
    """A backward flow: for each target pixel, where in the source it comes from."""

    grid: Float[Tensor, "B H W 2"]
    """(x, y) in the source's NDC; float32 also under mixed precision (bf16 costs a quarter pixel)."""
    valid: Bool[Tensor, "B 1 H W"]
    """False: this target pixel has no source position."""

    @staticmethod
    def identity(height: int, width: int, batch: int = 1, device: torch.device | str = "cpu") -> "Flow":
        """The flow that leaves an image as it is."""
        y = (torch.arange(height, device=device) + 0.5) * 2 / height - 1
        x = (torch.arange(width, device=device) + 0.5) * 2 / width - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).expand(batch, -1, -1, -1)
        return Flow(grid, torch.ones(batch, 1, height, width, dtype=torch.bool, device=device))


def warp(image: Float[Tensor, "B C h w"], flow: Flow) -> Float[Tensor, "B C H W"]:
    """Carry source pixels or features to the target pose (backward bilinear warping).

    Paper: Liu et al. 2021, Sec. 3.2: X' = X sampled at the transformation flow T.

    Convention:
        See the head of this file. Positions outside of the source take its nearest border pixel.

    Args:
        image: Source image or features, any range.
        flow: Where each target pixel comes from.

    Returns:
        The warped image at the flow's size, in image's dtype; 0 where the flow is not valid.

    Raises:
        ShapeError: the batch sizes differ.

    Example:
        >>> warp(torch.ones(1, 3, 4, 4), Flow.identity(4, 4)).shape
        torch.Size([1, 3, 4, 4])
    """
    if image.shape[0] != flow.grid.shape[0]:
        raise ShapeError(f"warp: image has batch {image.shape[0]}, flow has {flow.grid.shape[0]}; they must agree.")
    sampled = F.grid_sample(image.float(), flow.grid, padding_mode="border", align_corners=False)
    return (sampled * flow.valid).to(image.dtype)


def sample_at(
    image: Float[Tensor, "B C H W"], ndc: Float[Tensor, "B N 2"], nearest: bool = False
) -> Float[Tensor, "B C N"]:
    """Values of ``image`` at NDC positions; outside of it, its border.

    Args:
        image: Any range.
        ndc: (x, y) positions, -1/+1 on the outer pixel edges.
        nearest: Take the nearest pixel instead of the bilinear mix.

    Returns:
        One column per position.
    """
    mode = "nearest" if nearest else "bilinear"
    grid = ndc[:, :, None]
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)[..., 0]


def resize(image: Float[Tensor, "B C h w"], height: int, width: int) -> Float[Tensor, "B C H W"]:
    """Resize an image or mask: antialiased bilinear, so that shrinking does not alias."""
    if image.shape[-2:] == (height, width):
        return image
    return F.interpolate(image, (height, width), mode="bilinear", align_corners=False, antialias=True)


def resize_flow(flow: Flow, height: int, width: int) -> tuple[Flow, Float[Tensor, "B 1 H W"]]:
    """Resize a flow without mixing valid and invalid positions.

    Each new position is the average over the valid old ones under it (masked area average when shrinking,
    bilinear when growing).

    Returns:
        The resized flow (valid where anything under the pixel was) and the share of the pixel that was valid
        [0, 1], which weighs it at silhouettes.
    """
    valid = flow.valid.to(flow.grid.dtype)
    stacked = torch.cat([flow.grid.permute(0, 3, 1, 2) * valid, valid], 1)
    small = height <= stacked.shape[2] and width <= stacked.shape[3]
    if small:
        stacked = F.adaptive_avg_pool2d(stacked, (height, width))
    else:
        stacked = F.interpolate(stacked, (height, width), mode="bilinear", align_corners=False)
    share = stacked[:, 2:]
    grid = stacked[:, :2] / share.clamp(min=1e-6)
    is_valid = share > 1e-6
    return Flow((grid * is_valid).permute(0, 2, 3, 1), is_valid), share
