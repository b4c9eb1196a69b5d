"""Foreign skeletons in our axes and units: BVH files and SMPL parameters.

Convention:
    The way up is read off the motion: over most frames a person's shoulders are above the ankles. The unit is read
    off the length of the legs. A file has no camera: where its first pose looks within 45 degrees of the format's
    own front (+z where y is up, -y where z is up) the file's heading is kept, otherwise the person is turned to face
    the camera in the first frame.
"""

import logging
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.bvh import BvhMotion
from liquidwarp.body.joint_names import SkeletonRoles, match_joints
from liquidwarp.body.model import BodyModel
from liquidwarp.body.transfer import TrackedSkeleton, standing_axes, transfer_pose
from liquidwarp.errors import MotionError
from liquidwarp.geometry.rotations import rotvec_to_matrix

__all__ = ["SMPL_JOINTS", "BodyTrack", "body_track", "smpl_motion"]

_log = logging.getLogger(__name__)

_UNITS = {
    "m": 1.0,
    "cm": 0.01,
    "mm": 0.001,
    "inch": 0.0254,
    "foot": 0.3048,
    "dm": 0.1,
    "CMU's 0.45 inch": 0.0254 / 0.45,
}
_TYPICAL_LEG = 0.8
"""Hip to ankle of an adult [m]."""
_FRONT = math.cos(math.radians(45))
"""Cosine: who looks nearer to a format's own front than this keeps the heading."""

SMPL_JOINTS = {
    "pelvis": (-1, (0.0, 0.0, 0.0)),
    "left_hip": (0, (0.09, -0.08, 0.0)),
    "right_hip": (0, (-0.09, -0.08, 0.0)),
    "spine1": (0, (0.0, 0.12, -0.02)),
    "left_knee": (1, (0.01, -0.39, 0.0)),
    "right_knee": (2, (-0.01, -0.39, 0.0)),
    "spine2": (3, (0.0, 0.13, 0.01)),
    "left_ankle": (4, (0.0, -0.40, -0.02)),
    "right_ankle": (5, (0.0, -0.40, -0.02)),
    "spine3": (6, (0.0, 0.06, 0.0)),
    "left_foot": (7, (0.01, -0.06, 0.13)),
    "right_foot": (8, (-0.01, -0.06, 0.13)),
    "neck": (9, (0.0, 0.21, -0.02)),
    "left_collar": (9, (0.08, 0.12, -0.01)),
    "right_collar": (9, (-0.08, 0.12, -0.01)),
    "head": (12, (0.0, 0.09, 0.03)),
    "left_shoulder": (13, (0.10, 0.02, -0.01)),
    "right_shoulder": (14, (-0.10, 0.02, -0.01)),
    "left_elbow": (16, (0.26, 0.0, 0.0)),
    "right_elbow": (17, (-0.26, 0.0, 0.0)),
    "left_wrist": (18, (0.25, 0.0, 0.0)),
    "right_wrist": (19, (-0.25, 0.0, 0.0)),
}
"""The 22 body joints of SMPL, SMPL-H and SMPL-X in their order: parent, and offset of an average adult in T-pose
[m], y up, from general anthropometry (not the licensed model's numbers; only directions and ratios matter)."""


@dataclass(frozen=True)
class BodyTrack:
    """A foreign motion on our body model."""

    rel_rotmats: Float[Tensor, "T J 3 3"]
    translation: Float[Tensor, "T 3"]
    """Path of the hips relative to frame 0 [m], OpenCV axes."""
    leg_length: float
    """Of the one who was tracked [m]."""


def body_track(file: str, motion: BvhMotion, model: BodyModel) -> BodyTrack:
    """Carry a skeleton's motion over to a body model.

    Args:
        file: The file's name, for messages.
        motion: The skeleton and its motion.
        model: The body that shall move.

    Returns:
        Rotations of the model's joints and the path of its root.

    Raises:
        MotionError: needed joints are missing or the skeleton has no size.
    """
    roles = match_joints(file, motion.names, motion.parents)
    global_rotations, global_places = motion.forward()
    first = _calibration_frames(file, motion)
    rotations = torch.from_numpy(global_rotations[first:])
    places = torch.from_numpy(global_places[first:])
    zero = torch.from_numpy(motion.zero_pose())
    camera_from_file = _camera_from_file(places, zero, roles)
    skeleton = TrackedSkeleton(
        motion.parents, camera_from_file @ rotations, places @ camera_from_file.mT, zero, roles, motion.fps
    )
    if not skeleton.leg_length > 0:
        raise MotionError(f"{file}: the legs have no length; expected joint OFFSETs of a person's size.")
    unit = _unit(file, skeleton.leg_length)
    hips = skeleton.middle(roles.upper_leg)
    standing = standing_axes(zero, roles)
    if standing is not None and _is_same_skeleton(motion, zero @ standing, model):
        rel_rotmats = _same_skeleton_pose(motion, skeleton.rotations @ standing, model)
        hips = skeleton.places[:, roles.hips]
    else:
        rel_rotmats = transfer_pose(skeleton, model)
    return BodyTrack(rel_rotmats, ((hips - hips[0]) * unit).float(), skeleton.leg_length * unit)


def smpl_motion(rotvecs: Float[Tensor, "T 22 3"], translation: Float[Tensor, "T 3"], fps: float) -> BvhMotion:
    """SMPL parameters as a skeleton in motion.

    Args:
        rotvecs: Axis times angle of the first 22 joints [rad].
        translation: Of the root [m].
        fps: Frames per second.
    """
    offsets = torch.tensor([offset for _, offset in SMPL_JOINTS.values()], dtype=torch.float64)
    positions = offsets.repeat(rotvecs.shape[0], 1, 1)
    positions[:, 0] = translation.double()
    return BvhMotion(
        tuple(SMPL_JOINTS),
        tuple(parent for parent, _ in SMPL_JOINTS.values()),
        offsets.numpy(),
        rotvec_to_matrix(rotvecs.double()).numpy(),
        positions.numpy(),
        fps,
    )


def _calibration_frames(file: str, motion: BvhMotion) -> int:
    """1 if the first frame is a calibration pose (T-pose) that jumps to the second, else 0."""
    if len(motion.rotations) < 10:
        return 0
    change = torch.from_numpy(motion.rotations[1:9] - motion.rotations[:8]).norm(dim=(-1, -2))
    steps = change.topk(min(8, change.shape[1]), dim=1).values.mean(1)  # of the joints that move most
    if float(steps[0]) > 0.3 and float(steps[0]) > 6 * float(steps[1:].median()):
        _log.info("%s: the first frame is a calibration pose and is left out.", file)
        return 1
    return 0


def _camera_from_file(
    places: Float[Tensor, "T N 3"], zero: Float[Tensor, "N 3"], r: SkeletonRoles
) -> Float[Tensor, "3 3"]:
    """Rotation from the file's axes to OpenCV's."""
    tall = F.normalize((places[:, list(r.upper_arm)] - places[:, list(r.foot)]).mean(1), dim=-1)
    mean_up = tall.mean(0)
    axes = standing_axes(zero, r)
    if axes is not None and (len(places) == 1 or float(mean_up.abs().max()) < 0.7):
        mean_up = -axes[:, 1]  # a single pose may be of somebody who flies; a motion may have much lying about
    axis = int(mean_up.abs().argmax())
    up = torch.zeros(3, dtype=zero.dtype)
    up[axis] = mean_up[axis].sign()
    left = (places[0, [r.upper_leg[0], r.upper_arm[0]]] - places[0, [r.upper_leg[1], r.upper_arm[1]]]).sum(0)
    left = F.normalize(left - (left @ up) * up, dim=-1)
    front = torch.linalg.cross(left, up)  # where the first pose looks to
    format_front = torch.zeros_like(up)
    if axis == 1:
        format_front[2] = up[1]
    else:
        format_front[1] = -up[axis]
    if float(front @ format_front) > _FRONT:
        front = format_front
    back = -front
    return torch.stack([torch.linalg.cross(-up, back), -up, back])


def _unit(file: str, leg: float) -> float:
    """Metres per unit: the known unit that gives the legs the most likely length, else whatever makes them typical."""
    name = min(_UNITS, key=lambda key: abs(math.log(leg * _UNITS[key] / _TYPICAL_LEG)))
    metres = leg * _UNITS[name]
    if not 0.75 * _TYPICAL_LEG < metres < 1.3 * _TYPICAL_LEG:
        _log.info("%s: legs of %.3g units fit no known unit; taken as %.1f m.", file, leg, _TYPICAL_LEG)
        return _TYPICAL_LEG / leg
    _log.debug("%s: unit %s, legs %.2f m.", file, name, metres)
    return _UNITS[name]


def _is_same_skeleton(motion: BvhMotion, zero: Float[Tensor, "N 3"], model: BodyModel) -> bool:
    """Whether the file's skeleton is the model's own: the same names and bones that point the same way at rest."""
    index = {name: joint for joint, name in enumerate(motion.names)}
    movable = model.roles.movable()
    if any(model.joint_names[joint] not in index for joint in movable):
        return False
    rest = model.rest(torch.zeros(1, len(model.beta_names))).joints[0].double().cpu()
    roles = model.roles
    bones = [(roles.upper_arm, roles.lower_arm), (roles.lower_arm, roles.hand), (roles.upper_leg, roles.lower_leg)]
    for upper, lower in (*bones, (roles.lower_leg, roles.foot)):
        for start, end in zip(upper, lower, strict=True):
            ours = F.normalize(rest[end] - rest[start], dim=-1)
            theirs = zero[index[model.joint_names[end]]] - zero[index[model.joint_names[start]]]
            if float(F.normalize(theirs, dim=-1) @ ours) < math.cos(math.radians(12)):
                return False
    return True


def _same_skeleton_pose(
    motion: BvhMotion, rotations: Float[Tensor, "T N 3 3"], model: BodyModel
) -> Float[Tensor, "T J 3 3"]:
    """Global rotations taken over by name; a joint that the file lacks follows its parent."""
    index = {name: joint for joint, name in enumerate(motion.names)}
    chosen: list[Tensor] = []
    for joint, name in enumerate(model.joint_names):
        parent = model.parents[joint]
        above = chosen[parent] if parent >= 0 else torch.eye(3, dtype=rotations.dtype).expand_as(rotations[:, 0])
        chosen.append(rotations[:, index[name]] if name in index else above)
    stacked = torch.stack(chosen, 1)
    relative = stacked.clone()
    for joint, parent in enumerate(model.parents):
        if parent >= 0:
            relative[:, joint] = stacked[:, parent].mT @ stacked[:, joint]
    return relative.float()
