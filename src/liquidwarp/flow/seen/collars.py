"""Collars, beards and hair that a photo shows before a bare neck.

From the photo's side they hide the neck; on the surface of the neck itself they would be blots from every other side.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.colours.tone import in_other_light
from liquidwarp.flow.mesh.surface import rest_coordinates

__all__ = ["printed_on_neck"]

_FACE_SEEN = 50
"""With fewer vertices of the face nobody knows what skin looks like."""
_JAW = 0.65
"""A neck begins at this share of the way from the middle of the face to the chin."""
_DARK = 0.35
"""Skin in the shade has at least this share of the face's light."""
_BAND, _FEW = 0.02, 6
"""Heights that are judged together, in rest coordinates; with fewer vertices seen they do not count."""
_BARE = 0.5
"""A height is bare if more than this share of what is seen there is skin."""


def printed_on_neck(model: BodyModel, colours: Float[Tensor, "V 3"], seen: Bool[Tensor, "V"]) -> Bool[Tensor, "V"]:
    """Vertices of a neck that show no skin although the neck is bare as low down, or lower.

    Args:
        model: The body.
        colours: What one photo shows at the vertices, RGB in [0, 1].
        seen: Which of them the photo shows by the fitted body.
    """
    part, height = model.vertex_part, rest_coordinates(model)[:, 1]
    face = part == PARTS.index("face")
    shown = colours[face & seen]
    if len(shown) < _FACE_SEEN:
        return torch.zeros_like(seen)
    usual = shown.median(0).values
    lit = in_other_light(colours.cpu().numpy(), usual.cpu().numpy())
    skin = torch.as_tensor(lit, device=seen.device) & (colours.sum(1) > _DARK * usual.sum())
    jaw = torch.lerp(height[face].mean(), height[face].amax(), _JAW)
    neck = seen & (part == PARTS.index("head")) & (height > jaw)
    band, lowest = (height / _BAND).floor(), -torch.inf
    for one in band[neck].unique().tolist():
        here = skin[neck & (band == one)]
        if len(here) >= _FEW and float(here.float().mean()) > _BARE:
            lowest = max(lowest, one)
    return neck & ~skin & (band <= lowest)
