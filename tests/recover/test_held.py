"""Held things on painted people: where they are is known."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS
from liquidwarp.cache import Cache
from liquidwarp.config import FitConfig
from liquidwarp.geometry.raster import rasterize
from liquidwarp.recover.detection.detections import PackedMasks
from liquidwarp.recover.fitting import whole_fit
from liquidwarp.recover.fitting.whole_fit import fit_video
from liquidwarp.recover.mattes.held import cut_things, find_held
from liquidwarp.recover.mattes.usual_colours import BodyPatches

from .people import SIZE, Truth, make_person

FRAMES = 36
RADIUS = 26
"""Of the ball [px], 11 cm."""
HELD = range(16, 22)
"""Frames with the ball, which passes over the thighs and leaves the body."""
GREEN, NAVY, WHITE, SKIN = (70, 110, 60), (30, 40, 80), (235, 235, 230), (190, 140, 110)


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


@pytest.fixture(scope="module")
def truth(model: AnnyBody) -> Truth:
    return make_person(model, frames=FRAMES, betas=torch.zeros(len(model.beta_names)))


@pytest.fixture(scope="module")
def person(model: AnnyBody, truth: Truth) -> list[np.ndarray]:
    """Frames of the person in a striped shirt, dark trousers and white shoes."""
    body = truth.body
    vertices = model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices
    raster = rasterize(body.camera.project(vertices), model.faces, SIZE[1], SIZE[0])
    part = model.face_part[raster.pix_to_face.clamp(min=0)].numpy()
    colours = np.array([colour_of(name) for name in PARTS], np.uint8)
    frames = []
    for index, covered in enumerate(raster.covered.numpy()):
        frame: np.ndarray = np.where(covered[..., None], colours[part[index]], np.array(GREEN, np.uint8))
        stripes = covered & (part[index] == PARTS.index("torso")) & (np.arange(SIZE[1]) // 6 % 2 == 0)[:, None]
        frame[stripes] = (200, 60, 60)
        frames.append(frame)
    return frames


def colour_of(part: str) -> tuple[int, int, int]:
    if "leg" in part:
        return NAVY
    if "foot" in part:
        return WHITE
    return (120, 120, 140) if part == "torso" or "upper_arm" in part else SKIN


def with_ball(
    truth: Truth, person: list[np.ndarray], frames: range, colour: tuple[int, int, int] = WHITE, still: bool = False
) -> tuple[list[np.ndarray], Truth, list[np.ndarray]]:
    """Paint a ball; frames, detections whose masks hold it, and where it is (in the frames)."""
    pictures, masks, balls = [], [], []
    knees, hips = truth.detections.xy[:, 25], truth.detections.xy[:, 23]
    for index, frame in enumerate(person):
        ball = np.zeros(frame.shape[:2], np.uint8)
        if index in frames:
            sideways = 12.0 if still else 14.0 * (index - frames.start) - 20
            x, y = ((knees[index] + hips[index]) / 2 + torch.tensor([sideways, 0.0])).tolist()
            cv2.circle(ball, (round(x), round(y)), RADIUS, 1, -1)
        pictures.append(np.where(ball[..., None] > 0, np.array(colour, np.uint8), frame))
        mask = truth.detections.masks[index]
        balls.append(ball > 0)
        masks.append(mask | (cv2.resize(ball, mask.shape[::-1], interpolation=cv2.INTER_AREA) > 0))
    detections = replace(truth.detections, masks=PackedMasks.pack(np.stack(masks)))
    return pictures, replace(truth, detections=detections), balls


def test_a_passing_ball_is_found_on_the_body_and_beside_it(
    model: AnnyBody, truth: Truth, person: list[np.ndarray]
) -> None:
    pictures, seen, balls = with_ball(truth, person, HELD)
    held = find_held(pictures, seen.detections, truth.body, model)
    assert held is not None
    for index in range(FRAMES):
        ball = cv2.resize(balls[index].astype(np.uint8), (192, 256), interpolation=cv2.INTER_AREA) > 0
        found = held.whole[index]
        if index not in HELD:
            assert not found.any()
            continue
        assert (found & ball).sum() / (found | ball).sum() > 0.8
        assert not (held.beyond[index] & truth.detections.masks[index]).sum() > 0.1 * ball.sum()
    assert held.beyond[HELD[-1]].sum() > 2 * held.beyond[HELD[0]].sum()


def test_what_is_always_there_is_worn(model: AnnyBody, truth: Truth, person: list[np.ndarray]) -> None:
    pictures, seen, _ = with_ball(truth, person, range(FRAMES), still=True)
    assert find_held(pictures, seen.detections, truth.body, model) is None


def test_nothing_is_found_where_nothing_is_held(model: AnnyBody, truth: Truth, person: list[np.ndarray]) -> None:
    """Neither on stripes, nor if the fit is some centimetres off."""
    assert find_held(person, truth.detections, truth.body, model) is None
    camera = truth.body.camera
    moved = replace(camera, translation=camera.translation + torch.tensor([7.0, -6.0]))
    assert find_held(person, truth.detections, replace(truth.body, camera=moved), model) is None


def test_trousers_that_pass_as_skin_stay(model: AnnyBody, truth: Truth, person: list[np.ndarray]) -> None:
    """Skin is usual everywhere: it may be a hand that the fit misses."""
    pictures, seen, _ = with_ball(truth, person, HELD, SKIN)
    assert find_held(pictures, seen.detections, truth.body, model) is None


def test_few_frames_say_nothing(model: AnnyBody, truth: Truth, person: list[np.ndarray]) -> None:
    pictures, seen, _ = with_ball(truth, person, HELD)
    few = torch.arange(12)
    assert find_held(pictures, seen.detections.select(few), truth.body[few], model) is None


def test_patches_cover_the_skin_evenly(model: AnnyBody) -> None:
    patches = BodyPatches.of(model)
    assert patches.beside.diagonal().all()
    assert 4 < patches.beside.sum(1).mean() < 12
    assert set(patches.part) == set(range(len(PARTS)))


def test_a_thing_is_cut_out_of_a_matte() -> None:
    """Also the sliver of it that the coarse mask leaves out, but not the leg below it."""
    rgb = np.full((240, 120, 3), GREEN, np.uint8)
    body = np.zeros((240, 120), bool)
    body[20:230, 40:70] = True
    rgb[body] = NAVY
    ball = np.zeros((240, 120), np.uint8)
    cv2.circle(ball, (76, 120), 24, 1, -1)
    rgb[ball > 0] = WHITE
    matte = np.where(body | (ball > 0), 255, 0).astype(np.uint8)
    coarse = cv2.resize(ball, (60, 120), interpolation=cv2.INTER_AREA) > 0
    coarse[:, 44:] = False
    left, where = cut_things(matte, rgb, coarse, body)
    assert not left[ball > 0].any()
    assert (left[body & ~where] == 255).all()
    assert (left[200:230, 40:70] == 255).all()
    untouched, nowhere = cut_things(matte, rgb, np.zeros_like(coarse), body)
    assert (untouched == matte).all()
    assert not nowhere.any()


def test_the_fit_does_without_the_ball_and_goes_on_after_a_kill(
    model: AnnyBody, truth: Truth, person: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, seen, _ = with_ball(truth, person, HELD)
    config, cache = FitConfig(landmark_steps=6, outline_rounds=1, frame_outline_rounds=1), Cache(tmp_path)
    whole, held = fit_video(seen.detections, pictures, model, config)
    assert held is not None
    assert sum(held[index].any() for index in range(FRAMES)) == len(HELD)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(whole_fit, "fit_outlines", killed)
        with pytest.raises(KeyboardInterrupt):
            fit_video(seen.detections, pictures, model, config, cache, "key")
    monkeypatch.setattr(whole_fit, "fit_landmarks", killed)  # need not be called again
    again, _ = fit_video(seen.detections, pictures, model, config, cache, "key")
    assert torch.equal(again.body.rel_rotmats, whole.body.rel_rotmats)
    assert torch.equal(again.body.betas, whole.body.betas)


def test_a_ball_that_hardly_leaves_its_place_is_found(model: AnnyBody, truth: Truth, person: list[np.ndarray]) -> None:
    """Of a short clip's frames 55 in 100 show it on the same thigh."""
    often = range(8, 28)
    pictures, seen, balls = with_ball(truth, person, often, still=True)
    held = find_held(pictures, seen.detections, truth.body, model)
    assert held is not None
    for index in range(FRAMES):
        ball = cv2.resize(balls[index].astype(np.uint8), (192, 256), interpolation=cv2.INTER_AREA) > 0
        found = held.whole[index]
        assert found.any() == (index in often)
        assert (found & ball).sum() >= 0.55 * ball.sum()  # where the body hides its own skin nothing is strange
        assert (found & ~ball).sum() <= 0.1 * ball.sum()


def test_a_white_ball_above_a_white_shoe_is_whole(model: AnnyBody, truth: Truth, person: list[np.ndarray]) -> None:
    """The third of it that is near the shoe has the shoe's colour."""
    pictures, seen, _ = with_ball(truth, person, range(0))
    masks = [seen.detections.masks[index].copy() for index in range(FRAMES)]
    knees, ankles, balls = truth.detections.xy[:, 25], truth.detections.xy[:, 27], {}
    for index in HELD:
        disc = np.zeros(pictures[index].shape[:2], np.uint8)
        x, y = (ankles[index] + 0.45 * (knees[index] - ankles[index])).tolist()
        cv2.circle(disc, (round(x), round(y)), RADIUS, 1, -1)
        pictures[index] = np.where(disc[..., None] > 0, np.array(WHITE, np.uint8), pictures[index])
        balls[index] = cv2.resize(disc, masks[index].shape[::-1], interpolation=cv2.INTER_AREA) > 0
        masks[index] |= balls[index]
    detections = replace(seen.detections, masks=PackedMasks.pack(np.stack(masks)))
    held = find_held(pictures, detections, truth.body, model)
    assert held is not None
    for index, ball in balls.items():
        found = held.whole[index]
        assert (found & ball).sum() / (found | ball).sum() > 0.9


def test_a_ball_beside_one_hand_is_no_skin(model: AnnyBody, truth: Truth, person: list[np.ndarray]) -> None:
    pictures, seen, _ = with_ball(truth, person, HELD)
    wrist = truth.detections.xy[:, 15]
    masks = [seen.detections.masks[index].copy() for index in range(FRAMES)]
    for index in range(0, FRAMES, 2):
        disc = np.zeros(pictures[index].shape[:2], np.uint8)
        x, y = wrist[index].tolist()
        cv2.circle(disc, (round(x) + 12, round(y) + 12), 16, 1, -1)
        pictures[index] = np.where(disc[..., None] > 0, np.array(WHITE, np.uint8), pictures[index])
        masks[index] |= cv2.resize(disc, masks[index].shape[::-1], interpolation=cv2.INTER_AREA) > 0
    detections = replace(seen.detections, masks=PackedMasks.pack(np.stack(masks)))
    held = find_held(pictures, detections, truth.body, model)
    assert held is not None
    assert all(held.whole[index].any() for index in HELD)


@pytest.mark.parametrize("dark", [range(12), range(18), range(24)])
def test_another_light_is_no_thing(model: AnnyBody, truth: Truth, person: list[np.ndarray], dark: range) -> None:
    pictures = [(frame * 0.5).astype(np.uint8) if index in dark else frame for index, frame in enumerate(person)]
    assert find_held(pictures, truth.detections, truth.body, model) is None
