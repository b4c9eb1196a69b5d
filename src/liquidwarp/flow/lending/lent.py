"""Lent clothes on another body: skirts, and hair over arms, keep their form there.

Each point of an extension hangs on one vertex of the body (:mod:`liquidwarp.flow.mesh.extension`). Neighbours of a
skirt may hang on different legs, so a wearer of another shape would pull them apart and crumple the cloth. Halos, which
lie close around one body, go with that of the wearer.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.flow.mesh.extension import Extension, smooth_on_mesh

__all__ = ["in_form"]

_EVEN = 30
"""Over so many edges of the mesh what moves with the body moves alike; a row of a skirt has 48."""


def in_form(extension: Extension, own: Float[Tensor, "S V 3"], wearer: Float[Tensor, "V 3"]) -> Extension:
    """The same extension for one body, on which neighbouring points of what never tears move alike.

    Args:
        extension: Of photos of several people.
        own: The bodies at rest that the photos' clothes were measured on [m].
        wearer: The body at rest that wears all of them [m].

    Returns:
        With other offsets; what belongs to no photo stays.
    """
    tears = extension.max_edge.isfinite()
    whole, halo = (_points(extension, faces) for faces in (extension.faces[~tears], extension.faces[tears]))
    worn = whole & ~halo & (extension.owner >= 0)
    if not bool(worn.any()):
        return extension
    moved = wearer[extension.anchor] - own[extension.owner.clamp(min=0), extension.anchor]
    even = smooth_on_mesh(moved[None], extension.faces[~tears], _EVEN, fixed=~worn[None])[0]
    return replace(extension, offset=extension.offset + even - moved)


def _points(extension: Extension, faces: Int64[Tensor, "M 3"]) -> Bool[Tensor, "N"]:
    """Those of some faces."""
    return torch.zeros_like(extension.owner, dtype=torch.bool).index_fill_(0, faces.reshape(-1), True)
