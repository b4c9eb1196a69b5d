"""Does the result flicker? Each frame is compared with the one before, moved to it by optical flow.

Paper:
    The warping error of Lai et al. 2018, "Learning Blind Video Temporal Consistency", with the dense flow of Kroeger
    et al. 2016 (DIS). What moves smoothly has none; what pops, shimmers or changes its brightness has. The driving
    video's own figure says how much of it is noise, blur and the flow's errors.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from liquidwarp.errors import MediaError
from liquidwarp.files import atomic_path, prepare_target
from liquidwarp.media import open_frames

__all__ = ["Flicker", "FlickerReport", "evaluate_flicker", "flicker_of"]

_SIZE = 512
"""Longest side at which frames are compared [px]: the same for videos of any size."""
_CONSISTENT = 1.0
"""Flow there and back ends this near to its start [px], or the place is hidden in one of the two frames."""
_MOVING = 0.5
"""What moves at least this far from frame to frame [px] moves."""
_AROUND = 9
"""Places this near to one that moves count with it [px]."""


@dataclass(frozen=True)
class Flicker:
    """How much a video changes beyond its motion; grey levels 0..255, mean over the neighbouring pairs of frames."""

    name: str
    frames: int
    error: float
    """Mean absolute difference to the frame before, moved along."""
    high: float
    """95th percentile of the pairs' errors: single jumps."""
    moving: float | None
    """The same as ``error`` where the picture moves, and close by; None if nothing moves."""
    lost: float
    """Share of pixels that the flow cannot follow, which are left out: hidden places, and what pops up."""


@dataclass(frozen=True)
class FlickerReport:
    """One line per video."""

    rows: tuple[Flicker, ...]

    def __str__(self) -> str:
        width = max(len("video"), *(len(row.name) for row in self.rows))
        lines = [
            f"| {'video':{width}} | frames | error | 95 % | moving | lost |",
            f"|{'-' * (width + 2)}|-------:|------:|-----:|-------:|-----:|",
        ]
        for row in self.rows:
            moving = "-" if row.moving is None else f"{row.moving:.2f}"
            figures = f"{row.frames:6d} | {row.error:5.2f} | {row.high:4.1f} | {moving:>6} | {row.lost:4.0%}"
            lines.append(f"| {row.name:{width}} | {figures} |")
        return "\n".join(lines)


def evaluate_flicker(paths: Sequence[Path], out: Path | None = None, max_frames: int | None = None) -> FlickerReport:
    """Compare results with their driving video; all are read at the first one's frame rate.

    Args:
        paths: Videos or folders of frames.
        out: A folder for the figures as JSON.
        max_frames: Only the first frames.

    Raises:
        MediaError: one cannot be read, or has a single frame.
    """
    fps = open_frames(paths[0]).fps
    report = FlickerReport(tuple(flicker_of(path, fps, max_frames) for path in paths))
    if out is not None:
        target = out / "flicker.json"
        prepare_target(target)
        with atomic_path(target) as partial:
            partial.write_text(json.dumps([asdict(row) for row in report.rows], indent=1))
    return report


def flicker_of(path: Path, fps: float | None = None, max_frames: int | None = None) -> Flicker:
    """Measure one video; two frames are in memory at a time.

    Args:
        path: A video or a folder of frames.
        fps: Frames per second at which it is read; None: its own.
        max_frames: Only the first frames.

    Raises:
        MediaError: it cannot be read, or has a single frame.
    """
    frames = open_frames(path, fps, max_frames)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    errors, moving, lost = [], [], []
    before: UInt8[np.ndarray, "H W 3"] | None = None
    for frame in frames:
        now = _reduced(frame)
        if before is not None:
            difference, trusted, moves = _compare(flow, before, now)
            errors.append(float(difference[trusted].mean()) if trusted.any() else 0.0)
            lost.append(1 - float(trusted.mean()))
            if (trusted & moves).sum() > 0.001 * moves.size:
                moving.append(float(difference[trusted & moves].mean()))
        before = now
    if not errors:
        raise MediaError(f"{path}: expected at least two frames to compare, got one.")
    return Flicker(
        name=path.name,
        frames=len(errors) + 1,
        error=float(np.mean(errors)),
        high=float(np.percentile(errors, 95)),
        moving=float(np.mean(moving)) if moving else None,
        lost=float(np.mean(lost)),
    )


def _reduced(frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    factor = _SIZE / max(frame.shape[:2])
    if factor >= 1:
        return frame
    size = (max(16, round(frame.shape[1] * factor)), max(16, round(frame.shape[0] * factor)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def _compare(
    flow: cv2.DISOpticalFlow, before: UInt8[np.ndarray, "H W 3"], now: UInt8[np.ndarray, "H W 3"]
) -> tuple[Float32[np.ndarray, "H W"], Bool[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]:
    """The difference to the frame before, where it can be trusted, and where the picture moves."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, now)]
    back = flow.calc(grey[1], grey[0], None)  # type: ignore[call-overload]  # from a pixel of now to where it was
    forth = flow.calc(grey[0], grey[1], None)  # type: ignore[call-overload]
    height, width = grey[0].shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = columns + back[..., 0], rows + back[..., 1]
    moved = cv2.remap(before, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    returned = cv2.remap(forth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    trusted = inside & (np.linalg.norm(back + returned, axis=-1) < _CONSISTENT)
    difference = np.abs(now.astype(np.float32) - moved.astype(np.float32)).mean(-1)
    moves = (np.linalg.norm(back, axis=-1) > _MOVING).astype(np.uint8)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _AROUND + 1, 2 * _AROUND + 1))
    return difference.astype(np.float32), np.asarray(trusted), np.asarray(cv2.dilate(moves, around) > 0)
