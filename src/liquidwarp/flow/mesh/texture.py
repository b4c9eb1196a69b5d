"""Colours of the surface: taken well inside of the person, merged over the sources without ghosts."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["blend_weights", "grow_colours", "mean_around"]

_SHARPNESS = 8
_HARDLY = 0.6
"""A source with less visibility than this stands back. With 1, rims of hair come from photos that see them edge-on."""
_FILLED = 1e-3


def grow_colours(
    image: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H W"], steps: int = 6
) -> Float[Tensor, "B C H W"]:
    """Replace everything outside of ``mask`` by colours grown outward from inside of it.

    The nearest pixels take the mean of their known neighbours, one ring after another; beyond them the colours come
    from coarser and coarser levels of a pyramid. So sampling at the silhouette never meets the background.

    Args:
        image: Any values.
        mask: 1 = keep.
        steps: Number of rings.

    Returns:
        The filled image; unchanged if the mask is empty.
    """
    known = (mask > 0.5).to(image.dtype)
    by_place = image.device.type == "cpu" and not image.requires_grad and image.dtype == torch.float32
    filled = _pyramid_fill(*(_rings_by_place if by_place else _rings)(image * known, known, steps))
    empty = (mask > 0.5).flatten(1).any(1)[:, None, None, None]
    return torch.where(empty, filled, image)


def _rings(
    colour: Float[Tensor, "B C H W"], known: Float[Tensor, "B 1 H W"], steps: int
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B 1 H W"]]:
    """Colours and mask with so many rings more; the plain way, on any device."""
    for _ in range(steps):
        total, share = mean_around(colour), mean_around(known)
        fill = (known < 0.5) & (share > _FILLED)
        colour = torch.where(fill, total / share.clamp(min=_FILLED), colour)
        known = torch.where(fill, torch.ones_like(known), known)
    return colour, known


def _rings_by_place(
    colour: Float[Tensor, "B C H W"], known: Float[Tensor, "B 1 H W"], steps: int
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B 1 H W"]]:
    """The same on a CPU, where only the rings' own pixels are worked on."""
    colours, masks = (F.pad(part, (1, 1, 1, 1)).numpy() for part in (colour, known))
    width = colours.shape[-1]
    around = np.array([row * width + column for row in (-1, 0, 1) for column in (-1, 0, 1)])
    inside = np.zeros(masks.shape[-2:], np.uint8)
    inside[1:-1, 1:-1] = 1
    for channels, mask in zip(colours.reshape(*colours.shape[:2], -1), masks[:, 0], strict=True):
        solid = mask.astype(np.uint8)
        for _ in range(steps):
            grown = np.asarray(cv2.dilate(solid, np.ones((3, 3), np.uint8)), np.uint8) & inside
            ring = np.flatnonzero(grown != solid)
            near = ring[:, None] + around
            share = (mask.reshape(-1)[near].sum(1, dtype=np.float64) / 9).astype(np.float32)
            for channel in channels:
                total = channel[near].sum(1, dtype=np.float64) / 9
                channel[ring] = total.astype(np.float32) / share
            mask.reshape(-1)[ring] = 1
            solid = grown
    grown_colour, grown_known = (torch.from_numpy(part[..., 1:-1, 1:-1].copy()) for part in (colours, masks))
    return grown_colour, grown_known


def mean_around(image: Float[Tensor, "B C H W"], width: int = 3) -> Float[Tensor, "B C H W"]:
    """Mean of ``width`` x ``width`` pixels, 0 outside of the picture; on a CPU pooling takes ten times as long.

    Args:
        image: Any values.
        width: An odd number [px].
    """
    if image.device.type != "cpu" or image.requires_grad:
        return F.avg_pool2d(image, width, 1, width // 2)
    planes = image.detach().flatten(0, 1).numpy()
    means = [cv2.blur(plane, (width, width), borderType=cv2.BORDER_CONSTANT) for plane in planes]
    return torch.from_numpy(np.stack(means)).view(image.shape)


def _pyramid_fill(colour: Float[Tensor, "B C H W"], known: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B C H W"]:
    """Fill unknown pixels from a coarser level; ``colour`` is 0 where unknown."""
    height, width = colour.shape[-2:]
    if min(height, width) < 2:
        share = known.mean((2, 3), keepdim=True)
        mean = colour.mean((2, 3), keepdim=True) / share.clamp(min=1e-6)
        return colour + (1 - known) * mean
    half = (-(-height // 2), -(-width // 2))
    share = F.adaptive_avg_pool2d(known, half)
    coarse = F.adaptive_avg_pool2d(colour, half) / share.clamp(min=1e-6)
    has_any = (share > _FILLED).to(colour.dtype)
    below = _pyramid_fill(coarse * has_any, has_any)
    fine = F.interpolate(below, (height, width), mode="bilinear", align_corners=False)
    return colour + (1 - known) * fine


def blend_weights(visible: Float[Tensor, "N S H W"], preference: Float[Tensor, "N S H W"]) -> Float[Tensor, "N S H W"]:
    """How much of each source goes into a pixel's colour; they sum to 1 where any source sees it, else to 0.

    Nearly all goes to the preferred source, so that two photos that do not fit exactly are not averaged into a
    ghost; the preference is smooth over the surface, so the change-over is a short and soft seam. A source that hardly
    sees the place is not preferred to one that does: where a photo's part ends, it would leave a line of its colours.
    """
    worth = preference * (visible / _HARDLY).clamp(max=1)
    best = worth.amax(1, keepdim=True).clamp(min=1e-6)
    weight = visible * ((worth / best) ** _SHARPNESS + 1e-4)
    total = weight.sum(1, keepdim=True)
    return weight / total.clamp(min=1e-6) * (total > 1e-6)
