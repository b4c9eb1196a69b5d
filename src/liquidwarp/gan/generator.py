"""The Liquid Warping GAN's generator: three streams joined by liquid warping blocks.

Paper: Liu et al. 2021, Sec. 3.3. The paper's names: G_BG is :class:`BackgroundNet` (BGNet), G_SID is
:class:`SourceNet` (SIDNet), G_TSF is :class:`TransferNet` (TSFNet); blocks are :class:`LiquidWarpingBlock` (AttLWB).
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from liquidwarp.config import GeneratorConfig
from liquidwarp.errors import ShapeError
from liquidwarp.gan.background import BackgroundNet
from liquidwarp.gan.inputs import Reconstruction, SourceBatch, SourceFeatures, Synthesis, TargetBatch
from liquidwarp.gan.layers import DecoderStage, Encoder, ResidualBlock, conv, initialise
from liquidwarp.gan.lwb import LiquidWarpingBlock, ScaleGeometry
from liquidwarp.types import CONDITION_CHANNELS

__all__ = ["LiquidWarpingGenerator", "SourceNet", "TransferNet", "reset_gate"]

_SOURCE_CHANNELS = 3 + 1 + CONDITION_CHANNELS
_TARGET_CHANNELS = 3 + 1 + 1 + CONDITION_CHANNELS
_GATE_BIAS = 2.0
"""Lets an untrained gate copy 88 % of the texture."""
_LEAST_OPACITY = 0.02
"""The drawn matte keeps this distance from 0 and 1, where its logit could not be corrected."""


def _check_size(height: int, width: int) -> None:
    if height % 8 or width % 8:
        raise ShapeError(f"generator: expected height and width in multiples of 8, got {height} x {width}.")


def source_inputs(sources: SourceBatch) -> Float[Tensor, "B S 12 H W"]:
    """The person cut out by the matte in [-1, 1], the matte, the correspondence map."""
    person = (sources.images * 2 - 1) * sources.mattes
    return torch.cat([person, sources.mattes, sources.conditions], 2)


def target_inputs(target: TargetBatch, num_previous: int = 0) -> Float[Tensor, "N 13 H W"]:
    """The drawn texture in [-1, 1] under its matte, the matte, where any photo sees, the correspondence map."""
    photos = target.visible.shape[2] - num_previous
    seen = (target.visible[:, :, :photos] * target.valid).amax(2, keepdim=True)
    texture = (target.texture * 2 - 1) * target.texture_matte
    return torch.cat([texture, target.texture_matte, seen, target.condition], 2).flatten(0, 1)


def _likely_opacity(target: TargetBatch) -> Float[Tensor, "B T 1 H W"]:
    """The texture's, but never quite certain, so that the network can correct it."""
    return target.texture_matte.clamp(_LEAST_OPACITY, 1 - _LEAST_OPACITY)


class SourceNet(nn.Module):
    """G_SID: a denoising auto-encoder of the source views, whose features the transfer stream takes.

    The decoder only serves training: it keeps the features faithful to the source.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        stem, (half, quarter, eighth) = config.stem_channels, config.channels
        self.encoder = Encoder(_SOURCE_CHANNELS, stem, config.channels)
        self.blocks = nn.ModuleList(ResidualBlock(eighth) for _ in range(config.num_blocks))
        self.up_quarter = DecoderStage(eighth, 0, quarter, 1)
        self.up_half = DecoderStage(quarter, 0, half, 1)
        self.up_full = DecoderStage(half, 0, stem, 1)
        self.head = conv(stem, 4)

    def forward(self, inputs: Float[Tensor, "N 12 H W"]) -> list[Float[Tensor, "N _C _h _w"]]:
        """Features at 1/2, 1/4 and 1/8 of the resolution, then of each residual block."""
        features = self.encoder(inputs)[1:]
        for block in self.blocks:
            features.append(block(features[-1]))
        return list(features)

    def decode(self, features: Float[Tensor, "N C h w"]) -> Float[Tensor, "N 4 H W"]:
        """Logits of the person's colour and of the matte, from the last residual block's features."""
        logits: Tensor = self.head(self.up_full(self.up_half(self.up_quarter(F.relu(features)))))
        return logits


class TransferNet(nn.Module):
    """G_TSF: from what texture warping draws and the correspondence map to the person's picture and matte."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        stem, (half, quarter, eighth) = config.stem_channels, config.channels
        extra = config.concat_sources * _SOURCE_CHANNELS if config.fusion == "concat" else 0
        self.warps_features = config.fusion != "concat"
        self.copy_gate = config.copy_gate
        self.channels = config.channels
        self.concat_sources = config.concat_sources
        self.encoder = Encoder(_TARGET_CHANNELS + extra, stem, config.channels)
        self.blocks = nn.ModuleList(ResidualBlock(eighth) for _ in range(config.num_blocks))
        if self.warps_features:
            widths = (*config.channels, *[eighth] * config.num_blocks)
            self.fusions = nn.ModuleList(LiquidWarpingBlock(width, config) for width in widths)
        self.up_quarter = DecoderStage(eighth, quarter, quarter, config.decoder_convs)
        self.up_half = DecoderStage(quarter, half, half, config.decoder_convs)
        self.up_full = DecoderStage(half, stem + 4, stem, config.decoder_convs)
        self.heads = conv(stem, 5)

    def forward(self, sources: SourceFeatures, target: TargetBatch) -> Synthesis:
        """The person in the targets' poses."""
        inputs = target_inputs(target, sources.num_previous)
        features = inputs
        if not self.warps_features:
            features = torch.cat([inputs, self._concatenated(sources, target)], 1)
        features = F.relu(self.encoder.stem(features.contiguous(memory_format=torch.channels_last)))
        skips = [torch.cat([features, inputs[:, :4].to(features.dtype)], 1)]
        for scale, down in enumerate(self.encoder.downs):
            features = down(features)
            last = scale == len(self.encoder.downs) - 1
            if self.warps_features:
                features = self._fuse_scale(scale, features, sources, target, last)
            else:
                features = F.relu(features)
                for block in self.blocks if last else ():
                    features = block(features)
            skips.append(features)
        features = self.up_quarter(F.relu(features), skips[2])
        features = self.up_full(self.up_half(features, skips[1]), skips[0])
        return self._finish(self.heads(features).float(), target)

    def _fuse_scale(
        self, scale: int, features: Tensor, sources: SourceFeatures, target: TargetBatch, last: bool
    ) -> Tensor:
        """Fuse at one scale; at the last one also run the residual blocks, each with its fusion."""
        geometry = ScaleGeometry.at(target, features.shape[-2], features.shape[-1], sources.num_previous)
        warped = torch.split(geometry.warp(sources.scales[scale]), self.channels[scale], 3)
        fused: Tensor = F.relu(self.fusions[scale](features, warped[0], geometry, sources.num_previous))
        if not last:
            return fused
        for index, block in enumerate(self.blocks):
            fusion = self.fusions[scale + 1 + index]
            fused = fusion(block(fused), warped[1 + index], geometry, sources.num_previous)
        return fused

    def _concatenated(self, sources: SourceFeatures, target: TargetBatch) -> Tensor:
        """The sources' inputs as channels for every target; missing sources are 0 (baseline "concat")."""
        people, targets = target.condition.shape[:2]
        chosen = sources.inputs[:, : self.concat_sources].flatten(1, 2)
        if chosen.shape[-2:] != target.condition.shape[-2:]:
            raise ShapeError("generator: the baseline concat needs sources and targets of one size.")
        missing = self.concat_sources * _SOURCE_CHANNELS - chosen.shape[1]
        chosen = F.pad(chosen, (0, 0, 0, 0, 0, missing))
        return chosen[:, None].expand(people, targets, -1, -1, -1).flatten(0, 1)

    def _finish(self, logits: Float[Tensor, "N 5 H W"], target: TargetBatch) -> Synthesis:
        """The heads' logits correct the drawn texture and matte: an untrained network returns nearly those."""
        logits = torch.unflatten(logits, 0, target.condition.shape[:2])
        image = torch.sigmoid(logits[:, :, :3])
        matte = torch.sigmoid(logits[:, :, 3:4] + torch.logit(_likely_opacity(target)))
        if not self.copy_gate:
            return Synthesis(image, matte, torch.zeros_like(matte))
        copied = torch.sigmoid(logits[:, :, 4:] + _GATE_BIAS) * target.texture_matte
        return Synthesis(copied * target.texture + (1 - copied) * image, matte, copied, image)


def reset_gate(network: TransferNet, share: float = 0.9) -> None:
    """Let the network copy this share of the texture everywhere, as if it had not learned when to copy."""
    with torch.no_grad():
        network.heads.weight[4].zero_()
        if network.heads.bias is not None:
            network.heads.bias[4] = math.log(share / (1 - share)) - _GATE_BIAS


class LiquidWarpingGenerator(nn.Module):
    """G: background, source and transfer streams.

    Use: :meth:`encode` once per person, then :meth:`transfer` for any number of targets.

    Example:
        >>> from liquidwarp.config import GeneratorConfig
        >>> sum(p.numel() for p in LiquidWarpingGenerator(GeneratorConfig.preset("lite")).parameters()) < 4e6
        True
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.background_net = BackgroundNet(config)
        self.source_net = SourceNet(config)
        self.transfer_net = TransferNet(config)
        initialise(self)

    def encode(self, sources: SourceBatch) -> SourceFeatures:
        """Features of the source views (paper: G_SID).

        Args:
            sources: Any number of views; height and width in multiples of 8.

        Returns:
            Everything that :meth:`transfer` needs of the sources.

        Raises:
            ShapeError: the size is no multiple of 8.
        """
        return self._encode(sources)[0]

    def transfer(self, sources: SourceFeatures, target: TargetBatch) -> Synthesis:
        """The person in the targets' poses (paper: G_TSF).

        Args:
            sources: From :meth:`encode`; with previous frames, see :meth:`SourceFeatures.with_previous`.
            target: Flows from the same sources in the same order; height and width in multiples of 8.

        Returns:
            The person's picture and matte.

        Raises:
            ShapeError: sizes or numbers of sources do not agree.
        """
        _check_size(*target.condition.shape[-2:])
        expected, found = sources.inputs.shape[:2], (target.grid.shape[0], target.grid.shape[2])
        if tuple(expected) != found:
            raise ShapeError(f"target: expected (people, sources) {tuple(expected)} as encoded, got {found}.")
        if self.config.fusion == "texture":
            return Synthesis(target.texture, target.texture_matte, torch.ones_like(target.texture_matte))
        synthesis: Synthesis = self.transfer_net(sources, target)
        return synthesis

    def complete_background(
        self, image: Float[Tensor, "B 3 H W"], hole: Float[Tensor, "B 1 H W"]
    ) -> Float[Tensor, "B 3 H W"]:
        """Fill the hole that the person leaves (paper: G_BG); RGB in [0, 1], hole 1 = person."""
        _check_size(*image.shape[-2:])
        completed: Tensor = self.background_net(image, hole)
        return completed

    def forward(
        self, sources: SourceBatch, target: TargetBatch, previous: SourceBatch | None = None
    ) -> tuple[Synthesis, Reconstruction]:
        """A training step's outputs: the targets, and the sources as their auto-encoder sees them.

        Args:
            sources: The photos.
            target: Flows into the photos and, after them, into the previous frames.
            previous: Frames drawn before, which temporal attention looks at.
        """
        features, last = self._encode(sources)
        if previous is not None:
            features = features.with_previous(self._encode(previous)[0])
        logits = torch.unflatten(self.source_net.decode(last).float(), 0, sources.images.shape[:2])
        reconstruction = Reconstruction(torch.sigmoid(logits[:, :, :3]), logits[:, :, 3:])
        return self.transfer(features, target), reconstruction

    def _encode(self, sources: SourceBatch) -> tuple[SourceFeatures, Float[Tensor, "N C h w"]]:
        """Features for the transfer stream, and the last block's for the decoder."""
        _check_size(*sources.images.shape[-2:])
        inputs = source_inputs(sources)
        features = self.source_net(inputs.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        scales = (*features[:2], torch.cat(features[2:], 1))
        shape = inputs.shape[:2]
        return SourceFeatures(tuple(torch.unflatten(scale, 0, shape) for scale in scales), inputs), features[-1]
