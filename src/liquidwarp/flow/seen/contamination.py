"""Colours that landed on the wrong part, where the fitted body is a few pixels off.

Beside another limb, before or behind it, and at the silhouette a surface point may show the colour of what is next
to it in the photo. Such a point is found by its colour: nothing of its own part nearby is like it, but something of
its neighbour in the picture is. It then counts as not seen, so that other photos or the made-up texture fill it.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS, mirrored
from liquidwarp.flow.mesh.extension import smooth_on_mesh
from liquidwarp.flow.mesh.surface import rest_coordinates

__all__ = ["away_from", "minority", "own_colours", "skin_of_an_arm"]

_FAR = 0.12
"""Distance from every colour of the own part nearby at which a colour is suspicious [RGB, 0..1]."""
_NEARER = 0.6
"""A colour is another's if it is nearer to it than this share of the distance to its own part's."""
_NEIGHBOURS = 40
_LIKE = 3
"""So many of the neighbours must have a colour: single ones may be wrong themselves."""
_FEW = 40
_REACH, _REACH_OF_HAND = 120 / 512, 28 / 512
"""How far away in the picture the other part may be, relative to its height: all of an arm is bare or covered."""
_HEIGHT_WEIGHT = 4.0
"""Own colours are those at the same height rather than those beside: clothes have hems."""
_TESTED = tuple(part for part in PARTS if part not in ("head", "face"))
"""Hair beside a face is as far from its colour as anything else, and hangs down on the chest."""
_SKIN = 0.05
"""Skin's shares of red, green and blue differ less than this [Euclidean]."""
_GLARE, _PALEST, _ON_LINE = 1.2, 0.75, 0.03
"""In glaring light, brighter than most of the face by the first factor, skin pales: its shares go up to this part of
the way to white, and leave the straight way by no more than the last [Euclidean]."""
_RUDDY = 0.06
"""A face shows skin where its share of red is greater than that of blue by this; else it is masked, or unknown."""
_BAND = 0.03
"""Half the height of a band of the torso in which the more common look is the torso's own, in rest coordinates."""
_REACH_OF_ARM = 48 / 512
"""How near a forearm must be in the picture, so that skin on the torso may be its, relative to the height."""
_JOINED = (
    ("torso", "left_upper_leg", "right_upper_leg"),
    *(
        (f"{side}_{upper}", f"{side}_{lower}")
        for side in ("left", "right")
        for upper, lower in (
            ("upper_leg", "lower_leg"),
            ("lower_leg", "foot"),
            ("upper_arm", "lower_arm"),
            ("lower_arm", "hand"),
        )
    ),
)
"""Parts that share clothes: a coat goes on over the thighs, a sock begins in the shoe."""


def own_colours(
    model: BodyModel,
    pixels: Float[Tensor, "V 2"],
    colours: Float[Tensor, "V 3"],
    behind: Float[Tensor, "V 3"],
    seen: Bool[Tensor, "V"],
    sure: Bool[Tensor, "V"],
    inside: Bool[Tensor, "V"],
    height: int,
) -> Float[Tensor, "V"]:
    """1 where a vertex of one photo shows its own colour, 0 where it shows another part's or the background's.

    Args:
        model: The body.
        pixels: Where the vertices are in the photo [px].
        colours: What the photo shows there.
        behind: The background's colour nearest to there.
        seen: Vertices that the photo shows by the fitted body.
        sure: Those of them that are clear of other parts and of the silhouette.
        inside: Vertices that are so far inside of the matte that they cannot show the background.
        height: Of the photo [px].
    """
    place = (rest_coordinates(model) * colours.new_tensor([1.0, _HEIGHT_WEIGHT, 1.0])).cpu().numpy()
    position, shown, back = pixels.cpu().numpy(), colours.cpu().numpy(), behind.cpu().numpy()
    known, doubtful = sure.cpu().numpy(), (seen & ~sure).cpu().numpy()
    at_edge = ~inside.cpu().numpy()
    part = model.vertex_part.cpu().numpy()
    wrong = np.zeros(len(part), bool)
    skin = _like_skin(part, shown, known)
    for name in _TESTED:
        asked = np.flatnonzero((part == PARTS.index(name)) & doubtful)
        joined = {name}.union(*(group for group in _JOINED if name in group))
        lender = known & np.isin(part, [PARTS.index(p) for p in joined])
        if int((lender & (part == PARTS.index(name))).sum()) < _FEW or len(asked) == 0:
            continue
        from_own = _unlike(place[lender], shown[lender], place[asked], shown[asked])
        from_back = np.linalg.norm(shown[asked] - back[asked], axis=1)
        from_other = np.where(at_edge[asked], from_back, np.inf)
        for other in set(_TESTED) - joined - {mirrored(name)}:  # both shoes have the same soles
            beside = known & (part == PARTS.index(other))
            if name == "torso":  # a sleeve in the colour of the coat does not tell
                beside &= skin
            if int(beside.sum()) >= _FEW:
                reach = height * (_REACH_OF_HAND if other.endswith("hand") else _REACH)
                like = _unlike(position[beside], shown[beside], position[asked], shown[asked], reach)
                from_other = np.fmin(from_other, like)
        wrong[asked] = (from_own > _FAR) & (from_other < _NEARER * from_own)
    return away_from(model, torch.as_tensor(wrong, device=colours.device)).to(colours.dtype)


def away_from(model: BodyModel, wrong: Bool[Tensor, "V"]) -> Float[Tensor, "V"]:
    """0 on these vertices, less than 1 on their neighbours, else 1: a torn edge would show single vertices again."""
    rejected = wrong.to(torch.float32)
    around = smooth_on_mesh(rejected[None, :, None], model.faces, 2)[0, :, 0]
    return (1 - torch.maximum(rejected, 3 * around)).clamp(0, 1)


def skin_of_an_arm(
    model: BodyModel,
    pixels: Float[Tensor, "V 2"],
    colours: Float[Tensor, "V 3"],
    seen: Bool[Tensor, "V"],
    sure: Bool[Tensor, "V"],
    height: int,
) -> Bool[Tensor, "V"]:
    """Torso vertices that may show the arm of a poor fit: skin near a forearm, where the torso is mostly not skin.

    Args:
        model: The body.
        pixels: Where the vertices are in the photo [px].
        colours: What the photo shows there.
        seen: Vertices that the photo shows by the fitted body.
        sure: Those of them that seem to show their own colours.
        height: Of the photo [px].
    """
    part = model.vertex_part.cpu().numpy()
    torso = seen.cpu().numpy() & (part == PARTS.index("torso"))
    forearm = [PARTS.index(f"{side}_{name}") for side in ("left", "right") for name in ("lower_arm", "hand")]
    arm = np.isin(part, forearm)
    result = np.zeros(len(part), bool)
    if int(torso.sum()) < _FEW or not arm.any():
        return torch.as_tensor(result, device=colours.device)
    skin = _like_skin(part, colours.cpu().numpy(), sure.cpu().numpy())
    level = rest_coordinates(model)[:, 1].cpu().numpy()
    position = pixels.cpu().numpy()
    distance, _ = cKDTree(position[arm]).query(position[torso])
    result[torso] = minority(level[torso], skin[torso]) & (distance < _REACH_OF_ARM * height)
    return torch.as_tensor(result, device=colours.device)


def minority(level: Float[np.ndarray, "N"], chosen: Bool[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
    """Those of the chosen places that are fewer than the others at their height.

    Args:
        level: Height of each place, in rest coordinates.
        chosen: Which are meant.
    """
    order = np.argsort(level)
    ranked = level[order]
    count = np.concatenate([[0], np.cumsum(chosen[order])])
    low, high = np.searchsorted(ranked, level - _BAND), np.searchsorted(ranked, level + _BAND, side="right")
    return np.asarray(chosen & (count[high] - count[low] < 0.5 * (high - low)))


def _like_skin(
    part: Int[np.ndarray, "V"], shown: Float[np.ndarray, "V 3"], known: Bool[np.ndarray, "V"]
) -> Bool[np.ndarray, "V"]:
    """Vertices in the hue of the face or of the hands, or paler in glaring light; all if neither is seen."""
    hue = shown / shown.sum(1, keepdims=True).clip(1e-3)
    skin = np.zeros_like(known)
    for names in (("face",), ("left_hand", "right_hand")):
        bare = known & np.isin(part, [PARTS.index(name) for name in names])
        if int(bare.sum()) >= _FEW:
            own = np.median(hue[bare], axis=0)
            skin |= np.linalg.norm(hue - own, axis=1) < _SKIN
            if own[0] - own[2] < _RUDDY:
                continue
            glaring = shown.sum(1) > _GLARE * np.median(shown[bare].sum(1))
            paler = (hue - own) @ (1 / 3 - own) / max(float(((1 / 3 - own) ** 2).sum()), 1e-6)
            on_the_way = own + paler.clip(0, _PALEST)[:, None] * (1 / 3 - own)
            skin |= glaring & (np.linalg.norm(hue - on_the_way, axis=1) < _ON_LINE)
    return skin if skin.any() else np.ones_like(known)


def _unlike(
    places: Float[np.ndarray, "K D"],
    colours: Float[np.ndarray, "K 3"],
    wanted: Float[np.ndarray, "N D"],
    shown: Float[np.ndarray, "N 3"],
    reach: float = np.inf,
) -> Float[np.ndarray, "N"]:
    """How far what is shown is from the most similar colours of the nearest places; inf where none is in reach."""
    distance, index = cKDTree(places).query(wanted, _NEIGHBOURS)
    apart = np.linalg.norm(colours[index] - shown[:, None], axis=2)
    apart[distance > reach] = np.inf
    return np.asarray(np.partition(apart, _LIKE - 1, axis=1)[:, _LIKE - 1])
