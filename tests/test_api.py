"""The public door refuses what would destroy the user's own files, as the command line does."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from liquidwarp.api import LiquidWarper
from liquidwarp.body.anny import AnnyBody
from liquidwarp.cache import Cache
from liquidwarp.config import SynthesisConfig
from liquidwarp.errors import MediaError
from liquidwarp.recover.photos import SourcePhotos
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
