"""Films with known cuts, made of a few videos: what an editor does, and what only looks like it.

A film makes each of its frames when it is asked for; nothing is written anywhere.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

__all__ = ["LEAST_FRAMES", "Clip", "Film", "make_films", "reduced"]

LEAST_FRAMES = 48
"""Of a video from which films are made."""
_PIECE = 12
"""Frames between two hard cuts."""
_DISSOLVES = (6, 12, 24)
"""Frames in which one video goes over into the other."""
_FADES = (6, 20)
"""Frames in which a video gets black, and in which the next one comes out of it."""
_STEADY = 16
"""Frames before and behind a slow change."""
_LEFT_OUT = (6, 3)
"""This part of a video, a sixth or a third, is left out at a jump cut."""
_FLASHES = (8, 24, 25)
"""Frames that are flashes, of one and of two frames."""
_BRIGHTER = 150
"""By how much a flash is brighter [0..255]."""
_CROP = 0.6
"""Share of each side that a moved camera sees."""
_PAN = 0.08
"""Speed of a fast pan along the longer side [its length in view per frame]."""
_SHAKE = 0.06
"""Of a hand-held camera, to each side [the length in view], anew in each frame."""
_ZOOM = (24, 0.5)
"""Frames in which the camera gets nearer, and the share of each side that it sees in the end; then it goes back."""

Frame = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True)
class Clip:
    """The beginning of a video."""

    name: str
    frames: tuple[Frame, ...]
    """At least ``LEAST_FRAMES``."""


@dataclass(frozen=True)
class Film:
    """Frames whose cuts are known."""

    kind: str
    name: str
    """What it is made of."""
    length: int
    """Frames."""
    picture: Callable[[int], Frame]
    """The frame with a number from 0 on."""
    cuts: tuple[tuple[int, int], ...] = ()
    """Per cut the first and the last frame that may be said to begin the next shot."""

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Frame]:
        return map(self.picture, range(self.length))

    def judge(self, starts: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Compare found shots with the true ones; a cut is found once, a second start there is a false one.

        Args:
            starts: First frames of the shots, with or without 0.

        Returns:
            Middles of the cuts that were missed, and starts where no cut is.
        """
        false = sorted(set(starts) - {0})
        missed = []
        for first, last in self.cuts:
            here = [start for start in false if first <= start <= last]
            if here:
                false.remove(here[0])
            else:
                missed.append((first + last) // 2)
        return tuple(missed), tuple(false)


def reduced(frame: Frame, side: int) -> Frame:
    """A frame whose longer side has at most so many pixels."""
    factor = side / max(frame.shape[:2])
    return frame if factor >= 1 else _resized(frame, round(frame.shape[1] * factor), round(frame.shape[0] * factor))


def make_films(clips: Sequence[Clip]) -> list[Film]:
    """All kinds of films; each clip is joined with the next one, the last with the first.

    Args:
        clips: At least two.
    """
    films: list[Film] = [Film("as they are", clip.name, len(clip.frames), clip.frames.__getitem__) for clip in clips]
    pairs = [(one, _like(one, clips[(index + 1) % len(clips)])) for index, one in enumerate(clips)]
    films += [_cut(*pair) for pair in pairs]
    films += [_dissolved(*pair, length) for length in _DISSOLVES for pair in pairs]
    films += [_faded(*pair, length) for length in _FADES for pair in pairs]
    films += [_jumping(clip, part) for part in _LEFT_OUT for clip in clips]
    films += [_faded(clip, clip, length) for length in _FADES for clip in clips]
    for make in (_flashing, _panned, _shaken, _zoomed):
        films += [make(clip) for clip in clips]
    return films


def _like(model: Clip, clip: Clip) -> Clip:
    """As much as is needed of a clip in the size of another one: scaled to cover it, the rest cut off."""
    height, width = model.frames[0].shape[:2]
    return Clip(clip.name, tuple(_covering(frame, width, height) for frame in clip.frames[:LEAST_FRAMES]))


def _covering(frame: Frame, width: int, height: int) -> Frame:
    scale = max(width / frame.shape[1], height / frame.shape[0])
    across, down = min(frame.shape[1], round(width / scale)), min(frame.shape[0], round(height / scale))
    left, top = (frame.shape[1] - across) // 2, (frame.shape[0] - down) // 2
    return _resized(frame[top : top + down, left : left + across], width, height)


def _resized(frame: Frame, width: int, height: int) -> Frame:
    way = cv2.INTER_AREA if width < frame.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, (width, height), interpolation=way))


def _cut(one: Clip, two: Clip) -> Film:
    """There and back: three hard cuts, each video goes on where it was left."""

    def picture(number: int) -> Frame:
        piece, place = divmod(number, _PIECE)
        return (one, two)[piece % 2].frames[piece // 2 * _PIECE + place]

    cuts = tuple((number, number) for number in (_PIECE, 2 * _PIECE, 3 * _PIECE))
    return Film("hard cuts", f"{one.name}, {two.name}", 4 * _PIECE, picture, cuts)


def _dissolved(one: Clip, two: Clip, length: int) -> Film:
    def picture(number: int) -> Frame:
        share = min(max((number - _STEADY + 1) / (length + 1), 0.0), 1.0)
        before = one.frames[min(number, _STEADY + length)]
        behind = two.frames[max(number - _STEADY, 0)]
        return np.asarray(cv2.addWeighted(before, 1 - share, behind, share, 0))

    cuts = ((_STEADY, _STEADY + length),)
    return Film(f"dissolve, {length} frames", f"{one.name}, {two.name}", 2 * _STEADY + length, picture, cuts)


def _faded(one: Clip, two: Clip, length: int) -> Film:
    """Through black from one clip to another, which is a cut, or on in the same one, which is none."""
    dark = _STEADY + length

    def picture(number: int) -> Frame:
        light = min(abs(number - dark + 0.5) / length, 1.0)
        same = one is two
        frame = (one if number < dark else two).frames[number if number < dark or same else number - dark]
        return np.asarray(cv2.convertScaleAbs(frame, alpha=light))

    if one is two:
        return Film("fade and back", one.name, min(2 * dark, len(one.frames)), picture)
    cuts = ((dark - length // 2, dark + length),)
    return Film(f"fade, {length} frames", f"{one.name}, {two.name}", 2 * dark, picture, cuts)


def _jumping(clip: Clip, part: int) -> Film:
    count = len(clip.frames)
    before, left_out = count // 3, count // part

    def picture(number: int) -> Frame:
        return clip.frames[number if number < before else number + left_out]

    name = f"{clip.name}, {left_out} frames left out"
    return Film("jump cut", name, count - left_out, picture, ((before, before),))


def _flashing(clip: Clip) -> Film:
    def picture(number: int) -> Frame:
        frame = clip.frames[number]
        return np.asarray(cv2.convertScaleAbs(frame, beta=_BRIGHTER)) if number in _FLASHES else frame

    return Film("flashes", clip.name, LEAST_FRAMES, picture)


def _view(frame: Frame, share: float, across: float, down: float) -> Frame:
    """What a camera sees that looks at a share of each side, from the left or upper end (0) to the other one (1)."""
    height, width = frame.shape[:2]
    seen = (max(1, round(share * width)), max(1, round(share * height)))
    left, top = round(across * (width - seen[0])), round(down * (height - seen[1]))
    cut_out = np.ascontiguousarray(frame[top : top + seen[1], left : left + seen[0]])
    return _resized(cut_out, round(_CROP * width), round(_CROP * height))


def _panned(clip: Clip) -> Film:
    """To and fro, along the longer side."""
    step = _PAN * _CROP / (1 - _CROP)
    upright = clip.frames[0].shape[0] > clip.frames[0].shape[1]

    def picture(number: int) -> Frame:
        place = abs((number * step + 1) % 2 - 1)
        across, down = (0.5, place) if upright else (place, 0.5)
        return _view(clip.frames[number], _CROP, across, down)

    return Film("fast pan", clip.name, len(clip.frames), picture)


def _shaken(clip: Clip) -> Film:
    reach = _SHAKE * _CROP / (1 - _CROP)
    places = 0.5 + np.random.default_rng(0).uniform(-reach, reach, (len(clip.frames), 2))

    def picture(number: int) -> Frame:
        return _view(clip.frames[number], _CROP, *places[number])

    return Film("shake", clip.name, len(clip.frames), picture)


def _zoomed(clip: Clip) -> Film:
    frames, nearest = _ZOOM

    def picture(number: int) -> Frame:
        progress = 1 - abs(number / frames % 2 - 1)
        return _view(clip.frames[number], nearest**progress, 0.5, 0.5)

    return Film("zoom", clip.name, len(clip.frames), picture)
