"""What a run tells about itself: contact sheets and scores on people whom it has not seen."""

from collections.abc import Iterable
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.geometry.pictures import to_picture
from liquidwarp.learn.datasets import TrainingSample
from liquidwarp.learn.scores import Pictures, Scorer, Scores, mean_scores

__all__ = [
    "contact_sheet",
    "evaluate_generator",
    "score_sample",
    "synthesize_sample",
    "texture_warped",
    "write_png",
]


def synthesize_sample(
    generator: LiquidWarpingGenerator, sample: TrainingSample, mixed_precision: bool = False
) -> tuple[Float[Tensor, "B T 3 H W"], Float[Tensor, "B T 1 H W"]]:
    """The composed pictures and the mattes."""
    kind = sample.images.device.type
    with torch.no_grad(), torch.autocast(kind, dtype=torch.bfloat16, enabled=mixed_precision and kind == "cuda"):
        result = generator.transfer(generator.encode(sample.sources), sample.targets)
        return result.over(sample.backgrounds), result.matte


def texture_warped(sample: TrainingSample) -> tuple[Float[Tensor, "B T 3 H W"], Float[Tensor, "B T 1 H W"]]:
    """The baseline without a network: the warped texture over the background."""
    matte = sample.targets.texture_matte
    return sample.targets.texture * matte + sample.backgrounds * (1 - matte), matte


def evaluate_generator(
    generator: LiquidWarpingGenerator,
    samples: Iterable[TrainingSample],
    scorer: Scorer,
    mixed_precision: bool = False,
) -> dict[str, Scores]:
    """Scores of the network and of texture warping on the same samples."""
    rows: dict[str, list[Scores]] = {"network": [], "texture": []}
    for sample in samples:
        rows["network"] += score_sample(scorer, sample, synthesize_sample(generator, sample, mixed_precision))
        rows["texture"] += score_sample(scorer, sample, texture_warped(sample))
    return {name: mean_scores(scores) for name, scores in rows.items()}


def score_sample(
    scorer: Scorer, sample: TrainingSample, made: tuple[Float[Tensor, "B T 3 H W"], Float[Tensor, "B T 1 H W"]]
) -> list[Scores]:
    """Scores of pictures and mattes that were made for a sample's targets."""
    return scorer(
        Pictures(*(part.flatten(0, 1) for part in made)),
        Pictures(sample.images.flatten(0, 1), sample.mattes.flatten(0, 1)),
        sample.faces.landmarks.flatten(0, 1),
        sample.faces.seen.flatten(),
    )


def contact_sheet(
    generator: LiquidWarpingGenerator, samples: Iterable[TrainingSample], people: int = 6, mixed_precision: bool = False
) -> Float[Tensor, "3 H W"]:
    """One row per person: the sources, then per target the warped texture, the network's picture and the truth."""
    rows: list[Tensor] = []
    for sample in samples:
        warped, _ = texture_warped(sample)
        made, _ = synthesize_sample(generator, sample, mixed_precision)
        for person in range(min(len(made), people - len(rows))):
            triples = torch.stack([warped[person], made[person].float(), sample.images[person]], 1).flatten(0, 1)
            rows.append(torch.cat([*sample.sources.images[person], *triples], -1).cpu())
        if len(rows) >= people:
            break
    return torch.cat(rows, 1).clamp(0, 1)


def write_png(path: Path, image: Float[Tensor, "3 H W"]) -> None:
    """Write RGB in [0, 1] without :mod:`liquidwarp.media`, as training machines may lack PyAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_picture(image)).save(path, "PNG")
