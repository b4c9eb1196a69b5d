"""Hands that the detector sees lie before the trunk, the legs and the head, not within them.

Where a hand is in depth the picture hardly tells, and a trunk that fills a coat is thick: it swallows a forearm beside
it, whose colours would then be the coat's. But what is seen is not hidden.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.recover.fitting.bundle import FitState, Rows, View
from liquidwarp.recover.fitting.observation import Observation
from liquidwarp.recover.fitting.silhouette import Surface
from liquidwarp.recover.fitting.skeleton import Skeleton, SkinnedPoints

__all__ = ["Before", "hands_before"]

_HIDING = ("torso", "left_upper_leg", "right_upper_leg", "left_lower_leg", "right_lower_leg")
_OF_HEAD = 8
"""Every so many of the head's vertices, which lie close together."""
_REACH = 0.025
"""A surface hides what lies behind it, this far to the side of its vertices [m]."""
_PALM, _FOREARM = 0.015, 0.03
"""How thick half of a palm and half of a forearm are [m]."""
_SIGMA = 0.02
"""How firmly they lie before it [m]."""


@dataclass(frozen=True)
class Before:
    """Q points of arms are not farther behind their shoulders than given depths: the trunk need not turn for it."""

    points: SkinnedPoints
    shoulders: SkinnedPoints
    """Of the same arms."""
    limit: Float[Tensor, "T Q"]
    """Largest depth of each point behind its shoulder [m]; infinite where nothing could hide it."""
    weight: Float[Tensor, "T Q"]

    def cost(self, view: View) -> Float[Tensor, "T"]:
        """Squared weighted depth beyond the limit."""
        return (self.weight * self._residual(view).square()).sum(1)

    def rows(self, view: View, with_betas: bool) -> Rows:
        """Gauss-Newton rows, one per point; none of them moves the shape."""
        del with_betas
        residual = self._residual(view)
        point, shoulder = (
            view.skeleton.pose_rows(view.levers, each, view.state.betas)[:, :, 2]
            for each in (self.points, self.shoulders)
        )
        return Rows(residual, self.weight, (point - shoulder) / _SIGMA * (residual > 0)[..., None])

    def _residual(self, view: View) -> Float[Tensor, "T Q"]:
        point, shoulder = (
            view.skeleton.locate(view.posed, each, view.state.betas)[..., 2] for each in (self.points, self.shoulders)
        )
        return (point - shoulder - self.limit).clamp(min=0) / _SIGMA


def hands_before(
    state: FitState, model: BodyModel, skeleton: Skeleton, surface: Surface, observation: Observation
) -> Before | None:
    """The term for hands that were seen, and for the halves of their forearms.

    Args:
        state: Where the body is now; its surface is the limit.
        model: The body.
        skeleton: Its movable joints.
        surface: Its skin.
        observation: Of the same frames.

    Returns:
        None where no hand that was seen is within the body.
    """
    seen = observation.hand_weight
    if not bool((seen > 0).any()):
        return None
    points, thickness, side = _points(model, skeleton)
    posed = skeleton.pose(state.rel_rotmats, state.betas)
    place = skeleton.locate(posed, points, state.betas)
    hiding = skeleton.locate(posed, _hiding(surface, state.betas), state.betas[:0])
    over = torch.cdist(place[..., :2], hiding[..., :2]) < _REACH
    nearest = torch.where(over, hiding[:, None, :, 2], torch.inf).amin(-1)
    weight = seen[:, side]
    if not bool(((place[..., 2] > nearest - thickness) & (weight > 0)).any()):
        return None
    shoulders = _shoulders(model, skeleton, side)
    behind = nearest - thickness - skeleton.locate(posed, shoulders, state.betas)[..., 2]
    return Before(points, shoulders, behind, weight)


def _points(model: BodyModel, skeleton: Skeleton) -> tuple[SkinnedPoints, Float[Tensor, "Q"], list[int]]:
    """Middle of the forearm, wrist, first and last knuckle of both sides; half thicknesses; sides."""
    table, roles = model.landmarks["body"], model.roles
    body = skeleton.landmark_points(table)
    rest, basis, weights, thickness, sides = [], [], [], [], []

    def add(numbers: list[int], joint: int, half: float, side: int) -> None:
        part = body.select(numbers)
        rest.append(part.rest.mean(1))
        basis.append(part.basis.mean(1))
        weights.append(torch.nn.functional.one_hot(torch.tensor([joint]), len(skeleton.parents)).to(part.weights))
        thickness.append(half)
        sides.append(side)

    for side, name in enumerate(("left", "right")):
        numbers = {part: table.names.index(f"{name}_{part}") for part in ("elbow", "wrist", "index", "pinky")}
        forearm, hand = skeleton.index(roles.lower_arm[side]), skeleton.index(roles.hand[side])
        add([numbers["elbow"], numbers["wrist"]], forearm, _FOREARM, side)
        add([numbers["wrist"]], forearm, _FOREARM, side)
        add([numbers["index"]], hand, _PALM, side)
        add([numbers["pinky"]], hand, _PALM, side)
    points = SkinnedPoints(torch.stack(rest, 1), torch.stack(basis, 1), torch.stack(weights, 1))
    return points, torch.tensor(thickness), sides


def _shoulders(model: BodyModel, skeleton: Skeleton, side: list[int]) -> SkinnedPoints:
    """The shoulder of each point."""
    names = model.landmarks["body"].names
    numbers = [names.index(f"{('left', 'right')[each]}_shoulder") for each in side]
    return skeleton.landmark_points(model.landmarks["body"]).select(numbers)


def _hiding(surface: Surface, betas: Float[Tensor, "K"]) -> SkinnedPoints:
    """Vertices of the trunk, the legs and the head, of this shape."""
    chosen = torch.isin(surface.part, torch.tensor([PARTS.index(part) for part in _HIDING]))
    head = torch.isin(surface.part, torch.tensor([PARTS.index(part) for part in ("head", "face")])).nonzero()[:, 0]
    index = torch.cat([chosen.nonzero()[:, 0], head[::_OF_HEAD]])
    rest = surface.rest[index] + surface.basis[index] @ betas
    return SkinnedPoints(rest[None], rest.new_zeros(1, len(index), 3, 0), surface.weights[index][None])
