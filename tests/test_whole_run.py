"""The whole way from photos to video, as a user goes it: one process, no network."""

import numpy as np

from liquidwarp.media import open_frames, save_image
from liquidwarp.weights import ASSETS


def test_demo_without_network(run_offline, tmp_path):
    done = run_offline("demo", "--out", "new/demo.mp4", "--frames", "3", "--size", "256", "--device", "cpu")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Written: new/demo.mp4" in done.stdout
    video = open_frames(tmp_path / "new" / "demo.mp4")
    photo = open_frames(ASSETS / "demo" / "front.jpg")
    assert (video.num_frames, video.size) == (3, photo.size)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["demo.mp4"], "nothing half-written is left"
    (place,) = open_frames(ASSETS / "demo" / "background.jpg")
    for frame in video:
        away = np.abs(frame.astype(int) - place).mean(-1)
        assert 0.03 < (away > 30).mean() < 0.5, "a person stands in the place, and the rest is the place"


def test_recover_without_network(run_offline, tmp_path):
    done = run_offline("recover", str(ASSETS / "demo" / "front.jpg"), "--out", "recovered")
    assert done.returncode == 0, done.stderr[-2000:]
    names = sorted(path.name for path in (tmp_path / "recovered").iterdir())
    assert names == ["front.bvh", "front.glb", "front.npz", "front.png"]


def test_nobody_in_the_picture_is_one_line(run_offline, tmp_path):
    empty = np.linspace(90, 200, 480 * 360).reshape(480, 360, 1).repeat(3, 2).astype(np.uint8)
    done = run_offline("recover", str(save_image(tmp_path / "empty.png", empty)), "--out", "recovered")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("liquidwarp: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "recovered").exists()
