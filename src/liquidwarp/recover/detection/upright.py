"""Photos that were turned on their way: nobody sees it in the numbers, everybody in the result."""

import torch
from jaxtyping import Bool
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams

__all__ = ["lying", "lying_notes"]

_LEAST_SPAN = 1.0
"""Feet and head nearer to each other than this say nothing: somebody bends or sits [m]."""


def lying(body: BodyParams, model: BodyModel) -> Bool[Tensor, "T"]:
    """Whether the way from feet to head leans by more than 60 degrees from the picture's vertical.

    Args:
        body: Fitted bodies of T pictures.
        model: Their model.
    """
    joints = model.pose(model.rest(body.betas[None]), body.rel_rotmats).joints
    feet = joints[:, torch.tensor(model.roles.foot)].mean(1)
    way = (joints[:, model.roles.neck[-1]] - feet)[:, :2]
    span = way.norm(dim=-1)
    return (span > _LEAST_SPAN) & (-way[:, 1] < 0.5 * span)


def lying_notes(body: BodyParams, model: BodyModel) -> list[str]:
    """What the user should know of photos in which the person lies, or which lost their EXIF rotation."""
    numbers = [str(index + 1) for index, lies in enumerate(lying(body, model).tolist()) if lies]
    if not numbers:
        return []
    where = "the photo" if len(body) == 1 else f"photo {', '.join(numbers)}"
    return [f"In {where} the person lies or is head down. If the photo is only turned, turn it upright first."]
