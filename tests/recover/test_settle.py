import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.recover.fitting.settle import OutlineFit

SIZE = 128


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


def covered(model: AnnyBody, body: BodyParams) -> torch.Tensor:
    posed = model.pose(model.rest(body.betas[None]), body.rel_rotmats)
    return rasterize(body.camera.project(posed.vertices), model.faces, SIZE, SIZE).covered


def overlap(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture(scope="module")
def true_body(model) -> BodyParams:
    """A stout person in two poses."""
    betas = torch.zeros(len(model.beta_names))
    for name in ("waist-girth", "hips-girth", "thigh-girth", "calf-girth", "upperarm-girth", "belly"):
        betas[model.beta_names.index(name)] = 3.0
    rotvec = torch.zeros(2, len(model.joint_names), 3)
    rotvec[1, list(model.roles.upper_arm), 2] = torch.tensor([0.4, -0.4])
    camera = WeakPerspective(torch.full((2,), 58.0), torch.full((2, 2), 62.0))
    return BodyParams(betas, rotvec_to_matrix(rotvec), camera)


def test_a_disturbed_body_fills_the_masks_again(model, true_body):
    masks = covered(model, true_body)
    noise = torch.zeros(*true_body.rel_rotmats.shape[:2], 3)
    joints = list(model.roles.movable())
    noise[:, joints] = 0.01 * torch.randn(2, len(joints), 3, generator=torch.Generator().manual_seed(0))
    wrong = BodyParams(
        true_body.betas * 0,
        rotvec_to_matrix(noise) @ true_body.rel_rotmats,
        WeakPerspective(true_body.camera.scale, true_body.camera.translation + 0.5),
    )
    settled = OutlineFit.of(model).settle(wrong, masks)
    before, after = overlap(covered(model, wrong), masks), overlap(covered(model, settled), masks)
    assert after > before + 0.03
    assert after > 0.92


def test_fingers_and_the_given_body_stay_as_they_were(model, true_body):
    fit = OutlineFit.of(model)
    fingers = [joint for side in model.roles.fingers for chain in side for joint in chain]
    still = [joint for joint in fingers if joint not in fit.skeleton.joints.tolist()]
    before = true_body.rel_rotmats.clone()
    settled = fit.settle(true_body, covered(model, true_body))
    assert still
    torch.testing.assert_close(settled.rel_rotmats[:, still], before[:, still])
    torch.testing.assert_close(true_body.rel_rotmats, before)
    assert (
        settled.rel_rotmats[:, list(model.roles.upper_arm)] - before[:, list(model.roles.upper_arm)]
    ).abs().max() < 0.2


def test_an_empty_mask_leaves_the_body_near_its_landmarks(model, true_body):
    nothing = torch.zeros(2, SIZE, SIZE, dtype=torch.bool)
    settled = OutlineFit.of(model).settle(true_body, nothing)
    assert settled.betas.isfinite().all()
    assert overlap(covered(model, settled), covered(model, true_body)) > 0.85
