"""Fingers laid on the hand's landmarks in the picture.

The landmarks in space tell how far fingers are bent, but not surely: a hand that points at the camera comes out too
small. Where the fingers end in the picture is known to a few millimetres. So each finger of a hand that was seen well
is turned until it ends there, as little as needed.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotvec_to_matrix
from liquidwarp.recover.fitting.fingers import BENDS, SPREAD, THUMB_BENDS, finger_axes, palm_normal
from liquidwarp.recover.fitting.observation import Observation

__all__ = ["fingers_in_picture"]

_STEPS = 6
_ACCURACY = 0.006
"""Trusted accuracy of a finger's landmarks in the picture [m],"""
_LEEWAY = (0.5, 0.15)
"""and of its bends and its spread before [rad]."""
_CHUNK = 16
"""Frames whose bodies are posed at once."""


@dataclass(frozen=True)
class _Finger:
    """One finger of M hands. Its angles: the spread at the root, then a bend for each of its C joints."""

    rest: Float[Tensor, "C 3"]
    """Its joints at rest [m],"""
    points: Float[Tensor, "C 3"]
    """and the landmark beyond each of them."""
    axis: Float[Tensor, "3"]
    """Bending about it is positive, at rest."""
    palm: Float[Tensor, "3"]
    """Out of the palm, at rest."""
    root: Float[Tensor, "M 3"]
    """The first joint, posed [m]."""
    above: Float[Tensor, "M 3 3"]
    """Orientation of the joint before it."""
    start: Float[Tensor, "M C 3 3"]
    """Rotations of the joints, each against the one before."""

    def rotations(self, angles: Float[Tensor, "M A"]) -> Float[Tensor, "M C 3 3"]:
        """The joints' rotations after turning by these angles [rad]."""
        bent = rotvec_to_matrix(self.axis * angles[:, 1:, None]) @ self.start
        spread = rotvec_to_matrix(self.palm * angles[:, :1])
        return torch.cat([(spread @ bent[:, 0])[:, None], bent[:, 1:]], 1)

    def locate(self, angles: Float[Tensor, "M A"]) -> tuple[Float[Tensor, "M C 3"], Float[Tensor, "M C 3 A"]]:
        """The landmarks [m], and how the angles move them [m/rad]."""
        turns = self.rotations(angles)
        above, place = self.above, self.root
        spread = rotvec_to_matrix(self.palm * angles[:, :1])
        axes, pivots, found = [above @ self.palm], [place], []
        for joint in range(len(self.rest)):
            axes.append((above @ spread if joint == 0 else above) @ self.axis)
            pivots.append(place)
            above = above @ turns[:, joint]
            found.append(place + above @ (self.points[joint] - self.rest[joint]))
            if joint + 1 < len(self.rest):
                place = place + above @ (self.rest[joint + 1] - self.rest[joint])
        points = torch.stack(found, 1)
        levers = points[:, :, None] - torch.stack(pivots, 1)[:, None]  # M C A 3
        moved = torch.linalg.cross(torch.stack(axes, 1)[:, None].expand_as(levers), levers)
        joints = torch.arange(len(self.rest))
        reaches = torch.cat([torch.ones(len(joints), 1), (joints[None] <= joints[:, None]).float()], 1)
        return points, (moved * reaches[None, :, :, None]).transpose(-1, -2)

    def bends(self) -> Float[Tensor, "M C"]:
        """How far the joints are bent at the start [rad]."""
        return matrix_to_rotvec(self.start) @ self.axis


def fingers_in_picture(
    body: BodyParams, observation: Observation, frames: Int64[Tensor, "M"], model: BodyModel
) -> BodyParams:
    """Turn the fingers of seen hands until they end where the picture shows them.

    Args:
        body: T frames with fingers from :func:`liquidwarp.recover.fitting.fingers.pose_fingers`; cameras in original
        pixels.
        observation: The M frames with a person.
        frames: Their numbers.
        model: The body.
    """
    rotations = body.rel_rotmats.clone()
    rest_body = model.rest(body.betas[None])
    rest = rest_body.joints[0]
    for side, name in enumerate(("left_hand", "right_hand")):
        seen = (observation.hand_weight[:, side] > 0).nonzero()[:, 0]
        if name not in model.landmarks or not model.roles.fingers[side] or len(seen) == 0:
            continue
        table = model.landmarks[name]
        points = table.rest + torch.einsum("k,klc->lc", body.betas, table.basis)
        palm, axes = palm_normal(model, rest, side), finger_axes(model, rest, side)
        for chunk in seen.split(_CHUNK):
            rows, here = frames[chunk], observation.frames(chunk)
            posed = model.pose(rest_body, rotations[rows])
            pixels = here.hand_image[:, side] * here.pixels_per_metre[:, None, None] + here.centre[:, None]
            camera = body.camera[rows]
            wanted = (pixels - camera.translation[:, None]) / camera.scale[:, None, None]
            for number, (chain, axis) in enumerate(zip(model.roles.fingers[side], axes, strict=True)):
                joints, first = list(chain), 1 + 4 * number
                finger = _Finger(
                    rest[joints],
                    points[first + 1 : first + 4],
                    axis,
                    palm,
                    posed.joints[:, joints[0]],
                    posed.glob_rotmats[:, model.parents[joints[0]]],
                    rotations[rows][:, joints],
                )
                limits = THUMB_BENDS if number == 0 else BENDS
                angles = _angles(finger, wanted[:, first + 1 : first + 4], here.hand_weight[:, side], limits)
                rotations[rows[:, None], torch.tensor(joints)] = finger.rotations(angles)
    return replace(body, rel_rotmats=rotations)


def _angles(
    finger: _Finger, wanted: Float[Tensor, "M C 2"], weight: Float[Tensor, "M"], limits: tuple[float, float]
) -> Float[Tensor, "M A"]:
    """Gauss-Newton: by how much spread and bends change [rad].

    Args:
        finger: The finger.
        wanted: Where its landmarks are in the picture [m].
        weight: How well the hand was seen [0, 1].
        limits: Least and largest bend [rad].
    """
    start = finger.bends()
    angles = start.new_zeros(len(start), 1 + start.shape[1])
    leeway = angles.new_tensor([_LEEWAY[1], *[_LEEWAY[0]] * start.shape[1]])
    low = torch.cat([-SPREAD + 0 * start[:, :1], (limits[0] - start).clamp(max=0)], 1)
    high = torch.cat([SPREAD + 0 * start[:, :1], (limits[1] - start).clamp(min=0)], 1)
    for _ in range(_STEPS):
        points, moved = finger.locate(angles)
        residual = ((wanted - points[..., :2]) / _ACCURACY).flatten(1)
        rows = (moved[:, :, :2] / _ACCURACY).flatten(1, 2)
        normal = weight[:, None, None] * rows.mT @ rows + torch.diag(leeway**-2)
        towards = weight[:, None] * (rows.mT @ residual[..., None])[..., 0] - angles / leeway**2
        step = torch.linalg.solve(normal, towards)
        angles = (angles + step.clamp(-0.5, 0.5)).clamp(low, high)
    return angles
