"""Made-up colours of the hidden sides of the torso and the limbs: cloth goes on around the body.

Each part is a tube: a place on it has a height along the part's axis and an angle around it. What is hidden takes,
at its own height, the colours of the seen cloth beside it on both sides: so hems, belts and stripes go on around the
body as sharp as they are seen. The weave and the folds of that cloth are mirrored at its border again and again, over
a strip so narrow that a front's buttons or print do not come out on the back.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int
from scipy.ndimage import uniform_filter1d

from liquidwarp.flow.colours.tone import Common, in_other_light, usual_tones
from liquidwarp.flow.colours.window_median import window_median
from liquidwarp.flow.unseen.pattern import mirror_pattern
from liquidwarp.flow.unseen.ring_light import evenly_lit, without_steps

__all__ = ["COLUMNS", "ROWS", "Tube", "complete_rings", "tube_of", "unroll"]

FloatArray = npt.NDArray[np.float32]

ROWS, COLUMNS = 160, 256
"""Cells of an unrolled tube."""
_SHORTEST = 4
"""Cells in a row that must be seen to lend anything."""
_SPACING = 5
"""Places of the texture are no farther apart than this on any tube [cells]."""
_SUPPORT = 20
"""A ring of which fewer cells in a row are seen takes what a ring above or below it has."""
_DETAIL = 0.12
"""The most that mirrored folds may differ from the plain colour [RGB, 0..1]."""
_STEADY = 11
"""Rows over which the plain colour's median is taken: what is seen in fewer rows is no garment."""
_HALF = _STEADY // 2
"""Where rows farther than this from all that are seen take their colours, a shadow or an edge must not count."""
_FLOW = 10
"""Cells over which a border's colour gives way to a more usual one: 14 degrees."""
_OWN_FOLDS = 0.2
"""Where what goes on differs more from the border's colour [RGB, 0..1] that border's folds do not."""
_CROSSOVER, _IN_OTHER_LIGHT = 0.15, 0.5
"""Half the width of the seam where the cloths of both sides meet, as a share of what is hidden; where one may be the
other in sun or shade."""


@dataclass(frozen=True)
class Tube:
    """Height and angle around a part of the body in the rest pose."""

    origin: Float[np.ndarray, "3"]
    frame: Float[np.ndarray, "3 3"]
    """Rows: sidewards, forwards, along the axis."""
    extent: tuple[float, float]
    """Least and greatest height."""
    centres: Float[np.ndarray, "R 2"]
    """Of the cross-sections, sidewards and forwards, from the least to the greatest height."""

    def cells(self, places: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 2"]:
        """Row and column of places in the unrolled tube; columns are periodic, column 0 is the back."""
        local = (places - self.origin) @ self.frame.T
        low, high = self.extent
        row = ((local[:, 2] - low) / (high - low)).clip(0, 1) * (ROWS - 1)
        centre = self.centres[row.round().astype(int)]
        angle = np.arctan2(local[:, 0] - centre[:, 0], local[:, 1] - centre[:, 1])
        return np.stack([row, (angle / (2 * np.pi) + 0.5) * COLUMNS % COLUMNS], 1)

    def beside(self, places: Float[np.ndarray, "N 3"]) -> Bool[np.ndarray, "N"]:
        """Which places are as high as some of the part."""
        height = (places - self.origin) @ self.frame[2]
        return np.asarray((height >= self.extent[0]) & (height <= self.extent[1]))


def tube_of(places: Float[np.ndarray, "V 3"], upright: bool) -> Tube:
    """The tube that vertices of one part make.

    Args:
        places: Of the part's vertices in the rest pose (y down, z away from the front).
        upright: Whether its axis is vertical; else it is the direction in which the part is longest.
    """
    origin = places.mean(0)
    axis = np.array([0.0, 1.0, 0.0]) if upright else np.linalg.svd(places - origin, full_matrices=False)[2][0]
    forwards = np.array([0.0, 0.0, -1.0]) - axis * -axis[2]
    forwards = forwards / np.linalg.norm(forwards)
    frame = np.stack([np.cross(forwards, axis), forwards, axis])
    local = (places - origin) @ frame.T
    low, high = float(local[:, 2].min()), float(local[:, 2].max()) + 1e-6
    heights = np.linspace(low, high, ROWS)
    reach = 0.04 * (high - low)
    centres = np.full((ROWS, 2), np.nan)
    for row, height in enumerate(heights):
        ring = local[np.abs(local[:, 2] - height) < reach, :2]
        if len(ring):
            centres[row] = (ring.min(0) + ring.max(0)) / 2
    known = np.flatnonzero(~np.isnan(centres[:, 0]))
    filled = np.stack([np.interp(np.arange(ROWS), known, centres[known, k]) for k in range(2)], 1)
    return Tube(origin, frame, (low, high), uniform_filter1d(filled, 15, axis=0, mode="nearest"))


def complete_rings(
    cells: Float[np.ndarray, "N 2"],
    colours: Float[np.ndarray, "N 3"],
    hidden: Float[np.ndarray, "M 2"],
    surface: Float[np.ndarray, "K 2"],
    strip: float,
    folds: float = 0.8,
    common: Common | None = None,
    pattern: Bool[np.ndarray, "R"] | None = None,
) -> Float[np.ndarray, "M 3"] | None:
    """Colours of hidden places of a tube.

    Args:
        cells: Rows and columns of the places that lend (:meth:`Tube.cells`).
        colours: Theirs.
        hidden: Rows and columns of the places that want colours.
        surface: Those of all places of the tube.
        strip: How far from the border the seen cloth is copied [degrees].
        folds: How much of the mirrored folds is kept [0, 1].
        common: What is seen of the cloth; None: the places that lend, of a trunk.
        pattern: Rows whose cloth has a pattern, which goes on as a whole (:mod:`liquidwarp.flow.unseen.pattern`).

    Returns:
        The colours; None if too little lends.
    """
    grid, known = unroll(cells, colours, surface)
    width = max(_SHORTEST, round(strip / 360 * COLUMNS))
    shown = common or Common.of_trunk(cells[:, 0], colours)
    plain, detail, support = _complete_rows(grid, known, width, shown)
    if not support.any():
        return None
    rows = np.flatnonzero(support >= min(_SUPPORT, int(support.max())))
    nearest = np.abs(np.arange(ROWS)[:, None] - rows).argmin(1)
    beyond = np.abs(rows[nearest] - np.arange(ROWS)) > _HALF
    usual = _usual_colours(plain[rows], nearest[beyond])
    plain, detail = plain[rows[nearest]], detail[rows[nearest]]
    plain[beyond] = usual
    around = np.pad(plain, ((_HALF, _HALF), (0, 0), (0, 0)), mode="edge")
    around = np.concatenate([around[:, -1:], around, around[:, :1]], 1)
    smooth = without_steps(evenly_lit(window_median(around, _STEADY, 3), shown.colours, shown.row), grid, known)
    full = smooth + (folds * detail).clip(-_DETAIL, _DETAIL)
    if pattern is not None:
        full = mirror_pattern(full, grid, known, pattern)
    full = np.concatenate([full[:, -1:], full, full[:, :2]], 1).astype(np.float32)
    x, y = (hidden[:, 1] + 0.5).astype(np.float32), hidden[:, 0].astype(np.float32)
    sampled = [_remap(full, x[k : k + 30000], y[k : k + 30000]) for k in range(0, len(x), 30000)]
    return np.concatenate(sampled) if sampled else np.zeros((0, 3), np.float32)


def unroll(
    cells: Float[np.ndarray, "N 2"], colours: Float[np.ndarray, "N 3"], surface: Float[np.ndarray, "K 2"]
) -> tuple[FloatArray, Bool[np.ndarray, "R C"]]:
    """Mean colours of the cells, and which are seen; cells without a place of the texture are like the nearest one.

    A thin limb has fewer places than cells: without that no run of its cells would be seen.

    Args:
        cells: Rows and columns of the places that are seen.
        colours: Theirs.
        surface: Rows and columns of all places, seen or not.
    """
    size = ROWS * COLUMNS
    shown, there = _numbers(cells), np.zeros(size, bool)
    count = np.bincount(shown, minlength=size)
    sums = np.stack([np.bincount(shown, colours[:, k], size) for k in range(3)], -1)
    there[_numbers(surface)] = True
    there |= count > 0
    around = np.tile(there.reshape(ROWS, COLUMNS), 3)  # columns are periodic
    away, label = cv2.distanceTransformWithLabels(
        (~around).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    number = np.zeros(label.max() + 1, np.int64)
    number[label[around]] = np.tile(np.arange(size).reshape(ROWS, COLUMNS), 3)[around]
    middle = slice(COLUMNS, 2 * COLUMNS)
    nearest = number[label[:, middle]]
    mean = (sums / np.maximum(count, 1)[:, None]).astype(np.float32)
    return mean[nearest], (count[nearest] > 0) & (away[:, middle] <= _SPACING)


def _numbers(cells: Float[np.ndarray, "N 2"]) -> Int[np.ndarray, "N"]:
    row, column = cells[:, 0].round().astype(np.int64), np.floor(cells[:, 1]).astype(np.int64) % COLUMNS
    return np.asarray(row * COLUMNS + column)


def _remap(grid: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    sampled = cv2.remap(grid, x[:, None], y[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32).reshape(-1, 3)


def _usual_colours(rings: Float[np.ndarray, "K C 3"], wanted: Int[np.ndarray, "W"]) -> Float[np.ndarray, "W C 3"]:
    """Of the wanted rings, the (upper) median over those near to them."""
    padded = np.pad(rings, ((_STEADY, _STEADY), (0, 0), (0, 0)), mode="symmetric")
    few, which = np.unique(wanted, return_inverse=True)
    near = padded[few[:, None] + np.arange(2 * _STEADY)]
    return np.asarray(np.partition(near, _STEADY, axis=1)[:, _STEADY][which], np.float32)


def _complete_rows(
    grid: Float[np.ndarray, "R C 3"], known: Bool[np.ndarray, "R C"], width: int, shown: Common
) -> tuple[Float[np.ndarray, "R C 3"], Float[np.ndarray, "R C 3"], Int[np.ndarray, "R"]]:
    """The plain colours and the folds of the rings' hidden cells; how many cells in a row are seen of each ring.

    Args:
        grid: Colours.
        known: Where they were seen.
        width: How many cells beside the border are copied at most.
        shown: What is seen of the cloth.
    """
    plain, detail, columns = grid.copy(), np.zeros_like(grid), grid.shape[1]
    row, start, length = _runs(known)
    longest = np.zeros(len(grid), np.int64)
    np.maximum.at(longest, row, length)
    # The next run around the same ring, which may be the only one.
    last = np.append(row[1:] != row[:-1], True) if len(row) else row.astype(bool)
    following = np.where(last, np.searchsorted(row, row), np.arange(len(row)) + 1)
    end, other, lend = start + length, start[following], np.minimum(width, length)
    before = _medians(grid, row, end - lend, lend, width)
    behind = _medians(grid, row, start, lend, width)
    on_before, on_behind = np.split(usual_tones(np.concatenate([before, behind]), np.append(row, row), shown), 2)
    behind, on_behind = behind[following], on_behind[following]
    gap = (other - end) % columns
    run = np.repeat(np.arange(len(row)), gap)
    step = np.arange(len(run)) - np.repeat(gap.cumsum() - gap, gap)
    seam = np.where(in_other_light(on_before, on_behind), _IN_OTHER_LIGHT, _CROSSOVER)[run]
    share = _smoothstep(((step + 0.5) / gap[run] - 0.5) / (2 * seam) + 0.5)[:, None]
    left = (end[run] - 1 - _to_and_fro(step, lend[run])) % columns
    right = (other[run] + _to_and_fro(gap[run] - 1 - step, lend[following][run])) % columns
    ring, at = row[run], (end[run] + step) % columns
    sides = []
    for away, place, seen, goes_on in (
        (step, left, before, on_before),
        (gap[run] - 1 - step, right, behind, on_behind),
    ):
        near = 1 - _smoothstep(away / _FLOW)[:, None]
        fainter = (1 - np.abs(goes_on - seen).max(1) / _OWN_FOLDS).clip(0, 1)[run, None]
        sides.append((goes_on[run] + near * (seen - goes_on)[run], fainter * (grid[ring, place] - seen[run])))
    (colour, folds), (other, other_folds) = sides
    plain[ring, at] = colour + share * (other - colour)
    detail[ring, at] = folds + share * (other_folds - folds)
    return plain, detail, longest


def _medians(
    grid: Float[np.ndarray, "R C 3"],
    row: Int[np.ndarray, "K"],
    first: Int[np.ndarray, "K"],
    count: Int[np.ndarray, "K"],
    width: int,
) -> Float[np.ndarray, "K 3"]:
    """Of each channel, over so many cells (``width`` at most) of a ring from the first on."""
    number = np.arange(width)
    cells = grid[row[:, None], (first[:, None] + number) % grid.shape[1]]
    cells[number >= count[:, None]] = np.inf
    ordered, run = np.sort(cells, axis=1), np.arange(len(row))
    return np.asarray((ordered[run, (count - 1) // 2] + ordered[run, count // 2]) / 2, np.float32)


def _runs(
    known: Bool[np.ndarray, "R C"],
) -> tuple[Int[np.ndarray, "K"], Int[np.ndarray, "K"], Int[np.ndarray, "K"]]:
    """Ring, start and length of the known stretches that are long enough; in order, also around each ring."""
    columns = known.shape[1]
    first = (~known).argmax(1)  # so that none goes on beyond the last column, but where all is known
    turned = np.take_along_axis(known, (first[:, None] + np.arange(columns)) % columns, 1)
    edges = np.diff(np.pad(turned, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (row, start), stop = np.nonzero(edges == 1), np.nonzero(edges == -1)[1]
    long = stop - start >= _SHORTEST
    return row[long], (start + first[row])[long], (stop - start)[long]


def _to_and_fro(step: Int[np.ndarray, "G"], width: Int[np.ndarray, "G"]) -> Int[np.ndarray, "G"]:
    """0, 1, ..., width - 1, width - 1, ..., 1, 0, 0, 1, ..."""
    phase = step % (2 * width)
    return np.asarray(np.minimum(phase, 2 * width - 1 - phase))


def _smoothstep(value: Float[np.ndarray, "G"]) -> Float[np.ndarray, "G"]:
    t = value.clip(0, 1)
    return np.asarray(t * t * (3 - 2 * t))
