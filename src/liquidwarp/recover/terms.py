"""Terms of the body fit: landmarks in the image, landmarks in space, priors of pose, and a pull towards a pose."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.geometry.rotations import matrix_to_rotvec
from liquidwarp.recover.bundle import Rows, View, robust_cost, robust_weight
from liquidwarp.recover.skeleton import Skeleton, SkinnedPoints, left_jacobian_inverse

__all__ = ["ImageLandmarks", "PosePrior", "PosePull", "WorldLandmarks", "hinges"]


@dataclass(frozen=True)
class ImageLandmarks:
    """Projected landmarks against detected ones; robust per landmark."""

    points: SkinnedPoints
    target: Float[Tensor, "T P 2"]
    """Normalised image positions."""
    weight: Float[Tensor, "T P"]
    sigma: float
    """[m] on the body."""
    cutoff: float = 3.0
    """Residuals of more sigmas hardly count; a wide cutoff first lets limbs come from far."""

    def cost(self, view: View) -> Float[Tensor, "T"]:
        """Robust squared distance."""
        return (self.weight * robust_cost(self._residual(view).square().sum(-1), self.cutoff)).sum(1)

    def rows(self, view: View, with_betas: bool) -> Rows:
        """Gauss-Newton rows; the camera enters linearly."""
        state = view.state
        residual = self._residual(view)
        weight = self.weight * robust_weight(residual.square().sum(-1), self.cutoff)
        axes = torch.eye(3, device=residual.device)[None, None, :2]
        scale = state.camera[:, :1, None, None] / self.sigma
        pose = view.skeleton.pose_rows(view.posed, self.points, state.betas, axes) * scale
        betas = view.skeleton.beta_rows(view.posed, self.points, axes) * scale if with_betas else None
        positions = view.skeleton.locate(view.posed, self.points, state.betas)[..., :2]
        shift = torch.eye(2, device=residual.device).expand(*positions.shape, 2)
        camera = torch.cat([positions[..., None], shift], -1) / self.sigma
        return Rows(
            residual.flatten(1),
            weight[..., None].expand_as(residual).flatten(1),
            pose.flatten(1, 2),
            camera.flatten(1, 2),
            None if betas is None else betas.flatten(1, 2),
        )

    def _residual(self, view: View) -> Float[Tensor, "T P 2"]:
        positions = view.skeleton.locate(view.posed, self.points, view.state.betas)
        camera = view.state.camera[:, None]
        return (camera[..., :1] * positions[..., :2] + camera[..., 1:] - self.target) / self.sigma


@dataclass(frozen=True)
class WorldLandmarks:
    """Landmarks in space against the detector's world landmarks, both relative to the same mean of some of them."""

    points: SkinnedPoints
    target: Float[Tensor, "T P 3"]
    """[m], weighted mean by ``anchors`` at the origin."""
    weight: Float[Tensor, "T P"]
    sigma: Float[Tensor, "3"]
    """Per axis [m]: the image already says x and y, so depth counts more."""
    anchors: Float[Tensor, "T P"]
    """Share of each landmark in the origin; rows sum to 1."""

    def cost(self, view: View) -> Float[Tensor, "T"]:
        """Robust squared distance."""
        return (self.weight * robust_cost(self._residual(view).square().sum(-1))).sum(1)

    def rows(self, view: View, with_betas: bool) -> Rows:
        """Gauss-Newton rows."""
        residual = self._residual(view)
        weight = self.weight * robust_weight(residual.square().sum(-1))
        axes = torch.eye(3, device=residual.device)[None, None]
        pose = self._centred(view.skeleton.pose_rows(view.posed, self.points, view.state.betas, axes))
        betas = self._centred(view.skeleton.beta_rows(view.posed, self.points, axes)) if with_betas else None
        return Rows(
            residual.flatten(1),
            weight[..., None].expand_as(residual).flatten(1),
            (pose / self.sigma[:, None]).flatten(1, 2),
            None,
            None if betas is None else (betas / self.sigma[:, None]).flatten(1, 2),
        )

    def _centred(self, values: Float[Tensor, "T P *X"]) -> Float[Tensor, "T P *X"]:
        flat = values.flatten(2)
        return (flat - self.anchors[:, None] @ flat).view(values.shape)

    def _residual(self, view: View) -> Float[Tensor, "T P 3"]:
        positions = view.skeleton.locate(view.posed, self.points, view.state.betas)
        return (self._centred(positions) - self.target) / self.sigma


@dataclass(frozen=True)
class PosePrior:
    """Joints stay near their rest rotation, and knees and elbows bend one way only."""

    stiffness: Float[Tensor, "N 3 3"]
    """Square root of each joint's weight matrix [1/rad]."""
    hinge_joints: tuple[int, ...]
    hinge_axes: Float[Tensor, "E 3"]
    """Unit axes about which bending is positive, in the joint's rest frame."""
    hinge_limits: Float[Tensor, "E"]
    """Smallest angle [rad]."""
    hinge_stiffness: float = 6.0
    """Weight of bending beyond the limit [1/rad]."""

    @staticmethod
    def of(model: BodyModel, skeleton: Skeleton) -> "PosePrior":
        """The prior of a body model, from the roles of its joints."""
        roles = model.roles
        stiffness = torch.zeros(len(skeleton.parents), 3, device=skeleton.rest.device)
        by_role = [
            (roles.spine, 4.0),
            (roles.neck, 3.0),
            (roles.shoulder[0] + roles.shoulder[1], 3.0),
            (roles.upper_arm + roles.upper_leg, 0.6),
            (roles.lower_arm, 0.8),
            (roles.lower_leg, 0.3),
            (roles.hand + roles.foot, 1.0),
        ]
        for joints, value in by_role:
            stiffness[[skeleton.index(joint) for joint in joints]] = value
        matrices = torch.diag_embed(stiffness)
        joints, axes, limits = hinges(model, skeleton)
        eye = torch.eye(3, device=axes.device)
        for joint, axis in zip(joints, axes, strict=True):
            along = axis[:, None] * axis[None]
            matrices[joint] = 0.1 * along + stiffness[joint, 0] * (eye - along)
            if joint in [skeleton.index(leg) for leg in roles.lower_leg]:
                matrices[joint] = 0.1 * along + 2.0 * (eye - along)
            else:  # the elbow also lets the forearm turn about itself, but not bend sideways
                hand = skeleton.rest[_child(skeleton, joint)] - skeleton.rest[joint]
                side = torch.linalg.cross(axis, torch.nn.functional.normalize(hand, dim=0))
                matrices[joint] += 1.6 * side[:, None] * side[None]
        return PosePrior(matrices, joints, axes, limits)

    def cost(self, view: View) -> Float[Tensor, "T"]:
        """Squared weighted rotation vectors."""
        rotvec = matrix_to_rotvec(view.state.rel_rotmats)
        beyond = self._beyond(rotvec)
        return self._weighted(rotvec).square().sum((1, 2)) + beyond.square().sum(1)

    def rows(self, view: View, with_betas: bool) -> Rows:
        """Gauss-Newton rows: one 3x3 block per joint, one row per hinge."""
        del with_betas
        rotvec = matrix_to_rotvec(view.state.rel_rotmats)
        inverse = left_jacobian_inverse(rotvec)
        num_frames, num_joints = rotvec.shape[:2]
        joint = torch.arange(num_joints, device=rotvec.device)
        blocks = rotvec.new_zeros(num_frames, num_joints, 3, num_joints, 3)
        blocks[:, joint, :, joint] = (self.stiffness @ inverse).transpose(0, 1)
        beyond = self._beyond(rotvec)
        hinge = list(self.hinge_joints)
        bend = rotvec.new_zeros(num_frames, len(hinge), num_joints, 3)
        along = torch.einsum("ei,teij->tej", self.hinge_axes, inverse[:, hinge])
        edge = torch.arange(len(hinge), device=rotvec.device)
        bend[:, edge, hinge] = along * (self.hinge_stiffness * (beyond < 0))[..., None]
        residual = torch.cat([self._weighted(rotvec).flatten(1), beyond], 1)
        pose = torch.cat([blocks.flatten(3).flatten(1, 2), bend.flatten(2)], 1)
        return Rows(residual, torch.ones_like(residual), pose)

    def _weighted(self, rotvec: Float[Tensor, "T N 3"]) -> Float[Tensor, "T N 3"]:
        return torch.einsum("nij,tnj->tni", self.stiffness, rotvec)

    def _beyond(self, rotvec: Float[Tensor, "T N 3"]) -> Float[Tensor, "T E"]:
        """How far below its limit each hinge is, weighted; 0 within the limit, else negative."""
        angle = (rotvec[:, list(self.hinge_joints)] * self.hinge_axes).sum(-1)
        return self.hinge_stiffness * (angle - self.hinge_limits).clamp(max=0)


@dataclass(frozen=True)
class PosePull:
    """Poses and cameras stay near given ones: how neighbouring frames speak to each other (see smooth.py)."""

    rel_rotmats: Float[Tensor, "T N 3 3"]
    camera: Float[Tensor, "T 3"]
    weight: Float[Tensor, "T"]
    """[1/rad] for the joints."""
    camera_weight: Float[Tensor, "T"]
    """[1/m] for the position, and for the scale per unit."""

    def cost(self, view: View) -> Float[Tensor, "T"]:
        """Squared weighted difference."""
        difference = self._difference(view).square().sum((1, 2)) * self.weight**2
        return difference + (view.state.camera - self.camera).square().sum(1) * self.camera_weight**2

    def rows(self, view: View, with_betas: bool) -> Rows:
        """Gauss-Newton rows."""
        del with_betas
        difference = self._difference(view)
        num_frames, num_joints = difference.shape[:2]
        joint = torch.arange(num_joints, device=difference.device)
        blocks = difference.new_zeros(num_frames, num_joints, 3, num_joints, 3)
        inverse = left_jacobian_inverse(difference) * self.weight[:, None, None, None]
        blocks[:, joint, :, joint] = inverse.transpose(0, 1)
        pose = torch.cat([blocks.flatten(3).flatten(1, 2), difference.new_zeros(num_frames, 3, 3 * num_joints)], 1)
        camera = difference.new_zeros(num_frames, 3 * num_joints + 3, 3)
        camera[:, -3:] = torch.eye(3, device=difference.device) * self.camera_weight[:, None, None]
        moved = (view.state.camera - self.camera) * self.camera_weight[:, None]
        residual = torch.cat([(difference * self.weight[:, None, None]).flatten(1), moved], 1)
        return Rows(residual, torch.ones_like(residual), pose, camera)

    def _difference(self, view: View) -> Float[Tensor, "T N 3"]:
        return matrix_to_rotvec(view.state.rel_rotmats @ self.rel_rotmats.transpose(-1, -2))


def _child(skeleton: Skeleton, joint: int) -> int:
    return skeleton.parents.index(joint)


def hinges(model: BodyModel, skeleton: Skeleton) -> tuple[tuple[int, ...], Float[Tensor, "4 3"], Float[Tensor, "4"]]:
    """Elbows and knees: movable joints (left, right elbow, left, right knee), axes and smallest angles [rad].

    Rest bones that already bend give the axis; straight ones bend forward (elbow) or backward (knee). The limit lets
    the limb go straight and a little beyond.
    """
    roles = model.roles
    joints, axes, limits = [], [], []
    toward = skeleton.rest.new_tensor([0.0, 0.0, 1.0])
    for upper, lower, sign in ((roles.upper_arm, roles.lower_arm, -1.0), (roles.upper_leg, roles.lower_leg, 1.0)):
        for side in (0, 1):
            top, joint = skeleton.index(upper[side]), skeleton.index(lower[side])
            first = torch.nn.functional.normalize(skeleton.rest[joint] - skeleton.rest[top], dim=0)
            second = torch.nn.functional.normalize(skeleton.rest[_child(skeleton, joint)] - skeleton.rest[joint], dim=0)
            bent = torch.linalg.cross(first, second)
            default = torch.linalg.cross(first, sign * toward)
            is_bent = float(bent.norm()) > 0.2 and float(bent @ default) > 0
            axis = bent if is_bent else default
            joints.append(joint)
            axes.append(torch.nn.functional.normalize(axis, dim=0))
            limits.append(-0.1 - (float(torch.asin(bent.norm().clamp(max=1))) if is_bent else 0.0))
    return tuple(joints), torch.stack(axes), torch.tensor(limits, device=toward.device)
