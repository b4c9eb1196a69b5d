"""Live imitation, fed with a file: the demo's photo, which moves."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from liquidwarp.config import SynthesisConfig
from liquidwarp.errors import NoPersonFoundError, SettingError
from liquidwarp.media import VideoWriter, open_frames
from liquidwarp.media.newest import NewestFrames
from liquidwarp.recover.live import LiveBody
from liquidwarp.synthesizer import prepare_bank
from liquidwarp.tasks.live import LiveResult, imitate_live
from liquidwarp.tasks.live_output import write_live
from liquidwarp.weights import ASSETS

CONFIG = SynthesisConfig(size=256, renderer="texture", extension="none")


@pytest.fixture(scope="module")
def bank(demo_photos, anny):
    return prepare_bank(demo_photos, anny, CONFIG, background=np.full((256, 192, 3), 200, np.uint8))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    photo = cv2.cvtColor(cv2.imread(str(ASSETS / "demo" / "front.jpg")), cv2.COLOR_BGR2RGB)[::4, ::4].copy()
    path = tmp_path_factory.mktemp("live") / "clip.mp4"
    with VideoWriter(path, 2, (192, 256)) as video:
        for t in range(4):
            video.write(np.roll(photo, 4 * t, 1))
    return path


def middle_of(picture):
    """Where the person is before the grey background."""
    return float(np.nonzero((np.abs(picture.astype(int) - 200).sum(-1) > 60).any(0))[0].mean())


def test_a_file_drives_the_person(bank, anny, clip):
    body = LiveBody(anny)
    with NewestFrames(clip) as frames:
        results = list(imitate_live(bank, frames, body, "follow", CONFIG))
    assert results[-1].index == 3, "the newest frame is used, whatever was dropped"
    assert len(results) + results[-1].dropped == 4
    assert all(result.picture.shape == (256, 192, 3) and result.fps > 0 and result.delay > 0 for result in results)
    if len(results) > 1:
        assert middle_of(results[-1].picture) > middle_of(results[0].picture) + 1


def test_the_natural_camera_is_refused(bank, anny, clip):
    with pytest.raises(SettingError, match="fixed or follow"):
        next(imitate_live(bank, NewestFrames(clip), LiveBody(anny), "natural", CONFIG))


def test_nobody_before_the_camera(tmp_path):
    with pytest.raises(NoPersonFoundError, match="nobody was seen"):
        write_live(iter(()), tmp_path / "live.mp4", 25, (32, 32))
    assert not list(tmp_path.iterdir())


def test_a_video_plays_as_fast_as_it_was(tmp_path):
    base = LiveResult(np.zeros((32, 32, 3), np.uint8), 0, 0.0, 0.1, 5.0, 0)
    times = (0.5, 0.7, 1.5, 1.6)
    results = [replace(base, picture=np.full((32, 32, 3), 50 * n, np.uint8), time=t) for n, t in enumerate(times)]
    path = tmp_path / "out.mp4"
    assert write_live(iter(results), path, 10, (32, 32)) == 4
    assert [round(frame.mean() / 50) for frame in open_frames(path)] == [0, 0, *[1] * 8, 2, 3]
    assert write_live(iter(results), path, 10, (32, 32), seconds=1.0) == 2
    assert len(open_frames(path)) == 3
