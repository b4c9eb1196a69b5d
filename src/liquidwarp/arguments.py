"""What was typed on the command line: mistakes are told in one line, broken input is refused before any work."""

from collections.abc import Sequence
from pathlib import Path

from liquidwarp.effects import Effects
from liquidwarp.errors import MediaError, SettingError
from liquidwarp.files import check_apart, check_target
from liquidwarp.media import IMAGE_SUFFIXES, check_output, find_images, open_frames, read_image
from liquidwarp.media.images import check_image_name

__all__ = [
    "check_apart",
    "check_backdrop",
    "check_driving",
    "check_result",
    "check_shape",
    "check_source",
    "explain_shape",
    "is_single_pose",
]

_MOTION_SUFFIXES = (".bvh", ".npz")


def check_source(name: str, paths: Sequence[Path]) -> None:
    """Check that the source is photos and folders of photos, or else one video, and that all can be read.

    Args:
        name: The option, for the message.
        paths: What was given.

    Raises:
        MediaError: photos and a video together, several videos, or a file that cannot be read.
        WeightsCorruptError: a personalised person's file of another version, or damaged.
    """
    if len(paths) == 1 and paths[0].suffix == ".liquid":
        from liquidwarp.personal.person_file import check_person

        check_person(paths[0])
        return
    videos = [path for path in paths if not path.is_dir() and path.suffix.lower() not in IMAGE_SUFFIXES]
    if videos and len(paths) > 1:
        raise MediaError(
            f"{name}: {videos[0]}: expected photos of one person or one video, got {len(paths)} inputs with "
            f"{len(videos)} of them not a photo. Leave all but one kind away."
        )
    for path in paths:
        if path.is_dir():
            for photo in find_images(path):
                read_image(photo)
        else:
            open_frames(path)


def check_driving(
    path: Path, fps: float | int | None = None, frames: int | None = None, effects: Effects | None = None
) -> int:
    """Check that a motion file, a photo, a video or a folder of frames can be read, and has the frames for effects.

    Args:
        path: The file or folder.
        fps: Frames per second at which it will be read.
        frames: Only the first frames matter.
        effects: What shall be done with it.

    Returns:
        How many frames the result has.

    Raises:
        MediaError: it cannot be read.
        MotionError: a motion file is not understood.
        SettingError: it has not the frames that the effects name.
    """
    if path.suffix.lower() in _MOTION_SUFFIXES:
        from liquidwarp.body.anny import AnnyBody  # needs torch, and telling of a typing mistake should be quick
        from liquidwarp.body.motion import load_motion

        count = len(load_motion(path, AnnyBody.load(), fps))
    else:
        count = open_frames(path, fps, frames).num_frames
    count = min(count, frames or count)
    if effects is None or not effects.bullet_time:
        return count
    from liquidwarp.tasks.imitate import check_effects

    check_effects(effects, count)
    return count + sum(still - 1 for _, still in effects.bullet_time)


def is_single_pose(driving: Path | None, frames: int | None, effects: Effects) -> bool:
    """Whether a driving gives but one picture: none at all, a photo, or the first frame of anything."""
    one = driving is None or frames == 1 or (driving.suffix.lower() in IMAGE_SUFFIXES and not driving.is_dir())
    return one and not effects.bullet_time


def check_shape(text: str | None) -> None:
    """Check that a shape edit can be read.

    Raises:
        SettingError: it cannot.
    """
    if text is not None:
        from liquidwarp.body.anny import AnnyBody
        from liquidwarp.body.shape import parse_shape

        parse_shape(text, AnnyBody.load())


def explain_shape() -> str:
    """What of a body can be changed, one line for each name."""
    from liquidwarp.body.anny import AnnyBody
    from liquidwarp.body.shape import shape_table

    return "\n".join(f"{name:17}{given}" for name, given in shape_table(AnnyBody.load()))


def check_backdrop(background: object, ending: str) -> None:
    """Check that what shall stand behind the person can be read.

    Args:
        background: From :func:`liquidwarp.given.parse_background`.
        ending: What a video does at its end.

    Raises:
        MediaError: it cannot be read.
        SettingError: an ending without a video.
    """
    film = isinstance(background, Path) and background.suffix.lower() not in IMAGE_SUFFIXES
    if ending != "loop" and not film:
        raise SettingError("background_end: only a video as background has an end. Leave this option away.")
    if isinstance(background, Path):
        if film:
            open_frames(background)
        else:
            read_image(background)


def check_result(path: Path, still: bool, alpha: bool = False) -> None:
    """Check that the result can be written before it is made.

    Args:
        path: An image's name, a video's, or a folder's.
        still: Whether the result is a single picture.
        alpha: Whether it is transparent.

    Raises:
        MediaError: the place cannot be written, its format is unknown or cannot hold transparency, or several frames
            shall go into one image.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        check_output(path, alpha)
    elif still:
        check_image_name(path, alpha)
        check_target(path)
    else:
        raise MediaError(f"{path}: expected a video's name (.mp4) or a folder for several frames, got an image's.")
