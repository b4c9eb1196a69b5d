"""How much of each pixel a mesh covers: a raster asks each pixel's centre only, so its outlines are steps.

Only pixels at an outline are looked at again, with 16 samples each, and only the faces near them: drawing the whole
mesh four times as large gives the same and takes forty times as long (:func:`coverage_reference`).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.flow.masks import dilate
from liquidwarp.geometry.raster import Raster, rasterize

__all__ = ["ProjectedMesh", "Rim", "coverage", "coverage_reference"]

_SIDE = 4
"""Samples along each side of a pixel."""
_BOXES_PER_CHUNK = 1 << 20
"""Pixels in the boxes of the faces that are looked at together, which bounds the memory."""


@dataclass(frozen=True)
class ProjectedMesh:
    """A mesh as N pictures see it."""

    vertices: Float[Tensor, "N V 3"]
    """(x [px], y [px], depth [m])."""
    faces: Int64[Tensor, "F 3"]


@dataclass(frozen=True)
class Rim:
    """Pixels just outside of those with values, such as those that a mesh covers in part but not at their centres."""

    picture: Int64[Tensor, "P"]
    row: Int64[Tensor, "P"]
    column: Int64[Tensor, "P"]

    @staticmethod
    def of(known: Bool[Tensor, "N H W"], opacity: Float[Tensor, "N 1 H W"]) -> "Rim":
        """Find them.

        Args:
            known: Pixels that have values.
            opacity: More than 0 where they are wanted.
        """
        return Rim(*((opacity[:, 0] > 0) & ~known).nonzero(as_tuple=True))

    def continued(self, values: Float[Tensor, "N C H W"], known: Bool[Tensor, "N H W"]) -> Float[Tensor, "N C H W"]:
        """Values that go on over the rim: the mean of the known ones beside each of its pixels.

        Args:
            values: Of all pixels.
            known: Where they mean something.
        """
        height, width = known.shape[1:]
        near = torch.arange(-1, 2, device=values.device)
        rows = (self.row[:, None, None] + near[:, None]).clamp(0, height - 1).expand(-1, 3, 3)
        columns = (self.column[:, None, None] + near).clamp(0, width - 1).expand(-1, 3, 3)
        pictures = self.picture[:, None, None].expand(-1, 3, 3)
        there = known[pictures, rows, columns][..., None]
        total = torch.where(there, values.movedim(1, -1)[pictures, rows, columns], 0).sum((1, 2))
        mean = total / there.sum((1, 2)).clamp(min=1)
        result = values.clone()
        result.movedim(1, -1)[self.picture, self.row, self.column] = mean
        return result


def coverage(mesh: ProjectedMesh, raster: Raster) -> Float[Tensor, "N 1 H W"]:
    """The share of each pixel that the faces that look at the camera cover [0, 1].

    Args:
        mesh: What was rasterised.
        raster: What came of it, without back faces.
    """
    solid = raster.covered[:, None].to(mesh.vertices.dtype)
    if not len(mesh.faces):
        return solid
    edge = (dilate(solid, 1) + dilate(1 - solid, 1))[:, 0] > 1
    corners, box, image = _faces_near(mesh, edge)
    number = edge.view(-1).cumsum(0).view_as(edge) - 1
    samples = torch.zeros(int(edge.sum()), _SIDE**2, dtype=torch.bool, device=solid.device)
    counts = (box[:, 2] - box[:, 0] + 1) * (box[:, 3] - box[:, 1] + 1)
    start, ends = 0, counts.cumsum(0)
    while start < len(counts):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(torch.searchsorted(ends, done + _BOXES_PER_CHUNK, right=True)))
        face = torch.repeat_interleave(torch.arange(start, stop, device=solid.device), counts[start:stop])
        place = torch.arange(len(face), device=solid.device) + done - (ends - counts)[face]
        across = (box[face, 2] - box[face, 0]) + 1
        row = torch.div(place, across, rounding_mode="floor")
        column, row = box[face, 0] + place - row * across, box[face, 1] + row
        chosen = edge[image[face], row, column].nonzero()[:, 0]
        face, row, column = face[chosen], row[chosen], column[chosen]
        inside = _inside(corners[face], row, column)
        hit, which = inside.nonzero(as_tuple=True)
        samples[number[image[face], row, column][hit], which] = True
        start = stop
    share = solid.clone()
    share[:, 0][edge] = samples.to(solid.dtype).mean(1)
    return share


def _faces_near(
    mesh: ProjectedMesh, edge: Bool[Tensor, "N H W"]
) -> tuple[Float[Tensor, "K 6"], Int64[Tensor, "K 4"], Int64[Tensor, "K"]]:
    """The faces that look at the camera and whose boxes touch pixels at an outline.

    Returns:
        Their corners (x, y of each) [px]; their first column and row, and their last ones; and their picture.
    """
    height, width = edge.shape[1:]
    x, y = (mesh.vertices[..., axis][:, mesh.faces] for axis in (0, 1))  # N F 3
    area = (x[..., 1] - x[..., 0]) * (y[..., 2] - y[..., 0]) - (x[..., 2] - x[..., 0]) * (y[..., 1] - y[..., 0])
    first_column, first_row = x.amin(-1).floor().long().clamp(min=0), y.amin(-1).floor().long().clamp(min=0)
    last_column = x.amax(-1).floor().long().clamp(max=width - 1)
    last_row = y.amax(-1).floor().long().clamp(max=height - 1)
    there = (area < -1e-9) & (last_column >= first_column) & (last_row >= first_row)
    image, face = there.nonzero(as_tuple=True)
    box = torch.stack([first_column, first_row, last_column, last_row], -1)[image, face]
    below = F.pad(edge.long().cumsum(1).cumsum(2), (1, 0, 1, 0))
    left, top, right, bottom = box[:, 0], box[:, 1], box[:, 2] + 1, box[:, 3] + 1
    number = below[image, bottom, right] - below[image, top, right] - below[image, bottom, left]
    kept = (number + below[image, top, left]).nonzero()[:, 0]
    image, face = image[kept], face[kept]
    corners = torch.stack([x[image, face], y[image, face]], -1).flatten(1)
    return corners, box[kept], image


def _inside(corners: Float[Tensor, "P 6"], row: Int64[Tensor, "P"], column: Int64[Tensor, "P"]) -> Bool[Tensor, "P S"]:
    """Which samples of a pixel lie in a face that looks at the camera."""
    step = (torch.arange(_SIDE, device=corners.device) + 0.5) / _SIDE
    dy, dx = (offset.reshape(-1) for offset in torch.meshgrid(step, step, indexing="ij"))
    x, y = corners[:, 0::2] - column[:, None], corners[:, 1::2] - row[:, None]
    inside = torch.ones(len(row), _SIDE**2, dtype=torch.bool, device=corners.device)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        along_x, along_y = x[:, b] - x[:, a], y[:, b] - y[:, a]
        # Negative to the inner side, as such faces have a negative area in the picture's axes.
        start = along_y * x[:, a] - along_x * y[:, a]
        inside &= start[:, None] + along_x[:, None] * dy - along_y[:, None] * dx <= 0
    return inside


def coverage_reference(mesh: ProjectedMesh, height: int, width: int) -> Float[Tensor, "N 1 H W"]:
    """The same as :func:`coverage`, by drawing the whole mesh four times as large. Slow: for tests."""
    large = torch.cat([mesh.vertices[..., :2] * _SIDE, mesh.vertices[..., 2:]], -1)
    drawn = rasterize(large, mesh.faces, height * _SIDE, width * _SIDE).covered[:, None]
    return F.avg_pool2d(drawn.to(large.dtype), _SIDE)
