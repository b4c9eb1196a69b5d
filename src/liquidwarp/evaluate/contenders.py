"""What is compared: two ways of texture warping and any number of trained networks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from liquidwarp.errors import SettingError, WeightsNotFoundError
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.pretrained import BUNDLED, load_generator

__all__ = ["TEXTURE", "WARP", "WITHOUT_NETWORK", "Contender", "load_contenders"]

WARP = "warp"
"""Name of the paper's texture warping: :class:`liquidwarp.evaluate.plain_warp.PlainWarp`."""
TEXTURE = "texture"
"""Name of the product's texture renderer, which carries hair and clothes along and makes up what no photo shows."""
WITHOUT_NETWORK = (WARP, TEXTURE)


@dataclass(frozen=True)
class Contender:
    """One way to synthesize."""

    name: str
    """For tables."""
    generator: LiquidWarpingGenerator | None
    """None warps the sources' texture."""
    plain: bool = False
    """Without a network: warp as the paper's baseline does, not as the product does."""

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
        models: "warp", "texture", "base", "lite", or folders of weights; a folder ``NAME/weights`` is called NAME.
        device: Where they shall work.

    Raises:
        SettingError: no such folder.
        WeightsNotFoundError: weights are missing.
        WeightsCorruptError: weights are damaged.
    """
    contenders = []
    for model in models:
        known = model in WITHOUT_NETWORK or model in BUNDLED
        if not known and not Path(model).is_dir():
            names = ", ".join((*WITHOUT_NETWORK, *BUNDLED))
            raise SettingError(f"models: expected {names} or a folder of trained weights, got {model!r}.")
        try:
            generator = None if model in WITHOUT_NETWORK else load_generator(model, device)
        except WeightsNotFoundError as error:
            raise WeightsNotFoundError(f"models: {model}: {error} Choose others with --models.") from error
        contenders.append(Contender(model if known else _short(Path(model)), generator, model == WARP))
    if len({contender.name for contender in contenders}) < len(contenders):
        return [replace(each, name=model) for model, each in zip(models, contenders, strict=True)]
    return contenders


def _short(folder: Path) -> str:
    folder = folder.resolve()
    return folder.parent.name if folder.name == "weights" else folder.name
