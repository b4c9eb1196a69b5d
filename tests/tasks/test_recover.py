import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.motion import load_motion
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.media import open_frames
from liquidwarp.tasks.recover import RecoveryFiles, export_recovery


@pytest.fixture(scope="module")
def model():
    return AnnyBody.load()


def standing(model, frames):
    """A person who stands still in the middle of a 96 x 128 picture."""
    rotmats = torch.eye(3).expand(frames, len(model.joint_names), 3, 3).clone()
    camera = WeakPerspective(torch.full((frames,), 55.0), torch.tensor([[48.0, 64.0]]).repeat(frames, 1))
    return BodyParams(torch.zeros(len(model.beta_names)), rotmats, camera)


def test_video_becomes_overlay_and_files(model, tmp_path):
    pictures = [np.full((128, 96, 3), 60 * index, np.uint8) for index in range(3)]
    masks = [np.zeros((32, 24), bool)] * 3
    body = standing(model, 3)
    written = export_recovery(body, model, pictures, RecoveryFiles(tmp_path / "new", ("walk.v1",)), 12.0, masks)
    assert [path.name for path in written] == ["walk.v1.mp4", "walk.v1.npz", "walk.v1.bvh", "walk.v1.glb"]
    frames = open_frames(written[0])
    assert (frames.fps, frames.num_frames, frames.size) == (12, 3, (96, 128))
    shown = list(frames)
    assert shown[0][2, 2].max() < 20, "the corner shows the picture"
    assert shown[0][60, 48].max() > 40, "the middle shows the body"
    again = load_motion(written[1], model)
    torch.testing.assert_close(again.rel_rotmats, body.rel_rotmats)
    assert again.fps == 12


def test_photos_become_pictures(model, tmp_path):
    pictures = [np.zeros((128, 96, 3), np.uint8), np.zeros((150, 120, 3), np.uint8)]
    written = export_recovery(standing(model, 2), model, pictures, RecoveryFiles(tmp_path, ("front", "back")))
    assert [path.name for path in written] == ["front.png", "back.png", "front.npz", "front.bvh", "front.glb"]
    assert all(path.stat().st_size > 100 for path in written)
