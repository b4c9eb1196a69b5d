"""The figures, on pictures whose figures are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.transform import SimilarityTransform, warp

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


MEAN_FACE = ((0.8596, 0.2135), (0.6460, 0.2290), (0.1206, 0.2137), (0.3341, 0.2291), (0.4901, 0.6278))
"""dlib's, in the unit square."""
LANDMARKS = torch.tensor([[[74.0, 40.0], [68.0, 40.0], [54.0, 40.0], [60.0, 40.0], [64.0, 50.0]]])


def test_the_truth_scores_perfectly(scorer: Scorer, truth: Pictures) -> None:
    (score,) = scorer(truth, truth, LANDMARKS, torch.ones(1))
    assert (score.psnr, score.psnr_person) == (100, 100)
    assert (score.ssim, score.mask_iou) == (pytest.approx(1), 1)
    assert (score.perceptual, score.face) == (0, pytest.approx(0, abs=1e-6))


def test_scores_are_those_of_independent_implementations(scorer: Scorer, truth: Pictures) -> None:
    """In the person's box: scikit-image; on masks, feature maps and aligned faces: written out with numpy."""
    generator = torch.Generator().manual_seed(0)
    noisy = (truth.images + 0.08 * torch.randn(truth.images.shape, generator=generator)).clamp(0, 1)
    moved = Pictures(noisy.roll(1, -2), truth.mattes.roll(5, -1) * 0.8)
    (score,) = scorer(moved, truth, LANDMARKS, torch.ones(1))
    made, true = (each.images[0].permute(1, 2, 0).numpy() for each in (moved, truth))
    box = (slice(32 - 3, 96 + 3), slice(48 - 3, 80 + 3))  # 5 % of 64 px
    assert score.psnr == pytest.approx(peak_signal_noise_ratio(true[box], made[box], data_range=1.0), abs=1e-3)
    around = np.zeros((128, 128), bool)
    around[32 - 2 : 96 + 2, 48 - 2 : 80 + 2] = True  # 1/64 of the picture
    error = ((made - true)[around] ** 2).mean()
    assert score.psnr_person == pytest.approx(10 * np.log10(1 / error), abs=1e-3)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    _, everywhere = structural_similarity(true, made, channel_axis=2, data_range=1.0, **settings)
    assert score.ssim == pytest.approx(everywhere[box].mean(), abs=1e-4)
    masks = [each.mattes[0, 0].numpy() > 0.5 for each in (moved, truth)]
    assert score.mask_iou == pytest.approx(np.logical_and(*masks).sum() / np.logical_or(*masks).sum())
    # every map's mean difference over its typical activation, then the mean over all maps
    distances = []
    for network in scorer.perceptual.networks:
        maps = [network(each.images[(..., *box)]) for each in (moved, truth)]
        for one, other, scale in zip(*maps, network.typical, strict=True):
            distances.append(np.abs(one.numpy() - other.numpy()).mean() / scale)
    assert score.perceptual == pytest.approx(np.mean(distances), rel=1e-3)
    # dlib's chip of 150 px: the mean face with a quarter around it, by a similarity in least squares
    outline = (np.array(MEAN_FACE) + 0.25) / 1.5 * 150
    equations = np.concatenate([[[x, -y, 1, 0], [y, x, 0, 1]] for x, y in outline - 0.5])
    a, b, right, down = np.linalg.lstsq(equations, LANDMARKS[0].numpy().flatten() - 0.5, rcond=None)[0]
    placed = SimilarityTransform(np.array([[a, -b, right], [b, a, down], [0, 0, 1]]))
    chips = [warp(each, placed, output_shape=(150, 150), order=1, mode="edge") for each in (made, true)]
    embedded = [scorer.face(torch.from_numpy(c).permute(2, 0, 1)[None].float())[-1].flatten() for c in chips]
    assert score.face == pytest.approx(float((embedded[0] - embedded[1]).norm()), rel=0.05)


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
