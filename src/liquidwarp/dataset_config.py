"""Settings of training data made from real videos and photos; no torch here."""

from dataclasses import dataclass
from typing import Literal

from liquidwarp.errors import SettingError

__all__ = ["PrepareConfig"]


@dataclass(frozen=True)
class PrepareConfig:
    """How videos and photos become training data."""

    size: int = 512
    """Side of the stored squares around the person [px], a multiple of 8; training may use smaller ones."""
    frames: int = 64
    """Most frames that are kept of a video, spread evenly over it."""
    limit: int = 0
    """Read only the first frames of each video; 0: all of it."""
    fps: float = 0.0
    """Frames per second at which videos are read; 0: their own rate."""
    margin: float = 0.12
    """Free space around the person, as a share of the larger extent."""
    folders: Literal["auto", "photos", "frames"] = "auto"
    """What a folder of images is: photos of one person, or the frames of a video. auto: frames if there are at least
    16 that differ by their number only, else photos."""
    background: Literal["draft", "good"] = "draft"
    """How a place that no frame shows is filled in. good: copies patches, seconds a frame. draft: smears."""
    held_out: int = 5
    """Every so many clips one is held out for tests, where no text list says which; 0: none."""

    def __post_init__(self) -> None:
        if self.size < 64 or self.size % 8:
            raise SettingError(f"size: expected a multiple of 8, at least 64, got {self.size}.")
        for name, least in (("frames", 2), ("limit", 0), ("held_out", 0)):
            if getattr(self, name) < least:
                raise SettingError(f"{name}: expected at least {least}, got {getattr(self, name)}.")
        if not 0 <= self.fps <= 240:
            raise SettingError(f"fps: expected 0 (the video's own) to 240, got {self.fps}.")
        if not 0 <= self.margin <= 1:
            raise SettingError(f"margin: expected 0 to 1, got {self.margin}.")
        for name, choices in (("folders", ("auto", "photos", "frames")), ("background", ("draft", "good"))):
            if getattr(self, name) not in choices:
                raise SettingError(f"{name}: expected one of {', '.join(choices)}, got {getattr(self, name)!r}.")
