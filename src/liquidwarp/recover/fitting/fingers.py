"""Fingers: a natural curl where they are not seen, posed from the hand's landmarks where they are."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.geometry.rotations import kabsch, matrix_to_rotvec, rotvec_to_matrix, swing
from liquidwarp.recover.fitting.observation import Observation

__all__ = ["BENDS", "SPREAD", "THUMB_BENDS", "finger_axes", "palm_normal", "pose_fingers", "relaxed_fingers"]

BENDS, THUMB_BENDS = (-0.3, 1.7), (-0.4, 0.8)
"""How far the joints of fingers and of thumbs can bend, from straight [rad],"""
SPREAD = 0.4
"""and a finger to either side."""

_CURL = ((0.1, 0.15, 0.2), (0.35, 0.45, 0.25), (0.45, 0.5, 0.3), (0.5, 0.5, 0.3), (0.5, 0.45, 0.3))
"""Bend of each joint of a relaxed hand, thumb to little finger, from the palm outwards [rad], from straight."""
_CLOSING = 0.6
"""How much of the fingers' spread at rest a relaxed hand gives up."""


def palm_normal(model: BodyModel, joints: Float[Tensor, "J 3"], side: int) -> Float[Tensor, "3"]:
    """Unit vector out of the palm at rest, in body space.

    Args:
        model: Its roles name the fingers.
        joints: At rest [m].
        side: 0 left, 1 right.
    """
    wrist = joints[model.roles.hand[side]]
    chains = model.roles.fingers[side]
    index, little = joints[chains[1][0]] - wrist, joints[chains[4][0]] - wrist
    normal = torch.linalg.cross(index, little)
    return F.normalize(normal if side else -normal, dim=0)


def finger_axes(model: BodyModel, joints: Float[Tensor, "J 3"], side: int) -> list[Float[Tensor, "3"]]:
    """Per finger, thumb first, the unit axis about which bending is positive; see :func:`palm_normal`."""
    palm = palm_normal(model, joints, side)
    axes = []
    for chain in model.roles.fingers[side]:
        along = F.normalize(joints[chain[-1]] - joints[chain[0]], dim=0)
        axes.append(F.normalize(torch.linalg.cross(along, palm), dim=0))
    return axes


def relaxed_fingers(model: BodyModel) -> Float[Tensor, "J 3 3"]:
    """Rotations of all joints for hands that hang loosely: identity but for the fingers.

    Where the rest pose already bends a finger, only what is missing is added.
    """
    rotations = torch.eye(3).repeat(len(model.parents), 1, 1)
    if not model.roles.fingers[0]:
        return rotations
    joints = model.rest(torch.zeros(1, len(model.beta_names))).joints[0]
    for side in (0, 1):
        palm = palm_normal(model, joints, side)
        axes = finger_axes(model, joints, side)
        middle = model.roles.fingers[side][2]
        middle_direction = joints[middle[-1]] - joints[middle[0]]
        wrist = joints[model.roles.hand[side]]
        for finger, (chain, axis) in enumerate(zip(model.roles.fingers[side], axes, strict=True)):
            before = joints[chain[0]] - wrist
            for place, joint in enumerate(chain):
                follows = chain[place + 1] if place + 1 < len(chain) else None
                bone = joints[follows] - joints[joint] if follows is not None else before
                at_rest = torch.atan2(torch.linalg.cross(before, bone) @ axis, before @ bone) if finger else 0.0
                rotations[joint] = rotvec_to_matrix(axis * max(0.0, _CURL[finger][place] - float(at_rest)))
                before = bone
            if finger not in (0, 2):
                spread = joints[chain[-1]] - joints[chain[0]]
                flat = [v - (v @ palm) * palm for v in (spread, middle_direction)]
                full = swing(flat[0], flat[1])
                closing = rotvec_to_matrix(_CLOSING * matrix_to_rotvec(full))
                rotations[chain[0]] = closing @ rotations[chain[0]]
    return rotations


def pose_fingers(
    body: BodyParams, observation: Observation, frames: Int64[Tensor, "M"], model: BodyModel
) -> BodyParams:
    """Bend the fingers as the hands' landmarks say; a hand that was not seen keeps its relaxed fingers.

    The palm's landmarks give the hand's orientation; in its frame each finger has a bend and a spread at the root
    and one bend at each further joint, all kept within what fingers can do.

    Args:
        body: T frames with relaxed fingers.
        observation: The M frames with a person.
        frames: Their numbers.
        model: The body.
    """
    if not model.roles.fingers[0]:
        return body
    rotations = body.rel_rotmats.clone()
    rest_joints = model.rest(body.betas[None]).joints[0]
    for side, name in enumerate(("left_hand", "right_hand")):
        seen = observation.hand_weight[:, side] > 0
        if name not in model.landmarks or not bool(seen.any()):
            continue
        table = model.landmarks[name]
        rest = table.rest + torch.einsum("k,klc->lc", body.betas, table.basis)
        world = observation.hand_world[seen, side]
        palm = [0, 1, 5, 9, 13, 17]
        centred = rest[palm] - rest[palm].mean(0)
        turn = kabsch(centred.expand(len(world), -1, -1), world[:, palm] - world[:, palm].mean(1, keepdim=True))
        local = world @ turn  # in the hand's rest frame
        palm_out = palm_normal(model, rest_joints, side)
        axes = finger_axes(model, rest_joints, side)
        for finger, (chain, axis) in enumerate(zip(model.roles.fingers[side], axes, strict=True)):
            first = 1 + 4 * finger
            bones = local[:, first + 1 : first + 4] - local[:, first : first + 3]
            rest_bones = rest[first + 1 : first + 4] - rest[first : first + 3]
            bent = _bend(bones, axis, palm_out) - _bend(rest_bones[None], axis, palm_out)
            bent = torch.cat([bent[:, :1], bent[:, 1:] - bent[:, :-1]], 1)
            bent = torch.remainder(bent + torch.pi, 2 * torch.pi) - torch.pi
            low, high = THUMB_BENDS if finger == 0 else BENDS
            spread = _spread(bones[:, 0], axis) - _spread(rest_bones[:1], axis)
            spread = spread.clamp(-SPREAD, SPREAD)
            for place, joint in enumerate(chain):
                posed = rotvec_to_matrix(axis * bent[:, place, None].clamp(low, high))
                if place == 0:
                    posed = rotvec_to_matrix(palm_out * spread[:, None]) @ posed
                weight = observation.hand_weight[seen, side, None]
                relaxed = matrix_to_rotvec(rotations[frames[seen], joint])
                mixed = relaxed + (matrix_to_rotvec(posed) - relaxed) * (2 * weight).clamp(max=1)
                rotations[frames[seen], joint] = rotvec_to_matrix(mixed)
    return replace(body, rel_rotmats=rotations)


def _bend(bones: Float[Tensor, "T N 3"], axis: Float[Tensor, "3"], palm: Float[Tensor, "3"]) -> Float[Tensor, "T N"]:
    """Angle of each bone about the finger's axis, from the hand's plane towards the palm [rad]."""
    along = torch.linalg.cross(palm, axis)
    return torch.atan2(bones @ palm, bones @ along)


def _spread(bones: Float[Tensor, "T 3"], axis: Float[Tensor, "3"]) -> Float[Tensor, "T"]:
    """Sideways angle of a bone, out of the plane in which the finger bends [rad]."""
    return -torch.asin((F.normalize(bones, dim=-1) @ axis).clamp(-1, 1))
