"""The commands of the paper's three tasks. Reading this imports neither torch nor a network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from liquidwarp.config import ViewConfig
from liquidwarp.errors import SettingError
from liquidwarp.given import check_inputs, check_numbers, parse_background
from liquidwarp.options import Making, parse_effects, parse_people, parse_wear
from liquidwarp.recover.detection.choice import parse_choice

__all__ = ["Imitate", "Transfer", "View"]


@dataclass(frozen=True)
class Imitate(Making):
    """Motion imitation: the person of the photos moves like the driving video, photo or motion file."""

    source: tuple[Path, ...]
    """Photos of one person (front and back show more than one), a folder of photos, a video, or a .liquid file."""
    driving: Path
    """What moves: a video, a folder of frames, a photo, or a motion file (.bvh, .npz)."""
    out: Path
    """The video to make (.mp4, .mov, .mkv, .webm); without a suffix: a folder of PNG files; of a single pose:
    an image."""
    layout: Literal["clean", "strip"] = "clean"
    """clean: the result alone, in the first photo's frame. strip: source, driving and result side by side."""
    camera: Literal["natural", "follow", "fixed"] = "natural"
    """natural: the source's place and size, the driving's relative motion, feet on the ground. follow: as in the
    driving video. fixed: the person stays in place."""
    views: str | None = None
    """Several sides of the person next to each other [degrees]: 0,90,180,270; 90 is from the person's left."""
    bullet_time: tuple[str, ...] = ()
    """FRAME:FRAMES, such as 30:180: at frame 30 of the motion, from 0 on, time stands still while the camera goes once
    around the person within 180 frames. As many as wanted."""
    fps: float | None = None
    """Frames per second of the result; the driving video's rate if not given."""
    frames: int | None = None
    """Only the first frames; handy to try things out."""
    driving_person: str = "largest"
    """Who moves, if there are several people in the driving: as for --person."""

    def run(self) -> None:
        """Make the video."""
        check_numbers(self.fps, self.frames)
        effects = parse_effects(self.views, self.bullet_time)
        parse_people(self.person)
        driving_person = parse_choice(self.driving_person, "driving_person")
        from liquidwarp.arguments import (
            check_apart,
            check_backdrop,
            check_driving,
            check_result,
            check_shape,
            check_source,
            explain_shape,
            is_single_pose,
        )

        if self.shape == "help":
            print(explain_shape())
            return

        background = parse_background(self.background)
        check_inputs("source", self.source)
        check_inputs("driving", (self.driving,))
        check_backdrop(background, self.background_end)
        check_result(self.out, is_single_pose(self.driving, self.frames, effects), alpha=background == "transparent")
        check_apart(self.out, *self.source, self.driving, self.background)
        check_shape(self.shape)
        check_driving(self.driving, self.fps, self.frames, effects)
        check_source("source", self.source)
        from liquidwarp.preparing import load_warper, prepare_people

        warper = load_warper(self)
        (prepared,) = prepare_people(warper, self, self.source)
        result = warper.imitate(
            prepared,
            driving=self.driving,
            camera=self.camera,
            fps=self.fps,
            frames=self.frames,
            layout=self.layout,
            driving_person=driving_person,
            effects=effects,
        )
        result.save(self.out, resume=self.resume)
        print(f"Written: {self.out}")


@dataclass(frozen=True)
class Transfer(Making):
    """Appearance transfer: the person of the photos wears what others give."""

    source: tuple[Path, ...]
    """Photos of who wears it; body shape, background, and what nobody gives are this person's."""
    wear: tyro.conf.UseAppendAction[tuple[str, ...]]
    """FILE:PARTS, as often as there are people who give something: bob.jpg:upper. Several parts: carol.jpg:lower,feet.
    Several photos of one person: a folder, or front.jpg,back.jpg:upper. One of several people in a photo: by number,
    bob.jpg#2:upper, or by a place on them, bob.jpg#640,360:upper. Parts are listed above."""
    out: Path
    """The picture to make (.png, .jpg); with --driving: a video (.mp4, .mov, .mkv, .webm), or a folder."""
    driving: Path | None = None
    """What moves the person, as for imitate; without it: a single picture in the pose of the first photo."""
    camera: Literal["natural", "follow", "fixed"] = "natural"
    """With --driving, as for imitate."""
    views: str | None = None
    """Several sides of the person next to each other [degrees]: 0,90,180,270; 90 is from the person's left."""
    bullet_time: tuple[str, ...] = ()
    """With --driving, as for imitate: FRAME:FRAMES, such as 30:180."""
    fps: float | None = None
    """Frames per second of the result; the driving video's rate if not given."""
    frames: int | None = None
    """Only the first frames; handy to try things out."""
    driving_person: str = "largest"
    """Who moves, if there are several people in the driving: as for --person."""

    def run(self) -> None:
        """Make the picture or the video."""
        from liquidwarp.arguments import (
            check_apart,
            check_backdrop,
            check_driving,
            check_result,
            check_shape,
            check_source,
            explain_shape,
            is_single_pose,
        )

        if self.shape == "help":
            print(explain_shape())
            return
        check_numbers(self.fps, self.frames)
        effects = parse_effects(self.views, self.bullet_time)
        if effects.bullet_time and self.driving is None:
            raise SettingError("bullet_time: expected --driving, a motion that can stand still. Add it.")
        parse_people(self.person)
        driving_person = parse_choice(self.driving_person, "driving_person")
        background = parse_background(self.background)
        wear = parse_wear(self.wear)
        check_inputs("source", self.source)
        for giver, _ in wear:
            check_inputs("wear", giver.paths)
        if self.driving is not None:
            check_inputs("driving", (self.driving,))
        from liquidwarp.tasks.transfer import check_wear

        check_wear([part for _, part in wear])
        check_backdrop(background, self.background_end)
        check_result(self.out, is_single_pose(self.driving, self.frames, effects), alpha=background == "transparent")
        worn_from = [path for giver, _ in wear for path in giver.paths]
        check_apart(self.out, *self.source, *worn_from, self.driving, self.background)
        check_shape(self.shape)
        if self.driving is not None:
            check_driving(self.driving, self.fps, self.frames, effects)
        check_source("source", self.source)
        for giver, _ in wear:
            check_source("wear", giver.paths)
        from liquidwarp.preparing import load_warper, prepare_people

        warper, givers = load_warper(self), tuple(dict(wear))
        prepared, *others = prepare_people(warper, self, self.source, givers)
        worn = dict(zip(givers, others, strict=True))
        result = warper.transfer(
            prepared,
            wear={part: worn[giver] for giver, part in wear},
            driving=self.driving,
            camera=self.camera,
            fps=self.fps,
            frames=self.frames,
            driving_person=driving_person,
            effects=effects,
        )
        result.save(self.out, resume=self.resume)
        print(f"Written: {self.out}")


@dataclass(frozen=True)
class View(Making):
    """Novel view: the camera walks around the person of the photos."""

    source: tuple[Path, ...]
    """Photos of one person (front and back show more than one), a folder of photos, a video, or a .liquid file."""
    out: Path
    """The video to make (.mp4, .mov, .mkv, .webm); without a suffix: a folder of PNG files; with --angle: an image."""
    turn: float = ViewConfig.turn
    """How far the camera goes around the person [degrees]; positive towards the person's left."""
    frames: int | None = None
    """Number of frames, at 30 per second; 180 if not given, of a moving pose all that it has."""
    angle: float | None = None
    """A single picture from this side instead [degrees]: 90 from the person's left, 180 from behind."""
    elevation: float = ViewConfig.elevation
    """How far the camera is raised, looking down [degrees]; 0 leaves it where the photographer held it."""
    pose: str = "own"
    """own: as in the first photo. t, a: standing with the arms spread, or half lowered. Or a motion that goes on
    meanwhile: a video, a photo, or a motion file (.bvh, .npz)."""

    def run(self) -> None:
        """Make the video or the picture."""
        from liquidwarp.arguments import (
            check_apart,
            check_backdrop,
            check_driving,
            check_result,
            check_shape,
            check_source,
            explain_shape,
        )

        if self.shape == "help":
            print(explain_shape())
            return
        ViewConfig(self.turn, self.frames, self.angle, self.elevation)
        parse_people(self.person)
        background = parse_background(self.background)
        check_inputs("source", self.source)
        if self.pose not in ("own", "t", "a"):
            if not Path(self.pose).exists():
                raise SettingError(f"pose: expected own, t, a, or a file that moves, got {self.pose!r}.")
            check_driving(Path(self.pose))
        check_backdrop(background, self.background_end)
        check_result(self.out, self.angle is not None, alpha=background == "transparent")
        check_apart(self.out, *self.source, self.pose, self.background)
        check_shape(self.shape)
        check_source("source", self.source)
        from liquidwarp.preparing import load_warper, prepare_people

        warper = load_warper(self)
        (prepared,) = prepare_people(warper, self, self.source)
        result = warper.view(prepared, self.turn, self.frames, self.elevation, self.pose, self.angle)
        result.save(self.out, resume=self.resume)
        print(f"Written: {self.out}")
