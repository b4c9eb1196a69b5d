"""Which photo gives the head of which picture: the one that looks at it from the most similar side.

A frontal photo knows little of a profile. But two photos of a face never fit together, so each picture takes one of
them whole, and a video changes over only where that is worth it, within a few frames.
"""

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel

__all__ = [
    "HeadMemory",
    "HeadViews",
    "choose_heads",
    "head_directions",
    "head_weights",
    "no_head_views",
    "select_views",
]

_LEAST_SHARE = 0.3
"""Photos that show less of the face than this share of what the best one does give no head."""
_APART = 12.0
"""Photos that look from directions nearer to each other [degrees] know the same: only the better one is kept."""
_MOST = 3
_FREE = 8.0
"""Turned away by no more than this [degrees] a photo is as good as any."""
_LOSS = 30.0
"""A photo of half the quality stands back like one that is turned away by half of this many degrees."""
_CHANGE = 40.0
"""A change of the photo must be worth so much in sum over the frames [degrees]."""
_FADE = 2
"""A change takes so many frames before and behind it."""


@dataclass(frozen=True)
class HeadViews:
    """K of the S photos of one person that may give the head, the best one first; none: all give what they see."""

    source: Int64[Tensor, "K"]
    """The photos' numbers."""
    direction: Float[Tensor, "K 3"]
    """From the head towards the camera, unit vectors in the head's own frame."""
    penalty: Float[Tensor, "K"]
    """By how much a photo stands back because it is worse than the best [degrees]."""
    visible: Float[Tensor, "K S V"]
    """How well each photo sees each body vertex and may show it, if this one gives the head."""
    clear: Float[Tensor, "K S V"]
    """The same for lending to hidden places."""
    share: Float[Tensor, "K S V"]
    """How much of what each photo sees it gives, if this one gives the head: 0 where the mirror image is better."""

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: slice) -> "HeadViews":
        return HeadViews(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device | str) -> "HeadViews":
        """The same values on another device."""
        return HeadViews(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def no_head_views(visible: Float[Tensor, "S V"]) -> HeadViews:
    """No choice; ``visible`` is that of the photos."""
    none, nothing = visible.new_zeros(0), visible[None, ...][:0]
    return HeadViews(none.long(), none.view(0, 3), none, nothing, nothing, nothing)


def head_directions(model: BodyModel, rel_rotmats: Float[Tensor, "T J 3 3"]) -> Float[Tensor, "T 3"]:
    """From the head towards the camera, unit vectors in the head's own frame.

    Args:
        model: The body.
        rel_rotmats: T poses.
    """
    joint = model.roles.neck[-1]
    rotation = rel_rotmats[:, joint]
    while (joint := model.parents[joint]) >= 0:
        rotation = rel_rotmats[:, joint] @ rotation
    return -rotation[:, 2]


def select_views(
    shown: Float[Tensor, "S"], quality: Float[Tensor, "S"], directions: Float[Tensor, "S 3"], least: float
) -> tuple[Int64[Tensor, "K"], Float[Tensor, "K"]]:
    """The photos that may give the head, the best one first, and their penalties [degrees].

    Args:
        shown: How much of the face each photo shows [0, 1].
        quality: Of the face in it [0, 1].
        directions: From :func:`head_directions`.
        least: A photo that shows less than this shows no head.
    """
    worth = shown * quality
    best = int(worth.argmax())
    if float(shown[best]) < least:
        return torch.zeros(0, dtype=torch.long), shown[:0]
    limit = max(least, _LEAST_SHARE * float(shown[best]))
    chosen = [best]
    for index in worth.argsort(descending=True).tolist():
        near = _degrees(directions[chosen], directions[index]).amin()
        if float(shown[index]) >= limit and float(near) >= _APART and len(chosen) < _MOST:
            chosen.append(index)
    kept = torch.tensor(chosen, device=shown.device)
    return kept, _LOSS * (1 - quality[kept] / quality[best].clamp(min=1e-6)).clamp(min=0)


def choose_heads(views: HeadViews, directions: Float[Tensor, "T 3"]) -> Int64[Tensor, "T"]:
    """For each frame of one video the photo that gives the head, an index into ``views``.

    The cheapest way through the video, by dynamic programming: each frame costs what the photo is turned away, each
    change of the photo as much as being turned away too far for a while. A single picture takes the nearest photo.

    Args:
        views: K > 0 photos.
        directions: Of the frames, from :func:`head_directions`.
    """
    cost = _costs(views, directions)
    change = _CHANGE * (1 - torch.eye(len(views), device=cost.device))
    total, steps = cost[0], []
    for frame in cost[1:]:
        best = (total[:, None] + change).min(0)
        steps.append(best.indices)
        total = best.values + frame
    path = [int(total.argmin())]
    for step in reversed(steps):
        path.append(int(step[path[-1]]))
    return torch.tensor(path[::-1], device=cost.device)


def head_weights(chosen: Int64[Tensor, "T"], count: int) -> Float[Tensor, "T {count}"]:
    """The share of each photo in each frame: 1 for the chosen one, but a short fade at each change.

    Args:
        chosen: From :func:`choose_heads`.
        count: K.
    """
    weights = torch.nn.functional.one_hot(chosen, count).float()
    edge = torch.cat([weights[:1].expand(_FADE, -1), weights, weights[-1:].expand(_FADE, -1)])
    return edge.unfold(0, 2 * _FADE + 1, 1).mean(-1)


class HeadMemory:
    """The same choice frame by frame, where nobody knows what comes: a change waits until it was worth it."""

    def __init__(self, model: BodyModel, views: HeadViews) -> None:
        """Before the first frame.

        Args:
            model: The body.
            views: Photos that may give the head.
        """
        self.model, self.views = model, views
        self._total = torch.zeros(len(views))
        self._chosen: list[Tensor] = []

    def step(self, rel_rotmats: Float[Tensor, "1 J 3 3"]) -> Float[Tensor, "1 K"]:
        """The share of each photo in the next frame.

        Args:
            rel_rotmats: The frame's pose.
        """
        if len(self.views) == 0:
            return self.views.penalty.new_zeros(1, 0)
        direction = head_directions(self.model, rel_rotmats).to(self.views.direction)
        reached = torch.minimum(self._total, self._total.amin() + _CHANGE)
        self._total = reached + _costs(self.views, direction)[0].cpu()
        self._total -= self._total.amin()
        chosen = torch.nn.functional.one_hot(self._total.argmin(), len(self.views)).float()
        self._chosen = [*self._chosen, chosen][-(2 * _FADE + 1) :]
        return torch.stack(self._chosen).mean(0)[None].to(direction)


def _costs(views: HeadViews, directions: Float[Tensor, "T 3"]) -> Float[Tensor, "T K"]:
    """What each photo costs in each frame [degrees]."""
    return (_degrees(views.direction[None], directions[:, None]) - _FREE).clamp(min=0) + views.penalty


def _degrees(a: Float[Tensor, "*#B 3"], b: Float[Tensor, "*#B 3"]) -> Float[Tensor, "*B"]:
    return torch.acos((a * b).sum(-1).clamp(-1, 1)) * (180 / math.pi)
