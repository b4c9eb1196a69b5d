"""Fingers: a natural curl where they are not seen, posed from the hand's landmarks where they are."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotvec_to_matrix, swing

__all__ = ["finger_axes", "palm_normal", "relaxed_fingers"]

_CURL = ((0.1, 0.15, 0.2), (0.35, 0.45, 0.25), (0.45, 0.5, 0.3), (0.5, 0.5, 0.3), (0.5, 0.45, 0.3))
"""Bend of each joint of a relaxed hand, thumb to little finger, from the palm outwards [rad], from straight."""
_CLOSING = 0.6
"""How much of the fingers' spread at rest a relaxed hand gives up."""


def palm_normal(model: BodyModel, joints: Float[Tensor, "J 3"], side: int) -> Float[Tensor, "3"]:
    """Unit vector out of the palm at rest (side 0 left, 1 right)."""
    wrist = joints[model.roles.hand[side]]
    chains = model.roles.fingers[side]
    index, little = joints[chains[1][0]] - wrist, joints[chains[4][0]] - wrist
    normal = torch.linalg.cross(index, little)
    return F.normalize(normal if side else -normal, dim=0)


def finger_axes(model: BodyModel, joints: Float[Tensor, "J 3"], side: int) -> list[Float[Tensor, "3"]]:
    """Per finger the unit axis about which bending is positive, at rest."""
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
