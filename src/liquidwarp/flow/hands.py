"""Hands that a photo does not really show: hidden in a sleeve or a pocket, or behind what they hold.

The fitted body has a hand there all the same, and it would go through the motion in the sleeve's colour. Gloves are no
such thing: both hands wear them, in another colour than the sleeves.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS

__all__ = ["hidden_hands"]

_SIDES = ("left", "right")
_FEW = 30
_HUE, _LIGHT = 0.1, 1.0
"""Skin's shares of red, green and blue differ less than this from the face's, and its brightness [logarithm]."""
_BARE = 0.5
"""A hand of which more than this share is skin wears no glove."""
_SLEEVE = 0.15
"""A colour is a sleeve's if it differs less from its usual one [RGB, 0..1]."""
_MOSTLY = 0.6
"""A hand of which more than this share shows something else is hidden altogether."""


def hidden_hands(model: BodyModel, colours: Float[Tensor, "S V 3"], seen: Bool[Tensor, "S V"]) -> Bool[Tensor, "S V"]:
    """Vertices of hands that show something else in a photo.

    Args:
        model: The body.
        colours: What the S photos of one person show at the vertices, RGB in [0, 1].
        seen: Which vertices they show.

    Returns:
        All of the hand or nothing of it; nothing where a photo does not show the face, whose skin tells what is bare.
    """
    hidden = torch.zeros_like(seen)
    skin = _like_face(model, colours, seen)
    hands = [model.vertex_part == PARTS.index(f"{side}_hand") for side in _SIDES]
    bare = any(float(skin[s, seen[s] & hand].float().mean()) > _BARE for s, hand in _well_seen(seen, hands))
    for side, hand in zip(_SIDES, hands, strict=True):
        forearm = model.vertex_part == PARTS.index(f"{side}_lower_arm")
        for s, _ in _well_seen(seen, [model.vertex_part == PARTS.index("face")]):
            shown = seen[s] & hand
            strange = shown & ~skin[s]
            if not bare:
                strange &= _like_sleeve(colours[s], seen[s] & forearm, skin[s])
            if int(strange.sum()) > _MOSTLY * int(shown.sum()):
                hidden[s] |= hand
    return hidden


def _well_seen(seen: Bool[Tensor, "S V"], members: list[Bool[Tensor, "V"]]) -> list[tuple[int, Bool[Tensor, "V"]]]:
    """Photos and parts of which enough is seen."""
    return [(s, member) for s in range(len(seen)) for member in members if int((seen[s] & member).sum()) >= _FEW]


def _like_face(model: BodyModel, colours: Float[Tensor, "S V 3"], seen: Bool[Tensor, "S V"]) -> Bool[Tensor, "S V"]:
    light = colours.sum(-1).clamp(min=0.02)
    hue = colours / light[..., None]
    skin = torch.zeros_like(seen)
    for s, face in _well_seen(seen, [model.vertex_part == PARTS.index("face")]):
        own = seen[s] & face
        near = (hue[s] - hue[s, own].median(0).values).norm(dim=-1) < _HUE
        skin[s] = near & ((light[s] / light[s, own].median()).log().abs() < _LIGHT)
    return skin


def _like_sleeve(
    colours: Float[Tensor, "V 3"], forearm: Bool[Tensor, "V"], skin: Bool[Tensor, "V"]
) -> Bool[Tensor, "V"]:
    """Colours like those of a clothed forearm; none if it is bare, or not seen."""
    if int(forearm.sum()) < _FEW or float(skin[forearm].float().mean()) > _BARE:
        return torch.zeros_like(skin)
    return (colours - colours[forearm].median(0).values).norm(dim=-1) < _SLEEVE
