"""Levenberg-Marquardt for T poses, T cameras and one shared shape: a bundle adjustment of the body.

Method: each term gives weighted residuals and their rows of the Jacobian. Frames meet only in the shape, so the
normal equations are an arrow: eliminate every frame's pose and camera (batched Cholesky), solve the small system of
the shape (Schur complement), substitute back. Robust terms are reweighted in every step (Geman-McClure), which
follows their gradient exactly. With a fixed shape the frames are independent and each has its own damping.

Convention:
    Image positions are normalised: u = (pixel - centre) / pixels_per_metre of the frame, so that every residual is
    in metres on the body and one set of weights serves all sizes. A camera is (s, x, y): u = s * (X, Y) + (x, y).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.recover.fitting.skeleton import PosedSkeleton, Skeleton

__all__ = ["FitState", "Problem", "Rows", "Term", "View", "adjust", "robust_cost", "robust_weight"]

_LARGEST_TURN = 0.5
"""No joint turns by more than this in one step [rad]."""


@dataclass(frozen=True)
class FitState:
    """What is fitted."""

    rel_rotmats: Float[Tensor, "T N 3 3"]
    betas: Float[Tensor, "K"]
    camera: Float[Tensor, "T 3"]
    """(s, x, y), normalised; see the head of this file."""

    def frames(self, index: Tensor | slice) -> "FitState":
        """Only these frames."""
        return replace(self, rel_rotmats=self.rel_rotmats[index], camera=self.camera[index])


@dataclass(frozen=True)
class View:
    """A state with its forward kinematics, computed once for all terms."""

    state: FitState
    skeleton: Skeleton
    posed: PosedSkeleton

    @staticmethod
    def of(state: FitState, skeleton: Skeleton) -> "View":
        """Pose the skeleton."""
        return View(state, skeleton, skeleton.pose(state.rel_rotmats, state.betas))

    @cached_property
    def levers(self) -> Float[Tensor, "T N4 3 N3"]:
        """See :meth:`Skeleton.levers`; computed when the first term asks for rows."""
        return self.skeleton.levers(self.posed)


@dataclass(frozen=True)
class Rows:
    """Weighted residuals of one term and their derivatives; None = does not depend on it."""

    residual: Float[Tensor, "T R"]
    weight: Float[Tensor, "T R"]
    pose: Float[Tensor, "T R N3"]
    camera: Float[Tensor, "T R 3"] | None = None
    betas: Float[Tensor, "T R K"] | None = None


@runtime_checkable
class Term(Protocol):
    """One part of the objective."""

    def cost(self, view: View) -> Float[Tensor, "T"]:
        """Its value per frame."""
        ...

    def rows(self, view: View, with_betas: bool) -> Rows:
        """Its Gauss-Newton rows."""
        ...


@dataclass(frozen=True)
class Problem:
    """What to minimise."""

    skeleton: Skeleton
    terms: Sequence[Term]
    shape_weight: Float[Tensor, "K"]
    """Strength of the shape's prior per frame: the cost is ``T * sum((weight * beta)^2)``, because the detectors'
    errors are systematic and do not average out over a longer video."""


def robust_cost(squared: Tensor, cutoff: float = 3.0) -> Tensor:
    """Geman-McClure: x near 0, never more than cutoff^2; ``squared`` is (residual / sigma)^2."""
    return squared / (1 + squared / cutoff**2)


def robust_weight(squared: Tensor, cutoff: float = 3.0) -> Tensor:
    """Derivative of :func:`robust_cost` by ``squared``."""
    return 1 / (1 + squared / cutoff**2) ** 2


def adjust(problem: Problem, state: FitState, steps: int, with_shape: bool) -> FitState:
    """Minimise the problem's cost from ``state``.

    Args:
        problem: Terms and shape prior.
        state: Start.
        steps: Number of Levenberg-Marquardt steps.
        with_shape: Also fit the betas, one vector for all frames.

    Returns:
        The best state found.
    """
    view = View.of(state, problem.skeleton)
    cost = _cost(problem, view)
    damping = torch.full_like(cost, 1e-3)
    for _ in range(steps):
        turn, camera, betas = _step(problem, view, damping, with_shape)
        old = view.state
        trial = View.of(
            FitState(
                rotvec_to_matrix(turn.clamp(-_LARGEST_TURN, _LARGEST_TURN)) @ old.rel_rotmats,
                old.betas + betas,
                old.camera + camera,
            ),
            problem.skeleton,
        )
        trial_cost = _cost(problem, trial)
        better = trial_cost < cost
        if with_shape:  # the frames share the shape: all of them take the step or none
            prior = len(cost) * (problem.shape_weight**2 * (trial.state.betas**2 - old.betas**2)).sum()
            better = (trial_cost.sum() + prior < cost.sum()).expand_as(cost)
        damping = torch.where(better, damping * 0.3, damping * 4).clamp(1e-7, 1e3)
        view = _pick(better, trial, view)
        cost = torch.where(better, trial_cost, cost)
    return view.state


def _cost(problem: Problem, view: View) -> Float[Tensor, "T"]:
    total = torch.zeros(view.posed.positions.shape[0], device=view.posed.positions.device)
    for term in problem.terms:
        total = total + term.cost(view)
    return total


def _pick(better: Bool[Tensor, "T"], trial: View, old: View) -> View:
    """Frame by frame the better of two views (all frames agree where the shape moved)."""
    if bool(better.all()):
        return trial
    if not bool(better.any()):
        return old

    def choose(new: Tensor, before: Tensor) -> Tensor:
        return torch.where(better.view(-1, *[1] * (new.dim() - 1)), new, before)

    state = FitState(
        choose(trial.state.rel_rotmats, old.state.rel_rotmats),
        trial.state.betas,
        choose(trial.state.camera, old.state.camera),
    )
    posed = PosedSkeleton(
        trial.posed.rest,
        choose(trial.posed.positions, old.posed.positions),
        choose(trial.posed.rotmats, old.posed.rotmats),
        choose(trial.posed.parent_rotmats, old.posed.parent_rotmats),
    )
    return View(state, trial.skeleton, posed)


def _step(
    problem: Problem, view: View, damping: Float[Tensor, "T"], with_shape: bool
) -> tuple[Float[Tensor, "T N 3"], Float[Tensor, "T 3"], Float[Tensor, "K"]]:
    """Solve the damped normal equations: change of the tangents, the cameras and the shape."""
    num_frames, num_joints = view.posed.positions.shape[:2]
    size, num_betas = 3 * num_joints + 3, len(view.state.betas)
    device = view.posed.positions.device
    hessian = torch.zeros(num_frames, size, size, device=device)
    gradient = torch.zeros(num_frames, size, device=device)
    cross = torch.zeros(num_frames, size, num_betas, device=device)
    shape_hessian = num_frames * torch.diag(problem.shape_weight**2)
    shape_gradient = num_frames * problem.shape_weight**2 * view.state.betas
    for term in problem.terms:
        rows = term.rows(view, with_shape)
        camera = torch.zeros_like(rows.pose[..., :3]) if rows.camera is None else rows.camera
        jacobian = torch.cat([rows.pose, camera], -1)
        weighted = (jacobian * rows.weight[..., None]).transpose(1, 2)
        hessian += weighted @ jacobian
        gradient += (weighted @ rows.residual[..., None])[..., 0]
        if with_shape and rows.betas is not None:
            cross += weighted @ rows.betas
            flat = rows.betas.flatten(0, 1)
            scaled = flat * rows.weight.reshape(-1, 1)
            shape_hessian = shape_hessian + scaled.T @ flat
            shape_gradient = shape_gradient + scaled.T @ rows.residual.reshape(-1)
    diagonal = torch.diagonal(hessian, dim1=1, dim2=2)
    hessian = hessian + torch.diag_embed(diagonal * damping[:, None] + 1e-4)
    factor = torch.linalg.cholesky(hessian)
    betas = torch.zeros(num_betas, device=device)
    if with_shape:
        eliminated = torch.cholesky_solve(torch.cat([cross, gradient[..., None]], -1), factor)
        schur = shape_hessian * (1 + damping[0] * torch.eye(num_betas, device=device)) - torch.einsum(
            "tpk,tpl->kl", cross, eliminated[..., :-1]
        )
        reduced = shape_gradient - torch.einsum("tpk,tp->k", cross, eliminated[..., -1])
        betas = -torch.linalg.solve(schur, reduced)
        change = -(eliminated[..., -1] + eliminated[..., :-1] @ betas)
    else:
        change = -torch.cholesky_solve(gradient[..., None], factor)[..., 0]
    return change[:, :-3].unflatten(1, (num_joints, 3)), change[:, -3:], betas
