"""Terms of the body fit: landmarks in the image, landmarks in space, priors of pose, and a pull towards a pose."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.geometry.rotations import matrix_to_rotvec
from liquidwarp.recover.fitting.bundle import Rows, View, robust_cost, robust_weight
from liquidwarp.recover.fitting.skeleton import Skeleton, SkinnedPoints, left_jacobian_inverse

__all__ = ["Hinges", "ImageLandmarks", "PosePrior", "PosePull", "WorldLandmarks"]

_SIDEWAYS = 4.0
"""Weight of bending an elbow or a knee sideways [1/rad]."""
_HINGE = 6.0
"""Weight of bending one beyond its limits [1/rad]."""
_CLOSED = 2.65
"""The largest bend of an elbow or a knee, from straight [rad]."""
_TWIST = 1.5
"""Weight of turning an upper arm or a thigh about itself [1/rad]; swinging them costs less."""


@dataclass(frozen=True)
class ImageLandmarks:
    """Projected landmarks against detected ones; robust per landmark."""

    points: SkinnedPoints
    target: Float[Tensor, "T P 2"]
    """Normalised image positions."""
    weight: Float[Tensor, "T P"]
    sigma: float
    """[m] on the body."""
    cutoff: float = 5.0
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
        pose = view.skeleton.pose_rows(view.levers, self.points, state.betas, 2) * scale
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
        pose = self._centred(view.skeleton.pose_rows(view.levers, self.points, view.state.betas))
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
    hinges: "Hinges"
    """Elbows and knees."""

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
        for joint in [skeleton.index(limb) for limb in roles.upper_arm + roles.upper_leg]:
            bone = torch.nn.functional.normalize(skeleton.rest[_child(skeleton, joint)] - skeleton.rest[joint], dim=0)
            matrices[joint] += (_TWIST - stiffness[joint, 0]) * bone[:, None] * bone[None]
        bending = Hinges.of(model, skeleton)
        for joint, axis, bone in zip(bending.joints, bending.axes, bending.bones, strict=True):
            is_knee = joint in [skeleton.index(leg) for leg in roles.lower_leg]
            along, about = axis[:, None] * axis[None], bone[:, None] * bone[None]
            matrices[joint] = 0.1 * along + (2.0 if is_knee else 0.8) * about
        return PosePrior(matrices, bending)

    def cost(self, view: View) -> Float[Tensor, "T"]:
        """Squared weighted rotation vectors, and what hinges do that hinges cannot."""
        rotvec = matrix_to_rotvec(view.state.rel_rotmats)
        beyond, _ = self.hinges.evaluate(view.state.rel_rotmats)
        return self._weighted(rotvec).square().sum((1, 2)) + beyond.square().sum(1)

    def rows(self, view: View, with_betas: bool) -> Rows:
        """Gauss-Newton rows: one 3x3 block per joint, two rows per hinge."""
        del with_betas
        rotvec = matrix_to_rotvec(view.state.rel_rotmats)
        num_frames, num_joints = rotvec.shape[:2]
        joint = torch.arange(num_joints, device=rotvec.device)
        blocks = rotvec.new_zeros(num_frames, num_joints, 3, num_joints, 3)
        blocks[:, joint, :, joint] = (self.stiffness @ left_jacobian_inverse(rotvec)).transpose(0, 1)
        beyond, derivative = self.hinges.evaluate(view.state.rel_rotmats)
        bend = rotvec.new_zeros(num_frames, beyond.shape[1], num_joints, 3)
        bend[:, torch.arange(beyond.shape[1], device=rotvec.device), list(self.hinges.joints) * 2] = derivative
        residual = torch.cat([self._weighted(rotvec).flatten(1), beyond], 1)
        pose = torch.cat([blocks.flatten(3).flatten(1, 2), bend.flatten(2)], 1)
        return Rows(residual, torch.ones_like(residual), pose)

    def _weighted(self, rotvec: Float[Tensor, "T N 3"]) -> Float[Tensor, "T N 3"]:
        return torch.einsum("nij,tnj->tni", self.stiffness, rotvec)


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


@dataclass(frozen=True)
class Hinges:
    """E joints that bend about one axis, within limits, and turn about their own bone (left, right elbow and knee)."""

    joints: tuple[int, ...]
    """Movable joints."""
    axes: Float[Tensor, "E 3"]
    """Unit axes about which bending is positive, at rest."""
    bones: Float[Tensor, "E 3"]
    """Unit direction of the bone beyond the joint, at rest; at right angles to the axis."""
    limits: Float[Tensor, "E 2"]
    """Smallest and largest bend [rad]: from straight and a little beyond to closed."""

    @staticmethod
    def of(model: BodyModel, skeleton: Skeleton) -> "Hinges":
        """Read the hinges off a body.

        Rest bones that already bend give the axis; straight ones bend forward (elbow) or backward (knee).
        """
        roles = model.roles
        joints, axes, bones, limits = [], [], [], []
        toward = skeleton.rest.new_tensor([0.0, 0.0, 1.0])
        for upper, lower, sign in ((roles.upper_arm, roles.lower_arm, -1.0), (roles.upper_leg, roles.lower_leg, 1.0)):
            for side in (0, 1):
                top, joint = skeleton.index(upper[side]), skeleton.index(lower[side])
                first = torch.nn.functional.normalize(skeleton.rest[joint] - skeleton.rest[top], dim=0)
                second = torch.nn.functional.normalize(
                    skeleton.rest[_child(skeleton, joint)] - skeleton.rest[joint], dim=0
                )
                bent = torch.linalg.cross(first, second)
                default = torch.linalg.cross(first, sign * toward)
                is_bent = float(bent.norm()) > 0.2 and float(bent @ default) > 0
                axis = bent if is_bent else default
                axis = torch.nn.functional.normalize(axis - (axis @ second) * second, dim=0)
                bend = float(torch.asin(bent.norm().clamp(max=1))) if is_bent else 0.0
                joints.append(joint)
                axes.append(axis)
                bones.append(second)
                limits.append([-0.1 - bend, _CLOSED - bend])
        return Hinges(tuple(joints), torch.stack(axes), torch.stack(bones), torch.tensor(limits, device=toward.device))

    def evaluate(self, rel_rotmats: Float[Tensor, "T N 3 3"]) -> tuple[Float[Tensor, "T E2"], Float[Tensor, "T E2 3"]]:
        """Weighted bends to the side, then bends beyond the limits; and their derivatives by the joint's tangent."""
        turned = (rel_rotmats[:, list(self.joints)] @ self.bones[..., None])[..., 0]  # T E 3
        axes, bones = self.axes.expand_as(turned), self.bones.expand_as(turned)
        side = (turned * axes).sum(-1)
        ahead = torch.linalg.cross(axes, bones)
        sine, cosine = (turned * ahead).sum(-1), (turned * bones).sum(-1)
        bend = torch.atan2(sine, cosine)
        clamped = torch.minimum(torch.maximum(bend, self.limits[:, 0]), self.limits[:, 1])
        beyond = _HINGE * (bend - clamped)
        by_bend = cosine[..., None] * torch.linalg.cross(turned, ahead) - sine[..., None] * torch.linalg.cross(
            turned, bones
        )
        by_bend = by_bend / (sine**2 + cosine**2).clamp(min=1e-6)[..., None] * (beyond != 0)[..., None]
        return (
            torch.cat([_SIDEWAYS * side, beyond], 1),
            torch.cat([_SIDEWAYS * torch.linalg.cross(turned, axes), _HINGE * by_bend], 1),
        )
