"""A first pose in closed form from landmarks in space, and a first shape by ridge least squares.

Rigid parts that show three or more landmarks (pelvis, chest, head, hands, feet) are turned by Kabsch; a limb is
turned by the smallest rotation that aligns it, plus its bend plane where it is bent; the spine and the neck share
the rotation between pelvis and chest, chest and head.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.geometry.rotations import kabsch, matrix_to_rotvec, rotvec_to_matrix, swing
from liquidwarp.recover.fitting.skeleton import Skeleton
from liquidwarp.recover.fitting.terms import Hinges

__all__ = ["first_camera", "first_pose", "first_shape"]

_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "mouth_left", "mouth_right")


@dataclass(frozen=True)
class _Sight:
    """Landmarks of the rest body and of T frames, looked up by name."""

    names: tuple[str, ...]
    rest: Float[Tensor, "P 3"]
    seen: Float[Tensor, "T P 3"]

    def at_rest(self, name: str) -> Float[Tensor, "3"]:
        return self.rest[self.names.index(name)]

    def at(self, name: str) -> Float[Tensor, "T 3"]:
        return self.seen[:, self.names.index(name)]

    def turn(self, names: Sequence[str]) -> Float[Tensor, "T 3 3"]:
        """Orientation of the rigid part that these landmarks are on."""
        index = [self.names.index(name) for name in names]
        rest, seen = self.rest[index], self.seen[:, index]
        rest = (rest - rest.mean(0)).expand(seen.shape[0], -1, -1)
        return kabsch(rest, seen - seen.mean(1, keepdim=True))

    def trunk(self, part: str) -> Float[Tensor, "T 3 3"]:
        """Orientation of the pelvis ("hip") or the chest ("shoulder"): its axis, and the direction of the spine."""
        other = "shoulder" if part == "hip" else "hip"
        middle_rest = (self.at_rest(f"left_{part}") + self.at_rest(f"right_{part}")) / 2
        middle = (self.at(f"left_{part}") + self.at(f"right_{part}")) / 2
        spine_rest = (self.at_rest(f"left_{other}") + self.at_rest(f"right_{other}")) / 2 - middle_rest
        spine = (self.at(f"left_{other}") + self.at(f"right_{other}")) / 2 - middle
        rest = [self.at_rest(f"left_{part}") - middle_rest, self.at_rest(f"right_{part}") - middle_rest]
        seen = [self.at(f"left_{part}") - middle, self.at(f"right_{part}") - middle]
        source = torch.stack([*rest, 0.5 * spine_rest]).expand(middle.shape[0], -1, -1)
        return kabsch(source, torch.stack([*seen, 0.5 * spine], 1))


def first_pose(model: BodyModel, skeleton: Skeleton, world: Float[Tensor, "T P 3"]) -> Float[Tensor, "T N 3 3"]:
    """Rotations of the movable joints from landmarks in space.

    Args:
        model: The body.
        skeleton: Its movable joints.
        world: Landmarks [m] in the order of ``model.landmarks["body"]``, OpenCV axes, any origin.

    Returns:
        Relative rotations.
    """
    roles, table = model.roles, model.landmarks["body"]
    sight = _Sight(table.names, table.rest, world)
    num_frames = world.shape[0]
    turns = torch.eye(3, device=world.device).repeat(num_frames, len(skeleton.parents), 1, 1)

    def share(joints: Sequence[int], start: Tensor, end: Tensor) -> None:
        """Split the rotation from ``start`` to ``end`` evenly over a chain."""
        part = rotvec_to_matrix(matrix_to_rotvec(start.transpose(1, 2) @ end) / max(len(joints), 1))
        for joint in joints:
            turns[:, skeleton.index(joint)] = part

    pelvis, chest, head = sight.trunk("hip"), sight.trunk("shoulder"), sight.turn(_FACE)
    turns[:, skeleton.index(roles.root)] = pelvis
    share(roles.spine, pelvis, chest)
    share(roles.neck, chest, head)
    axes = Hinges.of(model, skeleton).axes
    for side, name in enumerate(("left", "right")):
        arm = tuple(f"{name}_{part}" for part in ("shoulder", "elbow", "wrist"))
        leg = tuple(f"{name}_{part}" for part in ("hip", "knee", "ankle"))
        hand = sight.turn([f"{name}_{part}" for part in ("wrist", "pinky", "index", "thumb")])
        foot = sight.turn([f"{name}_{part}" for part in ("ankle", "heel", "foot_index")])
        limbs = (
            (arm, chest, axes[side], roles.upper_arm, roles.lower_arm, roles.hand, hand),
            (leg, pelvis, axes[2 + side], roles.upper_leg, roles.lower_leg, roles.foot, foot),
        )
        for names, trunk, axis, upper, lower, end, end_turn in limbs:
            upper_turn, lower_turn = _two_bones(sight, names, trunk, axis)
            turns[:, skeleton.index(upper[side])] = trunk.transpose(1, 2) @ upper_turn
            turns[:, skeleton.index(lower[side])] = upper_turn.transpose(1, 2) @ lower_turn
            turns[:, skeleton.index(end[side])] = lower_turn.transpose(1, 2) @ end_turn
    return turns


def _two_bones(
    sight: _Sight, names: tuple[str, ...], trunk: Float[Tensor, "T 3 3"], axis: Float[Tensor, "3"]
) -> tuple[Float[Tensor, "T 3 3"], Float[Tensor, "T 3 3"]]:
    """Orientations of an arm's or a leg's two bones.

    The upper bone follows the trunk by the smallest rotation; the more the limb is bent, the more the plane of the
    bend (its normal is the hinge's axis) decides the twist.
    """
    top, middle, end = names
    upper_rest = sight.at_rest(middle) - sight.at_rest(top)
    lower_rest = sight.at_rest(end) - sight.at_rest(middle)
    upper, lower = sight.at(middle) - sight.at(top), sight.at(end) - sight.at(middle)
    swung = swing((trunk @ upper_rest), upper) @ trunk
    normal = torch.linalg.cross(F.normalize(upper, dim=-1), F.normalize(lower, dim=-1))
    weight = torch.stack(
        [torch.ones_like(normal[:, 0]), torch.full_like(normal[:, 0], 0.05), normal.square().sum(-1)], 1
    )
    source = torch.stack([F.normalize(upper_rest, dim=0) * 3, axis, axis]).expand(len(upper), -1, -1)
    target = torch.stack([F.normalize(upper, dim=-1) * 3, swung @ axis, F.normalize(normal, dim=-1)], 1)
    upper_turn = kabsch(source, target, weight)
    lower_turn = swing(upper_turn @ lower_rest, lower) @ upper_turn
    return upper_turn, lower_turn


def first_shape(
    model: BodyModel,
    skeleton: Skeleton,
    rel_rotmats: Float[Tensor, "T N 3 3"],
    world: Float[Tensor, "T P 3"],
    weight: Float[Tensor, "T P"],
    shape_weight: Float[Tensor, "K"],
) -> Float[Tensor, "K"]:
    """One shape for all frames: ridge least squares, because landmarks are linear in the shape for fixed rotations.

    Args:
        model: The body.
        skeleton: Its movable joints.
        rel_rotmats: Poses.
        world: Landmarks [m], any origin.
        weight: Of each landmark.
        shape_weight: Ridge per beta, times the number of frames.

    Returns:
        Betas.
    """
    points = skeleton.landmark_points(model.landmarks["body"])
    zero = torch.zeros_like(shape_weight)
    posed = skeleton.pose(rel_rotmats, zero)
    axes = torch.eye(3, device=world.device)[None, None]
    change = skeleton.beta_rows(posed, points, axes)
    share = (weight / weight.sum(1, keepdim=True).clamp(min=1e-6))[..., None]
    target = world - (share * world).sum(1, keepdim=True)
    mean = skeleton.locate(posed, points, zero)
    mean = mean - (share * mean).sum(1, keepdim=True)
    change = change - (share[..., None] * change).sum(1, keepdim=True)
    rows = (change * weight[..., None, None].sqrt()).flatten(0, 2)
    residual = ((target - mean) * weight[..., None].sqrt()).flatten()
    ridge = world.shape[0] * torch.diag(shape_weight**2)
    betas: Tensor = torch.linalg.solve(rows.T @ rows + ridge, rows.T @ residual)
    return betas


def first_camera(
    positions: Float[Tensor, "T P 3"], image: Float[Tensor, "T P 2"], weight: Float[Tensor, "T P"]
) -> Float[Tensor, "T 3"]:
    """The weak-perspective camera (scale, x, y) that best maps positions to the image, per frame.

    Args:
        positions: Of the landmarks on the posed body [m].
        image: Where they are seen, in the units of :attr:`liquidwarp.recover.fitting.observation.Observation.image`.
        weight: Trust in each.
    """
    share = (weight / weight.sum(1, keepdim=True).clamp(min=1e-6))[..., None]
    centre = (share * positions[..., :2]).sum(1)
    image_centre = (share * image).sum(1)
    source, target = positions[..., :2] - centre[:, None], image - image_centre[:, None]
    spread = (share * source.square()).sum((1, 2)).clamp(min=1e-8)
    scale = ((share * source * target).sum((1, 2)) / spread).clamp(min=1e-3)
    return torch.cat([scale[:, None], image_centre - scale[:, None] * centre], 1)
