"""Fingers end where the picture shows them."""

import math

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.config import FitConfig
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotvec_to_matrix
from liquidwarp.recover.detection.detections import BODY_LANDMARKS
from liquidwarp.recover.fitting.finger_fit import fingers_in_picture
from liquidwarp.recover.fitting.fingers import BENDS, SPREAD, THUMB_BENDS, finger_axes
from liquidwarp.recover.fitting.fit import fit_body
from liquidwarp.recover.fitting.fit_task import PALM
from liquidwarp.recover.fitting.observation import Observation, observe

from .people import Truth, detections_of, make_person
from .test_fingers import with_hands

SIDES = ("left_hand", "right_hand")


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


def bent(model: AnnyBody, body: BodyParams, bends: tuple[float, ...], spread: float = 0.0) -> BodyParams:
    """The same body with straight hands but for these bends, thumb first, in all joints of a finger [rad]."""
    rotations = body.rel_rotmats.clone()
    joints = model.rest(body.betas[None]).joints[0]
    for side in (0, 1):
        axes = finger_axes(model, joints, side)
        for chain, axis, bend in zip(model.roles.fingers[side], axes, bends, strict=True):
            for joint in chain:
                rotations[:, joint] = rotvec_to_matrix(axis * bend)
            aside = torch.linalg.cross(axis, joints[chain[-1]] - joints[chain[0]])
            aside = rotvec_to_matrix(spread * aside / aside.norm())
            rotations[:, chain[0]] = aside @ rotations[:, chain[0]]
    return BodyParams(body.betas, rotations, body.camera)


def seen(model: AnnyBody, body: BodyParams) -> Observation:
    return observe(with_hands(model, Truth(body, detections_of(model, body, 0.0))).detections)


def landmarks(model: AnnyBody, body: BodyParams) -> torch.Tensor:
    """Of both hands in the picture [px]."""
    posed = model.pose(model.rest(body.betas[None]), body.rel_rotmats)
    found = []
    for name in SIDES:
        table = model.landmarks[name]
        rest = table.rest + torch.einsum("k,klc->lc", body.betas, table.basis)
        turn = posed.transforms[:, table.joint]
        found.append(body.camera.project((turn[..., :3] @ rest[:, :, None])[..., 0] + turn[..., 3])[..., :2])
    return torch.stack(found, 1)


def test_fingers_end_where_the_picture_shows_them(model: AnnyBody) -> None:
    person = make_person(model, frames=3, video=False).body
    truth, start = bent(model, person, (0.2, 0.8, 0.3, 0.6, 0.5), 0.15), bent(model, person, (0.0, 0.3, 0.8, 0.2, 0.9))
    found = fingers_in_picture(start, seen(model, truth), torch.arange(3), model)
    before, after = (
        (landmarks(model, body) - landmarks(model, truth)).norm(dim=-1) / truth.camera.scale[:, None, None]
        for body in (start, found)
    )
    assert float(before[..., [8, 12, 16, 20]].mean()) > 0.015
    assert float(after[..., [8, 12, 16, 20]].mean()) < 0.005
    assert float(after.amax()) < 0.015
    fingers = [joint for side in model.roles.fingers for chain in side for joint in chain]
    others = [joint for joint in range(len(model.parents)) if joint not in fingers]
    assert torch.equal(found.rel_rotmats[:, others], start.rel_rotmats[:, others])


def test_fingers_that_are_right_or_were_not_seen_stay(model: AnnyBody) -> None:
    body = bent(model, make_person(model, frames=2, video=False).body, (0.2, 0.8, 0.3, 0.6, 0.5))
    observation = seen(model, body)
    same = fingers_in_picture(body, observation, torch.arange(2), model)
    assert torch.allclose(same.rel_rotmats, body.rel_rotmats, atol=2e-3)
    elsewhere = bent(model, body, (0.0, 0.1, 0.1, 0.1, 0.1))
    observation.hand_weight[0, 0] = observation.hand_weight[1, 1] = 0
    found = fingers_in_picture(elsewhere, observation, torch.arange(2), model).rel_rotmats
    for frame, side in ((0, 0), (1, 1)):
        chains = [joint for chain in model.roles.fingers[side] for joint in chain]
        assert torch.equal(found[frame, chains], elsewhere.rel_rotmats[frame, chains])
        chains = [joint for chain in model.roles.fingers[1 - side] for joint in chain]
        assert not torch.allclose(found[frame, chains], elsewhere.rel_rotmats[frame, chains], atol=0.05)


def test_no_finger_bends_farther_than_fingers_can(model: AnnyBody) -> None:
    body = bent(model, make_person(model, frames=4, video=False).body, (0.2, 0.5, 0.5, 0.5, 0.5))
    observation = seen(model, body)
    torch.manual_seed(0)
    observation.hand_image[:, :, 2:] += 0.15 * torch.randn(4, 2, 19, 2)
    found = fingers_in_picture(body, observation, torch.arange(4), model).rel_rotmats
    joints = model.rest(body.betas[None]).joints[0]
    for side in (0, 1):
        axes = finger_axes(model, joints, side)
        for number, (chain, axis) in enumerate(zip(model.roles.fingers[side], axes, strict=True)):
            low, high = THUMB_BENDS if number == 0 else BENDS
            bend = matrix_to_rotvec(found[:, list(chain[1:])]) @ axis
            assert float(bend.amin()) > low - 1e-3
            assert float(bend.amax()) < high + 1e-3
            turned = matrix_to_rotvec(found[:, chain[0]]).norm(dim=-1)
            assert float(turned.amax()) < math.hypot(max(-low, high), 2 * SPREAD) + 1e-3


def fists(model: AnnyBody) -> Truth:
    """A person of average hands whose fingers are bent."""
    body = make_person(model, frames=1, video=False, seed=2).body
    betas = body.betas.clone()
    betas[[model.beta_names.index(name) for name in ("hand-size", "finger-length")]] = 0
    body = bent(model, BodyParams(betas, body.rel_rotmats, body.camera), (0.4, 1.4, 1.4, 1.4, 1.4))
    return with_hands(model, Truth(body, detections_of(model, body, 0.0)))


def test_bent_fingers_are_not_taken_for_short_ones(model: AnnyBody) -> None:
    truth = fists(model)
    found = fit_body(truth.detections, model).body
    hands = [found.betas[model.beta_names.index(name)] for name in ("hand-size", "finger-length")]
    assert max(abs(float(beta)) for beta in hands) < 1


def test_a_hand_lies_where_it_was_seen_and_not_where_the_pose_guessed_it(model: AnnyBody) -> None:
    truth = fists(model)
    hand = [BODY_LANDMARKS.index(f"left_{name}") for name in ("wrist", "pinky", "index", "thumb")]
    truth.detections.xy[:, hand, 0] += 0.03 * float(truth.body.camera.scale)
    found = fit_body(truth.detections, model, FitConfig(outline_rounds=0, frame_outline_rounds=0)).body
    apart = (landmarks(model, found) - landmarks(model, truth.body)).norm(dim=-1) / truth.body.camera.scale
    assert float(apart[0, 0, list(PALM)].mean()) < 0.006  # of 0.03 that the pose is wrong
