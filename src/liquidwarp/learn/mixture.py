"""Which people a training shows: rendered, filmed, both mixed, or coloured boxes."""

from collections.abc import Sequence

import torch

from liquidwarp.config import TrainConfig
from liquidwarp.learn.boxes import MovingBoxes
from liquidwarp.learn.datasets import TrainingData, TrainingSample

__all__ = ["Mixture", "load_data"]


class Mixture:
    """Batches of two sources in random order; a batch comes whole from one of them."""

    def __init__(self, first: TrainingData, second: TrainingData, share: float, seed: int = 0) -> None:
        """Mix.

        Args:
            first: Gives the other batches.
            second: Gives the ``share`` of the batches [0, 1].
            share: See there.
            seed: The same seed gives the same order.
        """
        self.first, self.second, self.share, self.seed = first, second, share, seed

    def samples(self, index: int) -> Sequence[TrainingSample]:
        """The index-th batch."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + index) * 5 + 3)
        chosen = self.second if float(torch.rand((), generator=generator)) < self.share else self.first
        return chosen.samples(index)


def load_data(config: TrainConfig, device: torch.device, split: str) -> TrainingData:
    """The people that ``config.data`` names.

    Args:
        config: All settings.
        device: Where samples are made.
        split: "train" or "test".

    Raises:
        SettingError: a folder is not set, or there is nothing in it.
    """
    if config.data == "boxes":
        seed = config.seed + (10_007 if split == "test" else 0)
        views = (config.people, config.num_sources, config.num_targets, config.size)
        return MovingBoxes(*views, reuse=config.reuse, seed=seed)
    from liquidwarp.learn.synthetic import SyntheticData
    from liquidwarp.learn.videos import VideoData

    if config.data == "synthetic":
        return SyntheticData.load(config, device, split)
    if config.data == "videos":
        return VideoData.load(config, device, split)
    rendered, filmed = SyntheticData.load(config, device, split), VideoData.load(config, device, split)
    return Mixture(rendered, filmed, config.video_share, config.seed)
