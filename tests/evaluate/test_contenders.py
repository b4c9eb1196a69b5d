import shutil

import pytest

from liquidwarp.errors import SettingError, WeightsNotFoundError
from liquidwarp.evaluate.contenders import load_contenders


def test_names_and_facts(weights):
    texture, network = load_contenders(["texture", str(weights / "attention" / "weights")])
    assert (texture.name, texture.generator, texture.fusion, texture.millions) == ("texture", None, "none", 0)
    assert (network.name, network.fusion) == ("attention", "attention")
    own = network.generator
    everything = sum(p.numel() for p in own.parameters()) / 1e6
    assert 0 < network.millions < everything


def test_equal_names_are_told_apart_by_their_whole_path(weights, tmp_path):
    shutil.copytree(weights / "attention", tmp_path / "attention")
    paths = [str(folder / "attention" / "weights") for folder in (weights, tmp_path)]
    assert [contender.name for contender in load_contenders(paths)] == paths


def test_mistakes_are_told(tmp_path):
    with pytest.raises(SettingError, match="models: expected warp, texture, base, lite or a folder"):
        load_contenders(["typo"])
    with pytest.raises(WeightsNotFoundError, match="--models"):
        load_contenders([str(tmp_path)])
