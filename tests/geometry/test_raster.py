"""The rasteriser against known answers, its own plain reference, and scikit-image."""

import numpy as np
import pytest
import torch
import trimesh
from raster_scenes import assert_same, scene
from skimage.measure import points_in_poly

from liquidwarp.geometry import raster as module
from liquidwarp.geometry.raster import interpolate, rasterize, rasterize_reference

SQUARE = torch.tensor([[[2.0, 2, 1], [2, 6, 1], [6, 6, 3], [6, 2, 3]]])
SQUARE_FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])


def ball(subdivisions=2, turned=0.3):
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    mesh.apply_transform(trimesh.transformations.rotation_matrix(turned, [1, 2, 3]))
    return mesh


def test_a_quad_covers_its_pixels_and_no_others():
    raster = rasterize(SQUARE, SQUARE_FACES, 8, 8)
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[2:6, 2:6] = True
    assert torch.equal(raster.covered[0], expected)
    assert bool((raster.pix_to_face[0][~expected] == -1).all())
    assert bool((raster.bary[0][~expected] == 0).all())
    assert bool(torch.isinf(raster.depth[0][~expected]).all())


def test_a_quads_barycentrics():
    raster = rasterize(SQUARE, SQUARE_FACES, 8, 8)
    # Pixel (row 4, column 2), centre (2.5, 4.5), in the face of corners (2, 2), (2, 6), (6, 6).
    assert int(raster.pix_to_face[0, 4, 2]) == 0
    torch.testing.assert_close(raster.bary[0, 4, 2], torch.tensor([0.375, 0.5, 0.125]))
    assert float(raster.depth[0, 4, 2]) == pytest.approx(1.25)
    assert int(raster.pix_to_face[0, 2, 4]) == 1


def test_interpolated_positions_are_the_pixel_centres():
    raster = rasterize(SQUARE, SQUARE_FACES, 8, 8)
    xy = interpolate(SQUARE[..., :2], SQUARE_FACES, raster)[0]
    y, x = torch.meshgrid(torch.arange(8) + 0.5, torch.arange(8) + 0.5, indexing="ij")
    covered = raster.covered[0]
    torch.testing.assert_close(xy[covered], torch.stack([x, y], -1)[covered])
    assert bool((xy[~covered] == 0).all())


def test_shared_and_own_attributes_agree():
    vertices, faces = scene()
    raster = rasterize(vertices, faces, 40, 40, cull_backfaces=False)
    shared = torch.rand(1, vertices.shape[1], 4)
    own = shared.expand(2, -1, -1).contiguous()
    torch.testing.assert_close(interpolate(shared, faces, raster), interpolate(own, faces, raster))


def test_the_nearer_face_wins_in_any_order():
    far = SQUARE.clone()
    far[..., 2] = 5
    vertices = torch.cat([far, SQUARE], 1)
    for faces in (
        torch.cat([SQUARE_FACES, SQUARE_FACES + 4]),
        torch.cat([SQUARE_FACES + 4, SQUARE_FACES]),
    ):
        assert float(rasterize(vertices, faces, 8, 8).depth[0, 3, 3]) < 4


def test_backfaces():
    turned = SQUARE_FACES.flip(1)
    assert not bool(rasterize(SQUARE, turned, 8, 8).covered.any())
    assert int(rasterize(SQUARE, turned, 8, 8, cull_backfaces=False).covered.sum()) == 16


def test_nothing_to_draw():
    empty = rasterize(SQUARE, SQUARE_FACES[:0], 5, 6)
    assert empty.pix_to_face.shape == (1, 5, 6)
    assert not bool(empty.covered.any())
    assert rasterize(SQUARE[:0], SQUARE_FACES, 5, 6).depth.shape == (0, 5, 6)
    assert not bool(rasterize(SQUARE + 100, SQUARE_FACES, 8, 8).covered.any())
    assert not bool(rasterize(SQUARE * torch.tensor([1.0, 0, 1]), SQUARE_FACES, 8, 8).covered.any())  # edge-on


@pytest.mark.parametrize("cull", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_plain_reference(cull, seed):
    vertices, faces = scene(seed=seed)
    assert_same(rasterize(vertices, faces, 40, 36, cull), rasterize_reference(vertices, faces, 40, 36, cull))


def test_small_chunks_change_nothing(monkeypatch):
    vertices, faces = scene()
    whole = rasterize(vertices, faces, 40, 40)
    monkeypatch.setattr(module, "_PIXELS_PER_CHUNK", 50)
    parts = rasterize(vertices, faces, 40, 40)
    assert torch.equal(whole.pix_to_face, parts.pix_to_face)
    assert torch.equal(whole.bary, parts.bary)


@pytest.mark.parametrize("shift", [0.0, -3.0, 1000.0])
def test_depth_may_be_anything(shift):
    vertices, faces = scene()
    moved = vertices + torch.tensor([0.0, 0, shift])
    assert_same(rasterize(moved, faces, 40, 40), rasterize_reference(moved, faces, 40, 40), tolerance=2e-3)


def test_a_batch_is_its_images():
    vertices, faces = scene(batch=3)
    together = rasterize(vertices, faces, 40, 40)
    for index in range(3):
        alone = rasterize(vertices[index : index + 1], faces, 40, 40)
        assert_same(
            alone, module.Raster(*(getattr(together, n)[index][None] for n in ("pix_to_face", "bary", "depth")))
        )


def test_other_precisions_are_accepted():
    vertices, faces = scene()
    expected = rasterize(vertices, faces, 40, 40)
    assert torch.equal(rasterize(vertices.double(), faces, 40, 40).pix_to_face, expected.pix_to_face)


def test_agrees_with_polygons_filled_by_scikit_image():
    """An independent judge: its point-in-polygon test, and depths from each face's plane by a linear solve."""
    mesh, size = ball(), 48
    vertices = torch.from_numpy(np.array(mesh.vertices)).float()[None] * torch.tensor([20.0, 20, 1]) + 24
    faces = torch.from_numpy(np.array(mesh.faces)).long()
    faces = faces.flip(1) if _looks_away(vertices, faces) else faces
    found = rasterize(vertices, faces, size, size)
    y, x = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5, indexing="ij")
    points = np.stack([x.ravel(), y.ravel()], 1)
    depth, face = np.full(size * size, np.inf), np.full(size * size, -1)
    for index, corners in enumerate(vertices[0][faces].double().numpy()):
        plane = np.linalg.solve(np.c_[corners[:, :2], np.ones(3)], corners[:, 2])
        height = points @ plane[:2] + plane[2]
        nearer = points_in_poly(points, corners[:, :2]) & (height < depth)
        depth[nearer], face[nearer] = height[nearer], index
    covered = found.covered[0].numpy().ravel()
    assert np.mean(covered != (face >= 0)) < 2e-3
    both = covered & (face >= 0)
    assert both.sum() > 1000
    np.testing.assert_allclose(found.depth[0].numpy().ravel()[both], depth[both], atol=1e-4)
    assert np.mean(found.pix_to_face[0].numpy().ravel()[both] != face[both]) < 5e-3


def _looks_away(vertices, faces):
    """Whether the nearest face of the mesh has a positive area in the image."""
    nearest = vertices[0, faces].mean(1)[:, 2].argmin()
    a, b, c = vertices[0, faces[nearest], :2]
    return float((b - a)[0] * (c - a)[1] - (c - a)[0] * (b - a)[1]) > 0


def test_a_closed_body_has_no_holes():
    """Seen from anywhere, every pixel inside of a closed mesh's outline is covered."""
    mesh = ball(3)
    vertices = torch.from_numpy(np.array(mesh.vertices)).float()[None] * torch.tensor([30.0, 30, 1]) + 32
    faces = torch.from_numpy(np.array(mesh.faces)).long()
    faces = faces.flip(1) if _looks_away(vertices, faces) else faces
    covered = rasterize(vertices, faces, 64, 64).covered[0]
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    assert bool(covered[(x - 32) ** 2 + (y - 32) ** 2 < 29**2].all())


def test_faces_can_be_refused_per_pixel():
    near = SQUARE.clone()
    near[..., 2] = 0.5
    vertices, faces = torch.cat([SQUARE, near], 1), torch.cat([SQUARE_FACES, SQUARE_FACES + 4])
    raster = rasterize(vertices, faces, 8, 8, keep=lambda fragments: fragments.face < 2)
    assert bool((raster.pix_to_face[raster.covered] < 2).all())
    assert int(raster.covered.sum()) == 16


def test_barycentrics_pass_gradients_to_the_vertices():
    vertices = SQUARE.clone().requires_grad_(True)
    raster = rasterize(vertices, SQUARE_FACES, 8, 8)
    (gradient,) = torch.autograd.grad(raster.depth[0, 4, 2], vertices)
    torch.testing.assert_close(gradient[0, :3, 2], torch.tensor([0.375, 0.5, 0.125]))
