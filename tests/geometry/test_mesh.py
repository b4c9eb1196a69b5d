"""Normals and edges against trimesh."""

import numpy as np
import pytest
import torch
import trimesh

from liquidwarp.geometry.mesh import face_normals, vertex_normals


@pytest.fixture
def ball():
    return trimesh.creation.icosphere(subdivisions=2)


def tensors(mesh):
    return torch.from_numpy(np.array(mesh.vertices))[None], torch.from_numpy(np.array(mesh.faces)).long()


def test_normals_of_a_ball_point_outward(ball):
    vertices, faces = tensors(ball)
    np.testing.assert_allclose(face_normals(vertices, faces)[0], ball.face_normals, atol=1e-9)
    torch.testing.assert_close(vertex_normals(vertices, faces), vertices, atol=0.03, rtol=0)


def test_vertex_normals_are_weighted_by_area():
    vertices = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 1]])[None]
    faces = torch.tensor([[0, 1, 2], [0, 3, 1]])  # normals +z (area 2) and +y (area 1)
    expected = torch.tensor([0.0, 1, 2]) / 5**0.5
    torch.testing.assert_close(vertex_normals(vertices, faces)[0, 0], expected)


def test_lonely_vertices_and_flat_faces_give_zero_not_nan():
    vertices = torch.zeros(1, 4, 3)
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2]]))
    assert bool((normals == 0).all())
    assert bool((face_normals(vertices, torch.tensor([[0, 1, 2]])) == 0).all())


def test_normals_have_right_gradients(ball):
    vertices, faces = tensors(trimesh.creation.icosahedron())
    vertices.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, faces), (vertices,))
    assert torch.autograd.gradcheck(lambda v: face_normals(v, faces), (vertices,))
