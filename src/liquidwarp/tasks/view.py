"""Novel view: the person of the photos seen from other sides.

Paper:
    Liu et al. 2021, Sec. 3.4 (Human novel view synthesis): the source's own pose, the camera turned.
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyParams
from liquidwarp.body.motion import Motion, leg_length
from liquidwarp.body.retarget import retarget
from liquidwarp.body.turntable import orbit, seen_centre, standing_pose
from liquidwarp.config import SynthesisConfig, ViewConfig
from liquidwarp.synthesizer import SourceBank
from liquidwarp.tasks.rendering import Rendering

__all__ = ["STANDING", "VIEW_FPS", "view", "view_angles"]

VIEW_FPS = 30.0
_FRAMES = 180
"""Of a turn, unless another number is asked for: six seconds."""

STANDING = {"t": 0.0, "a": math.radians(45)}
"""Poses that have a name: how far the arms hang below the horizontal [rad]."""


def view(
    bank: SourceBank,
    pose: str | Motion = "own",
    config: ViewConfig | None = None,
    synthesis: SynthesisConfig | None = None,
) -> Rendering:
    """Show the person from other sides, at its place and size in the first photo.

    The camera turns about the hips, or, where the photo shows no foot, about the middle of the trunk and the head.

    Args:
        bank: The person.
        pose: "own" for that of the first photo, "t" or "a" to stand with the arms spread or half lowered, or a motion
            that goes on while the camera turns.
        config: How the camera turns.
        synthesis: How frames are rendered.

    Returns:
        The result, not yet rendered.
    """
    config = config or ViewConfig()
    body = _posed(bank, pose, 1 if config.angle is not None else config.frames)
    angles = view_angles(config, len(body))
    about = seen_centre(body, bank.model, bank.size) if len(body) == 1 else None
    targets = orbit(body, bank.model, angles, math.radians(config.elevation), about)
    fps = pose.fps if isinstance(pose, Motion) else VIEW_FPS
    return Rendering(bank, targets, synthesis or SynthesisConfig(), fps)


def view_angles(config: ViewConfig, poses: int = 1) -> Float[Tensor, "T"]:
    """The camera's angle in each frame [rad]; full turns end one step before their start, so that they can be looped.

    Args:
        config: How the camera turns.
        poses: Number of frames of a moving pose; 1: it stands still.
    """
    if config.angle is not None:
        return torch.tensor([math.radians(config.angle)])
    frames = poses if poses > 1 else config.frames or _FRAMES
    steps = frames if config.turn % 360 == 0 else max(1, frames - 1)
    return torch.arange(frames) * (math.radians(config.turn) / steps)


def _posed(bank: SourceBank, pose: str | Motion, frames: int | None) -> BodyParams:
    """The person in the first photo, in the pose that is asked for: one frame, or a motion's."""
    if pose == "own":
        return bank.body
    if isinstance(pose, str):
        rotations = standing_pose(bank.model, bank.body.betas, STANDING[pose])
        still = torch.zeros(1, 3)
        pose = Motion(rotations, still, torch.ones(1), VIEW_FPS, leg_length(bank.model, bank.body.betas), pose)
    pose = pose[slice(0, frames)]
    if len(pose) > 1:  # the camera turns about the person, so that nobody walks out of the picture
        pose = replace(pose, translation=pose.translation * pose.translation.new_tensor([0.0, 1.0, 0.0]))
    return retarget(pose, bank.body, bank.model, image_size=bank.size)
