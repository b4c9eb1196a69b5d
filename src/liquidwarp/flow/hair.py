"""Long hair over shoulders and arms: it belongs to the head, not to the arm on which it lies.

Hair is known by its colour beside the face. What is connected with it and more like it than like the arms, the face
and the chest is hair too. Where clothes have the colour of the hair, nothing is called hair.
"""

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float

from liquidwarp.flow.surroundings import Surroundings

__all__ = ["find_hair"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_SEED_AREA = 0.002
"""Less hair beside the face is not long [m2]."""
_FROM_SKIN = 12.0
"""Hair is at least so far from the face's colours [CIELAB]."""
_FROM_CLOTHES = 14.0
"""Where clothes are nearer than this to the hair's colours the two cannot be told apart [CIELAB]."""
_LIKE = 30.0
"""What is farther from the hair's colours is no hair [CIELAB]."""
_RATIO = 0.9
"""Hair is this much nearer to the hair's colours than to all others."""
_ROUNDS = 3
_SHADED = 0.7
"""A face's colours darker than this share of its brightest are eyes, lips and shadows."""
_ASIDE, _BELOW = 0.30, 0.55
"""How far from the face hair falls, sideways and below the chin [m]."""
_CHEST = 0.22
"""Below the chin by this much a chest's colours are those of its clothes [m]."""
_THIN, _GAP = 0.012, 0.02
"""Strips thinner than this are rims of something else; gaps narrower than this are closed [m]."""
_CLUSTERS, _RARE = 3, 0.12
"""Colours per thing, and the share below which one does not count."""
_SOLID = 0.9
_FEW = 40


def find_hair(image: Float[np.ndarray, "H W 3"], around: Surroundings) -> Bool[np.ndarray, "H W"]:
    """Where long hair is, beside the face and on what lies below it.

    Args:
        image: The photo, RGB in [0, 1].
        around: Its body and matte.

    Returns:
        The hair from the level of the eyes downwards; empty if there is no long hair that can be told from the rest.
    """
    nothing = np.zeros(around.matte.shape, bool)
    face = around.on("face") & (around.distance == 0)
    rows, columns = np.nonzero(face)
    if len(rows) < _FEW:
        return nothing
    top, chin, middle = int(rows.min()), int(rows.max()), float(np.median(columns))
    eyes = round(top + 0.45 * (chin - top))
    soft = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.7)
    lab: FloatArray = np.asarray(cv2.cvtColor(soft, cv2.COLOR_RGB2Lab), np.float32)
    solid = cv2.erode((around.matte > _SOLID).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    y, x = np.mgrid[0 : face.shape[0], 0 : face.shape[1]]
    inner = np.abs(x - middle) < 0.25 * np.ptp(columns)
    skin = _colours(lab[face & inner & (y > eyes)])
    beside = solid & around.on("head", "face") & ~(face & (np.abs(x - middle) < 0.4 * np.ptp(columns)))
    seeds = beside & (y > eyes) & (y < chin)
    if skin is None or not seeds.any():
        return nothing
    skin = skin[skin[:, 0] > _SHADED * skin[:, 0].max()]
    colours = _colours(lab[seeds])
    if colours is None:
        return nothing
    colours = colours[_distance(colours, skin) > _FROM_SKIN]
    seeds &= _distance(lab, colours) < _RATIO * _distance(lab, skin) if len(colours) else False
    if seeds.sum() < _SEED_AREA * around.scale**2:
        return nothing
    near = (np.abs(x - middle) < _ASIDE * around.scale) & (y > eyes) & (y < chin + _BELOW * around.scale)
    near &= solid & ~(face & inner)
    clothes = _clothes(lab, around, solid, chin)
    hair = seeds
    for _ in range(_ROUNDS):
        # Hair is lighter at its ends: what was found tells of the rest.
        grown = near & (_distance(lab, colours) < np.minimum(_LIKE, _RATIO * _distance(lab, skin)))
        hair = _connected(grown & _unlike(lab, colours, clothes), seeds, around.scale)
        more = _colours(lab[hair])
        if more is not None:
            apart = _distance(more, np.concatenate([skin, *(c for _, c in clothes if c is not None)])) > _FROM_CLOTHES
            colours = np.concatenate([colours[:_CLUSTERS], more[apart]])
    return hair


def _clothes(
    lab: FloatArray, around: Surroundings, solid: BoolArray, chin: int
) -> tuple[tuple[BoolArray, FloatArray | None], ...]:
    """Where arms and the chest are, and the colours that they have where no hair falls."""
    low = np.arange(len(lab))[:, None] > chin + _CHEST * around.scale
    on_body = solid & (around.distance == 0)
    upper, lower = (tuple(f"{side}_{part}_arm" for side in ("left", "right")) for part in ("upper", "lower"))
    arms = _colours(lab[on_body & around.on(*lower, "left_hand", "right_hand")])
    chest = _colours(lab[on_body & around.on("torso") & low])
    return (around.on(*upper, *lower), arms), (around.on("torso") & low, chest)


def _unlike(
    lab: FloatArray, colours: FloatArray, clothes: tuple[tuple[BoolArray, FloatArray | None], ...]
) -> Bool[np.ndarray, "H W"]:
    """Where the hair's colours are nearer than those of the clothes; False on clothes of the hair's own colour."""
    unlike = np.ones(lab.shape[:2], bool)
    distance = _distance(lab, colours)
    for place, own in clothes:
        if own is None or (_distance(own, colours[:_CLUSTERS]) < _FROM_CLOTHES).any():
            unlike &= ~place
        else:
            unlike &= ~place | (distance < _RATIO * _distance(lab, own))
    return unlike


def _colours(sample: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "K 3"] | None:
    """The few colours that something has; None: too little of it is seen."""
    if len(sample) < _FEW:
        return None
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    points = np.ascontiguousarray(sample[:: max(1, len(sample) // 4000)], np.float32)
    _, label, centres = cv2.kmeans(points, _CLUSTERS, np.zeros(0), criteria, 2, cv2.KMEANS_PP_CENTERS)
    common: FloatArray = np.asarray(centres, np.float32)[
        np.bincount(label.ravel(), minlength=_CLUSTERS) > _RARE * len(points)
    ]
    return common


def _distance(lab: Float[np.ndarray, "*shape 3"], colours: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "*shape"]:
    """To the nearest of the colours."""
    squared = [np.square(lab - colour).sum(-1) for colour in colours]
    distance: FloatArray = np.sqrt(np.min(squared, 0))
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
