"""Which colours may be bare skin, after the person's own face."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["like_face", "unlike_face"]

_FEW = 50
_HAIR = 0.4
"""Hair is so much darker or lighter than a face in at least one of red, green and blue [logarithm]."""
_SKIN = 0.05
"""Skin's shares of red, green and blue differ less than this from the face's [Euclidean]."""


def like_face(colours: Float[Tensor, "N 3"], face: Float[Tensor, "K 3"]) -> Bool[Tensor, "N"]:
    """Which colours have the hue of a face, in whatever light; none if hardly any of the face was seen.

    Args:
        colours: RGB in [0, 1].
        face: Those of the face.
    """
    if len(face) < _FEW:
        return torch.zeros(len(colours), dtype=torch.bool, device=colours.device)
    hue, own = (c / c.sum(1, keepdim=True).clamp(min=1e-3) for c in (colours, face))
    return (hue - own.median(0).values).norm(dim=1) < _SKIN


def unlike_face(colours: Float[Tensor, "N 3"], face: Float[Tensor, "K 3"]) -> Bool[Tensor, "N"]:
    """Which colours differ from most of a face's: hair, where there is any; all if hardly any of the face was seen.

    Args:
        colours: RGB in [0, 1].
        face: Those of the face.
    """
    if len(face) < _FEW:
        return torch.ones(len(colours), dtype=torch.bool, device=colours.device)
    light, own = (c.clamp(min=0.02).log() for c in (colours, face))
    return (light - own.median(0).values).abs().amax(1) > _HAIR
