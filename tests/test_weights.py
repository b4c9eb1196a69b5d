import json
import shutil

import pytest
import torch

from liquidwarp import weights
from liquidwarp.errors import WeightsCorruptError, WeightsNotFoundError
from liquidwarp.weights import asset, list_assets, load_tensors, save_tensors, sha256_of


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "a.bin").write_bytes(b"weights")
    entry = {"size": 7, "sha256": sha256_of(tmp_path / "net" / "a.bin"), "licence": "MIT", "source": "test"}
    (tmp_path / "manifest.json").write_text(json.dumps({"net/a.bin": entry}))
    return tmp_path


def test_sha256_is_the_known_one(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_asset_is_found(folder):
    assert asset("net/a.bin", folder) == folder / "net" / "a.bin"


def test_asset_that_does_not_exist(folder):
    with pytest.raises(WeightsNotFoundError, match=r"no such asset; there are net/a\.bin"):
        asset("net/b.bin", folder)
    (folder / "net" / "a.bin").unlink()
    with pytest.raises(WeightsNotFoundError, match=r"is missing\. Install"):
        asset("net/a.bin", folder)


@pytest.mark.parametrize("content", [b"weightz", b"version https://git-lfs", b""])
def test_asset_with_other_content(folder, content):
    (folder / "net" / "a.bin").write_bytes(content)
    with pytest.raises(WeightsCorruptError, match="sha256"):
        asset("net/a.bin", folder)


def test_manifest_missing_or_damaged(folder):
    (folder / "manifest.json").write_text("{")
    with pytest.raises(WeightsCorruptError, match="damaged"):
        list_assets(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(WeightsNotFoundError, match="list of assets"):
        list_assets(folder)


def test_every_asset_of_the_package_is_listed_with_its_licence():
    records = {record.name: record for record in list_assets()}
    files = {
        path.relative_to(weights.ASSETS).as_posix()
        for path in weights.ASSETS.rglob("*")
        if path.is_file() and path.suffix not in (".md", "") and path.name != "manifest.json"
    }
    assert files == set(records), "run python scripts/manifest.py"
    for name, record in records.items():
        assert record.licence, name
        assert asset(name).is_file()
    assert sum(record.size for record in records.values()) < 100e6


def test_tensors_round_trip(tmp_path):
    tensors = {"a": torch.arange(6).reshape(2, 3).T, "b.c": torch.ones(2, dtype=torch.float16)}
    path = save_tensors(tmp_path / "new" / "x.safetensors", tensors, {"format": "test-1"})
    back, metadata = load_tensors(path, "test-1")
    assert metadata == {"format": "test-1"}
    assert {name: (t.dtype, t.tolist()) for name, t in back.items()} == {
        name: (t.dtype, t.tolist()) for name, t in tensors.items()
    }
    with pytest.raises(WeightsCorruptError, match="expected format 'test-2', found 'test-1'"):
        load_tensors(path, "test-2")


def test_pickles_and_stumps_are_refused(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "old.pth")
    with pytest.raises(WeightsCorruptError, match="never read"):
        load_tensors(tmp_path / "old.pth")
    path = save_tensors(tmp_path / "x.safetensors", {"a": torch.ones(100)})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsCorruptError):
        load_tensors(path)
    with pytest.raises(WeightsNotFoundError):
        load_tensors(tmp_path / "missing.safetensors")


def test_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = save_tensors(tmp_path / "x.safetensors", {"a": torch.ones(1)})

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_tensors(path, {"a": torch.zeros(1)})
    assert load_tensors(path)[0]["a"].item() == 1
    assert list(tmp_path.iterdir()) == [path]
    shutil.rmtree(tmp_path)


def test_others_may_read_what_is_saved_as_any_other_file(tmp_path):
    plain, saved = tmp_path / "plain", save_tensors(tmp_path / "saved.safetensors", {"a": torch.zeros(1)})
    plain.touch()
    assert saved.stat().st_mode == plain.stat().st_mode
