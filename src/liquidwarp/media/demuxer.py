"""Opening files, whatever PyAV's version and whatever their names."""

from pathlib import Path
from typing import Any

import av

__all__ = ["ffmpeg_name", "open_input"]

_LENIENT: dict[str, Any] = {} if int(av.__version__.split(".", 1)[0]) >= 19 else {"metadata_errors": "ignore"}
"""Tags that are no UTF-8 must not keep a file shut; from version 19 on they never do, and the option is gone."""


def open_input(path: Path) -> Any:
    """A container to read from; a context manager.

    Raises:
        av.error.FFmpegError: the file is not there or cannot be demuxed.
    """
    return av.open(ffmpeg_name(path), **_LENIENT)


def ffmpeg_name(path: Path) -> str:
    """What FFmpeg takes for a file and never for a protocol, such as a name with a colon."""
    return f"file:{path}"
