"""Whether a person wears shoes, by their colours, and feet without toes for those who do.

The fit finds a shoe's volume by its outline alone; in a view from the front or under trousers that says little, and
bare toes come out in the shoe's colours.
"""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.mesh.visibility import body_visibility, farthest_nearby
from liquidwarp.geometry.camera import pixels_to_ndc
from liquidwarp.geometry.masks import erode
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.warp import sample_at

__all__ = ["put_on_shoes", "wears_shoes"]

_VOLUME = "shoe-volume"
_LEAST_VOLUME = 0.7
"""Least volume of a shoe; fitted ones in plain view have 0.6 to 1.3."""
_INSIDE = 3 / 512
"""How far inside of the matte colours are compared, relative to the picture's height."""
_SEEN, _FEW = 0.5, 20
_HUE, _SHADE = 0.05, 0.7
"""Skin's shares of red, green and blue differ less than this from the face's, and its brightness [logarithm]."""
_BARE = 0.35
"""A foot of which more than this share is skin is bare, or in sandals."""


def put_on_shoes(model: BodyModel, body: BodyParams) -> BodyParams:
    """The same bodies with feet at least as thick as shoes; unchanged if the body model knows none."""
    if _VOLUME not in model.beta_names:
        return body
    betas = body.betas.clone()
    index = model.beta_names.index(_VOLUME)
    betas[index] = betas[index].clamp(min=_LEAST_VOLUME)
    return replace(body, betas=betas)


def wears_shoes(
    model: BodyModel, bodies: BodyParams, images: Float[Tensor, "S 3 H W"], mattes: Float[Tensor, "S 1 H W"]
) -> bool:
    """Whether the feet look unlike the face.

    Args:
        model: The body.
        bodies: The S fitted bodies, cameras in the images' pixels.
        images: RGB in [0, 1].
        mattes: Opacity of the person.

    Returns:
        False also where no photo shows both feet and face.
    """
    height, width = images.shape[-2:]
    surface = project_bodies(model, no_extension(model), bodies)
    raster = rasterize(surface.body, model.faces, height, width)
    seen = body_visibility(surface.body, surface.normals, farthest_nearby(raster)) > _SEEN
    ndc = pixels_to_ndc(surface.body[..., :2], height, width)
    inner = erode((mattes > 0.9).to(images.dtype), max(1, round(_INSIDE * height)))
    seen &= sample_at(inner, ndc, nearest=True)[:, 0] > 0.5
    colours = sample_at(images, ndc).transpose(1, 2)  # S V 3
    face = seen & (model.vertex_part == PARTS.index("face"))
    foot = seen & _either_foot(model)
    if int(face.sum()) < _FEW or int(foot.sum()) < _FEW:
        return False
    light = colours.sum(-1).clamp(min=0.02)
    hue = colours / light[..., None]
    like = (hue - hue[face].median(0).values).norm(dim=-1) < _HUE
    like &= (light / light[face].median()).log().abs() < _SHADE
    return float(like[foot].float().mean()) < _BARE


def _either_foot(model: BodyModel) -> Tensor:
    return (model.vertex_part == PARTS.index("left_foot")) | (model.vertex_part == PARTS.index("right_foot"))
