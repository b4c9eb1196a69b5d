"""Videos and image sequences out: they appear whole or not at all."""

import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import av
import numpy as np
from av.video.reformatter import Colorspace
from jaxtyping import UInt8

from liquidwarp.errors import MediaError, ShapeError
from liquidwarp.files import atomic_path, check_target, is_folder, prepare_target, write_error
from liquidwarp.media.audio import AudioTrack
from liquidwarp.media.demuxer import ffmpeg_name
from liquidwarp.media.images import save_image

__all__ = [
    "CONTAINERS",
    "FrameWriter",
    "ImageSequenceWriter",
    "VideoWriter",
    "check_output",
    "open_writer",
    "save_picture",
]

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""FFmpeg's names of the containers."""
_TRANSPARENT = (".mov", ".webm")
_ENCODERS = ("libx264", "h264_videotoolbox", "libopenh264", "mpeg4")
_BT709 = 1
"""FFmpeg's number of this colour space."""
_VP9 = {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "auto-alt-ref": "0"}
"""Constant quality; without alternate frames, which cannot carry an opacity."""
_VP9_COARSER = 8
"""VP9's quality number that looks like one of x264's, minus that one."""

_log = logging.getLogger(__name__)


@runtime_checkable
class FrameWriter(Protocol):
    """A place for frames; used with ``with``."""

    path: Path

    def write(self, picture: UInt8[np.ndarray, "H W C"]) -> None:
        """Append a frame: RGB, or RGBA."""
        ...

    def __enter__(self) -> "FrameWriter": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_writer(
    path: str | Path,
    fps: float | int,
    size: tuple[int, int],
    audio_from: str | Path | None = None,
    alpha: bool = False,
) -> FrameWriter:
    """A video for ``out.mp4``, numbered PNG files for ``out`` (no suffix, or an existing folder).

    Raises:
        MediaError: unknown suffix, one that cannot hold transparency, or the place cannot be written.
    """
    path = Path(path)
    if is_folder(path):
        return ImageSequenceWriter(path)
    return VideoWriter(path, fps, size, audio_from, alpha=alpha)


def check_output(path: str | Path, alpha: bool = False) -> None:
    """Raise now what :func:`open_writer` would raise after hours of work.

    Raises:
        MediaError: unknown suffix, one that cannot hold transparency, or the place cannot be written.
    """
    open_writer(path, fps=25, size=(2, 2), alpha=alpha)


@dataclass(frozen=True)
class _Encoding:
    """How frames become a stream."""

    encoder: str
    pixels: str
    """FFmpeg's name of the pixel format."""
    options: dict[str, str]
    opaque: bool


def _encoding(suffix: str, alpha: bool, quality: int) -> _Encoding:
    if suffix == ".webm":
        pixels = "yuva420p" if alpha else "yuv420p"
        return _Encoding("libvpx-vp9", pixels, {**_VP9, "crf": str(quality + _VP9_COARSER)}, not alpha)
    if alpha:
        return _Encoding("prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16", "vendor": "apl0"}, False)
    encoder = next(name for name in _ENCODERS if name in av.codecs_available)
    return _Encoding(encoder, "yuv420p", {"crf": str(quality), "preset": "fast"} if encoder == "libx264" else {}, True)


class VideoWriter:
    """Write an H.264 video (yuv420p, BT.709, plays everywhere) through a partial file beside the target.

    A ``.webm`` is VP9. Transparent videos are ProRes 4444 (``.mov``) or VP9 (``.webm``), with straight alpha.

    The file takes its name when the ``with`` block ends well; on any error or Ctrl-C nothing is left behind. Sizes
    are made even by repeating the last row or column.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "grey.mp4"
        >>> with VideoWriter(path, fps=25, size=(64, 48)) as video:
        ...     video.write(np.full((48, 64, 3), 128, np.uint8))
        >>> path.exists()
        True
    """

    def __init__(
        self,
        path: str | Path,
        fps: float | int,
        size: tuple[int, int],
        audio_from: str | Path | None = None,
        quality: int = 17,
        alpha: bool = False,
    ) -> None:
        """Check the target; the file is opened by ``with``.

        Args:
            path: .mp4, .m4v, .mov, .mkv or .webm.
            fps: Frames per second.
            size: (width, height) of the frames [px].
            audio_from: Take the sound of this video, from its beginning, as long as the frames last.
            quality: x264's constant rate factor: 0 lossless, 17 visually lossless, 51 worst. ProRes knows none.
            alpha: Frames have a fourth channel, their opacity.

        Raises:
            MediaError: unknown suffix, one that cannot hold transparency, or the place cannot be written.
        """
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in CONTAINERS:
            raise MediaError(
                f"{path}: expected a video name ending in {' '.join(CONTAINERS)}, or a folder for PNG files; "
                f"got '{self.path.suffix}'."
            )
        if alpha and suffix not in _TRANSPARENT:
            raise MediaError(
                f"{path}: '{suffix}' cannot hold transparency. Choose .mov (ProRes 4444), .webm (VP9), or a folder "
                "for PNG files."
            )
        if self.path.is_dir():
            raise MediaError(f"{path}: is a folder. Choose another name for the video.")
        if min(size) < 2:
            raise MediaError(f"{path}: frames of {size[0]}x{size[1]} pixels are too small for a video.")
        check_target(self.path)
        self._rate = Fraction(float(fps)).limit_denominator(1001)
        self._size = size
        self._audio_from = Path(audio_from) if audio_from is not None else None
        self._encoding = _encoding(suffix, alpha, quality)
        self._count = 0
        self._container: Any = None
        self._audio: AudioTrack | None = None

    def __enter__(self) -> "VideoWriter":
        prepare_target(self.path)
        self._swap: AbstractContextManager[Path] = atomic_path(self.path)
        partial = self._swap.__enter__()
        try:
            self._open(partial)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _open(self, partial: Path) -> None:
        kind = CONTAINERS[self.path.suffix.lower()]
        options = {"movflags": "faststart"} if kind in ("mp4", "mov") else {}
        self._container = av.open(ffmpeg_name(partial), "w", format=kind, options=options)
        encoding = self._encoding
        stream: Any = self._container.add_stream(encoding.encoder, rate=self._rate)
        stream.width, stream.height = (side + side % 2 for side in self._size)
        stream.pix_fmt = encoding.pixels
        stream.options = encoding.options
        if not encoding.options:
            stream.bit_rate = int(8 * self._size[0] * self._size[1] * min(float(self._rate), 60) / 30)
        if not encoding.opaque:
            stream.metadata["alpha_mode"] = "1"
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = 1
        self._stream = stream
        self._audio = AudioTrack.open(self._audio_from, self._container) if self._audio_from else None

    def write(self, picture: UInt8[np.ndarray, "H W C"]) -> None:
        """Append a frame.

        Raises:
            ShapeError: another size, or other channels, than the writer was opened with.
            MediaError: the disk is full.
        """
        width, height = self._size
        channels = 3 if self._encoding.opaque else 4
        if picture.shape != (height, width, channels) or picture.dtype != np.uint8:
            raise ShapeError(
                f"picture: expected uint8 ({height}, {width}, {channels}), got {picture.dtype} {picture.shape}."
            )
        odd = height % 2 or width % 2
        even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") if odd else picture
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24" if channels == 3 else "rgba")
        frame = frame.reformat(format=self._encoding.pixels, dst_colorspace=Colorspace.ITU709)
        frame.color_primaries = frame.color_trc = _BT709
        frame.pts = self._count
        frame.time_base = 1 / self._rate
        self._mux(self._stream.encode(frame))
        self._count += 1
        if self._audio is not None:
            self._mux(self._audio.packets(until=float(self._count / self._rate)))

    def _mux(self, packets: Iterator[Any] | list[Any]) -> None:
        try:
            for packet in packets:
                self._container.mux(packet)
        except OSError as error:
            raise write_error(self.path, error) from error

    def _finish(self) -> None:
        if self._count == 0:
            raise MediaError(f"{self.path}: no frame was written, so there is no video.")
        self._mux(self._stream.encode())
        if self._audio is not None:
            self._mux(self._audio.flush())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
            self._close()
        except BaseException as late:
            if error is None:
                self._close_quietly()
                self._swap.__exit__(type(late), late, late.__traceback__)
                raise
        self._swap.__exit__(kind, error, trace)

    def _close(self) -> None:
        if self._audio is not None:
            self._audio.close()
        if self._container is not None:
            self._container.close()

    def _close_quietly(self) -> None:
        try:
            self._close()
        except (OSError, ValueError) as error:
            _log.debug("Closing an abandoned video: %s", error)


def save_picture(path: Path, picture: UInt8[np.ndarray, "H W C"]) -> Path:
    """Write an RGB or an RGBA picture."""
    return save_image(path, np.ascontiguousarray(picture[..., :3]), picture[..., 3] if picture.shape[-1] == 4 else None)


class ImageSequenceWriter:
    """Write frames as ``000000.png``, ... into a folder that appears when the ``with`` block ends well."""

    def __init__(self, path: str | Path) -> None:
        """Check the target.

        Args:
            path: A folder; one that exists may hold nothing but an earlier sequence, which is replaced.

        Raises:
            MediaError: the folder holds other files, or cannot be written.
        """
        self.path = Path(path)
        if self.path.is_dir():
            others = [f.name for f in self.path.iterdir() if not (f.stem.isdecimal() and f.suffix == ".png")]
            if others:
                raise MediaError(f"{path}: expected a new or empty folder, but it holds '{others[0]}'. Choose another.")
        elif self.path.exists():
            raise MediaError(f"{path}: expected a folder, got a file. Choose another name.")
        check_target(self.path)
        self._partial = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.partial")
        self._count = 0

    def __enter__(self) -> "ImageSequenceWriter":
        prepare_target(self.path)
        self._partial.mkdir()
        return self

    def write(self, picture: UInt8[np.ndarray, "H W C"]) -> None:
        """Append a frame: RGB, or RGBA."""
        save_picture(self._partial / f"{self._count:06d}.png", picture)
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                if self._count == 0:
                    raise MediaError(f"{self.path}: no frame was written.")
                if self.path.is_dir():
                    shutil.rmtree(self.path)
                os.replace(self._partial, self.path)
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)
