"""Motion imitation: the source's person does what the driving's does.

Paper:
    Liu et al. 2021, Sec. 3.4 (Human motion imitation): shape from the source, pose from the driving.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from liquidwarp.body.model import BodyModel
from liquidwarp.body.motion import MOTION_SUFFIXES, Motion, load_motion, motion_of
from liquidwarp.body.retarget import retarget
from liquidwarp.body.turntable import frozen_turns
from liquidwarp.cache import Cache
from liquidwarp.config import ImitateConfig, SynthesisConfig
from liquidwarp.effects import Effects
from liquidwarp.errors import SettingError
from liquidwarp.media import IMAGE_SUFFIXES, FrameSource, open_frames
from liquidwarp.recover.digitize import recover_photos, recover_video
from liquidwarp.recover.overlay import draw_body
from liquidwarp.synthesizer import SourceBank
from liquidwarp.tasks.rendering import Rendering

__all__ = ["Driving", "Imitation", "check_effects", "imitate", "load_driving"]

_STILL_RATE = 25.0
"""Frames per second of a photo as motion, unless another rate is asked for."""


@dataclass(frozen=True)
class Driving:
    """What moves the person."""

    motion: Motion
    path: Path
    frames: FrameSource | None
    """The driving's own pictures; None for a motion file."""
    notes: tuple[str, ...] = ()
    """What the user should know about what was recovered, in whole sentences."""

    @property
    def sound(self) -> Path | None:
        """The file whose sound goes with the result."""
        return self.path if self.frames is not None and self.frames.has_audio else None


def load_driving(
    path: Path | str,
    model: BodyModel,
    fps: float | None = None,
    max_frames: int | None = None,
    person: int | tuple[float, float] | None = None,
    cache: Cache | None = None,
    progress: bool = True,
) -> Driving:
    """Get the motion of a video, a folder of frames, a photo or a motion file.

    Args:
        path: What moves.
        model: The body.
        fps: Frames per second of the result; None keeps the driving's.
        max_frames: Only the first frames.
        person: Who, if several people are in view.
        cache: Where recovered videos are kept.
        progress: Show progress bars.

    Raises:
        MediaError: the file cannot be read.
        MotionError: a motion file is not understood.
        NoPersonFoundError: nobody is in the driving.
    """
    path = Path(path)
    if path.suffix.lower() in MOTION_SUFFIXES:
        motion = load_motion(path, model, fps)
        return Driving(motion[slice(0, max_frames)], path, None)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        recovery = recover_photos([path], model=model, person=person, cache=cache, progress=progress)
        motion = motion_of(recovery.body, model, fps or _STILL_RATE, path.stem)
        return Driving(motion, path, open_frames(path), recovery.notes)
    recovery = recover_video(
        path, fps=fps, max_frames=max_frames, model=model, person=person, cache=cache, progress=progress
    )
    frames = open_frames(path, fps=fps, max_frames=max_frames)
    motion = motion_of(recovery.body, model, recovery.fps, path.stem, recovery.shot, recovery.scene)
    return Driving(motion, path, frames, recovery.notes)


@dataclass(frozen=True)
class Imitation(Rendering):
    """The person with the driving's motion.

    Example:
        warper.imitate(person, driving="dance.mp4").save("out.mp4")
    """

    driving: Driving = field(repr=False)
    config: ImitateConfig
    shown: tuple[int, ...] = field(repr=False)
    """Which of the driving's frames each frame shows: 0, 1, 2..., unless time stands still."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames [px]."""
        width, height = super().size
        if self.config.layout == "clean":
            return width, height
        return sum(p.shape[1] for p in (self._source_panel(), self._driving_panel(0, None))) + width, height

    @property
    def sound(self) -> Path | None:
        """The driving's; none if time stands still."""
        return self.driving.sound if len(self) == len(self.driving.motion) else None

    def frames(self, start: int = 0) -> Iterator[UInt8[np.ndarray, "H W C"]]:
        """The frames from ``start`` on, one at a time."""
        results = super().frames(start)
        if self.config.layout == "clean":
            yield from results
            return
        pictures = iter(self.driving.frames) if self.driving.frames is not None else None
        source = self._source_panel()
        picture, read = None, 0
        for index, result in enumerate(results, start):
            while pictures is not None and read <= self.shown[index]:
                picture, read = next(pictures, None), read + 1
            panels = [source, self._driving_panel(index, picture)]
            if result.shape[-1] == 4:
                panels = [np.dstack([panel, np.full(panel.shape[:2], 255, np.uint8)]) for panel in panels]
            yield np.concatenate([*panels, result], 1)

    def _source_panel(self) -> UInt8[np.ndarray, "H W 3"]:
        return self.bank.picture

    def _driving_panel(self, index: int, picture: UInt8[np.ndarray, "h w 3"] | None) -> UInt8[np.ndarray, "_ _ 3"]:
        """The driving's frame at the result's height; for a motion file the moving body itself."""
        height = self.bank.size[1]
        if self.driving.frames is None:
            grey = np.full_like(self.bank.picture, 230)
            return draw_body(grey, self.targets[slice(index, index + 1)], self.bank.model)
        if picture is None:
            picture = np.zeros((self.driving.frames.size[1], self.driving.frames.size[0], 3), np.uint8)
        width = max(2, round(picture.shape[1] * height / picture.shape[0]))
        return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))

    def _key(self) -> str:
        return f"{super()._key()}-{self.config!r}"


def imitate(
    bank: SourceBank,
    driving: Driving,
    config: ImitateConfig | None = None,
    synthesis: SynthesisConfig | None = None,
    effects: Effects | None = None,
) -> Imitation:
    """Let the person do the driving's motion.

    Args:
        bank: The person.
        driving: What moves.
        config: Camera and layout.
        synthesis: How frames are rendered.
        effects: Several views, bullet time.

    Returns:
        The result, not yet rendered.

    Raises:
        SettingError: the effects name a frame that the motion does not have.
    """
    config, effects = config or ImitateConfig(), effects or Effects()
    check_effects(effects, len(driving.motion))
    moved = retarget(driving.motion, bank.body, bank.model, config.camera, image_size=bank.size)
    targets, shown = frozen_turns(moved, bank.model, effects.bullet_time)
    synthesis = synthesis or SynthesisConfig()
    return Imitation(bank, targets, synthesis, driving.motion.fps, driving, config, shown, views=effects.views)


def check_effects(effects: Effects, frames: int) -> None:
    """Check that a motion has the frames at which it shall stand still.

    Args:
        effects: What is wanted.
        frames: Of the motion.

    Raises:
        SettingError: it has not.
    """
    for frame, _ in effects.bullet_time:
        if frame >= frames:
            raise SettingError(f"bullet_time: expected a frame from 0 to {frames - 1}, the motion's last; got {frame}.")
