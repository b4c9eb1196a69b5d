"""Videos with an opacity: written, then read back with PyAV, as an editor would."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from liquidwarp.errors import MediaError, ShapeError
from liquidwarp.media import VideoWriter, check_output, open_frames, open_writer, resumable
from liquidwarp.media.resumable import ResumableWriter

from .conftest import write_video

SIZE = (96, 64)


def picture(index=0):
    """A soft disc that wanders; straight colours, also where nothing is seen."""
    rows, columns = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    alpha = (255 * (1.6 - np.hypot(rows - 32, columns - 30 - 4 * index) / 14).clip(0, 1)).astype(np.uint8)
    colours = np.empty((*alpha.shape, 3), np.uint8)
    colours[:] = (180, 90, 60)
    return np.dstack([colours, alpha])


def read_back(path):
    """RGBA frames. FFmpeg's own VP9 decoder drops the opacity, libvpx's does not."""
    frames = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = av.CodecContext.create("libvpx-vp9", "r") if path.suffix == ".webm" else None
        for packet in container.demux(stream):
            decoded = packet.decode() if decoder is None else decoder.decode(packet)
            frames += [frame.to_ndarray(format="rgba") for frame in decoded]
    return frames


@pytest.mark.parametrize(("suffix", "codec", "error"), [(".mov", "prores", 2), (".webm", "vp9", 10)])
def test_opacity_survives(tmp_path, suffix, codec, error):
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, 25, SIZE, alpha=True) as video:
        for index in range(6):
            video.write(picture(index))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name.endswith(codec)
    frames = read_back(path)
    assert len(frames) == 6
    for index, frame in enumerate(frames):
        wanted = picture(index)
        assert np.abs(frame[..., 3].astype(int) - wanted[..., 3]).mean() < error / 4
        assert np.percentile(np.abs(frame[..., 3].astype(int) - wanted[..., 3]), 99) <= 2 * error
        assert np.abs(frame[..., :3].astype(int) - wanted[..., :3]).max() <= 8, "straight colours, no dark fringe"


def test_a_folder_holds_it_exactly(tmp_path):
    with open_writer(tmp_path / "frames", 25, SIZE, alpha=True) as stills:
        stills.write(picture())
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "frames" / "000000.png")), picture())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".m4v"])
def test_others_are_refused_with_the_choices(tmp_path, suffix):
    with pytest.raises(MediaError, match=r"\.mov.*\.webm.*folder"):
        check_output(tmp_path / f"out{suffix}", alpha=True)
    assert not list(tmp_path.iterdir())


def test_opaque_webm(tmp_path):
    with VideoWriter(tmp_path / "out.webm", 25, SIZE) as video:
        for _ in range(4):
            video.write(picture()[..., :3].copy())
    (*_, last) = open_frames(tmp_path / "out.webm")
    assert np.abs(last.astype(int) - (180, 90, 60)).max() <= 5


def test_channels_are_those_of_the_writer(tmp_path):
    for alpha, channels in ((True, 3), (False, 4)):
        with pytest.raises(ShapeError), VideoWriter(tmp_path / "out.mov", 25, SIZE, alpha=alpha) as video:
            video.write(np.zeros((SIZE[1], SIZE[0], channels), np.uint8))


def write_until_killed(video):
    with video:
        for index in range(6):
            video.write(picture(index))
        raise KeyboardInterrupt


@pytest.mark.parametrize("suffix", [".mov", ".webm"])
def test_an_interrupted_run_goes_on_with_the_sound(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(resumable, "_SEGMENT", 4)
    sound = write_video(tmp_path / "sound.mp4", [picture()[..., :3].copy()] * 10, audio=("aac", 0.4))
    path = tmp_path / f"out{suffix}"
    options = {"audio_from": sound, "frames": 10, "alpha": True}
    with pytest.raises(KeyboardInterrupt):
        write_until_killed(ResumableWriter(path, 25, SIZE, "key", **options))
    with ResumableWriter(path, 25, SIZE, "key", **options) as video:
        assert 4 <= video.done <= 6
        for index in range(video.done, 10):
            video.write(picture(index))
    frames = read_back(path)
    assert len(frames) == 10
    for index, frame in enumerate(frames):
        assert np.abs(frame[..., 3].astype(int) - picture(index)[..., 3]).mean() < 3
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == ("opus" if suffix == ".webm" else "aac")
        assert sum(packet.size > 0 for packet in container.demux(container.streams.audio[0])) > 5
    assert [file for file in Path(tmp_path).iterdir() if file.name.startswith(".")] == []
