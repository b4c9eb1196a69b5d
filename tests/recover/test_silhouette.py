"""The outline's rows, which are summed up per point, against plain rows of every pair."""

import pytest
import torch
from torch import Tensor

from liquidwarp.body.anny import AnnyBody
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.recover.fitting.bundle import FitState, View, robust_weight
from liquidwarp.recover.fitting.silhouette import OutlineTerm
from liquidwarp.recover.fitting.skeleton import Skeleton, SkinnedPoints

FRAMES, POINTS, PAIRS = 2, 7, 20
SIGMA, SLIDE = 0.02, 0.1


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


@pytest.fixture(scope="module")
def skeleton(model: AnnyBody) -> Skeleton:
    return Skeleton.of(model)


@pytest.fixture(scope="module")
def state(skeleton: Skeleton) -> FitState:
    torch.manual_seed(1)
    turns = rotvec_to_matrix(0.4 * torch.randn(FRAMES, len(skeleton.parents), 3))
    return FitState(turns, 0.3 * torch.randn(skeleton.basis.shape[0]), torch.tensor([[1.1, 0.1, -0.1]] * FRAMES))


@pytest.fixture(scope="module")
def term(model: AnnyBody, skeleton: Skeleton, state: FitState) -> OutlineTerm:
    """Pairs a few centimetres apart; the last point has none, and some pairs have no weight."""
    torch.manual_seed(2)
    index = torch.randint(0, len(model.lbs_weights), (FRAMES, POINTS))
    basis = model.tensors.vertex_basis[:, index].permute(1, 2, 3, 0)
    points = SkinnedPoints(model.tensors.template[index], basis, skeleton.merged_weights(model.lbs_weights)[index])
    on_body = torch.randint(0, POINTS - 1, (FRAMES, PAIRS))
    view = View.of(state, skeleton)
    place = skeleton.locate(view.posed, points, state.betas)[..., :2]
    image = state.camera[:, None, :1] * place + state.camera[:, None, 1:]
    target = torch.take_along_dim(image, on_body[..., None], 1) + 0.03 * torch.randn(FRAMES, PAIRS, 2)
    normal = torch.nn.functional.normalize(torch.randn(FRAMES, PAIRS, 2), dim=-1)
    weight = torch.rand(FRAMES, PAIRS) * (torch.rand(FRAMES, PAIRS) > 0.2)
    return OutlineTerm(points, on_body, target, normal, weight)


def plain_rows(term: OutlineTerm, view: View) -> tuple[Tensor, Tensor, Tensor]:
    """Residuals, their weights and derivatives of every pair: across and along the outline, by autograd."""
    tangent = torch.stack([-term.normal[..., 1], term.normal[..., 0]], -1)
    axes = torch.stack([term.normal * (1 + SLIDE) ** 0.5, tangent * SLIDE**0.5], -2) / SIGMA
    old = view.state

    def residual(turn: Tensor, camera: Tensor, betas: Tensor) -> Tensor:
        posed = view.skeleton.pose(rotvec_to_matrix(turn) @ old.rel_rotmats, betas)
        place = view.skeleton.locate(posed, term.points, betas)[..., :2]
        image = camera[:, None, :1] * place + camera[:, None, 1:]
        apart = torch.take_along_dim(image, term.on_body[..., None], 1) - term.target
        return (axes @ apart[..., None])[..., 0]

    start = (torch.zeros_like(old.rel_rotmats[..., 0]), old.camera, old.betas)
    values = residual(*start)
    weight = term.weight * robust_weight(values.square().sum(-1))
    turn, camera, betas = torch.autograd.functional.jacobian(residual, start)
    frame = torch.arange(FRAMES)
    rows = [turn[frame, ..., frame, :, :].flatten(3), camera[frame, ..., frame, :], betas]
    return values.flatten(1), weight.repeat_interleave(2, 1), torch.cat(rows, -1).flatten(1, 2)


def test_rows_have_the_normal_equations_of_all_pairs(skeleton: Skeleton, state: FitState, term: OutlineTerm) -> None:
    view = View.of(state, skeleton)
    rows = term.rows(view, with_betas=True)
    assert rows.camera is not None
    assert rows.betas is not None
    assert rows.residual.shape == (FRAMES, 2 * POINTS)
    fast = torch.cat([rows.pose, rows.camera, rows.betas], -1)
    residual, weight, plain = plain_rows(term, view)
    weighted = (plain * weight[..., None]).mT
    hessian = (fast * rows.weight[..., None]).mT @ fast
    torch.testing.assert_close(hessian, weighted @ plain, atol=1e-4 * float(hessian.abs().max()), rtol=1e-3)
    gradient = ((fast * rows.weight[..., None]).mT @ rows.residual[..., None])[..., 0]
    expected = (weighted @ residual[..., None])[..., 0]
    torch.testing.assert_close(gradient, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)


def test_rows_are_the_gradient_of_the_cost(skeleton: Skeleton, state: FitState, term: OutlineTerm) -> None:
    turn = torch.zeros(FRAMES, len(skeleton.parents), 3, requires_grad=True)
    moved = FitState(rotvec_to_matrix(turn) @ state.rel_rotmats, state.betas, state.camera)
    term.cost(View.of(moved, skeleton)).sum().backward()
    rows = term.rows(View.of(state, skeleton), with_betas=False)
    gradient = torch.einsum("tr,trp->tp", rows.residual * rows.weight, rows.pose)
    assert turn.grad is not None
    expected = turn.grad.flatten(1)
    torch.testing.assert_close(2 * gradient, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)
