"""The figures, on pictures whose figures are known."""

from dataclasses import replace

import pytest
import torch

from liquidwarp.learn.scores import Pictures, Scorer, Scores, mean_scores


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer.load()


@pytest.fixture(scope="module")
def truth() -> Pictures:
    """A patterned figure of 32 x 64 px in the middle of a patterned place."""
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    image = torch.stack([(x / 5).sin() * (y / 9).cos(), (x / 11).cos(), (y / 6).sin()])[None] * 0.4 + 0.5
    matte = torch.zeros(1, 1, 128, 128)
    matte[..., 32:96, 48:80] = 1
    return Pictures(image, matte)


LANDMARKS = torch.tensor([[[74.0, 40.0], [68.0, 40.0], [54.0, 40.0], [60.0, 40.0], [64.0, 50.0]]])


def test_the_truth_scores_perfectly(scorer: Scorer, truth: Pictures) -> None:
    (score,) = scorer(truth, truth, LANDMARKS, torch.ones(1))
    assert (score.psnr, score.psnr_person) == (100, 100)
    assert (score.ssim, score.mask_iou) == (pytest.approx(1), 1)
    assert (score.perceptual, score.face) == (0, pytest.approx(0, abs=1e-6))


def test_only_the_box_counts(scorer: Scorer, truth: Pictures) -> None:
    image = truth.images.clone()
    image[..., :20], image[..., 112:, :] = 0, 1
    (score,) = scorer(replace(truth, images=image), truth)
    assert (score.psnr, score.perceptual) == (100, 0)
    image[..., 40:60, 46] += 0.3  # in the box, outside of the silhouette
    (score,) = scorer(replace(truth, images=image), truth)
    box = (64 + 2 * 3) * (32 + 2 * 3)
    assert score.psnr == pytest.approx(-10 * torch.log10(torch.tensor(20 * 0.09 / box)).item(), abs=1e-3)
    assert score.perceptual > 0


def test_a_larger_shift_scores_worse(scorer: Scorer, truth: Pictures) -> None:
    scores = []
    for shift in (0, 1, 2, 4):
        moved = Pictures(truth.images.roll(shift, -1), truth.mattes.roll(shift, -1))
        scores += scorer(moved, truth, LANDMARKS, torch.ones(1))
    assert [s.mask_iou for s in scores] == pytest.approx([(32 - s) / (32 + s) for s in (0, 1, 2, 4)])
    for name, sign in (("psnr", -1), ("psnr_person", -1), ("ssim", -1), ("perceptual", 1), ("face", 1)):
        values = [sign * getattr(score, name) for score in scores]
        assert values == sorted(values), name


def test_unseen_faces_and_missing_networks_give_no_figure(scorer: Scorer, truth: Pictures) -> None:
    assert scorer(truth, truth, LANDMARKS, torch.zeros(1))[0].face is None
    assert scorer(truth, truth)[0].face is None
    assert Scorer()(truth, truth)[0].perceptual is None


def test_without_a_person_the_whole_picture_counts(truth: Pictures) -> None:
    empty = replace(truth, mattes=torch.zeros_like(truth.mattes))
    (score,) = Scorer()(replace(empty, images=truth.images + 0.1), empty)
    assert score.psnr == pytest.approx(20, abs=1e-3)


def test_means_leave_missing_figures_out() -> None:
    score = Scores(10.0, 10.0, 0.5, 0.2, 1.0, None)
    assert mean_scores([score, score]) == score
    assert mean_scores([score, replace(score, face=0.4), replace(score, face=0.6)]).face == pytest.approx(0.5)


def test_a_truth_is_looked_at_once_for_all_models(truth: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(truth, images=truth.images.flip(-1))
    blurred = replace(truth, images=torch.nn.functional.avg_pool2d(truth.images, 5, 1, 2))
    expected = [Scorer.load()(made, true)[0] for made, true in ((blurred, truth), (other, truth), (blurred, other))]
    scorer, looks = Scorer.load(), []
    perceptual = scorer.perceptual
    assert perceptual is not None
    maps = perceptual.maps
    monkeypatch.setattr(perceptual, "maps", lambda image: looks.append(image) or maps(image))
    assert [scorer(made, truth)[0] for made in (blurred, other)] == expected[:2]
    assert len(looks) == 1
    assert scorer(blurred, other) == expected[2:]
    assert len(looks) == 2
