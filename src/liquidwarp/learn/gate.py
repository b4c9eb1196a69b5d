"""Does the copy gate choose? Where the given texture is right it should be taken, where it is wrong repainted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.learn.datasets import TrainingSample

__all__ = ["RIGHT", "WRONG", "GateRow", "format_gates", "measure_gate"]

RIGHT, WRONG = 0.03, 0.1
"""A texture's colour is right below the first mean absolute difference from the truth, wrong above the second."""
_SOLID, _THERE = 0.9, 0.5
"""The person is where the true opacity is above the first, a texture where its opacity is above the second."""


@dataclass(frozen=True)
class GateRow:
    """Means over the person's pixels that have a texture, all of them or some."""

    where: str
    """"right", "wrong" or "all": of what the texture's colour is there."""
    share: float
    """Of these pixels among all [0, 1]."""
    gate: float
    """How much of the texture is taken [0, 1]."""
    texture: float
    """L1 of the texture."""
    own: float
    """L1 of the network's own colours."""
    mixture: float
    """L1 of what is shown."""


@torch.no_grad()
def measure_gate(generator: LiquidWarpingGenerator, samples: Iterable[TrainingSample]) -> list[GateRow]:
    """The gate of a network on known people; nothing if the network has no gate.

    Args:
        generator: On the samples' device.
        samples: People whose truth is known.
    """
    sums = torch.zeros(3, 5, dtype=torch.float64)
    for sample in samples:
        made = generator.transfer(generator.encode(sample.sources), sample.targets)
        if made.invented is None:
            return []
        texture, own, mixture = (
            _error(picture, sample.images) for picture in (sample.targets.texture, made.invented, made.image)
        )
        person = (sample.mattes > _SOLID) & (sample.targets.texture_matte > _THERE)
        for row, where in enumerate((texture < RIGHT, texture > WRONG, torch.ones_like(person))):
            sums[row] += _totals(where & person, made.copied, texture, own, mixture)
    means = sums[:, 1:] / sums[:, :1].clamp(min=1)
    shares = sums[:, 0] / sums[2, 0].clamp(min=1)
    return [
        GateRow(where, *(round(value, 4) for value in (float(share), *values)))
        for where, share, values in zip(("right", "wrong", "all"), shares, means.tolist(), strict=True)
    ]


def _error(picture: Float[Tensor, "B T 3 H W"], truth: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B T 1 H W"]:
    return (picture.float() - truth).abs().mean(2, keepdim=True)


def _totals(chosen: Bool[Tensor, "B T 1 H W"], *values: Float[Tensor, "B T 1 H W"]) -> Float[Tensor, "5"]:
    """How many pixels, and the sum of each value over them."""
    return torch.stack([chosen.sum(), *((value * chosen).sum() for value in values)]).double().cpu()


def format_gates(gates: Sequence[tuple[str, Sequence[GateRow]]]) -> str:
    """A Markdown table of several networks."""
    lines = [
        "| model | texture | share | gate | L1 of the texture | of the network's colour | of the mixture |",
        "|-------|---------|------:|-----:|------------------:|------------------------:|---------------:|",
    ]
    for model, rows in gates:
        lines += [
            f"| {model} | {row.where} | {row.share:.2f} | {row.gate:.2f} | {row.texture:.3f} | {row.own:.3f} | "
            f"{row.mixture:.3f} |"
            for row in rows
        ]
    return "\n".join(lines)
