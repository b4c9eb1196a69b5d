"""Texture warping: pictures of a person in a new pose without any network.

This is the paper's texture-warping baseline and the draft quality of the product. Networks start from the same flow
and mend what warping cannot know: new folds, fingers, shoes seen from a new side.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyParams
from liquidwarp.flow.atlas import TextureAtlas
from liquidwarp.flow.compose import Choice, Composition, compose_layers
from liquidwarp.flow.sources import FlowSources
from liquidwarp.flow.surface import project_bodies
from liquidwarp.geometry.raster import Raster

__all__ = ["render_person", "render_warp", "seen_weight", "without_specks"]

_RIM = 7 / 512
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
        atlas: The filled texture (:func:`liquidwarp.flow.atlas.fill_atlas`), for what no source shows.
        background: One picture, or one for each target, RGB in [0, 1].
        choice: Which source gives which part.

    Returns:
        The pictures and the person's opacity in them.
    """
    size = (background.shape[-2], background.shape[-1])
    colours, mattes = render_person(sources, targets, atlas, size, choice)
    return background + mattes * (colours - background), mattes


def render_person(
    sources: FlowSources,
    targets: BodyParams,
    atlas: TextureAtlas,
    size: tuple[int, int],
    choice: Choice | None = None,
) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
    """Draw one person in T poses, without a background.

    Args:
        sources: The prepared photos.
        targets: T bodies, cameras in the picture's pixels.
        atlas: The filled texture.
        size: Height and width of the pictures [px].
        choice: Which source gives which part.

    Returns:
        The person's own colours, not multiplied by the opacity (0 where it is 0), and the opacity: a picture is
        ``background + opacity * (colours - background)``.
    """
    colours, mattes = [], []
    for t in range(len(targets)):
        surface = project_bodies(sources.model, sources.extension, targets[slice(t, t + 1)])
        colour, matte = _draw(sources, compose_layers(sources, surface, size, choice), atlas)
        kept = without_specks(matte)
        colours.append(colour * (kept > 0))
        mattes.append(kept)
    return torch.cat(colours), torch.cat(mattes)


def _draw(
    sources: FlowSources, composition: Composition, atlas: TextureAtlas
) -> tuple[Float[Tensor, "1 3 H W"], Float[Tensor, "1 1 H W"]]:
    """What is around the body behind it, then the body, then what hangs before the body."""
    body, around = composition.body, composition.around
    covered = body.layer.raster.covered[:, None]
    seen = seen_weight(body.seen)
    made_up = atlas.sample(_uv(sources, body.layer.raster))
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


def seen_weight(visible: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """How far to trust the photos' pixels where the best photo saw the point this well [0, 1]: both 0 to 1."""
    return (visible * 1.6 - 0.3).clamp(0, 1)


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


def _body_opacity(covered: Bool[Tensor, "N 1 H W"], transparent: Float[Tensor, "N 1 H W"]) -> Float[Tensor, "N 1 H W"]:
    """Opaque within; at the rim as transparent as the source's matte was, with a soft edge of one pixel."""
    solid = covered.to(transparent.dtype)
    outside = 1 - solid
    for _ in range(max(1, round(_RIM * covered.shape[-2]))):
        # Only what is transparent all the way from outside: no slits between a limb and its made-up edge.
        outside = torch.maximum(outside, torch.minimum(F.max_pool2d(outside, 3, 1, 1), transparent))
    rim = outside
    soft = (F.avg_pool2d(solid, 3, 1, 1, count_include_pad=False) * 2 - 1).clamp(0, 1)
    return torch.minimum(soft, solid) * (1 - rim * solid)
