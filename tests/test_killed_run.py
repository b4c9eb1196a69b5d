"""A run that is killed, for real and at its worst moments, and then repeated, makes the same video to the last byte."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from liquidwarp.media import VideoWriter
from liquidwarp.recover import digitize
from liquidwarp.weights import ASSETS

FRAMES = 8
KIND = digitize._VIDEO_DETECTIONS
RUN = """
from liquidwarp import cli
from liquidwarp.media import resumable
from liquidwarp.recover import digitize
digitize._SECONDS = resumable._SLOW = 0.0  # every frame counts as a long one, so that the test can be short
cli.main(["imitate", "--source", "photo.png", "--driving", "driving.mp4", "--out", "out.mp4", "--size", "256",
          "--renderer", "texture", "--device", "cpu"])
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[[str], "subprocess.Popen[str]"]:
    """Begin the run in a process of its own, with one of several caches."""
    with Image.open(ASSETS / "demo" / "front.jpg") as demo:
        photo = np.asarray(demo.reduce(2).convert("RGB"))
    Image.fromarray(photo).save(tmp_path / "photo.png")
    height, width = (side // 2 * 2 for side in photo.shape[:2])
    with VideoWriter(tmp_path / "driving.mp4", 25, (width, height)) as video:
        for index in range(FRAMES):
            video.write(np.roll(photo[:height, :width], 3 * index, 1))

    def begin(cache: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "LIQUIDWARP_CACHE": str(tmp_path / cache), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen([sys.executable, "-c", RUN], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)

    return begin


def kill_when(process: "subprocess.Popen[str]", pattern: str, folder: Path) -> None:
    """Wait until a file of this kind is there, then kill."""
    while not list(folder.glob(pattern)):
        assert process.poll() is None, f"ended before there was {pattern}: {process.communicate()[1]}"
        time.sleep(0.002)
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_killed_at_every_stage_and_repeated(start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path) -> None:
    cache, parts = tmp_path / "cache", tmp_path / ".out.mp4.parts"
    kill_when(start("cache"), f"{KIND}-*-00002.safetensors", cache)  # amid detection
    assert not (tmp_path / "out.mp4").exists()
    kept = sorted(cache.glob(f"{KIND}-*-0000?.safetensors"))
    written = [path.stat().st_mtime_ns for path in kept]
    kill_when(start("cache"), f"{KIND}-*-00006.safetensors", cache)
    assert [path.stat().st_mtime_ns for path in kept] == written  # what was found is not looked for again
    kill_when(start("cache"), "frame000003.png", parts)  # amid rendering
    assert list(cache.glob(f"{KIND}-*-0*")) == []  # one file for the whole video
    assert not (tmp_path / "out.mp4").exists()
    assert start("cache").wait() == 0
    assert not parts.exists()
    killed = (tmp_path / "out.mp4").read_bytes()
    (tmp_path / "out.mp4").unlink()
    assert start("other_cache").wait() == 0  # without a pause
    assert (tmp_path / "out.mp4").read_bytes() == killed
