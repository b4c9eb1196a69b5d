"""What reading and writing videos costs beside plain decoding and encoding, and that memory does not grow with length.

Run: python benchmarks/media.py [--frames 300] [--size 1280 720]
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from liquidwarp.media import VideoWriter, open_frames


def seconds(action: Callable[[], object]) -> float:
    """Best of three."""
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - begin)
    return best


def write(path: Path, frames: int, size: tuple[int, int]) -> None:
    """A moving gradient with some noise."""
    noise = np.random.default_rng(0).integers(0, 24, (size[1], size[0], 3), dtype=np.uint8)
    ramp = np.linspace(0, 200, size[0]).astype(np.uint8)[None, :, None]
    with VideoWriter(path, 30, size) as video:
        for index in range(frames):
            video.write(np.roll(ramp, 4 * index, 1) + np.roll(noise, index, 0))


def decode_plainly(path: Path) -> None:
    """Decode to RGB and do nothing else."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            frame.to_ndarray(format="rgb24")


def peak_megabytes() -> float:
    """The most memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720))
    options = parser.parse_args()
    size = (options.size[0], options.size[1])
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.mp4", Path(folder) / "long.mp4"
        write(short, options.frames // 4, size)
        for _ in open_frames(short):
            pass
        before = peak_megabytes()
        begin = time.perf_counter()
        write(long, options.frames, size)
        writing = time.perf_counter() - begin
        for _ in open_frames(long):
            pass
        grown = peak_megabytes() - before
        plain = seconds(lambda: decode_plainly(long))
        probing = seconds(lambda: open_frames(long))
        reading = seconds(lambda: [None for _ in open_frames(long)])
    print(f"{options.frames} frames of {size[0]}x{size[1]}")
    print(f"write            {1000 * writing / options.frames:7.2f} ms a frame")
    print(f"read             {1000 * reading / options.frames:7.2f} ms a frame, {reading / plain:.2f} x plain decoding")
    print(f"of that, probing {1000 * probing / options.frames:7.2f} ms a frame")
    print(f"memory           {grown:+7.1f} MB from a quarter of the length to all of it")


if __name__ == "__main__":
    main()
