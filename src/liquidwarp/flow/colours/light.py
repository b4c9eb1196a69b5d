"""Photos of one person under different light, brought together: no seam where two of them meet on the surface.

Where two photos show the same place, they should show the same colour. Each photo's difference from their common
colour, smoothed so widely over the surface that it is light and not texture, is taken out of it.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.flow.mesh.extension import smooth_on_mesh
from liquidwarp.flow.mesh.texture import grow_colours
from liquidwarp.geometry.raster import Raster, interpolate
from liquidwarp.geometry.warp import sample_at

__all__ = ["even_light"]

_SEEN = 0.3
_DARK = 0.03
_LEAST = 40
"""Fewer places that two photos share say nothing."""
_ALIKE = 0.4
"""Places whose colours differ more [logarithm] are not the same thing."""
_STRONGEST = 0.4
"""A photo is changed by this factor at most [logarithm]."""
_ROUNDS = 40
"""How widely differences are smoothed [edges of the mesh]."""
_FAINT = 1e-3


def even_light(
    model: BodyModel,
    colours: Float[Tensor, "S 3 H W"],
    body: Float[Tensor, "S V 4"],
    raster: Raster,
) -> Float[Tensor, "S 3 H W"]:
    """Photos whose light is even where they show the same places.

    Args:
        model: The body.
        colours: RGB in [0, 1].
        body: Of :class:`liquidwarp.flow.sources.FlowSources`: positions, visibility and preference.
        raster: Of the bodies in the photos.

    Returns:
        The photos; unchanged if there is one, or no two show the same.
    """
    if len(colours) < 2:
        return colours
    shown = sample_at(colours, body[..., :2]).transpose(1, 2).clamp(min=_DARK).log()  # S V 3
    weight = body[..., 2:3] * (body[..., 2:3] > _SEEN) * (body[..., 3:4] + _FAINT)
    common = (shown * weight).sum(0) / weight.sum(0).clamp(min=1e-9)
    alike = (shown - common).abs().amax(-1, keepdim=True) < _ALIKE
    shared = (weight > 0) & ((weight > 0).sum(0) > 1) & alike
    if int(shared.sum()) < _LEAST:
        return colours
    trust = shared * weight.sqrt()
    spread = smooth_on_mesh(torch.cat([(common - shown) * trust, trust], -1), model.faces, _ROUNDS)
    overall = ((common - shown) * trust).sum(1, keepdim=True) / trust.sum(1, keepdim=True).clamp(min=1e-6)
    share = spread[..., 3:] / (spread[..., 3:] + _FAINT)
    gain = share * spread[..., :3] / spread[..., 3:].clamp(min=1e-9) + (1 - share) * overall
    picture = interpolate(gain.clamp(-_STRONGEST, _STRONGEST), model.faces, raster).permute(0, 3, 1, 2)
    everywhere = grow_colours(picture, raster.covered[:, None].to(picture.dtype))
    return (colours * everywhere.exp()).clamp(0, 1)
