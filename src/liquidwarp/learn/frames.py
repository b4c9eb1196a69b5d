"""Targets as each other's frames before: what temporal attention learns from.

In use the frame before is the network's own picture of nearly the same pose. Here a person's targets, as the network
draws them, stand for it: poses of one motion or any others, so that the attention has to find out what it may take.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.flow.compose import compose_views
from liquidwarp.flow.mesh.surface import ProjectedSurface
from liquidwarp.flow.previous import join_frames
from liquidwarp.flow.sources import FlowSources, prepare_source_batch
from liquidwarp.types import TargetFlow

__all__ = ["with_frames"]


def with_frames(
    flow: TargetFlow,
    sources: FlowSources,
    targets: ProjectedSurface,
    images: Float[Tensor, "G T 3 H W"],
    mattes: Float[Tensor, "G T 1 H W"],
) -> TargetFlow:
    """A flow that leads into the sources and, after them, into all targets of the same person.

    A target does not see itself, or the network would learn to copy it.

    Args:
        flow: Of G T targets into S sources; its texture, which no frame may lend to, stays.
        sources: Of G people.
        targets: Row ``g * T + t`` is person g in target t; with the sources' extension.
        images: The targets' pictures; only where they see the surface counts.
        mattes: The targets' mattes as they were found.

    Returns:
        The flow into S + T pictures.
    """
    people, count = images.shape[:2]
    shared = replace(sources.extension, owner=torch.full_like(sources.extension.owner, -1))
    rows = torch.arange(people * count, device=images.device).view(people, count)
    size = (images.shape[-2], images.shape[-1])
    num_sources = sources.body.shape[1]
    pieces = []
    for own in range(count):
        others = [index for index in range(count) if index != own]
        seen = (images[:, others], mattes[:, others])
        frames = prepare_source_batch(sources.model, shared, targets[rows[:, others].flatten()], *seen)
        piece = compose_views(join_frames(sources, frames), targets[rows[:, own]], size)
        columns = torch.tensor([*range(num_sources), *(num_sources + index for index in others)], device=images.device)
        grid = piece.grid.new_zeros(people, num_sources + count, *piece.grid.shape[2:]).index_copy_(
            1, columns, piece.grid
        )
        visible = piece.visible.new_zeros(people, num_sources + count, *size).index_copy_(1, columns, piece.visible)
        pieces.append((grid, piece.valid, visible, piece.condition))
    grid, valid, visible, condition = (torch.stack(parts, 1).flatten(0, 1) for parts in zip(*pieces, strict=True))
    return TargetFlow(grid, valid, visible, condition, flow.texture, flow.texture_matte)
