"""The fit on detections made from a known body."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS
from liquidwarp.config import FitConfig
from liquidwarp.errors import NoPersonFoundError
from liquidwarp.recover.detection.detections import Detections, PackedMasks
from liquidwarp.recover.fitting.fit import BodyFit, fit_body, fit_landmarks
from liquidwarp.recover.fitting.fit_task import FitTask, Pass

from .people import Truth, detections_of, landmarks_of, make_person

LANDMARKS_ONLY = FitConfig(outline_rounds=0, frame_outline_rounds=0, smoothing=0.0)


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


def joint_error(model: AnnyBody, truth: Truth, fit: BodyFit) -> torch.Tensor:
    """Mean distance of the landmarks on both bodies, relative to the hips' middle [mm], per frame."""
    true, found = landmarks_of(model, truth.body), landmarks_of(model, fit.body)
    hips = [23, 24]
    difference = (true - true[:, hips].mean(1, keepdim=True)) - (found - found[:, hips].mean(1, keepdim=True))
    return difference.norm(dim=-1).mean(1) * 1e3


def test_a_known_body_is_found_again(model: AnnyBody) -> None:
    truth = make_person(model, frames=12)
    fit = fit_body(truth.detections, model, LANDMARKS_ONLY)
    assert float(joint_error(model, truth, fit).mean()) < 8  # [mm]
    pixels = fit.body.camera.project(landmarks_of(model, fit.body))[..., :2]
    assert float((pixels - truth.detections.xy).norm(dim=-1).mean()) < 2  # of about 400 px of height
    assert bool(fit.seen[:, model.roles.foot[0]].all())
    assert bool(fit.fitted.all())


def test_noise_and_outliers_do_not_break_it(model: AnnyBody) -> None:
    truth = make_person(model, frames=12, image_noise=2.0, world_noise=0.02)
    clean = joint_error(model, truth, fit_body(truth.detections, model, LANDMARKS_ONLY)).mean()
    torch.manual_seed(1)
    bad = torch.rand(12, 33) < 0.05
    truth.detections.xy[bad] += 60 * torch.randn(int(bad.sum()), 2)
    truth.detections.world[bad] += 0.25 * torch.randn(int(bad.sum()), 3)
    spoilt = joint_error(model, truth, fit_body(truth.detections, model, LANDMARKS_ONLY)).mean()
    assert float(clean) < 25
    assert float(spoilt) < 1.5 * float(clean) + 3


def test_all_frames_share_the_shape_and_a_given_shape_is_kept(model: AnnyBody) -> None:
    truth = make_person(model, frames=6, video=False)
    fit = fit_body(truth.detections, model, LANDMARKS_ONLY)
    assert fit.body.betas.shape == truth.body.betas.shape
    assert float(joint_error(model, truth, fit).mean()) < 10
    given = fit_body(truth.detections, model, LANDMARKS_ONLY, shared_betas=truth.body.betas)
    assert torch.equal(given.body.betas, truth.body.betas)


def test_half_a_body_leaves_the_rest_at_the_prior_and_says_so(model: AnnyBody) -> None:
    truth = make_person(model, frames=4, video=False)
    waist = float(truth.detections.xy[:, 23:25, 1].min()) - 2
    cut = truth.detections.image_size[0], int(waist)
    fit = fit_body(type(truth.detections)(**{**vars(truth.detections), "image_size": cut}), model, LANDMARKS_ONLY)
    for side in (0, 1):
        for joint in (model.roles.upper_leg[side], model.roles.lower_leg[side], model.roles.foot[side]):
            assert not bool(fit.seen[:, joint].any())
            angle = torch.arccos(((fit.body.rel_rotmats[:, joint].diagonal(0, 1, 2).sum(-1) - 1) / 2).clamp(-1, 1))
            assert float(angle.max()) < 0.1
        assert bool(fit.seen[:, model.roles.upper_arm[side]].all())


def test_frames_without_a_person(model: AnnyBody) -> None:
    truth = make_person(model, frames=5)
    truth.detections.found[2] = False
    fit = fit_body(truth.detections, model, LANDMARKS_ONLY)
    assert fit.fitted.tolist() == [True, True, False, True, True]
    truth.detections.found[:] = False
    with pytest.raises(NoPersonFoundError, match="found none"):
        fit_body(truth.detections, model, LANDMARKS_ONLY)


def test_absence_does_not_hold_back_who_walks_through_the_picture(model: AnnyBody) -> None:
    """Nobody is seen before and behind; held ends would pull the path together."""
    one = make_person(model, frames=1)
    frames, way = 40, 12.0 * (torch.arange(40) - 20)
    seen = one.detections.select(torch.zeros(frames, dtype=torch.long))
    step = torch.stack([way, torch.zeros(frames)], 1)
    found = (torch.arange(frames) >= 14) & (torch.arange(frames) < 27)
    walking = replace(seen, xy=seen.xy + 0.3 * step[:, None], found=found, fps=25.0)
    fit = fit_body(walking, model, replace(LANDMARKS_ONLY, smoothing=1.0))
    pixels = fit.body.camera.project(landmarks_of(model, fit.body))[..., :2]
    off = (pixels - walking.xy)[found].mean(1).norm(dim=-1)
    assert float(off.max()) < 3
    torch.testing.assert_close(fit.body.camera.translation[:14], fit.body.camera.translation[14:15].expand(14, 2))


def test_outlines_find_a_fatter_body(model: AnnyBody) -> None:
    """Landmarks do not show girth; the mask does."""
    betas = torch.zeros(len(model.beta_names))
    for name in ("waist-girth", "hips-girth", "belly", "thigh-girth", "bust-girth"):
        betas[model.beta_names.index(name)] = 4.0
    truth = make_person(model, frames=6, video=False, betas=betas)

    def girth_error(fit: BodyFit) -> float:
        """Difference of the torso's mean radius [mm]."""
        found, true = (model.rest(b[None]).vertices[0][:, [0, 2]].norm(dim=-1) for b in (fit.body.betas, betas))
        torso = model.vertex_part == PARTS.index("torso")
        return abs(float((found - true)[torso].mean())) * 1e3

    thin = fit_body(truth.detections, model, LANDMARKS_ONLY)
    fat = fit_body(truth.detections, model, FitConfig())
    assert girth_error(fat) < 0.6 * girth_error(thin)
    assert overlap(model, truth, fat) > 0.95 > overlap(model, truth, thin)


def overlap(model: AnnyBody, truth: Truth, fit: BodyFit) -> float:
    """Intersection over union of the fitted bodies' and the true masks."""
    drawn = detections_of(model, fit.body, 0.0).masks
    pairs = [(drawn[frame], truth.detections.masks[frame]) for frame in range(len(drawn))]
    return min(float((a & b).sum() / (a | b).sum()) for a, b in pairs)


def test_outlines_of_wide_trousers_count_little(model: AnnyBody) -> None:
    """The lower legs' outline lies anywhere from the leg to 20 cm beside it; all others lie on the body."""
    truth = make_person(model, frames=16)
    seen, rng = truth.detections, np.random.default_rng(0)
    masks = [seen.masks[frame] for frame in range(16)]
    height, width = masks[0].shape
    for frame, mask in enumerate(masks):
        knees, ankles = (seen.xy[frame, index : index + 2] / 2 for index in (25, 27))  # masks have half of the size
        for knee, ankle in zip(knees.tolist(), ankles.tolist(), strict=True):
            start, end = ((int(x), int(y)) for x, y in (knee, ankle))
            leg = cv2.line(np.zeros((height, width), np.uint8), start, end, 1)
            broad = cv2.dilate(leg, np.ones((1, 2 * int(rng.integers(2, 20)) + 1), np.uint8))
            mask |= (broad > 0) & (np.arange(height) > knee[1])[:, None]
    wide = replace(seen, masks=PackedMasks.pack(np.stack(masks)))
    tight_trousers, wide_trousers = tightness(model, seen), tightness(model, wide)
    lower_legs = [PARTS.index(f"{side}_lower_leg") for side in ("left", "right")]
    others = [PARTS.index(part) for part in ("torso", "left_upper_arm", "right_upper_arm", "head")]
    assert float(tight_trousers.min()) > 0.9
    assert float(wide_trousers[lower_legs].max()) < 0.6
    assert float(wide_trousers[others].min()) > 0.9


def tightness(model: AnnyBody, detections: Detections) -> torch.Tensor:
    """Of the clothes, as the fit finds it."""
    task = FitTask.of((detections,), model, FitConfig())
    state = fit_landmarks(task, replace(LANDMARKS_ONLY, landmark_steps=6))
    loose = task.with_loose_clothes(state, torch.arange(len(task.observation)), Pass(3, with_outline=True))
    return loose.surface.tightness
