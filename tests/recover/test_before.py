"""Hands that are seen lie before the body: an arm that the fit has put into hip and thigh comes out of them."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.recover.fitting.before import hands_before
from liquidwarp.recover.fitting.bundle import FitState, Problem, View, adjust
from liquidwarp.recover.fitting.fit_task import landmark_terms, shape_weights
from liquidwarp.recover.fitting.observation import Observation
from liquidwarp.recover.fitting.posture import Hanging
from liquidwarp.recover.fitting.settle import OutlineFit
from liquidwarp.recover.fitting.terms import PosePrior

TURN = (0.2, 0.0, 0.2)
"""How the hanging left arm is turned, back and to the middle, so that its hand is within the thigh [rad]."""


@dataclass(frozen=True)
class Case:
    model: AnnyBody
    fit: OutlineFit
    state: FitState
    observation: Observation

    def seeing(self, left: float, right: float) -> Observation:
        return replace(self.observation, hand_weight=torch.tensor([[left, right]]))

    def term(self, state: FitState, observation: Observation):
        return hands_before(state, self.model, self.fit.skeleton, self.fit.surface, observation)

    def landmarks(self, state: FitState) -> Tensor:
        skeleton = self.fit.skeleton
        points = skeleton.landmark_points(self.model.landmarks["body"])
        return skeleton.locate(skeleton.pose(state.rel_rotmats, state.betas), points, state.betas)


@pytest.fixture(scope="module")
def case() -> Case:
    model = AnnyBody.load()
    fit = OutlineFit.of(model)
    skeleton, roles = fit.skeleton, model.roles
    hanging = Hanging.of(model, skeleton, torch.zeros(1, len(model.parents)), torch.zeros(1, 33))
    turns = hanging.natural.clone()
    arm = skeleton.index(roles.upper_arm[0])
    turns[arm] = rotvec_to_matrix(torch.tensor(TURN)) @ turns[arm]
    rotations = torch.eye(3).repeat(1, len(model.parents), 1, 1)
    rotations[:, skeleton.joints] = turns
    camera = WeakPerspective(torch.tensor([230.0]), torch.tensor([[190.0, 260.0]]))
    body = BodyParams(torch.zeros(len(model.beta_names)), rotations, camera)
    state = FitState(turns[None], body.betas, torch.tensor([[1.0, 0.0, 0.0]]))
    return Case(model, fit, state, fit.observed(body, (512, 384)))


def test_only_a_hand_that_is_seen_and_within_the_body_must_move(case):
    assert case.term(case.state, case.seeing(0.0, 0.0)) is None
    assert case.term(case.state, case.seeing(0.0, 1.0)) is None, "the right arm hangs beside the body"
    term = case.term(case.state, case.seeing(1.0, 1.0))
    assert term is not None
    assert float(term.cost(View.of(case.state, case.fit.skeleton))) > 1


def test_it_comes_out_towards_the_camera_and_stays_where_it_is_seen(case):
    observation, state = case.seeing(1.0, 0.0), case.state
    terms = [
        *landmark_terms(observation, case.model, case.fit.skeleton),
        PosePrior.of(case.model, case.fit.skeleton),
    ]
    for _ in range(3):
        before = case.term(state, observation)
        problem = Problem(case.fit.skeleton, [*terms, *([before] if before else [])], shape_weights(case.model))
        state = adjust(problem, state, 4, with_shape=False)
    table = case.model.landmarks["body"]
    old, new = case.landmarks(case.state)[0], case.landmarks(state)[0]
    hand = [table.names.index(f"left_{part}") for part in ("wrist", "index", "pinky")]
    assert (old[hand, 2] - new[hand, 2] > 0.03).all(), "nearer to the camera, as z points away from it"
    assert (new - old)[:, :2].norm(dim=1).max() < 0.02
    last = case.term(state, observation)
    if last is not None:
        room = last.limit[0, 1:4] - (new[hand, 2] - new[table.names.index("left_shoulder"), 2])
        assert float(room.min()) > -0.01
