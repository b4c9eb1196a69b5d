"""A video played at its own speed: newest frame first."""

import time

import numpy as np
import pytest

from liquidwarp.errors import MediaError
from liquidwarp.media import VideoWriter
from liquidwarp.media.newest import NewestFrames


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("newest") / "clip.mp4"
    with VideoWriter(path, 20, (32, 32)) as video:
        for level in range(16):
            video.write(np.full((32, 32, 3), 10 * level, np.uint8))
    return path


def test_who_is_slow_gets_the_newest_frame(clip):
    with NewestFrames(clip) as frames:
        assert frames.fps == pytest.approx(20)
        assert frames.size == (32, 32)
        seen = []
        for frame in frames:
            assert round(frame.rgb.mean() / 10) == frame.index
            assert frame.time == pytest.approx(frame.index / 20)
            seen.append(frame.index)
            time.sleep(0.2)
    assert seen == sorted(set(seen))
    assert len(seen) < 10, "some were dropped"
    assert seen[-1] == 15, "the last one is given"


def test_it_takes_as_long_as_the_video(clip):
    begin = time.monotonic()
    with NewestFrames(clip) as frames:
        for _ in frames:
            pass
    assert time.monotonic() - begin > 0.7


def test_it_can_be_left_at_any_time(clip):
    with NewestFrames(clip) as frames:
        next(iter(frames))
    assert not frames._thread.is_alive()


def test_no_such_camera_or_video(tmp_path):
    with pytest.raises(MediaError, match="no such camera"):
        NewestFrames("97")
    with pytest.raises(MediaError, match="no such file"):
        NewestFrames(tmp_path / "none.mp4")
