"""The back of a head that no photo shows: the hair beside and above the face goes on around it, down to the nape.

A skull is a tube as a trunk is (:mod:`liquidwarp.flow.unseen.tubes`): at its own height a hidden place takes the
colours of the hair that is seen nearest around the head, and where none is seen at its height, of that above. What
lends must look like hair: unlike the face, and like what the top of the head's back was filled with. Most of its
strands are drawn anew (:mod:`liquidwarp.flow.unseen.strands`).
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.colours.complexion import unlike_face
from liquidwarp.flow.mesh.surface import rest_coordinates, vertices_of
from liquidwarp.flow.mesh.unwrap import UnwrappedBody
from liquidwarp.flow.unseen.rings import Unrolled
from liquidwarp.flow.unseen.strands import combed, strands
from liquidwarp.flow.unseen.tubes import complete_rings, tube_of

__all__ = ["full_hair", "hair_around", "on_scalp"]

_HEAD, _FACE = PARTS.index("head"), PARTS.index("face")
_STRIP = 60.0
"""How far from the border of what is seen hair is copied [degrees]."""
_STRANDS = 0.3
"""How much of its strands is kept, mirrored: from a narrow strip more would be a weave."""
_FALL, _BRIGHT = 0.25, 0.2
"""How much darker hair becomes from the middle of the skull down to the nape and lighter up to the crown [logarithm]: a
place looks as it was seen there, if it is turned up by this."""
_LIKE, _DARKEST = 0.6, 0.06
"""Hair differs from the usual of its head by less than this in red, green and blue [logarithm]; the least light."""
_SHADY = 0.35
"""Hidden hair is no lighter than this quantile of the seen hair: it is turned away from the light in the photo."""
_DARKER = 0.55
"""For that it is made darker by this factor at most."""
_HUE = 0.08
"""Hair's shares of red, green and blue differ by less [Euclidean]."""
_LONG = 0.5
"""Hair goes on below the nape if more than this share of what was filled there looks like it."""
_ENOUGH = 200
"""With fewer places of hair a head may be bald."""
_INNER = 5
"""Width of a window that must be hair all over [px of the texture]: strands before a forehead lend nothing."""
_HAIRLINE, _EARS = 0.7, (0.25, 0.65)
"""The hairline, the tops of the ears, and their backs: shares of the height from the middle of the face to the crown,
and of the depth from the nose to the back of the head."""
_ROUND, _EDGE = 0.04, 0.08
"""How round the hairline's corners are, and over which share of the head hair thins out at it."""
_SOFT, _UNEVEN = 0.03, 0.2
"""How far above its lower end hair thins out, in rest coordinates; and by how much of that some locks are longer."""


def hair_around(
    model: BodyModel, texture: Unrolled, flat: UnwrappedBody, made_up: Float[Tensor, "P 3"]
) -> Float[Tensor, "P 3"]:
    """Made-up colours in which hidden places of the scalp have hair.

    Args:
        model: The body.
        texture: What the photos show.
        flat: Where the texture's places are.
        made_up: Colours of all places, of use where they are hidden.

    Returns:
        The same outside of the scalp, and where no hair is seen.
    """
    rest = rest_coordinates(model)
    face = rest[model.vertex_part == _FACE]
    if len(face) == 0:
        return made_up
    level, nape = _levels(face)
    height = flat.place[:, 1]
    on_head = (texture.part == _HEAD) & (height < nape)
    beyond, locks = _beyond(model, flat.place), strands(model, flat.size).to(made_up)[:, :2].mean(1).clamp(-2, 2)
    edge = torch.minimum(beyond / _EDGE, (nape - height) / _SOFT)
    edge = ((edge + _UNEVEN * locks) * (edge > 0)).clamp(0, 1) * on_head
    unseen = ~texture.seen | texture.crossed
    hidden, top = (edge > 0) & unseen, on_head & unseen & (height < level) & (beyond > 0)
    shown_face = texture.colours[texture.seen & (texture.part == _FACE)]
    if not bool(top.any()):
        return made_up
    free = on_head & texture.lends & ~texture.crossed
    unlike, shown = unlike_face(texture.colours, shown_face), free & (beyond > 0)
    usual = _usual(texture.colours[shown & unlike], made_up[top].median(0).values)
    hair = unlike & _alike(texture.colours, usual)
    lender = _inner(free & hair, flat)
    if int(lender.sum()) < _ENOUGH or not bool(hidden.any()):
        return made_up
    skull = _skull(model)
    tube = tube_of(skull[skull[:, 1] < nape].cpu().numpy().astype(np.float64), upright=True)
    shown_at, wanted, surface = (tube.cells(flat.place[some].cpu().numpy()) for some in (lender, hidden, on_head))
    around = complete_rings(shown_at, texture.colours[lender].cpu().numpy(), wanted, surface, _STRIP, _STRANDS)
    if around is None:
        return made_up
    shown &= unlike & _of_hue(texture.colours, usual)
    filled = torch.as_tensor(around).to(made_up)
    seen_hair = shown if int(shown.sum()) >= _ENOUGH else lender
    filled = filled * _darker(texture.colours[seen_hair], filled)
    look = combed(model, flat, texture.colours, shown | lender) * _light(skull, flat.place)
    filled = (filled * look[hidden]).clamp(0, 1)
    result = made_up.clone()
    result[hidden] = torch.lerp(made_up[hidden], filled, edge[hidden, None])
    below = unseen & (texture.part == _HEAD) & (height >= nape) & (beyond > 0)
    longer = below & _alike(made_up, usual) & unlike_face(made_up, shown_face)
    if int(longer.sum()) > _LONG * int(below.sum()):
        result[longer] = (made_up * look)[longer].clamp(0, 1)
    return result


def on_scalp(model: BodyModel, place: Float[Tensor, "*B 3"]) -> Bool[Tensor, "*B"]:
    """Where a head usually has hair: above the forehead, above the ears and behind them.

    Args:
        model: The body.
        place: Rest coordinates of points of the head.
    """
    return _beyond(model, place) > 0


def full_hair(model: BodyModel, place: Float[Tensor, "*B 3"]) -> Bool[Tensor, "*B"]:
    """The same without what is little above the nape, where hair thins out.

    Args:
        model: The body.
        place: Rest coordinates of points of the head.
    """
    face = rest_coordinates(model)[model.vertex_part == _FACE]
    return on_scalp(model, place) & (place[..., 1] < (_levels(face)[1] - _SOFT if len(face) else -torch.inf))


def _levels(face: Float[Tensor, "V 3"]) -> tuple[Tensor, Tensor]:
    """Heights of the middle of the face and of the nape, which is as high as the mouth."""
    level = face[:, 1].mean()
    return level, level + 0.5 * (face[:, 1].amax() - level)


def _beyond(model: BodyModel, place: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B"]:
    """How far beyond the hairline places of the head are, as a share of its size; below 0 they have no hair.

    Corners of the hairline are round.
    """
    rest = rest_coordinates(model)
    face = rest[model.vertex_part == _FACE]
    if len(face) == 0:
        return torch.full_like(place[..., 0], -1)
    skull = _skull(model)
    front, back, crown, level = skull[:, 2].amin(), skull[:, 2].amax(), skull[:, 1].amin(), face[:, 1].mean()
    backwards, upwards = (place[..., 2] - front) / (back - front), (level - place[..., 1]) / (level - crown)
    above = -torch.logaddexp((_EARS[0] - upwards) / _ROUND, (0.5 - backwards) / _ROUND)
    ways = torch.stack([(upwards - _HAIRLINE) / _ROUND, above, (backwards - _EARS[1]) / _ROUND])
    return ways.logsumexp(0) * _ROUND


def _usual(shown: Float[Tensor, "K 3"], top: Float[Tensor, "3"]) -> Float[Tensor, "3"]:
    """What hair looks like: what the head's top was filled with, or the most usual of what is shown in that hue.

    The top is filled from the hairline, where hair is mixed with the forehead: the darker of both is hair. What is
    shown and lighter may be a hat.
    """
    own = shown[_of_hue(shown, top)]
    usual = own.median(0).values if len(own) >= _ENOUGH else top
    return usual if usual.sum() < top.sum() else top


def _light(skull: Float[Tensor, "V 3"], place: Float[Tensor, "P 3"]) -> Float[Tensor, "P 1"]:
    """How much light comes from above to places of the skull."""
    middle = (skull.amin(0) + skull.amax(0)) / 2
    upwards = -F.normalize(place - middle, dim=1)[:, 1:2]
    return (_FALL * (upwards - _BRIGHT)).exp()


def _skull(model: BodyModel) -> Float[Tensor, "V 3"]:
    return rest_coordinates(model)[vertices_of(model, "head", "face")]


def _alike(colours: Float[Tensor, "P 3"], usual: Float[Tensor, "3"]) -> Bool[Tensor, "P"]:
    return (colours.clamp(min=_DARKEST).log() - usual.clamp(min=_DARKEST).log()).abs().amax(1) < _LIKE


def _darker(shown: Float[Tensor, "K 3"], filled: Float[Tensor, "N 3"]) -> float:
    """The factor by which filled hair is as light as the darker part of what is shown; 1 where it is so already."""
    wanted, own = shown.sum(1).quantile(_SHADY), filled.sum(1).median().clamp(min=_DARKEST)
    return float((wanted / own).clamp(_DARKER, 1))


def _of_hue(colours: Float[Tensor, "P 3"], usual: Float[Tensor, "3"]) -> Bool[Tensor, "P"]:
    """In whatever light."""
    light, own = colours.sum(1, keepdim=True).clamp(min=_DARKEST), usual.sum().clamp(min=_DARKEST)
    return (colours / light - usual / own).norm(dim=1) < _HUE


def _inner(chosen: Bool[Tensor, "P"], flat: UnwrappedBody) -> Bool[Tensor, "P"]:
    """Places around which all others of the texture are chosen too."""
    others = 1 - flat.spread(chosen[:, None].float())
    return flat.take(F.max_pool2d(others, _INNER, 1, _INNER // 2))[:, 0] < 0.5
