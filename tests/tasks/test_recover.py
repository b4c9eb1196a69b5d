import numpy as np
import pytest
import torch
import trimesh

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.motion import load_motion
from liquidwarp.body.parts import PARTS
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.media import open_frames
from liquidwarp.tasks.recover import RecoveryFiles, export_recovery, person_texture


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


def place_of(model, vertex, size):
    """Row and column of a vertex in the texture."""
    corner = (model.faces == vertex).nonzero()[0]
    u, v = (model.uv[model.face_uv[corner[0], corner[1]]] * size).long().clamp(0, size - 1).tolist()
    return v, u


def test_texture_has_the_photos_colours_where_the_body_has_them(model, demo_photos, tmp_path):
    """Shirt and trousers of the demo's photo, looked up in the .glb's own picture."""
    texture = person_texture(demo_photos, model)
    assert texture.shape[0] == texture.shape[1]
    assert texture.dtype == np.uint8
    body = demo_photos.recovery.body[slice(0, 1)]
    vertices = model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices
    pixels = body.camera.project(vertices)[0]
    rest = model.rest(body.betas[None]).vertices[0]
    for part, height in (("torso", -0.15), ("left_upper_leg", 0.25)):  # shirt; trousers
        front = (rest[:, 1] - height).abs() + 3 * rest[:, 2]
        vertex = int(torch.where(model.vertex_part == PARTS.index(part), front, torch.inf).argmin())
        x, y = (int(value) for value in pixels[vertex, :2])
        seen = demo_photos.pictures[0][y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(0)
        row, column = place_of(model, vertex, len(texture))
        found = texture[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3).mean(0)
        assert np.abs(found - seen).max() < 30, part
    written = export_recovery(
        standing(model, 1), model, [np.zeros((8, 8, 3), np.uint8)], RecoveryFiles(tmp_path, ("a",)), texture=texture
    )
    mesh = next(iter(trimesh.load(written[-1]).geometry.values()))
    np.testing.assert_array_equal(np.asarray(mesh.visual.material.baseColorTexture.convert("RGB")), texture)
