"""The person drawn from a composition: the photos' pixels where a photo shows the place, made-up colours elsewhere."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.flow.compose import Composition, merge_layers
from liquidwarp.geometry.raster import Raster
from liquidwarp.types import TargetFlow

__all__ = ["draw_flow", "draw_layers", "seen_weight", "soften_inner_edges"]

_RIM = 7 / 512
_STEP = 0.05
"""A step in depth within 3 pixels that is the edge of one part of the body before another [m]."""
_FAR = 1e4


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


def soften_inner_edges(
    colours: Float[Tensor, "N 3 H W"],
    opacity: Float[Tensor, "N 1 H W"],
    raster: Raster,
    soft_faces: Bool[Tensor, "F"],
) -> Float[Tensor, "N 3 H W"]:
    """Mix the colours where one part of the body ends before another: in photos a pixel there shows some of both.

    Args:
        colours: The drawn person's own.
        opacity: Of the person.
        raster: What the pixels show of the body.
        soft_faces: The faces whose edges are softened. A head's stay sharp: an eyelid or a chin is seen in its edges.
    """
    far = torch.full_like(raster.depth, _FAR)
    nearest = -F.max_pool2d(-torch.where(raster.covered, raster.depth, far)[:, None], 3, 1, 1)
    farthest = F.max_pool2d(torch.where(raster.covered, raster.depth, -far)[:, None], 3, 1, 1)
    edge = raster.covered & soft_faces[raster.pix_to_face.clamp(min=0)] & (farthest - nearest > _STEP)[:, 0]
    both = torch.cat([colours * opacity, opacity], 1)
    weight = both.new_tensor([0.25, 0.5, 0.25])
    kernel = (weight[:, None] * weight).expand(4, 1, 3, 3)
    mixed = F.conv2d(F.pad(both, (1, 1, 1, 1), mode="replicate"), kernel, groups=4)
    return torch.where(edge[:, None], mixed[:, :3] / mixed[:, 3:].clamp(min=1e-4), colours)


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
