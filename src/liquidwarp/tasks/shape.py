"""Shape edits of a prepared person: taller, heavier, longer legs; the picture follows by warping."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.shape import edit_shape, parse_shape
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.synthesizer import SourceBank

__all__ = ["reshape"]


def reshape(bank: SourceBank, edits: str) -> SourceBank:
    """The person with another body: a person like every other, who can imitate, be seen from other sides, be dressed.

    The photos stay on the body that was fitted to them; only the targets have the new one. So colours move with the
    skin below them, and a garment is stretched to the new body. The person stands on the same spot of the picture at
    the same scale.

    Args:
        bank: The person.
        edits: Such as "height=+5cm,weight=+10%"; see :mod:`liquidwarp.body.shape`.

    Raises:
        SettingError: not understood, an unknown name, or too far.
    """
    model, body = bank.model, bank.body
    betas = edit_shape(model, body.betas, parse_shape(edits, model))
    sunk = _lowest(model, body.rel_rotmats, betas) - _lowest(model, body.rel_rotmats, body.betas)
    shift = torch.stack([torch.zeros_like(sunk), body.camera.scale * sunk], 1)
    camera = WeakPerspective(body.camera.scale, body.camera.translation - shift)
    return replace(bank, body=BodyParams(betas, body.rel_rotmats, camera))


def _lowest(model: BodyModel, rel_rotmats: Float[Tensor, "1 J 3 3"], betas: Float[Tensor, "K"]) -> Float[Tensor, "1"]:
    """How far below the root joint the body's lowest point is [m]."""
    return model.pose(model.rest(betas[None]), rel_rotmats).vertices[..., 1].amax(1)
