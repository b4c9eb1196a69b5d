"""The command that imitates live. Reading this imports neither torch nor a network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from liquidwarp.errors import SettingError
from liquidwarp.given import check_inputs, parse_background
from liquidwarp.options import Device, Size, parse_people
from liquidwarp.recover.detection.choice import parse_choice

__all__ = ["Live"]


@dataclass(frozen=True)
class Live:
    """Live imitation: the person of the photos does what a camera sees, with as many frames as the computer manages."""

    source: tuple[Path, ...]
    """Photos of one person, a folder of photos, a video, or a .liquid file."""
    driving: str = "0"
    """A camera's number, or a video that is played at its own speed."""
    out: Path | None = None
    """A video to write (.mp4, .mov, .mkv, .webm), at the camera's frame rate and speed; without it: a window, which
    Escape closes."""
    seconds: float | None = None
    """End after this time."""
    camera: Literal["fixed", "follow"] = "fixed"
    """fixed: the person stays in place. follow: size and place as the camera sees them."""
    size: Size = 256
    """Side of the square in which the person is rendered [px]; smaller is faster."""
    renderer: str = "texture"
    """texture is the fastest; as for imitate."""
    person: tuple[str, ...] = ("largest",)
    """Who, if there are several people in the sources, as for imitate."""
    driving_person: str = "largest"
    """Who moves, if there are several people before the camera."""
    background: str | None = None
    """Another background: an image or a colour."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    cache: bool = True
    """Keep what was found in the source for the next run."""

    def run(self) -> None:
        """Imitate until the camera ends, the time is over, Escape or Ctrl-C."""
        if self.seconds is not None and not self.seconds > 0:
            raise SettingError(f"seconds: expected more than 0, got {self.seconds}.")
        person, driving_person = parse_people(self.person), parse_choice(self.driving_person, "driving_person")
        background = parse_background(self.background)
        check_inputs("source", self.source)
        if not self.driving.isdecimal():
            check_inputs("driving", (Path(self.driving),))
        from liquidwarp.arguments import check_apart, check_backdrop, check_source
        from liquidwarp.media import IMAGE_SUFFIXES, check_output

        if isinstance(background, Path) and background.suffix.lower() not in IMAGE_SUFFIXES:
            raise SettingError("background: live takes an image or a colour, no video.")
        if background == "transparent":
            raise SettingError("background: live takes an image or a colour, nothing transparent.")
        check_backdrop(background, "loop")
        if self.out is not None:
            check_output(self.out)
            check_apart(self.out, *self.source, self.driving, self.background)
        check_source("source", self.source)
        from liquidwarp.api import LiquidWarper
        from liquidwarp.media.newest import NewestFrames

        warper = LiquidWarper.from_pretrained(
            device=self.device, size=self.size, renderer=self.renderer, cache=self.cache
        )
        frames = NewestFrames(self.driving)
        prepared = warper.prepare(list(self.source), person=person, background=background)
        prepared.backdrop.still()  # completed before the camera runs
        results = warper.live(prepared, frames, self.camera, driving_person)
        from liquidwarp.tasks.live_output import show_live, write_live

        with frames:
            if self.out is None:
                show_live(results, self.seconds)
            else:
                write_live(results, self.out, frames.fps, prepared.size, self.seconds)
                print(f"Written: {self.out}")
