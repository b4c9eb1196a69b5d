"""Texture warping: pictures of a person in a new pose without any network.

This is the paper's texture-warping baseline and the draft quality of the product. Networks start from the same flow
and mend what warping cannot know: new folds, fingers, shoes seen from a new side.
"""

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.compose import Choice, compose_layers
from liquidwarp.flow.draw import draw_layers, soften_inner_edges
from liquidwarp.flow.halves import one_face
from liquidwarp.flow.mesh.coverage import Rim
from liquidwarp.flow.mesh.stage import Stage
from liquidwarp.flow.sheets import shown_sheets
from liquidwarp.flow.sources import FlowSources
from liquidwarp.flow.unseen.atlas import TextureAtlas
from liquidwarp.geometry.masks import soften
from liquidwarp.geometry.raster import Raster

__all__ = ["render_person", "render_warp", "without_specks"]

_EDGE = 0.4
"""How much softer outlines are than the share of each pixel that is covered [standard deviation, px]: a camera's pixel
takes a little from those beside it. 0.6 wins more dB, but blurs sharp clips."""
_TRACE = 0.02
"""Fainter pixels take the colour of those beside them."""
_FAINT = 0.1
_SPECK = 0.01
"""A piece apart from the person that is smaller than this share of it is a speck."""


def render_warp(
    sources: FlowSources,
    targets: BodyParams,
    atlas: TextureAtlas,
    background: Float[Tensor, "B 3 H W"],
    choice: Choice | None = None,
) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
    """Draw one person in T poses before a background.

    Args:
        sources: The prepared photos.
        targets: T bodies, cameras in the background's pixels.
        atlas: The filled texture (:func:`liquidwarp.flow.unseen.atlas.fill_atlas`), for what no source shows.
        background: One picture, or one for each target, RGB in [0, 1].
        choice: Which source gives which part.

    Returns:
        The pictures and the person's opacity in them.
    """
    size = (background.shape[-2], background.shape[-1])
    colours, mattes = render_person(sources, Stage.of(sources.model, targets, size), atlas, choice)
    return background + mattes * (colours - background), mattes


def render_person(
    sources: FlowSources, stage: Stage, atlas: TextureAtlas, choice: Choice | None = None
) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
    """Draw one person in T poses, without a background.

    Args:
        sources: The prepared photos.
        stage: T bodies in the pictures.
        atlas: The filled texture.
        choice: Which source gives which part.

    Returns:
        The person's own colours, not multiplied by the opacity (0 where it is 0), and the opacity: a picture is
        ``background + opacity * (colours - background)``.
    """
    colours, mattes = [], []
    head = torch.tensor([PARTS.index(part) for part in ("head", "face")], device=sources.model.face_part.device)
    soft = ~torch.isin(sources.model.face_part, head)
    for t in range(len(stage)):
        one = stage[slice(t, t + 1)]
        surface = shown_sheets(sources, one.surface(sources.extension))
        composition = compose_layers(one_face(sources, surface.normals), surface, stage.size, choice, one.raster)
        raster = composition.body.layer.raster
        colour, matte = draw_layers(composition, atlas.sample(_uv(sources, raster)))
        colour = soften_inner_edges(colour, matte, raster, soft.to(colour.device))
        kept = without_specks(matte)
        opacity, known = soften(kept, _EDGE), kept[:, 0] > _TRACE
        colours.append(Rim.of(known, opacity).continued(colour, known) * (opacity > 0))
        mattes.append(opacity)
    return torch.cat(colours), torch.cat(mattes)


def without_specks(matte: Float[Tensor, "1 1 H W"]) -> Float[Tensor, "1 1 H W"]:
    """Leave out torn pieces of hair and cloth that float beside the person."""
    visible = (matte[0, 0] > _FAINT).cpu().numpy().astype(np.uint8)
    count, label, stats, _ = cv2.connectedComponentsWithStats(visible, connectivity=8)
    if count <= 2:
        return matte
    area = stats[:, cv2.CC_STAT_AREA].copy()
    area[0] = 0
    speck = area < _SPECK * area.max()
    speck[0] = False
    # Their faint edges go too.
    gone = cv2.dilate(speck[label].astype(np.uint8), np.ones((5, 5), np.uint8)) * (speck[label] | (label == 0))
    return matte * torch.as_tensor(1 - gone, dtype=matte.dtype, device=matte.device)


def _uv(sources: FlowSources, raster: Raster) -> Float[Tensor, "N 2 H W"]:
    model = sources.model
    pixel = raster.covered.view(-1).nonzero()[:, 0]
    corner = model.face_uv.index_select(0, raster.pix_to_face.view(-1).index_select(0, pixel))
    mixed = (model.uv[corner] * raster.bary.view(-1, 3).index_select(0, pixel)[..., None]).sum(1)
    uv = mixed.new_zeros(raster.covered.numel(), 2).index_copy_(0, pixel, mixed)
    return uv.view(*raster.covered.shape, 2).permute(0, 3, 1, 2)
