"""The person drawn from a composition: the photos' pixels where a photo shows the place, made-up colours elsewhere."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.flow.compose import Composition, merge_layers
from liquidwarp.types import TargetFlow

__all__ = ["draw_flow", "draw_layers", "seen_weight"]

_RIM = 7 / 512


def draw_layers(
    composition: Composition, made_up: Float[Tensor, "N 3 H W"]
) -> tuple[Float[Tensor, "N 3 H W"], Float[Tensor, "N 1 H W"]]:
    """What is around the body behind it, then the body, then what hangs before the body.

    Args:
        composition: Both meshes in the targets.
        made_up: Colours of the body where no photo shows it, RGB in [0, 1].

    Returns:
        The person's own colours, not multiplied by the opacity, and the opacity.
    """
    body, around = composition.body, composition.around
    covered = body.layer.raster.covered[:, None]
    seen = seen_weight(body.seen)
    before = composition.in_front[:, None] & covered
    picture = torch.zeros_like(body.texture)
    matte = torch.zeros_like(body.matte)
    for colour, alpha in (
        (around.texture, around.matte * ~before),
        (seen * body.texture + (1 - seen) * made_up, _body_opacity(covered, seen * (1 - body.matte))),
        (around.texture, around.matte * before),
    ):
        picture = picture + alpha * (colour - picture)
        matte = matte + alpha * (1 - matte)
    return (picture / matte.clamp(min=1e-4)).clamp(0, 1), matte.clamp(0, 1)


def draw_flow(composition: Composition, made_up: Float[Tensor, "N 3 H W"]) -> TargetFlow:
    """The flow of a composition, whose texture is the drawn person: what a network starts from."""
    colours, matte = draw_layers(composition, made_up)
    return replace(merge_layers(composition), texture=colours, texture_matte=matte)


def seen_weight(visible: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """How far to trust the photos' pixels where the best photo saw the point this well [0, 1]: both 0 to 1."""
    return (visible * 1.6 - 0.3).clamp(0, 1)


def _body_opacity(covered: Bool[Tensor, "N 1 H W"], transparent: Float[Tensor, "N 1 H W"]) -> Float[Tensor, "N 1 H W"]:
    """Opaque within; at the rim as transparent as the source's matte was, with a soft edge of one pixel."""
    solid = covered.to(transparent.dtype)
    outside = 1 - solid
    for _ in range(max(1, round(_RIM * covered.shape[-2]))):
        # Only what is transparent all the way from outside: no slits between a limb and its made-up edge.
        outside = torch.maximum(outside, torch.minimum(F.max_pool2d(outside, 3, 1, 1), transparent))
    rim = outside
    # A covered pixel at a straight edge is covered by three quarters on average.
    soft = (F.avg_pool2d(solid, 3, 1, 1, count_include_pad=False) * 2 - 0.75).clamp(0, 1)
    return torch.minimum(soft, solid) * (1 - rim * solid)
