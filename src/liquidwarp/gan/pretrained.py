"""Generators on disk: a folder with ``model.safetensors`` (fp16) and ``config.json``, loaded strictly."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

import torch
from torch import Tensor

from liquidwarp.config import GeneratorConfig
from liquidwarp.errors import SettingError, WeightsCorruptError, WeightsNotFoundError
from liquidwarp.gan.discriminator import Discriminators
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.weights import asset, load_tensors, save_tensors

__all__ = ["BUNDLED", "load_discriminators", "load_generator", "save_discriminators", "save_generator"]

BUNDLED = ("base", "lite")
"""Generators inside the package."""

_FORMAT = "liquidwarp-generator-1"
_CRITICS, _CRITICS_FORMAT = "discriminators.safetensors", "liquidwarp-discriminators-1"


def save_generator(
    folder: str | Path,
    generator: LiquidWarpingGenerator,
    state: Mapping[str, Tensor] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Path:
    """Write the weights in fp16 and the settings.

    Args:
        folder: Is made if missing.
        generator: Gives the settings.
        state: Other weights to save, such as averaged ones; None: the generator's own.
        notes: Facts for the file's metadata, such as the training data.

    Raises:
        MediaError: the place cannot be written.
    """
    folder = Path(folder)
    state = generator.state_dict() if state is None else state
    halves = {name: tensor.detach().half() for name, tensor in state.items()}
    save_tensors(folder / "model.safetensors", halves, {"format": _FORMAT, **(notes or {})})
    text = json.dumps(asdict(generator.config), indent=2) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")
    return folder


def load_generator(name: str | Path, device: torch.device | str = "cpu") -> LiquidWarpingGenerator:
    """A generator in evaluation mode.

    Args:
        name: "base" or "lite" for one inside the package, or a folder that :func:`save_generator` wrote.
        device: Where it shall work.

    Raises:
        WeightsNotFoundError: no such folder, or a file in it is missing.
        WeightsCorruptError: damaged, or weights and settings do not belong together.
    """
    if name in BUNDLED:
        weights, settings = asset(f"generator/{name}/model.safetensors"), asset(f"generator/{name}/config.json")
    else:
        weights, settings = Path(name) / "model.safetensors", Path(name) / "config.json"
        if not weights.is_file():
            raise WeightsNotFoundError(
                f"{name}: expected a folder with model.safetensors and config.json, found no such file in it. Of a run "
                "that is its folder weights, such as runs/mine/weights."
            )
    tensors, _ = load_tensors(weights, _FORMAT)
    with torch.device("meta"):
        generator = LiquidWarpingGenerator(_read_config(settings))
    floats = {key: tensor.float() for key, tensor in tensors.items()}
    try:
        generator.load_state_dict(floats, assign=True)
    except RuntimeError as error:
        raise WeightsCorruptError(f"{weights}: its tensors do not fit {settings.name} ({error}).") from error
    return generator.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def save_discriminators(folder: str | Path, discriminators: Discriminators) -> None:
    """Write the discriminators in fp16 beside a generator's weights, for training that goes on from them.

    Raises:
        MediaError: the place cannot be written.
    """
    halves = {name: tensor.detach().half() for name, tensor in discriminators.state_dict().items()}
    save_tensors(Path(folder) / _CRITICS, halves, {"format": _CRITICS_FORMAT})


def load_discriminators(name: str | Path, discriminators: Discriminators) -> bool:
    """Take the discriminators that lie beside a generator's weights.

    Args:
        name: See :func:`load_generator`; there are none beside bundled weights.
        discriminators: Get the weights.

    Returns:
        Whether there are any of the same shape; if not, nothing is changed.

    Raises:
        WeightsCorruptError: damaged.
    """
    path = Path(name) / _CRITICS
    if name in BUNDLED or not path.is_file():
        return False
    tensors, _ = load_tensors(path, _CRITICS_FORMAT)
    wanted = {key: tensor.shape for key, tensor in discriminators.state_dict().items()}
    if wanted != {key: tensor.shape for key, tensor in tensors.items()}:
        return False
    discriminators.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    return True


def _read_config(path: Path) -> GeneratorConfig:
    if not path.is_file():
        raise WeightsNotFoundError(f"{path}: the generator's settings are missing; they belong beside its weights.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(GeneratorConfig)}
        if not isinstance(values, dict) or set(values) != known:
            raise ValueError("other settings than this version has")
        frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return GeneratorConfig(**frozen)  # type: ignore[arg-type]
    except (ValueError, TypeError, SettingError) as error:
        raise WeightsCorruptError(f"{path}: the generator's settings cannot be read ({error}).") from error
