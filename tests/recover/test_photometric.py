import cv2
import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import interpolate, rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.recover.detection.detections import PackedMasks
from liquidwarp.recover.fitting.photometric import PhotometricFit
from liquidwarp.recover.fitting.skin_colours import SkinColours, Square, View, disagreement

SIZE, FRAMES = 240, 6


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


def posed(model, body):
    return model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices


def pattern(model) -> torch.Tensor:
    """Clothes with checks as wide as a hand."""
    rest = model.rest(torch.zeros(1, len(model.beta_names))).vertices[0]
    waves = torch.sin(rest @ torch.tensor([[45.0, 10.0, 5.0], [8.0, 40.0, -9.0], [3.0, 12.0, 50.0]]))
    return 128 + 90 * waves


def drawn(model, body) -> tuple[list[np.ndarray], PackedMasks]:
    raster = rasterize(body.camera.project(posed(model, body)), model.faces, SIZE, SIZE)
    colours = interpolate(pattern(model)[None], model.faces, raster)
    picture = torch.where(raster.covered[..., None], colours, 60.0)
    return list(picture.numpy().astype(np.uint8)), PackedMasks.pack(raster.covered.numpy())


@pytest.fixture(scope="module")
def true_body(model) -> BodyParams:
    """Somebody who lifts the arms."""
    rotvec = torch.zeros(FRAMES, len(model.joint_names), 3)
    rotvec[:, list(model.roles.upper_arm), 2] = torch.linspace(0, 0.5, FRAMES)[:, None] * torch.tensor([1.0, -1.0])
    camera = WeakPerspective(torch.full((FRAMES,), 115.0), torch.full((FRAMES, 2), 120.0))
    return BodyParams(torch.zeros(len(model.beta_names)), rotvec_to_matrix(rotvec), camera)


def turned(model, body: BodyParams) -> BodyParams:
    """The same with thighs that are turned to and fro about themselves: no outline and no landmark shows it."""
    rotmats = body.rel_rotmats.clone()
    angle = 0.35 * torch.tensor([1.0, -1.0, 0.5, -0.5, 1.0, -1.0])
    twist = rotvec_to_matrix(torch.stack([torch.zeros(FRAMES), angle, torch.zeros(FRAMES)], 1))
    for thigh, shin in zip(model.roles.upper_leg, model.roles.lower_leg, strict=True):
        rotmats[:, thigh] = rotmats[:, thigh] @ twist
        rotmats[:, shin] = twist.mT @ rotmats[:, shin]
    return BodyParams(body.betas, rotmats, body.camera)


def disunity(model, body: BodyParams, true: BodyParams) -> float:
    """How much the displacement of the thighs' front differs between frames [px]."""
    apart = (body.camera.project(posed(model, body)) - true.camera.project(posed(model, true)))[..., :2]
    thigh = torch.isin(
        model.vertex_part, torch.tensor([PARTS.index(f"{side}_upper_leg") for side in ("left", "right")])
    )
    place = posed(model, true)[0, :, 2]
    apart = apart[:, thigh & (place < place[thigh].median())]
    return float((apart - apart.mean(0)).norm(dim=-1).mean())


def test_frames_agree_after_the_alignment(model, true_body):
    frames, _ = drawn(model, true_body)
    masks = PackedMasks.pack(np.ones((FRAMES, SIZE, SIZE), bool))  # no outline helps
    wrong = turned(model, true_body)
    aligned = PhotometricFit.of(model).align(wrong, frames, masks, torch.ones(FRAMES, dtype=torch.bool))
    assert disunity(model, aligned, true_body) < 0.6 * disunity(model, wrong, true_body)
    assert torch.equal(aligned.betas, wrong.betas)


def in_other_light(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Each photo has its own brightness and colour, from one side."""
    side = np.linspace(-1, 1, SIZE)[None, :, None]
    tints = np.random.default_rng(0).uniform(0.6, 1.2, (len(frames), 1, 1, 3))
    lit = [
        frame * tint * (1 + 0.25 * (-1) ** i * side) for i, (frame, tint) in enumerate(zip(frames, tints, strict=True))
    ]
    return [np.clip(picture, 0, 255).astype(np.uint8) for picture in lit]


def test_photos_of_several_sizes_and_lights_agree_after_the_alignment(model, true_body):
    frames, _ = drawn(model, true_body)
    pictures, masks, wrong = in_other_light(frames), [np.ones((SIZE, SIZE), bool)] * FRAMES, turned(model, true_body)
    pictures[1] = cv2.resize(pictures[1], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    factor = torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0, 1.0])
    camera = WeakPerspective(wrong.camera.scale * factor, wrong.camera.translation * factor[:, None])
    photos = BodyParams(wrong.betas, wrong.rel_rotmats, camera)
    aligned = PhotometricFit.of(model).align_photos(photos, iter(pictures), masks)
    small = WeakPerspective(aligned.camera.scale / factor, aligned.camera.translation / factor[:, None])
    alike = BodyParams(aligned.betas, aligned.rel_rotmats, small)
    assert disunity(model, alike, true_body) < 0.75 * disunity(model, wrong, true_body)
    assert torch.equal(aligned.betas, wrong.betas)


def test_photos_that_share_no_surface_stay(model, true_body):
    frames, _ = drawn(model, true_body)
    rotations = turned(model, true_body).rel_rotmats[:3].clone()
    rotations[2, 0] = rotations[2, 0] @ rotvec_to_matrix(torch.tensor([0.0, np.pi, 0.0]))
    behind = BodyParams(true_body.betas, rotations, true_body.camera[:3])
    seen, _ = drawn(model, behind)
    masks, fit = [np.ones((SIZE, SIZE), bool)] * 3, PhotometricFit.of(model)
    aligned = fit.align_photos(behind, [*frames[:2], seen[2]], masks)
    assert torch.equal(aligned.rel_rotmats[2], behind.rel_rotmats[2])
    assert torch.equal(aligned.camera.translation[2], behind.camera.translation[2])
    assert not torch.allclose(aligned.rel_rotmats[0], behind.rel_rotmats[0])
    assert fit.align_photos(behind[:1], frames[:1], masks[:1]).rel_rotmats.equal(behind.rel_rotmats[:1])


def test_right_bodies_stay_right(model, true_body):
    frames, masks = drawn(model, true_body)
    aligned = PhotometricFit.of(model).align(true_body, frames, masks, torch.ones(FRAMES, dtype=torch.bool))
    apart = aligned.camera.project(posed(model, aligned)) - true_body.camera.project(posed(model, true_body))
    assert float(apart[..., :2].norm(dim=-1).mean()) < 0.5


def test_frames_without_a_person_and_few_frames_stay(model, true_body):
    frames, masks = drawn(model, true_body)
    wrong, fit = turned(model, true_body), PhotometricFit.of(model)
    found = torch.tensor([True, False, True, True, True, True])
    aligned = fit.align(wrong, frames, masks, found)
    assert torch.equal(aligned.rel_rotmats[1], wrong.rel_rotmats[1])
    assert not torch.allclose(aligned.rel_rotmats[0], wrong.rel_rotmats[0])
    few = torch.tensor([True, True, True, False, False, False])
    assert fit.align(wrong, frames, masks, few) is wrong


def test_things_that_are_not_in_the_mask_pull_nothing(model, true_body):
    frames, masks = drawn(model, true_body)
    vertices = true_body.camera.project(posed(model, true_body))[0]
    mask = masks[0].copy()
    mask[:120] = False
    square = Square(frames[0], mask, vertices)
    view = View.of(square, true_body.camera[:1], posed(model, true_body)[0], model.faces)
    above = vertices[:, 1] < 118
    assert view.weight[above.numpy()].max() == 0
    assert view.weight[~above.numpy()].max() == 1


def test_the_flow_is_the_shift_of_the_picture(model, true_body):
    frames, masks = drawn(model, true_body)
    projected = true_body.camera.project(posed(model, true_body))
    first = View.of(
        Square(frames[0], masks[0], projected[0]), true_body.camera[:1], posed(model, true_body)[0], model.faces
    )
    skin = SkinColours.of([first])
    shifted = WeakPerspective(true_body.camera.scale[:1], true_body.camera.translation[:1] + torch.tensor([2.0, 0.0]))
    square = Square(frames[0], masks[0], shifted.project(posed(model, true_body)[:1])[0])
    view = View.of(square, shifted, posed(model, true_body)[0], model.faces)
    found = disagreement(view, skin, model.faces, farthest=20.0)
    sure = (found.weight > 0.5) & (model.vertex_part == PARTS.index("torso"))
    assert int(sure.sum()) > 300
    apart = (found.target - projected[0, :, :2]).norm(dim=-1)[sure]
    assert float(apart.median()) < 0.3
