"""What the picture does not show: bodies whose pose is known, seen by detectors that do not see all or err in depth."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import rotvec_to_matrix, swing
from liquidwarp.recover.detection.detections import BODY_LANDMARKS, Detections, PackedMasks
from liquidwarp.recover.fitting.bundle import FitState, Problem, adjust
from liquidwarp.recover.fitting.fit import fit_body
from liquidwarp.recover.fitting.fit_task import shape_weights
from liquidwarp.recover.fitting.posture import Hanging
from liquidwarp.recover.fitting.skeleton import Skeleton

from .people import SIZE, detections_of, landmarks_of

PARTS_OF_HAND = ("wrist", "pinky", "index", "thumb")
HEIGHT = 300
"""Where the picture ends, between hips and knees [px]."""


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


def standing(model: AnnyBody) -> BodyParams:
    rotations = torch.eye(3).repeat(1, len(model.parents), 1, 1)
    skeleton = Skeleton.of(model)
    hanging = Hanging.of(model, skeleton, torch.zeros(1, len(model.parents)), torch.zeros(1, 33))
    rotations[:, skeleton.joints] = hanging.natural
    return BodyParams(
        torch.zeros(len(model.beta_names)),
        rotations,
        WeakPerspective(torch.tensor([230.0]), torch.tensor([[190.0, 230.0]])),
    )


def cut_off(seen: Detections, flare: int = 0) -> Detections:
    """The upper part of a picture; the person wears a coat that widens by ``flare`` mask pixels down to its end."""
    rows = HEIGHT * seen.masks.height // SIZE[1]
    mask = seen.masks[0][:rows].astype(np.uint8)
    for row in range(rows):
        wider = int(flare * max(2 * row / rows - 1, 0))
        mask[row] = cv2.dilate(mask[row : row + 1], np.ones((1, 2 * wider + 1), np.uint8))[0]
    inside = (seen.xy[..., 1] < HEIGHT).to(seen.visibility)
    return replace(
        seen,
        visibility=seen.visibility * inside,
        masks=PackedMasks.pack(mask[None] > 0),
        image_size=(SIZE[0], HEIGHT),
    )


def joints_of(model: AnnyBody, body: BodyParams) -> Tensor:
    return model.pose(model.rest(body.betas[None]), body.rel_rotmats).joints[0]


def test_joints_that_are_not_seen_come_to_hang(model: AnnyBody) -> None:
    skeleton = Skeleton.of(model)
    hanging = Hanging.of(model, skeleton, torch.zeros(1, len(model.parents)), torch.zeros(1, 33))
    torch.manual_seed(0)
    turns = rotvec_to_matrix(0.5 * torch.randn(1, len(skeleton.parents), 3))
    start = FitState(turns, torch.zeros(len(model.beta_names)), torch.tensor([[1.0, 0.0, 0.0]]))
    found = adjust(Problem(skeleton, [hanging], shape_weights(model)), start, 12, with_shape=False).rel_rotmats
    limbs = hanging.weight[0] > 0
    assert int(limbs.sum()) == 12
    torch.testing.assert_close(found[0, limbs], hanging.natural[limbs], atol=1e-3, rtol=0)
    torch.testing.assert_close(found[0, ~limbs], turns[0, ~limbs])
    joints, roles = joints_of(model, standing(model)), model.roles
    for side in (0, 1):
        arm = joints[roles.lower_arm[side]] - joints[roles.upper_arm[side]]
        assert float(arm[1] / arm.norm()) > 0.95  # within 18 degrees of straight down


def test_thighs_below_the_picture_swing_little_to_fill_a_coat(model: AnnyBody) -> None:
    body = fit_body(cut_off(detections_of(model, standing(model), 0.0), flare=20), model).body
    joints, roles = joints_of(model, body), model.roles
    for side in (0, 1):
        thigh = joints[roles.lower_leg[side]] - joints[roles.upper_leg[side]]
        assert float(thigh[1] / thigh.norm()) > 0.6  # alone with the outline they swing by 75 degrees


def test_a_half_body_does_not_lean_as_far_as_the_detector_says(model: AnnyBody) -> None:
    seen = cut_off(detections_of(model, standing(model), 0.0))
    above = [index for index, name in enumerate(BODY_LANDMARKS) if not name.endswith(("hip", "knee", "ankle"))]
    seen.world[:, above, 2] -= 0.1
    joints = joints_of(model, fit_body(seen, model).body)
    forward = float(joints[list(model.roles.upper_leg), 2].mean() - joints[model.roles.neck[0], 2])
    truth = joints_of(model, standing(model))
    natural = float(truth[list(model.roles.upper_leg), 2].mean() - truth[model.roles.neck[0], 2])
    assert forward - natural < 0.075  # of 0.1 m


def clasped(model: AnnyBody) -> BodyParams:
    """Forearms bent forward and inward until the hands are 10 cm apart, at one depth."""
    body, roles = standing(model), model.roles
    posed = model.pose(model.rest(body.betas[None]), body.rel_rotmats)
    for side, inward in ((0, -0.75), (1, 0.75)):
        joint = roles.lower_arm[side]
        above = posed.glob_rotmats[0, model.parents[joint]]
        bone = posed.joints[0, roles.hand[side]] - posed.joints[0, joint]
        body.rel_rotmats[0, joint] = above.mT @ swing(bone, bone.new_tensor([inward, 0.0, -0.65])) @ above
    return body


def test_hands_that_meet_in_the_picture_meet_in_depth(model: AnnyBody) -> None:
    truth = clasped(model)
    seen = detections_of(model, truth, 0.0)
    hands = [[BODY_LANDMARKS.index(f"{side}_{part}") for part in PARTS_OF_HAND] for side in ("left", "right")]
    seen.world[:, hands[1], 2] -= 0.15
    points = landmarks_of(model, fit_body(seen, model).body)[0]
    apart = float((points[hands[0]].mean(0) - points[hands[1]].mean(0))[2])
    assert abs(apart) < 0.085  # of 0.15 m; without the term 0.11


def test_limbs_hidden_within_the_picture_are_held_less_than_those_beyond_its_edge(model: AnnyBody) -> None:
    skeleton, held = Skeleton.of(model), torch.zeros(1, 33)
    held[0, model.landmarks["body"].names.index("left_wrist")] = 0.15
    weight = Hanging.of(model, skeleton, torch.zeros(1, len(model.parents)), held).weight[0]
    left, right = (float(weight[skeleton.index(joint)]) for joint in model.roles.lower_arm)
    assert left == pytest.approx(0.2 * right)
    assert float(weight[skeleton.index(model.roles.upper_arm[0])]) == pytest.approx(right)
