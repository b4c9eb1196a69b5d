"""HDR video: known light in, known sRGB out."""

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from liquidwarp.media import hdr, open_frames
from liquidwarp.media.hdr import Transfer, srgb_of

COLOURS = np.array([[0.38, 0.38, 0.38], [0.45, 0.38, 0.34], [0.3, 0.42, 0.2], [0.58, 0.5, 0.5], [0.9, 0.2, 0.2]])
"""Coded RGB: grey, skin, leaves, something white and pink, a lamp."""
TO_YUV = np.array([[0.2627, 0.6780, 0.0593], [-0.13963, -0.36037, 0.5], [0.5, -0.45979, -0.04021]])
"""BT.2020, non-constant luminance."""


def write_hdr(path: Path, transfer: Transfer, rotation: int = 0) -> Path:
    """Five stripes of COLOURS, 10 bits; colours lie in the middle of 2 x 2 pixels as the format wants."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = 160, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_primaries = context.colorspace = 9
        context.color_trc = {Transfer.PQ: 16, Transfer.HLG: 18}[transfer]
        stream.options = {"x265-params": "log-level=none:crf=4"}
        if rotation:
            stream.set_display_rotation(rotation)
        scaled = COLOURS @ TO_YUV.T * (876, 896, 896) + (64, 512, 512)
        frame = av.VideoFrame(160, 64, "yuv420p10le")
        for plane, values, width in zip(frame.planes, scaled.round().astype(np.uint16).T, (160, 80, 80), strict=True):
            row = np.zeros(plane.line_size // 2, np.uint16)
            row[:width] = np.repeat(values, width // 5)
            plane.update(np.tile(row, plane.height).tobytes())
        for index in range(3):
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def stripes(picture: np.ndarray) -> np.ndarray:
    return picture[16:48].reshape(32, 5, 32, 3)[:, :, 8:24].mean((0, 2))


@pytest.mark.parametrize("transfer", [Transfer.PQ, Transfer.HLG])
def test_video_becomes_srgb(tmp_path: Path, transfer: Transfer) -> None:
    frames = list(open_frames(write_hdr(tmp_path / "hdr.mp4", transfer)))
    assert len(frames) == 3
    assert np.abs(stripes(frames[1]) - 255 * srgb_of(COLOURS, transfer)).max() < 3


def test_rotation_still_counts(tmp_path: Path) -> None:
    (first, *_) = open_frames(write_hdr(tmp_path / "hdr.mp4", Transfer.PQ, rotation=90))
    assert first.shape == (160, 64, 3)
    assert np.abs(stripes(np.rot90(first, -1)) - 255 * srgb_of(COLOURS, Transfer.PQ)).max() < 3


def grey(level: float, transfer: Transfer) -> float:
    return float(srgb_of(np.full((1, 3), level), transfer)[0, 0])


def test_both_standards_agree_on_paper_and_on_a_grey_card() -> None:
    """BT.2408: diffuse white is 58 % PQ and 75 % HLG; an 18 % grey card is 38 % in both."""
    assert grey(0.58, Transfer.PQ) == pytest.approx(grey(0.75, Transfer.HLG), abs=0.005)
    assert 0.9 < grey(0.58, Transfer.PQ) < 0.95
    for transfer in (Transfer.PQ, Transfer.HLG):
        assert grey(0.38, transfer) == pytest.approx(0.40, abs=0.01)
        levels = [grey(level, transfer) for level in np.linspace(0, 1, 50)]
        assert (np.diff(levels) > -1e-9).all()
        assert levels[0] < 0.01
        assert 0.99 < levels[-1] <= 1


def test_hue_of_bright_colours_is_kept() -> None:
    """Ten times as much light on skin must not make it yellow."""

    def linear(coded: np.ndarray) -> np.ndarray:
        return ((coded + 0.055) / 1.055) ** 2.4

    dark, bright = (
        linear(srgb_of(np.array([coded]), Transfer.PQ))[0] for coded in ([0.40, 0.37, 0.35], [0.62, 0.59, 0.57])
    )
    ratio = bright / dark
    assert ratio.max() < 1.35 * ratio.min()


def test_without_the_filter_it_is_told(tmp_path: Path, monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(hdr, "filters_available", frozenset())
    with caplog.at_level(logging.WARNING):
        assert len(list(open_frames(write_hdr(tmp_path / "hdr.mp4", Transfer.PQ)))) == 3
    assert "HDR" in caplog.text
