"""Rotations as 3x3 matrices and as rotation vectors (axis times angle [rad]): textbook SO(3)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "cross_matrix",
    "kabsch",
    "matrix_to_rotvec",
    "nearest_rotation",
    "rotation_about",
    "rotvec_to_matrix",
    "swing",
]


def cross_matrix(vector: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """The matrix [v]x with [v]x w = v x w."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)


def rotvec_to_matrix(rotvec: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Exponential map (Rodrigues), safe in value and gradient at angle 0.

    Args:
        rotvec: Axis times angle [rad].

    Returns:
        Rotation matrices.
    """
    squared = (rotvec * rotvec).sum(-1)[..., None, None]
    small = squared < 1e-8
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    first = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    second = torch.where(small, 0.5 - squared / 24, (1 - torch.cos(angle)) / angle**2)
    cross = cross_matrix(rotvec)
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) + first * cross + second * (cross @ cross)


def matrix_to_rotvec(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3"]:
    """Logarithm: rotation matrix to axis times angle, angle in [0, pi] [rad], exact at 0 and near pi.

    Goes through the unit quaternion of the largest of its four components (Shepperd's method).
    """
    m = matrix
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    x_, y_, z_ = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    candidates = torch.stack(
        [
            torch.stack([1 + xx + yy + zz, x_, y_, z_], -1),
            torch.stack([x_, 1 + xx - yy - zz, xy, xz], -1),
            torch.stack([y_, xy, 1 - xx + yy - zz, yz], -1),
            torch.stack([z_, xz, yz, 1 - xx - yy + zz], -1),
        ],
        -2,
    )  # *B 4 4: each row is the quaternion (w, x, y, z) up to scale
    best = torch.diagonal(candidates, dim1=-2, dim2=-1).argmax(-1)
    index = best[..., None, None].expand(*best.shape, 1, 4)
    quaternion = F.normalize(candidates.gather(-2, index).squeeze(-2), dim=-1)
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    scalar, vector = quaternion[..., :1], quaternion[..., 1:]
    squared = (vector * vector).sum(-1, keepdim=True)
    small = squared < 1e-12
    sine = torch.where(small, torch.ones_like(squared), squared).sqrt()
    ratio = torch.where(small, 2 / scalar.clamp(min=0.5), 2 * torch.atan2(sine, scalar) / sine)
    return vector * ratio


def rotation_about(axis: str, angle: Float[Tensor, "*B"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation by ``angle`` [rad] about the axis "x", "y" or "z" (right-hand rule)."""
    rotvec = torch.zeros(*angle.shape, 3, dtype=angle.dtype, device=angle.device)
    rotvec[..., "xyz".index(axis)] = angle
    return rotvec_to_matrix(rotvec)


def nearest_rotation(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3 3"]:
    """The rotation nearest to ``matrix`` in the Frobenius norm (SVD, determinant +1)."""
    u, _, vh = torch.linalg.svd(matrix)
    sign = torch.ones_like(matrix[..., 0])
    sign[..., 2] = torch.det(u @ vh)
    rotation: Tensor = (u * sign[..., None, :]) @ vh
    return rotation


def kabsch(
    source: Float[Tensor, "*B N 3"],
    target: Float[Tensor, "*B N 3"],
    weight: Float[Tensor, "*#B N"] | None = None,
) -> Float[Tensor, "*B 3 3"]:
    """The rotation R that minimises sum_n w_n |R source_n - target_n|^2; both sets already centred."""
    weighted = source if weight is None else source * weight[..., None]
    return nearest_rotation(target.transpose(-1, -2) @ weighted)


def swing(start: Float[Tensor, "*B 3"], end: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """The smallest rotation that turns direction ``start`` into direction ``end`` (no twist)."""
    start, end = F.normalize(start, dim=-1), F.normalize(end, dim=-1)
    cross = torch.linalg.cross(start, end)
    start = start.expand_as(cross)
    sine = cross.norm(dim=-1, keepdim=True)
    angle = torch.atan2(sine, (start * end).sum(-1, keepdim=True))
    # Opposite directions have no unique axis: take any that is orthogonal to `start`.
    helper = torch.zeros_like(start).scatter(-1, start.abs().argmin(-1, keepdim=True), 1.0)
    fallback = F.normalize(torch.linalg.cross(start, helper), dim=-1)
    axis = torch.where(sine > 1e-6, cross / sine.clamp(min=1e-12), fallback)
    return rotvec_to_matrix(axis * angle)
