"""A batched triangle rasteriser in plain PyTorch: no compiled code, the same on CPU and CUDA.

Method: every triangle is expanded over the pixels of its bounding box, an edge test keeps the covered ones, and
one integer ``scatter_reduce(amin)`` over ``depth bits << 32 | face`` is the z-test: exact, without races, ties go
to the lower face index. :func:`rasterize_reference` is the plain double loop that the tests compare with.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

__all__ = ["Fragments", "Raster", "interpolate", "mix_corners", "rasterize", "rasterize_reference"]

_EMPTY = torch.iinfo(torch.int64).max
_PIXELS_PER_CHUNK = 1 << 22
"""Pixels in the boxes of the faces that are looked at together, which bounds the memory."""
_PLACES_PER_PIECE = 1 << 14
"""Pixels that are interpolated together on a CPU, so that they stay in its cache."""


@dataclass(frozen=True)
class Raster:
    """What each pixel of B images sees of a mesh."""

    pix_to_face: Int64[Tensor, "B H W"]
    """Index of the nearest face; -1 where there is none."""
    bary: Float[Tensor, "B H W 3"]
    """Barycentric weights of the pixel's centre in that face; 0 where there is none."""
    depth: Float[Tensor, "B H W"]
    """Depth there [m], +inf where there is none."""

    @property
    def covered(self) -> Bool[Tensor, "B H W"]:
        """Where the mesh is."""
        return self.pix_to_face >= 0


@dataclass(frozen=True)
class Fragments:
    """Pixels covered by a face, before the z-test."""

    image: Int64[Tensor, "N"]
    face: Int64[Tensor, "N"]
    bary: Float[Tensor, "N 3"]
    row: Float[Tensor, "N"]
    column: Float[Tensor, "N"]


def rasterize(
    vertices: Float[Tensor, "B V 3"],
    faces: Int64[Tensor, "F 3"],
    height: int,
    width: int,
    cull_backfaces: bool = True,
    keep: Callable[[Fragments], Bool[Tensor, "N"]] | None = None,
) -> Raster:
    """Rasterise one mesh in B poses.

    Convention:
        vertices are (x, y) [px] with pixel centres at +0.5 and depth z [m], smaller is nearer, as
        ``WeakPerspective.project`` gives them. A face looks at the camera if its corners run counter-clockwise
        seen from outside the body, which is a negative signed area in the image's y-down axes.

    Args:
        vertices: Projected vertices; other floating types are computed in float32.
        faces: Corner indices, the same for all B.
        height: Image height [px].
        width: Image width [px].
        cull_backfaces: Drop faces that look away.
        keep: Asked for every covered pixel of every face whether it counts (a test of the texture's opacity).

    Returns:
        Face index, barycentric weights and depth per pixel.
    """
    batch, num_faces, device = vertices.shape[0], faces.shape[0], vertices.device
    if batch == 0 or num_faces == 0:
        return _empty_raster(batch, height, width, device)
    vertices = vertices.float()  # the z-test sorts the bits of 32-bit floats; half would lose whole pixels
    nearest = vertices[..., 2].amin()
    corners = vertices.index_select(1, faces.reshape(-1)).reshape(batch * num_faces, 9)
    corners = corners - torch.stack([nearest.new_tensor(0.5), nearest.new_tensor(0.5), nearest]).repeat(3)
    # From here on pixel centres are integers and depth is >= 0, so that its float bits sort like the floats.
    x, y = corners[:, 0::3], corners[:, 1::3]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    left, right = x.amin(1).ceil().clamp(min=0), x.amax(1).floor().clamp(max=width - 1)
    top, bottom = y.amin(1).ceil().clamp(min=0), y.amax(1).floor().clamp(max=height - 1)
    facing = area < -1e-9 if cull_backfaces else area.abs() > 1e-9
    kept = ((right >= left) & (bottom >= top) & facing).nonzero()[:, 0]
    image = torch.div(kept, num_faces, rounding_mode="floor")
    box = torch.stack([left, top, right - left + 1, bottom - top + 1], 1).index_select(0, kept)
    triangles = corners.index_select(0, kept)
    keys = _nearest_keys(triangles, box, image, kept - image * num_faces, batch, height, width, keep)
    return _resolve(keys, corners, num_faces, nearest, (batch, height, width))


def _empty_raster(batch: int, height: int, width: int, device: torch.device) -> Raster:
    return Raster(
        torch.full((batch, height, width), -1, dtype=torch.int64, device=device),
        torch.zeros(batch, height, width, 3, device=device),
        torch.full((batch, height, width), torch.inf, device=device),
    )


def _plane_coefficients(
    triangles: Float[Tensor, "M 9"], box: Float[Tensor, "M 4"]
) -> tuple[Float[Tensor, "M 7"], Float[Tensor, "M 3"]]:
    """Affine functions of the pixel offset in the box: the barycentric weights 1 and 2, and the depth."""
    x0, y0 = triangles[:, 0] - box[:, 0], triangles[:, 1] - box[:, 1]
    dx1, dy1 = triangles[:, 3] - triangles[:, 0], triangles[:, 4] - triangles[:, 1]
    dx2, dy2 = triangles[:, 6] - triangles[:, 0], triangles[:, 7] - triangles[:, 1]
    inverse = 1 / (dx1 * dy2 - dx2 * dy1)
    a1, b1 = dy2 * inverse, -dx2 * inverse
    a2, b2 = -dy1 * inverse, dx1 * inverse
    c1, c2 = -(a1 * x0 + b1 * y0), -(a2 * x0 + b2 * y0)
    dz1, dz2 = triangles[:, 5] - triangles[:, 2], triangles[:, 8] - triangles[:, 2]
    plane = torch.stack([a1, b1, c1, a2, b2, c2, box[:, 2]], 1)
    depth = torch.stack([a1 * dz1 + a2 * dz2, b1 * dz1 + b2 * dz2, triangles[:, 2] + c1 * dz1 + c2 * dz2], 1)
    return plane, depth


def _nearest_keys(
    triangles: Float[Tensor, "M 9"],
    box: Float[Tensor, "M 4"],
    image: Int64[Tensor, "M"],
    face: Int64[Tensor, "M"],
    batch: int,
    height: int,
    width: int,
    keep: Callable[[Fragments], Bool[Tensor, "N"]] | None = None,
) -> Int64[Tensor, "N"]:
    """For every pixel of every image the smallest ``depth bits << 32 | face``."""
    device = triangles.device
    plane, depth = _plane_coefficients(triangles, box)
    first_pixel = (image * height + box[:, 1].long()) * width + box[:, 0].long()
    place = torch.stack([first_pixel, face], 1)
    keys = torch.full((batch * height * width,), _EMPTY, dtype=torch.int64, device=device)
    counts = (box[:, 2] * box[:, 3]).long()
    ends = counts.cumsum(0)
    num, total = counts.numel(), int(ends[-1]) if counts.numel() else 0
    start = 0
    while start < num:
        done = int(ends[start - 1]) if start else 0
        if total - done <= _PIXELS_PER_CHUNK:
            stop = num
        else:
            stop = max(start + 1, int(torch.searchsorted(ends, done + _PIXELS_PER_CHUNK, right=True)))
        size = (total if stop == num else int(ends[stop - 1])) - done
        count = counts[start:stop]
        owner = torch.repeat_interleave(torch.arange(start, stop, device=device), count, output_size=size)
        box_start = torch.repeat_interleave((ends[start:stop] - count - done).int(), count, output_size=size)
        local = (torch.arange(size, device=device, dtype=torch.int32) - box_start).float()
        p = plane.index_select(0, owner)
        row = torch.floor((local + 0.5) / p[:, 6])
        column = local - row * p[:, 6]
        w1 = torch.addcmul(p[:, 2], p[:, 0], column).addcmul_(p[:, 1], row)
        w2 = torch.addcmul(p[:, 5], p[:, 3], column).addcmul_(p[:, 4], row)
        inside = (torch.minimum(torch.minimum(w1, w2), 1 - w1 - w2) >= 0).nonzero()[:, 0]
        owner, row, column = (t.index_select(0, inside) for t in (owner, row, column))
        if keep is not None:
            w1, w2 = w1.index_select(0, inside), w2.index_select(0, inside)
            bary = torch.stack([1 - w1 - w2, w1, w2], 1)
            chosen = keep(Fragments(image[owner], face[owner], bary, row + box[owner, 1], column + box[owner, 0]))
            owner, row, column = owner[chosen], row[chosen], column[chosen]
        q, at = depth.index_select(0, owner), place.index_select(0, owner)
        z = torch.addcmul(q[:, 2], q[:, 0], column).addcmul_(q[:, 1], row).clamp_(min=0)
        key = (z.view(torch.int32).long() << 32) | at[:, 1]
        keys.scatter_reduce_(0, at[:, 0] + (row * width + column).long(), key, "amin")
        start = stop
    return keys


def _resolve(
    keys: Int64[Tensor, "N"],
    corners: Float[Tensor, "BF 9"],
    num_faces: int,
    nearest: Float[Tensor, ""],
    size: tuple[int, int, int],
) -> Raster:
    """Turn the winning keys into face indices, exact barycentric weights and depth."""
    batch, height, width = size
    raster = _empty_raster(batch, height, width, keys.device)
    pixel = (keys != _EMPTY).nonzero()[:, 0]
    face = keys.index_select(0, pixel) & 0xFFFFFFFF
    image = torch.div(pixel, height * width, rounding_mode="floor")
    rest = pixel - image * (height * width)
    row = torch.div(rest, width, rounding_mode="floor")
    column = (rest - row * width).float()
    t = corners.index_select(0, image * num_faces + face)
    x, y = t[:, 0::3] - column[:, None], t[:, 1::3] - row.float()[:, None]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    w0 = (x[:, 1] * y[:, 2] - x[:, 2] * y[:, 1]) / area
    w1 = (x[:, 2] * y[:, 0] - x[:, 0] * y[:, 2]) / area
    bary = torch.stack([w0, w1, 1 - w0 - w1], 1)
    raster.pix_to_face.view(-1).index_copy_(0, pixel, face)
    raster.bary.view(-1, 3).index_copy_(0, pixel, bary)
    raster.depth.view(-1).index_copy_(0, pixel, (bary * t[:, 2::3]).sum(1) + nearest)
    return raster


def rasterize_reference(
    vertices: Float[Tensor, "B V 3"],
    faces: Int64[Tensor, "F 3"],
    height: int,
    width: int,
    cull_backfaces: bool = True,
) -> Raster:
    """The same as :func:`rasterize`, as a plain loop over images and faces. Slow: for tests."""
    batch, device = vertices.shape[0], vertices.device
    raster = _empty_raster(batch, height, width, device)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    for b in range(batch):
        for f, corner in enumerate(faces.tolist()):
            (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = vertices[b, corner].tolist()
            area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
            if area >= -1e-9 if cull_backfaces else abs(area) <= 1e-9:
                continue
            w0 = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
            w1 = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
            w2 = 1 - w0 - w1
            z = w0 * z0 + w1 * z1 + w2 * z2
            seen = (w0 >= 0) & (w1 >= 0) & (w2 >= 0) & (z < raster.depth[b])
            raster.pix_to_face[b][seen] = f
            raster.bary[b][seen] = torch.stack([w0, w1, w2], -1)[seen]
            raster.depth[b][seen] = z[seen]
    return raster


def interpolate(
    attribute: Float[Tensor, "A V C"], faces: Int64[Tensor, "F 3"], raster: Raster
) -> Float[Tensor, "B H W C"]:
    """Mix per-vertex values at every covered pixel; 0 elsewhere.

    Args:
        attribute: Per-vertex values; A is B, or 1 for values shared by all images.
        faces: The faces that were rasterised.
        raster: What each pixel sees.

    Returns:
        Interpolated values.
    """
    batch, height, width = raster.pix_to_face.shape
    num_vertices, channels = attribute.shape[1:]
    corner = faces.index_select(0, raster.pix_to_face.clamp(min=0).view(-1))  # BHW 3
    if attribute.shape[0] > 1:
        image = torch.arange(batch, device=faces.device).repeat_interleave(height * width)
        corner = corner + (image * num_vertices)[:, None]
    mixed = mix_corners(attribute.reshape(-1, channels), corner, raster.bary.view(-1, 3))
    return mixed.view(batch, height, width, channels)


def mix_corners(
    values: Float[Tensor, "R C"], corner: Int64[Tensor, "P 3"], bary: Float[Tensor, "P 3"]
) -> Float[Tensor, "P C"]:
    """Values of three vertices each, mixed with barycentric weights.

    Args:
        values: Of all vertices.
        corner: Which three.
        bary: Their weights.
    """
    # In pieces that stay in a processor's cache.
    size = _PLACES_PER_PIECE if values.device.type == "cpu" else max(1, len(corner))
    pieces = zip(corner.split(size), bary.split(size), strict=True)
    return torch.cat([_mix_piece(values, *piece) for piece in pieces])


def _mix_piece(
    values: Float[Tensor, "R C"], corner: Int64[Tensor, "P 3"], bary: Float[Tensor, "P 3"]
) -> Float[Tensor, "P C"]:
    """Corner by corner: a sum over an axis of three takes three times as long."""
    mixed = values.index_select(0, corner[:, 0]) * bary[:, :1]
    for k in (1, 2):
        mixed += values.index_select(0, corner[:, k]) * bary[:, k : k + 1]
    return mixed
