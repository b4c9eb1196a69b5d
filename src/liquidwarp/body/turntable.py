"""A camera that walks around a person: the body turned instead, with its feet left on the photo's ground line.

Convention:
    A positive ``angle`` takes the camera to the person's left, 180 degrees to the back. A positive ``elevation``
    raises it, so that it looks down on the person.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import rotation_about, swing

__all__ = ["orbit", "standing_pose"]


def orbit(
    body: BodyParams,
    model: BodyModel,
    angle: Float[Tensor, "T"],
    elevation: float = 0.0,
) -> BodyParams:
    """See a body from other sides.

    The camera turns about the vertical through the root joint. The point of the ground below it stays where it is in
    the picture, so that the person neither sinks nor floats when the camera rises.

    Args:
        body: T frames, or one that is seen from T sides.
        model: The body model.
        angle: About the vertical [rad].
        elevation: Of the camera [rad].

    Returns:
        T frames; those of angle 0 and elevation 0 are the given ones.
    """
    rest = model.rest(body.betas[None])
    poses = [body.rel_rotmats[t : t + 1] for t in range(len(body))]
    ground = torch.cat([model.pose(rest, pose).vertices[..., 1].amax(1) for pose in poses])
    tilt = rotation_about("x", angle.new_tensor(elevation))
    turned = body.rel_rotmats.repeat(len(angle) // len(body), 1, 1, 1)
    turned[:, model.roles.root] = tilt @ rotation_about("y", angle) @ turned[:, model.roles.root]
    drop = body.camera.scale * ground * (1 - tilt[1, 1])
    translation = body.camera.translation + torch.stack([torch.zeros_like(drop), drop], 1)
    camera = WeakPerspective(body.camera.scale.expand(len(angle)), translation.expand(len(angle), 2))
    return BodyParams(body.betas, turned, camera)


def standing_pose(model: BodyModel, betas: Float[Tensor, "K"], arms: float) -> Float[Tensor, "1 J 3 3"]:
    """Upright, facing the camera, with straight arms.

    Args:
        model: The body model.
        betas: The person's shape.
        arms: Angle of the arms below the horizontal [rad]: 0 for a T, a quarter of pi for an A.

    Returns:
        Rotations of all joints; the fingers are those of the rest pose.
    """
    joints, roles = model.rest(betas[None]).joints[0], model.roles
    rotations = torch.eye(3, dtype=betas.dtype, device=betas.device).repeat(len(model.joint_names), 1, 1)
    down = betas.new_tensor(arms)
    for side, sign in enumerate((1.0, -1.0)):
        along = torch.stack([sign * down.cos(), down.sin(), torch.zeros_like(down)])
        upper, lower, hand = roles.upper_arm[side], roles.lower_arm[side], roles.hand[side]
        raised = swing(joints[lower] - joints[upper], along)
        straight = swing(joints[hand] - joints[lower], along)
        rotations[upper], rotations[lower] = raised, raised.mT @ straight
    return rotations[None]
