"""A video that is written in segments, so that a killed run goes on from the last whole one.

Frames that took long are kept one by one too, until their segment is whole. The result is the same to the last byte,
however often the run was killed.
"""

import json
import logging
import os
import shutil
from fractions import Fraction
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from liquidwarp.files import atomic_path, check_space, is_folder, prepare_target
from liquidwarp.media.audio import AudioTrack
from liquidwarp.media.demuxer import ffmpeg_name, open_input
from liquidwarp.media.writer import CONTAINERS, ImageSequenceWriter, VideoWriter, save_picture

__all__ = ["ResumableWriter", "join_segments"]

_log = logging.getLogger(__name__)
_VIDEO_BYTES = 0.05
"""Per pixel and frame, for pictures with much detail; most need less than half."""
_TRANSPARENT_BYTES = 0.7
"""The same for a video with opacity (ProRes)."""
_STILL_BYTES = 2.0
"""The same for a PNG file."""
_SEGMENT = 48
"""Frames."""
_SLOW = 0.2
"""Frames that take longer on the average of their segment [s] are kept one by one."""


class ResumableWriter:
    """Frames in order to a video or to a folder of PNG files; finished segments survive an interruption.

    The segments lie in a hidden folder beside the target, together with the ``key`` of what is being made. The
    target itself appears when all frames are there; then the hidden folder goes.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "grey.mp4"
        >>> with ResumableWriter(path, fps=25, size=(64, 48), key="grey") as video:
        ...     for _ in range(video.done, 3):
        ...         video.write(np.full((48, 64, 3), 128, np.uint8))
        >>> path.exists()
        True
    """

    def __init__(
        self,
        path: str | Path,
        fps: float | int,
        size: tuple[int, int],
        key: str,
        audio_from: str | Path | None = None,
        resume: bool = True,
        frames: int | None = None,
        alpha: bool = False,
    ) -> None:
        """Check the target and look for an earlier run's segments.

        Args:
            path: .mp4, .m4v, .mov, .mkv or .webm, or a folder for PNG files.
            fps: Frames per second.
            size: (width, height) of the frames [px].
            key: Names what is being made; segments of another key are thrown away.
            audio_from: Take the sound of this video.
            resume: False throws an earlier run's segments away.
            frames: How many there will be: the disk must have room for them.
            alpha: Frames have a fourth channel, their opacity.

        Raises:
            MediaError: unknown suffix, one that cannot hold transparency, the place cannot be written, or the disk is
                too full.
        """
        self.path = Path(path)
        self._stills = is_folder(self.path)
        if self._stills:
            ImageSequenceWriter(self.path)  # checks the target
        else:
            VideoWriter(self.path, fps, size, alpha=alpha)
        self._alpha = alpha
        self._fps, self._size, self._audio_from, self._segment = fps, size, audio_from, _SEGMENT
        self._folder = self.path.with_name(f".{self.path.name}.parts")
        shape = {"size": list(size), "alpha": alpha}
        self._key = {"key": key, "fps": float(fps), **shape, "segment": self._segment, "stills": self._stills}
        self._current: VideoWriter | None = None
        self._began = 0.0  # when the first frame of this segment was asked for
        self.done = self._find_earlier(resume)
        self._count = self.done
        if frames is not None:
            self._check_space(frames)

    def _check_space(self, frames: int) -> None:
        """A video lies on the disk twice while its segments are joined."""
        left, pixels = max(0, frames - self.done), self._size[0] * self._size[1]
        video = _TRANSPARENT_BYTES if self._alpha else _VIDEO_BYTES
        check_space(self.path, pixels * (left * _STILL_BYTES if self._stills else (left + frames) * video))

    def _find_earlier(self, resume: bool) -> int:
        note = self._folder / "key.json"
        try:
            known = json.loads(note.read_text()) == self._key
        except (OSError, ValueError):
            known = False
        if not (known and resume):
            shutil.rmtree(self._folder, ignore_errors=True)
            return 0
        if self._stills:
            return self._leading(lambda i: self._folder / f"{i:06d}.png")
        whole = self._leading(self._segment_path) * self._segment
        return whole + self._leading(lambda i: self._spare_path(whole + i))

    @staticmethod
    def _leading(name: Any) -> int:
        count = 0
        while name(count).exists():
            count += 1
        return count

    def _segment_path(self, index: int) -> Path:
        suffix = self.path.suffix.lower()
        return self._folder / f"{index:05d}{suffix if self._alpha or suffix == '.webm' else '.mp4'}"

    def _spare_path(self, frame: int) -> Path:
        return self._folder / f"frame{frame:06d}.png"

    def __enter__(self) -> "ResumableWriter":
        prepare_target(self.path)
        self._folder.mkdir(exist_ok=True)
        (self._folder / "key.json").write_text(json.dumps(self._key))
        if not self._stills:
            for frame in range(self.done - self.done % self._segment, self.done):
                with Image.open(self._spare_path(frame)) as kept:
                    self._encode(np.asarray(kept), frame)
        self._began = monotonic()
        return self

    def write(self, picture: UInt8[np.ndarray, "H W C"]) -> None:
        """Append a frame, RGB or RGBA; the first one is number ``done``."""
        if self._stills:
            save_picture(self._folder / f"{self._count:06d}.png", picture)
        else:
            self._encode(picture, self._count)
            self._keep_slow(picture)
        self._count += 1
        if self._current is not None and self._count % self._segment == 0:
            self._close_segment()

    def _encode(self, picture: UInt8[np.ndarray, "H W C"], frame: int) -> None:
        if self._current is None:
            segment = self._segment_path(frame // self._segment)
            self._current = VideoWriter(segment, self._fps, self._size, alpha=self._alpha)
            self._current.__enter__()
        self._current.write(picture)

    def _keep_slow(self, picture: UInt8[np.ndarray, "H W C"]) -> None:
        """Keep a frame whose loss would be felt; only one whose segment is kept as a whole so far can be used."""
        place = self._count % self._segment
        fresh = self._count + 1 - max(self.done, self._count - place)
        slow = monotonic() - self._began > fresh * _SLOW
        if slow and (place == 0 or self._spare_path(self._count - 1).exists()):
            save_picture(self._spare_path(self._count), picture)

    def _close_segment(self) -> None:
        if self._current is not None:
            writer, self._current = self._current, None
            writer.__exit__(None, None, None)
            for spare in self._folder.glob("frame*.png"):
                spare.unlink()
        self._began = monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            if self._current is not None:
                self._current.__exit__(kind, error, trace)
            if not self._find_earlier(resume=True):
                shutil.rmtree(self._folder, ignore_errors=True)
            return
        self._close_segment()
        if self._stills:
            self._publish_stills()
        else:
            count = self._leading(self._segment_path)
            whole = self._folder / f"whole{self.path.suffix}"  # a kill while joining leaves nothing beside the target
            join_segments([self._segment_path(i) for i in range(count)], whole, self._fps, self._audio_from)
            os.replace(whole, self.path)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _publish_stills(self) -> None:
        (self._folder / "key.json").unlink()
        if self.path.is_dir():
            shutil.rmtree(self.path)
        os.replace(self._folder, self.path)


def join_segments(segments: list[Path], path: Path, fps: float | int, audio_from: str | Path | None = None) -> None:
    """Join equally encoded videos without encoding again, with the sound of another video.

    Args:
        segments: Videos made by the same settings, in order.
        path: The result; appears whole or not at all.
        fps: Their frame rate.
        audio_from: Take the sound of this video, from its beginning, as long as the frames last.
    """
    rate = Fraction(float(fps)).limit_denominator(1001)
    kind = CONTAINERS[path.suffix.lower()]
    options = {"movflags": "faststart"} if kind in ("mp4", "mov") else {}
    with atomic_path(path) as partial, av.open(ffmpeg_name(partial), "w", format=kind, options=options) as result:
        stream: Any = None
        audio: AudioTrack | None = None
        start = 0
        for segment in segments:
            with open_input(segment) as part:
                given = part.streams.video[0]
                if stream is None:
                    stream = result.add_stream_from_template(given)
                    audio = AudioTrack.open(Path(audio_from), result) if audio_from else None
                frames = 0
                for packet in part.demux(given):
                    if packet.size == 0:
                        continue
                    # Counted in whole frames, whatever clock the segments have.
                    packet.pts, packet.dts = (
                        start + round(Fraction(t) * packet.time_base * rate) for t in (packet.pts, packet.dts)
                    )
                    packet.time_base = 1 / rate
                    packet.duration = 1
                    packet.stream = stream
                    result.mux(packet)
                    frames += 1
                start += frames
            if audio is not None:
                for packet in audio.packets(until=float(start / rate)):
                    result.mux(packet)
        if audio is not None:
            for packet in audio.flush():
                result.mux(packet)
            audio.close()
