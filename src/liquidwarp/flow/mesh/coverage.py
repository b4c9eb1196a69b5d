"""How much of each pixel a mesh covers: a raster asks each pixel's centre only, so its outlines are steps.

Only pixels at an outline are looked at again, with 16 samples each, and only the faces near them: drawing the whole
mesh four times as large gives the same and takes many times as long (:func:`coverage_reference`).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.geometry.raster import Raster, rasterize

__all__ = ["ProjectedMesh", "Rim", "coverage", "coverage_reference"]

_SIDE = 4
"""Samples along each side of a pixel."""
_BLOCK = 4
"""Side of the blocks in which faces near an outline are looked for [px]."""
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
            values: Of all pixels; changed in place.
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
        values.movedim(1, -1)[self.picture, self.row, self.column] = mean
        return values


def coverage(mesh: ProjectedMesh, raster: Raster) -> Float[Tensor, "N 1 H W"]:
    """The share of each pixel that the faces that look at the camera cover [0, 1].

    Args:
        mesh: What was rasterised.
        raster: What came of it, without back faces.
    """
    solid = raster.covered[:, None].to(mesh.vertices.dtype)
    if not len(mesh.faces):
        return solid
    edge = _outline(raster.covered)
    corners, box, image = _faces_near(mesh, edge)
    height, width = edge.shape[1:]
    where = edge.view(-1).nonzero()[:, 0]
    hits = solid.new_zeros(len(where), _SIDE**2)
    of_pixel = torch.empty(edge.numel(), dtype=torch.int64, device=solid.device)
    of_pixel[where] = torch.arange(len(where), device=solid.device)
    across = box[:, 2] - box[:, 0] + 1
    counts = across * (box[:, 3] - box[:, 1] + 1)
    start, ends = 0, counts.cumsum(0)
    while start < len(counts):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(torch.searchsorted(ends, done + _BOXES_PER_CHUNK, right=True)))
        face = torch.repeat_interleave(torch.arange(start, stop, device=solid.device), counts[start:stop])
        place = torch.arange(done, done + len(face), device=solid.device) - (ends - counts).index_select(0, face)
        row = torch.div(place, across.index_select(0, face), rounding_mode="floor")
        column = place - row * across.index_select(0, face) + box[:, 0].index_select(0, face)
        row += box[:, 1].index_select(0, face)
        pixel = (image.index_select(0, face) * height + row) * width + column
        at_edge = edge.view(-1).index_select(0, pixel).nonzero()[:, 0]
        face, row, column, pixel = (t.index_select(0, at_edge) for t in (face, row, column, pixel))
        inside = _inside(corners.index_select(0, face), row, column)
        hits.index_add_(0, of_pixel.index_select(0, pixel), inside.to(hits.dtype))
        start = stop
    solid.view(-1)[where] = (hits > 0).to(solid.dtype).mean(1)
    return solid


def _outline(covered: Bool[Tensor, "N H W"]) -> Bool[Tensor, "N H W"]:
    """Pixels that are covered, or beside one that is, and the other way round."""
    some, every = covered.clone(), covered.clone()
    for axis in (1, 2):
        last = covered.shape[axis] - 1
        for mask, join in ((some, Tensor.logical_or_), (every, Tensor.logical_and_)):
            before, behind = mask.narrow(axis, 0, last).clone(), mask.narrow(axis, 1, last).clone()
            join(mask.narrow(axis, 1, last), before)
            join(mask.narrow(axis, 0, last), behind)
    return some & ~every


def _faces_near(
    mesh: ProjectedMesh, edge: Bool[Tensor, "N H W"]
) -> tuple[Float[Tensor, "K 6"], Int64[Tensor, "K 4"], Int64[Tensor, "K"]]:
    """The faces that look at the camera and whose boxes touch pixels at an outline.

    Returns:
        Their corners (x, y of each) [px]; their first column and row, and their last ones; and their picture.
    """
    height, width = edge.shape[1:]
    corners = mesh.vertices[..., :2].index_select(1, mesh.faces.reshape(-1)).view(-1, 6)
    x, y = corners[:, 0::2], corners[:, 1::2]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    first = torch.stack([x.amin(1), y.amin(1)], 1).floor().clamp(min=0)
    last = torch.stack([x.amax(1).clamp(max=width - 1), y.amax(1).clamp(max=height - 1)], 1).floor()
    there = ((area < -1e-9) & (last >= first).all(1)).nonzero()[:, 0]
    image = torch.div(there, len(mesh.faces), rounding_mode="floor")
    box = torch.cat([first, last], 1).index_select(0, there).long()
    # Counted in blocks of pixels, as that is quicker; a few faces more do no harm.
    blocks = (
        F.pad(edge, (0, -width % _BLOCK, 0, -height % _BLOCK)).unflatten(2, (-1, _BLOCK)).unflatten(1, (-1, _BLOCK))
    )
    counts = blocks.any(4).any(2).cumsum(1).cumsum(2)
    below = F.pad(counts, (1, 0, 1, 0)).view(-1)
    left, top, right, bottom = (torch.div(box, _BLOCK, rounding_mode="floor") + box.new_tensor([0, 0, 1, 1])).unbind(1)
    upper, lower = ((image * (counts.shape[1] + 1) + row) * (counts.shape[2] + 1) for row in (top, bottom))
    number = below[lower + right] - below[upper + right] - below[lower + left] + below[upper + left]
    kept = number.nonzero()[:, 0]
    return corners.index_select(0, there.index_select(0, kept)), box.index_select(0, kept), image.index_select(0, kept)


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
