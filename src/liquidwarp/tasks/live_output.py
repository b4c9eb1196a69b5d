"""Where live pictures go: to a window, or to a video that plays as fast as it was."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from liquidwarp.errors import NoPersonFoundError, SettingError
from liquidwarp.media import VideoWriter
from liquidwarp.tasks.live import LiveResult

__all__ = ["show_live", "write_live"]

_ESCAPE = 27
_NAME = "liquidwarp (Escape ends)"


def _told(results: Iterator[LiveResult], seconds: float | None) -> Iterator[LiveResult]:
    """The results of so many seconds, with the frame rate shown."""
    with tqdm(desc="Live", unit="frame", bar_format="{desc}: {n} frames{postfix}") as bar:
        for result in results:
            if seconds is not None and result.time > seconds:
                return
            bar.set_postfix_str(
                f"{result.fps:.1f} frames/s, {1000 * result.delay:.0f} ms behind, {result.dropped} dropped"
            )
            bar.update()
            yield result


def show_live(results: Iterator[LiveResult], seconds: float | None = None) -> None:
    """Show the pictures in a window until they end, or Escape is pressed.

    Raises:
        SettingError: there are no windows here.
    """
    try:
        for result in _told(results, seconds):
            cv2.imshow(_NAME, cv2.cvtColor(np.ascontiguousarray(result.picture[..., :3]), cv2.COLOR_RGB2BGR))
            if cv2.waitKey(1) == _ESCAPE:
                break
        cv2.destroyAllWindows()
    except cv2.error as error:
        raise SettingError(
            "live: no window can be opened here. Give --out, or install opencv-python in place of its headless build."
        ) from error


def write_live(
    results: Iterator[LiveResult],
    path: Path,
    fps: float | int,
    size: tuple[int, int],
    seconds: float | None = None,
) -> int:
    """Write the pictures to a video; each stays until the next one's time.

    Args:
        results: From :func:`liquidwarp.tasks.live.imitate_live`.
        path: The video.
        fps: Its frame rate.
        size: (width, height) of the pictures [px].
        seconds: End after this time.

    Returns:
        The number of different pictures.

    Raises:
        MediaError: the place cannot be written.
        NoPersonFoundError: nobody was seen.
    """
    made, begin, written = 0, None, 0
    with VideoWriter(path, fps, size) as video:
        last = None
        for result in _told(results, seconds):
            begin = result.time if begin is None else begin
            place = round((result.time - begin) * fps)
            while last is not None and written < place:
                video.write(last)
                written += 1
            last = result.picture
            made += 1
        if last is None:
            raise NoPersonFoundError("live: nobody was seen. The whole body should be in view, not too dark.")
        video.write(last)
    return made
