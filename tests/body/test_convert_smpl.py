"""The converter of SMPL's pickles: arrays come through, code does not run."""

import importlib.util
import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csc_matrix

SCRIPT = Path(__file__).parents[2] / "scripts" / "convert_smpl.py"


@pytest.fixture(scope="module")
def converter() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("convert_smpl", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def chumpy_array(monkeypatch):
    """A class that pickles as chumpy's arrays do."""
    module = types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, x):
            self.x = x

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    return Ch


@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_of_every_kind_come_through(converter, chumpy_array, tmp_path, protocol):
    random = np.random.default_rng(0)
    arrays = {name: random.normal(size=(3, 4)) for name in converter.ARRAYS}
    content = {**arrays, "shapedirs": chumpy_array(arrays["shapedirs"]), "bs_style": "lbs"}
    content["J_regressor"] = csc_matrix(arrays["J_regressor"])
    source, target = tmp_path / "model.pkl", tmp_path / "model.npz"
    source.write_bytes(pickle.dumps(content, protocol))
    converter.convert(source, target)
    with np.load(target, allow_pickle=False) as file:
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name], array)


def test_foreign_code_is_refused(converter, tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    source = tmp_path / "model.pkl"
    source.write_bytes(pickle.dumps({"v_template": Harm()}))
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        converter.convert(source, tmp_path / "model.npz")
    assert not (tmp_path / "ran").exists()


def test_other_pickles_are_named(converter, tmp_path):
    source = tmp_path / "other.pkl"
    source.write_bytes(pickle.dumps({"weights": np.zeros(3)}))
    with pytest.raises(SystemExit, match="v_template"):
        converter.convert(source, tmp_path / "other.npz")
