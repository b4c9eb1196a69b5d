"""What people give, checked at both public doors, Python and the command line. No torch here."""

import os
import re
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import ImageColor

from liquidwarp.errors import MediaError, SettingError, ShapeError

__all__ = ["check_background", "check_inputs", "check_numbers", "check_picture", "parse_background"]


def parse_background(text: str | None) -> tuple[int, int, int] | Path | Literal["transparent"] | None:
    """A colour, "transparent", or a file.

    Example:
        >>> parse_background("#00b140"), parse_background("navy")
        ((0, 177, 64), (0, 0, 128))

    Raises:
        SettingError: a broken colour.
        MediaError: neither a colour nor a file.
    """
    if text is None:
        return None
    if text == "transparent":
        return "transparent"
    if text.startswith("#"):
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
            raise SettingError(f'background: expected a colour such as "#00b140", got "{text}".')
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    if not os.path.exists(text) and not Path(text).suffix:
        try:
            red, green, blue = ImageColor.getrgb(text)[:3]
        except ValueError as error:
            raise SettingError(
                f"background: expected a file, transparent, or a colour such as white or #00b140, got {text!r}."
            ) from error
        return red, green, blue
    check_inputs("background", [Path(text)])
    return Path(text)


def check_background(given: Any) -> Any:
    """What shall stand behind the person, as it was given in Python.

    Args:
        given: None, "transparent", a colour as RGB (0..255) or as text, a file, or a uint8 picture (H, W, 3).

    Returns:
        Texts are colours, "transparent" or files now, colours tuples of numbers.

    Raises:
        SettingError: no colour, or none of these.
        ShapeError: a picture of another shape or type.
        MediaError: no such file.
    """
    if isinstance(given, np.ndarray):
        check_picture("background", given, (3,))
        return given
    if isinstance(given, (tuple, list)):
        if len(given) != 3 or not all(isinstance(part, Integral) and 0 <= int(part) <= 255 for part in given):
            raise SettingError(f"background: expected a colour of three whole numbers from 0 to 255, got {given}.")
        return tuple(int(part) for part in given)
    if given is None or isinstance(given, str):
        return parse_background(given)
    if not isinstance(given, Path):
        raise SettingError(
            f"background: expected a file, transparent, a colour or a picture, got {type(given).__name__}."
        )
    check_inputs("background", [given])
    return given


def check_picture(name: str, picture: Any, channels: Sequence[int]) -> None:
    """Check that an array is a picture.

    Args:
        name: What it is, for the message.
        picture: The array.
        channels: Numbers of channels that are allowed.

    Raises:
        ShapeError: it is not uint8 (H, W, C).
    """
    fits = picture.ndim == 3 and picture.shape[-1] in channels and picture.size > 0
    if not fits or picture.dtype != np.uint8:
        wanted = " or ".join(f"(H, W, {count})" for count in channels)
        raise ShapeError(f"{name}: expected a picture as uint8 {wanted}, RGB; got {picture.dtype} {picture.shape}.")


def check_numbers(fps: float | int | None, frames: int | None) -> None:
    """Check a frame rate and a number of frames.

    Raises:
        SettingError: outside of what is sensible.
    """
    if fps is not None and not (isinstance(fps, Real) and 0 < fps <= 240):
        raise SettingError(f"fps: expected more than 0 and at most 240 frames per second, got {fps!r}.")
    if frames is not None and not (isinstance(frames, Integral) and frames >= 1):
        raise SettingError(f"frames: expected at least 1, got {frames!r}.")


def check_inputs(name: str, paths: Sequence[Path]) -> None:
    """Check that there are inputs and that they exist.

    Raises:
        SettingError: none given.
        MediaError: one does not exist.
    """
    if not paths:
        raise SettingError(f"{name}: expected at least one file, got none.")
    for path in paths:
        if not os.path.exists(path):
            raise MediaError(f"{name}: {path}: no such file or folder. Check the spelling.")
