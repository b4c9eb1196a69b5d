import shutil
from collections import namedtuple

import av
import numpy as np
import pytest

from liquidwarp.errors import MediaError, ShapeError
from liquidwarp.media import VideoWriter, open_frames, open_writer
from liquidwarp.media.resumable import ResumableWriter

from .conftest import quadrants, solid, write_video


def facts(path):
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        sound = container.streams.audio[0] if container.streams.audio else None
        heard = 0.0
        if sound is not None:
            heard = max(float((p.pts + p.duration) * p.time_base) for p in container.demux(sound) if p.size)
        return video.codec_context.name, video.format.name, (sound and sound.codec_context.name), heard


@pytest.mark.parametrize("size", [(64, 48), (63, 48), (64, 47), (31, 97)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_round_trip(tmp_path, size, suffix):
    path = tmp_path / "new folder" / f"out{suffix}"
    with VideoWriter(path, fps=30000 / 1001, size=size) as video:
        for index in range(12):
            video.write(np.maximum(quadrants(size) // 2, index * 8).astype(np.uint8))
    frames = open_frames(path)
    assert frames.size == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert frames.fps == pytest.approx(29.97, abs=0.01)
    assert frames.num_frames == 12
    whole = list(frames)[-1].astype(int)
    assert np.abs(whole[-1] - whole[size[1] - 1]).max() < 40, "the row that makes the size even repeats the last"
    last = whole[: size[1], : size[0]]
    assert np.median(np.abs(last - np.maximum(quadrants(size) // 2, 88))) < 4
    assert facts(path)[:2] == ("h264", "yuv420p")
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("colour", [(200, 60, 40), (40, 160, 60), (60, 70, 210), (225, 180, 150), (16, 16, 16)])
def test_colours_survive(tmp_path, colour):
    rgb = np.empty((64, 64, 3), np.uint8)
    rgb[:] = colour
    with VideoWriter(tmp_path / "c.mp4", 25, (64, 64)) as video:
        video.write(rgb)
    (back,) = open_frames(tmp_path / "c.mp4")
    assert np.abs(back.astype(int) - rgb).max() <= 4


def write_and_raise(path, error):
    with open_writer(path, 25, (64, 48)) as writer:
        for level in range(60):  # more than the encoder holds back, so that something is on the disk
            writer.write(solid(level))
        assert any(".partial" in file.name for file in path.parent.iterdir())
        raise error


@pytest.mark.parametrize("name", ["take: 2.mp4", "pipe:1.mkv"])
def test_names_that_look_like_protocols(tmp_path, monkeypatch, name):
    """FFmpeg takes what is before a colon for a protocol."""
    monkeypatch.chdir(tmp_path)
    with ResumableWriter(name, 25, (64, 48), key="") as video:
        video.write(solid(90))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(open_frames(name)) == 1


def test_nothing_is_left_after_an_error(tmp_path):
    for error in (RuntimeError("bug"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            write_and_raise(tmp_path / "out.mp4", error)
        assert list(tmp_path.iterdir()) == []


def test_an_earlier_result_survives_an_error(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"earlier")
    with pytest.raises(KeyboardInterrupt):
        write_and_raise(path, KeyboardInterrupt())
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_no_frames(tmp_path):
    with pytest.raises(MediaError, match="no frame was written"), VideoWriter(tmp_path / "out.mp4", 25, (64, 48)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_wrong_frame(tmp_path):
    with pytest.raises(ShapeError, match="picture"), VideoWriter(tmp_path / "out.mp4", 25, (64, 48)) as video:
        video.write(solid(1, (32, 32)))


@pytest.mark.parametrize(("codec", "suffix", "expected"), [("aac", ".mp4", "aac"), ("pcm_s16le", ".mkv", "aac")])
def test_audio_is_copied_or_transcoded_and_ends_with_the_frames(tmp_path, codec, suffix, expected):
    driving = write_video(tmp_path / f"driving{suffix}", [solid(0)] * 60, audio=(codec, 2.0))
    assert open_frames(driving).has_audio
    with VideoWriter(tmp_path / "out.mp4", 30, (64, 48), audio_from=driving) as video:
        for _ in range(30):
            video.write(solid(9))
    _, _, sound, heard = facts(tmp_path / "out.mp4")
    assert sound == expected
    assert heard == pytest.approx(1.0, abs=0.06)
    assert open_frames(tmp_path / "out.mp4").num_frames == 30


@pytest.mark.parametrize(("name", "codec"), [("a.ts", "aac"), ("b.webm", "libopus"), ("c.mkv", "ac3")])
def test_audio_begins_with_the_frames(tmp_path, name, codec):
    """Transport streams begin at some other time than 0; each container stores sound in its own way."""
    pictures = "libvpx-vp9" if name.endswith("webm") else "libx264"
    driving = write_video(tmp_path / name, [solid(0)] * 60, audio=(codec, 2.0), codec=pictures, begin=5)
    assert open_frames(driving).num_frames == 60
    with VideoWriter(tmp_path / "out.mp4", 30, (64, 48), audio_from=driving) as video:
        for _ in range(60):
            video.write(solid(9))
    with av.open(str(tmp_path / "out.mp4")) as container:
        begins, samples = [], []
        for frame in container.decode(audio=0):
            begins.append(frame.time)
            samples.append(frame.to_ndarray()[0].astype(float))
    assert min(begins) == pytest.approx(0, abs=0.06)
    assert max(begins) == pytest.approx(2, abs=0.1)
    assert np.concatenate(samples)[10_000:80_000].std() > 0.05, "the tone is there"


def test_audio_from_a_silent_video_or_a_broken_file(tmp_path, counting_video, caplog):
    (tmp_path / "broken.mp4").write_bytes(b"broken")
    for source in (counting_video, tmp_path / "broken.mp4"):
        with VideoWriter(tmp_path / "out.mp4", 30, (64, 48), audio_from=source) as video:
            video.write(solid(9))
        assert facts(tmp_path / "out.mp4")[2] is None
    assert "will be silent" in caplog.text


@pytest.mark.parametrize("name", ["out.wmv", "out.txt", "out.avi"])
def test_unknown_suffix(tmp_path, name):
    with pytest.raises(MediaError, match="expected a video name ending in"):
        VideoWriter(tmp_path / name, 25, (64, 48))


def test_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="cannot be written"):
        VideoWriter(tmp_path / "file" / "out.mp4", 25, (64, 48))


def test_full_disk(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    with pytest.raises(MediaError, match="not enough disk space"):
        VideoWriter(tmp_path / "out.mp4", 25, (64, 48))
    assert list(tmp_path.iterdir()) == []


class FullDisk:
    """A container on a disk without space."""

    def mux(self, packet):
        raise OSError(28, "No space left on device")

    def close(self):
        raise OSError(28, "No space left on device")


def test_disk_fills_up_on_the_way(tmp_path):
    def fill():
        with VideoWriter(tmp_path / "out.mp4", 25, (64, 48)) as video:
            video._container.close()
            video._container = FullDisk()
            for _ in range(100):
                video.write(solid(0))

    with pytest.raises(MediaError, match="disk is full"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_image_sequence(tmp_path):
    with open_writer(tmp_path / "frames", 25, (64, 48)) as sequence:
        for index in range(12):
            sequence.write(solid(8 * index))
        assert not (tmp_path / "frames").exists()
    assert [round(float(frame.mean())) // 8 for frame in open_frames(tmp_path / "frames")] == list(range(12))
    with open_writer(tmp_path / "frames", 25, (64, 48)) as again:
        again.write(solid(3))
    assert len(open_frames(tmp_path / "frames")) == 1


def test_image_sequence_leaves_nothing_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_and_raise(tmp_path / "frames", KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_image_sequence_never_replaces_other_files(tmp_path):
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(MediaError, match=r"holds 'diary\.txt'"):
        open_writer(tmp_path, 25, (64, 48))
