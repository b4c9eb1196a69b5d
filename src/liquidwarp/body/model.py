"""The parametric body: one protocol that Anny (default) and SMPL / SMPL-X (the user's files) fulfil.

Convention:
    OpenCV axes (x right, y down, z forward) in metres: the rest pose stands upright (head towards -y) and faces the
    camera (towards -z), so the person's left is at +x. The root joint is at the origin, at rest and posed.
    A pose is SMPL's: ``glob_rotmats[j] = glob_rotmats[parent(j)] @ rel_rotmats[j]``, identity at rest.
Paper:
    Liu et al. 2021, Sec. 3.1: M(theta, beta), there SMPL (Loper et al. 2015): linear shape, linear blend skinning.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.geometry.camera import WeakPerspective

__all__ = ["BodyModel", "BodyParams", "BodyRoles", "LandmarkTable", "PosedBody", "RestBody", "skin"]


@dataclass(frozen=True)
class BodyParams:
    """The body of one person over T frames: one shape, a pose and a camera per frame."""

    betas: Float[Tensor, "K"]
    """Shape coefficients; 1 is about one standard deviation."""
    rel_rotmats: Float[Tensor, "T J 3 3"]
    """Rotation of each joint relative to its parent, all J joints of the model."""
    camera: WeakPerspective
    """T cameras in the pixels of the picture that they belong to."""

    def __len__(self) -> int:
        return self.rel_rotmats.shape[0]

    def __getitem__(self, frames: slice | Tensor) -> "BodyParams":
        return replace(self, rel_rotmats=self.rel_rotmats[frames], camera=self.camera[frames])

    def to(self, device: torch.device | str) -> "BodyParams":
        """The same values on another device."""
        return BodyParams(self.betas.to(device), self.rel_rotmats.to(device), self.camera.to(device))


@dataclass(frozen=True)
class RestBody:
    """Shaped bodies in the rest pose."""

    vertices: Float[Tensor, "B V 3"]
    """[m], root joint at the origin."""
    joints: Float[Tensor, "B J 3"]
    """[m]."""


@dataclass(frozen=True)
class PosedBody:
    """Bodies after forward kinematics and skinning."""

    vertices: Float[Tensor, "T V 3"]
    """[m], body space."""
    joints: Float[Tensor, "T J 3"]
    """[m], body space."""
    glob_rotmats: Float[Tensor, "T J 3 3"]
    """Orientation of each joint."""
    transforms: Float[Tensor, "T J 3 4"]
    """Rest point to posed point for a point that hangs on joint j alone; see :func:`skin`."""


@dataclass(frozen=True)
class LandmarkTable:
    """Landmarks of a detector on the body: rigid on a joint, linear in the shape."""

    names: tuple[str, ...]
    joint: Int64[Tensor, "L"]
    """The joint each landmark moves with."""
    rest: Float[Tensor, "L 3"]
    """Rest position at betas = 0 [m] (root joint at the origin)."""
    basis: Float[Tensor, "K L 3"]
    """Change of the rest position per unit of each beta [m]."""


@dataclass(frozen=True)
class BodyRoles:
    """Which joints play which part, so that the fit need not know a model's joint names."""

    root: int
    spine: tuple[int, ...]
    """From the pelvis up."""
    neck: tuple[int, ...]
    """From the chest up; the last is the head."""
    shoulder: tuple[tuple[int, ...], tuple[int, ...]]
    """Clavicle chain, (left, right)."""
    upper_arm: tuple[int, int]
    lower_arm: tuple[int, int]
    hand: tuple[int, int]
    """The wrist joints."""
    upper_leg: tuple[int, int]
    lower_leg: tuple[int, int]
    foot: tuple[int, int]
    """The ankle joints."""
    fingers: tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]
    """(left, right), each thumb, index, middle, ring, little; each a chain from the palm outwards; may be empty."""

    def movable(self) -> tuple[int, ...]:
        """The joints that the body fit moves, parents before children (26 for Anny), without the fingers."""
        sides = [
            joint
            for side in (0, 1)
            for joint in (
                *self.shoulder[side],
                self.upper_arm[side],
                self.lower_arm[side],
                self.hand[side],
                self.upper_leg[side],
                self.lower_leg[side],
                self.foot[side],
            )
        ]
        return (self.root, *self.spine, *self.neck, *sides)


@runtime_checkable
class BodyModel(Protocol):
    """What every stage may ask of a body."""

    name: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    """Parent of each joint, -1 for the root; parents stand before their children."""
    beta_names: tuple[str, ...]
    """K names; named local directions ("upperarm-length") stand after the principal components ("pc0")."""
    faces: Int64[Tensor, "F 3"]
    """Outer triangles only (no mouth cavity, no eye sockets), counter-clockwise seen from outside."""
    face_part: Int64[Tensor, "F"]
    """Index into :data:`liquidwarp.body.parts.PARTS`."""
    vertex_part: Int64[Tensor, "V"]
    """The same for vertices."""
    uv: Float[Tensor, "U 2"]
    """Texture positions in [0, 1], v down (row 0 of the image is v = 0)."""
    face_uv: Int64[Tensor, "F 3"]
    """Per corner an index into ``uv``."""
    lbs_weights: Float[Tensor, "V J"]
    """Skinning weights; rows sum to 1."""
    roles: BodyRoles
    landmarks: Mapping[str, LandmarkTable]
    """Tables by detector: "body" (BlazePose's 33) and "left_hand", "right_hand" (21 each)."""

    def rest(self, betas: Float[Tensor, "B K"]) -> RestBody:
        """Shaped bodies in the rest pose."""
        ...

    def pose(self, rest: RestBody, rel_rotmats: Float[Tensor, "T J 3 3"]) -> PosedBody:
        """Pose ``rest`` (B = 1 or T) by forward kinematics and linear blend skinning."""
        ...

    def to(self, device: torch.device | str) -> "BodyModel":
        """The same model on another device."""
        ...


def skin(
    points: Float[Tensor, "B N 3"], weights: Float[Tensor, "N J"], transforms: Float[Tensor, "T J 3 4"]
) -> Float[Tensor, "T N 3"]:
    """Linear blend skinning of any points with their own weights (B = 1 or T).

    Args:
        points: Rest positions [m].
        weights: Rows sum to 1.
        transforms: From :class:`PosedBody`.

    Returns:
        Posed positions [m].
    """
    blended = torch.einsum("nj,tjk->tnk", weights, transforms.flatten(2)).unflatten(-1, (3, 4))
    return (blended[..., :3] * points[..., None, :]).sum(-1) + blended[..., 3]
