"""What a user can get wrong, each through the command line: exit code 2, one helpful line, nothing half-written."""

import errno
import re
import shutil
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from liquidwarp import weights
from liquidwarp.cli import COMMANDS, main
from liquidwarp.errors import MediaError
from liquidwarp.files import write_error
from liquidwarp.media import VideoWriter, open_frames, save_image
from liquidwarp.recover import digitize
from liquidwarp.recover.tracking.tracker import Networks, PersonDetector
from liquidwarp.weights import ASSETS
from recover.discs import Discs, draw

FRONT = ASSETS / "demo" / "front.jpg"
WALK = ASSETS / "demo" / "motion.bvh"


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    """An empty folder to work in, a cache of its own, and networks that see discs as people."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("LIQUIDWARP_CACHE", str(tmp_path / "cache"))
    discs = Discs()
    monkeypatch.setattr(Networks, "bundled", lambda threads: Networks(discs.finder, discs.pose, discs.hand, discs.face))


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Good and bad inputs by name."""
    folder = tmp_path_factory.mktemp("in")
    save_image(folder / "two.png", draw((320, 240), (90, 120, 60), (230, 120, 45)))
    save_image(folder / "small.png", draw((320, 240), (90, 120, 28)))
    save_image(folder / "nobody.png", np.full((240, 320, 3), 9, np.uint8))
    (folder / "text.mp4").write_text("no video " * 50)
    (folder / "text.jpg").write_text("no photo " * 50)
    (folder / "text.bvh").write_text("HIERARCHY of nothing")
    (folder / "zeros.npz").write_bytes(b"\0" * 99)
    (folder / "empty.jpg").touch()
    (folder / "folder").mkdir()
    (folder / "folder" / "notes.txt").write_text("no image here")
    (folder / "pipes.bvh").write_text(re.sub(r"(ROOT|JOINT) (\w+)", r"\1 \2Tube", WALK.read_text()))
    pictures = np.random.default_rng(0).integers(0, 255, (60, 120, 160, 3), np.uint8)
    for name in ("good.mp4", "good.mkv"):
        with VideoWriter(folder / name, 25, (160, 120)) as video:
            for picture in pictures:
                video.write(picture)
    for name in ("good.mp4", "good.mkv"):
        data = (folder / name).read_bytes()
        (folder / name.replace("good", "half")).write_bytes(data[: len(data) // 2])
    for name in ("none.mp4", "none.mkv"):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width = stream.height = 64
            container.start_encoding()
    with VideoWriter(folder / "dark.mp4", 25, (160, 120)) as video:
        for _ in range(3):
            video.write(np.full((120, 160, 3), 9, np.uint8))
    return folder


def refused(words, capsys, code=2):
    """Run a command that must be refused; the one line of complaint."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    shown = capsys.readouterr()
    assert stop.value.code == code
    assert "Written" not in shown.out
    lines = [line for line in shown.err.splitlines() if line.startswith("liquidwarp: ")]
    assert len(lines) == 1, shown.err
    assert shown.err.splitlines()[-1] == lines[0]
    assert "Traceback" not in shown.err
    assert len(lines[0]) < 500
    return lines[0].removeprefix("liquidwarp: ")


def nothing_is_left(tmp_path):
    return not list((tmp_path / "work").iterdir())


def imitate(source, driving, *options):
    return ["imitate", "--source", *(source if isinstance(source, list) else [source]), "--driving", driving, *options]


SOURCES = [
    ("gone.jpg", ("gone.jpg: no such file or folder", "Check the spelling")),
    ("x" * 300, ("no such file or folder",)),
    ("folder", ("folder: expected a folder with images", "found none")),
    ("text.jpg", ("text.jpg: expected an image", "content is not one")),
    ("empty.jpg", ("empty.jpg: the file is empty", "Copy it again")),
    ("text.mp4", ("text.mp4: expected a video", "Copy or export it again")),
    ("half.mp4", ("half.mp4: the video is cut off or damaged", "Copy or export it again")),
    ("half.mkv", ("half.mkv: the video is cut off or damaged", "frames could be read")),
    ("none.mp4", ("none.mp4: expected a video, but there are no pictures in it", "Choose another file")),
    ("none.mkv", ("none.mkv: expected a video, but no frame can be read", "Copy or export it again")),
]
"""A name, and what must be said of it."""


@pytest.mark.parametrize(("name", "said"), SOURCES, ids=[name for name, _ in SOURCES])
@pytest.mark.parametrize("command", ["imitate", "recover", "evaluate"])
def test_unreadable_pictures(command, name, said, given, capsys, tmp_path):
    words = {
        "imitate": imitate(given / name, WALK, "--out", "new/out.mp4"),
        "recover": ["recover", given / name, "--out", "new/out"],
        "evaluate": ["evaluate", "recover", given / name],
    }[command]
    line = refused(words, capsys)
    assert all(part in line for part in said), line
    assert nothing_is_left(tmp_path)


DRIVINGS = [
    *SOURCES,
    ("text.bvh", ("text.bvh: expected a BVH file", "Export the motion again")),
    ("zeros.npz", ("zeros.npz: cannot be read as npz", "Save it again")),
    ("pipes.bvh", ("pipes.bvh: joints not found: left upper leg", "Rename them to names like Left")),
]


@pytest.mark.parametrize(("name", "said"), DRIVINGS, ids=[name for name, _ in DRIVINGS])
def test_unreadable_driving_is_refused_before_the_source_is_looked_at(name, said, given, capsys, tmp_path):
    line = refused(imitate(given / "two.png", given / name, "--out", "new/out.mp4"), capsys)
    assert all(part in line for part in said), line
    assert nothing_is_left(tmp_path)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("nobody.png", [], ("nobody.png: expected a person, found nobody", "whole body should be in view")),
        ("dark.mp4", [], ("dark.mp4: expected a person, found nobody", "whole body should be in view")),
        ("small.png", [], ("small.png: expected a person at least 64 px high, found one of 5", "enlarge")),
        ("two.png", ["--person", "3"], ("expected person 3, found 2 people", "from 1 (the largest) to 2")),
        ("two.png", ["--person", "5,5"], ("expected a person at (5, 5) px, found 2 people at (9", "Give a place")),
        ("two.png", ["--person", "0"], ('person: expected "largest", a number from 1 on', "got '0'")),
        ("two.png", ["--person", "left"], ('person: expected "largest"', "got 'left'")),
        ("two.png", ["--person", "1", "2"], ("person: expected one choice for all pictures", "got 2")),
        ("two.png", ["--person"], ('person: expected "largest"', "got nothing")),
    ],
)
@pytest.mark.parametrize("command", ["imitate", "recover"])
def test_nobody_and_not_that_one(command, name, options, said, given, capsys, tmp_path):
    words = {
        "imitate": imitate(given / name, WALK, "--out", "new/out.mp4", *options),
        "recover": ["recover", given / name, "--out", "new/out", *options],
    }[command]
    line = refused(words, capsys)
    assert all(part in line for part in said), line
    assert nothing_is_left(tmp_path)


def test_wrong_person_of_the_driving(given, capsys):
    line = refused(imitate(given / "two.png", WALK, "--out", "o.mp4", "--driving-person", "x"), capsys)
    assert line.startswith('driving_person: expected "largest"')


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "300"], ("'300'", "--size", "256", "512", "1024", "--help")),
        (["--camera", "up"], ("'up'", "--camera", "natural")),
        (["--layout", "wide"], ("'wide'", "--layout", "strip")),
        (["--sise", "256"], ("--sise", "Perhaps you meant: --size")),
        (["--fps", "abc"], ("--fps", "abc")),
        (["--fps", "-3"], ("fps: expected more than 0", "-3")),
        (["--fps", "nan"], ("fps: expected more than 0",)),
        (["--frames", "0"], ("frames: expected at least 1, got 0",)),
        (["--background", "#12"], ("background: expected a colour", "#12")),
        (["--background", "green.png"], ("green.png: no such file",)),
        (["--background", "beige2"], ("expected a file, transparent, or a colour", "'beige2'")),
        (["--renderer", "fancy"], ("renderer: expected auto, texture, base, lite or a folder", "'fancy'")),
        (["--device", "abacus"], ("device: expected auto, cpu, cuda", "'abacus'")),
    ],
)
def test_wrong_values(words, said, given, capsys, tmp_path):
    line = refused(imitate(given / "two.png", WALK, "--out", "new/o.mp4", *words), capsys)
    assert all(part in line for part in said), line
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ("imitate", "recover", "--help")),
        (["imitate"], ("Missing", "--source", "--driving", "--out")),
        (["dance"], ("dance", "imitate")),
        (["evaluate", "everything"], ("everything", "recover")),
        (["recover"], ("path: expected at least one file",)),
    ],
)
def test_wrong_commands(words, said, capsys):
    line = refused(words, capsys)
    assert all(part in line for part in said), line


@pytest.mark.parametrize("command", ["imitate", "recover"])
def test_photos_and_video_together(command, given, capsys, tmp_path):
    both = [given / "two.png", given / "good.mp4"]
    line = refused(imitate(both, WALK, "--out", "o.mp4") if command == "imitate" else ["recover", *both], capsys)
    assert "good.mp4: expected photos of one person or one video, got 2 inputs" in line
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("o.avi", ("o.avi: expected a video name ending in .mp4",)),
        ("file/o.mp4", ("cannot be written", "Choose a folder")),
        ("file", ("expected a folder, got a file",)),
        ("full", ("full", "expected a new or empty folder", "notes.txt")),
        ("x" * 300 + ".mp4", ("the name is too long", "Choose a shorter one")),
    ],
)
def test_no_place_for_the_video(out, said, given, capsys, tmp_path):
    (tmp_path / "work" / "file").touch()
    (tmp_path / "work" / "full").mkdir()
    (tmp_path / "work" / "full" / "notes.txt").touch()
    line = refused(imitate(given / "two.png", WALK, "--out", out), capsys)
    assert all(part in line for part in said), line
    assert sorted(path.name for path in (tmp_path / "work").rglob("*")) == ["file", "full", "notes.txt"]


@pytest.mark.parametrize(
    "words",
    [
        ["imitate", "--source", FRONT, "--driving", "clip.mp4", "--out", "clip.mp4"],
        ["imitate", "--source", FRONT, "--driving", "frames", "--out", "frames"],
        ["imitate", "--source", "frames/000000.png", "--driving", WALK, "--out", "frames"],
        ["imitate", "--source", "clip.mp4", "--driving", WALK, "--out", "frames/../clip.mp4"],
        ["imitate", "--source", FRONT, "--driving", WALK, "--background", "clip.mp4", "--out", "clip.mp4"],
        ["view", "--source", "frames/000000.png", "--angle", "9", "--out", "frames/000000.png"],
        ["view", "--source", FRONT, "--pose", "clip.mp4", "--out", "clip.mp4"],
        ["transfer", "--source", FRONT, "--wear", "photo.png:feet", "--out", "photo.png"],
        ["live", "--source", FRONT, "--driving", "clip.mp4", "--out", "clip.mp4"],
        ["recover", "clip.mp4", "--out", "."],
        ["recover", "photo.png", "--out", "."],
    ],
    ids=lambda words: "-".join(str(word).strip("-") for word in words if "/lib" not in str(word))[:60],
)
def test_results_do_not_replace_what_they_are_made_from(words, given, capsys, tmp_path):
    shutil.copy(given / "good.mp4", "clip.mp4")
    shutil.copy(given / "two.png", "photo.png")
    (tmp_path / "work" / "frames").mkdir()
    shutil.copy(given / "two.png", "frames/000000.png")
    assert "would take the place of an input" in refused(words, capsys)
    for name, original in (("clip.mp4", "good.mp4"), ("photo.png", "two.png"), ("frames/000000.png", "two.png")):
        assert (tmp_path / "work" / name).read_bytes() == (given / original).read_bytes()


def test_no_place_for_what_is_recovered(given, capsys, tmp_path):
    (tmp_path / "work" / "file").touch()
    assert "expected a folder for the results, got a file" in refused(["recover", FRONT, "--out", "file"], capsys)
    assert "cannot be written" in refused(["recover", FRONT, "--out", "file/deeper"], capsys)
    assert "found nobody" in refused(["recover", given / "nobody.png", "--out", "."], capsys), "a place like any other"
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["file"]


@pytest.mark.parametrize("place", [".", ".."])
def test_a_place_without_a_name(place, given, capsys, tmp_path, monkeypatch):
    (tmp_path / "work" / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "work" / "deeper")
    line = refused(imitate(given / "two.png", WALK, "--out", place), capsys)
    assert "expected the name of a file" in line or "expected a new or empty folder" in line
    assert [path.name for path in (tmp_path / "work").rglob("*")] == ["deeper"]


def test_no_permission(given, capsys, monkeypatch, tmp_path):
    from pathlib import Path

    def forbidden(self, *arguments, **options):
        raise PermissionError(13, "Permission denied")

    words = imitate(given / "two.png", WALK, "--out", "o.mp4")
    monkeypatch.setattr(Path, "open", forbidden)
    assert "o.mp4: cannot be written (Permission denied)" in refused(words, capsys)


@pytest.mark.parametrize("out", ["o.bmp", "o.avif", "o.heic"])
def test_formats_that_are_read_but_not_written(out, given, capsys, tmp_path):
    """Told before the person is looked for: nobody is in the photo."""
    line = refused(["view", "--source", given / "nobody.png", "--angle", "9", "--out", out], capsys)
    assert f"{out}: expected a picture's name ending in .png" in line
    assert nothing_is_left(tmp_path)


def test_full_disk_is_told_at_once(given, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5 * 2**20))
    line = refused(imitate(given / "two.png", WALK, "--out", "o.mp4"), capsys)
    assert "o.mp4: not enough disk space: about 64 MB needed, 5 MB free" in line


def test_weights_of_other_content(given, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "sha256_of", lambda path: "0" * 64)
    weights._verified.cache_clear()
    try:
        line = refused(["recover", FRONT, "--out", "out"], capsys)
    finally:
        weights._verified.cache_clear()
    assert "found other content" in line
    assert "Install the package again" in line
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_is_no_mistake(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"] if name else ["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "usage: liquidwarp" in shown.out


@pytest.fixture
def seen(monkeypatch):
    """What was detected in each picture; the run ends before the fit."""
    found = []

    def look(parts, *given):
        found.extend(parts)
        raise MediaError("the fit is not asked here")

    monkeypatch.setattr(digitize, "_recovery", look)
    return found


@pytest.fixture
def moving(demo_photos, monkeypatch):
    """What `imitate` of the demo's person needs, without networks; grey frames are rendered instead of people.

    ``frames`` are the numbers of those asked for; ``stop`` raises an error at a frame.
    """
    state = SimpleNamespace(frames=[], stop={})

    def render(bank, targets, config, start=0, fps=0.0):
        for index in range(start, len(targets)):
            if index in state.stop:
                raise state.stop[index]
            state.frames.append(index)
            yield np.full((bank.size[1], bank.size[0], 3), index, np.uint8)

    monkeypatch.setattr("liquidwarp.api.load_sources", lambda *given, **options: demo_photos)
    monkeypatch.setattr("liquidwarp.tasks.rendering.render_frames", render)
    options = ["--frames", "60", "--size", "256", "--renderer", "texture", "--background", "#808080"]
    state.words = imitate(FRONT, WALK, "--out", "new/o.mp4", *options)
    return state


def finish(moving, tmp_path, frames):
    """The same command again renders only these frames, and leaves nothing but the video."""
    moving.stop, moving.frames = {}, []
    main([str(word) for word in moving.words])
    assert moving.frames == frames
    assert [path.name for path in (tmp_path / "work" / "new").iterdir()] == ["o.mp4"]
    values = [frame.mean() for frame in open_frames(tmp_path / "work" / "new" / "o.mp4")]
    assert values == pytest.approx(range(60), abs=2)


def test_interrupted_rendering_goes_on(moving, capsys, tmp_path):
    moving.stop[55] = KeyboardInterrupt()
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in moving.words])
    assert stop.value.code == 130
    assert "The same command goes on from the last finished part" in capsys.readouterr().err
    assert not (tmp_path / "work" / "new" / "o.mp4").exists()
    finish(moving, tmp_path, list(range(48, 60)))


def test_full_disk_while_rendering_goes_on(moving, capsys, monkeypatch, tmp_path):
    write, count = VideoWriter.write, iter(range(99))

    def full(self, rgb):
        if next(count) == 55:
            raise write_error(self.path, OSError(errno.ENOSPC, "No space left on device"))
        write(self, rgb)

    monkeypatch.setattr(VideoWriter, "write", full)
    assert "the disk is full. Free some space" in refused(moving.words, capsys)
    monkeypatch.setattr(VideoWriter, "write", write)
    finish(moving, tmp_path, list(range(48, 60)))


def test_what_is_invented_is_told(moving, demo_photos, monkeypatch, caplog):
    body = demo_photos.recovery.body[slice(0, 1)]
    half = SimpleNamespace(body=body, notes=("The feet are not in the picture.",))
    monkeypatch.setattr("liquidwarp.tasks.imitate.recover_photos", lambda *given, **options: half)
    moving.words[moving.words.index(WALK)] = FRONT
    with caplog.at_level("INFO"):
        main([str(word) for word in moving.words])
    assert "Driving: The feet are not in the picture." in caplog.text


def test_longer_than_the_disk_can_hold(moving, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30))
    monkeypatch.setattr("liquidwarp.media.resumable._VIDEO_BYTES", 1e4)  # as if there were thousands of frames
    line = refused(moving.words, capsys)
    assert "o.mp4: not enough disk space: about 54.9 GB needed, 1.0 GB free" in line
    assert "make a shorter or smaller video" in line
    assert moving.frames == []
    assert nothing_is_left(tmp_path)


def test_interrupted_detection_goes_on(given, seen, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(digitize, "_SECONDS", 0.0)  # every frame is kept
    path = given / "discs.mp4"
    with VideoWriter(path, 25, (160, 120)) as video:
        for t in range(10):
            video.write(draw((160, 120), (50 + 4 * t, 60, 40)))
    sight, looks = PersonDetector._sight, []

    def interrupted(self, *given):
        if len(looks) == 6:
            raise KeyboardInterrupt
        looks.append(1)
        return sight(self, *given)

    monkeypatch.setattr(PersonDetector, "_sight", interrupted)
    with pytest.raises(SystemExit) as stop:
        main(["recover", str(path), "--out", "out"])
    assert stop.value.code == 130
    assert nothing_is_left(tmp_path)
    monkeypatch.setattr(PersonDetector, "_sight", lambda self, *given: (looks.append(2), sight(self, *given))[1])
    refused(["recover", path, "--out", "out"], capsys)
    assert looks.count(2) == 10 - 6, "what had been seen was kept"
    refused(["recover", path, "--out", "out"], capsys)
    assert looks.count(2) == 10 - 6, "all were kept"


def save_odd(folder, kind):
    """A photo of a person who stands at (90, 120) of 320 x 240 pixels when it is shown as it should be."""
    picture = Image.fromarray(draw((320, 240), (90, 120, 60)))
    path = folder / f"{kind}.{ {'cmyk': 'jpg', 'exif': 'jpg'}.get(kind, 'png') }"
    if kind == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6  # shown a quarter turn clockwise
        picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    elif kind == "sixteen":
        Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(path)
    elif kind == "huge":
        picture.resize((6400, 4800)).save(path)
    else:
        picture.convert({"alpha": "RGBA", "grey": "L", "cmyk": "CMYK", "palette": "P"}[kind]).save(path)
    return path


@pytest.mark.parametrize("kind", ["exif", "alpha", "grey", "cmyk", "palette", "sixteen", "huge"])
def test_odd_photos_are_read_upright(kind, tmp_path, capsys, seen):
    refused(["recover", save_odd(tmp_path, kind), "--out", "out"], capsys)
    scale = 4096 / 320 if kind == "huge" else 1
    assert seen[0].image_size == (320 * scale, 240 * scale)
    assert seen[0].xy[0, 0].tolist() == pytest.approx([90 * scale, 120 * scale], abs=0.5 * scale)


@pytest.mark.parametrize(("choice", "place"), [("largest", 90), ("2", 230), ("235,110", 230), ("1", 90)])
@pytest.mark.parametrize("kind", ["photo", "video"])
def test_choice_among_several(choice, place, kind, given, tmp_path, capsys, seen):
    path = given / "two.png"
    if kind == "video":
        path = tmp_path / "two.mp4"
        with VideoWriter(path, 25, (320, 240)) as video:
            for t in range(3):
                video.write(draw((320, 240), (90 + t, 120, 60), (230 + t, 120, 45)))
    refused(["recover", path, "--out", "out", "--person", choice], capsys)
    assert seen[0].xy[:, 0, 0].tolist() == pytest.approx([place + t for t in range(len(seen[0]))], abs=1.5)


def test_a_choice_for_each_photo(given, capsys, seen):
    refused(["recover", given / "two.png", given / "two.png", "--person", "2", "90,120"], capsys)
    assert [float(part.xy[0, 0, 0]) for part in seen] == pytest.approx([230, 90], abs=0.5)
