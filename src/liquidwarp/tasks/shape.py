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

_FREE = 0.02
"""Free border above the head, as a share of the picture's height; less where the photo has less."""
_SMALLEST = 0.85
"""The person is not made smaller than this to stay in the picture."""


def reshape(bank: SourceBank, edits: str) -> SourceBank:
    """The person with another body: a person like every other, who can imitate, be seen from other sides, be dressed.

    The photos stay on the body that was fitted to them; only the targets have the new one. So colours move with the
    skin below them, and a garment is stretched to the new body. The person stands on the same spot of the picture at
    the same scale, unless the head would leave the picture: then a little smaller.

    Args:
        bank: The person.
        edits: Such as "height=+5cm,weight=+10%"; see :mod:`liquidwarp.body.shape`.

    Raises:
        SettingError: not understood, an unknown name, or too far.
    """
    model, body = bank.model, bank.body
    betas = edit_shape(model, body.betas, parse_shape(edits, model))
    top, bottom = _reach(model, body.rel_rotmats, body.betas)
    new_top, new_bottom = _reach(model, body.rel_rotmats, betas)
    scale, x, y = body.camera.scale[0], body.camera.translation[0, 0], body.camera.translation[0, 1]
    ground = y + scale * bottom
    free = torch.minimum(y + scale * top, ground.new_tensor(_FREE * bank.size[1]))
    room = (ground - free) / (scale * (new_bottom - new_top))
    scale = scale * room.clamp(_SMALLEST, 1)
    camera = WeakPerspective(scale[None], torch.stack([x, ground - scale * new_bottom])[None])
    return replace(bank, body=BodyParams(betas, body.rel_rotmats, camera))


def _reach(
    model: BodyModel, rel_rotmats: Float[Tensor, "1 J 3 3"], betas: Float[Tensor, "K"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Height of the highest and of the lowest point over the root joint, y down [m]."""
    height = model.pose(model.rest(betas[None]), rel_rotmats).vertices[0, :, 1]
    return height.amin(), height.amax()
