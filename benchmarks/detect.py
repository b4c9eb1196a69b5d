"""How long the detection of people takes, stage by stage.

python benchmarks/detect.py                  # a grey picture of 1280 x 720 px: networks only
python benchmarks/detect.py dance.mp4        # a video of one person
python benchmarks/detect.py photo.jpg --matte
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from liquidwarp.config import DetectConfig
from liquidwarp.errors import NoPersonFoundError
from liquidwarp.media import open_frames
from liquidwarp.recover.detection.landmarks import Pose
from liquidwarp.recover.detection.regions import Region, crop
from liquidwarp.recover.mattes.matte import foreground_colours, matte
from liquidwarp.recover.tracking.tracker import Networks, PersonDetector


class Clock:
    """Sums the time that wrapped functions take."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self.start = time.process_time()

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **options)
            self.seconds[name] += time.perf_counter() - start
            self.calls[name] += 1
            return result

        return timed

    def report(self, total: float, frames: int) -> None:
        """Print milliseconds a frame, and the calls a frame."""
        for name, seconds in self.seconds.items():
            per_frame = 1e3 * seconds / frames
            print(f"  {name:<22} {per_frame:7.1f} ms a frame, {self.calls[name] / frames:5.2f} calls a frame")
        processor = 1e3 * (time.process_time() - self.start) / frames
        print(f"  {'everything':<22} {1e3 * total / frames:7.1f} ms a frame, {frames} frames in {total:.1f} s")
        print(f"  {'processor time':<22} {processor:7.1f} ms a frame")


def timed_detector(threads: int, clock: Clock) -> PersonDetector:
    """A detector whose networks and stages report to ``clock``."""
    nets = Networks.bundled(threads)
    detector = PersonDetector(
        DetectConfig(threads=threads),
        Networks(
            clock.wrap("network: people", nets.finder),
            clock.wrap("network: pose", nets.pose),
            clock.wrap("network: hand", nets.hand),
            clock.wrap("network: face", nets.face),
        ),
    )
    detector.pose = clock.wrap("stage: pose", detector.pose)  # type: ignore[assignment]
    detector.hands = clock.wrap("stage: both hands", detector.hands)  # type: ignore[assignment]
    detector.face = clock.wrap("stage: face", detector.face)  # type: ignore[assignment]
    return detector


def time_networks(threads: int, frames: int) -> None:
    """Pose network and its surroundings on a grey picture."""
    clock = Clock()
    picture = np.full((720, 1280, 3), 128, np.uint8)
    detector, region = timed_detector(threads, clock), Region(640.0, 360.0, 700.0, 0.05)
    start = time.perf_counter()
    for _ in range(frames):
        detector.detect_people(picture, everybody=False)
        pose: Pose = detector.pose(picture, region)
        clock.wrap("mask", pose.soft_mask)((1280, 720), (256, 144))
        clock.wrap("crop 256", crop)(picture, region, 256)
    clock.report(time.perf_counter() - start, frames)


def time_media(path: Path, threads: int, with_matte: bool, max_frames: int) -> None:
    """A video or photo from end to end, decoding included."""
    clock = Clock()
    detector = timed_detector(threads, clock)
    source = open_frames(path, max_frames=max_frames)
    start = time.perf_counter()
    try:
        detections = detector.detect_frames(source, source.size, source.fps)
    except NoPersonFoundError as error:
        raise SystemExit(f"{path}: {error}") from error
    clock.report(time.perf_counter() - start, len(detections))
    if with_matte:
        rgb = next(iter(source))
        for name, function in (
            ("coarse mask", lambda: detector.coarse_mask(rgb, detections)),
            ("matte", lambda: matte(rgb, detections)),
            ("foreground colours", lambda: foreground_colours(rgb, matte(rgb, detections))),
        ):
            start = time.perf_counter()
            function()
            print(f"  {name:<22} {1e3 * (time.perf_counter() - start):7.0f} ms")


def main() -> None:
    """Time one or several thread counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--max-frames", type=int, default=300)
    parser.add_argument("--matte", action="store_true")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "")
    for threads in options.threads:
        print(f"{threads} thread{'s' * (threads > 1)}:")
        if options.path is None:
            time_networks(threads, 30)
        else:
            time_media(options.path, threads, options.matte, options.max_frames)


if __name__ == "__main__":
    main()
