"""Correspondence maps: what a picture shows of a body, in a form that networks read.

Paper: Liu et al. 2021, Sec. 3.2: C_s and C_t (there colours of face indices). Here a surface point is named by its
rest coordinates, the same for every person, with the normal beside it.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.flow.mesh.extension import Extension
from liquidwarp.flow.mesh.layers import build_layer
from liquidwarp.flow.mesh.surface import ProjectedSurface, project_bodies, rest_coordinates
from liquidwarp.geometry.raster import rasterize

__all__ = ["condition_maps", "correspondence_map", "surface_condition"]


def correspondence_map(
    coordinates: Float[Tensor, "N 3 H W"],
    normals: Float[Tensor, "N 3 H W"],
    body: Bool[Tensor, "N 1 H W"],
    around: Bool[Tensor, "N 1 H W"],
) -> Float[Tensor, "N 8 H W"]:
    """Stack the channels of :data:`liquidwarp.types.CONDITION_CHANNELS`; 0 where no mesh is.

    Args:
        coordinates: Rest coordinates of the surface point in [-1, 1].
        normals: Unit normals in the camera's frame.
        body: Where the body itself is seen.
        around: Where only its extension is.
    """
    kind = coordinates.dtype
    return torch.cat([coordinates, normals, body.to(kind), around.to(kind)], 1)


def condition_maps(
    model: BodyModel, extension: Extension, bodies: BodyParams, size: tuple[int, int]
) -> Float[Tensor, "T 8 H W"]:
    """Correspondence maps of bodies alone, for sources (C_s); targets' come with their flow.

    Args:
        model: The body.
        extension: What is around it.
        bodies: T bodies, cameras in the picture's pixels.
        size: Height and width [px].
    """
    return surface_condition(model, extension, project_bodies(model, extension, bodies), size)


def surface_condition(
    model: BodyModel, extension: Extension, surface: ProjectedSurface, size: tuple[int, int]
) -> Float[Tensor, "N 8 H W"]:
    """The same from projected surfaces. The extension lies behind the whole body here."""
    names = rest_coordinates(model)
    nowhere = names.new_zeros(1, 1, len(names), 4)
    raster = rasterize(surface.body, model.faces, *size)
    body = build_layer(raster, model.faces, nowhere, names, surface.normals)
    raster = rasterize(surface.extension, extension.faces, *size)
    anchor = extension.anchor
    normals = surface.normals.index_select(1, anchor)
    around = build_layer(raster, extension.faces, nowhere[:, :, anchor], names.index_select(0, anchor), normals)
    shown = body.raster.covered[:, None]
    return correspondence_map(
        torch.where(shown, body.coordinates, around.coordinates),
        torch.where(shown, body.normals, around.normals),
        shown,
        around.raster.covered[:, None] & ~shown,
    )
