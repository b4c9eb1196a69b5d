"""Live imitation: the person does what somebody before a camera does, as fast as the computer can."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

import numpy as np
import torch
from jaxtyping import UInt8

from liquidwarp.body.model import BodyParams
from liquidwarp.body.motion import motion_of
from liquidwarp.body.retarget import CameraStrategy, retarget
from liquidwarp.config import SynthesisConfig
from liquidwarp.errors import SettingError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.media.newest import NewestFrames
from liquidwarp.recover.live import LiveBody
from liquidwarp.synthesizer import SourceBank, head_memory, render_frames

__all__ = ["LiveResult", "imitate_live"]

_RECENT = 10
"""The frame rate is that of so many results."""


@dataclass(frozen=True)
class LiveResult:
    """One picture of the person."""

    picture: UInt8[np.ndarray, "H W C"]
    index: int
    """Number of the camera's frame."""
    time: float
    """When that was filmed, since the first one [s]."""
    delay: float
    """From the frame to the picture [s]."""
    fps: float
    """Pictures per second, lately."""
    dropped: int
    """Frames of the camera that were not used so far."""


def imitate_live(
    bank: SourceBank,
    frames: NewestFrames,
    body: LiveBody,
    camera: CameraStrategy = "fixed",
    synthesis: SynthesisConfig | None = None,
) -> Iterator[LiveResult]:
    """Let a prepared person do what the camera sees, newest frame first.

    Args:
        bank: The person, prepared at a small size.
        frames: The camera, opened by ``with``.
        body: Finds the body in its frames.
        camera: "fixed" keeps the person's place and size; "follow" takes both from the camera, relative to the first
            frame. "natural" would have to know what comes.
        synthesis: How the person was prepared and is rendered.

    Yields:
        Pictures; none before somebody was seen.

    Raises:
        SettingError: the natural camera, or a film as background.
    """
    if camera == "natural":
        raise SettingError("camera: expected fixed or follow; natural has to know the whole motion.")
    synthesis = synthesis or SynthesisConfig()
    first: BodyParams | None = None
    used, recent, heads = 0, [monotonic()], head_memory(bank)
    for frame in frames:
        began = monotonic()
        seen = body.step(frame.rgb, frame.time)
        if seen is None:
            continue
        first = first or seen
        both = BodyParams(
            seen.betas,
            torch.cat([first.rel_rotmats, seen.rel_rotmats]),
            WeakPerspective(
                torch.cat([first.camera.scale, seen.camera.scale]),
                torch.cat([first.camera.translation, seen.camera.translation]),
            ),
        )
        motion = motion_of(both, bank.model, float(frames.fps), "camera")
        target = retarget(motion, bank.body, bank.model, camera, image_size=bank.size)[slice(1, 2)]
        (picture,) = render_frames(bank, target, synthesis, heads=heads.step(target.rel_rotmats))
        used += 1
        recent = [*recent[-_RECENT:], monotonic()]
        rate = (len(recent) - 1) / max(recent[-1] - recent[0], 1e-6)
        yield LiveResult(picture, frame.index, frame.time, recent[-1] - began, rate, frame.index + 1 - used)
