"""What the whole fit does around its stages: bridges over gaps, progress, photos of one person."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from tqdm import tqdm

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.config import FitConfig
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.recover.detection.detections import PackedMasks
from liquidwarp.recover.fitting import whole_fit
from liquidwarp.recover.fitting.whole_fit import fit_photos, fit_video

from .people import SIZE, Truth, make_person

QUICK = FitConfig(landmark_steps=6, outline_rounds=1, frame_outline_rounds=1)
FRAMES = 9
GAP = slice(3, 6)


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


@pytest.fixture(scope="module")
def truth(model: AnnyBody) -> Truth:
    return make_person(model, frames=FRAMES)


def grey() -> list[np.ndarray]:
    return [np.full((SIZE[1], SIZE[0], 3), 100, np.uint8)] * FRAMES


class Shifting:
    """An alignment that moves every body by 60 px."""

    @staticmethod
    def of(model: BodyModel) -> "Shifting":
        return Shifting()

    def align(
        self,
        body: BodyParams,
        frames: Iterable[np.ndarray],
        masks: PackedMasks,
        found: torch.Tensor,
        step: Callable[[int], object],
    ) -> BodyParams:
        camera = body.camera
        moved = camera.translation + 60.0 * found[:, None]
        return BodyParams(body.betas, body.rel_rotmats, WeakPerspective(camera.scale, moved))


def test_gaps_are_bridged_between_aligned_bodies(
    model: AnnyBody, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = torch.ones(FRAMES, dtype=torch.bool)
    found[GAP] = False
    detections = replace(truth.detections, found=found)
    before, _ = fit_video(detections, grey(), model, replace(QUICK, photometric=False))
    monkeypatch.setattr(whole_fit, "PhotometricFit", Shifting)
    after, _ = fit_video(detections, grey(), model, QUICK)
    shift = after.body.camera.translation - before.body.camera.translation
    torch.testing.assert_close(shift, torch.full_like(shift, 60.0), atol=0.1, rtol=0)
    assert not after.seen[GAP].any()


def test_every_stage_shows_its_progress_if_wanted(
    model: AnnyBody, truth: Truth, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = []

    def watched(**options: object) -> tqdm:
        bars.append(tqdm(**options))
        return bars[-1]

    monkeypatch.setattr(whole_fit, "tqdm", watched)
    fit_video(truth.detections, grey(), model, QUICK)
    assert capsys.readouterr().err == ""
    bars.clear()
    fit_video(truth.detections, grey(), model, QUICK, progress=True)
    stages = ["Fitting landmarks", "Looking for held things", "Fitting outlines", "Aligning colours"]
    assert [bar.desc.removesuffix(": ") for bar in bars] == stages
    assert "Aligning colours" in capsys.readouterr().err
    for bar in (bars[0], *bars[2:]):  # among so few frames held things are not looked for
        assert bar.n == bar.total


class Noting(Shifting):
    """An alignment that notes how many photos it was given."""

    given = 0

    @staticmethod
    def of(model: BodyModel) -> "Noting":
        return Noting()

    def align_photos(self, body: BodyParams, pictures: Iterable[np.ndarray], masks: Sequence[np.ndarray]) -> BodyParams:
        type(self).given += sum(picture.ndim == 3 for picture in pictures)
        return BodyParams(body.betas, body.rel_rotmats, WeakPerspective(2 * body.camera.scale, body.camera.translation))


def test_several_photos_are_aligned_and_one_is_not(
    model: AnnyBody, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_fit, "PhotometricFit", Noting)
    photos = [replace(truth.detections.select(torch.tensor([index])), fps=0.0) for index in range(3)]
    alone = fit_photos(photos, grey(), model, replace(QUICK, photometric=False))
    aligned = fit_photos(photos, grey()[:3], model, QUICK)
    assert Noting.given == 3
    torch.testing.assert_close(aligned.body.camera.scale, 2 * alone.body.camera.scale)
    fit_photos(photos[:1], grey()[:1], model, QUICK)
    assert Noting.given == 3
