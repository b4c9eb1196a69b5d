"""A body that is linear in its shape and skinned linearly: all that Anny and SMPL have in common.

Paper:
    Liu et al. 2021, Sec. 3.1, after Loper et al. 2015: vertices = template + shape basis x betas, then linear blend
    skinning along the tree of joints.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyRoles, LandmarkTable, PosedBody, RestBody, skin
from liquidwarp.checks import check_shape
from liquidwarp.errors import ShapeError

__all__ = ["BodyTensors", "LinearBody"]


@dataclass(frozen=True)
class BodyTensors:
    """The numbers of a body, root joint at the origin."""

    template: Float[Tensor, "V 3"]
    """Vertices at betas = 0 [m]."""
    joints: Float[Tensor, "J 3"]
    """Joints at betas = 0 [m]."""
    vertex_basis: Float[Tensor, "K V 3"]
    """Change of the vertices per unit of each beta [m]."""
    joint_basis: Float[Tensor, "K J 3"]
    """Change of the joints per unit of each beta [m]."""
    faces: Int64[Tensor, "F 3"]
    face_part: Int64[Tensor, "F"]
    vertex_part: Int64[Tensor, "V"]
    uv: Float[Tensor, "U 2"]
    face_uv: Int64[Tensor, "F 3"]
    lbs_weights: Float[Tensor, "V J"]

    def to(self, device: torch.device | str) -> "BodyTensors":
        """The same values on another device."""
        return BodyTensors(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


class LinearBody:
    """Fulfils :class:`liquidwarp.body.model.BodyModel`. Treat it as immutable: :meth:`to` makes a new one."""

    def __init__(
        self,
        name: str,
        joint_names: Sequence[str],
        parents: Sequence[int],
        beta_names: Sequence[str],
        tensors: BodyTensors,
        roles: BodyRoles,
        landmarks: Mapping[str, LandmarkTable],
    ) -> None:
        num_joints, num_betas = len(joint_names), len(beta_names)
        check_shape("joints", tensors.joints, (num_joints, 3))
        check_shape("vertex_basis", tensors.vertex_basis, (num_betas, "V", 3))
        if len(parents) != num_joints or any(parent >= joint for joint, parent in enumerate(parents)):
            raise ShapeError(f"parents: expected one per joint, each before its children, got {tuple(parents)}.")
        self.name = name
        self.joint_names = tuple(joint_names)
        self.parents = tuple(parents)
        self.beta_names = tuple(beta_names)
        self.roles = roles
        self.landmarks: Mapping[str, LandmarkTable] = dict(landmarks)
        self.tensors = tensors
        self.faces = tensors.faces
        self.face_part = tensors.face_part
        self.vertex_part = tensors.vertex_part
        self.uv = tensors.uv
        self.face_uv = tensors.face_uv
        self.lbs_weights = tensors.lbs_weights
        self._levels = _tree_levels(self.parents)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.tensors.template.device

    def to(self, device: torch.device | str) -> "LinearBody":
        """The same model on another device."""
        tables = {
            name: replace(table, joint=table.joint.to(device), rest=table.rest.to(device), basis=table.basis.to(device))
            for name, table in self.landmarks.items()
        }
        moved = copy.copy(self)
        LinearBody.__init__(
            moved,
            self.name,
            self.joint_names,
            self.parents,
            self.beta_names,
            self.tensors.to(device),
            self.roles,
            tables,
        )
        return moved

    def rest(self, betas: Float[Tensor, "B K"]) -> RestBody:
        """Shaped bodies in the rest pose.

        Args:
            betas: Shape coefficients; 0 is the template.

        Returns:
            Vertices and joints [m], root joint at the origin.

        Raises:
            ShapeError: another number of coefficients.
        """
        check_shape("betas", betas, ("B", len(self.beta_names)))
        t = self.tensors
        vertices = torch.addmm(t.template.reshape(1, -1), betas, t.vertex_basis.flatten(1))
        joints = torch.addmm(t.joints.reshape(1, -1), betas, t.joint_basis.flatten(1))
        return RestBody(vertices.view(-1, *t.template.shape), joints.view(-1, *t.joints.shape))

    def pose(self, rest: RestBody, rel_rotmats: Float[Tensor, "T J 3 3"]) -> PosedBody:
        """Pose ``rest`` by forward kinematics and linear blend skinning.

        Args:
            rest: From :meth:`rest`, B = 1 (one shape for all frames) or B = T.
            rel_rotmats: Rotation of each joint relative to its parent; identity at rest.

        Returns:
            Posed bodies, root joint at the origin [m].

        Raises:
            ShapeError: another number of joints, or B is neither 1 nor T.
        """
        frames = check_shape("rel_rotmats", rel_rotmats, ("T", len(self.parents), 3, 3))["T"]
        if rest.vertices.shape[0] != 1:
            check_shape("rest.vertices", rest.vertices, (frames, "V", 3))
        glob_rotmats, joints = self.forward_kinematics(rest.joints, rel_rotmats)
        shift = joints - (glob_rotmats @ rest.joints[..., None]).squeeze(-1)
        transforms = torch.cat([glob_rotmats, shift[..., None]], -1)
        vertices = skin(self.corrected(rest.vertices, rel_rotmats), self.lbs_weights, transforms)
        return PosedBody(vertices, joints, glob_rotmats, transforms)

    def corrected(
        self, vertices: Float[Tensor, "B V 3"], rel_rotmats: Float[Tensor, "T J 3 3"]
    ) -> Float[Tensor, "#T V 3"]:
        """Rest vertices with the pose's corrective shapes, for models that have them."""
        del rel_rotmats
        return vertices

    def forward_kinematics(
        self, joints: Float[Tensor, "B J 3"], rel_rotmats: Float[Tensor, "T J 3 3"]
    ) -> tuple[Float[Tensor, "T J 3 3"], Float[Tensor, "T J 3"]]:
        """Global orientation and position [m] of each joint; all joints of one depth in the tree at once."""
        parents = torch.tensor([max(parent, 0) for parent in self.parents], device=self.device)
        offsets = (joints - joints[:, parents])[..., None]
        first = self._levels[0]
        rotations = [rel_rotmats[:, first]]
        positions = [joints[:, first, :, None].expand(rel_rotmats.shape[0], -1, -1, -1)]
        place = {joint: index for index, joint in enumerate(first)}
        for level in self._levels[1:]:
            above = [place[self.parents[joint]] for joint in level]
            parent_rotation = rotations[-1][:, above]
            rotations.append(parent_rotation @ rel_rotmats[:, level])
            positions.append(positions[-1][:, above] + parent_rotation @ offsets[:, level])
            place = {joint: index for index, joint in enumerate(level)}
        order = [joint for level in self._levels for joint in level]
        back = torch.tensor(order, device=self.device).argsort()
        return torch.cat(rotations, 1)[:, back], torch.cat(positions, 1)[:, back].squeeze(-1)

    def height(self, betas: Float[Tensor, "B K"]) -> Float[Tensor, "B"]:
        """Height of the rest pose from the soles to the top of the head [m]."""
        y = self.rest(betas).vertices[..., 1]
        return y.amax(1) - y.amin(1)

    def joint_index(self, name: str) -> int:
        """Index of the joint with this name."""
        return self.joint_names.index(name)


def _tree_levels(parents: Sequence[int]) -> list[list[int]]:
    """Joints by their depth in the tree."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return [[joint for joint, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]
