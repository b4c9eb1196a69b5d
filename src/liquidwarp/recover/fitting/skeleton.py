"""The joints that the fit moves, and how points on the body follow them: positions and analytic Jacobians.

Convention:
    N movable joints (``BodyRoles.movable``), parents before children; every other joint of the model keeps the
    identity and so moves rigidly with its nearest movable ancestor. A rotation is changed from the left, in the
    parent's frame: ``R <- exp([d]x) R`` with a tangent vector d [rad], so a Jacobian has 3 columns per joint.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, LandmarkTable
from liquidwarp.geometry.rotations import cross_matrix

__all__ = ["PosedSkeleton", "Skeleton", "SkinnedPoints", "left_jacobian_inverse"]


@dataclass(frozen=True)
class PosedSkeleton:
    """The movable joints of T bodies of one shape."""

    rest: Float[Tensor, "N 3"]
    """Joint positions in the rest pose [m]."""
    positions: Float[Tensor, "T N 3"]
    """Posed joint positions [m], root at the origin."""
    rotmats: Float[Tensor, "T N 3 3"]
    """Global orientations."""
    parent_rotmats: Float[Tensor, "T N 3 3"]
    """Global orientations of the parents; identity for the root."""


@dataclass(frozen=True)
class SkinnedPoints:
    """P points on the body, the same in all frames (F = 1) or different in each (F = T)."""

    rest: Float[Tensor, "F P 3"]
    """Rest positions at betas = 0 [m]."""
    basis: Float[Tensor, "F P 3 K"]
    """Their change per unit of each beta [m]; K may be 0 where the shape is already in ``rest``."""
    weights: Float[Tensor, "F P N"]
    """Skinning weights of the movable joints; rows sum to 1."""

    def select(self, points: Sequence[int]) -> "SkinnedPoints":
        """Only these points."""
        index = list(points)
        return SkinnedPoints(self.rest[:, index], self.basis[:, index], self.weights[:, index])

    def shaped(self, betas: Float[Tensor, "K"]) -> Float[Tensor, "F P 3"]:
        """Rest positions of this shape [m]."""
        return self.rest + self.basis @ betas if self.basis.shape[-1] else self.rest

    def features(self, betas: Float[Tensor, "K"]) -> Float[Tensor, "F P N4"]:
        """(x, y, z, 1) of the rest position times every joint's weight: posed positions are linear in them."""
        rest = self.shaped(betas)
        whole = torch.cat([rest, torch.ones_like(rest[..., :1])], -1)
        return (self.weights[..., None] * whole[:, :, None]).flatten(2)


@dataclass(frozen=True)
class Skeleton:
    """Kinematic tree of the movable joints; joint positions are linear in the shape."""

    joints: Int64[Tensor, "N"]
    """Each movable joint's index in the model."""
    parents: tuple[int, ...]
    """Movable parent, -1 for the root."""
    rest: Float[Tensor, "N 3"]
    """Rest position at betas = 0 [m]."""
    basis: Float[Tensor, "K N 3"]
    """Change of the rest position per unit of each beta [m]."""
    is_ancestor: Float[Tensor, "N N"]
    """[j, b] = 1 where joint j moves when joint b turns (b is j or above it)."""
    owner: Int64[Tensor, "J"]
    """The movable joint that each of the model's joints moves with."""

    @staticmethod
    def of(model: BodyModel) -> "Skeleton":
        """The skeleton of a body model, read off by evaluating its rest pose once per beta."""
        movable = sorted(set(model.roles.movable()))
        place = {joint: index for index, joint in enumerate(movable)}
        owner = []
        for joint in range(len(model.parents)):
            above = joint
            while above not in place:
                above = model.parents[above]
            owner.append(place[above])
        parents = tuple(-1 if model.parents[j] < 0 else owner[model.parents[j]] for j in movable)
        num_betas = len(model.beta_names)
        device = model.lbs_weights.device
        mean = model.rest(torch.zeros(1, num_betas, device=device)).joints[0]
        changes = [model.rest(row[None]).joints[0] - mean for row in torch.eye(num_betas, device=device)]
        is_ancestor = torch.zeros(len(movable), len(movable), device=device)
        for joint in range(len(movable)):
            above = joint
            while above >= 0:
                is_ancestor[joint, above] = 1
                above = parents[above]
        indices = torch.tensor(movable, device=device)
        basis = torch.stack(changes)[:, indices] if changes else mean.new_zeros(0, len(movable), 3)
        return Skeleton(indices, parents, mean[indices], basis, is_ancestor, torch.tensor(owner, device=device))

    def index(self, joint: int) -> int:
        """The movable joint that the model's ``joint`` is, or moves with."""
        return int(self.owner[joint])

    def pose(self, rel_rotmats: Float[Tensor, "T N 3 3"], betas: Float[Tensor, "K"]) -> PosedSkeleton:
        """Forward kinematics of the movable joints."""
        rest = self.rest + torch.einsum("k,knc->nc", betas, self.basis)
        eye = torch.eye(3, dtype=rest.dtype, device=rest.device).expand(rel_rotmats.shape[0], 3, 3)
        rotmats: list[Tensor] = []
        positions: list[Tensor] = []
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                rotmats.append(rel_rotmats[:, joint])
                positions.append(rest[joint].expand(rel_rotmats.shape[0], 3))
            else:
                rotmats.append(rotmats[parent] @ rel_rotmats[:, joint])
                positions.append(positions[parent] + rotmats[parent] @ (rest[joint] - rest[parent]))
        above = [eye if parent < 0 else rotmats[parent] for parent in self.parents]
        return PosedSkeleton(rest, torch.stack(positions, 1), torch.stack(rotmats, 1), torch.stack(above, 1))

    def landmark_points(self, table: LandmarkTable) -> SkinnedPoints:
        """A detector's landmarks as points, each rigid on one movable joint."""
        weights = torch.nn.functional.one_hot(self.owner[table.joint], len(self.parents)).to(table.rest)
        return SkinnedPoints(table.rest[None], table.basis.permute(1, 2, 0)[None], weights[None])

    def merged_weights(self, lbs_weights: Float[Tensor, "V J"]) -> Float[Tensor, "V N"]:
        """The model's skinning weights, gathered on the movable joints."""
        merged = lbs_weights.new_zeros(lbs_weights.shape[0], len(self.parents))
        return merged.index_add_(1, self.owner, lbs_weights)

    def transforms(self, posed: PosedSkeleton) -> Float[Tensor, "T N 3 4"]:
        """Rest point to posed point for a point that hangs on one movable joint alone."""
        shift = posed.positions - (posed.rotmats @ posed.rest[..., None])[..., 0]
        return torch.cat([posed.rotmats, shift[..., None]], -1)

    def locate(self, posed: PosedSkeleton, points: SkinnedPoints, betas: Float[Tensor, "K"]) -> Float[Tensor, "T P 3"]:
        """Where the points are [m]: linear blend skinning."""
        rest = points.shaped(betas)
        flat = points.weights @ self.transforms(posed).flatten(2)
        blended = flat.view(*flat.shape[:2], 3, 4)
        located: Tensor = (blended[..., :3] * rest[..., None, :]).sum(-1) + blended[..., 3]
        return located

    def levers(self, posed: PosedSkeleton) -> Float[Tensor, "T N4 3 N3"]:
        """What a turn of each joint does to everything that hangs on each joint.

        A turn w of joint b (global frame) moves what hangs on joint n by w x (R_n x + t_n - p_b), if b is n or above
        it. This is linear in (x, 1), so the movement of a skinned point is linear in its features.

        Returns:
            Derivative of x, y and z by the tangent vector of each joint, per feature of a point [m/rad].
        """
        arms = self.transforms(posed)[:, :, None].repeat(1, 1, len(self.parents), 1, 1)  # T n b 3 4
        arms[..., 3] -= posed.positions[:, None]
        arms = arms * self.is_ancestor[:, :, None, None]
        turned = cross_matrix(posed.parent_rotmats.mT)  # T b j axis k: tangent j in the global frame, x arm
        num_frames, num_joints = posed.positions.shape[:2]
        flat = arms.permute(0, 2, 1, 4, 3).flatten(2, 3)  # T b n4 k
        moved = flat @ turned.permute(0, 1, 4, 3, 2).flatten(3)  # T b n4 (axis j)
        by_joint = moved.view(num_frames, num_joints, -1, 3, 3).permute(0, 2, 3, 1, 4)
        return by_joint.reshape(num_frames, -1, 3, 3 * num_joints)

    def pose_rows(
        self,
        levers: Float[Tensor, "T N4 3 N3"],
        points: SkinnedPoints,
        betas: Float[Tensor, "K"],
        num_axes: int = 3,
    ) -> Float[Tensor, "T P R N3"]:
        """Derivative of each point's position by the tangent vector of each joint [m/rad].

        Args:
            levers: Of the posed skeleton.
            points: On the body.
            betas: The shape.
            num_axes: 2 for x and y, 3 for z, too.
        """
        kernel = levers[:, :, :num_axes]
        rows: Tensor = points.features(betas) @ kernel.flatten(2)
        return rows.unflatten(2, kernel.shape[2:])

    def beta_rows(
        self, posed: PosedSkeleton, points: SkinnedPoints, directions: Float[Tensor, "#T #P R 3"]
    ) -> Float[Tensor, "T P R K"]:
        """Derivative of ``direction . position`` of each point by each beta [m]."""
        num_frames = posed.positions.shape[0]
        rest = self.basis.permute(1, 2, 0)  # N 3 K
        moved: list[Tensor] = []
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                moved.append(rest[joint].expand(num_frames, -1, -1))
            else:
                moved.append(moved[parent] + posed.rotmats[:, parent] @ (rest[joint] - rest[parent]))
        shift = torch.stack(moved, 1) - posed.rotmats @ rest  # T N 3 K
        turn = points.weights @ posed.rotmats.flatten(2)
        drift = points.weights @ shift.flatten(2)
        change = turn.view(*turn.shape[:2], 3, 3) @ points.basis + drift.view(*drift.shape[:2], 3, -1)
        rows: Tensor = directions @ change
        return rows


def left_jacobian_inverse(rotvec: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Derivative of ``log(exp([d]x) R)`` by d at d = 0, where ``rotvec = log(R)``."""
    squared = (rotvec * rotvec).sum(-1)[..., None, None]
    small = squared < 1e-6
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt().clamp(max=3.1)
    factor = 1 / angle**2 - (1 + torch.cos(angle)) / (2 * angle * torch.sin(angle))
    factor = torch.where(small, torch.full_like(squared, 1 / 12), factor)
    cross = cross_matrix(rotvec)
    return torch.eye(3, dtype=rotvec.dtype, device=rotvec.device) - 0.5 * cross + factor * (cross @ cross)
