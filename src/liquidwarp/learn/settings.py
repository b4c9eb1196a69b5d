"""Settings as ``name=value``, for machines on which only torch is installed; elsewhere the command line has options."""

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TypeVar

from liquidwarp.errors import SettingError

__all__ = ["read_overrides"]

ConfigT = TypeVar("ConfigT")


def read_overrides(config: ConfigT, arguments: Sequence[str]) -> ConfigT:
    """A copy of a settings dataclass with some fields changed.

    Args:
        config: A frozen dataclass; fields may be dataclasses.
        arguments: Such as ``minutes=25`` or ``loss.perceptual=2``; lists as ``generator.channels=[32,64,96]``.

    Raises:
        SettingError: a name is not known or a value is not allowed.

    Example:
        >>> from liquidwarp.config import TrainConfig
        >>> read_overrides(TrainConfig(), ["minutes=3", "loss.face=0"]).loss.face
        0.0
    """
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise SettingError(f"{argument!r}: expected name=value.")
        config = _changed(config, name.split("."), text, name)
    return config


def _changed(config: ConfigT, path: list[str], text: str, name: str) -> ConfigT:
    known = {field.name for field in fields(config)}  # type: ignore[arg-type]
    if path[0] not in known:
        raise SettingError(f"setting {name!r} is not known; expected one of: {', '.join(sorted(known))}.")
    old = getattr(config, path[0])
    if len(path) > 1:
        if not is_dataclass(old):
            raise SettingError(f"setting {name!r}: {path[0]} has no settings of its own.")
        new: object = _changed(old, path[1:], text, name)
    else:
        new = _parsed(text, old, name)
    return replace(config, **{path[0]: new})  # type: ignore[type-var]


def _parsed(text: str, old: object, name: str) -> object:
    if isinstance(old, Path) or (old is None and text != "null"):
        return Path(text)
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(old, float) and isinstance(value, int):
        value = float(value)
    if old is not None and type(value) is not type(old):
        raise SettingError(f"setting {name}: expected {type(old).__name__}, got {text!r}.")
    return value
