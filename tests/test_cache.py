import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from liquidwarp import cache as module
from liquidwarp.cache import Cache, default_cache_folder, digest_of


@dataclass(frozen=True)
class Settings:
    steps: int = 15
    model: str = "heavy"
    folder: Path = Path("a")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"content")
    return path


def test_key_depends_on_content_and_settings_not_on_names(tmp_path, photo):
    cache = Cache(tmp_path / "cache")
    key = cache.key("fit-1", [photo], Settings())
    renamed = photo.rename(tmp_path / "other.jpg")
    assert cache.key("fit-1", [renamed], Settings()) == key
    different = {
        key,
        cache.key("fit-2", [renamed], Settings()),
        cache.key("fit-1", [renamed], Settings(steps=16)),
        cache.key("fit-1", [renamed, renamed], Settings()),
        cache.key("fit-1", [], Settings()),
    }
    renamed.write_bytes(b"changed")
    different.add(cache.key("fit-1", [renamed], Settings()))
    assert len(different) == 6


def test_key_changes_with_the_version(photo, monkeypatch):
    before = Cache().key("fit-1", [photo])
    monkeypatch.setattr(module, "version", lambda _: "99.0")
    assert Cache().key("fit-1", [photo]) != before


def test_change_of_equal_size_is_seen(photo):
    before = digest_of(photo)
    photo.write_bytes(b"CONTENT")
    os.utime(photo, ns=(1, 1))
    assert digest_of(photo) != before


def test_folder_digest_follows_the_order_of_the_images(tmp_path):
    (tmp_path / "1.png").write_bytes(b"a")
    (tmp_path / "2.png").write_bytes(b"b")
    before = digest_of(tmp_path)
    (tmp_path / "1.png").rename(tmp_path / "3.png")
    assert digest_of(tmp_path) != before


def test_settings_of_unknown_type_are_refused():
    with pytest.raises(TypeError, match="plain values"):
        Cache().key("fit-1", settings={"x": object()})


def test_save_load_remove(tmp_path):
    cache = Cache(tmp_path / "cache")
    assert cache.load("a-1") is None
    cache.save("a-1", {"x": torch.ones(2)}, {"fps": "25"})
    tensors, metadata = cache.load("a-1")
    assert (tensors["x"].tolist(), metadata) == ([1, 1], {"fps": "25"})
    cache.remove("a-1")
    assert cache.load("a-1") is None


def test_disabled(tmp_path):
    cache = Cache(tmp_path / "cache", enabled=False)
    cache.save("a-1", {"x": torch.ones(2)})
    assert cache.load("a-1") is None
    assert not (tmp_path / "cache").exists()


def test_damaged_entry_counts_as_missing(tmp_path, caplog):
    cache = Cache(tmp_path)
    cache.save("a-1", {"x": torch.ones(2)})
    cache.path("a-1").write_bytes(b"damaged")
    assert cache.load("a-1") is None
    assert "made again" in caplog.text
    assert not cache.path("a-1").exists()


def test_folder_that_cannot_be_written_only_warns(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    Cache(tmp_path / "file" / "cache").save("a-1", {"x": torch.ones(2)})
    assert "not kept" in caplog.text


def test_a_file_in_the_place_of_the_folder_only_warns(tmp_path, caplog):
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file")
    cache.save("key", {"x": torch.ones(2)})
    assert "not kept" in caplog.text
    assert cache.load("key") is None
    cache.remove("key")


def test_folder_is_the_users_choice(monkeypatch, tmp_path):
    monkeypatch.setenv("LIQUIDWARP_CACHE", str(tmp_path))
    assert default_cache_folder() == tmp_path
    monkeypatch.delenv("LIQUIDWARP_CACHE")
    assert default_cache_folder().name in ("liquidwarp", "cache")
