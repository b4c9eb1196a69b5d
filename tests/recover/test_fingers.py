"""Fingers: relaxed hands curl inwards, seen hands are posed as seen."""

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotvec_to_matrix
from liquidwarp.recover.fitting.fingers import finger_axes, palm_normal, pose_fingers, relaxed_fingers
from liquidwarp.recover.fitting.observation import observe

from .people import Truth, detections_of, make_person


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


def tips(model: AnnyBody, rotations: torch.Tensor, side: int) -> torch.Tensor:
    """Outermost finger joints but the thumb's, relative to the wrist [m]."""
    joints = model.pose(model.rest(torch.zeros(1, len(model.beta_names))), rotations[None]).joints[0]
    return joints[[chain[-1] for chain in model.roles.fingers[side][1:]]] - joints[model.roles.hand[side]]


@pytest.mark.parametrize("side", [0, 1])
def test_relaxed_fingers_bend_into_the_palm_and_close(model: AnnyBody, side: int) -> None:
    rest = torch.eye(3).repeat(len(model.parents), 1, 1)
    joints = model.rest(torch.zeros(1, len(model.beta_names))).joints[0]
    palm = palm_normal(model, joints, side)
    straight, relaxed = tips(model, rest, side), tips(model, relaxed_fingers(model), side)
    assert bool(((relaxed - straight) @ palm > 0.005).all())
    assert float((relaxed[0] - relaxed[-1]).norm()) < float((straight[0] - straight[-1]).norm())
    moved = relaxed_fingers(model) - rest
    others = [j for j in range(len(model.parents)) if all(j not in c for s in model.roles.fingers for c in s)]
    assert float(moved[others].abs().max()) == 0


def with_hands(model: AnnyBody, truth: Truth) -> Truth:
    """Add what a perfect hand detector would see."""
    body, seen = truth.body, truth.detections
    posed = model.pose(model.rest(body.betas[None]), body.rel_rotmats)
    rest = model.rest(body.betas[None]).joints[0]
    for side, name in enumerate(("left_hand", "right_hand")):
        table = model.landmarks[name]
        points = table.rest + torch.einsum("k,klc->lc", body.betas, table.basis)
        turned = torch.einsum("tlij,lj->tli", posed.glob_rotmats[:, table.joint], points - rest[table.joint])
        world = posed.joints[:, table.joint] + turned
        seen.hands_world[:, side] = world - world[:, :1]
        seen.hands_xy[:, side] = body.camera.project(world)[..., :2]
        seen.hands_score[:, side] = 1.0
    return Truth(body, seen)


def test_seen_fingers_are_found_again(model: AnnyBody) -> None:
    truth = make_person(model, frames=3, video=False)
    rotations = truth.body.rel_rotmats.clone()
    joints = model.rest(truth.body.betas[None]).joints[0]
    bends = torch.tensor([0.3, 0.9, 0.1, 0.6, 0.4])
    for side in (0, 1):
        axes = finger_axes(model, joints, side)
        for chain, axis, bend in zip(model.roles.fingers[side], axes, bends, strict=True):
            for joint in chain:
                rotations[:, joint] = rotvec_to_matrix(axis * bend)
    body = BodyParams(truth.body.betas, rotations, truth.body.camera)
    truth = with_hands(model, Truth(body, detections_of(model, body, 0.0)))
    start = rotations.clone()
    for joint in (j for side in model.roles.fingers for chain in side for j in chain):
        start[:, joint] = torch.eye(3)
    start_body = BodyParams(body.betas, start, body.camera)
    posed = pose_fingers(start_body, observe(truth.detections), torch.arange(3), model)
    for side in (0, 1):
        for chain in model.roles.fingers[side][1:]:
            difference = matrix_to_rotvec(posed.rel_rotmats[:, chain] @ rotations[:, chain].transpose(-1, -2))
            assert float(difference.norm(dim=-1).max()) < 0.2
    unseen = observe(truth.detections)
    unseen.hand_weight[:] = 0
    assert torch.equal(pose_fingers(start_body, unseen, torch.arange(3), model).rel_rotmats, start)
