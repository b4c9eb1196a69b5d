"""Hands that a photo does not really show: hidden in a sleeve or a pocket, or behind what they hold.

The fitted body has a hand there all the same, and it would go through the motion in the sleeve's colour. Gloves are no
such thing: both hands wear them, in another colour than the sleeves.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.colours.cloth import same_cloth
from liquidwarp.flow.mesh.extension import smooth_on_mesh
from liquidwarp.flow.mesh.surface import rest_coordinates, vertices_of
from liquidwarp.geometry.raster import Raster

__all__ = ["hidden_hands", "lost_hands", "strange_fingers"]

_SIDES = ("left", "right")
_FOREARMS, _UPPER_ARMS = (tuple(f"{side}_{part}" for side in _SIDES) for part in ("lower_arm", "upper_arm"))
_FEW = 30
_HUE, _LIGHT = 0.1, 1.0
"""Skin's shares of red, green and blue differ less than this from the face's, and its brightness [logarithm]."""
_BARE = 0.5
"""A hand of which more than this share is skin wears no glove."""
_SLEEVE = 0.15
"""A colour is a sleeve's if it differs less from its usual one [RGB, 0..1], or as light and shade do."""
_MOSTLY = 0.6
"""A hand of which more than this share shows something else is hidden altogether."""
_OWN_HUE, _BRIGHTER, _DARKER = 0.05, 0.4, 1.0
"""What a hand shows of itself differs less than this from most of it: its shares of red, green and blue, and its
brightness [logarithm]; dark gaps between fingers are its own."""
_AROUND = 1
"""So far around what is strange nothing is sure [edges of the mesh]."""
_TRACE = 0.05
_WHOLE = 0.8
"""A matte that has less than this share of a hand has lost it."""
_LITTLE = 0.2
"""Of a hand of which no more than this share is seen only skin counts: the rest may be cuffs or what is beside it."""
_PALM = 0.45
"""Up to this share of its length a hand may be in a sleeve."""


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
        sleeves = _sleeves(model, side)
        for s, _ in _well_seen(seen, [model.vertex_part == PARTS.index("face")]):
            shown = seen[s] & hand
            strange = shown & ~skin[s]
            if not bare and int(shown.sum()) > _LITTLE * int(hand.sum()):
                strange &= _like_sleeve(colours[s], [seen[s] & sleeve for sleeve in sleeves], skin[s])
            if int(strange.sum()) > _MOSTLY * int(shown.sum()):
                hidden[s] |= hand
    return hidden


def strange_fingers(
    model: BodyModel, colours: Float[Tensor, "S V 3"], seen: Bool[Tensor, "S V"]
) -> Bool[Tensor, "S V"]:
    """Vertices of hands that show something else than most of the hand, such as what is behind the fingers.

    Fingers are thinner than the fit's errors. A hand has one colour, be it bare or gloved; where it has several,
    nothing is strange.

    Args:
        model: The body.
        colours: What the S photos of one person show at the vertices, RGB in [0, 1].
        seen: Which vertices they show.
    """
    strange = torch.zeros_like(seen)
    light = colours.sum(-1).clamp(min=0.02)
    hue = colours / light[..., None]
    for s, hand in _well_seen(seen, [model.vertex_part == PARTS.index(f"{side}_hand") for side in _SIDES]):
        own = seen[s] & hand
        brighter = (light[s] / light[s, own].median()).log()
        unlike = (hue[s] - hue[s, own].median(0).values).norm(dim=-1) > _OWN_HUE
        unlike |= (brighter > _BRIGHTER) | (brighter < -_DARKER)
        if float(unlike[own].float().mean()) < 1 - _MOSTLY:
            strange[s] |= own & unlike
    around = smooth_on_mesh(strange[..., None].to(colours.dtype), model.faces, _AROUND)[..., 0] > _TRACE
    return (strange | around) & _fingers(model)


def lost_hands(model: BodyModel, raster: Raster, mattes: Float[Tensor, "S 1 H W"]) -> Float[Tensor, "S 1 H W"]:
    """1 on hands of which the matte has lost a good part, else 0: drawn with its outline they would have holes.

    Args:
        model: The body.
        raster: The S fitted bodies in the photos.
        mattes: Opacity of the person, 1 = person.
    """
    part = torch.where(raster.covered, model.face_part[raster.pix_to_face.clamp(min=0)], -1)
    lost = torch.zeros_like(mattes)
    for side in _SIDES:
        hand = (part == PARTS.index(f"{side}_hand"))[:, None]
        area, kept = (mask.flatten(1).sum(1) for mask in (hand, hand & (mattes > 0.5)))
        torn = (kept < _WHOLE * area) & (kept > 0)
        lost = torch.maximum(lost, (hand & torn[:, None, None, None]).to(lost.dtype))
    return lost


def _fingers(model: BodyModel) -> Bool[Tensor, "V"]:
    """Vertices of hands that no sleeve covers: the half that is farther from the arm."""
    fingers = torch.zeros_like(model.vertex_part, dtype=torch.bool)
    places = rest_coordinates(model)
    for side in _SIDES:
        hand, arm = (model.vertex_part == PARTS.index(f"{side}_{name}") for name in ("hand", "lower_arm"))
        if bool(hand.any()) and bool(arm.any()):
            away = (places - places[arm].mean(0)).norm(dim=1)
            near, far = away[hand].amin(), away[hand].amax()
            fingers |= hand & (away > torch.lerp(near, far, _PALM))
    return fingers


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


def _sleeves(model: BodyModel, side: str) -> list[Bool[Tensor, "V"]]:
    """Parts whose cloth is that of a hand's sleeve: the forearm's, else the other one's, else the upper arms'."""
    return [vertices_of(model, *parts) for parts in ((f"{side}_lower_arm",), _FOREARMS, _UPPER_ARMS)]


def _like_sleeve(
    colours: Float[Tensor, "V 3"], sleeves: list[Bool[Tensor, "V"]], skin: Bool[Tensor, "V"]
) -> Bool[Tensor, "V"]:
    """Colours like those of a clothed arm, in light or shade; none if it is bare, or not seen.

    Args:
        colours: RGB in [0, 1].
        sleeves: What is seen of arms; the first one counts of which there is enough.
        skin: What is skin.
    """
    sleeve = next((arm for arm in sleeves if int(arm.sum()) >= _FEW), None)
    if sleeve is None or float(skin[sleeve].float().mean()) > _BARE:
        return torch.zeros_like(skin)
    cloth = colours[sleeve].median(0).values
    shaded = same_cloth(colours.cpu().double().numpy(), cloth.cpu().double().numpy())
    return ((colours - cloth).norm(dim=-1) < _SLEEVE) | torch.as_tensor(shaded, device=skin.device)
