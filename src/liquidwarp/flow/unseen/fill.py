"""Made-up colours for what no source shows, for many people at once: the quick sibling of the filled atlas.

:func:`liquidwarp.flow.unseen.atlas.fill_atlas` prepares one person carefully before a video. Training needs the same
kind of picture for ever new people within a few milliseconds, so here everything that depends on the body alone is a
matrix that is computed once, and people are columns.
"""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS, mirrored
from liquidwarp.flow.compose import Composition
from liquidwarp.flow.mesh.extension import smooth_on_mesh
from liquidwarp.flow.mesh.surface import rest_coordinates
from liquidwarp.flow.mesh.texture import blend_weights
from liquidwarp.flow.sources import FlowSources
from liquidwarp.geometry.raster import interpolate
from liquidwarp.geometry.warp import sample_at

__all__ = ["SurfaceFill"]

_LENDERS = 1024
_SEEN = 0.45
_MOSTLY = 0.3
_LEVEL = 3.0
"""Heights count this much more than widths and depths: a hem goes on around the body."""
_NEAR = 0.04
"""Distances below this are alike, in rest coordinates."""
_FAR = 1e3
_TWIN, _STRANGE = 1e-8, 1e-13
"""How much less than a place of the same part its mirror image, and a place of another part, lend."""
_HIDDEN = 1e-34


@dataclass(frozen=True)
class SurfaceFill:
    """Which places of a body lend their colours to which others, when these are hidden."""

    faces: Int64[Tensor, "F 3"]
    nearest: Int64[Tensor, "V"]
    """The lending place that each vertex belongs to."""
    weights: Float[Tensor, "V L"]
    """How much each of L places lends to each vertex if it is seen: nearly all comes from the nearest that is seen."""

    @staticmethod
    def of(model: BodyModel) -> "SurfaceFill":
        """Prepare a body."""
        place = rest_coordinates(model) * model.lbs_weights.new_tensor([1.0, _LEVEL, 1.0])
        used = torch.unique(model.faces)
        lenders = used[_spread_out(place[used], min(_LENDERS, len(used)))]
        part = model.vertex_part
        nearest = (torch.cdist(place, place[lenders]) + _FAR * (part[:, None] != part[lenders])).argmin(1)
        twin = torch.tensor([PARTS.index(mirrored(name)) for name in PARTS], device=part.device)[part]
        mirror = place[lenders] * place.new_tensor([-1.0, 1.0, 1.0])
        own = part[:, None] == part[lenders]
        opposite = part[:, None] == twin[lenders]
        weights = torch.maximum(
            _closeness(place, place[lenders]) * torch.where(own, 1.0, _STRANGE),
            _closeness(place, mirror) * torch.where(opposite, _TWIN, _STRANGE),
        )
        return SurfaceFill(model.faces, nearest, weights / weights.amax(1, keepdim=True))

    def to(self, device: torch.device | str) -> "SurfaceFill":
        """The same on another device."""
        return SurfaceFill(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def colours(self, sources: FlowSources, rounds: int = 12) -> Float[Tensor, "G V 3"]:
        """Colours of all vertices: what the sources saw, and elsewhere what is made up.

        Args:
            sources: G people.
            rounds: How often made-up colours are smoothed over the surface.
        """
        people, num, vertices = sources.body.shape[:3]
        seen, preference = sources.body[..., 2, None], sources.body[..., 3, None]
        sampled = sample_at(sources.colours.flatten(0, 1), sources.body[..., :2].flatten(0, 1))
        sampled = sampled.view(people, num, 3, vertices).transpose(2, 3)  # G S V 3
        merged = (sampled * blend_weights(seen, preference)).sum(1)
        known = seen.amax(1)[..., 0] > _SEEN
        clear = known & (sources.clear.amax(1) > _SEEN)
        lends = torch.where(clear.any(1, keepdim=True), clear, known).to(merged.dtype)[..., None]
        places = merged.new_zeros(people, self.weights.shape[1], 5)
        values = torch.cat([merged * lends, lends, torch.ones_like(lends)], -1)
        places.index_add_(1, self.nearest, values)
        share = places[..., 3:4] / places[..., 4:].clamp(min=1)
        lent = torch.cat([places[..., :3] / places[..., 3:4].clamp(min=1), torch.ones_like(share)], -1)
        lent = (lent * (share > _MOSTLY)).transpose(0, 1).flatten(1)  # L 4G
        received = (self.weights @ lent).view(vertices, people, 4).transpose(0, 1)
        total = received[..., 3:]
        made_up = torch.where(total > _HIDDEN, received[..., :3] / total.clamp(min=_HIDDEN), 0.5)
        start = torch.where(known[..., None], merged, made_up)
        return smooth_on_mesh(start, self.faces, rounds, fixed=known)

    def at_pixels(self, colours: Float[Tensor, "G V 3"], composition: Composition) -> Float[Tensor, "N 3 H W"]:
        """Colours of vertices carried to the pixels that show the body; row ``g * T + t`` is person g in target t."""
        raster = composition.body.layer.raster
        repeated = colours.repeat_interleave(len(raster.pix_to_face) // len(colours), 0)
        return interpolate(repeated, self.faces, raster).permute(0, 3, 1, 2)


def _closeness(a: Float[Tensor, "V 3"], b: Float[Tensor, "L 3"]) -> Float[Tensor, "V L"]:
    """So steep that the nearest counts nearly alone, without a search."""
    return (torch.cdist(a, b).square() + _NEAR**2).pow(-4) * _NEAR**8


def _spread_out(points: Float[Tensor, "N 3"], count: int) -> Int64[Tensor, "{count}"]:
    """Indices of points that lie as far apart as they can: each next one is the farthest from those before."""
    chosen = [0]
    distance = (points - points[0]).norm(dim=1)
    for _ in range(count - 1):
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (points - points[chosen[-1]]).norm(dim=1))
    return torch.tensor(chosen, device=points.device)
