"""Light and shade of a tube's made-up colours: as they mostly are at a height, and without steps.

A shadow or a highlight where the seen cloth ends must not spread over the whole back, nor step from ring to ring. See
:mod:`liquidwarp.flow.unseen.tubes`, whose grid of rows and columns (periodic) is meant here.
"""

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float

__all__ = ["evenly_lit", "without_steps"]

FloatArray = npt.NDArray[np.float32]

_SAMPLES, _FEWEST = 200, 4
"""Of a height about so many colours are asked; none of it changes where there are fewer than this."""
_HUE, _SHADE, _COMMON, _EVEN = 0.04, 0.7, 0.1, 0.7
"""Colours whose shares of red, green and blue differ by less, and whose brightness by less [logarithm], are one cloth
in light and shade, if they make up this share of the part; how far shades are evened out."""
_STEPS = 40
"""Made-up colours that are equal in so many steps per channel are judged as one."""
_BAND = 8
"""Rows above and below in which it is judged."""
_EDGE = 3.0
"""Between made-up cells a step in light is a hem if it is so many times smaller than within one seen cloth."""
_PULL, _EXCHANGES = 0.02, 36
"""Light and shade of hidden cells follow what is seen beside them over about 2 / sqrt(pull) cells."""
_RADIUS = 4 / (4 + _PULL)
"""The slowest decline of an error per exchange, where all neighbours are of one cloth."""


def evenly_lit(
    plain: Float[np.ndarray, "R C 3"], colours: Float[np.ndarray, "N 3"], row: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "R C 3"]:
    """Colours with the brightness that their hue mostly has at their height: a shadow at the border does not spread.

    At their height only, as a white shirt above grey trousers has their hue.

    Args:
        plain: Of all cells, RGB in [0, 1].
        colours: Of the seen places.
        row: Where those are.
    """
    order = np.argsort(row)
    seen = colours[order]
    heights = np.arange(len(plain))
    firsts, lasts = np.searchsorted(row[order], (heights - _BAND, heights + _BAND + 1))
    result = plain.copy()
    for height, first, last in zip(heights, firsts, lasts, strict=True):
        some = seen[first : last : max(1, (last - first) // _SAMPLES)]
        if len(some) >= _FEWEST:
            result[height] *= _usual_light(plain[height], some)[:, None]
    return result


def _usual_light(row: Float[np.ndarray, "C 3"], some: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "C"]:
    """By how much each colour is to be brighter, so that it is as bright as those of its hue mostly are."""
    steps = (row * _STEPS).round().clip(0)
    code = (steps.astype(np.int64) << (0, 20, 40)).sum(1)
    _, first, where = np.unique(code, return_index=True, return_inverse=True)
    coarse = steps[first] / _STEPS
    own = coarse.sum(1).clip(0.02)
    light = some.sum(1)
    alike = _nearer((coarse / own[:, None]).T, (some / light[:, None].clip(1e-3)).T, _HUE)
    alike &= np.abs(np.log(light.clip(0.02) / own[:, None])) < _SHADE
    actual = row.sum(1).clip(0.02)
    count = alike.sum(1)
    common = np.flatnonzero(count / len(some) > _COMMON)
    # Those that are alike come first, so that the middle ones are known by their number.
    ordered = np.sort(np.where(alike[common], light, np.inf), axis=1)
    middle = [ordered[np.arange(len(common)), half] for half in ((count[common] - 1) // 2, count[common] // 2)]
    usual = np.full(len(own), np.nan)
    usual[common] = (middle[0] + middle[1]) / 2
    wanted = usual[where]
    return np.asarray((np.where(np.isnan(wanted), actual, wanted) / actual) ** _EVEN, np.float32)


def _nearer(a: Float[np.ndarray, "D M"], b: Float[np.ndarray, "D K"], reach: float) -> Bool[np.ndarray, "M K"]:
    """Which of the points are nearer to each other than this."""
    squared = sum(np.square(p[:, None] - q) for p, q in zip(a, b, strict=True))
    return np.asarray(np.sqrt(squared) < reach)


def without_steps(
    plain: Float[np.ndarray, "R C 3"], grid: Float[np.ndarray, "R C 3"], known: Bool[np.ndarray, "R C"]
) -> Float[np.ndarray, "R C 3"]:
    """Plain colours of hidden cells, in which light and shade change slowly, from what is seen at the border on.

    Cells exchange colours with those neighbours that are of one cloth and are pulled back to their own: so hems stay.

    Args:
        plain: Of all cells, RGB in [0, 1].
        grid: What is seen.
        known: Where.
    """
    share = cv2.blur(known.astype(np.float32), (5, 5))[..., None]
    seen = cv2.blur(grid * known[..., None], (5, 5)) / np.maximum(share, 1e-6)
    # Channels first: whole pictures are added and multiplied much faster than colour by colour.
    start = np.ascontiguousarray(np.where(known[..., None], seen, plain).transpose(2, 0, 1))
    bright = start.sum(0).clip(0.06)
    look = np.concatenate([start / bright / _HUE, (np.log(bright) / _SHADE)[None]])
    right = _one_cloth(look, np.roll(look, -1, 2))
    made_up = ~(known[:-1] | known[1:])
    below = _one_cloth(look[:, :-1], look[:, 1:], np.where(made_up, _EDGE, 1.0).astype(np.float32))
    weights = (right, np.roll(right, 1, 1), np.pad(below, ((0, 1), (0, 0))), np.pad(below, ((1, 0), (0, 0))))
    even = _exchange(start, ~known, weights).transpose(1, 2, 0)
    return np.where(known[..., None], plain, even).astype(np.float32)


def _exchange(
    start: Float[np.ndarray, "3 R C"], own: Bool[np.ndarray, "R C"], weights: tuple[FloatArray, ...]
) -> Float[np.ndarray, "3 R C"]:
    """Chebyshev's semi-iteration: several times fewer exchanges.

    Args:
        start: Colours that cells are pulled back to.
        own: Cells that change.
        weights: How alike each cell's neighbours are to it: at the right, the left, below and above; the first and
            the last column are neighbours.
    """
    total = np.float32(_PULL) + sum(weights)
    pulled = np.float32(_PULL) * start
    # With a margin of one cell, so that neighbours are views.
    colour, before = (np.pad(start, ((0, 0), (1, 1), (1, 1)), mode="edge") for _ in range(2))
    part, mixed = np.empty_like(start), np.empty_like(start)
    step = 1.0
    for _ in range(_EXCHANGES):
        colour[:, :, 0], colour[:, :, -1] = colour[:, :, -2], colour[:, :, 1]
        around = colour[:, 1:-1, 2:], colour[:, 1:-1, :-2], colour[:, 2:, 1:-1], colour[:, :-2, 1:-1]
        np.multiply(weights[0], around[0], out=mixed)
        for weight, neighbour in zip(weights[1:], around[1:], strict=True):
            mixed += np.multiply(weight, neighbour, out=part)
        mixed += pulled
        mixed /= total
        last = before[:, 1:-1, 1:-1]
        mixed -= last
        mixed *= own * np.float32(step)
        last += mixed  # becomes the newest
        colour, before = before, colour
        step = 1 / (1 - _RADIUS**2 * step / (2 if step == 1 else 4))
    return colour[:, 1:-1, 1:-1]


def _one_cloth(
    a: Float[np.ndarray, "4 R C"], b: Float[np.ndarray, "4 R C"], strict: FloatArray | float = 1.0
) -> Float[np.ndarray, "R C"]:
    """1 for looks that are alike, 0 for those that differ; light counts ``strict`` times."""
    apart = a - b
    apart[3] *= strict
    return np.exp(-np.square(apart).sum(0) * 2).astype(np.float32)
