"""The liquid warping block: it brings warped source features into the transfer stream.

Paper: Liu et al. 2021, Sec. 3.3: AttLWB with SPADE; AddLWB, SoftGateLWB and AvgLWB are the alternatives compared.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from liquidwarp.config import GeneratorConfig
from liquidwarp.gan.inputs import TargetBatch
from liquidwarp.gan.layers import conv, instance_norm
from liquidwarp.geometry.warp import Flow, resize_flow, warp

__all__ = ["AdainModulation", "LiquidWarpingBlock", "ScaleGeometry", "SourceAttention", "SpadeModulation"]

_HIDDEN = float("-inf")


@dataclass(frozen=True)
class ScaleGeometry:
    """The targets' flows at one scale of the network, resized once for all blocks of that scale."""

    flow: Flow
    """Of all B * S pairs, the T targets one below another: grid (B*S, T*h, w, 2)."""
    visible: Float[Tensor, "B T S 1 h w"]
    """Mean visibility over the valid part of each feature pixel [0, 1]."""
    maps: Float[Tensor, "N 2 h w"]
    """For all N = B * T targets: how well the best photo sees the pixel, and the share of it that is valid."""

    @staticmethod
    def at(target: TargetBatch, height: int, width: int, num_previous: int = 0) -> "ScaleGeometry":
        """Resize the targets' flows to the size of a scale's features.

        Args:
            target: The targets.
            height: Of the features.
            width: Of the features.
            num_previous: How many of the last sources are previous frames: they show everything, the invented too, so
                they do not count as photos that see a place.
        """
        people, targets, sources = target.visible.shape[:3]
        valid = target.valid.expand(people, targets, sources, *target.valid.shape[3:])
        small, share = resize_flow(Flow(target.grid.flatten(0, 2), valid.flatten(0, 2)[:, None]), height, width)
        seen = target.visible * target.valid
        seen = F.adaptive_avg_pool2d(seen.flatten(0, 2)[:, None], (height, width)) / share.clamp(min=1e-6)
        pairs = (people, targets, sources)
        visible = torch.unflatten(seen.clamp(max=1), 0, pairs)
        grid = torch.unflatten(small.grid, 0, pairs).transpose(1, 2)  # B S T h w 2
        is_valid = torch.unflatten(small.valid, 0, pairs).transpose(1, 2)  # B S T 1 h w
        stacked = Flow(
            grid.reshape(people * sources, targets * height, width, 2),
            is_valid.reshape(people * sources, 1, targets * height, width),
        )
        share = torch.unflatten(share, 0, pairs)[:, :, 0]
        maps = torch.cat([visible[:, :, : sources - num_previous].amax(2), share], 2).flatten(0, 1)
        return ScaleGeometry(stacked, visible, maps)

    def warp(self, features: Float[Tensor, "B S C _h _w"]) -> Float[Tensor, "B T S C h w"]:
        """Carry each source's features to each target.

        The targets lie one below another in one grid, so that no source's features are copied per target.
        """
        people, targets, sources = self.visible.shape[:3]
        warped = warp(features.flatten(0, 1), self.flow)  # B*S C T*h w
        warped = torch.unflatten(torch.unflatten(warped, 2, (targets, -1)), 0, (people, sources))  # B S C T h w
        return warped.permute(0, 3, 1, 2, 4, 5)  # B T S C h w


class SourceAttention(nn.Module):
    """Which source to trust where: softmax over the sources of their similarity with the target's feature.

    Paper: Sec. 3.3: a_s = softmax_s(q(x) . k(f_s) / sqrt(C)), result v(sum_s a_s f_s).

    Two additions to the paper: ``log visible`` in the softmax, which takes out a source that does not see the pixel;
    and a learned key and feature for "seen by no source", so that such a pixel is invented, not averaged.

    One 1x1 convolution on the target stands for the paper's q and k. q(x) . k(f) = (K^T q(x)) . f + q(x) . b_k, the
    last term is the same for all sources, and the learned key's similarity is linear in x too: so ``query`` yields
    K^T q(x) and the learned key's similarity. v is linear and the weights sum to 1: it follows in the modulation,
    once, after mixing. The cost of the convolutions does not depend on the number of sources.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels + 1, 1)
        self.unseen = nn.Parameter(torch.zeros(channels))
        self.previous_bias = nn.Parameter(torch.zeros(()))
        self.scale = channels**-0.5

    def weights(
        self,
        features: Float[Tensor, "N C h w"],
        warped: Float[Tensor, "B T S C h w"],
        visible: Float[Tensor, "B T S 1 h w"],
        num_previous: int = 0,
    ) -> Float[Tensor, "B T S+1 1 h w"]:
        """Weights of the sources and, last, of the learned feature; float32, they sum to 1 over that axis."""
        people, targets, sources = visible.shape[:3]
        query = torch.unflatten(self.query(features), 0, (people, targets))[:, :, None]  # B T 1 C+1 h w
        similarity = (query[:, :, :, :-1] * warped).sum(3, keepdim=True, dtype=torch.float32) * self.scale
        if num_previous:
            late = torch.arange(sources, device=visible.device) >= sources - num_previous
            similarity = similarity + late[:, None, None, None] * self.previous_bias
        logits = (similarity + visible.clamp(min=1e-4).log()).masked_fill(visible <= 0, _HIDDEN)
        unseen = query[:, :, :, -1:].float() * self.scale
        return torch.softmax(torch.cat([logits, unseen], 2), 2)

    def forward(
        self,
        features: Float[Tensor, "N C h w"],
        warped: Float[Tensor, "B T S C h w"],
        visible: Float[Tensor, "B T S 1 h w"],
        num_previous: int = 0,
    ) -> Float[Tensor, "N C h w"]:
        """The mixed source feature of each target pixel."""
        weights = self.weights(features, warped, visible, num_previous).to(warped.dtype)
        mixed = (weights[:, :, :-1] * warped).sum(2, dtype=warped.dtype) + weights[:, :, -1] * self.unseen[
            :, None, None
        ].to(warped.dtype)
        return mixed.flatten(0, 1)


class SpadeModulation(nn.Module):
    """SPADE: the mixed source feature denormalises the transfer feature, pixel by pixel (paper Sec. 3.3)."""

    def __init__(self, channels: int, config: GeneratorConfig) -> None:
        super().__init__()
        hidden = config.modulation_channels
        narrow = min(channels, config.value_channels)
        self.value = nn.Conv2d(channels, narrow, 1)
        self.shared = conv(narrow + 2, hidden)
        self.gamma_beta = conv(hidden, 2 * channels, config.modulation_kernel)

    def forward(
        self, features: Float[Tensor, "N C h w"], mixed: Float[Tensor, "N C h w"], maps: Float[Tensor, "N 2 h w"]
    ) -> Float[Tensor, "N C h w"]:
        """Denormalise: gamma * normalised features + beta."""
        value = self.value(mixed)
        hidden = F.relu(self.shared(torch.cat([value, maps.to(value.dtype)], 1)))
        gamma, beta = self.gamma_beta(hidden).chunk(2, 1)
        fused: Tensor = instance_norm(features) * (1 + gamma) + beta
        return fused


class AdainModulation(nn.Module):
    """AdaIN: one scale and shift per channel, from the mixed feature's statistics over the valid pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma_beta = nn.Linear(2 * channels, 2 * channels)

    def forward(
        self, features: Float[Tensor, "N C h w"], mixed: Float[Tensor, "N C h w"], maps: Float[Tensor, "N 2 h w"]
    ) -> Float[Tensor, "N C h w"]:
        """Denormalise: gamma * normalised features + beta."""
        value = self.value(mixed).float()
        share = maps[:, 1:] / maps[:, 1:].sum((2, 3), keepdim=True).clamp(min=1e-6)
        mean = (value * share).sum((2, 3))
        deviation = ((value - mean[..., None, None]).square() * share).sum((2, 3)).add(1e-6).sqrt()
        gamma, beta = self.gamma_beta(torch.cat([mean, deviation], 1))[..., None, None].chunk(2, 1)
        fused: Tensor = instance_norm(features) * (1 + gamma) + beta
        return fused


class LiquidWarpingBlock(nn.Module):
    """Fuse warped source features into the transfer stream; ``config.fusion`` says how."""

    def __init__(self, channels: int, config: GeneratorConfig) -> None:
        super().__init__()
        self.fusion = config.fusion
        if self.fusion.startswith("attention"):
            self.attention = SourceAttention(channels)
            spade = self.fusion == "attention"
            self.modulation = SpadeModulation(channels, config) if spade else AdainModulation(channels)
        elif self.fusion == "soft-gate":
            self.target_gate = nn.Conv2d(channels, channels, 1)
            self.source_gate = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(
        self,
        features: Float[Tensor, "N C h w"],
        warped: Float[Tensor, "B T S C h w"],
        geometry: ScaleGeometry,
        num_previous: int = 0,
    ) -> Float[Tensor, "N C h w"]:
        """Fuse.

        Args:
            features: The transfer stream's features of all N = B * T targets (paper: the global feature).
            warped: Each source's features, warped to each target.
            geometry: Visibility and validity at this scale.
            num_previous: How many of the last sources are previous frames.

        Returns:
            Fused features.
        """
        if self.fusion.startswith("attention"):
            mixed = self.attention(features, warped, geometry.visible, num_previous)
            fused: Tensor = self.modulation(features, mixed, geometry.maps)
            return fused
        seen = geometry.visible.to(warped.dtype)
        if self.fusion == "average":
            added = (seen * warped).sum(2) / seen.sum(2).clamp(min=1e-3)
        elif self.fusion == "add":
            added = (seen * warped).sum(2)
        else:
            added = (seen * self._gates(features, warped) * warped).sum(2)
        return features + added.flatten(0, 1)

    def _gates(
        self, features: Float[Tensor, "N C h w"], warped: Float[Tensor, "B T S C h w"]
    ) -> Float[Tensor, "B T S C h w"]:
        people, targets, sources = warped.shape[:3]
        own = torch.unflatten(self.target_gate(features), 0, (people, targets))[:, :, None]
        theirs = torch.unflatten(self.source_gate(warped.flatten(0, 2)), 0, (people, targets, sources))
        return torch.sigmoid(own + theirs)
