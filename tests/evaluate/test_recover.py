"""The figures of a recovery, on a person who is known."""

import math
from dataclasses import replace

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.evaluate.recover import RecoveryReport, lag, score_recovery
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.recover.detection.detections import BODY_LANDMARKS
from liquidwarp.recover.fitting.fit import BodyFit
from liquidwarp.recover.fitting.skeleton import Skeleton
from recover.people import Truth, make_person


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


@pytest.fixture(scope="module")
def truth(model: AnnyBody) -> Truth:
    return make_person(model, frames=12)


def fit_of(body: BodyParams) -> BodyFit:
    ones = torch.ones(len(body), dtype=torch.bool)
    return BodyFit(body, ones[:, None].expand(-1, body.rel_rotmats.shape[1]), ones)


def test_the_truth_scores_perfectly(model: AnnyBody, truth: Truth) -> None:
    score = score_recovery("truth", truth.detections, fit_of(truth.body), model)
    assert score.landmark_error < 0.01
    assert score.overlap_least > 0.97  # the mask is coarser than the picture
    assert abs(score.lag_ms) < 1
    assert math.isclose(score.jitter, score.jitter_detected, rel_tol=1e-2)
    assert "truth" in str(RecoveryReport((score,)))


def test_a_shifted_body_scores_worse(model: AnnyBody, truth: Truth) -> None:
    camera = WeakPerspective(truth.body.camera.scale, truth.body.camera.translation + torch.tensor([20.0, 0.0]))
    moved = BodyParams(truth.body.betas, truth.body.rel_rotmats, camera)
    score = score_recovery("shifted", truth.detections, fit_of(moved), model)
    rest = model.rest(moved.betas[None]).vertices[0, :, 1]
    height = float((rest.max() - rest.min()) * 230)
    assert math.isclose(score.landmark_error, 100 * 20 / height, rel_tol=0.02)
    assert score.overlap < 0.8


def test_a_hand_that_was_seen_is_measured_by_its_own_landmarks(model: AnnyBody, truth: Truth) -> None:
    """The body's detector errs about a wrist and a knuckle, the hands' own does not."""
    xy = truth.detections.xy.clone()
    xy[:, [BODY_LANDMARKS.index("left_wrist"), BODY_LANDMARKS.index("left_index")]] += 8
    skeleton, body = Skeleton.of(model), truth.body
    posed = skeleton.pose(body.rel_rotmats[:, skeleton.joints], body.betas)
    tables = (model.landmarks["left_hand"], model.landmarks["right_hand"])
    hands = [skeleton.locate(posed, skeleton.landmark_points(table), body.betas) for table in tables]
    hands_xy = torch.stack([body.camera.project(hand)[..., :2] for hand in hands], 1)
    wrong = replace(truth.detections, xy=xy, hands_xy=hands_xy)
    seen, unseen = (replace(wrong, hands_score=torch.full_like(wrong.hands_score, score)) for score in (1.0, 0.0))
    by_hand = score_recovery("seen", seen, fit_of(truth.body), model)
    alone = score_recovery("unseen", unseen, fit_of(truth.body), model)
    assert by_hand.landmark_error < 0.02
    assert by_hand.error_body > 0.1
    assert alone.landmark_error == alone.error_body == by_hand.error_body


@pytest.mark.parametrize("frames_late", [-2, 0, 1, 3])
def test_lag_is_measured(frames_late: int) -> None:
    torch.manual_seed(0)
    steps = torch.randn(60, 33, 2).cumsum(0)
    late = torch.roll(steps, frames_late, 0)[5:-5]
    assert abs(lag(steps[5:-5], late, 25.0) - frames_late / 25) < 0.004
