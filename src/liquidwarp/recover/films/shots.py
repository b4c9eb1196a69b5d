"""Where a film is cut: the pictures before and behind a cut have nothing in common but what chance gives.

Method: small grey pictures; each block of one is looked for around its place in the other, and its best correlation
counts, which changes of light leave alone. Motion, shake and zoom move blocks, a cut replaces them. What comes back
within three frames was a flash. Black or empty frames are skipped, so that a fade to black is a cut, too. In a slow
dissolve each picture is a mixture of those before and behind it, which no motion makes.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

__all__ = ["Shots", "find_shots", "same_place", "small_picture"]

_SIDE = 160
"""Longer side of the small pictures [px]."""
_BLOCK = 16
"""Side of a block [px]."""
_REACH = 20
"""How far a block is looked for, to each side [px]."""
_FLAT = 6.0
"""A block with a smaller deviation shows nothing [0..255]."""
_FEWEST = 5
"""A picture with fewer blocks that show something is empty."""
_FEWEST_FADED = 20
"""The same for a picture that is much darker than shortly before: in the few blocks that are left of a fade, chance
finds something in common. Of 18 fades to another film 13 are found without this, all with it."""
_FADED, _FORGETTING = 1 / 3, 0.98
"""So much darker is much, and what is left of the former light after each frame."""
_LOST = 0.8
"""A block whose best correlation is below this is not there any more."""
_MANY_LOST = 0.4
"""More than this share of lost blocks, and a mean correlation below ``_LOST``, is another shot. Real cuts lose 0.51 and
more with a mean of at most 0.75; the fastest dance at 24 frames per second loses 0.31 with 0.84."""
_AROUND = 3
"""Frames on each side that must have nothing in common: a flash lasts no longer."""
_SPANS = (4, 8, 12)
"""Half lengths of the stretches in which a dissolve is looked for [frames]."""
_MIXED = 0.36
"""A picture whose rest after the mixture is taken away is less than this, as a share of the difference of both ends, is
mixed. Dissolves have 0.18 to 0.33, dances 0.48 and more."""
_LEAST_SHARE = 0.2
"""Of either end in the mixture."""
_ALIKE_ENDS = 0.7
"""Ends that correlate more have no dissolve between them."""
_STILL = 2
"""How far blocks of a place may move if the camera stands still [px]."""
_SAME_PLACE = 0.6
"""Share of the blocks beside the person that are found again in the same place."""

Grey = UInt8[np.ndarray, "h w"]


@dataclass(frozen=True)
class Shots:
    """The shots of a film."""

    starts: tuple[int, ...] = (0,)
    """First frame of each; the first is 0."""
    ends: tuple[tuple[Grey, Grey], ...] = ()
    """Small pictures of the first and the last frame of each, empty ones left out."""

    def __len__(self) -> int:
        return len(self.starts)


def small_picture(rgb: UInt8[np.ndarray, "H W 3"]) -> Grey:
    """A frame as cuts are looked for in it."""
    height, width = rgb.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(2 * _BLOCK, round(width * scale)), max(2 * _BLOCK, round(height * scale)))
    return np.asarray(cv2.cvtColor(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY))


def find_shots(frames: Iterable[UInt8[np.ndarray, "H W 3"]]) -> Shots:
    """Look for the cuts of a film; frames are read once and not kept.

    Args:
        frames: RGB, all of one size.
    """
    starts, first, last = [0], [], []
    before: Grey | None = None
    dissolves = _Dissolves()
    for past, future in _windows(_not_empty(frames)):
        number, grey = future[0]
        change = dissolves.behind(number, grey)
        if before is None:
            first.append(grey)
        elif change is None and _is_cut([one for _, one in past], [one for _, one in future]):
            change = number, before
        if before is not None and change is not None:
            starts.append(change[0])
            first.append(grey)
            last.append(change[1])
            dissolves = _Dissolves()
        before = grey
    if before is None:
        return Shots()
    last.append(before)
    return Shots(tuple(starts), tuple(zip(first, last, strict=True)))


def _not_empty(frames: Iterable[UInt8[np.ndarray, "H W 3"]]) -> Iterator[tuple[int, Grey]]:
    light = 0.0
    for number, rgb in enumerate(frames):
        grey = small_picture(rgb)
        brightest = float(np.percentile(grey, 99))
        light = max(brightest, _FORGETTING * light)
        fewest = _FEWEST_FADED if brightest < _FADED * light else _FEWEST
        if sum(block.std() >= _FLAT for _, _, block in _blocks(grey)) >= fewest:
            yield number, grey


def _windows(
    frames: Iterable[tuple[int, Grey]],
) -> Iterator[tuple[Sequence[tuple[int, Grey]], Sequence[tuple[int, Grey]]]]:
    """For every frame those shortly before it, and it with those shortly behind it."""
    past: deque[tuple[int, Grey]] = deque(maxlen=_AROUND)
    future: deque[tuple[int, Grey]] = deque()
    for frame in frames:
        future.append(frame)
        if len(future) == _AROUND:
            yield past, future
            past.append(future.popleft())
    while future:
        yield past, future
        past.append(future.popleft())


def _is_cut(past: Sequence[Grey], future: Sequence[Grey]) -> bool:
    """Whether nothing before has anything in common with anything behind; the nearest two are compared first."""
    return all(_is_other(one, two) for one in reversed(past) for two in future)


def _is_other(one: Grey, two: Grey) -> bool:
    """Whether neither shows what the other shows: who enters or leaves an empty place is no other shot."""
    return _is_lost(one, two) and _is_lost(two, one)


def _is_lost(one: Grey, two: Grey) -> bool:
    found = _correlations(one, two, _REACH)
    return bool(len(found) >= _FEWEST and found.mean() < _LOST and (found < _LOST).mean() > _MANY_LOST)


def _blocks(grey: Grey) -> Iterator[tuple[int, int, Grey]]:
    height, width = grey.shape
    for y in range(0, height - _BLOCK + 1, _BLOCK):
        for x in range(0, width - _BLOCK + 1, _BLOCK):
            yield y, x, grey[y : y + _BLOCK, x : x + _BLOCK]


def _correlations(one: Grey, two: Grey, reach: int, shown: Bool[np.ndarray, "h w"] | None = None) -> np.ndarray:
    """How well each block of the second picture is found in the first, near its place [-1, 1].

    Args:
        one: A picture.
        two: Another.
        reach: How near [px].
        shown: Blocks count that lie within this for the most part; None: all.
    """
    padded = cv2.copyMakeBorder(one, reach, reach, reach, reach, cv2.BORDER_REFLECT)
    far = _BLOCK + 2 * reach
    best = [
        float(cv2.matchTemplate(padded[y : y + far, x : x + far], block, cv2.TM_CCOEFF_NORMED).max())
        for y, x, block in _blocks(two)
        if block.std() >= _FLAT and (shown is None or shown[y : y + _BLOCK, x : x + _BLOCK].mean() > 0.8)
    ]
    return np.array(best)


def same_place(one: Grey, two: Grey, hidden: tuple[Bool[np.ndarray, "_ _"], Bool[np.ndarray, "_ _"]]) -> bool:
    """Whether two pictures show the same place from the same camera.

    Args:
        one: A small picture.
        two: Another.
        hidden: Where each does not show the place, as the person is there; of any size.
    """
    size = (one.shape[1], one.shape[0])
    taken = [cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0 for mask in hidden]
    found = _correlations(one, two, _STILL, ~(taken[0] | taken[1]))
    return bool(len(found) >= _FEWEST and (found >= _LOST).mean() > _SAME_PLACE)


class _Dissolves:
    """Looks for slow changes from one picture to another since the last cut."""

    def __init__(self) -> None:
        self._frames: deque[tuple[int, Grey]] = deque(maxlen=2 * max(_SPANS) + 1)
        self._middle = (1.0, -1)
        """How unevenly the most even mixture is mixed, and the number of that frame."""

    def behind(self, number: int, grey: Grey) -> tuple[int, Grey] | None:
        """The middle of a dissolve, once it is over, and a picture before it; takes the next frame."""
        self._frames.append((number, grey))
        for span in _SPANS:
            if len(self._frames) <= 2 * span:
                continue
            centre, mixed = self._frames[-1 - span]
            rest, uneven = _mixture(self._frames[-1 - 2 * span][1], mixed, grey)
            if rest < _MIXED:
                self._middle = min(self._middle, (uneven, centre))
        middle = self._middle[1]
        if middle < 0 or number - middle <= max(_SPANS):
            return None
        if _is_other(self._frames[0][1], grey):
            return middle, self._frames[0][1]
        self._middle = (1.0, -1)  # a flash comes back
        return None


def _mixture(one: Grey, mixed: Grey, two: Grey) -> tuple[float, float]:
    """How much of a picture is not a mixture of two others, as a share of their difference, and how uneven it is.

    1 where the two are alike.
    """
    small = [cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).ravel() for grey in (one, mixed, two)]
    start, middle, end = (values.astype(np.float64) - values.mean() for values in small)
    alike = float(start @ end) / max(float(np.linalg.norm(start) * np.linalg.norm(end)), 1e-9)
    if alike > _ALIKE_ENDS or not middle.any():
        return 1.0, 1.0
    ends = np.stack([start, end], 1)
    shares = np.linalg.lstsq(ends, middle, rcond=None)[0]
    if shares.min() < _LEAST_SHARE or not _is_other(one, two):
        return 1.0, 1.0
    rest = float(np.square(middle - ends @ shares).mean() / np.square(middle).mean())
    return rest / (1 - alike), float(abs(shares[0] - shares[1]) / shares.sum())
