"""The analytic Jacobians against autograd, and Levenberg-Marquardt on a known person."""

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotvec_to_matrix
from liquidwarp.recover.fitting.before import Before
from liquidwarp.recover.fitting.bundle import FitState, Problem, Term, View, adjust, robust_cost, robust_weight
from liquidwarp.recover.fitting.posture import Hanging, Level
from liquidwarp.recover.fitting.skeleton import Skeleton, SkinnedPoints, left_jacobian_inverse
from liquidwarp.recover.fitting.terms import ImageLandmarks, PosePrior, PosePull, WorldLandmarks


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


@pytest.fixture(scope="module")
def skeleton(model: AnnyBody) -> Skeleton:
    return Skeleton.of(model)


def random_state(skeleton: Skeleton, frames: int = 2, spread: float = 0.4) -> FitState:
    torch.manual_seed(3)
    turns = rotvec_to_matrix(torch.randn(frames, len(skeleton.parents), 3) * spread)
    betas = torch.randn(skeleton.basis.shape[0]) * 0.5
    return FitState(turns, betas, torch.tensor([[1.1, 0.2, -0.1]]).repeat(frames, 1))


def random_terms(skeleton: Skeleton, model: AnnyBody, frames: int = 2) -> dict[str, Term]:
    torch.manual_seed(4)
    points = skeleton.landmark_points(model.landmarks["body"])
    weight, anchors = torch.rand(frames, 33), torch.rand(frames, 33)
    other = random_state(skeleton, frames)
    return {
        "image": ImageLandmarks(points, torch.randn(frames, 33, 2), weight, 0.3),
        "world": WorldLandmarks(
            points, torch.randn(frames, 33, 3), weight, torch.tensor([0.3, 0.3, 0.2]), anchors / anchors.sum(1, True)
        ),
        "prior": PosePrior.of(model, skeleton),
        "pull": PosePull(
            other.rel_rotmats.roll(1, 1), other.camera + 0.1, torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0])
        ),
        "hanging": Hanging.of(model, skeleton, 0.1 * torch.rand(frames, len(model.parents)), torch.zeros(frames, 33)),
        "level": Level.of(
            model, skeleton, 0.1 * torch.rand(frames, len(model.parents)), 0.02 * torch.randn(frames, 33, 2)
        ),
        "before": Before(
            points.select(range(12, 24)),
            points.select([11] * 12),
            0.1 * torch.randn(frames, 12),
            torch.rand(frames, 12),
        ),
    }


def test_skeleton_agrees_with_the_model(model: AnnyBody, skeleton: Skeleton) -> None:
    state = random_state(skeleton)
    full = torch.eye(3).repeat(2, len(model.parents), 1, 1)
    full[:, skeleton.joints] = state.rel_rotmats
    truth = model.pose(model.rest(state.betas[None]), full)
    posed = skeleton.pose(state.rel_rotmats, state.betas)
    torch.testing.assert_close(posed.positions, truth.joints[:, skeleton.joints], atol=1e-5, rtol=0)
    index = torch.arange(0, len(model.lbs_weights), 500)
    points = SkinnedPoints(
        model.rest(state.betas[None]).vertices[:, index],
        torch.zeros(1, len(index), 3, 0),
        skeleton.merged_weights(model.lbs_weights)[None, index],
    )
    located = skeleton.locate(posed, points, state.betas)
    torch.testing.assert_close(located, truth.vertices[:, index], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["image", "world", "prior", "pull", "hanging", "level", "before"])
def test_rows_are_the_gradient_of_the_cost(model: AnnyBody, skeleton: Skeleton, name: str) -> None:
    """Jacobian-transposed times weighted residual is half the gradient, robust weights included."""
    term, state = random_terms(skeleton, model)[name], random_state(skeleton)
    tangent = torch.zeros(2, len(skeleton.parents), 3, requires_grad=True)
    betas = state.betas.clone().requires_grad_()
    camera = state.camera.clone().requires_grad_()
    moved = FitState(rotvec_to_matrix(tangent) @ state.rel_rotmats, betas, camera)
    term.cost(View.of(moved, skeleton)).sum().backward()
    rows = term.rows(View.of(state, skeleton), with_betas=True)
    weighted = rows.residual * rows.weight
    pose = torch.einsum("tr,trp->tp", weighted, rows.pose)
    torch.testing.assert_close(2 * pose, tangent.grad.flatten(1), atol=2e-3, rtol=1e-3)
    if rows.camera is not None:
        expected = torch.einsum("tr,trc->tc", weighted, rows.camera)
        torch.testing.assert_close(2 * expected, camera.grad, atol=2e-3, rtol=1e-3)
    if rows.betas is not None:
        expected = torch.einsum("tr,trk->k", weighted, rows.betas)
        torch.testing.assert_close(2 * expected, betas.grad, atol=2e-3, rtol=1e-3)


def test_skinned_points_jacobian_equals_autograd(model: AnnyBody, skeleton: Skeleton) -> None:
    """Points that hang on several joints, different ones in each frame."""
    state = random_state(skeleton)
    index = torch.tensor([[100, 3000, 7000], [50, 5000, 9000]])
    basis = model.tensors.vertex_basis[:, index].permute(1, 2, 3, 0)
    points = SkinnedPoints(model.tensors.template[index], basis, skeleton.merged_weights(model.lbs_weights)[index])
    tangent = torch.zeros(2, len(skeleton.parents), 3)

    def locate(tangent: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
        posed = skeleton.pose(rotvec_to_matrix(tangent) @ state.rel_rotmats, betas)
        return skeleton.locate(posed, points, betas)

    by_pose, by_betas = torch.autograd.functional.jacobian(locate, (tangent, state.betas))
    posed = skeleton.pose(state.rel_rotmats, state.betas)
    axes = torch.eye(3)[None, None]
    pose_rows = skeleton.pose_rows(skeleton.levers(posed), points, state.betas)
    for frame in range(2):
        expected = by_pose[frame, :, :, frame].flatten(2)
        torch.testing.assert_close(pose_rows[frame], expected, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(skeleton.beta_rows(posed, points, axes), by_betas, atol=1e-4, rtol=1e-3)


def test_left_jacobian_inverse_equals_autograd() -> None:
    for rotvec in (torch.tensor([0.5, -1.2, 0.3]), torch.tensor([1e-4, 0.0, 2e-4]), torch.tensor([0.0, 3.0, 0.3])):
        rotvec = rotvec.double()
        matrix = rotvec_to_matrix(rotvec)
        expected = torch.autograd.functional.jacobian(
            lambda d, matrix=matrix: matrix_to_rotvec(rotvec_to_matrix(d) @ matrix), torch.zeros(3).double()
        )
        torch.testing.assert_close(left_jacobian_inverse(rotvec), expected, atol=1e-3, rtol=1e-3)


def test_robust_weight_is_the_derivative() -> None:
    squared = torch.tensor([0.0, 0.5, 4.0, 100.0], requires_grad=True)
    robust_cost(squared).sum().backward()
    torch.testing.assert_close(robust_weight(squared.detach()), squared.grad)
    assert float(robust_cost(torch.tensor(1e9))) < 9.01


@pytest.mark.parametrize("with_shape", [False, True])
def test_adjust_never_raises_the_cost(model: AnnyBody, skeleton: Skeleton, with_shape: bool) -> None:
    terms = random_terms(skeleton, model)
    problem = Problem(
        skeleton, (terms["image"], terms["world"], terms["prior"]), torch.full((skeleton.basis.shape[0],), 0.1)
    )

    def cost(state: FitState) -> float:
        data = sum(float(term.cost(View.of(state, skeleton)).sum()) for term in problem.terms)
        return data + 2 * float((problem.shape_weight**2 * state.betas**2).sum())

    start = random_state(skeleton)
    costs = [cost(adjust(problem, start, steps, with_shape)) for steps in (0, 1, 3, 8)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < 0.9 * costs[0]
    moved = not torch.equal(adjust(problem, start, 3, with_shape).betas, start.betas)
    assert moved == with_shape
