"""Made-up colours of the hidden sides of the torso and the limbs: cloth goes on around the body.

Each part is a tube: a place on it has a height along the part's axis and an angle around it. What is hidden takes,
at its own height, the colours of the seen cloth beside it on both sides: so hems, belts and stripes go on around the
body as sharp as they are seen. The weave and the folds of that cloth are mirrored at its border again and again, over
a strip so narrow that a front's buttons or print do not come out on the back.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int
from scipy.ndimage import median_filter, uniform_filter1d

__all__ = ["COLUMNS", "ROWS", "Tube", "complete_rings", "tube_of"]

FloatArray = npt.NDArray[np.float32]

ROWS, COLUMNS = 160, 256
"""Cells of an unrolled tube."""
_SHORTEST = 4
"""Cells in a row that must be seen to lend anything."""
_SUPPORT = 20
"""A ring of which fewer cells in a row are seen takes what a ring above or below it has."""
_DETAIL = (0.8, 0.12)
"""How much of the mirrored folds is kept, and the most that they may differ from the plain colour [RGB, 0..1]."""
_STEADY = 11
"""Rows over which the plain colour's median is taken: what is seen in fewer rows is no garment."""
_HALF = _STEADY // 2
"""Where rows farther than this from all that are seen take their colours, a shadow or an edge must not count."""
_SAMPLES = 200
_HUE, _SHADE, _COMMON, _EVEN = 0.04, 0.7, 0.1, 0.7
"""Colours whose shares of red, green and blue differ by less, and whose brightness by less [logarithm], are one cloth
in light and shade, if they make up this share of the part; how far shades are evened out."""
_BAND = 8
"""Rows above and below in which it is judged."""
_EDGE = 3.0
"""Between made-up cells a step in light is a hem if it is so many times smaller than within one seen cloth."""
_PULL, _EXCHANGES = 0.02, 36
"""Light and shade of hidden cells follow what is seen beside them over about 2 / sqrt(pull) cells."""
_RADIUS = 4 / (4 + _PULL)
"""The slowest decline of an error per exchange, where all neighbours are of one cloth."""
_CROSSOVER = 0.15
"""Half the width of the seam where the cloths of both sides meet, as a share of what is hidden."""


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
    cells: Float[np.ndarray, "N 2"], colours: Float[np.ndarray, "N 3"], hidden: Float[np.ndarray, "M 2"], strip: float
) -> Float[np.ndarray, "M 3"] | None:
    """Colours of hidden places of a tube.

    Args:
        cells: Rows and columns of the places that lend (:meth:`Tube.cells`).
        colours: Theirs.
        hidden: Rows and columns of the places that want colours.
        strip: How far from the border the seen cloth is copied [degrees].

    Returns:
        The colours; None if too little lends.
    """
    grid, known = _unroll(cells, colours)
    width = max(_SHORTEST, round(strip / 360 * COLUMNS))
    plain, detail = grid.copy(), np.zeros_like(grid)
    support = np.array([_complete_row(grid[row], known[row], width, plain[row], detail[row]) for row in range(ROWS)])
    if not support.any():
        return None
    rows = np.flatnonzero(support >= min(_SUPPORT, int(support.max())))
    nearest = np.abs(np.arange(ROWS)[:, None] - rows).argmin(1)
    beyond = np.abs(rows[nearest] - np.arange(ROWS)) > _HALF
    # SciPy's own reflection reads beyond the memory of lines that are shorter than the window.
    reflected = np.pad(plain[rows], ((_STEADY, _STEADY), (0, 0), (0, 0)), mode="symmetric")
    usual = median_filter(reflected, (2 * _STEADY, 1, 1), mode="nearest")[_STEADY:-_STEADY][nearest]
    plain, detail = np.where(beyond[:, None, None], usual, plain[rows[nearest]]), detail[rows[nearest]]
    wrapped = np.concatenate([plain[:, -1:], plain, plain[:, :1]], 1)
    smooth = median_filter(wrapped, (_STEADY, 3, 1), mode="nearest")[:, 1:-1]
    smooth = _without_steps(_evenly_lit(smooth, colours, cells[:, 0]), grid, known)
    full = smooth + (_DETAIL[0] * detail).clip(-_DETAIL[1], _DETAIL[1])
    full = np.concatenate([full[:, -1:], full, full[:, :2]], 1).astype(np.float32)
    x, y = (hidden[:, 1] + 0.5).astype(np.float32), hidden[:, 0].astype(np.float32)
    sampled = [_remap(full, x[k : k + 30000], y[k : k + 30000]) for k in range(0, len(x), 30000)]
    return np.concatenate(sampled) if sampled else np.zeros((0, 3), np.float32)


def _evenly_lit(plain: FloatArray, colours: Float[np.ndarray, "N 3"], row: Float[np.ndarray, "N"]) -> FloatArray:
    """Colours with the brightness that their hue mostly has at their height: a shadow at the border does not spread.

    At their height only, as a white shirt above grey trousers has their hue.
    """
    order = np.argsort(row)
    seen, at = colours[order], row[order]
    result = plain.copy()
    for height in range(ROWS):
        first, last = np.searchsorted(at, (height - _BAND, height + _BAND + 1))
        some = seen[first : last : max(1, (last - first) // _SAMPLES)]
        if len(some) >= _SHORTEST:
            result[height] *= _usual_light(plain[height], some)[:, None]
    return result


def _usual_light(row: FloatArray, some: Float[np.ndarray, "K 3"]) -> FloatArray:
    """By how much each colour is to be brighter, so that it is as bright as those of its hue mostly are."""
    light = some.sum(1)
    hue = some / light[:, None].clip(1e-3)
    coarse, where = np.unique((row * 40).round().clip(0), axis=0, return_inverse=True)
    own = (coarse / 40).sum(1).clip(0.02)
    alike = np.linalg.norm((coarse / 40 / own[:, None])[:, None] - hue, axis=2) < _HUE
    alike &= np.abs(np.log(light.clip(0.02) / own[:, None])) < _SHADE
    actual = row.sum(1).clip(0.02)
    usual = np.full(len(own), np.nan)
    for index in np.flatnonzero(alike.mean(1) > _COMMON):
        usual[index] = np.median(light[alike[index]])
    wanted = usual[where.ravel()]
    return np.asarray((np.where(np.isnan(wanted), actual, wanted) / actual) ** _EVEN, np.float32)


def _without_steps(plain: FloatArray, grid: FloatArray, known: Bool[np.ndarray, "R C"]) -> FloatArray:
    """Plain colours of hidden cells, in which light and shade change slowly, from what is seen at the border on.

    Cells exchange colours with those neighbours that are of one cloth and are pulled back to their own: so hems stay.
    """
    share = cv2.blur(known.astype(np.float32), (5, 5))[..., None]
    seen = cv2.blur(grid * known[..., None], (5, 5)) / np.maximum(share, 1e-6)
    start = np.where(known[..., None], seen, plain)
    bright = start.sum(2, keepdims=True).clip(0.06)
    look = np.concatenate([start / bright / _HUE, np.log(bright) / _SHADE], 2)
    weight_right = _one_cloth(look, np.roll(look, -1, 1))
    made_up = ~(known[:-1] | known[1:])[..., None]
    weight_down = _one_cloth(look[:-1], look[1:], np.where(made_up, _EDGE, 1.0).astype(np.float32))
    above, below = np.pad(weight_down, ((1, 0), (0, 0))), np.pad(weight_down, ((0, 1), (0, 0)))
    weights = (weight_right, np.roll(weight_right, 1, 1), below, above)
    total = np.float32(_PULL) + sum(weights)
    own = ~known[..., None]
    colour, before, step = start, start, 1.0
    for _ in range(_EXCHANGES):  # Chebyshev's semi-iteration: several times fewer exchanges
        padded = np.pad(colour, ((1, 1), (0, 0), (0, 0)), mode="edge")
        around = (np.roll(colour, -1, 1), np.roll(colour, 1, 1), padded[2:], padded[:-2])
        mixed = _PULL * start + sum(w[..., None] * c for w, c in zip(weights, around, strict=True))
        reached = np.where(own, before + np.float32(step) * (mixed / total[..., None] - before), start)
        colour, before = reached, colour
        step = 1 / (1 - _RADIUS**2 * step / (2 if step == 1 else 4))
    return np.where(own, colour, plain).astype(np.float32)


def _one_cloth(a: FloatArray, b: FloatArray, strict: FloatArray | float = 1.0) -> FloatArray:
    """1 for looks that are alike, 0 for those that differ; light counts ``strict`` times."""
    apart = a - b
    apart[..., 3:] *= strict
    return np.exp(-np.square(apart).sum(2) * 2).astype(np.float32)


def _remap(grid: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    sampled = cv2.remap(grid, x[:, None], y[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32).reshape(-1, 3)


def _unroll(
    cells: Float[np.ndarray, "N 2"], colours: Float[np.ndarray, "N 3"]
) -> tuple[FloatArray, Bool[np.ndarray, "R C"]]:
    """Mean colours of the cells; single empty cells take their neighbours'."""
    row = cells[:, 0].round().astype(int)
    column = np.floor(cells[:, 1]).astype(int) % COLUMNS
    flat = row * COLUMNS + column
    count = np.bincount(flat, minlength=ROWS * COLUMNS).reshape(ROWS, COLUMNS).astype(np.float32)
    sums = np.stack([np.bincount(flat, colours[:, k], ROWS * COLUMNS) for k in range(3)], -1)
    sums = sums.reshape(ROWS, COLUMNS, 3).astype(np.float32)
    around, share = cv2.blur(sums, (3, 3)), cv2.blur(count, (3, 3))
    mean = np.where(count[..., None] > 0, sums, around) / np.where(count > 0, count, np.maximum(share, 1e-6))[..., None]
    return mean.astype(np.float32), (count > 0) | (cv2.blur((count > 0).astype(np.float32), (3, 3)) > 0.5)


def _complete_row(
    row: FloatArray, known: Bool[np.ndarray, "C"], width: int, plain: FloatArray, detail: FloatArray
) -> int:
    """Write the plain colours and the folds of one ring's hidden cells; how many cells in a row are seen of it."""
    runs = list(_runs(known))
    if not runs:
        return 0
    longest = max(length for _, length in runs)
    hidden = np.ones(len(row), bool)
    for start, length in runs:
        hidden[(start + np.arange(length)) % len(row)] = False
    if not hidden.any():
        return longest
    for (start, length), (other, other_length) in zip(runs, [*runs[1:], runs[0]], strict=True):
        end = start + length
        gap = (other - end) % len(row) or (len(row) - length if len(runs) == 1 else 0)
        step = np.arange(gap)
        share = _smoothstep(((step + 0.5) / max(gap, 1) - 0.5) / (2 * _CROSSOVER) + 0.5)[:, None]
        left = end - 1 - _to_and_fro(step, min(width, length))
        right = other + _to_and_fro(step[::-1], min(width, other_length))
        at = (end + step) % len(row)
        before = _median(row[np.arange(end - min(width, length), end) % len(row)])
        behind = _median(row[np.arange(other, other + min(width, other_length)) % len(row)])
        plain[at] = before + share * (behind - before)
        folds = row[left % len(row)] - before, row[right % len(row)] - behind
        detail[at] = folds[0] + share * (folds[1] - folds[0])
    return longest


def _median(colours: FloatArray) -> FloatArray:
    """Of each channel; NumPy's own checks take four times as long as the sorting of so few."""
    ordered, count = np.sort(colours, axis=0), len(colours)
    return np.asarray((ordered[(count - 1) // 2] + ordered[count // 2]) / 2, np.float32)


def _runs(known: Bool[np.ndarray, "C"]) -> Iterator[tuple[int, int]]:
    """(start, length) of the known stretches of a ring that are long enough, in order."""
    if known.all():
        yield 0, len(known)
        return
    first = int(np.flatnonzero(~known)[0])
    turned = np.roll(known, -first).astype(np.int8)
    edges = np.diff(np.concatenate([turned, [0]]), prepend=0)
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        if stop - start >= _SHORTEST:
            yield int(start) + first, int(stop - start)


def _to_and_fro(step: Int[np.ndarray, "G"], width: int) -> Int[np.ndarray, "G"]:
    """0, 1, ..., width - 1, width - 1, ..., 1, 0, 0, 1, ..."""
    phase = step % (2 * width)
    return np.asarray(np.minimum(phase, 2 * width - 1 - phase))


def _smoothstep(value: Float[np.ndarray, "G"]) -> Float[np.ndarray, "G"]:
    t = value.clip(0, 1)
    return np.asarray(t * t * (3 - 2 * t))
