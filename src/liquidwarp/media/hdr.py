"""HDR video (PQ and HLG, as phones record it) shown as sRGB: what is as bright as paper or darker keeps its look.

Standards:
    ITU-R BT.2100 (transfer functions), BT.2408 (diffuse white at 203 cd/m2), BT.2087 (BT.2020 to BT.709 primaries).
"""

import logging
import tempfile
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from av.filter import Graph, filters_available
from av.video.reformatter import ColorTrc
from jaxtyping import Float, UInt8

__all__ = ["ToneMapper", "Transfer", "srgb_of", "tone_mapper"]

WHITE = 203.0
"""What a sheet of paper shines with in HDR video [cd/m2]."""
PEAK = 1000.0
"""Brightest point of the screen that HLG is shown on [cd/m2]."""
KNEE = 0.6
"""Below this share of white nothing is changed, above it brightness is compressed; 1 is reached at infinity."""
_LUT = 33
"""Steps of the colour table along each channel."""
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593])

_log = logging.getLogger(__name__)


class Transfer(Enum):
    """How numbers stand for light."""

    SDR = "sdr"
    PQ = "pq"
    HLG = "hlg"

    @staticmethod
    def of(trc: int) -> "Transfer":
        """From the number that FFmpeg gives to it."""
        return {int(ColorTrc.SMPTE2084): Transfer.PQ, int(ColorTrc.ARIB_STD_B67): Transfer.HLG}.get(
            int(trc), Transfer.SDR
        )


def srgb_of(signal: Float[np.ndarray, "*N 3"], transfer: Transfer) -> Float[np.ndarray, "*N 3"]:
    """Colours of an HDR video as sRGB.

    Hue is kept: the brightest of the three channels is compressed and the others with it. What BT.709 cannot show is
    clipped.

    Args:
        signal: Coded RGB of BT.2020 primaries [0, 1].
        transfer: PQ or HLG.

    Returns:
        sRGB [0, 1].
    """
    light = _light_of_pq(signal) if transfer is Transfer.PQ else _light_of_hlg(signal)
    linear = np.clip(light / WHITE @ _TO_BT709.T, 0, None)
    brightest = linear.max(-1, keepdims=True)
    rest = 1 - KNEE
    compressed = np.where(brightest > KNEE, KNEE + rest * (1 - np.exp(-(brightest - KNEE) / rest)), brightest)
    linear = linear * compressed / np.maximum(brightest, 1e-9)
    coded: np.ndarray = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return coded


def _light_of_pq(signal: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3"]:
    """[cd/m2]; BT.2100 table 4."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = np.clip(signal, 0, 1) ** (1 / m2)
    light: np.ndarray = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return light


def _light_of_hlg(signal: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3"]:
    """[cd/m2] on a screen of :data:`PEAK`; BT.2100 table 5."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    signal = np.clip(signal, 0, 1)
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luma = (scene @ _BT2020_LUMA)[..., None]
    light: np.ndarray = PEAK * np.maximum(luma, 1e-9) ** 0.2 * scene
    return light


class ToneMapper:
    """Frames of an HDR video to sRGB, by a table of colours: as fast as a change of format."""

    def __init__(self, transfer: Transfer, size: tuple[int, int]) -> None:
        """Nothing is opened before the first frame.

        Args:
            transfer: PQ or HLG.
            size: (width, height) of the result [px].
        """
        self._transfer, self._size = transfer, size
        self._graph: Graph | None = None

    def __call__(self, frame: Any) -> UInt8[np.ndarray, "H W 3"]:
        """One decoded frame as sRGB."""
        if self._graph is None:
            self._graph = self._open(frame)
        self._graph.push(frame)
        shown: Any = self._graph.pull()
        pixels: np.ndarray = shown.to_ndarray(format="rgb24")
        return pixels

    def _open(self, frame: Any) -> Graph:
        graph = Graph()
        width, height = self._size
        with tempfile.TemporaryDirectory() as folder:  # the table is read when the graph is put together
            (Path(folder) / "table.cube").write_text(_cube(self._transfer), encoding="ascii")
            place = str(Path(folder) / "table.cube").replace("\\", "/").replace(":", "\\:")
            given = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000"
            matrix = "in_color_matrix=bt2020:out_range=full:flags=bicubic+accurate_rnd+full_chroma_int"
            chain = [
                graph.add("buffer", f"{given}:colorspace=bt2020nc:range={'pc' if frame.color_range == 2 else 'tv'}"),
                graph.add("scale", f"{width}:{height}:{matrix}"),
                graph.add("format", "gbrp16le"),
                graph.add("lut3d", f"file='{place}':interp=tetrahedral"),
                graph.add("buffersink"),
            ]
            graph.link_nodes(*chain).configure()
        return graph


def tone_mapper(transfer: Transfer, size: tuple[int, int]) -> ToneMapper | None:
    """What brings a video's frames to sRGB; None if they are there already, or, with a warning, if it cannot be done.

    Args:
        transfer: Of the video.
        size: (width, height) of the result [px].
    """
    if transfer is Transfer.SDR:
        return None
    if "lut3d" not in filters_available:
        _log.warning("This is an HDR video, and the installed PyAV cannot convert it: its colours will be pale.")
        return None
    return ToneMapper(transfer, size)


@lru_cache
def _cube(transfer: Transfer) -> str:
    """The table in the format of the filter; red runs fastest."""
    steps = np.linspace(0, 1, _LUT)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    colours = srgb_of(np.stack([red, green, blue], -1).reshape(-1, 3), transfer)
    rows = "\n".join(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in colours)
    return f"LUT_3D_SIZE {_LUT}\n{rows}\n"
