"""What a video holds, found by reading its packets once without decoding them."""

import itertools
import math
import statistics
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from liquidwarp.errors import MediaError
from liquidwarp.media.demuxer import open_input
from liquidwarp.media.hdr import Transfer

__all__ = ["VideoFacts", "display_rotation", "not_readable", "probe_video"]

_MAX_RATE = 240
"""Time stamps that say more are taken to be wrong [1/s]."""


@dataclass(frozen=True)
class VideoFacts:
    """The measured facts of a video file."""

    start: Fraction
    """Time stamp of the first frame [s]."""
    end: Fraction
    """Time stamp of the last frame plus its duration [s]."""
    rate: Fraction
    """Average rate of the frames [1/s]."""
    stored: tuple[int, int]
    """(width, height) before rotation, with square pixels [px]."""
    turns: int
    """Quarter turns counter-clockwise that show the frames upright."""
    flip: bool
    """Whether a left-right flip is needed after the turns."""
    has_audio: bool
    transfer: Transfer
    """How the pictures' numbers stand for light."""
    stamped: bool
    """Whether every frame has a time stamp of its own (AVI knows none)."""


def probe_video(path: Path, seconds: float | None = None) -> VideoFacts:
    """Read the packets' time stamps (the first ``seconds`` only, if given) and decode the first frame.

    Raises:
        MediaError: not a video, no video stream, no frames, or the file is cut off.
    """
    try:
        with open_input(path) as container:
            if not container.streams.video:
                raise MediaError(f"{path}: expected a video, but there are no pictures in it. Choose another file.")
            start, end, rate, stamped = _read_packets(path, container, seconds)
            has_audio = bool(container.streams.audio)
        stored, turns, flip, transfer = _first_picture(path)
    except av.error.FFmpegError as error:
        raise not_readable(path, error) from error
    return VideoFacts(start, end, rate, stored, turns, flip, has_audio, transfer, stamped)


def not_readable(path: Path, error: Exception) -> MediaError:
    """The typed error for a file that the demuxer refuses."""
    if isinstance(error, av.error.PermissionError):
        return MediaError(f"{path}: cannot be read (no permission).")
    return MediaError(
        f"{path}: expected a video, but no frame can be read ({getattr(error, 'strerror', None) or error}). "
        "It is not a video, or its recording or download was cut off. Copy or export it again."
    )


def _read_packets(path: Path, container: Any, seconds: float | None) -> tuple[Fraction, Fraction, Fraction, bool]:
    stream = container.streams.video[0]
    indexed = sum(1 for _ in getattr(stream, "index_entries", None) or ())
    first: list[int] = []
    low = high = last_duration = None
    count = packets = corrupt = 0
    heard = Fraction(0)
    stamped = container.format.name != "avi"  # its time stamps are the demuxer's guesses
    for packet in container.demux():
        if packet.size == 0 or not packet.time_base:
            continue
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.stream.index != stream.index:
            if stamp is not None:
                heard = max(heard, (stamp + (packet.duration or 0)) * packet.time_base)
            continue
        packets += 1
        stamped &= packet.pts is not None
        corrupt += bool(packet.is_corrupt)
        if stamp is None or packet.is_discard:
            continue
        count += 1
        low = stamp if low is None else min(low, stamp)
        if high is None or stamp > high:
            high, last_duration = stamp, packet.duration
        if len(first) < 256:
            first.append(stamp)
        if seconds is not None and (stamp - low) * stream.time_base > seconds:
            return *_facts(stream, (low, high, last_duration, count), first), stamped
    if low is None or high is None:
        raise MediaError(f"{path}: the video has no frames. Copy or export it again.")
    facts = _facts(stream, (low, high, last_duration, count), first)
    _check_whole(path, container, max(facts[1], heard), count - corrupt, (packets - corrupt, max(indexed, packets)))
    return *facts, stamped


def _facts(
    stream: Any, stamps: tuple[int, int, int | None, int], first: list[int]
) -> tuple[Fraction, Fraction, Fraction]:
    low, high, last_duration, count = stamps
    base = Fraction(stream.time_base)
    steps = [b - a for a, b in itertools.pairwise(sorted(first)) if b > a]
    typical = Fraction(statistics.median(steps)) * base if steps else Fraction(0)
    length = max((last_duration or 0) * base, typical) or Fraction(1, 25)  # muxers often give the last frame no time
    span = (high - low) * base
    declared = Fraction(stream.average_rate) if stream.average_rate else None
    rate = _plausible(declared, span, count) or (Fraction(count - 1) / span if span > 0 else 1 / length)
    rate = min(max(Fraction(rate).limit_denominator(1001), Fraction(1)), Fraction(_MAX_RATE))
    return low * base, high * base + min(length, Fraction(1)), rate


def _plausible(declared: Fraction | None, span: Fraction, count: int) -> Fraction | None:
    """The declared rate, which is exact (30000/1001), unless the time stamps contradict it."""
    if not declared or span <= 0:
        return declared
    measured = Fraction(count - 1) / span
    return declared if abs(declared - measured) <= measured / 50 else None


def _check_whole(path: Path, container: Any, end: Fraction, readable: int, packets: tuple[int, int]) -> None:
    """Raise unless the file holds what its header announces."""
    declared = Fraction(container.duration or 0, 1_000_000)
    good, announced = packets
    too_short = container.format.name.startswith("matroska") and end < declared - 1
    if good < announced or too_short:
        of = f" of {announced}" if announced > readable else ""
        raise MediaError(
            f"{path}: the video is cut off or damaged: only {readable}{of} frames could be read. "
            "Copy or export it again, or limit the number of frames."
        )


def _first_picture(path: Path) -> tuple[tuple[int, int], int, bool, Transfer]:
    """How to show the frames, asked of the first only: in PyAV a frame whose side data was read is freed late."""
    with open_input(path) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            aspect = getattr(frame, "sample_aspect_ratio", None) or stream.sample_aspect_ratio or 1
            size = (max(1, round(frame.width * aspect)), frame.height)
            return size, *display_rotation(frame), Transfer.of(frame.color_trc)
    raise MediaError(f"{path}: the video has no frames. Copy or export it again.")


def display_rotation(frame: Any) -> tuple[int, bool]:
    """Quarter turns counter-clockwise (for np.rot90) and then a left-right flip that show the frame upright."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 0, False
    a, b, _, c, d, *_ = np.frombuffer(data, np.int32)[:9].astype(np.float64)
    flip = a * d - b * c < 0
    turn = round(math.degrees(math.atan2(b, -a if flip else a)) / 90)
    return -turn % 4, bool(flip)
