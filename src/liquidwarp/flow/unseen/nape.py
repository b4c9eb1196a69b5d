"""Ears, jaws and necks that no photo shows: skin, where a head's hair is short and its collar low.

A beard, a hand or the angle may hide a whole neck; then the nearest thing that is seen is a shirt, or hair. A neck is
bare down to its base unless cloth is seen higher up; ears are bare if those places around them that are seen are.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.body.remembered import once_per_model
from liquidwarp.flow.colours.complexion import like_face
from liquidwarp.flow.mesh.surface import rest_coordinates, vertices_of
from liquidwarp.flow.unseen.rings import Unrolled
from liquidwarp.flow.unseen.tubes import complete_rings, tube_of

__all__ = ["bare_around"]

_HEAD, _FACE, _TORSO = (PARTS.index(part) for part in ("head", "face", "torso"))
_LIGHT, _SURELY = 0.6, 0.35
"""Skin of a head differs from most of the face's in light by less than this [logarithm]: else it is a beard; and what
lends its colour by less than that."""
_FEW, _SOME = 200, 20
"""With fewer places nobody knows; fewer than the second at one height do not count."""
_EAR = 0.25
"""Ears begin at the middle of the face and end so far above, as a share of the way to the crown."""
_BARE = 0.42
"""Of bare ears so much looks like the face at least; of those below hair less did in all photos looked at."""
_JAW, _TELLING, _BARE_JAW = (0.75, 0.1, 0.3), 100, 0.47
"""The same from the ears' middle down: farther aside than the first share, from the second above the middle of the
face to the third below; how many places there tell, and how many of them look like the face where hair is short."""
_SHADE = 0.9
"""Skin around a neck is no darker than so much of what is seen of the head's."""
_ASIDE = 0.5
"""What is seen beside the middle by more than this share of the head's half width tells of ears."""
_STRIP = 30.0
"""How far from the border of what is seen it is copied [degrees]."""
_WIDER = 1.35
"""A neck ends where the trunk is wider than its narrowest place by this factor."""
_ASKED, _ALIKE, _SHARE = 200, 0.15, 0.4
"""Of a shirt about so many colours are asked; those are alike that differ by less [RGB, 0..1], and what is alike to at
least this share of as many as the most usual one is cloth."""
_BAND = 0.006
"""Heights that are asked whether cloth is seen there; in rest coordinates."""


def bare_around(model: BodyModel, texture: Unrolled, made_up: Float[Tensor, "P 3"]) -> Float[Tensor, "P 3"]:
    """Made-up colours with skin on the hidden sides of face and neck.

    Args:
        model: The body.
        texture: What the photos show.
        made_up: Colours of all places, of use where they are hidden.

    Returns:
        The same where there is a collar, and of heads with long hair or of which too little is seen.
    """
    face = texture.colours[texture.seen & (texture.part == _FACE)]
    base, level, crown, wide = _measures(model)
    if len(face) < _FEW or not np.isfinite(base):
        return made_up
    height, aside = texture.place[:, 1], texture.place[:, 0].abs() / wide
    skin, head = _skin(texture.colours, face), (texture.part == _HEAD) | (texture.part == _FACE)
    lower, free = (height - level) / (level - crown), texture.seen & ~texture.crossed & head
    ears = free & (aside > _ASIDE) & (lower < 0) & (lower > -_EAR)
    jaw = free & (aside > _JAW[0]) & (lower > -_JAW[1]) & (lower < _JAW[2])
    lender = texture.lends & ~texture.crossed & head & _skin(texture.colours, face, _SURELY)
    if int(ears.sum()) < _FEW or int(lender.sum()) < _FEW or float(skin[ears].float().mean()) < _BARE:
        return made_up
    if int(jaw.sum()) >= _TELLING and float(skin[jaw].float().mean()) < _BARE_JAW:
        return made_up
    neck = (head | (texture.part == _TORSO)) & (height < base)
    shirt = texture.colours[texture.lends & (texture.part == _TORSO) & (height > base)]
    seen = texture.seen & neck & (height > level)
    lowest = min(base, _collar(height[seen], ~skin[seen] & _worn(texture.colours[seen], shirt)))
    hidden = neck & (texture.part != _FACE) & (height < lowest) & (~texture.seen | texture.crossed)
    if not bool(hidden.any()):
        return made_up
    vertices = rest_coordinates(model)[vertices_of(model, "head", "face")]
    tube = tube_of(vertices.cpu().numpy().astype(np.float64), upright=True)
    cells = [tube.cells(texture.place[some].cpu().numpy()) for some in (lender, hidden, head | neck)]
    around = complete_rings(cells[0], texture.colours[lender].cpu().numpy(), cells[1], cells[2], _STRIP, folds=0.0)
    if around is None:
        return made_up
    share = (lower / _EAR + 1).clamp(0, 1)[hidden, None]
    filled = torch.as_tensor(around).to(made_up)
    darker = _SHADE * texture.colours[lender].sum(1).median() / filled.sum(1).median().clamp(min=1e-3)
    result = made_up.clone()
    result[hidden] = torch.lerp(made_up[hidden], (filled * darker.clamp(min=1)).clamp(0, 1), share)
    return result


def _skin(colours: Float[Tensor, "P 3"], face: Float[Tensor, "K 3"], light: float = _LIGHT) -> Bool[Tensor, "P"]:
    """Of a face's hue and about as light."""
    shown, own = (some.sum(1).clamp(min=0.02).log() for some in (colours, face))
    return like_face(colours, face) & ((shown - own.median()).abs() < light)


def _worn(colours: Float[Tensor, "N 3"], shirt: Float[Tensor, "K 3"]) -> Bool[Tensor, "N"]:
    """Colours that a good deal of the shirt has, too: a beard is none."""
    some = shirt[:: max(1, len(shirt) // _ASKED)]
    if len(some) == 0:
        return torch.zeros(len(colours), dtype=torch.bool, device=colours.device)
    usual = (torch.cdist(some, some) < _ALIKE).float().mean(1).amax()
    return (torch.cdist(colours, some) < _ALIKE).float().mean(1) > _SHARE * usual


def _collar(height: Float[Tensor, "N"], cloth: Bool[Tensor, "N"]) -> float:
    """Down to which height no cloth is seen; y is down."""
    band = (height / _BAND).floor()
    highest = np.inf
    for one in band.unique().tolist():
        here = cloth[band == one]
        if len(here) >= _SOME and float(here.float().mean()) > 0.5:
            highest = min(highest, one * _BAND)
    return highest


@once_per_model
def _measures(model: BodyModel) -> tuple[float, float, float, float]:
    """Heights of the neck's base, of the middle of the face and of the crown, and half of the head's width."""
    rest = rest_coordinates(model)
    face, head = (rest[vertices_of(model, *parts)] for parts in (("face",), ("head", "face")))
    torso = rest[vertices_of(model, "torso")]
    if min(len(face), len(head), len(torso)) == 0:
        return np.inf, 0.0, 0.0, 1.0
    below = head[head[:, 1] > face[:, 1].amax()]
    narrow = float(below[:, 0].abs().amax()) if len(below) else np.inf
    wide = torso[torso[:, 0].abs() > _WIDER * narrow]
    base = float(wide[:, 1].amin()) if len(wide) else np.inf
    return base, float(face[:, 1].mean()), float(head[:, 1].amin()), float(head[:, 0].abs().amax())
