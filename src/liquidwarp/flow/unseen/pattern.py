"""Patterned cloth goes on around a tube as a pattern: stripes, checks, dots, camouflage.

What is even up to both borders of what is seen goes on as it is there; a print in its middle stays in front
(:mod:`liquidwarp.flow.unseen.tubes`). A pattern is as uneven at the borders as in the middle. Its hidden side is the
mirror image of the whole seen one, the same for all rows of a garment, so that stripes along the body stay straight.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_propagation, label, median_filter, uniform_filter1d

__all__ = ["mirror_pattern", "patterned_rows"]

FloatArray = npt.NDArray[np.float32]

_NEAR = (6, 9)
"""Rows and columns around a cell within which its surroundings are even or not: 5 cm on a trunk."""
_UNEVEN = 0.075
"""From this standard deviation on [RGB, 0..1] they are more than folds."""
_SIDE = 28
"""Columns beside each border that are asked for themselves: 40 degrees."""
_NARROWEST = 18
"""Rings of which fewer columns are seen tell nothing."""
_ROWS = 8
"""Shares are averaged over so many rows above and below."""
_NONE, _FEW = 1, 4
"""Fewer cells per row in a side or in the middle, and in all, tell nothing."""
_MOSTLY, _PARTLY = 0.5, 0.3
"""A pattern is uneven in the first share of either side and of the middle; beside such rows the second is enough."""
_TALL, _SHORT = 28, 10
"""It does so over at least so many rows: a belt or a hem does not. Beside a pattern the second share and fewer do."""
_WHOLE = 80
"""With the rows beside them these are at least so many, half a tube: in an open jacket or below a necklace they are
not."""
_EVEN_SPAN = 21
"""Rows over which the width of what is seen is smoothed."""
_INSET = 2
"""So many columns within its borders begins the mirror image: the outermost may show what is behind."""
_ROUNDS = 8
"""How often the two colours are averaged."""
_APART = 0.28
"""By less than this share a garment's sides and its middle differ in how much they have of either one, in the mean."""
_SAMPLES = 200
"""Of the sides about so many colours are asked."""
_LIGHT, _ALIKE = (0.6, 1.6), 0.12
"""So many times as light, and then so near [RGB, Euclidean], a colour is one of theirs."""
_RARE, _PRINT = 0.04, 0.2
"""With a smaller share of theirs it belongs to a print; where more than the second share of the middle does, none."""


def patterned_rows(
    grid: Float[np.ndarray, "R C 3"], known: Bool[np.ndarray, "R C"], likely: bool = False
) -> Bool[np.ndarray, "R"]:
    """Rows in which a tube's cloth has a pattern.

    Args:
        grid: What is seen, RGB in [0, 1].
        known: Where.
        likely: Whether what is worn beside it has one.
    """
    left, width = _seen_spans(known)
    uneven = _unevenness(grid, known) > _UNEVEN
    columns = np.arange(grid.shape[1])
    offset = (columns - left[:, None]) % grid.shape[1]
    side = np.minimum(_SIDE, width // 3)[:, None]
    inside = known & (offset < width[:, None]) & (width[:, None] >= _NARROWEST)
    parts = (offset < side, (offset >= side) & (offset < width[:, None] - side), offset >= width[:, None] - side)
    shares = np.full(len(grid), 1.0)
    for part in parts:
        seen, own = (_over_rows((inside & part & what).sum(1)) for what in (known, uneven))
        shares = np.where(seen > _NONE, np.minimum(shares, own / np.maximum(seen, 1e-6)), shares)
    shares = np.where(_over_rows(inside.sum(1)) > _FEW, shares, 0)
    number, _ = label(shares > (_PARTLY if likely else _MOSTLY))
    tall = np.bincount(number)[number] >= (_SHORT if likely else _TALL)
    rows: npt.NDArray[np.bool_] = binary_propagation(tall & (number > 0), mask=shares > _PARTLY)
    number, garments = label(rows)
    for garment in range(1, garments + 1):
        here = inside & (number == garment)[:, None]
        whole = int((number == garment).sum()) >= _WHOLE
        if not likely and not (whole and _everywhere(grid, here, parts)):
            rows[number == garment] = False
    return rows


def _everywhere(
    grid: Float[np.ndarray, "R C 3"], here: Bool[np.ndarray, "R C"], parts: Sequence[Bool[np.ndarray, "R C"]]
) -> bool:
    """Whether both sides have of the garment's two colours about as much as its middle; patches and panels differ.

    Args:
        grid: What is seen.
        here: Where it is the garment.
        parts: One side, the middle, the other side.
    """
    colours = grid[here]
    first, second = colours.min(0), colours.max(0)
    for _ in range(_ROUNDS):
        lighter = (colours - (first + second) / 2) @ (second - first) > 0
        if lighter.all() or not lighter.any():
            return False
        first, second = colours[~lighter].mean(0), colours[lighter].mean(0)
    picture = np.zeros(here.shape, bool)
    picture[here] = lighter
    one, middle, other = (float(picture[here & part].mean()) if (here & part).any() else np.nan for part in parts)
    return float(np.nanmean([abs(one - middle), abs(other - middle)])) < _APART


def _over_rows(count: Int[np.ndarray, "R"]) -> Float[np.ndarray, "R"]:
    even: npt.NDArray[np.float64] = uniform_filter1d(count.astype(float), 2 * _ROWS + 1)
    return even


def _seen_spans(known: Bool[np.ndarray, "R C"]) -> tuple[Int[np.ndarray, "R"], Int[np.ndarray, "R"]]:
    """First column and width of what each ring's widest gap leaves; widths are 0 where nothing is seen."""
    count = known.shape[1]
    twice = np.concatenate([known, known], 1)
    last = np.maximum.accumulate(np.where(twice, np.arange(2 * count), -1), 1)
    gap = np.where(
        twice[:, count:] & (last[:, count - 1 : -1] >= 0), np.arange(count, 2 * count) - last[:, count - 1 : -1], 0
    )
    left = gap.argmax(1)
    width = np.where(known.any(1), count - gap.max(1) + 1, 0)
    return left, width


def mirror_pattern(
    full: Float[np.ndarray, "R C 3"],
    grid: Float[np.ndarray, "R C 3"],
    known: Bool[np.ndarray, "R C"],
    rows: Bool[np.ndarray, "R"],
) -> Float[np.ndarray, "R C 3"]:
    """The completed tube, whose hidden side is the mirror image of the seen one in the rows of a pattern.

    Args:
        full: Completed as if it were plain, RGB in [0, 1].
        grid: What is seen.
        known: Where.
        rows: From :func:`patterned_rows`.
    """
    result, count = full.copy(), full.shape[1]
    left, width = _seen_spans(known)
    number, garments = label(rows)
    for garment in range(1, garments + 1):
        own = np.flatnonzero(number == garment)
        seen = own[width[own] >= _NARROWEST]
        if len(seen) == 0:
            continue
        middle, span = (
            np.interp(own, seen, part)[:, None] for part in _middle_and_span(left[seen], width[seen], count)
        )
        source = np.where(known[own, :, None], grid[own], full[own]).astype(np.float32)
        aside = np.abs((np.arange(count) - middle + count / 2) % count - count / 2)
        beside = (aside <= span / 2) & (aside > span / 2 - np.minimum(_SIDE, span / 3))
        lent = _without_print(source, known[own] & beside, known[own] & (aside <= span / 2) & ~beside)
        behind = (np.arange(count) - middle) % count - count / 2
        column = middle - np.sign(behind) * _in_front(np.abs(behind), span / 2, (count - span) / 2)
        hidden = ~known[own] & (aside > span / 2)
        result[own] = np.where(hidden[..., None], _across(lent, column % count), source)
    return result


def _in_front(
    behind: Float[np.ndarray, "K C"], seen: Float[np.ndarray, "K 1"], hidden: Float[np.ndarray, "K 1"]
) -> Float[np.ndarray, "K C"]:
    """How far from the middle of what is seen lies what comes so far from the middle of what is hidden [columns].

    Nothing is stretched: what is missing is mirrored once more, beside the borders.

    Args:
        behind: At most ``hidden``.
        seen: Half the width of what is seen; its border comes to the border.
        hidden: Half the width of the other side.
    """
    place = np.minimum(behind, seen + hidden - behind) / seen
    return np.where(hidden > seen, seen * (np.abs((place - 1) % 4 - 2) - 1), behind * seen / hidden)


def _without_print(
    source: Float[np.ndarray, "K C 3"], beside: Bool[np.ndarray, "K C"], middle: Bool[np.ndarray, "K C"]
) -> Float[np.ndarray, "K C 3"]:
    """The same without what has colours in its middle that its sides lack: letters stay in front."""
    some = source[beside][:: max(1, int(beside.sum()) // _SAMPLES)]
    if len(some) == 0 or not middle.any():
        return source
    own = source[middle]
    product = own @ some.T
    gain = (product / np.square(some).sum(1).clip(1e-4)).clip(*_LIGHT)
    apart = np.square(own).sum(1)[:, None] - 2 * gain * product + np.square(gain) * np.square(some).sum(1)
    strange = np.zeros(middle.shape, np.uint8)
    strange[middle] = (apart < _ALIKE**2).mean(1) < _RARE
    if strange.sum() > _PRINT * middle.sum():
        return source
    wide = cv2.dilate(strange, np.ones((3, 3), np.uint8))
    picture = (source.clip(0, 1) * 255).round().astype(np.uint8)
    painted = cv2.inpaint(picture, wide, 3, cv2.INPAINT_TELEA).astype(np.float32) / 255
    return np.where(wide[..., None] > 0, painted, source)


def _middle_and_span(
    left: Int[np.ndarray, "K"], width: Int[np.ndarray, "K"], count: int
) -> tuple[Float[np.ndarray, "K"], Float[np.ndarray, "K"]]:
    """Middle and width of what is seen, which change slowly from row to row [columns]."""
    middle = left + (width - 1) / 2
    first = float(np.median(middle))
    near = (middle - first + count / 2) % count - count / 2 + first
    row = np.arange(len(near)) - len(near) / 2
    slope, level = np.polyfit(row, near, 1, w=width) if len(near) > _EVEN_SPAN else (0.0, np.median(near))
    even = median_filter(width - 1.0 - 2 * _INSET, _EVEN_SPAN, mode="nearest")
    even = uniform_filter1d(even, _EVEN_SPAN // 2, mode="nearest")
    return level + slope * row, np.maximum(even, _NARROWEST / 2)


def _unevenness(grid: Float[np.ndarray, "R C 3"], known: Bool[np.ndarray, "R C"]) -> Float[np.ndarray, "R C"]:
    """Standard deviation around each cell, of the channel that has most of it."""
    weight = known.astype(np.float32)
    share = np.maximum(_box(weight), 1e-6)[..., None]
    mean = _box(grid * weight[..., None]) / share
    squares = _box(np.square(grid) * weight[..., None]) / share
    return np.asarray(np.sqrt((squares - np.square(mean)).clip(0).max(2)), np.float32)


def _box(values: FloatArray) -> FloatArray:
    rows, columns = _NEAR
    around = np.concatenate([values[:, -columns:], values, values[:, :columns]], 1)
    blurred = cv2.blur(around, (2 * columns + 1, 2 * rows + 1), borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred[:, columns:-columns], np.float32)


def _across(source: Float[np.ndarray, "K C 3"], column: Float[np.ndarray, "K C"]) -> Float[np.ndarray, "K C 3"]:
    """Each row's colours at these columns."""
    first = np.floor(column).astype(int)
    share = (column - first)[..., None].astype(np.float32)
    row = np.arange(len(source))[:, None]
    count = source.shape[1]
    return (1 - share) * source[row, first % count] + share * source[row, (first + 1) % count]
