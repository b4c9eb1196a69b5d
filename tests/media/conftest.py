"""Small videos with known content, made on the spot."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest


def solid(value: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    return np.full((size[1], size[0], 3), value, np.uint8)


def quadrants(size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """Red, green / blue, white: tells every rotation and flip apart."""
    width, height = size
    image = np.full((height, width, 3), 255, np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (0, 0, 255)
    return image


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    times_ms: Sequence[int] | None = None,
    rotation: tuple[int, bool, bool] | None = None,
    audio: tuple[str, float] | None = None,
    codec: str = "libx264",
    aspect: Fraction | None = None,
    begin: int = 0,
) -> Path:
    """Encode ``frames`` at 30 fps, or at the given times; the first time stamp is ``begin`` seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation[0], hflip=rotation[1], vflip=rotation[2])
        sound = container.add_stream(audio[0], rate=48_000) if audio else None
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.time_base = Fraction(1, 30) if times_ms is None else Fraction(1, 1000)
            frame.pts = index + 30 * begin if times_ms is None else times_ms[index] + 1000 * begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None and sound is not None:
            _write_tone(container, sound, audio[1], begin)
    return path


def _write_tone(container: av.container.OutputContainer, sound: object, seconds: float, begin: int = 0) -> None:
    count = int(48_000 * seconds)
    wave = (0.3 * np.sin(np.arange(count) * 2 * np.pi * 440 / 48_000)).astype(np.float32)
    kind = sound.codec_context.format.name  # type: ignore[attr-defined]
    for first in range(0, count, 1024):
        piece = wave[None, first : first + 1024]
        if kind == "s16":
            piece = (piece * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), format=kind, layout="mono")
        frame.rate = 48_000
        frame.pts = first + 48_000 * begin
        frame.time_base = Fraction(1, 48_000)
        container.mux(sound.encode(frame))  # type: ignore[attr-defined]
    container.mux(sound.encode())  # type: ignore[attr-defined]


@pytest.fixture
def counting_video(tmp_path: Path) -> Path:
    """30 frames at 30 fps; frame i is grey of 8 i."""
    return write_video(tmp_path / "counting.mp4", [solid(8 * index) for index in range(30)])
