"""What cameras and codecs do to pictures: exposure, colour balance, blur, noise, coarse block coding."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["degrade", "develop"]

_BLOCK = 8
"""Side of the blocks that codecs transform [px]."""


def develop(
    images: Float[Tensor, "B V 3 S S"],
    backgrounds: Float[Tensor, "B V 3 S S"],
    share: float,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "B V 3 S S"], Float[Tensor, "B V 3 S S"]]:
    """Give the whole scene of some people another exposure, white balance, contrast and saturation, alike in all views.

    Rendered skin and light have few tones; a network that saw only those turns every skin into one of them.

    Args:
        images: RGB in [0, 1].
        backgrounds: The same places without people; they get the same tones.
        share: Of people whose pictures are changed [0, 1].
        generator: Source of chance, on the images' device.

    Returns:
        Images and backgrounds.
    """
    people, views = images.shape[:2]
    chosen = (torch.rand(people, 1, generator=generator, device=generator.device) < share).to(images.dtype)
    draws = torch.randn(people, 6, generator=generator, device=generator.device).clamp(-2, 2) * chosen
    gain = (0.25 * draws[:, :1] + 0.1 * draws[:, 1:4]).exp2()[:, None, :, None, None]
    contrast, saturation = torch.exp2(draws[:, 4:] * draws.new_tensor([0.2, 0.3]))[:, :, None, None, None, None].unbind(
        1
    )
    both = torch.cat([images, backgrounds], 1)
    both = (both * gain).clamp(0, 1) ** contrast
    grey = both.mean(2, keepdim=True)
    both = (grey + (both - grey) * saturation).clamp(0, 1)
    return both[:, :views], both[:, views:]


def degrade(images: Float[Tensor, "B V 3 S S"], share: float, generator: torch.Generator) -> Float[Tensor, "B V 3 S S"]:
    """Worsen the pictures of some people, alike in all views.

    Args:
        images: RGB in [0, 1].
        share: Of people whose pictures are worsened [0, 1].
        generator: Source of chance, on the images' device.
    """
    people = len(images)
    draws = torch.rand(4, people, generator=generator, device=generator.device)
    chosen = (draws[0] < share).to(images.dtype)
    sigma = 0.8 * draws[1] * chosen
    images = _blur(images, sigma)
    level = (0.002 + 0.010 * draws[2] * chosen)[:, None, None, None, None]
    grain = torch.randn(images.shape, generator=generator, device=generator.device)
    images = images + level * grain
    step = 0.06 * (draws[3] - 0.4).clamp(min=0) * chosen
    if images.shape[-1] % _BLOCK == 0:
        images = _code(images, step[:, None, None, None, None, None, None])
    return images.clamp(0, 1)


def _blur(images: Float[Tensor, "B N 3 S S"], sigma: Float[Tensor, "B"]) -> Float[Tensor, "B N 3 S S"]:
    """Gaussian blur with another width [px] for each person."""
    people = len(images)
    offset = torch.arange(-2, 3, device=images.device)
    kernel = torch.exp(-0.5 * (offset / sigma.clamp(min=1e-3)[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    planes = images.flatten(1, 2).transpose(0, 1)  # 3N B S S
    planes = F.pad(planes, (2, 2, 2, 2), mode="replicate")
    planes = F.conv2d(planes, kernel[:, None, None, :], groups=people)
    planes = F.conv2d(planes, kernel[:, None, :, None], groups=people)
    return planes.transpose(0, 1).reshape(images.shape)


def _code(images: Float[Tensor, "B V 3 S S"], step: Float[Tensor, "B 1 1 1 1 1 1"]) -> Float[Tensor, "B V 3 S S"]:
    """Quantise the cosine transform of 8 x 8 blocks, coarser for finer detail, as JPEG and video codecs do."""
    size, count = images.shape[-1], images.shape[-1] // _BLOCK
    k = torch.arange(_BLOCK, device=images.device, dtype=torch.float32)
    basis = torch.cos(math.pi / _BLOCK * (k[None] + 0.5) * k[:, None]) * math.sqrt(2 / _BLOCK)
    basis[0] /= math.sqrt(2)
    blocks = images.reshape(*images.shape[:3], count, _BLOCK, count, _BLOCK).transpose(-2, -3)
    spectrum = basis @ blocks @ basis.T
    width = (step * (1 + k[:, None] + k[None])).clamp(min=1e-4)
    blocks = basis.T @ ((spectrum / width).round() * width) @ basis
    return blocks.transpose(-2, -3).reshape(*images.shape[:3], size, size)
