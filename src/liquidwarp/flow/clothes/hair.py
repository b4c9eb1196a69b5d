"""Long hair over shoulders and arms: it belongs to the head, not to the arm on which it lies.

Hair is known by its colour beside the face. What is connected with it and more like it than like the face, the arms
and the clothes is hair too. Where clothes have the colour of the hair, nothing is called hair.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float

from liquidwarp.flow.mesh.surroundings import Surroundings

__all__ = ["Hair", "find_hair"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_SEED_AREA = 0.002
"""Less hair beside the face is not long [m2]."""
_EYES, _MOUTH = 0.45, 0.85
"""Where eyes and mouth are between the top of the face and the chin: collars begin below, hats above."""
_FROM_SKIN = 12.0
"""Hair is at least so far from the face's colours [CIELAB]."""
_FROM_CLOTHES = 14.0
"""Where skin or clothes are nearer than this to the hair's colours the two cannot be told apart [CIELAB]."""
_LIKE = 30.0
"""What is farther from the hair's colours is no hair [CIELAB]."""
_RATIO = 0.9
"""Hair is this much nearer to the hair's colours than to all others."""
_ROUNDS = 3
_SHADED = 0.7
"""A face's colours darker than this share of its brightest are eyes, lips and shadows."""
_ASIDE, _BELOW = 0.30, 0.55
"""How far from the face hair falls, sideways and below the chin [m]."""
_CHEST, _SIDES = (0.08, 0.30), (0.20, 0.40)
"""Where hair seldom covers the middle of the chest, and where it mostly ends at the sides: below the chin [m]."""
_THIRD = 1 / 3
_MOSTLY = 0.5
"""Where more than this share of the middle of the chest has the hair's colours they are the clothes'."""
_FOLDS = (1.0, 0.7, 0.45)
"""Light on cloth and in its folds."""
_BESIDE = 0.12
"""So near to hair an arm shows its own colours or nothing [m]."""
_THIN, _GAP = 0.012, 0.02
"""Strips thinner than this are rims of something else; gaps narrower than this are closed [m]."""
_CLUSTERS, _RARE = 3, 0.12
"""Colours per thing, and the share below which one does not count."""
_SOLID = 0.9
_FEW = 40
_NONE: FloatArray = np.zeros((0, 3), np.float32)


@dataclass(frozen=True)
class Hair:
    """Long hair in one photo."""

    mask: Bool[np.ndarray, "H W"]
    """From the level of the eyes downwards; on the trunk clothes of its colour may belong to it."""
    beside: Bool[np.ndarray, "H W"]
    """Where an arm next to it shows neither hair nor its own colours, as the fit is not exact."""


@dataclass(frozen=True)
class _Face:
    """Where a face is in the photo."""

    eyes: int
    """Row [px]."""
    mouth: int
    chin: int
    middle: float
    """Column [px]."""
    width: int
    inner: BoolArray
    """The middle of it, which no hair frames."""
    beside: BoolArray
    """The person beside it, from the eyes to the mouth."""


@dataclass(frozen=True)
class _Rival:
    """What hair may be mixed up with in one place."""

    place: BoolArray
    colours: FloatArray
    told: bool
    """Whether hair can be told from it."""


def find_hair(image: Float[np.ndarray, "H W 3"], around: Surroundings) -> Hair:
    """Where long hair is, beside the face and on what lies below it.

    Args:
        image: The photo, RGB in [0, 1].
        around: Its body and matte.

    Returns:
        The hair; empty if there is no long hair that can be told from the rest.
    """
    nothing = Hair(*np.zeros((2, *around.matte.shape), bool))
    solid = cv2.erode((around.matte > _SOLID).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    face = _face(around, solid)
    if face is None:
        return nothing
    soft = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.7)
    lab: FloatArray = np.asarray(cv2.cvtColor(soft, cv2.COLOR_RGB2Lab), np.float32)
    rows, columns = np.mgrid[0 : solid.shape[0], 0 : solid.shape[1]]
    skin = _colours(lab[face.inner & (rows > face.eyes)])
    skin = skin[skin[:, 0] > _SHADED * skin[:, 0].max()] if len(skin) else skin
    colours = _colours(lab[face.beside])
    colours = colours[_distance(colours, skin) > _FROM_SKIN]
    if len(skin) == 0 or len(colours) == 0:
        return nothing
    seeds = face.beside & (_distance(lab, colours) < _RATIO * _distance(lab, skin))
    if seeds.sum() < _SEED_AREA * around.scale**2:
        return nothing
    near = (np.abs(columns - face.middle) < _ASIDE * around.scale) & (rows > face.eyes)
    near &= solid & ~face.inner & (rows < face.chin + _BELOW * around.scale)
    rivals = _rivals(lab, around, solid, face, colours, skin)
    untold = np.any([rival.place & (not rival.told) for rival in rivals], 0)
    hair, first = seeds, colours
    for _ in range(_ROUNDS):
        # Hair is lighter at its ends: what was found tells of the rest.
        own = _distance(lab, colours)
        like = near & (own < np.minimum(_LIKE, _RATIO * _distance(lab, skin)))
        for rival in rivals:
            like &= ~rival.place | (own < _RATIO * _distance(lab, rival.colours))
        hair = _connected(like & ~untold, seeds, around.scale) & ~untold
        more, others = _colours(lab[hair]), np.concatenate([skin, *(rival.colours for rival in rivals)])
        colours = np.concatenate([first, more[_distance(more, others) > _FROM_CLOTHES]])
    beside = (around.distance == 0) & _grown(hair, _BESIDE * around.scale) & ~hair
    strange = [arm.place & (_distance(lab, arm.colours) > _FROM_CLOTHES) for arm in rivals[1:] if arm.told]
    return Hair(hair, beside & np.any([np.zeros_like(hair), *strange], 0))


def _grown(mask: BoolArray, pixels: float) -> BoolArray:
    size = 2 * max(1, round(pixels)) + 1
    grown: BoolArray = cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    return grown


def _face(around: Surroundings, solid: BoolArray) -> _Face | None:
    """None where too little of one is seen."""
    face = around.on("face") & (around.distance == 0)
    rows, columns = np.nonzero(face)
    if len(rows) < _FEW:
        return None
    top, chin, middle = int(rows.min()), int(rows.max()), float(np.median(columns))
    eyes, mouth = (round(top + part * (chin - top)) for part in (_EYES, _MOUTH))
    row, column = np.mgrid[0 : face.shape[0], 0 : face.shape[1]]
    width = int(np.ptp(columns))
    beside = solid & around.on("head", "face") & ~(face & (np.abs(column - middle) < 0.4 * width))
    beside &= (row > eyes) & (row < mouth)
    return _Face(eyes, mouth, chin, middle, width, face & (np.abs(column - middle) < 0.25 * width), beside)


def _rivals(
    lab: FloatArray,
    around: Surroundings,
    solid: BoolArray,
    face: _Face,
    hair: FloatArray,
    skin: FloatArray,
) -> tuple[_Rival, ...]:
    """The clothes of the trunk, and what each arm shows.

    Clothes of the hair's colour on the trunk do no harm, as both hang on it; sleeves of them cannot be told from hair.
    """
    row, column = np.mgrid[0 : solid.shape[0], 0 : solid.shape[1]]
    below = (row - face.chin) / around.scale
    torso = around.on("torso")
    cloth = solid & torso & (around.distance == 0)
    like = _distance(lab, hair) < np.minimum(_LIKE, _RATIO * _distance(lab, skin))
    chest = cloth & (below > _CHEST[0]) & (below < _CHEST[1])
    sides = cloth & (below > _SIDES[0]) & (below < _SIDES[1])
    left, right = np.quantile(np.nonzero(chest)[1], (_THIRD, 1 - _THIRD)) if chest.any() else (0, 0)
    middle = chest & (column > left) & (column < right)
    dark = bool(middle.any() and like[middle].mean() > _MOSTLY)
    rivals = [_Rival(torso, _apart(lab[cloth & ~like], hair), True)]
    for side in ("left", "right"):
        parts = tuple(f"{side}_{part}_arm" for part in ("upper", "lower"))
        place = around.on(*parts)
        arm = _colours(lab[solid & (around.distance == 0) & around.on(parts[1], f"{side}_hand")])
        beyond = sides & ((column < left) if _is_left(place, left, right) else (column > right))
        sleeve = dark and beyond.any() and like[beyond].mean() > _MOSTLY
        same = len(arm) == 0 or bool((_distance(arm, hair) < _FROM_CLOTHES).any())
        rivals.append(_Rival(place, arm, not (sleeve or same)))
    return tuple(rivals)


def _is_left(place: BoolArray, left: float, right: float) -> bool:
    """Whether an arm hangs at the left side of the picture."""
    columns = np.nonzero(place)[1]
    return bool(len(columns) and np.median(columns) < (left + right) / 2)


def _apart(sample: Float[np.ndarray, "N 3"], hair: FloatArray) -> FloatArray:
    colours = _colours(sample, 5, 0.05)
    colours = np.concatenate([colours * light for light in _FOLDS])
    return colours[_distance(colours, hair) > _FROM_CLOTHES]


def _colours(sample: Float[np.ndarray, "N 3"], count: int = _CLUSTERS, rare: float = _RARE) -> FloatArray:
    """The few colours that something has; none: too little of it is seen."""
    if len(sample) < _FEW:
        return _NONE
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    points = np.ascontiguousarray(sample[:: max(1, len(sample) // 4000)], np.float32)
    _, label, centres = cv2.kmeans(points, count, np.zeros(0), criteria, 2, cv2.KMEANS_PP_CENTERS)
    common: FloatArray = np.asarray(centres, np.float32)[
        np.bincount(label.ravel(), minlength=count) > rare * len(points)
    ]
    return common


def _distance(lab: Float[np.ndarray, "*shape 3"], colours: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "*shape"]:
    """To the nearest of the colours; inf without any."""
    distance: FloatArray = np.full(lab.shape[:-1], np.inf, np.float32)
    for colour in colours:
        distance = np.minimum(distance, np.sqrt(np.square(lab - colour).sum(-1)))
    return distance


def _connected(hair: BoolArray, seeds: BoolArray, scale: float) -> Bool[np.ndarray, "H W"]:
    """Without thin strips and holes, and only what hangs together with the hair beside the face."""

    def disc(width: float) -> npt.NDArray[np.uint8]:
        size = 2 * max(1, round(width * scale / 2)) + 1
        return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)).astype(np.uint8)

    broad = cv2.morphologyEx(hair.astype(np.uint8), cv2.MORPH_CLOSE, disc(_GAP / 2))
    broad = cv2.morphologyEx(broad, cv2.MORPH_OPEN, disc(_THIN))
    broad = cv2.morphologyEx(broad, cv2.MORPH_CLOSE, disc(_GAP))
    _, label = cv2.connectedComponents(broad, connectivity=8)
    wanted = np.unique(label[seeds & (broad > 0)])
    found: BoolArray = np.isin(label, wanted[wanted > 0])
    return found
