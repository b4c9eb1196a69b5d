"""What is compared: texture warping and any number of trained networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from liquidwarp.errors import SettingError, WeightsNotFoundError
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.pretrained import BUNDLED, load_generator

__all__ = ["TEXTURE", "Contender", "load_contenders"]

TEXTURE = "texture"
"""Name of texture warping, which has no network."""


@dataclass(frozen=True)
class Contender:
    """One way to synthesize."""

    name: str
    """For tables."""
    generator: LiquidWarpingGenerator | None
    """None warps the sources' texture."""

    @property
    def fusion(self) -> str:
        """How the sources' features are joined."""
        return "none" if self.generator is None else self.generator.config.fusion

    @property
    def millions(self) -> float:
        """Parameters of the networks that make the person, in millions; the background's not counted."""
        if self.generator is None:
            return 0.0
        networks = (self.generator.source_net.encoder, self.generator.source_net.blocks, self.generator.transfer_net)
        return sum(p.numel() for network in networks for p in network.parameters()) / 1e6


def load_contenders(models: Sequence[str], device: torch.device | str = "cpu") -> list[Contender]:
    """Load all of them before any work, so that a missing one is told at once.

    Args:
        models: "texture", "base", "lite", or folders of weights; a folder ``NAME/weights`` is called NAME.
        device: Where they shall work.

    Raises:
        SettingError: no such folder.
        WeightsNotFoundError: weights are missing.
        WeightsCorruptError: weights are damaged.
    """
    contenders = []
    for model in models:
        known = model == TEXTURE or model in BUNDLED
        if not known and not Path(model).is_dir():
            names = ", ".join((TEXTURE, *BUNDLED))
            raise SettingError(f"models: expected {names} or a folder of trained weights, got {model!r}.")
        try:
            generator = None if model == TEXTURE else load_generator(model, device)
        except WeightsNotFoundError as error:
            raise WeightsNotFoundError(f"models: {model}: {error} Choose others with --models.") from error
        contenders.append(Contender(model if known else _short(Path(model)), generator))
    if len({contender.name for contender in contenders}) < len(contenders):
        return [Contender(model, each.generator) for model, each in zip(models, contenders, strict=True)]
    return contenders


def _short(folder: Path) -> str:
    folder = folder.resolve()
    return folder.parent.name if folder.name == "weights" else folder.name
