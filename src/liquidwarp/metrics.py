"""How near a picture is to the truth: the metrics of the tables, with their definitions.

Each takes a ``region``: the pixels that count (1) or not (0), such as the person's box; without it all count.
Perceptual and face distances need networks and are in :mod:`liquidwarp.learn.scores`.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["box_region", "mask_iou", "psnr", "ssim", "temporal_error"]

_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


def _mean(values: Float[Tensor, "B C H W"], region: Float[Tensor, "B 1 H W"] | None) -> Float[Tensor, "B"]:
    if region is None:
        return values.mean((1, 2, 3))
    return (values * region).sum((1, 2, 3)) / (region.sum((1, 2, 3)) * values.shape[1]).clamp(min=1e-6)


def psnr(
    image: Float[Tensor, "B 3 H W"], truth: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B 1 H W"] | None = None
) -> Float[Tensor, "B"]:
    """Peak signal-to-noise ratio: -10 log10 of the mean squared error over the region [dB], RGB in [0, 1]."""
    return -10 * torch.log10(_mean((image - truth).square(), region).clamp(min=1e-10))


def ssim(
    image: Float[Tensor, "B 3 H W"], truth: Float[Tensor, "B 3 H W"], region: Float[Tensor, "B 1 H W"] | None = None
) -> Float[Tensor, "B"]:
    """Structural similarity (Wang et al. 2004): Gaussian window 11, sigma 1.5, population variances, per channel.

    The map is averaged over the region without the border of 5 px, which the window does not cover.
    """
    offset = torch.arange(_SSIM_WINDOW, device=image.device, dtype=image.dtype) - _SSIM_WINDOW // 2
    kernel = torch.exp(-(offset**2) / (2 * _SSIM_SIGMA**2))
    kernel = kernel / kernel.sum()
    across, down = kernel.view(1, 1, 1, -1).repeat(3, 1, 1, 1), kernel.view(1, 1, -1, 1).repeat(3, 1, 1, 1)

    def blur(x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 h w"]:
        return F.conv2d(F.conv2d(x, across, groups=3), down, groups=3)

    mean_a, mean_b = blur(image), blur(truth)
    variance_a = blur(image * image) - mean_a * mean_a
    variance_b = blur(truth * truth) - mean_b * mean_b
    covariance = blur(image * truth) - mean_a * mean_b
    similarity = (2 * mean_a * mean_b + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    similarity = similarity / ((mean_a**2 + mean_b**2 + _SSIM_C1) * (variance_a + variance_b + _SSIM_C2))
    pad = _SSIM_WINDOW // 2
    return _mean(similarity, None if region is None else region[..., pad:-pad, pad:-pad])


def mask_iou(matte: Float[Tensor, "B 1 H W"], truth: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B"]:
    """Intersection over union of two mattes cut at 0.5; 1 where both are empty."""
    a, b = matte > 0.5, truth > 0.5
    union = (a | b).sum((1, 2, 3))
    return torch.where(union > 0, (a & b).sum((1, 2, 3)) / union.clamp(min=1), 1.0)


def temporal_error(frames: Float[Tensor, "T 3 H W"], truth: Float[Tensor, "T 3 H W"]) -> Float[Tensor, ""]:
    """Flicker: mean absolute difference between the frame-to-frame changes of the result and those of the truth.

    0 if the result changes exactly as the truth does, also if it is wrong in the same way in every frame.
    """
    return ((frames[1:] - frames[:-1]) - (truth[1:] - truth[:-1])).abs().mean()


def box_region(matte: Float[Tensor, "B 1 H W"], margin: float = 0.05) -> Float[Tensor, "B 1 H W"]:
    """The person's box: the bounding box of the matte above 0.5, grown by ``margin`` of its longer side; 1 inside."""
    region = torch.zeros_like(matte)
    for index, mask in enumerate(matte[:, 0] > 0.5):
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        if len(rows) == 0:
            continue
        top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        grow = round(margin * max(bottom - top, right - left))
        region[index, 0, max(top - grow, 0) : bottom + grow, max(left - grow, 0) : right + grow] = 1
    return region
