"""One mesh (the body, or what is around it) seen by the targets, and where each pixel of it lies in the sources.

Convention:
    G people, each with S sources and T targets, in one batch. Axes G and T are joined in pictures: row
    ``g * T + t`` is person g's target t.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.geometry.raster import Raster, mix_corners
from liquidwarp.geometry.warp import Flow, warp

__all__ = ["Layer", "build_layer", "sample_sources"]


@dataclass(frozen=True)
class Layer:
    """What the targets see of one mesh."""

    raster: Raster
    """N = G T pictures."""
    grid: Float[Tensor, "N S H W 2"]
    """Position in each source, NDC; 0 where the mesh is not."""
    visible: Float[Tensor, "N S H W"]
    """How well each source sees the point [0, 1]."""
    preference: Float[Tensor, "N S H W"]
    """How much the source should be preferred for its colour [0, 1], smooth over the surface."""
    coordinates: Float[Tensor, "N 3 H W"]
    """Rest coordinates of the surface point in [-1, 1]."""
    normals: Float[Tensor, "N 3 H W"]
    """Unit normals in the target camera's frame."""


def build_layer(
    raster: Raster,
    faces: Int64[Tensor, "F 3"],
    in_sources: Float[Tensor, "G S V 4"],
    coordinates: Float[Tensor, "V 3"],
    normals: Float[Tensor, "N V 3"],
) -> Layer:
    """Carry per-vertex values to the pixels that show the mesh.

    Args:
        raster: The targets' rasters of the mesh.
        faces: The faces that were rasterised.
        in_sources: Per vertex and source its NDC position (x, y), visibility and preference.
        coordinates: Rest coordinates of the vertices.
        normals: Unit normals of the vertices in the targets.
    """
    pictures, height, width = raster.pix_to_face.shape
    people, sources, vertices, _ = in_sources.shape
    device = normals.device
    pixel = raster.covered.view(-1).nonzero()[:, 0]
    bary = raster.bary.view(-1, 3).index_select(0, pixel)
    corner = faces.index_select(0, raster.pix_to_face.view(-1).index_select(0, pixel))  # P 3
    picture = torch.div(pixel, height * width, rounding_mode="floor")[:, None]
    person = torch.div(picture, pictures // people, rounding_mode="floor")
    of_person = in_sources.permute(0, 2, 1, 3).reshape(people * vertices, sources * 4)
    found = mix_corners(of_person, corner + person * vertices, bary).view(-1, sources, 4)
    normal = mix_corners(normals.reshape(pictures * vertices, 3), corner + picture * vertices, bary)
    normal = normal / normal.norm(dim=1, keepdim=True).clamp(min=1e-9)

    def spread(values: Float[Tensor, "P *C"]) -> Float[Tensor, "N H W *C"]:
        dense = torch.zeros(pictures * height * width, *values.shape[1:], device=device, dtype=values.dtype)
        return dense.index_copy_(0, pixel, values).view(pictures, height, width, *values.shape[1:])

    return Layer(
        raster=raster,
        grid=spread(found[..., :2].contiguous()).permute(0, 3, 1, 2, 4),
        visible=spread(found[..., 2].contiguous()).permute(0, 3, 1, 2),
        preference=spread(found[..., 3].contiguous()).permute(0, 3, 1, 2),
        coordinates=spread(mix_corners(coordinates, corner, bary)).permute(0, 3, 1, 2),
        normals=spread(normal).permute(0, 3, 1, 2),
    )


def sample_sources(
    images: Float[Tensor, "G S C h w"], grid: Float[Tensor, "N S H W 2"], valid: Bool[Tensor, "N H W"]
) -> Float[Tensor, "N S C H W"]:
    """Every source's values at the flow's positions; 0 where not valid."""
    people, sources, channels = images.shape[:3]
    pictures, _, height, width, _ = grid.shape
    targets = pictures // people
    # A person's targets stand below each other in one tall grid, so that no image is repeated.
    per_source = grid.reshape(people, targets, sources, height, width, 2).transpose(1, 2)
    tall = per_source.reshape(people * sources, targets * height, width, 2)
    mask = valid.view(people, 1, targets * height, width).expand(-1, sources, -1, -1)
    sampled = warp(images.flatten(0, 1), Flow(tall, mask.reshape(-1, 1, targets * height, width)))
    sampled = sampled.view(people, sources, channels, targets, height, width).permute(0, 3, 1, 2, 4, 5)
    return sampled.reshape(pictures, sources, channels, height, width)
