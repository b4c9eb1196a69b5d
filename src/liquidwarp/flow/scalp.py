"""The back of a head that no photo shows: the hair beside and above the face goes on around it, down to the nape.

A skull is a tube as a trunk is (:mod:`liquidwarp.flow.tubes`): at its own height a hidden place takes the colours and
the strands of the hair that is seen nearest around the head, and where none is seen at its height, of that above. What
lends must look like hair: unlike the face, and like what the top of the head's back was filled with.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.complexion import unlike_face
from liquidwarp.flow.rings import Unrolled
from liquidwarp.flow.surface import rest_coordinates
from liquidwarp.flow.tubes import complete_rings, tube_of
from liquidwarp.flow.unwrap import UnwrappedBody

__all__ = ["hair_around", "on_scalp"]

_HEAD, _FACE = PARTS.index("head"), PARTS.index("face")
_STRIP = 60.0
"""How far from the border of what is seen its strands are copied [degrees]."""
_STRANDS = 0.3
"""How much of them is kept: from a narrow strip they would be a weave."""
_LIKE, _DARKEST = 0.6, 0.06
"""Hair differs from the usual of its head by less than this in red, green and blue [logarithm]; the least light."""
_SHADY = 0.35
"""Hidden hair is no lighter than this quantile of the seen hair: it is turned away from the light in the photo."""
_DARKER = 0.55
"""For that it is made darker by this factor at most."""
_HUE = 0.08
"""Hair's shares of red, green and blue differ by less [Euclidean]."""
_ENOUGH = 200
"""With fewer places of hair a head may be bald."""
_INNER = 5
"""Width of a window that must be hair all over [px of the texture]: strands before a forehead lend nothing."""
_HAIRLINE, _EARS = 0.7, (0.25, 0.65)
"""The hairline, the tops of the ears, and their backs: shares of the height from the middle of the face to the crown,
and of the depth from the nose to the back of the head."""
_SOFT = 0.03
"""How far above its lower end hair thins out, in rest coordinates."""


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
    level = face[:, 1].mean()
    nape = level + 0.5 * (face[:, 1].amax() - level)
    on_head, height = (texture.part == _HEAD) & (flat.place[:, 1] < nape), flat.place[:, 1]
    scalp = on_head & on_scalp(model, flat.place)
    unseen = ~texture.seen | texture.crossed
    hidden, top = scalp & unseen, on_head & unseen & (height < level)
    shown_face = texture.colours[texture.seen & (texture.part == _FACE)]
    if not bool(top.any()):
        return made_up
    hair = unlike_face(texture.colours, shown_face) & _alike(texture.colours, made_up[top].median(0).values)
    lender = _inner(on_head & texture.lends & ~texture.crossed & hair, flat)
    if int(lender.sum()) < _ENOUGH or not bool(hidden.any()):
        return made_up
    skull = _skull(model)
    tube = tube_of(skull[skull[:, 1] < nape].cpu().numpy().astype(np.float64), upright=True)
    cells = [tube.cells(flat.place[some].cpu().numpy()) for some in (lender, hidden)]
    around = complete_rings(cells[0], texture.colours[lender].cpu().numpy(), cells[1], _STRIP, _STRANDS)
    if around is None:
        return made_up
    shown = texture.lends & ~texture.crossed & on_head & on_scalp(model, flat.place)
    shown &= unlike_face(texture.colours, shown_face) & _of_hue(texture.colours, made_up[top].median(0).values)
    filled = torch.as_tensor(around).to(made_up)
    filled = filled * _darker(texture.colours[shown if int(shown.sum()) >= _ENOUGH else lender], filled)
    share = ((nape - height[hidden]) / _SOFT).clamp(0, 1)[:, None]
    result = made_up.clone()
    result[hidden] = torch.lerp(made_up[hidden], filled, share)
    return result


def on_scalp(model: BodyModel, place: Float[Tensor, "*B 3"]) -> Bool[Tensor, "*B"]:
    """Where a head usually has hair: above the forehead, above the ears and behind them.

    Args:
        model: The body.
        place: Rest coordinates of points of the head.
    """
    rest = rest_coordinates(model)
    face = rest[model.vertex_part == _FACE]
    if len(face) == 0:
        return torch.zeros_like(place[..., 0], dtype=torch.bool)
    skull = _skull(model)
    front, back, crown, level = skull[:, 2].amin(), skull[:, 2].amax(), skull[:, 1].amin(), face[:, 1].mean()
    backwards, upwards = (place[..., 2] - front) / (back - front), (level - place[..., 1]) / (level - crown)
    return (upwards > _HAIRLINE) | ((upwards > _EARS[0]) & (backwards > 0.5)) | (backwards > _EARS[1])


def _skull(model: BodyModel) -> Float[Tensor, "V 3"]:
    head = torch.tensor([_HEAD, _FACE], device=model.vertex_part.device)
    return rest_coordinates(model)[torch.isin(model.vertex_part, head)]


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
