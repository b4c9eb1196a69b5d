"""What a run tells about itself: contact sheets and scores on people whom it has not seen."""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.losses import PerceptualDistance
from liquidwarp.learn.datasets import TrainingSample

__all__ = ["Scores", "contact_sheet", "evaluate_generator", "synthesize_sample", "write_png"]


@dataclass(frozen=True)
class Scores:
    """Means over all targets."""

    psnr_person: float
    """Within the person's silhouette and a few pixels around it [dB]."""
    psnr: float
    """In the whole picture [dB]."""
    perceptual: float
    """Perceptual distance; lower is better. L2 scores reward blur, this one does not."""
    mask_iou: float
    """Of the opacity, cut at 0.5, with the true silhouette."""


def synthesize_sample(
    generator: LiquidWarpingGenerator, sample: TrainingSample, mixed_precision: bool = False
) -> tuple[Float[Tensor, "B T 3 H W"], Float[Tensor, "B T 1 H W"]]:
    """The composed pictures and the mattes."""
    kind = sample.images.device.type
    with torch.no_grad(), torch.autocast(kind, dtype=torch.bfloat16, enabled=mixed_precision and kind == "cuda"):
        result = generator.transfer(generator.encode(sample.sources), sample.targets)
        return result.over(sample.backgrounds), result.matte


def _texture_warped(sample: TrainingSample) -> tuple[Float[Tensor, "B T 3 H W"], Float[Tensor, "B T 1 H W"]]:
    """The baseline without a network: the warped texture over the background."""
    matte = sample.targets.texture_matte
    return sample.targets.texture * matte + sample.backgrounds * (1 - matte), matte


def evaluate_generator(
    generator: LiquidWarpingGenerator,
    samples: Iterable[TrainingSample],
    perceptual: PerceptualDistance | None,
    mixed_precision: bool = False,
) -> dict[str, Scores]:
    """Scores of the network and of texture warping on the same samples."""
    rows: dict[str, list[Tensor]] = {"network": [], "texture": []}
    for sample in samples:
        network = synthesize_sample(generator, sample, mixed_precision)
        for name, (image, matte) in (("network", network), ("texture", _texture_warped(sample))):
            rows[name].append(_score(image.float(), matte.float(), sample, perceptual))
    means = {name: torch.cat(values, 1).mean(1).tolist() for name, values in rows.items()}
    return {name: Scores(*(round(value, 4) for value in mean)) for name, mean in means.items()}


@torch.no_grad()
def _score(
    image: Tensor, matte: Tensor, sample: TrainingSample, perceptual: PerceptualDistance | None
) -> Float[Tensor, "4 N"]:
    """The fields of Scores, one column per target."""
    truth, true_matte = sample.images.flatten(0, 1), sample.mattes.flatten(0, 1)
    image, matte = image.flatten(0, 1), matte.flatten(0, 1)
    around = (F.max_pool2d(true_matte, 9, 1, 4) > 0).float()
    squared = (image - truth).square()
    inside = (squared * around).sum((1, 2, 3)) / (3 * around.sum((1, 2, 3))).clamp(min=1)
    distance = perceptual(image, truth) if perceptual else torch.zeros_like(inside)
    iou = _iou(matte > 0.5, true_matte > 0.5)
    decibel = [-10 * torch.log10(error.clamp(min=1e-10)) for error in (inside, squared.mean((1, 2, 3)))]
    return torch.stack([*decibel, distance, iou])


def _iou(a: Bool[Tensor, "N 1 H W"], b: Bool[Tensor, "N 1 H W"]) -> Float[Tensor, "N"]:
    return (a & b).sum((1, 2, 3)) / (a | b).sum((1, 2, 3)).clamp(min=1)


def contact_sheet(
    generator: LiquidWarpingGenerator, samples: Iterable[TrainingSample], people: int = 6, mixed_precision: bool = False
) -> Float[Tensor, "3 H W"]:
    """One row per person: the sources, then per target the warped texture, the network's picture and the truth."""
    rows: list[Tensor] = []
    for sample in samples:
        warped, _ = _texture_warped(sample)
        made, _ = synthesize_sample(generator, sample, mixed_precision)
        for person in range(min(len(made), people - len(rows))):
            triples = torch.stack([warped[person], made[person].float(), sample.images[person]], 1).flatten(0, 1)
            rows.append(torch.cat([*sample.sources.images[person], *triples], -1).cpu())
        if len(rows) >= people:
            break
    return torch.cat(rows, 1).clamp(0, 1)


def write_png(path: Path, image: Float[Tensor, "3 H W"]) -> None:
    """Write RGB in [0, 1] with the standard library alone, as training machines may lack image libraries."""
    pixels = (image * 255).round().byte().permute(1, 2, 0)
    height, width = pixels.shape[:2]
    rows = F.pad(pixels.flatten(1), (1, 0)).numpy().tobytes()  # each row starts with its filter: 0, none

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
