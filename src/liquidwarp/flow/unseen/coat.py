"""Open coats: what is worn below one is seen in front only, the hidden back is the coat's.

An open coat is known by its sleeves: the torso shows their cloth at both sides, and another one in the middle, which
begins at a line. Light does not draw such a line. Colour alone does not tell the two: a saturated cloth changes its hue
from light to shade, as some of its red, green and blue are 0 or at their limit in the photo. Where the colours differ
by no more than light and shade may, a grey jacket over a white shirt say, there must be such a line on either side.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int64
from scipy.ndimage import uniform_filter, uniform_filter1d

from liquidwarp.flow.colours.cloth import same_cloth, usual_cloth
from liquidwarp.flow.mesh.surface import rest_coordinates
from liquidwarp.flow.sources import FlowSources
from liquidwarp.flow.unseen.tubes import COLUMNS, ROWS
from liquidwarp.geometry.warp import sample_at

__all__ = ["Beside", "below_coat", "beside_body", "covered_rows", "find_coat"]

_SIDE, _MIDDLE = 50 / 360, 25 / 360
"""So far around from the front the sides begin and the middle ends [turns]."""
_AT_SIDES, _IN_FRONT = 0.5, 0.5
"""At least this share of one of the sides is the coat's in each row, and at most this share of the middle."""
_SEEN, _OPAQUE = 0.5, 0.8
_APART = 2.0
"""What is worn below differs from the coat by so many times as much as light and shade mostly do, if one side tells."""
_ROWS = 7
"""Rows over which shares are averaged."""
_LINE = 5
"""Half the width of a coat's border, with the photo's blur [columns]: 7 degrees."""
_STEEP, _RARELY = 0.6, 0.25
"""Across a border lies this much of the way from the coat's colour to the one below, but for this share of the rows."""
_TELLING = 0.5
"""Of the rows in which something is worn below, more than this share must show where the coat ends."""
_SOME = 0.4
"""Cells per row from which on a row counts as covered."""
_LENGTH = 0.25
"""A coat covers at least this share of the torso's height."""
_BACK, _FEW = 110 / 360, 0.03
"""Where more of what is seen is farther around than this, the back needs no guess."""

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Beside:
    """What the photos show beside the body: wide clothes and hair."""

    places: Float[np.ndarray, "P 3"]
    """In rest coordinates."""
    colours: Float[np.ndarray, "P 3"]
    """RGB in [0, 1]."""
    part: Int64[np.ndarray, "P"]
    """Body part that it hangs on, index into ``PARTS``."""


def beside_body(sources: FlowSources) -> Beside:
    """The colours of one person's halos, where they are the person's own.

    Args:
        sources: The prepared photos (G = 1).
    """
    extension, model = sources.extension, sources.model
    drawn = torch.zeros_like(extension.owner, dtype=torch.bool).index_fill_(0, extension.faces.reshape(-1), True)
    point = (drawn & (extension.owner >= 0)).nonzero()[:, 0]
    owner, anchor = extension.owner[point], extension.anchor[point]
    found = sources.around[0, owner, point]
    pictures = torch.cat([sources.colours[0], sources.mattes[0]], 1)
    colours = found.new_zeros(len(point), 4)
    for photo in range(len(pictures)):
        own = owner == photo
        colours[own] = sample_at(pictures[photo : photo + 1], found[own, :2][None])[0].T
    kept = (found[:, 2] > _SEEN) & (colours[:, 3] > _OPAQUE)
    rest = model.rest(model.lbs_weights.new_zeros(1, len(model.beta_names))).vertices[0]
    used = rest.index_select(0, model.faces.reshape(-1))
    half = (used.amax(0) - used.amin(0)).amax() / 2
    place = rest_coordinates(model)[anchor] + extension.offset[point] / half
    arrays = (place[kept], colours[kept, :3], model.vertex_part[anchor[kept]])
    return Beside(*(array.cpu().numpy() for array in arrays))


def find_coat(
    cells: Float[np.ndarray, "N 2"], colours: Float[np.ndarray, "N 3"], sleeves: Float[np.ndarray, "M 3"]
) -> Float[np.ndarray, "3"] | None:
    """The colour of an open coat; None where there is none, or the back is seen and needs no guess.

    Args:
        cells: Rows and columns of the torso's seen places (:meth:`liquidwarp.flow.unseen.tubes.Tube.cells`).
        colours: Theirs, RGB in [0, 1].
        sleeves: Colours of the upper arms' cloth.
    """
    cloth = usual_cloth(sleeves)
    around = np.abs(cells[:, 1] / COLUMNS - 0.5)
    if cloth is None or (around > _BACK).mean() > _FEW:
        return None
    rows = _rows_of(cells, same_cloth(colours, cloth))
    front = rows[cells[:, 0].round().astype(int)] & (around < _MIDDLE)
    if rows.sum() < _LENGTH * ROWS or not front.any():
        return None
    for tolerance, both_sides in ((_APART, False), (1.0, True)):
        apart = same_cloth(colours[front], cloth, tolerance).mean() <= _IN_FRONT
        if apart and _ends_at_a_line(cells, colours, cloth, rows, tolerance, both_sides):
            return cloth
    return None


def below_coat(
    cells: Float[np.ndarray, "N 2"],
    colours: Float[np.ndarray, "N 3"],
    cloth: Float[np.ndarray, "3"],
    goes_on: bool = False,
) -> Bool[np.ndarray, "N"]:
    """Which seen places show what is worn below the coat, so that they say nothing of the back.

    Args:
        cells: Rows and columns of seen places of a part, and of what is beside it.
        colours: Theirs, RGB in [0, 1].
        cloth: From :func:`find_coat`.
        goes_on: Whether the coat hangs farther down than the part, so that it covers all rows below its first.
    """
    coat = same_cloth(colours, cloth)
    rows = _rows_of(cells, coat)
    if goes_on:
        rows = np.logical_or.accumulate(rows)
    below: BoolArray = rows[cells[:, 0].round().astype(int)] & ~coat
    return below


def covered_rows(cells: Float[np.ndarray, "N 2"]) -> Bool[np.ndarray, "R"]:
    """Rows in which there are at least some of these cells: a few in each, or in those near to it."""
    count = np.bincount(cells[:, 0].round().astype(int), minlength=ROWS).astype(float)
    covered: BoolArray = uniform_filter1d(count, _ROWS) > _SOME
    return covered


def _ends_at_a_line(
    cells: Float[np.ndarray, "N 2"],
    colours: Float[np.ndarray, "N 3"],
    cloth: Float[np.ndarray, "3"],
    rows: Bool[np.ndarray, "R"],
    tolerance: float,
    both_sides: bool,
) -> bool:
    """Whether in most of these rows the cloth gives way to another one within a few columns, on either side or on both.

    Rows whose border an arm hides have no say, unless they are nearly all.

    Args:
        cells: See :func:`find_coat`.
        colours: The same.
        cloth: The coat's colour.
        rows: Where it is seen.
        tolerance: So many times as far apart as light and shade makes it another cloth.
        both_sides: Whether it must do so on both sides.
    """
    grid, known = _grid(cells, colours)
    middle = known & (np.abs(np.arange(COLUMNS) / COLUMNS - 0.5) < _MIDDLE)
    steps = []
    for row in np.flatnonzero(rows & middle.any(1)):
        below = np.median(grid[row, middle[row]], axis=0)
        if not same_cloth(below[None], cloth, tolerance)[0]:
            own = known[row] & same_cloth(grid[row], cloth)
            coat = np.median(grid[row, own], axis=0) if own.any() else cloth
            steps.append(_steepest(grid[row], known[row], coat, below))
    pairs = np.array(steps).reshape(-1, 2)
    filled = np.nan_to_num(pairs, nan=float(both_sides))
    step = filled.min(1) if both_sides else filled.max(1)
    hidden = np.isnan(pairs).any(1) & ((step > _STEEP) == both_sides)  # the side that is not seen would decide
    told = step[~hidden]
    return len(told) > _TELLING * len(pairs) and float(np.quantile(told, _RARELY)) > _STEEP


def _steepest(
    ring: Float[np.ndarray, "C 3"],
    known: Bool[np.ndarray, "C"],
    coat: Float[np.ndarray, "3"],
    below: Float[np.ndarray, "3"],
) -> tuple[float, float]:
    """The greatest share of the way from the coat's colour to that below, towards the front within a few columns.

    Returns:
        Left of the front, and right of it; NaN: the coat is seen there, but not where it ends.
    """
    way = coat - below
    place = ((ring - below) @ way / (way @ way)).clip(0, 1)  # 1: the coat's, 0: that below
    step = place[: -2 * _LINE] - place[2 * _LINE :]
    seen = known[: -2 * _LINE] & known[2 * _LINE :]
    left = np.arange(len(step)) + _LINE < COLUMNS / 2
    found = [float(np.where(seen & side, sign * step, 0).max()) for side, sign in ((left, 1), (~left, -1))]
    half = np.arange(COLUMNS) < COLUMNS / 2
    hidden = (_border_hidden(known[half][::-1], place[half][::-1]), _border_hidden(known[~half], place[~half]))
    first, second = (math.nan if behind else steepest for behind, steepest in zip(hidden, found, strict=True))
    return first, second


def _border_hidden(known: Bool[np.ndarray, "H"], place: Float[np.ndarray, "H"]) -> bool:
    """Whether a gap lies between what is worn below and the first place of the coat, from the middle outwards."""
    coat = np.flatnonzero(known & (place > _STEEP))
    below = np.flatnonzero(known[: coat[0]]) if len(coat) else coat
    return len(below) > 0 and bool(coat[0] - below[-1] > 2 * _LINE)


def _grid(
    cells: Float[np.ndarray, "N 2"], colours: Float[np.ndarray, "N 3"]
) -> tuple[Float[np.ndarray, "R C 3"], Bool[np.ndarray, "R C"]]:
    """Mean colours around each cell, over some rows and few columns; and where something near was seen."""
    flat = cells[:, 0].round().astype(int) * COLUMNS + np.floor(cells[:, 1]).astype(int) % COLUMNS
    sums = [np.bincount(flat, w, ROWS * COLUMNS).astype(float) for w in (None, *colours.T)]
    around = [uniform_filter(each.reshape(ROWS, COLUMNS), (_ROWS, 3)) for each in sums]
    known: BoolArray = around[0] > 1e-6
    mean: FloatArray = np.stack(around[1:], 2) / np.maximum(around[0], 1e-6)[..., None]
    return mean, known


def _rows_of(cells: Float[np.ndarray, "N 2"], coat: Bool[np.ndarray, "N"]) -> Bool[np.ndarray, "R"]:
    """Rows in which one of the sides is mostly the coat's."""
    side, left = np.abs(cells[:, 1] / COLUMNS - 0.5) > _SIDE, cells[:, 1] < COLUMNS / 2
    shares = [_share_of_rows(cells, coat, side & half) for half in (left, ~left)]
    rows: BoolArray = np.maximum(*shares) > _AT_SIDES
    return rows


def _share_of_rows(
    cells: Float[np.ndarray, "N 2"], coat: Bool[np.ndarray, "N"], where: Bool[np.ndarray, "N"]
) -> Float[np.ndarray, "R"]:
    """The coat's share of each row and its neighbours; 0 where nothing is seen."""
    row = cells[where, 0].round().astype(int)
    seen, own = (uniform_filter1d(np.bincount(row, w, ROWS).astype(float), _ROWS) for w in (None, coat[where]))
    share: FloatArray = own / np.maximum(seen, 1e-6)
    return share
