"""Is somebody found who is so near that the body does not fit into the picture?

Faces, heads and chests are cut out around the landmarks that the whole pictures show, so a person is in every one of
them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from liquidwarp.errors import NoPersonFoundError
from liquidwarp.evaluate.cut_films import reduced
from liquidwarp.media import open_frames
from liquidwarp.recover.detection.detections import BODY_LANDMARKS, Detections
from liquidwarp.recover.films.shots import find_shots
from liquidwarp.recover.tracking.tracker import PersonDetector

__all__ = ["EVERY", "KINDS", "CloseUp", "CloseUps", "cut_out", "find_close_ups"]

EVERY = 4
"""Every fourth frame is looked at."""
_ASPECT = 4 / 3
"""Width of a close-up over its height."""
_HEIGHT = 480
"""Close-ups that are smaller are enlarged to this [px]."""
KINDS = {"face": 0.6, "head": 1.0, "chest": 1.4}
"""How much a close-up shows [lengths of the trunk]; the whole body has 3.3 or so."""
_SIDE = 1280
"""Longer side of the pictures from which it is cut out, at most [px]."""
_EARS, _SHOULDERS, _HIPS = (
    [BODY_LANDMARKS.index(f"{side}_{part}") for side in ("left", "right")] for part in ("ear", "shoulder", "hip")
)
_DOWN = 0.3
"""Where the middle of a chest is, from the shoulders (0) to the hips (1)."""

Frame = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True)
class CloseUp:
    """How often the person is found in the close-ups of one video."""

    video: str
    shows: str
    """face, head or chest."""
    frames: int
    found: float
    """Share [0, 1]."""


@dataclass(frozen=True)
class CloseUps:
    """The figure and what it stands for."""

    figure: CloseUp
    pictures: tuple[Frame, ...]
    found: tuple[bool, ...]
    """Per picture."""


def find_close_ups(
    path: Path,
    detector: PersonDetector,
    max_frames: int | None = None,
    progress: Callable[[], object] | None = None,
) -> list[CloseUps]:
    """Cut faces, heads and chests out of a video and look for the person in them.

    Args:
        path: A video or a folder of frames.
        detector: Looks at the whole pictures, and at the close-ups.
        max_frames: Only the first frames.
        progress: Called after each picture that was looked at.

    Raises:
        MediaError: it cannot be read.
        NoPersonFoundError: nobody is found in the whole pictures.
    """
    source = open_frames(path, None, max_frames)
    frames = [reduced(frame, _SIDE) for number, frame in enumerate(source) if number % EVERY == 0]
    whole = _detect(detector, frames, source.fps / EVERY, progress)
    seen = whole.found.tolist()
    shown = [frame for frame, found in zip(frames, seen, strict=True) if found]
    points = whole.xy[whole.found].double().numpy()
    return [_look(path.name, shows, shown, points, source.fps / EVERY, detector, progress) for shows in KINDS]


def _look(
    video: str,
    shows: str,
    frames: list[Frame],
    points: Float[np.ndarray, "T P 2"],
    fps: float,
    detector: PersonDetector,
    progress: Callable[[], object] | None,
) -> CloseUps:
    pictures = cut_out(frames, points, shows)
    try:
        found = tuple(_detect(detector, pictures, fps, progress).found.tolist())
    except NoPersonFoundError:
        found = (False,) * len(pictures)
    return CloseUps(CloseUp(video, shows, len(found), sum(found) / len(found)), tuple(pictures), found)


def _detect(
    detector: PersonDetector, frames: list[Frame], fps: float, progress: Callable[[], object] | None
) -> Detections:
    size = (frames[0].shape[1], frames[0].shape[0])
    told = None if progress is None else (lambda _: progress())
    return detector.detect_frames(frames, size, fps, progress=told, shots=find_shots(frames))


def cut_out(frames: Iterable[Frame], points: Float[np.ndarray, "T P 2"], shows: str) -> list[Frame]:
    """Close-ups of one size and scale that follow the person.

    Args:
        frames: Pictures of one size.
        points: The landmarks of the body in each [px].
        shows: face, head or chest.
    """
    ears, shoulders, hips = (points[:, pair].mean(1) for pair in (_EARS, _SHOULDERS, _HIPS))
    trunk = float(np.median(np.linalg.norm(hips - shoulders, axis=1)))
    middles = shoulders + _DOWN * (hips - shoulders) if shows == "chest" else ears
    pictures = []
    for frame, (x, y) in zip(frames, middles, strict=True):
        height = max(8.0, min(KINDS[shows] * trunk, len(frame), frame.shape[1] / _ASPECT))
        side = (int(height * _ASPECT), int(height))
        left, top = (
            int(np.clip(centre - length / 2, 0, whole - length))
            for centre, length, whole in zip((x, y), side, (frame.shape[1], frame.shape[0]), strict=True)
        )
        cut = np.ascontiguousarray(frame[top : top + side[1], left : left + side[0]])
        if side[1] < _HEIGHT:
            cut = np.asarray(cv2.resize(cut, (round(_HEIGHT * _ASPECT), _HEIGHT), interpolation=cv2.INTER_CUBIC))
        pictures.append(cut)
    return pictures
