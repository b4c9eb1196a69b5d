"""What is done to the pictures of a motion: several views, bullet time. No torch here."""

from dataclasses import dataclass

from liquidwarp.errors import SettingError

__all__ = ["Effects"]


@dataclass(frozen=True)
class Effects:
    """What is done to the pictures of a motion."""

    views: tuple[float | int, ...] = ()
    """Sides from which the person is shown, side by side [degrees]: 0 as in the photo, 90 from the person's left."""
    bullet_time: tuple[tuple[int, int], ...] = ()
    """(frame, frames): at this frame of the motion, from 0 on, it stands still while the camera goes once around the
    person within so many frames; then it goes on."""

    def __post_init__(self) -> None:
        if len(self.views) > 12:
            raise SettingError(f"views: expected at most 12 sides, got {len(self.views)}.")
        if any(not -3600 <= angle <= 3600 for angle in self.views):
            raise SettingError(f"views: expected -3600 to 3600 degrees, got {self.views}.")
        for frame, frames in self.bullet_time:
            if frame < 0 or not 2 <= frames <= 100_000:
                raise SettingError(
                    f"bullet_time: expected a frame from 0 on and 2 to 100000 frames, got {frame} and {frames}."
                )
        stops = [frame for frame, _ in self.bullet_time]
        if len(set(stops)) < len(stops):
            raise SettingError(f"bullet_time: expected each frame once, got {', '.join(map(str, stops))}.")
