"""The person drawn from a composition: the photos' pixels where a photo shows the place, made-up colours elsewhere."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.flow.compose import SOLID, Composition, merge_layers
from liquidwarp.flow.mesh.coverage import Rim, coverage
from liquidwarp.geometry.masks import dilate
from liquidwarp.geometry.raster import Raster
from liquidwarp.types import TargetFlow

__all__ = ["draw_flow", "draw_layers", "seen_weight", "soften_inner_edges", "within_edge"]

_RIM = 7 / 512
_STEP = 0.05
"""A step in depth from a pixel to the next that is the edge of one part of the body before another [m]."""
_MIXING = (1, 2, 1, 2, 4, 2, 1, 2, 1)
"""How much a pixel at such an edge takes from itself and those around it."""


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
    on_body, on_around = body.layer.raster, around.layer.raster
    seen = seen_weight(body.seen)
    own = 1 - _transparent_rim(on_body.covered[:, None], seen * (1 - body.matte))
    covers = [coverage(*pair) for pair in zip(composition.meshes, (on_body, on_around), strict=True)]
    skin = _to_the_edge(seen * body.texture + (1 - seen) * made_up, own, on_body, covers[0])
    cloth = _to_the_edge(around.texture, around.matte, on_around, covers[1])
    before = (cloth.depth < skin.depth) & (cloth.opacity > SOLID)
    picture = torch.zeros_like(body.texture)
    matte = torch.zeros_like(body.matte)
    for drawn, cover, shown in ((cloth, covers[1], ~before), (skin, covers[0], None), (cloth, covers[1], before)):
        alpha = torch.minimum(drawn.opacity, cover)
        alpha = alpha if shown is None else alpha * shown
        picture = picture + alpha * (drawn.colour - picture)
        matte = matte + alpha * (1 - matte)
    return (picture / matte.clamp(min=1e-4)).clamp(0, 1), matte.clamp(0, 1)


@dataclass(frozen=True)
class _Sheet:
    """What one mesh shows, also at the pixels that it covers in part only."""

    colour: Float[Tensor, "N 3 H W"]
    opacity: Float[Tensor, "N 1 H W"]
    depth: Float[Tensor, "N 1 H W"]


def _to_the_edge(
    colour: Float[Tensor, "N 3 H W"], opacity: Float[Tensor, "N 1 H W"], raster: Raster, cover: Float[Tensor, "N 1 H W"]
) -> _Sheet:
    values = torch.cat([colour, opacity, raster.depth[:, None]], 1)
    continued = Rim.of(raster.covered, cover).continued(values, raster.covered)
    return _Sheet(*continued.split((3, 1, 1), 1))


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
    shown = raster.pix_to_face
    picture, row, column = (_steps_in_depth(raster) & soft_faces[shown.clamp(min=0)]).nonzero(as_tuple=True)
    near = torch.arange(-1, 2, device=colours.device)
    rows = (row[:, None, None] + near[:, None]).clamp(0, shown.shape[1] - 1).expand(-1, 3, 3).flatten(1)
    columns = (column[:, None, None] + near).clamp(0, shown.shape[2] - 1).expand(-1, 3, 3).flatten(1)
    weight = colours.new_tensor(_MIXING) * opacity[picture[:, None], 0, rows, columns]
    mixed = (colours.movedim(1, -1)[picture[:, None], rows, columns] * weight[..., None]).sum(1)
    softened = colours.clone()
    softened.movedim(1, -1)[picture, row, column] = mixed / weight.sum(1, keepdim=True).clamp(min=1e-4)
    return softened


def _steps_in_depth(raster: Raster) -> Bool[Tensor, "N H W"]:
    """Pixels on both sides of a step in depth."""
    depth = raster.depth.masked_fill(~raster.covered, torch.nan)
    found = torch.zeros_like(raster.covered)
    across, down = (depth.diff(dim=axis).abs() > _STEP for axis in (2, 1))
    found[..., 1:] |= across
    found[..., :-1] |= across
    found[:, 1:] |= down
    found[:, :-1] |= down
    return found


def draw_flow(composition: Composition, made_up: Float[Tensor, "N 3 H W"]) -> TargetFlow:
    """The flow of a composition, whose texture is the drawn person: what a network starts from."""
    colours, matte = draw_layers(composition, made_up)
    return replace(merge_layers(composition), texture=colours, texture_matte=within_edge(matte))


def within_edge(opacity: Float[Tensor, "*B 1 H W"]) -> Float[Tensor, "*B 1 H W"]:
    """The drawn person's outline as networks are given it: a quarter of a pixel inside.

    They have learned from outlines of whole pixels that were drawn so, and widen what they get.
    """
    return (2 * opacity - 1).clamp(min=0)


def seen_weight(visible: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """How far to trust the photos' pixels where the best photo saw the point this well [0, 1]: both 0 to 1."""
    return (visible * 1.6 - 0.3).clamp(0, 1)


def _transparent_rim(
    covered: Bool[Tensor, "N 1 H W"], transparent: Float[Tensor, "N 1 H W"]
) -> Float[Tensor, "N 1 H W"]:
    """How transparent the body is: 0 within, at the rim as the sources' mattes are."""
    outside = 1 - covered.to(transparent.dtype)
    reach = outside
    for _ in range(max(1, round(_RIM * covered.shape[-2]))):
        # Only what is transparent all the way from outside: no slits between a limb and its made-up edge.
        reach = torch.maximum(reach, torch.minimum(dilate(reach, 1), transparent))
    return reach - outside
