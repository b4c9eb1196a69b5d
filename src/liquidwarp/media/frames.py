"""Frames of a video, of a folder of images or of one photo: one at a time, so that length costs no memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import av
import numpy as np
from jaxtyping import UInt8

from liquidwarp.errors import MediaError, SettingError
from liquidwarp.media.demuxer import open_input
from liquidwarp.media.hdr import ToneMapper, tone_mapper
from liquidwarp.media.images import IMAGE_SUFFIXES, find_images, read_image
from liquidwarp.media.probe import VideoFacts, not_readable, probe_video

__all__ = ["FrameSource", "open_frames"]

STILLS_RATE = 25.0
"""Frames per second at which a folder of images is played."""


@runtime_checkable
class FrameSource(Protocol):
    """Upright frames at a constant rate; every ``for`` loop starts at the first frame again."""

    @property
    def path(self) -> Path:
        """Where the frames come from."""
        ...

    @property
    def name(self) -> str:
        """The file's or folder's name without suffix."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the upright frames [px]."""
        ...

    @property
    def fps(self) -> float:
        """Frames per second."""
        ...

    @property
    def num_frames(self) -> int:
        """How many frames a loop gives."""
        ...

    @property
    def has_audio(self) -> bool:
        """Whether there is sound to go with the frames."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "H W 3"]]: ...


def open_frames(path: str | Path, fps: float | int | None = None, max_frames: int | None = None) -> FrameSource:
    """Open a video of any codec, a folder of equally large images, or a single image.

    Args:
        path: File or folder.
        fps: Resample a video to this rate by its time stamps (nearest frame); None keeps its own average rate. For
            images: the rate at which they are played.
        max_frames: Only the first frames.

    Raises:
        MediaError: no such file, not a video, no frames, cut off or damaged.
        SettingError: a rate or a number of frames that makes no sense.
    """
    path = Path(path)
    if fps is not None and not 0 < fps <= 240:
        raise SettingError(f"fps: expected more than 0 and at most 240 frames per second, got {fps}.")
    if max_frames is not None and max_frames < 1:
        raise SettingError(f"frames: expected at least 1, got {max_frames}.")
    if path.is_dir():
        return _open_stills(path, find_images(path)[:max_frames], float(fps or STILLS_RATE))
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _open_stills(path, [path], float(fps or STILLS_RATE))
    if not path.is_file():
        raise MediaError(f"{path}: no such file or folder. Check the spelling.")
    return _open_video(path, None if fps is None else float(fps), max_frames)


@dataclass(frozen=True)
class _Stills:
    path: Path
    files: tuple[Path, ...]
    size: tuple[int, int]
    fps: float
    has_audio: bool = False

    @property
    def name(self) -> str:
        return self.path.stem if len(self.files) == 1 else self.path.name

    @property
    def num_frames(self) -> int:
        return len(self.files)

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        for file in self.files:
            rgb = read_image(file).rgb
            if rgb.shape[1::-1] != self.size:
                raise MediaError(
                    f"{file}: expected {self.size[0]}x{self.size[1]} pixels like the first image of the folder, got "
                    f"{rgb.shape[1]}x{rgb.shape[0]}. The frames of one video must be equally large."
                )
            yield rgb


@dataclass(frozen=True)
class _Video:
    path: Path
    facts: VideoFacts
    fps: float
    num_frames: int

    @property
    def size(self) -> tuple[int, int]:
        width, height = self.facts.stored
        return (height, width) if self.facts.turns % 2 else (width, height)

    @property
    def has_audio(self) -> bool:
        return self.facts.has_audio

    @property
    def name(self) -> str:
        return self.path.stem

    def __len__(self) -> int:
        return self.num_frames

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        yield from _resample(self._decode(), self, tone_mapper(self.facts.transfer, self.facts.stored))

    def _decode(self) -> Iterator[tuple[float, Any]]:
        """(Seconds since the first frame, frame as stored), in order of time."""
        good = 0
        try:
            with open_input(self.path) as container:
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                for frame in container.decode(stream):
                    if not self.facts.stamped:
                        yield float(good / self.facts.rate), frame
                    elif frame.pts is not None:
                        yield float(frame.pts * frame.time_base - self.facts.start), frame
                    good += 1
        except av.error.FFmpegError as error:
            if not good:
                raise not_readable(self.path, error) from error
            raise _cut_off(self, good) from error


def _open_stills(path: Path, files: list[Path], fps: float) -> _Stills:
    height, width = read_image(files[0]).rgb.shape[:2]
    return _Stills(path, tuple(files), (width, height), fps)


def _open_video(path: Path, fps: float | int | None, max_frames: int | None) -> _Video:
    facts = probe_video(path, None if max_frames is None or fps is None else max_frames / fps + 1)
    rate = fps or float(facts.rate)
    # A last frame counts if at least half of its time is left; the small number absorbs rounded time stamps.
    num_frames = max(1, int(float(facts.end - facts.start) * rate + 0.5 - 1e-3))
    if max_frames is not None:
        num_frames = min(num_frames, max_frames)
    return _Video(path, facts, rate, num_frames)


def _resample(
    decoded: Iterator[tuple[float, Any]], video: _Video, tones: ToneMapper | None
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Give each output time the decoded frame nearest to it."""
    made = 0
    good = 0
    before: Any = None
    before_time = 0.0
    for time, frame in decoded:
        good += 1
        if before is not None:
            middle = (before_time + time) / 2
            while made < video.num_frames and made / video.fps < middle - 1e-6:
                yield _upright(before, video.facts, tones)
                made += 1
            if made == video.num_frames:
                return
        before, before_time = frame, time
    missing = float(video.facts.end - video.facts.start) - before_time
    if before is None or (made < video.num_frames and (video.num_frames - made) / video.fps > missing + 1.0):
        raise _cut_off(video, good)
    for _ in range(video.num_frames - made):
        yield _upright(before, video.facts, tones)


def _upright(frame: Any, facts: VideoFacts, tones: ToneMapper | None) -> UInt8[np.ndarray, "H W 3"]:
    width, height = facts.stored
    stored = frame.to_ndarray(format="rgb24", width=width, height=height) if tones is None else tones(frame)
    rgb = np.rot90(stored, facts.turns)
    return np.ascontiguousarray(rgb[:, ::-1] if facts.flip else rgb)


def _cut_off(video: _Video, good: int) -> MediaError:
    return MediaError(
        f"{video.path}: the video is cut off or damaged: only {good} frames could be read. "
        "Copy or export it again, or limit the number of frames."
    )
