"""Which of the halos' sheets a picture shows: those of the photo that gives the head, and none from its edge.

A halo is flat, as one photo shows nothing of its depth. From the side it would be a strip of another colour that
crosses the head, such as a hat's brim or a fringe of hair.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.extension import Extension
from liquidwarp.flow.mesh.surface import ProjectedSurface
from liquidwarp.flow.sources import FlowSources

__all__ = ["edge_on", "shown_sheets"]

_EDGE_ON = (0.3, 0.55)
"""Cosine between a sheet's normal and the line of sight up to which it is not drawn, and from which it is fully."""
_FADE_FROM, _GONE = 0.75, 2.0
"""Stretched so much of what it may be, a face begins to fade; at the latter it is left out."""
_HEAD = tuple(PARTS.index(part) for part in ("head", "face"))


def shown_sheets(sources: FlowSources, targets: ProjectedSurface) -> ProjectedSurface:
    """The targets without the halos' faces that should not be seen: they count as torn.

    Args:
        sources: Photos of one person (G = 1).
        targets: The bodies to draw.
    """
    extension = sources.extension
    if len(extension.faces) == 0:
        return targets
    owner = extension.owner[extension.faces[:, 0]]
    sheet = (owner >= 0) & extension.max_edge.isfinite()
    narrow = 1 - edge_on(extension, targets) * (1 - _FADE_FROM)
    torn = torch.where(sheet, torch.maximum(targets.torn, narrow), targets.torn)
    return replace(targets, torn=torch.where(_others(sources, targets, owner), _GONE, torn))


def edge_on(extension: Extension, targets: ProjectedSurface) -> Float[Tensor, "N M"]:
    """How far each face turns towards the line of sight: 0 seen from its edge, 1 from one of its sides."""
    depth = targets.extension[..., 2:] - extension.recess[:, None]
    metres = torch.cat([targets.extension[..., :2] / targets.scale[:, None, None], depth], -1)
    a, b, c = (metres.index_select(1, extension.faces[:, k]) for k in range(3))
    normal = torch.linalg.cross(b - a, c - a)
    cosine = normal[..., 2].abs() / normal.norm(dim=-1).clamp(min=1e-9)
    return ((cosine - _EDGE_ON[0]) / (_EDGE_ON[1] - _EDGE_ON[0])).clamp(0, 1)


def _others(sources: FlowSources, targets: ProjectedSurface, owner: Int64[Tensor, "M"]) -> Bool[Tensor, "N M"]:
    """Faces around the head that belong to another photo than that which gives the head.

    Where that one looks from the other side, the one that looks from the most similar side has the halo.
    """
    if len(sources.heads) == 0:
        return torch.zeros_like(targets.torn, dtype=torch.bool)
    giver = sources.heads.source[0]
    head = torch.isin(sources.model.vertex_part, torch.tensor(_HEAD, device=owner.device))
    alike = (sources.normals[0][:, head] * targets.normals[:, None, head]).sum(-1).mean(-1)  # N S
    chosen = torch.where(alike[:, giver] > 0, giver, alike.argmax(1))
    on_head = torch.isin(sources.extension.part, torch.tensor(_HEAD, device=owner.device))
    return (on_head & (owner >= 0)) & (owner != chosen[:, None])
