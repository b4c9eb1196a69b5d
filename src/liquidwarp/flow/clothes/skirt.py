"""Skirts: cloth around both legs, which hangs from the hips and opens with the legs, but not between them.

A skirt is known by its hem: on both sides the outline steps in towards the legs, and above the hem the picture is
filled from leg to leg with one cloth. A narrow skirt steps in by little, as a shoe or a knee does: it is told by the
gap between the legs, which begins at its hem and not where the body's legs part. It becomes a closed tube around both
legs (:mod:`liquidwarp.flow.clothes.skirt_tube`).
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int
from scipy.ndimage import median_filter

from liquidwarp.body.model import BodyModel, BodyParams, PosedBody
from liquidwarp.flow.mesh.surroundings import Surroundings

__all__ = ["ARMS", "Ending", "Legs", "Skirt", "find_ending", "find_skirt", "hanging", "legs_of"]

_STEP_IN, _EITHER = 0.06, 0.008
"""The outline steps in by at least this at the hem, on both sides together and on either one [m]."""
_NARROW = 0.03
"""The same, on both sides together, where the gap between the legs begins at the hem [m]."""
_GAP, _CLOSED = 0.02, 0.03
"""Legs are apart where so much is between them [m]; in a skirt that begins at least so far below the body's own gap."""
_CROTCH = 0.16
"""So far below the hips the body's gap counts as begun, where its legs do not part [m]."""
_CREASE = 0.62
"""Two trouser legs that touch are darker between than beside: to less than this share of the lightness."""
_WITHIN = 0.012
"""Within so many rows above and below [m]."""
_TILT = 0.12
"""The hem's ends differ by no more than this in height [m]."""
_LENGTH = 0.10
"""A skirt reaches at least so far below the hips [m]."""
_BAND = (0.06, 0.012)
"""The cloth above the hem and the leg below it are compared from here to here [m]."""
_ONE_CLOTH, _OTHER_CLOTH = 26.0, 9.0
"""Colours farther apart are two cloths, an open coat say; nearer ones are the same [CIELAB]."""
_PLACES = np.arange(5)
"""Parts of the hem."""
_SAG = 0.06
"""A hem is round, so in a picture its middle lies lower or higher than its ends; by so much at most [m], or as low as
the gap between the legs begins and ``_BEYOND`` [m] lower."""
_BEYOND = 0.02
_EVEN = 0.02
"""Over this width hems have no teeth [m]."""
_FILLED = 0.9
ARMS = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("upper_arm", "lower_arm", "hand"))

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Legs:
    """The axes of both legs by the picture's rows; side 0 is on the left of the picture."""

    x: Float[np.ndarray, "2 H"]
    """[px]"""
    depth: Float[np.ndarray, "2 H"]
    """[m]"""
    hips: int
    """Row of the hips."""
    knees: int
    ankles: int
    left_first: bool
    """Whether the person's left leg is on the left of the picture."""


@dataclass(frozen=True)
class Skirt:
    """A skirt in a photo."""

    mask: Bool[np.ndarray, "H W"]
    start: Int[np.ndarray, "R"]
    """First column of each row from ``top`` on."""
    stop: Int[np.ndarray, "R"]
    """Behind the last."""
    top: int
    legs: Legs
    hem: Float[np.ndarray, "W"]
    """In each column the row in which the cloth has ended."""


@dataclass(frozen=True)
class Ending:
    """The outline of cloth around both legs, down to its hem and below."""

    lab: Float[np.ndarray, "H W 3"]
    """The photo [CIELAB]."""
    legs: Legs
    scale: float
    """[px/m]"""
    person: Bool[np.ndarray, "H W"]
    """The person without the arms."""
    outer: Float[np.ndarray, "R 2"]
    """Outer ends of each row from ``first`` on; from the hem on as wide as there."""
    first: int
    stop: int
    """Rows down to the lower one of the hem's ends."""
    straight: Float[np.ndarray, "W"]
    """A straight hem from end to end [row of the picture]."""
    low: float
    """Columns of the hem's ends."""
    high: float
    opens: int | None
    """The row from ``first`` on in which the gap between the legs begins."""


def legs_of(model: BodyModel, body: BodyParams, posed: PosedBody, height: int) -> Legs | None:
    """Where the legs are; None: not upright, so that rows say nothing of them.

    Args:
        model: The body.
        body: One body.
        posed: The same.
        height: Of the picture [px].
    """
    joints = body.camera.project(posed.joints)[0].cpu().numpy().astype(np.float64)
    roles = model.roles
    chain = np.stack([joints[list(pair)] for pair in (roles.upper_leg, roles.lower_leg, roles.foot)], 1)  # 2 3 3
    hips, knees, ankles = chain[..., 1].mean(0)
    scale = float(body.camera.scale[0])
    if (np.diff(chain[..., 1], axis=1) < 0.15 * scale).any():
        return None
    left_first = bool(chain[0, 0, 0] < chain[1, 0, 0])
    ordered = chain if left_first else chain[::-1]
    rows = np.arange(height) + 0.5
    x, depth = (np.stack([np.interp(rows, leg[:, 1], leg[:, axis]) for leg in ordered]) for axis in (0, 2))
    return Legs(x, depth, int(hips), int(knees), int(ankles), left_first)


def find_skirt(ending: Ending | None) -> Skirt | None:
    """Find a skirt.

    Args:
        ending: From :func:`find_ending`.
    """
    if ending is None:
        return None
    hem = _round_hem(ending)
    inside = hem[int(max(0, ending.low)) : int(ending.high) + 1]
    stop = min(max(ending.stop, int(inside.max()) - ending.first), len(ending.outer))
    columns = np.arange(len(hem))
    mask = np.zeros_like(ending.person)
    for row in range(stop):
        y, start, end = ending.first + row, *(round(float(edge)) for edge in ending.outer[row])
        mask[y] = ending.person[y] & (columns >= start) & (columns <= end) & (hem > y)
    if not _one_cloth(ending.lab, mask, hem, ending.legs):
        return None
    return hanging(mask, ending, stop, hem)


def hanging(mask: Bool[np.ndarray, "H W"], ending: Ending, stop: int, hem: Float[np.ndarray, "W"]) -> Skirt:
    """Cloth that hangs down to this hem, as wide as the outline in its first ``stop`` rows; see :class:`Skirt`."""
    smooth = cv2.GaussianBlur(ending.outer[:stop], (1, 0), sigmaX=1e-3, sigmaY=3)
    start, end = np.floor(smooth[:, 0]).astype(int), np.ceil(smooth[:, 1]).astype(int) + 1
    return Skirt(mask, start, end, ending.first, ending.legs, hem)


def find_ending(image: Float[np.ndarray, "H W 3"], around: Surroundings, legs: Legs | None) -> Ending | None:
    """Where cloth ends that closes the gap between the legs, by the outline; None: there is none.

    Args:
        image: The photo, RGB in [0, 1].
        around: Its body and matte.
        legs: Of the same body.
    """
    if legs is None:
        return None
    lab = np.asarray(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2Lab))
    height, width = around.matte.shape
    person = (around.matte > 0.5) & ~around.on(*ARMS)
    first, last = max(0, legs.hips), min(height - 1, legs.ankles)
    if last - first < _LENGTH * around.scale:
        return None
    outer = np.array([_outline(person[y], legs.x[:, y]) for y in range(first, last)])  # R 2
    ends = _narrow_hem(lab, person, around, legs, outer) or _hem(outer, around.scale, _STEP_IN)
    if ends is None or max(ends) < _LENGTH * around.scale:
        return None
    left, right = ends
    rows = np.arange(first, last)
    for y in rows[: max(0, min(ends) - round(_SAG * around.scale))]:
        between = person[y, round(legs.x[0, y]) : round(legs.x[1, y])]
        if len(between) and between.mean() < _FILLED:
            return None
    reach = max(1, round(_WITHIN * around.scale))
    corners = _corner(outer[:left, 0], reach), _corner(-outer[:right, 1], reach)
    low, high = outer[corners[0], 0], outer[corners[1], 1]
    outer[corners[0] :, 0], outer[corners[1] :, 1] = low, high
    straight = first + np.interp(np.arange(width), [low, high], [left, right])
    opens = _opening(person, legs, len(outer), around.scale)
    return Ending(lab, legs, around.scale, person, outer, first, max(ends), straight, float(low), float(high), opens)


def _narrow_hem(
    lab: Float[np.ndarray, "H W 3"],
    person: Bool[np.ndarray, "H W"],
    around: Surroundings,
    legs: Legs,
    outer: Float[np.ndarray, "R 2"],
) -> tuple[int, int] | None:
    """The hem's ends where the gap between the legs begins there; None where it does not, or trousers close it."""
    scale = around.scale
    opens, parts = (_opening(shown, legs, len(outer), scale) for shown in (person, around.distance == 0))
    if opens is None or opens < (round(_CROTCH * scale) if parts is None else parts + round(_CLOSED * scale)):
        return None
    if _creased(lab, legs, opens, scale):
        return None
    slack = round((_SAG + _WITHIN) * scale)
    top = max(0, opens - slack)
    ends = _hem(outer[top : opens + slack], scale, _NARROW)
    return None if ends is None else (ends[0] + top, ends[1] + top)


def _opening(shown: Bool[np.ndarray, "H W"], legs: Legs, rows: int, scale: float) -> int | None:
    """The first row below the hips in which something else shows between the legs' axes."""
    for row in range(rows):
        y = legs.hips + row
        between = shown[y, max(0, round(legs.x[0, y])) : max(0, round(legs.x[1, y]))]
        if float((~between).sum()) > _GAP * scale:
            return row
    return None


def _creased(lab: Float[np.ndarray, "H W 3"], legs: Legs, opens: int, scale: float) -> bool:
    """Whether halfway between the legs all is much darker than beside it, down to where they part."""
    rows = legs.hips + np.arange(min(round(_CROTCH * scale), opens - 1), opens)
    across = np.linspace(-0.9, 0.9, 37)
    middle, half = legs.x[:, rows].mean(0), np.abs(np.diff(legs.x[:, rows], axis=0)[0]) / 2
    column = np.rint(middle[:, None] + half[:, None] * across).astype(int).clip(0, lab.shape[1] - 1)
    light = np.median(lab[rows[:, None], column, 0], 0)
    beside = np.median(light[np.abs(across) > 0.4])
    return bool(light[np.abs(across) < 0.25].min() < _CREASE * beside)


def _corner(edge: Float[np.ndarray, "R"], reach: int) -> int:
    """The last rows' place that is farthest outside: there the cloth ends at a side, below it the outline steps in."""
    return max(0, len(edge) - reach) + int(edge[-reach:].argmin())


def _round_hem(ending: Ending) -> Float[np.ndarray, "W"]:
    """The row in each column below which there is no cloth any more.

    Around the straight hem each pixel votes for the cloth above or for the leg below, whichever its colour is nearer
    to; the background votes for the leg. The hem is where most votes are right on both sides.
    """
    lab, legs, scale, straight, person = ending.lab, ending.legs, ending.scale, ending.straight, ending.person
    lowest = straight.mean() if ending.opens is None else ending.first + ending.opens + _BEYOND * scale
    sag, even = max(2, round(_SAG * scale), round(lowest - straight.mean())), 2 * max(1, round(_EVEN * scale / 2)) + 1
    inner = np.arange(max(0, round(ending.low)), min(len(straight), round(ending.high) + 1))
    rows = (np.rint(straight[inner]).astype(int) + np.arange(-sag, sag)[:, None]).clip(0, len(lab) - 1)
    seen = lab[rows, inner]
    cloth = np.median(seen[: max(1, sag // 2)], 0)
    below = np.array([_leg_colour(lab, legs, side, int(straight[inner].max()) + sag) for side in range(2)])
    side = (np.abs(inner - legs.x[0][rows[-1]]) > np.abs(inner - legs.x[1][rows[-1]])).astype(int)
    nearer = np.linalg.norm(seen - cloth, axis=-1) < np.linalg.norm(seen - below[side], axis=-1)
    votes = np.where(nearer & person[rows, inner], 1, -1)
    edge = np.concatenate([np.zeros((1, len(inner)), int), votes.cumsum(0)]).argmax(0)
    hem = straight.copy()
    hem[inner] = straight[inner] - sag + median_filter(edge, even, mode="nearest")
    return hem


def _leg_colour(lab: Float[np.ndarray, "H W 3"], legs: Legs, side: int, row: int) -> Float[np.ndarray, "3"]:
    """The median around a leg's axis in one row [CIELAB]."""
    row = min(len(lab) - 2, row)
    column = int(np.clip(legs.x[side, row], 2, lab.shape[1] - 3))
    return np.asarray(np.median(lab[row - 1 : row + 2, column - 2 : column + 3].reshape(-1, 3), 0))


def _outline(row: Bool[np.ndarray, "W"], axes: Float[np.ndarray, "2"]) -> tuple[float, float]:
    """The outer ends of what the legs' axes lie in, on the left and on the right; the axes where nothing is there."""
    ends = []
    for axis, step in zip(axes, (-1, 1), strict=True):
        column = int(np.clip(axis, 0, len(row) - 1))
        run = row[column::step]
        length = len(run) if run.all() else int(np.argmin(run))
        ends.append(column + step * max(0, length - 1))
    return float(ends[0]), float(ends[1])


def _hem(outer: Float[np.ndarray, "R 2"], scale: float, least: float) -> tuple[int, int] | None:
    """The first rows below the places where the outline steps in most, on the left and on the right.

    Args:
        outer: The outline's ends in each row.
        scale: [px/m]
        least: By so much it must step in on both sides together [m].
    """
    reach = max(1, round(_WITHIN * scale))
    steps = np.stack([outer[2 * reach :, 0] - outer[: -2 * reach, 0], outer[: -2 * reach, 1] - outer[2 * reach :, 1]])
    if len(outer) <= 2 * reach or steps.shape[1] == 0:
        return None
    left, right = (_widest(side, round(_TILT * scale / 2)) for side in steps)
    both = (left + right) * (np.minimum(left, right) > _EITHER * scale)
    around = int(both.argmax())
    if both[around] < least * scale:
        return None
    window = slice(max(0, around - round(_TILT * scale / 2)), around + round(_TILT * scale / 2) + 1)
    ends = []
    for side, inward in enumerate((1, -1)):
        centre = int(steps[side, window].argmax()) + window.start + reach
        rows = slice(centre - reach, centre + reach + 1)
        ends.append(rows.start + 1 + int((inward * np.diff(outer[rows, side])).argmax()))
    return ends[0], ends[1]


def _widest(values: Float[np.ndarray, "R"], reach: int) -> Float[np.ndarray, "R"]:
    """The largest value within ``reach``."""
    widest: FloatArray = np.asarray(cv2.dilate(values[:, None], np.ones((2 * reach + 1, 1), np.uint8)), np.float64)[
        :, 0
    ]
    return widest


def _one_cloth(
    lab: Float[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"], hem: Float[np.ndarray, "W"], legs: Legs
) -> bool:
    """Whether the same cloth is all along the hem, and another one, or skin, below it.

    Light from one side makes its colours change steadily along the hem, which does not count.
    """
    height = len(mask)
    scale = (legs.ankles - legs.hips) / 0.8
    above, gap = (round(part * scale) for part in _BAND)
    y = np.arange(height)[:, None]
    band = mask & (y > hem - above) & (y < hem - gap)
    columns = np.flatnonzero(band.any(0))
    if len(columns) < 10:
        return False
    fifths = np.array_split(columns, len(_PLACES))
    cloth = np.stack([np.median(lab[:, part][band[:, part]], 0) for part in fifths])
    even = cloth - np.polynomial.polynomial.polyval(_PLACES, np.polynomial.polynomial.polyfit(_PLACES, cloth, 1)).T
    apart = max(float(np.linalg.norm(a - b)) for a in even for b in even)
    under = []
    for side in range(2):
        row = min(height - 1, int(hem[int(np.clip(legs.x[side, height // 2], 0, len(hem) - 1))]) + above)
        leg = _leg_colour(lab, legs, side, row)
        under.append(min(float(np.linalg.norm(leg - c)) for c in cloth))
    return apart < _ONE_CLOTH and min(under) > _OTHER_CLOTH
