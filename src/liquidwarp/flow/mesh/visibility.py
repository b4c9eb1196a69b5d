"""Which surface points a source photo shows.

Asking whether a target's face is among the faces that the source's pixels show punches holes into a dense mesh:
most faces are smaller than a pixel. Here every *vertex* is tested against the source's depth, and its answer is
carried to the faces around it; points seen at a grazing angle count less.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.extension import smooth_on_mesh
from liquidwarp.geometry.camera import pixels_to_ndc
from liquidwarp.geometry.masks import dilate
from liquidwarp.geometry.raster import Raster, interpolate, rasterize
from liquidwarp.geometry.warp import sample_at

__all__ = [
    "apart_from_limbs",
    "body_visibility",
    "clear_of_limbs",
    "extension_visibility",
    "farthest_nearby",
    "from_same_side",
    "unhidden",
    "visibility_reference",
    "within_limbs",
]

DEPTH_TOLERANCE = 0.02
"""A vertex this far behind the nearest surface still counts as seen [m]."""
GRAZING = (0.08, 0.30)
"""Cosine to the line of sight at which a point begins to count, and from which it counts fully."""
_TURNED = (0.1, 0.3)
"""So much more frontal [cosine] than a photo a picture may look at a place until the photo's view of it is too flat to
be stretched, from the first to the last."""
_BEFORE = 0.08
_LIMBS = tuple(
    ((f"{side}_lower_{limb}", f"{side}_{end}"), f"{side}_upper_{limb}")
    for side in ("left", "right")
    for limb, end in (("arm", "hand"), ("leg", "foot"))
)
"""The far parts of each limb, and the part that they hang on."""
_ARMS = tuple(tuple(f"{side}_{part}" for part in ("upper_arm", "lower_arm", "hand")) for side in ("left", "right"))
_JOINT = 3
"""How far a limb's surroundings on the surface reach [edges of the mesh]: a few centimetres."""
_TRACE = 1e-4
_NOTHING = -1e4


def farthest_nearby(raster: Raster) -> Float[Tensor, "N 1 H W"]:
    """The farthest depth among a pixel and its neighbours [m]; very negative where the body is not near.

    Taking the farthest forgives the half pixel between a vertex and its pixel's centre, also at steep slopes.
    """
    depth = torch.where(raster.covered, raster.depth, torch.full_like(raster.depth, _NOTHING))
    return F.max_pool2d(depth[:, None], 3, 1, 1)


def body_visibility(
    body: Float[Tensor, "N V 3"], normals: Float[Tensor, "N V 3"], nearest: Float[Tensor, "N 1 H W"]
) -> Float[Tensor, "N V"]:
    """How well each body vertex is seen [0, 1].

    Args:
        body: Projected vertices (x, y [px], depth [m]).
        normals: Unit normals in the camera's frame.
        nearest: From :func:`farthest_nearby` of the same body.
    """
    return unhidden(body, nearest) * _smoothstep(-normals[..., 2], *GRAZING)


def unhidden(body: Float[Tensor, "N V 3"], nearest: Float[Tensor, "N 1 H W"]) -> Float[Tensor, "N V"]:
    """1 where nothing stands before a body vertex, at whatever angle it is seen, else 0.

    Args:
        body: Projected vertices (x, y [px], depth [m]).
        nearest: From :func:`farthest_nearby` of the same body.
    """
    depth, inside = _depth_at(body, nearest)
    unoccluded = (depth > _NOTHING / 2) & (body[..., 2] <= depth + DEPTH_TOLERANCE)
    return (inside & unoccluded).to(body.dtype)


def from_same_side(photos: Float[Tensor, "S V 3"], picture: Float[Tensor, "V 3"]) -> Float[Tensor, "S V"]:
    """How well a photo's view of each place serves a picture however flat it is [0, 1].

    What a photo sees at a grazing angle must not be stretched, but a picture from the same side does not stretch it.

    Args:
        photos: Unit normals in the photos' camera frames.
        picture: The same in the picture's.
    """
    return 1 - _smoothstep(photos[..., 2] - picture[..., 2], *_TURNED)


def extension_visibility(
    points: Float[Tensor, "N E 3"],
    normals: Float[Tensor, "N E 3"],
    owner: Int64[Tensor, "E"],
    source: Int64[Tensor, "N"],
    nearest: Float[Tensor, "N 1 H W"],
) -> Float[Tensor, "N E"]:
    """How well each extension point is seen [0, 1].

    A point that any source may see counts where the body does not hide it and its side of the body does not look
    away: around the silhouette its normal is at right angles to the line of sight, so there is no grazing cutoff.
    A point with an owner is seen by this source alone.

    Args:
        points: Projected points without their recess.
        normals: Normals of the body vertices that they hang on.
        owner: The only source that sees the point, or -1.
        source: Index of the source that each of the N pictures is.
        nearest: From :func:`farthest_nearby` of the same body.
    """
    depth, inside = _depth_at(points, nearest)
    unoccluded = (depth < _NOTHING / 2) | (points[..., 2] <= depth + DEPTH_TOLERANCE)
    shared = (inside & unoccluded) * _smoothstep(-normals[..., 2], -0.45, -0.25)
    owned = (owner[None] == source[:, None]) & inside
    return torch.where(owner[None] < 0, shared, owned.to(shared.dtype))


def clear_of_limbs(
    body: Float[Tensor, "N V 3"], raster: Raster, model: BodyModel, radii: Sequence[int]
) -> Float[Tensor, "R N V"]:
    """1 where no other limb is near a vertex in the picture and nothing stands clearly before it, else 0.

    There an error of the fit of a few pixels would give the chest the colours of an arm.

    Args:
        body: Projected vertices (x, y [px], depth [m]).
        raster: Of the same bodies.
        model: The body.
        radii: What counts as near [px]; an answer for each.
    """
    depth = torch.where(raster.covered, raster.depth, torch.full_like(raster.depth, -_NOTHING))[:, None]
    near = torch.stack([_depth_at(body, -dilate(-depth, radius))[0] for radius in radii])
    clear = near > body[..., 2] - _BEFORE
    for end, root in _LIMBS:
        limb = _shown(model, raster, end).to(body.dtype)
        beside = torch.stack([_depth_at(body, dilate(limb, radius))[0] for radius in radii])
        own = torch.isin(model.vertex_part, _indices((*end, root), model.faces))
        clear &= own | (beside < 0.5)
    return clear.to(body.dtype)


def apart_from_limbs(
    body: Float[Tensor, "N V 3"], model: BodyModel, size: tuple[int, int], radii: Sequence[int]
) -> Float[Tensor, "R N V"]:
    """1 where no arm and no lower leg is near a vertex in the picture, whether it is seen there or hidden, else 0.

    The fit may have taken an arm that hangs at a person's side for one behind it. What grows together with a limb,
    as the shoulder with the arm, is not near to it in this sense.

    Args:
        body: Projected vertices (x, y [px], depth [m]).
        model: The body.
        size: Height and width of the picture [px].
        radii: What counts as near [px]; an answer for each.
    """
    apart = torch.ones(len(radii), *body.shape[:2], dtype=torch.bool, device=body.device)
    for limb in (*_ARMS, *(end for end, _ in _LIMBS if end[0].endswith("leg"))):
        own = torch.isin(model.vertex_part, _indices(limb, model.faces))
        faces = model.faces[torch.isin(model.face_part, _indices(limb, model.faces))]
        if len(faces) == 0:
            continue
        joined = smooth_on_mesh(own[None, :, None].to(body.dtype), model.faces, _JOINT)[0, :, 0] > _TRACE
        shape = rasterize(body, faces, *size).covered[:, None].to(body.dtype)
        beside = torch.stack([_depth_at(body, dilate(shape, radius))[0] for radius in radii])
        apart &= joined | (beside < 0.5)
    return apart.to(body.dtype)


def within_limbs(body: Float[Tensor, "N V 3"], raster: Raster, model: BodyModel, radius: int) -> Float[Tensor, "N V"]:
    """0 where a vertex of a limb is so near to the limb's outline in the picture that it may fall beside it, else 1.

    Args:
        body: Projected vertices (x, y [px], depth [m]).
        raster: Of the same bodies.
        model: The body.
        radius: What counts as near [px].
    """
    within = torch.ones(body.shape[:2], dtype=torch.bool, device=body.device)
    for end, root in _LIMBS:
        limb = _shown(model, raster, (*end, root))
        inner, _ = _depth_at(body, 1 - dilate((~limb).to(body.dtype), radius))
        within &= (inner > 0.5) | ~torch.isin(model.vertex_part, _indices((*end, root), model.faces))
    return within.to(body.dtype)


def _shown(model: BodyModel, raster: Raster, parts: Sequence[str]) -> Bool[Tensor, "N 1 H W"]:
    """Where some parts are seen."""
    member = torch.isin(model.face_part, _indices(parts, model.faces))
    return F.pad(member, (0, 1))[raster.pix_to_face][:, None]  # what is not covered is the last, -1


def _indices(parts: Sequence[str], like: Tensor) -> Int64[Tensor, "K"]:
    return torch.tensor([PARTS.index(part) for part in parts], device=like.device)


def _depth_at(
    points: Float[Tensor, "N P 3"], nearest: Float[Tensor, "N 1 H W"]
) -> tuple[Float[Tensor, "N P"], Bool[Tensor, "N P"]]:
    height, width = nearest.shape[-2:]
    ndc = pixels_to_ndc(points[..., :2], height, width)
    return sample_at(nearest, ndc, nearest=True)[:, 0], (ndc.abs() <= 1).all(-1)


def _smoothstep(value: Float[Tensor, "*B"], low: float, high: float) -> Float[Tensor, "*B"]:
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def visibility_reference(
    target: Raster,
    source_body: Float[Tensor, "N V 3"],
    source_normals: Float[Tensor, "N V 3"],
    faces: Int64[Tensor, "F 3"],
    size: tuple[int, int],
    oversampling: int = 4,
) -> Bool[Tensor, "N H W"]:
    """The plain answer, pixel by pixel against a large z-buffer. Slow and large: for tests.

    Args:
        target: What each target pixel shows of the body.
        source_body: The same bodies' vertices as the sources see them [px, px, m].
        source_normals: Their unit normals in the source cameras' frames.
        faces: The body's faces.
        size: Height and width of the sources [px].
        oversampling: How many times larger the z-buffer is than the source.

    Returns:
        Whether the source shows the surface point in each target pixel, at a frontal enough angle.
    """
    tolerance = 0.003
    height, width = size[0] * oversampling, size[1] * oversampling
    large = torch.cat([source_body[..., :2] * oversampling, source_body[..., 2:]], -1)
    depth = rasterize(large, faces, height, width).depth
    point = interpolate(torch.cat([large, source_normals], -1), faces, target)  # N H W 6
    column, row = point[..., 0].floor().long(), point[..., 1].floor().long()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    picture = torch.arange(len(point))[:, None, None].expand_as(row)
    nearest = depth[picture, row.clamp(0, height - 1), column.clamp(0, width - 1)]
    unoccluded = nearest.isfinite() & (point[..., 2] <= nearest + tolerance)
    facing = -F.normalize(point[..., 3:], dim=-1)[..., 2]
    return target.covered & inside & unoccluded & (facing > sum(GRAZING) / 2)
