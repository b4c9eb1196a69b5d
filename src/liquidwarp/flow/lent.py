"""Lent clothes on another body: skirts, coats and hair keep their form there.

Each point of an extension hangs on one vertex of the body (:mod:`liquidwarp.flow.extension`). Neighbours of a skirt may
hang on different legs, so a wearer of another shape would pull them apart and crumple the cloth.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.flow.extension import Extension, smooth_on_mesh

__all__ = ["in_form"]

_EVEN = 30
"""Over so many edges of the mesh what moves with the body moves alike; a row of a skirt has 48."""


def in_form(extension: Extension, own: Float[Tensor, "S V 3"], wearer: Float[Tensor, "V 3"]) -> Extension:
    """The same extension for one body, on which neighbouring points move alike.

    Args:
        extension: Of photos of several people.
        own: The bodies at rest that the photos' clothes were measured on [m].
        wearer: The body at rest that wears all of them [m].

    Returns:
        With other offsets; what belongs to no photo stays.
    """
    lent = extension.owner >= 0
    if not bool(lent.any()):
        return extension
    moved = wearer[extension.anchor] - own[extension.owner.clamp(min=0), extension.anchor]
    moved = torch.where(lent[:, None], moved, 0.0)
    even = smooth_on_mesh(moved[None], extension.faces, _EVEN)[0]
    return replace(extension, offset=extension.offset + torch.where(lent[:, None], even - moved, 0.0))
