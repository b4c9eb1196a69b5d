import gc
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from liquidwarp.errors import MediaError, SettingError
from liquidwarp.media import open_frames, save_image

from .conftest import quadrants, solid, write_video


def greys(frames) -> list[int]:
    """Frame numbers of the counting video."""
    return [round(float(frame.mean()) / 8) for frame in frames]


def test_frames_of_a_video_in_order_again_and_again(counting_video):
    frames = open_frames(counting_video)
    assert (frames.size, frames.fps, len(frames), frames.has_audio, frames.name) == (
        (64, 48),
        30.0,
        30,
        False,
        "counting",
    )
    assert greys(frames) == list(range(30))
    assert greys(frames) == list(range(30))
    first = next(iter(frames))
    assert first.shape == (48, 64, 3)
    assert first.dtype == np.uint8


def test_resampling_takes_the_nearest_frame_in_time(counting_video):
    half = open_frames(counting_video, fps=15)
    assert half.num_frames == 15
    assert greys(half) == list(range(0, 30, 2))
    double = open_frames(counting_video, fps=60, max_frames=10)
    assert greys(double) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] or greys(double) == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_rate_becomes_constant(tmp_path, suffix):
    """Frames at 0, 100, 200, 300 ms, then a pause, then 800, 900 ms: the pause is held, the speed is kept."""
    path = write_video(
        tmp_path / f"phone.{suffix}", [solid(8 * index) for index in range(6)], [0, 100, 200, 300, 800, 900]
    )
    assert greys(open_frames(path, fps=10))[:10] == [0, 1, 2, 3, 3, 3, 4, 4, 4, 5]


def test_jitter_neither_drops_nor_doubles_frames(tmp_path):
    times = [round(index * 1000 / 30) + (index % 3 - 1) * 4 for index in range(1, 31)]
    path = write_video(tmp_path / "jitter.mkv", [solid(8 * index) for index in range(30)], times)
    assert greys(open_frames(path, fps=30)) == list(range(30))


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        ((90, False, False), lambda image: np.rot90(image, 1)),
        ((180, False, False), lambda image: np.rot90(image, 2)),
        ((270, False, False), lambda image: np.rot90(image, 3)),
        ((0, True, False), lambda image: image[:, ::-1]),
        ((90, True, False), lambda image: np.rot90(image, 1)[:, ::-1]),
        ((0, False, True), lambda image: image[::-1]),
    ],
)
def test_rotation_flag(tmp_path, rotation, expected):
    path = write_video(tmp_path / "phone.mp4", [quadrants()] * 3, rotation=rotation)
    frames = open_frames(path)
    upright = expected(quadrants())
    assert frames.size == upright.shape[1::-1]
    difference = np.abs(next(iter(frames)).astype(int) - upright)
    assert np.median(difference) < 8


def test_pixels_that_are_not_square(tmp_path):
    path = write_video(tmp_path / "camcorder.mp4", [quadrants()] * 2, aspect=Fraction(3, 2))
    frames = open_frames(path)
    assert frames.size == (96, 48)
    assert next(iter(frames)).shape == (48, 96, 3)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "libx264"), ("b.webm", "libvpx-vp9"), ("c.ts", "libx264"), ("d.wmv", "wmv2")]
)
def test_other_containers(tmp_path, name, codec):
    """AVI knows no time stamps, although frames are stored in another order than shown."""
    path = write_video(tmp_path / name, [solid(8 * index) for index in range(30)], codec=codec)
    assert greys(open_frames(path)) == list(range(30))
    assert greys(open_frames(path, fps=15)) == list(range(0, 30, 2))


def test_gif(tmp_path):
    from PIL import Image

    pages = [Image.fromarray(solid(8 * index)) for index in range(5)]
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:], duration=100)
    assert greys(open_frames(tmp_path / "a.gif")) == [0, 1, 2, 3, 4]


def test_folder_of_images_in_natural_order(tmp_path):
    for index in (10, 9, 1, 2):
        save_image(tmp_path / "shots" / f"frame{index}.png", solid(8 * index))
    frames = open_frames(tmp_path / "shots", fps=12)
    assert greys(frames) == [1, 2, 9, 10]
    assert (frames.fps, frames.num_frames, frames.name) == (12, 4, "shots")


def test_folder_with_unequal_images(tmp_path):
    save_image(tmp_path / "1.png", solid(0))
    save_image(tmp_path / "2.png", solid(0, (32, 32)))
    with pytest.raises(MediaError, match=r"2\.png: expected 64x48 pixels .* got 32x32"):
        list(open_frames(tmp_path))


def test_single_image(tmp_path):
    frames = open_frames(save_image(tmp_path / "a.b.png", solid(80)))
    assert (frames.num_frames, frames.size, frames.name) == (1, (64, 48), "a.b")
    assert greys(frames) == [10]


def test_first_frames_only(counting_video):
    frames = open_frames(counting_video, max_frames=7)
    assert (len(frames), greys(frames)) == (7, list(range(7)))


def test_no_such_file(tmp_path):
    with pytest.raises(MediaError, match="no such file or folder"):
        open_frames(tmp_path / "missing.mp4")


def test_folder_without_images(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(MediaError, match="found none"):
        open_frames(tmp_path)


@pytest.mark.parametrize("content", [b"This is not a video.\n" * 50, b""])
def test_text_that_is_called_a_video(tmp_path, content):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match="expected a video"):
        open_frames(path)


def test_sound_without_pictures(tmp_path):
    import av

    with av.open(str(tmp_path / "song.mp4"), "w") as container:
        from .conftest import _write_tone

        _write_tone(container, container.add_stream("aac", rate=48_000), 0.5)
    with pytest.raises(MediaError, match="no pictures in it"):
        open_frames(tmp_path / "song.mp4")


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_truncated_video_says_how_many_frames_are_left(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (90, 48, 64, 3), dtype=np.uint8)
    whole = write_video(tmp_path / f"whole.{suffix}", list(noise))
    data = whole.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    if suffix == "mp4":  # keep the index in front, as a streamed download has it
        from liquidwarp.media import VideoWriter

        with VideoWriter(whole, 30, (64, 48)) as video:
            for frame in noise:
                video.write(frame)
        data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"cut off or damaged: only \d\d (of 90 )?frames"):
        open_frames(cut)
    frames = open_frames(cut, fps=30, max_frames=10)
    assert len(list(frames)) == 10


def test_video_without_an_index(counting_video):
    data = counting_video.read_bytes()
    counting_video.write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"expected a video.*cut off"):
        open_frames(counting_video)


def test_damage_in_the_middle(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), dtype=np.uint8)
    path = write_video(tmp_path / "noise.mkv", list(noise), codec="ffv1")
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, 2 * len(data) // 3, 50):
        data[place] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(MediaError, match="damaged"):
        list(open_frames(path))


@pytest.mark.parametrize(("fps", "frames"), [(0, None), (-1, None), (1000, None), (None, 0)])
def test_impossible_settings(counting_video, fps, frames):
    with pytest.raises(SettingError):
        open_frames(counting_video, fps=fps, max_frames=frames)


def test_memory_does_not_grow_with_length(tmp_path):
    path: Path = write_video(tmp_path / "long.mp4", [solid(index % 255, (320, 240)) for index in range(150)])
    frames = open_frames(path)
    gc.collect()
    gc.disable()  # frames must be freed at once: the collector may come too late for large ones
    try:
        tracemalloc.start()
        count = sum(1 for _ in frames)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        kept = sum(type(thing).__name__ in ("VideoFrame", "SideDataContainer") for thing in gc.get_objects())
    finally:
        gc.enable()
    assert count == 150
    assert peak < 20 * 320 * 240 * 3
    assert kept < 10


def test_tags_that_are_no_utf8_keep_no_file_shut(tmp_path):
    import av

    path = write_video(tmp_path / "plain.mkv", [solid(80)] * 4)
    with av.open(str(tmp_path / "tagged.mkv"), "w") as tagged, av.open(str(path)) as plain:
        tagged.metadata["title"] = "caf"
        given = plain.streams.video[0]
        stream = tagged.add_stream_from_template(given)
        for packet in plain.demux(given):
            if packet.size:
                packet.stream = stream
                tagged.mux(packet)
    content = (tmp_path / "tagged.mkv").read_bytes()
    assert content.count(b"caf") == 1
    (tmp_path / "tagged.mkv").write_bytes(content.replace(b"caf", b"ca\xe9"))
    assert len(list(open_frames(tmp_path / "tagged.mkv"))) == 4
