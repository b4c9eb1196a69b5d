"""G_BG: the background where the person stood (paper Sec. 3.3, background stream). Runs once per person."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from liquidwarp.config import GeneratorConfig
from liquidwarp.gan.layers import DecoderStage, Encoder, ResidualBlock, conv

__all__ = ["BackgroundNet"]

_DILATIONS = (2, 4, 8, 4)
"""Of the residual blocks in turn, as a person's hole is wider than plain blocks see."""


class BackgroundNet(nn.Module):
    """Complete a picture inside of a hole (the paper's BGNet); outside, the picture stays as it is."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        stem, *channels = config.background_channels
        half, quarter, eighth = channels
        self.encoder = Encoder(4, stem, (half, quarter, eighth))
        self.blocks = nn.ModuleList(
            ResidualBlock(eighth, _DILATIONS[i % len(_DILATIONS)]) for i in range(config.background_blocks)
        )
        self.up_quarter = DecoderStage(eighth, quarter, quarter, 1)
        self.up_half = DecoderStage(quarter, half, half, 1)
        self.up_full = DecoderStage(half, stem, stem, 1)
        self.head = conv(stem, 3)

    def forward(self, image: Float[Tensor, "B 3 H W"], hole: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Complete.

        Args:
            image: RGB in [0, 1]; its values inside of the hole are not looked at.
            hole: 1 where the person is, with a margin for shadows and soft edges.

        Returns:
            RGB in [0, 1].
        """
        inputs = torch.cat([(image * 2 - 1) * (1 - hole), hole], 1).contiguous(memory_format=torch.channels_last)
        full, half, quarter, features = self.encoder(inputs)
        for block in self.blocks:
            features = block(features)
        features = self.up_quarter(F.relu(features), quarter)
        features = self.up_full(self.up_half(features, half), full)
        invented = torch.sigmoid(self.head(features).float())
        return image * (1 - hole) + invented * hole
