"""The sound of one video for another: copied where the container can hold it, else transcoded to AAC or Opus."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.audio.resampler import AudioResampler

from liquidwarp.media.demuxer import open_input

__all__ = ["AudioTrack"]

_COPYABLE = ("aac", "mp3", "ac3", "alac")
"""Sound that MP4, MOV and Matroska hold as it is."""
_COPYABLE_WEBM = ("opus", "vorbis")
"""The same for WebM."""
_OPUS_RATE = 48_000
_log = logging.getLogger(__name__)


class AudioTrack:
    """Hands out the sound in step with the frames, so that neither memory nor the file's interleaving suffers."""

    def __init__(self, source: Any, target: Any) -> None:
        """Add a stream to ``target`` for the first sound of ``source``; see :meth:`open`."""
        self._source = source
        given = source.streams.audio[0]
        video = source.streams.video
        self._begin = float((video[0].start_time or 0) * video[0].time_base) if video else 0.0
        webm = target.format.name == "webm"
        self._copy = given.codec_context.name in (_COPYABLE_WEBM if webm else _COPYABLE)
        if self._copy:
            self._stream = target.add_stream_from_template(given)
        else:
            rate = _OPUS_RATE if webm else given.rate or 48_000
            self._stream = target.add_stream("libopus" if webm else "aac", rate=rate)
            self._stream.layout = "stereo" if (given.channels or 1) > 1 else "mono"
            self._resampler = AudioResampler(
                format="flt" if webm else "fltp", layout=self._stream.layout.name, rate=self._stream.rate
            )
        self._pieces = self._copied(given) if self._copy else self._transcoded(given)
        self._held: tuple[float, list[Any]] | None = None

    @staticmethod
    def open(path: Path, target: Any) -> "AudioTrack | None":
        """The sound of ``path`` as a new stream of ``target``; None, with a warning, where it cannot be used."""
        try:
            source = open_input(path)
        except (av.error.FFmpegError, OSError) as error:
            _log.warning("%s: the sound cannot be read (%s); the video will be silent.", path, error)
            return None
        if not source.streams.audio:
            source.close()
            return None
        return AudioTrack(source, target)

    def packets(self, until: float) -> Iterator[Any]:
        """The packets that begin before ``until`` [s] and have not been handed out yet."""
        while True:
            if self._held is None:
                try:
                    self._held = next(self._pieces, None)
                except av.error.FFmpegError as error:
                    _log.warning("The sound is damaged (%s); the rest of the video will be silent.", error)
                    self._pieces = iter(())
            if self._held is None or self._held[0] >= until:
                return
            piece, self._held = self._held[1], None
            yield from piece

    def flush(self) -> Iterator[Any]:
        """The encoder's last packets; the sound ends with the frames."""
        return iter(()) if self._copy else iter(self._stream.encode(None))

    def close(self) -> None:
        """Release the source."""
        self._source.close()

    def _copied(self, given: Any) -> Iterator[tuple[float, list[Any]]]:
        for packet in self._source.demux(given):
            if packet.pts is None or packet.size == 0:
                continue
            shift = round(self._begin / packet.time_base)
            packet.pts -= shift
            packet.dts = packet.pts
            if packet.pts < 0:
                continue
            packet.stream = self._stream
            yield float(packet.pts * packet.time_base), [packet]

    def _transcoded(self, given: Any) -> Iterator[tuple[float, list[Any]]]:
        for decoded in self._source.decode(given):
            if decoded.pts is None:
                continue
            begin = float(decoded.pts * decoded.time_base) - self._begin
            if begin < -1e-3:
                continue
            decoded.pts = round(begin / decoded.time_base)
            packets = [packet for piece in self._resampler.resample(decoded) for packet in self._stream.encode(piece)]
            yield begin, packets
