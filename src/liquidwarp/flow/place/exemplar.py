"""Inpainting by example: a hole is filled with patches of the same picture, from coarse to fine.

Paper:
    Wexler et al. 2007, "Space-Time Completion of Video", with the nearest-patch search of Barnes et al. 2009,
    "PatchMatch", vectorised: all patches look at the same neighbour's match at the same time. As in Darabi et al.
    2012, "Image Melding", a patch may be brighter or darker than its match, and patches say what the differences
    between pixels are rather than the colours: so there is no step where two matches meet, nor at the border.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int

from liquidwarp.flow.place.poisson import membrane, solve_gradients

__all__ = ["fill_by_example"]

_PATCH = 7
_HALF = _PATCH // 2
_COARSEST = 40
_ROUNDS = (40, 24, 14, 8, 4)
"""Rounds of search and vote per level, from the coarsest; the last counts for all finer ones."""
_NEAR_ROWS = 60.0
"""Weight of the squared vertical distance (in picture heights) between a patch and its match: what is at the height
of the ground should be filled with ground."""
_FREE_BIAS = 0.06
"""Up to here a patch may be brighter or darker than its match at little cost [RGB, 0..1]."""
_BIAS_COST = 0.1
"""What is left of the cost of such a difference."""
_PULL = 1e-4
"""Towards the colours that the patches say, against their differences; see :func:`solve_gradients`."""
_SEARCHED = 512
"""Levels larger than this are only voted for [px]: the coarser one's matches are good enough."""

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass
class _Level:
    """One scale of the picture; ``image`` changes from round to round."""

    image: FloatArray
    hole: npt.NDArray[np.bool_]
    y: IntArray
    """Centres of the patches to fill."""
    x: IntArray
    slot: IntArray
    """(H, W): number of the patch centred there, -1 for none."""
    usable: npt.NDArray[np.bool_]
    """(H, W): whether a patch centred there has no hole in it."""
    mean: FloatArray
    """(H, W, 3): mean of the known patch centred there."""
    stride: int


def fill_by_example(
    image: Float[np.ndarray, "H W 3"],
    hole: Bool[np.ndarray, "H W"],
    useless: Bool[np.ndarray, "H W"] | None = None,
    seed: int = 0,
) -> Float[np.ndarray, "H W 3"]:
    """Fill ``hole`` with patches of the rest of the picture.

    Args:
        image: RGB in [0, 1].
        hole: True = fill.
        useless: True = neither fill nor copy from, such as what was added around a picture.
        seed: Of the random search.

    Returns:
        The picture with the hole filled; unchanged elsewhere.
    """
    if not hole.any() or hole.all():
        return image
    random = np.random.default_rng(seed)
    pyramid = _pyramid(image.astype(np.float32), hole)
    barred = np.zeros(hole.shape, np.uint8) if useless is None else useless.astype(np.uint8)
    coarsest, coarse_hole = pyramid[-1]
    current = membrane(coarsest, coarse_hole)
    match: IntArray | None = None
    last: _Level | None = None
    for depth, (known, mask) in enumerate(reversed(pyramid)):
        height, width = mask.shape
        if depth:
            grown = cv2.resize(current, (width, height), interpolation=cv2.INTER_LINEAR)
            current = np.where(mask[..., None], grown, known)
        level = _level(current, mask, stride=2 if max(height, width) > 160 else 1)
        touches = cv2.resize(barred, (width, height), interpolation=cv2.INTER_AREA)
        level.usable &= cv2.dilate(touches, np.ones((_PATCH, _PATCH), np.uint8)) == 0
        if len(level.y) == 0 or not level.usable.any():
            continue
        match = _start(level, last, match, random)
        for _ in range(_ROUNDS[min(depth, len(_ROUNDS) - 1)] if max(height, width) <= _SEARCHED else 1):
            match, distance = _search(level, match, random, wide=max(height, width) <= _SEARCHED)
            level.image, *_ = _vote(level, match, distance)
        level.image = _meld(level, match, distance, touches > 0)
        current, last = level.image, level
    return np.where(hole[..., None], current, image).clip(0, 1).astype(image.dtype)


def _pyramid(image: FloatArray, hole: Bool[np.ndarray, "H W"]) -> list[tuple[FloatArray, npt.NDArray[np.bool_]]]:
    levels = [(image, hole)]
    while min(levels[-1][1].shape) >= 2 * _COARSEST:
        known, mask = levels[-1]
        size = (mask.shape[1] // 2, mask.shape[0] // 2)
        weight = 1 - mask.astype(np.float32)
        share = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
        mean = cv2.resize(known * weight[..., None], size, interpolation=cv2.INTER_AREA)
        levels.append(((mean / np.maximum(share, 1e-3)[..., None]).astype(np.float32), share < 0.5))
    return levels


def _level(image: FloatArray, hole: npt.NDArray[np.bool_], stride: int) -> _Level:
    touches = cv2.dilate(hole.astype(np.uint8), np.ones((_PATCH, _PATCH), np.uint8)) > 0
    inner = np.zeros_like(hole)
    inner[_HALF:-_HALF, _HALF:-_HALF] = True
    wanted = touches & inner
    if stride > 1:
        lattice = np.zeros_like(hole)
        lattice[::stride, ::stride] = True
        wanted &= lattice
    y, x = np.nonzero(wanted)
    slot = np.full(hole.shape, -1, np.int64)
    slot[y, x] = np.arange(len(y))
    mean: FloatArray = cv2.blur(image, (_PATCH, _PATCH)).astype(np.float32)
    return _Level(image, hole, y, x, slot, ~touches & inner, mean, stride)


def _start(
    level: _Level, coarser: _Level | None, match: IntArray | None, random: np.random.Generator
) -> Int[np.ndarray, "N 2"]:
    """The coarser level's matches, twice as large; random ones where there are none."""
    height, width = level.hole.shape
    places = np.argwhere(level.usable)
    start = places[random.integers(0, len(places), len(level.y))]
    if coarser is None or match is None:
        return start
    rows, columns = coarser.slot.shape
    step = coarser.stride
    y = np.minimum(level.y // 2 // step * step, rows - 1)
    x = np.minimum(level.x // 2 // step * step, columns - 1)
    slot = coarser.slot[y, x]
    found = match[slot.clip(0)] * 2 + np.stack([level.y - 2 * y, level.x - 2 * x], 1)
    found = np.clip(found, _HALF, [height - 1 - _HALF, width - 1 - _HALF])
    good = (slot >= 0) & level.usable[found[:, 0], found[:, 1]]
    return np.where(good[:, None], found, start)


def _search(
    level: _Level, match: IntArray, random: np.random.Generator, wide: bool
) -> tuple[Int[np.ndarray, "N 2"], Float[np.ndarray, "N"]]:
    """Better matches: the neighbours' moved by one, and random ones in a shrinking window if ``wide``."""
    height, width = level.hole.shape
    flat, means = level.image.reshape(-1, 3), level.mean.reshape(-1, 3)
    offset = (np.arange(-_HALF, _HALF + 1)[:, None] * width + np.arange(-_HALF, _HALF + 1)).ravel()
    own = flat.take((level.y * width + level.x)[:, None] + offset, axis=0)
    own_mean = own.mean(1)

    def distance(patch: IntArray, place: IntArray) -> FloatArray:
        centre = place[:, 0] * width + place[:, 1]
        other = flat.take(centre[:, None] + offset, axis=0)
        other -= own[patch]
        rows = (place[:, 0] - level.y[patch]).astype(np.float32) / height
        bias = means.take(centre, axis=0) - own_mean[patch]
        forgiven = (1 - _BIAS_COST) * len(offset) * np.square(bias.clip(-_FREE_BIAS, _FREE_BIAS)).sum(1)
        cost: FloatArray = np.einsum("nkc,nkc->n", other, other) - forgiven + _NEAR_ROWS * rows * rows
        return cost.clip(0)

    best = match.copy()
    cost = distance(np.arange(len(best)), best)

    def offer(place: IntArray, allowed: npt.NDArray[np.bool_]) -> None:
        place = np.clip(place, _HALF, [height - 1 - _HALF, width - 1 - _HALF])
        patch = np.flatnonzero(allowed & level.usable[place[:, 0], place[:, 1]])
        new = distance(patch, place[patch])
        better = new < cost[patch]
        cost[patch[better]] = new[better]
        best[patch[better]] = place[patch[better]]

    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        dy, dx = dy * level.stride, dx * level.stride
        neighbour = level.slot[(level.y + dy).clip(0, height - 1), (level.x + dx).clip(0, width - 1)]
        offer(best[neighbour.clip(0)] - np.array([dy, dx]), neighbour >= 0)
    radius = max(height, width) if wide else 0
    everything = np.ones(len(best), bool)
    while radius >= 2:
        offer(best + random.integers(-radius, radius + 1, best.shape), everything)
        radius //= 3
    return best, cost


def _vote(level: _Level, match: IntArray, distance: FloatArray, differences: bool = False) -> tuple[FloatArray, ...]:
    """Each pixel of the hole becomes the mean of what the patches over it say; good matches count most.

    With ``differences`` also what they say about the differences to the neighbours on the right and below.
    """
    height, width = level.hole.shape
    flat = level.image.reshape(-1, 3)
    depth = cv2.distanceTransform(level.hole.astype(np.uint8), cv2.DIST_L2, 3)[level.y, level.x]
    typical = max(float(np.percentile(distance, 50)), 1e-3)
    weight = np.exp(-distance / typical) * 1.2**-depth + 1e-9
    target, source = level.y * width + level.x, match[:, 0] * width + match[:, 1]
    own_mean = cv2.blur(level.image, (_PATCH, _PATCH)).reshape(-1, 3)[target]
    bias = (own_mean - level.mean.reshape(-1, 3)[source]).clip(-_FREE_BIAS, _FREE_BIAS)
    steps = (0, 1, width) if differences else (0,)
    totals = [np.zeros(height * width) for _ in steps]
    sums = [np.zeros((3, height * width)) for _ in steps]
    for dy in range(-_HALF, _HALF + 1):
        for dx in range(-_HALF, _HALF + 1):
            shift = dy * width + dx
            said = flat.take(source + shift, axis=0)
            for step, total, colour in zip(steps, totals, sums, strict=True):
                if (step == 1 and dx == _HALF) or (step == width and dy == _HALF):
                    continue
                value = said + bias if step == 0 else flat.take(source + shift + step, axis=0) - said
                total += np.bincount(target + shift, weight, height * width)
                for c in range(3):
                    colour[c] += np.bincount(target + shift, weight * value[:, c], height * width)
    means = [
        (colour / np.maximum(total, 1e-12)).T.reshape(height, width, 3).astype(np.float32)
        for total, colour in zip(totals, sums, strict=True)
    ]
    replace = level.hole & (totals[0].reshape(height, width) > 1e-12)
    return (np.where(replace[..., None], means[0], level.image), *means[1:])


def _meld(level: _Level, match: IntArray, distance: FloatArray, ignored: npt.NDArray[np.bool_]) -> FloatArray:
    """The picture whose differences are those that the patches say, without a step at the hole's border."""
    colours, right, down = _vote(level, match, distance, differences=True)
    return solve_gradients(colours, level.hole, right[:, :-1], down[:-1], _PULL, ignored)
