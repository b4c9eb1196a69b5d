"""Settings from TOML files and as ``name=value``, for machines whose libraries do not suffice for the command line."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from liquidwarp.errors import SettingError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found]

__all__ = ["read_file", "read_overrides"]

ConfigT = TypeVar("ConfigT")


def read_file(config: ConfigT, path: Path) -> ConfigT:
    """A copy of a settings dataclass with the fields that a TOML file names; its tables are nested dataclasses.

    Args:
        config: A frozen dataclass.
        path: Such as ``configs/h100_25min.toml``.

    Raises:
        SettingError: no such file, not TOML, a name is not known or a value is not allowed.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"config: {path}: cannot be read ({error}). Check the spelling.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"config: {path}: expected TOML such as 'minutes = 25' ({error}).") from error
    try:
        return read_overrides(config, list(_flat(values)))
    except SettingError as error:
        raise SettingError(f"config: {path}: {error}") from error


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}={value if isinstance(value, str) else json.dumps(value, default=str)}"


def read_overrides(config: ConfigT, arguments: Sequence[str]) -> ConfigT:
    """A copy of a settings dataclass with some fields changed.

    Args:
        config: A frozen dataclass; fields may be dataclasses.
        arguments: Such as ``minutes=25`` or ``loss.perceptual=2``; lists as ``generator.channels=[32,64,96]``;
            ``config=FILE`` stands for what is in the file.

    Raises:
        SettingError: a name is not known or a value is not allowed.

    Example:
        >>> from liquidwarp.config import TrainConfig
        >>> read_overrides(TrainConfig(), ["minutes=3", "loss.face=0"]).loss.face
        0.0
    """
    changes: list[_Change] = []
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise SettingError(f"{argument!r}: expected name=value.")
        if name == "config":
            config, changes = read_file(_changed(config, changes), Path(text)), []
            continue
        changes.append((name.split("."), text, name))
    return _changed(config, changes)


_Change = tuple[list[str], str, str]
"""Names from the outermost dataclass on, the value's text, and the whole name."""


def _changed(config: ConfigT, changes: Sequence[_Change]) -> ConfigT:
    """All at once, as one setting may be allowed only together with another."""
    known = {field.name for field in fields(config)}  # type: ignore[arg-type]
    new: dict[str, object] = {}
    inner: dict[str, list[_Change]] = {}
    for (field, *rest), text, name in changes:
        if field not in known:
            raise SettingError(f"setting {name!r} is not known; expected one of: {', '.join(sorted(known))}.")
        old = getattr(config, field)
        if rest:
            if not is_dataclass(old):
                raise SettingError(f"setting {name!r}: {field} has no settings of its own.")
            inner.setdefault(field, []).append((rest, text, name))
            continue
        new[field] = value = _parsed(text, old, name)
        choices = get_args(get_type_hints(type(config))[field])
        if choices and all(isinstance(choice, str) for choice in choices) and value not in choices:
            raise SettingError(f"setting {name}: expected one of {', '.join(choices)}, got {text!r}.")
    for field, own in inner.items():
        new[field] = _changed(getattr(config, field), own)
    return replace(config, **new)  # type: ignore[type-var]


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
