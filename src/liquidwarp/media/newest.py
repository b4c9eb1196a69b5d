"""The newest frame of a camera, or of a video that is played at its own speed: what comes too fast is dropped."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from jaxtyping import UInt8

from liquidwarp.errors import MediaError
from liquidwarp.media.frames import open_frames

__all__ = ["LiveFrame", "NewestFrames"]

_SILENCE = 10.0
"""A camera that gives nothing for so long is gone [s]."""


@dataclass(frozen=True)
class LiveFrame:
    """One frame and when it was there."""

    rgb: UInt8[np.ndarray, "H W 3"]
    index: int
    """Number of the frame; what was dropped counts too."""
    time: float
    """Since the first frame [s]."""


class NewestFrames:
    """Reads in a thread and keeps only the newest frame; used with ``with``.

    Example:
        with NewestFrames("0") as camera:
            for frame in camera:
                slow_work(frame.rgb)
    """

    def __init__(self, source: str | Path) -> None:
        """Open the camera or check the video.

        Args:
            source: A camera's number, or a video that is played at its own frame rate.

        Raises:
            MediaError: no such camera, or the video cannot be read.
        """
        self._camera: cv2.VideoCapture | None = None
        text = str(source)
        if text.isdecimal() and not Path(text).exists():
            cv2.utils.logging.setLogLevel(
                cv2.utils.logging.LOG_LEVEL_SILENT
            )  # what OpenCV says of a missing camera is said better below
            self._camera = cv2.VideoCapture(int(text))
            if not self._camera.isOpened():
                raise MediaError(f"{text}: no such camera, or it is in use. Give another number, or a video.")
            self.fps = self._camera.get(cv2.CAP_PROP_FPS) or 30.0
            width, height = (self._camera.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
            self.size = (round(width), round(height))
            self._pictures = _filmed(self._camera)
        else:
            video = open_frames(text)
            self.fps, self.size = video.fps, video.size
            self._pictures = iter(video)
        self._fresh = threading.Condition()
        self._newest: LiveFrame | None = None
        self._ended, self._error = False, None  # type: bool, BaseException | None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="frames", daemon=True)

    def __enter__(self) -> "NewestFrames":
        self._thread.start()
        return self

    def _read(self) -> None:
        begin = time.monotonic()
        try:
            for index, picture in enumerate(self._pictures):
                if self._camera is None and self._stop.wait(max(0.0, begin + index / self.fps - time.monotonic())):
                    return
                if self._stop.is_set():
                    return
                shown = index / self.fps if self._camera is None else time.monotonic() - begin
                with self._fresh:
                    self._newest = LiveFrame(picture, index, shown)
                    self._fresh.notify()
        except BaseException as error:
            self._error = error
        finally:
            with self._fresh:
                self._ended = True
                self._fresh.notify()

    def __iter__(self) -> Iterator[LiveFrame]:
        """Each newest frame once, as soon as it is asked for; the last one is always given."""
        while True:
            with self._fresh:
                if not self._fresh.wait_for(lambda: self._newest is not None or self._ended, _SILENCE):
                    raise MediaError("the camera has stopped giving pictures. Check its cable.")
                frame, self._newest = self._newest, None
            if frame is not None:
                yield frame
            elif self._error is not None:
                raise self._error
            else:
                return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=2.0)
        if self._camera is not None:
            self._camera.release()


def _filmed(camera: cv2.VideoCapture) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    while True:
        there, picture = camera.read()
        if not there:
            return
        yield np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
