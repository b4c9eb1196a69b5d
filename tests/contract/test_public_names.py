"""Whatever a module calls public exists; the tools that guard the shapes are awake."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import liquidwarp

ROOT = Path(liquidwarp.__file__).parents[2]
MODULES = sorted(module.name for module in pkgutil.walk_packages(liquidwarp.__path__, "liquidwarp."))


@pytest.mark.parametrize("name", ["liquidwarp", *MODULES])
def test_public_names_exist(name):
    module = importlib.import_module(name)
    public = getattr(module, "__all__", ())
    assert len(set(public)) == len(public)
    for each in public:
        assert hasattr(module, each), f"{name}.__all__ names {each}, which does not exist"
        documented = getattr(module, each)
        if inspect.isclass(documented) or inspect.isfunction(documented):
            assert documented.__doc__, f"{name}.{each} has no docstring"


def test_shape_checker_is_awake():
    """If this fails, every shape annotation is only decoration (see addopts in pyproject.toml)."""
    from liquidwarp.geometry.rotations import rotvec_to_matrix

    with pytest.raises(Exception, match=r"(?s)Type-check error.*rotvec_to_matrix"):
        rotvec_to_matrix(torch.zeros(2, 4))


@pytest.mark.parametrize("name", ["liquidwarp.cli", "liquidwarp.config", "liquidwarp.errors"])
def test_light_modules_stay_light(name):
    """The command line's help must not wait for torch, and must not need any extra."""
    heavy = "{'torch', 'av', 'cv2', 'scipy', 'beartype', 'pytest', 'tensorboard'}"
    code = f"import sys, {name}; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_package_needs_no_extra():
    """Everything that a plain ``pip install`` gives can be imported without the development tools and extras."""
    blocked = [
        "beartype",
        "pytest",
        "pillow_heif",
        "smplx",
        "tensorboard",
        "trimesh",
        "skimage",
        "torchvision",
    ]
    code = (
        f"import sys, importlib\nfor name in {blocked!r}: sys.modules[name] = None\n"
        f"for name in {MODULES!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_version_has_an_entry_in_the_changelog():
    from importlib.metadata import version

    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert declared is not None
    assert re.search(rf"^## \[{re.escape(declared[1])}\] - \d{{4}}-\d\d-\d\d$", text, re.MULTILINE)
    assert version("liquidwarp") == declared[1], "install the package again"
