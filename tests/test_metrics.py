import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from liquidwarp.metrics import box_region, mask_iou, psnr, ssim, temporal_error


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 3, 40, 50, generator=generator)
    return (truth + 0.1 * torch.randn(truth.shape, generator=generator)).clamp(0, 1), truth


def to_numpy(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


def test_psnr_equals_scikit_image(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    expected = [peak_signal_noise_ratio(to_numpy(b), to_numpy(a), data_range=1.0) for a, b in zip(*pair, strict=True)]
    assert torch.allclose(psnr(*pair), torch.tensor(expected).float(), atol=1e-3)


def test_ssim_equals_scikit_image(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    def reference(a: torch.Tensor, b: torch.Tensor) -> float:
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        return float(structural_similarity(to_numpy(a), to_numpy(b), channel_axis=2, data_range=1.0, **settings))

    expected = [reference(a, b) for a, b in zip(*pair, strict=True)]
    assert torch.allclose(ssim(*pair), torch.tensor(expected), atol=1e-4)


def test_only_the_region_counts() -> None:
    truth = torch.full((1, 3, 32, 32), 0.5)
    image = truth.clone()
    image[..., :16] += 0.1
    region = torch.zeros(1, 1, 32, 32)
    region[..., :16] = 1
    assert psnr(image, truth, region).item() == pytest.approx(20, abs=1e-3)
    assert psnr(image, truth, 1 - region).item() == pytest.approx(100)
    assert ssim(image, truth, region).item() < ssim(image, truth).item()


def test_mask_iou_of_two_half_overlapping_boxes() -> None:
    a, b = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    a[..., 0:4], b[..., 2:6] = 1, 1
    assert mask_iou(a, b).item() == pytest.approx(1 / 3)
    assert mask_iou(a * 0, b * 0).item() == 1


def test_temporal_error_sees_flicker_and_not_a_constant_error() -> None:
    truth = torch.linspace(0, 0.5, 5).view(5, 1, 1, 1).expand(5, 3, 4, 4)
    assert temporal_error(truth + 0.2, truth).item() == pytest.approx(0, abs=1e-6)
    flicker = truth + torch.tensor([0, 0.1, 0, 0.1, 0]).view(5, 1, 1, 1)
    assert temporal_error(flicker, truth).item() == pytest.approx(0.1, abs=1e-6)


def test_temporal_error_is_the_plain_one(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    made, truth = (frames.numpy() for frames in pair)
    expected = np.mean([np.abs(np.diff(made, axis=0) - np.diff(truth, axis=0))])
    assert temporal_error(*pair).item() == pytest.approx(expected, rel=1e-5)


def test_box_region() -> None:
    matte = torch.zeros(2, 1, 20, 20)
    matte[0, 0, 5:15, 8:12] = 1
    region = box_region(matte, margin=0.1)
    assert region[0].sum() == 12 * 6
    assert region[0, 0, 4:16, 7:13].min() == 1
    assert region[1].sum() == 0
