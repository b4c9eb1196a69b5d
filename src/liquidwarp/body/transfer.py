"""Pose transfer: any tracked skeleton's motion onto a body model.

Skeletons disagree about everything but the places of their joints: axes, units, rest pose, and the twist of each
bone's own frame. So nothing of that is trusted. For each bone one *constant* rotation between its frame and the
body model's is estimated from the whole motion: it carries the bone's direction exactly, and its twist is the one by
which elbows and knees bend about their hinges (thumbs stay at their side, planted soles stay flat). A constant
keeps the motion's own smoothness and true twist; estimating it makes the rest pose irrelevant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.joint_names import SkeletonRoles
from liquidwarp.body.model import BodyModel
from liquidwarp.geometry.rotations import matrix_to_rotvec, nearest_rotation, rotvec_to_matrix, swing

__all__ = ["TrackedSkeleton", "limit_angle", "standing_axes", "transfer_pose"]

_UPRIGHT = 0.85
"""Cosine: limbs of a zero pose within 32 degrees of the vertical count as standing."""
_CLAVICLE_LIMIT, _NECK_LIMIT, _WRIST_LIMIT, _ANKLE_LIMIT = 0.45, 1.2, 1.2, 0.9
"""[rad]: beyond these a joint of a real person does not go, whatever a file says."""
_STRAIGHT = 0.15
"""Sine of the bend below which a limb counts as straight."""
_WRIST_MEAN, _ANKLE_MEAN = 0.7, 0.4
"""[rad]: what hands and feet are turned by on average is at most this; more is a misread frame of the file."""
_TWIST_LIMIT = 2.2
"""How far a hand turns about the forearm [rad]."""
_FOREARM_SHARE = 0.5
"""Share of the hand's twist that the forearm takes, as radius and ulna do."""


@dataclass(frozen=True)
class TrackedSkeleton:
    """A skeleton over T frames: OpenCV axes, any unit; bones' own frames as the file has them."""

    parents: tuple[int, ...]
    rotations: Float[Tensor, "T N 3 3"]
    """Global orientations."""
    places: Float[Tensor, "T N 3"]
    """Global places."""
    zero: Float[Tensor, "N 3"]
    """Places with all rotations zero, in the file's own axes; it need not be a human pose."""
    roles: SkeletonRoles
    fps: float

    @property
    def leg_length(self) -> float:
        """Hip to ankle along the bones, mean of both legs, in the file's unit."""
        r, total = self.roles, 0.0
        for side in (0, 1):
            total += float((self.zero[r.upper_leg[side]] - self.zero[r.lower_leg[side]]).norm())
            total += float((self.zero[r.lower_leg[side]] - self.zero[r.foot[side]]).norm())
        return total / 2

    def middle(self, pair: tuple[int, int]) -> Float[Tensor, "T 3"]:
        """Half way between a left and a right joint."""
        return (self.places[:, pair[0]] + self.places[:, pair[1]]) / 2

    def local(self, joint: int, vectors: Float[Tensor, "T 3"]) -> Float[Tensor, "3"]:
        """Mean of global vectors as seen from a joint's own frame."""
        return (self.rotations[:, joint].transpose(1, 2) @ vectors[..., None])[..., 0].mean(0)

    def reach(self, joint: int, to: int) -> Float[Tensor, "3"] | None:
        """Mean place of joint ``to`` in the frame of ``joint``; of one below it if they coincide; None if all do."""
        while to >= 0:
            vector = self.local(joint, self.places[:, to] - self.places[:, joint])
            if vector.norm() > 0.01 * self.leg_length:
                return vector
            to = self.parents.index(to) if to in self.parents else -1
        return None


def transfer_pose(skeleton: TrackedSkeleton, model: BodyModel) -> Float[Tensor, "T J 3 3"]:
    """The skeleton's motion as rotations of the model's joints.

    Args:
        skeleton: The tracked motion.
        model: The body that shall move.

    Returns:
        Relative rotations of all J joints, float32; fingers and other joints without a source are at rest.
    """
    roles = model.roles
    rest = model.rest(torch.zeros(1, len(model.beta_names))).joints[0].double().cpu()
    frames = skeleton.rotations.shape[0]
    result = torch.eye(3, dtype=torch.float64).repeat(frames, len(model.parents), 1, 1)
    standing = standing_axes(skeleton.zero, skeleton.roles)
    pelvis, chest = _trunk(skeleton, model, rest, standing)
    result[:, roles.root] = pelvis
    _spread(result, roles.spine, pelvis.mT @ chest, torch.pi)
    if skeleton.roles.head >= 0:
        head = skeleton.rotations[:, skeleton.roles.head]
        offset = nearest_rotation((head.mT @ chest).mean(0)) if standing is None else standing
        _spread(result, roles.neck, chest.mT @ head @ offset, _NECK_LIMIT)
    for side in (0, 1):
        shoulder = chest
        if roles.shoulder[side]:
            clavicle = _clavicle(skeleton, side, chest, standing)
            result[:, roles.shoulder[side][0]] = clavicle
            shoulder = chest @ clavicle
        _arm(result, skeleton, model, rest, side, shoulder)
        _leg(result, skeleton, model, rest, side, standing)
    return result.float()


def _frame(first: Float[Tensor, "*B 3"], second: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Orthonormal axes as columns: ``first`` exactly, ``second`` as far as orthogonal to it, their cross product."""
    first = F.normalize(first, dim=-1)
    second = F.normalize(second - (second * first).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def standing_axes(zero: Float[Tensor, "N 3"], r: SkeletonRoles) -> Float[Tensor, "3 3"] | None:
    """The person's axes in the zero pose; None unless it is that of somebody who stands.

    Args:
        zero: Places of the joints with all rotations zero.
        r: Which joint is which.

    Returns:
        Left, down and back as columns, in the axes of ``zero``.
    """

    def way(start: Sequence[int], end: Sequence[int]) -> Float[Tensor, "3"]:
        return F.normalize(zero[list(end)].mean(0) - zero[list(start)].mean(0), dim=-1)

    axes = _frame(way([r.upper_leg[1]], [r.upper_leg[0]]), way(r.upper_arm, r.foot))
    down = axes[:, 1]
    bones = [way(r.upper_arm, r.upper_leg)]
    for side in (0, 1):
        bones += [way([r.upper_leg[side]], [r.lower_leg[side]]), way([r.lower_leg[side]], [r.foot[side]])]
    if any(float(bone @ down) < _UPRIGHT for bone in bones):
        return None
    toes = [way([foot], [toe]) for foot, toe in zip(r.foot, r.toe, strict=True) if toe >= 0]
    if any(float(toe @ axes[:, 2]) > 0.2 for toe in toes):
        return None
    # Files are drawn along their axes: a lean of the figure is the figure's, not the axes'.
    snapped = axes.round()
    return snapped if float((axes - snapped).abs().max()) < 0.3 else axes


def _trunk(
    skeleton: TrackedSkeleton, model: BodyModel, rest: Float[Tensor, "J 3"], standing: Float[Tensor, "3 3"] | None
) -> tuple[Float[Tensor, "T 3 3"], Float[Tensor, "T 3 3"]]:
    """Global orientations of pelvis and chest: their left-right lines, and the torso's neutral direction."""
    roles, r = model.roles, skeleton.roles
    torso = skeleton.middle(r.upper_arm) - skeleton.middle(r.upper_leg)
    target_up = rest[list(roles.upper_arm)].mean(0) - rest[list(roles.upper_leg)].mean(0)
    result = []
    for joint, pair, target in ((r.hips, r.upper_leg, roles.upper_leg), (r.chest, r.upper_arm, roles.upper_arm)):
        left = skeleton.local(joint, skeleton.places[:, pair[0]] - skeleton.places[:, pair[1]])
        up = skeleton.local(joint, F.normalize(torso, dim=-1))
        if standing is not None:
            up = skeleton.zero[list(r.upper_arm)].mean(0) - skeleton.zero[list(r.upper_leg)].mean(0)
        target_axes = _frame(rest[target[0]] - rest[target[1]], target_up)
        result.append(skeleton.rotations[:, joint] @ _frame(left, up) @ target_axes.mT)
    return result[0], result[1]


def _spread(
    result: Float[Tensor, "T J 3 3"], joints: Sequence[int], rotation: Float[Tensor, "T 3 3"], limit: float
) -> None:
    """Share a rotation equally among a chain of joints."""
    if joints:
        limited = limit_angle(rotation, limit)
        result[:, list(joints)] = rotvec_to_matrix(matrix_to_rotvec(limited) / len(joints))[:, None]


def limit_angle(rotation: Float[Tensor, "*B 3 3"], limit: float) -> Float[Tensor, "*B 3 3"]:
    """Rotations with an angle of at most ``limit`` [rad]; smaller ones than 2/3 of it stay exactly as they are."""
    rotvec = matrix_to_rotvec(rotation)
    angle = rotvec.norm(dim=-1, keepdim=True)
    free = limit * 2 / 3
    bent = free + (limit - free) * torch.tanh((angle - free) / (limit - free))
    return rotvec_to_matrix(torch.where(angle > free, rotvec * bent / angle.clamp(min=1e-9), rotvec))


def _centred(rotation: Float[Tensor, "T 3 3"], limit: float) -> Float[Tensor, "T 3 3"]:
    """Rotations whose mean is at most ``limit`` [rad], by a constant change of the turned bone's own frame."""
    mean = nearest_rotation(rotation.mean(0))
    return rotation @ mean.mT @ limit_angle(mean, limit)


def _clavicle(
    skeleton: TrackedSkeleton,
    side: int,
    chest: Float[Tensor, "T 3 3"],
    standing: Float[Tensor, "3 3"] | None,
) -> Float[Tensor, "T 3 3"]:
    """How far the shoulder is moved from its neutral place, as a swing of the model's clavicle."""
    r = skeleton.roles
    base, arm = r.collar[side], r.upper_arm[side]
    if base < 0 or float((skeleton.zero[base] - skeleton.zero[arm]).norm()) < 0.02 * skeleton.leg_length:
        return torch.eye(3, dtype=chest.dtype).expand_as(chest)
    way = (chest.mT @ (skeleton.places[:, arm] - skeleton.places[:, base])[..., None])[..., 0]
    neutral = way.mean(0)
    if standing is not None:
        offset = skeleton.rotations[:1, r.chest].mT @ chest[:1]  # constant over time
        neutral = offset[0].mT @ (skeleton.zero[arm] - skeleton.zero[base])
    return limit_angle(swing(neutral.expand_as(way), way), _CLAVICLE_LIMIT)


@dataclass(frozen=True)
class _Limb:
    """Two bones with a hinge between them: on the skeleton (indices) and on the model's rest pose (directions)."""

    joints: tuple[int, int, int]
    upper: Float[Tensor, "3"]
    lower: Float[Tensor, "3"]
    hinge: Float[Tensor, "3"]
    """Axis about which the lower bone bends, right-handed."""
    is_leg: bool
    """Knees never look backwards; elbows may."""


def _limb(joints: tuple[int, int, int], rest: Float[Tensor, "3 3"], bends_towards: Float[Tensor, "3"]) -> _Limb:
    """A limb from the model's three joints at rest; ``bends_towards`` decides where the rest pose is straight."""
    upper, lower = F.normalize(rest[1] - rest[0], dim=-1), F.normalize(rest[2] - rest[1], dim=-1)
    hinge = torch.linalg.cross(upper, lower)
    if float(hinge.norm()) < 0.2:
        hinge = torch.linalg.cross(upper, bends_towards)
    return _Limb(joints, upper, lower, F.normalize(hinge, dim=-1), bool(bends_towards[2] > 0))


def _solve_limb(
    skeleton: TrackedSkeleton, limb: _Limb, parent: Float[Tensor, "T 3 3"]
) -> tuple[Float[Tensor, "T 3 3"], Float[Tensor, "T 3 3"]]:
    """Global orientations of the two bones."""
    first, middle, last = limb.joints
    places = skeleton.places
    upper = F.normalize(places[:, middle] - places[:, first], dim=-1)
    lower = F.normalize(places[:, last] - places[:, middle], dim=-1)
    bend = torch.linalg.cross(upper, lower)
    sine = bend.norm(dim=-1, keepdim=True)
    # Where the motion never bends the limb, the least twist against the parent decides. Nearly straight limbs say
    # nothing: tracked knees and elbows are often bent a little the wrong way.
    plain = swing((parent @ limb.upper), upper) @ parent @ limb.hinge
    weight = (sine - _STRAIGHT).clamp(min=0) / sine.clamp(min=1e-9)
    if limb.is_leg:
        weight = weight * ((bend * plain).sum(-1, keepdim=True) > 0)
    evidence = weight * bend + 0.05 * plain
    result = []
    for joint, way, target in ((first, upper, limb.upper), (middle, lower, limb.lower)):
        axes = _frame(skeleton.local(joint, way), skeleton.local(joint, evidence))
        result.append(skeleton.rotations[:, joint] @ axes @ _frame(target, limb.hinge).mT)
    return result[0], result[1]


def _arm(
    result: Float[Tensor, "T J 3 3"],
    skeleton: TrackedSkeleton,
    model: BodyModel,
    rest: Float[Tensor, "J 3"],
    side: int,
    shoulder: Float[Tensor, "T 3 3"],
) -> None:
    """Upper arm, forearm and hand of one side."""
    roles, r = model.roles, skeleton.roles
    joints = (roles.upper_arm[side], roles.lower_arm[side], roles.hand[side])
    limb = _limb(
        (r.upper_arm[side], r.lower_arm[side], r.hand[side]), rest[list(joints)], rest.new_tensor([0.0, 0.0, -1.0])
    )
    upper, lower = _solve_limb(skeleton, limb, shoulder)
    hand = _hand(skeleton, model, rest, side, lower)
    wrist = _centred(lower.mT @ hand, _WRIST_MEAN)
    swung, twist = _swing_twist(wrist, limb.lower)
    twist = _TWIST_LIMIT * torch.tanh(twist / _TWIST_LIMIT)
    share = rotvec_to_matrix(_FOREARM_SHARE * twist[:, None] * limb.lower)
    result[:, joints[0]] = shoulder.mT @ upper
    result[:, joints[1]] = upper.mT @ lower @ share
    turned = limit_angle(swung, _WRIST_LIMIT) @ rotvec_to_matrix(twist[:, None] * limb.lower)
    result[:, joints[2]] = share.mT @ turned


def _swing_twist(
    rotation: Float[Tensor, "T 3 3"], axis: Float[Tensor, "3"]
) -> tuple[Float[Tensor, "T 3 3"], Float[Tensor, "T"]]:
    """Split R = swing @ twist with a twist about ``axis`` [rad] that never jumps by a whole turn."""
    rotvec = matrix_to_rotvec(rotation)
    half = rotvec.norm(dim=-1) / 2
    along = (rotvec @ axis) / 2 * torch.sinc(half / torch.pi)
    angle = 2 * torch.atan2(along, torch.cos(half))
    steps = torch.diff(angle, prepend=angle[:1])
    angle = angle - 2 * torch.pi * torch.round(steps / (2 * torch.pi)).cumsum(0)
    angle = angle - 2 * torch.pi * torch.round(angle.median() / (2 * torch.pi))
    return rotation @ rotvec_to_matrix(-angle[:, None] * axis), angle


def _hand(
    skeleton: TrackedSkeleton, model: BodyModel, rest: Float[Tensor, "J 3"], side: int, lower: Float[Tensor, "T 3 3"]
) -> Float[Tensor, "T 3 3"]:
    """Global orientation of a hand from where its fingers and its thumb are."""
    r, fingers, wrist = skeleton.roles, model.roles.fingers[side], model.roles.hand[side]
    joint = r.hand[side]
    finger = skeleton.reach(joint, r.finger[side])
    children = [j for j, parent in enumerate(model.parents) if parent == wrist]
    tip = fingers[2][0] if len(fingers) > 2 and fingers[2] else (children[0] if children else -1)
    if finger is None or tip < 0:
        return lower
    target = rest[tip] - rest[wrist]
    thumb = skeleton.reach(joint, r.thumb[side])
    if thumb is not None and fingers and fingers[0]:
        target_second = rest[fingers[0][0]] - rest[wrist]
        if float(torch.linalg.cross(F.normalize(thumb, dim=-1), F.normalize(finger, dim=-1)).norm()) > 0.2:
            return skeleton.rotations[:, joint] @ _frame(finger, thumb) @ _frame(target, target_second).mT
    # No thumb: on average the hand is not twisted against the forearm.
    normal = rest.new_tensor([0.0, 0.0, 1.0])
    second = skeleton.local(joint, lower @ normal)
    return skeleton.rotations[:, joint] @ _frame(finger, second) @ _frame(target, normal).mT


def _leg(
    result: Float[Tensor, "T J 3 3"],
    skeleton: TrackedSkeleton,
    model: BodyModel,
    rest: Float[Tensor, "J 3"],
    side: int,
    standing: Float[Tensor, "3 3"] | None,
) -> None:
    """Thigh, shin and foot of one side."""
    roles, r = model.roles, skeleton.roles
    joints = (roles.upper_leg[side], roles.lower_leg[side], roles.foot[side])
    limb = _limb(
        (r.upper_leg[side], r.lower_leg[side], r.foot[side]), rest[list(joints)], rest.new_tensor([0.0, 0.0, 1.0])
    )
    pelvis = result[:, roles.root]
    upper, lower = _solve_limb(skeleton, limb, pelvis)
    result[:, joints[0]] = pelvis.mT @ upper
    result[:, joints[1]] = upper.mT @ lower
    children = [j for j, parent in enumerate(model.parents) if parent == joints[2]]
    forward = skeleton.reach(r.foot[side], r.toe[side])
    if forward is None or not children:
        return
    target = rest[children].mean(0) - rest[joints[2]]
    target_up = rest.new_tensor([0.0, -1.0, 0.0])
    up = _sole_normal(skeleton, r.foot[side])
    if up is None and standing is not None:
        up = -standing[:, 1]
    if up is not None and float(F.normalize(up, dim=-1) @ F.normalize(forward, dim=-1)) < -0.85:
        # A foot that is drawn straight down says nothing of where it points: it points with the shin.
        forward = skeleton.local(r.foot[side], lower @ rest.new_tensor([0.0, 0.0, -1.0]))
    if up is None:
        axes, target_axes = _frame(forward, skeleton.local(r.foot[side], lower @ target_up)), _frame(target, target_up)
    else:
        axes, target_axes = _frame(up, forward), _frame(target_up, target)
    foot = skeleton.rotations[:, r.foot[side]] @ axes @ target_axes.mT
    result[:, joints[2]] = limit_angle(_centred(lower.mT @ foot, _ANKLE_MEAN), _ANKLE_LIMIT)


def _sole_normal(skeleton: TrackedSkeleton, foot: int) -> Float[Tensor, "3"] | None:
    """The world's up in the foot's frame, averaged over the frames in which it stands; None if there are few."""
    place, leg = skeleton.places[:, foot], skeleton.leg_length
    if len(place) < 10:
        return None
    speed = torch.zeros(len(place), dtype=place.dtype)
    speed[1:] = (place[1:] - place[:-1]).norm(dim=-1) * skeleton.fps / leg
    low = place[:, 1] > torch.quantile(place[:, 1], 0.95) - 0.05 * leg
    stands = low & (speed < 0.3)
    if int(stands.sum()) < 10:
        return None
    up = place.new_tensor([0.0, -1.0, 0.0]).expand(int(stands.sum()), 3)
    return (skeleton.rotations[stands, foot].mT @ up[..., None])[..., 0].mean(0)
