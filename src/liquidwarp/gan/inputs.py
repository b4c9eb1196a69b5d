"""What the generator takes and gives: B people, each with S source views and T targets."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.types import SourceViews, TargetFlow

__all__ = ["Reconstruction", "SourceBatch", "SourceFeatures", "Synthesis", "TargetBatch"]


@dataclass(frozen=True)
class SourceBatch:
    """The source views of B people; :class:`liquidwarp.types.SourceViews` with one more axis in front."""

    images: Float[Tensor, "B S 3 H W"]
    """RGB in [0, 1]."""
    mattes: Float[Tensor, "B S 1 H W"]
    """1 = person."""
    conditions: Float[Tensor, "B S 8 H W"]
    """Correspondence maps C_s."""

    @staticmethod
    def of(*people: SourceViews) -> "SourceBatch":
        """Stack people with equally many views of one size."""
        return SourceBatch(*(torch.stack([getattr(p, f.name) for p in people]) for f in fields(SourceViews)))

    def to(self, device: torch.device | str) -> "SourceBatch":
        """The same values on another device."""
        return SourceBatch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))


@dataclass(frozen=True)
class TargetBatch:
    """The targets of B people; :class:`liquidwarp.types.TargetFlow` with one more axis in front."""

    grid: Float[Tensor, "B T S H W 2"]
    """Backward flow into each source, NDC, always float32."""
    valid: Bool[Tensor, "B T 1 H W"]
    """Where the target's mesh is."""
    visible: Float[Tensor, "B T S H W"]
    """How well each source saw the point [0, 1]; exactly 0 takes the source out."""
    condition: Float[Tensor, "B T 8 H W"]
    """Correspondence map C_t."""
    texture: Float[Tensor, "B T 3 H W"]
    """What texture warping draws: the sources' colours where one sees the place, elsewhere on the body made-up ones;
    RGB in [0, 1]."""
    texture_matte: Float[Tensor, "B T 1 H W"]
    """Opacity of ``texture``: inside of the body 1, also where no source sees it."""

    @staticmethod
    def of(*people: TargetFlow) -> "TargetBatch":
        """Stack the targets of people with equally many sources and targets of one size."""
        return TargetBatch(*(torch.stack([getattr(p, f.name) for p in people]) for f in fields(TargetFlow)))

    def of_first(self, num_sources: int) -> "TargetBatch":
        """The flow into the first sources alone; the last ones may be previous frames."""
        return replace(self, grid=self.grid[:, :, :num_sources], visible=self.visible[:, :, :num_sources])

    def to(self, device: torch.device | str) -> "TargetBatch":
        """The same values on another device."""
        return TargetBatch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))


@dataclass(frozen=True)
class SourceFeatures:
    """Features of G_SID, computed once per person: everything of the sources that a frame needs."""

    scales: tuple[Float[Tensor, "B S _C _h _w"], ...]
    """At 1/2, 1/4 and 1/8 of the resolution; the last holds the encoder's and every residual block's output one
    after the other along C, so that each scale is warped once."""
    inputs: Float[Tensor, "B S 12 H W"]
    """The prepared inputs, which the baseline "concat" needs."""
    num_previous: int = 0
    """How many of the last sources are previous frames."""

    def with_previous(self, previous: "SourceFeatures") -> "SourceFeatures":
        """Add previous output frames, encoded like sources, for temporal attention.

        They stand after the photos in the targets' grid and visibility as well.
        """
        scales = tuple(torch.cat(pair, 1) for pair in zip(self.scales, previous.scales, strict=True))
        inputs = torch.cat([self.inputs, previous.inputs], 1)
        return SourceFeatures(scales, inputs, self.num_previous + previous.inputs.shape[1])

    def select(self, sources: Sequence[int]) -> "SourceFeatures":
        """Only these sources."""
        chosen = list(sources)
        scales = tuple(scale[:, chosen] for scale in self.scales)
        return replace(self, scales=scales, inputs=self.inputs[:, chosen], num_previous=0)


@dataclass(frozen=True)
class Synthesis:
    """The transfer stream's output: the person alone."""

    image: Float[Tensor, "B T 3 H W"]
    """RGB in [0, 1], meaningful where the matte is not 0."""
    matte: Float[Tensor, "B T 1 H W"]
    """Opacity of the person [0, 1]."""
    copied: Float[Tensor, "B T 1 H W"]
    """How much of the colour is the given texture itself [0, 1]."""
    invented: Float[Tensor, "B T 3 H W"] | None = None
    """The network's own colour, which takes the rest; None where nothing is copied or there is no network."""

    def over(self, background: Float[Tensor, "B #T 3 H W"]) -> Float[Tensor, "B T 3 H W"]:
        """The person in front of a background (paper Eq. for I_t): image * matte + background * (1 - matte)."""
        return self.image * self.matte + background * (1 - self.matte)


@dataclass(frozen=True)
class Reconstruction:
    """What G_SID's decoder makes of its own inputs (training only)."""

    image: Float[Tensor, "B S 3 H W"]
    """RGB in [0, 1]."""
    matte_logits: Float[Tensor, "B S 1 H W"]
    """Opacity before the sigmoid."""
