"""What a training step is fed with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from liquidwarp.gan.inputs import SourceBatch, TargetBatch

__all__ = ["Faces", "TrainingData", "TrainingSample", "choose_views", "degrade_mattes"]


@dataclass(frozen=True)
class Faces:
    """Where the true faces are in the targets."""

    landmarks: Float[Tensor, "B T 5 2"]
    """Eye corners and nose [px]; see :func:`liquidwarp.gan.crops.align_faces`."""
    seen: Float[Tensor, "B T"]
    """1 where the face looks at the camera."""
    boxes: Float[Tensor, "B T 4"]
    """Around the whole head: left, top, right, bottom [px]."""


@dataclass(frozen=True)
class TrainingSample:
    """B people, each with S source views and T targets whose truth is known."""

    sources: SourceBatch
    targets: TargetBatch
    images: Float[Tensor, "B T 3 H W"]
    """True pictures with their background."""
    mattes: Float[Tensor, "B T 1 H W"]
    """True opacity of the person."""
    backgrounds: Float[Tensor, "B T 3 H W"]
    """The place without the person."""
    source_mattes: Float[Tensor, "B S 1 H W"]
    """True mattes of the sources; those in ``sources`` may be worse, as a detector's are."""
    faces: Faces
    frames: Float[Tensor, "B T 8 H W"] | None = None
    """Correspondence maps of the targets as frames drawn before, for temporal attention: the targets' flow then leads
    into the S sources and, after them, into all T targets of the person, none of which sees itself. None: into the
    sources alone."""


@runtime_checkable
class TrainingData(Protocol):
    """An endless, repeatable stream of samples."""

    def samples(self, index: int) -> Sequence[TrainingSample]:
        """The index-th batch of people, with several choices of sources and targets. The same at every call."""
        ...


def choose_views(
    num_views: int, num_sources: int, num_targets: int, generator: torch.Generator, first: bool
) -> tuple[list[int], list[int]]:
    """Which views are sources and which are targets; never one both, or the network would learn to copy.

    Args:
        num_views: Views of each person.
        num_sources: S.
        num_targets: T.
        generator: Draws the order.
        first: Take the first views as sources, as the data provides them: front and back.
    """
    order = list(range(num_views)) if first else torch.randperm(num_views, generator=generator).tolist()
    return order[:num_sources], order[num_sources : num_sources + num_targets]


def degrade_mattes(mattes: Float[Tensor, "N 1 H W"], generator: torch.Generator) -> Float[Tensor, "N 1 H W"]:
    """Mattes as a segmentation network gives them: wider here and narrower there, by up to 2 pixels in 256, and softer.

    The threshold wanders along the outline. Real mattes leave such fringes of the place around the person, which the
    warp carries away and the network has to remove.

    Args:
        mattes: True mattes.
        generator: On the CPU.
    """
    size = mattes.shape[-1]
    radius = max(1, round(size / 96))
    window = 2 * radius + 1
    smooth = F.avg_pool2d(mattes, window, 1, radius, count_include_pad=False)
    draws = torch.rand(2, len(mattes), 1, 1, 1, generator=generator).to(mattes.device)
    coarse = torch.rand(len(mattes), 1, 12, 12, generator=generator).to(mattes.device) - 0.5
    wander = F.interpolate(coarse, mattes.shape[-2:], mode="bicubic", align_corners=False)
    threshold = (0.35 + 0.3 * draws[0] + 0.5 * wander).clamp(0.12, 0.88)
    softest = 2 * torch.minimum(threshold, 1 - threshold)  # 0 stays 0 and 1 stays 1
    return ((smooth - threshold) / (softest * (0.4 + 0.6 * draws[1])) + 0.5).clamp(0, 1)
