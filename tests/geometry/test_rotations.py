"""Rotations against scipy, and at the angles where the formulas divide by zero."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from liquidwarp.geometry.rotations import (
    cross_matrix,
    kabsch,
    matrix_to_rotvec,
    nearest_rotation,
    rotation_about,
    rotvec_to_matrix,
    swing,
)


def vectors(count=200, seed=0):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_exponential_and_logarithm_agree_with_scipy():
    rotvec = vectors() * 1.5
    matrix = rotvec_to_matrix(rotvec)
    np.testing.assert_allclose(matrix, Rotation.from_rotvec(rotvec.numpy()).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(matrix_to_rotvec(matrix), Rotation.from_matrix(matrix.numpy()).as_rotvec(), atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-7, 1e-4, 1.0, math.pi - 1e-4, math.pi - 1e-7, math.pi])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_there_and_back_at_every_angle(angle, dtype):
    axis = torch.nn.functional.normalize(vectors(50), dim=-1)
    axis = torch.cat([axis, torch.eye(3, dtype=torch.float64), -torch.eye(3, dtype=torch.float64)])
    matrix = rotvec_to_matrix((axis * angle).to(dtype))
    rotvec = matrix_to_rotvec(matrix)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(rotvec_to_matrix(rotvec), matrix, atol=tolerance, rtol=0)
    assert float(rotvec.norm(dim=-1).max()) <= math.pi + 1e-6
    if angle < math.pi - 1e-6:
        torch.testing.assert_close(rotvec.double(), axis * angle, atol=1e-3 if dtype == torch.float32 else 1e-8, rtol=0)


def test_gradients_are_right_also_at_rest():
    for rotvec in (vectors(3), torch.zeros(2, 3, dtype=torch.float64), 1e-5 * vectors(2)):
        rotvec.requires_grad_(True)
        assert torch.autograd.gradcheck(rotvec_to_matrix, (rotvec,))
    at_rest = torch.eye(3, dtype=torch.float64).requires_grad_(True)
    (gradient,) = torch.autograd.grad(matrix_to_rotvec(at_rest)[0], at_rest)
    assert bool(torch.isfinite(gradient).all())
    # Along the group, log(exp(v)) = v.
    v = vectors(4).mul(0.8).requires_grad_(True)
    jacobian = torch.autograd.functional.jacobian(lambda x: matrix_to_rotvec(rotvec_to_matrix(x)).sum(0), v)
    torch.testing.assert_close(jacobian, torch.eye(3, dtype=torch.float64)[:, None].expand(3, 4, 3), atol=1e-9, rtol=0)


def test_cross_matrix():
    a, b = vectors(5), vectors(5, 1)
    torch.testing.assert_close((cross_matrix(a) @ b[..., None])[..., 0], torch.linalg.cross(a, b))


@pytest.mark.parametrize(("axis", "start", "end"), [("x", 1, 2), ("y", 2, 0), ("z", 0, 1)])
def test_a_quarter_turn_about_an_axis(axis, start, end):
    unit = torch.eye(3)
    torch.testing.assert_close(rotation_about(axis, torch.tensor(math.pi / 2)) @ unit[start], unit[end])


def test_swing_takes_the_shortest_way():
    start, end = vectors(), vectors(seed=1)
    rotation = swing(start, end)
    ends = torch.nn.functional.normalize(end, dim=-1)
    starts = torch.nn.functional.normalize(start, dim=-1)
    torch.testing.assert_close((rotation @ starts[..., None])[..., 0], ends)
    angle = torch.acos((starts * ends).sum(-1))
    torch.testing.assert_close(matrix_to_rotvec(rotation).norm(dim=-1), angle)


def test_swing_of_equal_and_of_opposite_directions():
    start = torch.cat([vectors(20), torch.eye(3, dtype=torch.float64)])
    torch.testing.assert_close(swing(start, 2 * start), torch.eye(3, dtype=torch.float64).expand(23, 3, 3))
    opposite = swing(start, -start)
    torch.testing.assert_close((opposite @ start[..., None])[..., 0], -start)
    torch.testing.assert_close(torch.det(opposite), torch.ones(23, dtype=torch.float64))


def test_nearest_rotation_undoes_noise_and_never_mirrors():
    rotation = rotvec_to_matrix(vectors())
    torch.testing.assert_close(nearest_rotation(3 * rotation), rotation)
    mirrored = rotation * torch.tensor([1.0, 1, -1])
    torch.testing.assert_close(torch.det(nearest_rotation(mirrored)), torch.ones(200, dtype=torch.float64))


def test_kabsch_finds_the_rotation_and_listens_to_weights():
    rotation = rotvec_to_matrix(vectors(6))
    source = vectors(60).view(6, 10, 3)
    target = source @ rotation.mT
    torch.testing.assert_close(kabsch(source, target), rotation)
    target[:, 0] += 5
    weight = torch.ones(6, 10, dtype=torch.float64)
    weight[:, 0] = 0
    torch.testing.assert_close(kabsch(source, target, weight), rotation)
    flat = source * torch.tensor([1.0, 1, 0])
    torch.testing.assert_close(torch.det(kabsch(flat, flat @ rotation.mT)), torch.ones(6, dtype=torch.float64))
