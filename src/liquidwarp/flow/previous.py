"""The frame before as one more source: what temporal attention looks at.

Paper:
    Liu et al. 2021, Sec. 3.3: besides the source images the attention may take previously synthesized frames, so that
    what is invented in one frame is found again in the next. The flow from the new pose to the frame before is
    composed like that to a photo.
"""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyParams
from liquidwarp.flow.compose import Choice
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.sources import FlowSources, part_weights, prepare_source_batch

__all__ = ["choice_with_frame", "join_frames", "with_frame"]


def with_frame(
    sources: FlowSources, body: BodyParams, colours: Float[Tensor, "1 3 H W"], opacity: Float[Tensor, "1 1 H W"]
) -> FlowSources:
    """The photos of one person (G = 1), and after them a frame that was drawn.

    Args:
        sources: The prepared photos, of the frame's size.
        body: The body in the frame (one row), camera in its pixels.
        colours: The person in it, RGB in [0, 1].
        opacity: Of the person.
    """
    # A halo is made from one photo, yet the frame shows those of all.
    shared = replace(sources.extension, owner=torch.full_like(sources.extension.owner, -1))
    surface = project_bodies(sources.model, shared, body)
    return join_frames(sources, prepare_source_batch(sources.model, shared, surface, colours[None], opacity[None]))


def join_frames(sources: FlowSources, frames: FlowSources) -> FlowSources:
    """The photos of G people, and after them as many drawn frames of each.

    Args:
        sources: The prepared photos.
        frames: The frames, prepared like photos, with the same extension; no halo is theirs (``owner`` is -1).
    """
    joined: dict[str, Any] = {
        name: torch.cat([getattr(sources, name), getattr(frames, name)], 1)
        for name in ("colours", "mattes", "outlines", "fringes", "body", "unhidden", "clear", "around", "normals")
    }
    # Of no photo's person: they do not decide whose halo lies in front.
    stranger = (sources.person.amax() + 1).expand(frames.body.shape[1])
    return replace(sources, person=torch.cat([sources.person, stranger]), occlusion=None, **joined)


def choice_with_frame(choice: Choice | None, photos: int, device: torch.device | str) -> Float[Tensor, "_ P"] | None:
    """Which photo gives which part; the frame shows what was chosen before, so it may give everything.

    Args:
        choice: Among the photos.
        photos: How many there are.
        device: Where the weights are wanted.
    """
    if choice is None:
        return None
    weights = choice if isinstance(choice, Tensor) else part_weights(choice, photos, device)
    return torch.cat([weights, torch.ones_like(weights[:1])])
