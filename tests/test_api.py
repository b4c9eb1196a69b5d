"""The public door refuses what would destroy the user's own files, as the command line does."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from liquidwarp.api import LiquidWarper, choose_device
from liquidwarp.backdrop import Still
from liquidwarp.body.anny import AnnyBody
from liquidwarp.cache import Cache
from liquidwarp.config import SynthesisConfig
from liquidwarp.errors import LiquidWarpError, MediaError, SettingError
from liquidwarp.given import check_background
from liquidwarp.media import Photo, read_image
from liquidwarp.recover.detection.choice import check_choice
from liquidwarp.recover.photos import SourcePhotos
from liquidwarp.synthesizer import SourceBank, prepare_bank
from liquidwarp.tasks.rendering import Rendering
from liquidwarp.weights import asset

SYNTHESIS = SynthesisConfig(size=256, background="draft", renderer="texture")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's files: two photos in a folder, another photo, a background, a motion."""
    place = tmp_path_factory.mktemp("mine")
    (place / "photos").mkdir()
    shutil.copy(asset("demo/front.jpg"), place / "photos" / "front.jpg")
    shutil.copy(asset("demo/back.jpg"), place / "photos" / "back.jpg")
    shutil.copy(asset("demo/front.jpg"), place / "other.jpg")
    shutil.copy(asset("demo/background.jpg"), place / "beach.jpg")
    shutil.copy(asset("demo/motion.bvh"), place / "walk.bvh")
    return place


@pytest.fixture
def warper(anny: AnnyBody, demo_photos: SourcePhotos, monkeypatch: pytest.MonkeyPatch) -> LiquidWarper:
    """Without detection: every source is the demo's person."""
    monkeypatch.setattr("liquidwarp.api.load_sources", lambda *given, **options: demo_photos)
    return LiquidWarper(anny, SYNTHESIS, None, torch.device("cpu"), Cache(enabled=False), progress=False)


def test_results_take_no_place_of_an_input(warper: LiquidWarper, folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    person = warper.prepare(folder / "photos", background=folder / "beach.jpg")
    other = warper.prepare([folder / "other.jpg"])
    walk = folder / "walk.bvh"
    single, many = warper.view(person, angle=0.0), warper.imitate(person, walk, frames=2)
    posed = warper.view(person, angle=0.0, pose=walk)
    dressed = warper.transfer(person, {"upper": other}, walk, frames=2)
    refused = [
        (single, folder / "photos" / "front.jpg"),
        (single, folder / "beach.jpg"),
        (warper.view(warper.reshape(person, "height=+2cm"), angle=0.0), folder / "photos" / "back.jpg"),
        (many, walk),
        (many, folder / "photos" / ".." / "photos"),
        (posed, walk),
        (dressed, walk),
        (dressed, folder / "other.jpg"),
        (dressed, folder),
    ]
    for result, path in refused:
        with pytest.raises(MediaError, match="would take the place of an input"):
            result.save(path)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    for _ in range(2):  # earlier results are replaced
        assert single.save(folder / "new.png", progress=False).exists()


def test_notes_say_whose_photos_they_are_about(
    warper: LiquidWarper,
    demo_photos: SourcePhotos,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of a transfer several people's photos are prepared."""
    half = replace(demo_photos.recovery, notes=("The feet are not in the picture.",))
    bob = replace(demo_photos, name="bob", recovery=half)
    monkeypatch.setattr("liquidwarp.api.load_sources", lambda *given, **options: bob)
    with caplog.at_level("INFO"):
        warper.prepare(folder / "other.jpg")
    assert "Source bob: The feet are not in the picture." in caplog.text


@pytest.fixture(scope="module")
def bank(anny: AnnyBody, demo_photos: SourcePhotos) -> SourceBank:
    """The demo's person, prepared once."""
    none, cpu = Cache(enabled=False), torch.device("cpu")
    return prepare_bank(demo_photos, anny, SYNTHESIS, None, Still(demo_photos.pictures[0]), cpu, none)


@pytest.fixture
def quick(warper: LiquidWarper, bank: SourceBank, monkeypatch: pytest.MonkeyPatch) -> LiquidWarper:
    """Whatever it is given, the person is there at once."""
    monkeypatch.setattr("liquidwarp.api.prepare_bank", lambda *given: bank)
    return warper


def test_photos_may_be_arrays(quick: LiquidWarper, demo_photos: SourcePhotos, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are found like files of the same pixels, and nothing is left behind."""
    seen: list[tuple[Path, Photo]] = []

    def load(paths: list[Path], *given: object, **options: object) -> SourcePhotos:
        seen.extend((path, read_image(path)) for path in paths)
        return demo_photos

    monkeypatch.setattr("liquidwarp.api.load_sources", load)
    rgb = np.random.default_rng(0).integers(0, 255, (9, 7, 3), np.uint8)
    person = quick.prepare([rgb, np.dstack([rgb, rgb[..., 0]]), asset("demo/front.jpg")])
    assert [path.name for path, _ in seen] == ["photo1.png", "photo2.png", "front.jpg"]
    assert (seen[0][1].rgb == rgb).all()
    assert seen[1][1].alpha is not None
    assert (seen[1][1].alpha == rgb[..., 0]).all()
    assert person.origins == (asset("demo/front.jpg"),)
    assert not seen[0][0].parent.exists()
    quick.prepare(rgb)
    assert (seen[3][1].rgb == rgb).all()
    monkeypatch.setattr("liquidwarp.api.TemporaryDirectory", None)
    quick.prepare(asset("demo/front.jpg"))  # files need no place to write


def test_save_tells_how_far_it_is_and_can_be_stopped(quick: LiquidWarper, folder: Path, tmp_path: Path) -> None:
    result = quick.imitate(quick.prepare(folder / "other.jpg"), folder / "walk.bvh", frames=3)
    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        result.save(tmp_path / "frames", progress=stop)
    result.save(tmp_path / "frames", progress=lambda *state: told.append(state))
    assert told == [(1, 3), (2, 3), (3, 3)], "the frames that were done before are not made again"
    assert len(list((tmp_path / "frames").iterdir())) == 3


def test_a_silent_warper_saves_silently(
    quick: LiquidWarper, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = quick.imitate(quick.prepare(folder / "other.jpg"), folder / "walk.bvh", frames=1)
    result.save(tmp_path / "a.mp4")
    assert not capsys.readouterr().err
    result.save(tmp_path / "a.mp4", progress=True)
    assert "Rendering" in capsys.readouterr().err


def test_several_parts_in_one_word(quick: LiquidWarper, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worn: list[object] = []

    def record(person: SourceBank, wear: dict[str, SourceBank], *given: object) -> Rendering:
        worn.append(sorted(wear))
        return quick.view(person, angle=0.0)

    monkeypatch.setattr("liquidwarp.api.transfer", record)
    person = quick.prepare(folder / "other.jpg")
    quick.transfer(person, {"upper, feet": person, "face": person})
    assert worn == [["face", "feet", "upper"]]
    with pytest.raises(SettingError, match="given twice"):
        quick.transfer(person, {"upper,feet": person, "feet": person})


def test_results_are_shown_in_a_line(quick: LiquidWarper, folder: Path) -> None:
    """A tensor printed by accident fills the terminal of whoever tries things out."""
    person = quick.prepare(folder / "other.jpg")
    for shown in (repr(person), repr(quick.imitate(person, folder / "walk.bvh", frames=2))):
        assert "tensor" not in shown
        assert len(shown) < 2000


def test_wrong_arguments(quick: LiquidWarper, folder: Path) -> None:
    person, walk = quick.prepare(folder / "other.jpg"), folder / "walk.bvh"
    wrong: list[tuple[str, Callable[[], object]]] = [
        ("source: gone.jpg: no such file", lambda: quick.prepare("gone.jpg")),
        ("source: expected at least one file", lambda: quick.prepare([])),
        ("source 1: expected a picture as uint8", lambda: quick.prepare(np.zeros((4, 4, 5), np.uint8))),
        ("person: expected None, a number from 1 on", lambda: quick.prepare(folder / "other.jpg", person=0)),
        ("further: expected at least 0", lambda: quick.prepare(folder / "other.jpg", further=-1)),
        ("background: expected a file", lambda: quick.prepare(folder / "other.jpg", background="bluish")),
        ("whole numbers from 0 to 255", lambda: quick.prepare(folder / "other.jpg", background=(300, 0, 0))),
        ("frames: expected at least 1, got -3", lambda: quick.imitate(person, walk, frames=-3)),
        ("fps: expected more than 0 and at most 240", lambda: quick.imitate(person, walk, fps=1000.0)),
        ("driving_person: expected", lambda: quick.imitate(person, walk, driving_person=0)),
    ]
    for said, work in wrong:
        with pytest.raises(LiquidWarpError, match=said):
            work()


def test_values_of_another_type() -> None:
    """The tests' own type checker would be first where a public door is asked, so these are asked directly."""
    for given in [(0, 0), (0.5, 0, 0), 7, np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]:
        with pytest.raises(LiquidWarpError, match="background: expected"):
            check_background(given)
    assert check_background([1, 2, 3]) == (1, 2, 3)
    assert check_background("white") == (255, 255, 255)
    for choice in ["2", 0, True, (1, 2, 3), (1, float("nan")), [1, 2]]:
        with pytest.raises(SettingError, match="person: expected"):
            check_choice(choice)
    check_choice(2)
    check_choice((640.0, 360))


@pytest.mark.parametrize(("name", "said"), [("gpu", "expected auto, cpu"), ("cuda:99", "cannot be used here")])
def test_devices_that_are_not_there(name: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as refused:
        choose_device(name)
    assert len(str(refused.value)) < 200
    assert choose_device(torch.device("cpu")) == torch.device("cpu")
