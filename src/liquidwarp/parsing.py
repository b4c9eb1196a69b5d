"""How the command line's dataclasses are read: their help as paragraphs, a typing mistake as one line.

Nothing heavy is imported, so that ``--help`` answers at once.
"""

import ast
import contextlib
import dataclasses
import inspect
import io
import itertools
import re
import textwrap
import typing
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Any

import tyro
from tyro.constructors import MISSING, ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from liquidwarp.errors import SettingError

__all__ = ["explain_mistake", "field_texts", "read_arguments"]

_SETTINGS = (tyro.conf.OmitArgPrefixes, tyro.conf.HelptextFromCommentsOff)
_registry = ConstructorRegistry()


def read_arguments(commands: Any, arguments: Sequence[str], description: str) -> Any:
    """Arguments to one of ``commands``; exits with 0 after ``--help``.

    Args:
        commands: A union of dataclasses, each annotated by ``tyro.conf.subcommand``.
        arguments: What was typed, without the program's name.
        description: The program's, for its help.

    Raises:
        SettingError: a typing mistake, with a hint.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint), _registry:
            return tyro.cli(
                commands, prog="liquidwarp", args=list(arguments), description=description, config=_SETTINGS
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise SettingError(explain_mistake(complaint.getvalue())) from None


def field_texts(kind: type) -> dict[str, str]:
    """The docstring below each field of a dataclass, its bases' included, without line breaks.

    Example:
        >>> from liquidwarp.effects import Effects
        >>> print(field_texts(Effects)["views"])
        Sides from which the person is shown, side by side [degrees]: 0 as in the photo, 90 from the person's left.
    """
    texts = {
        name: text
        for base in kind.__bases__
        if dataclasses.is_dataclass(base)
        for name, text in field_texts(base).items()
    }
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101
    for field, below in itertools.pairwise(body.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = below.value.value if isinstance(below.value, ast.Constant) else None
            if isinstance(text, str):
                texts[field.target.id] = " ".join(text.split())
    return texts


@_registry.struct_rule
def _own_dataclass(info: StructTypeInfo) -> StructConstructorSpec | None:
    """The fields of this package's dataclasses: tyro by itself keeps the line breaks of their docstrings."""
    kind = info.type
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__.startswith("liquidwarp.")):
        return None
    texts, hints = field_texts(kind), typing.get_type_hints(kind, include_extras=True)
    fields = []
    own = inspect.get_annotations(kind)
    for field in sorted(dataclasses.fields(kind), key=lambda field: field.name not in own):  # what is shared comes last
        default = _default(field, info.default)
        fields.append(StructFieldSpec(field.name, _shown(hints[field.name], default), default, texts.get(field.name)))
    return StructConstructorSpec(kind, tuple(fields))


def _default(field: dataclasses.Field[Any], given: Any) -> Any:
    if dataclasses.is_dataclass(given):
        return getattr(given, field.name)
    if field.default is not dataclasses.MISSING:
        return field.default
    return MISSING if field.default_factory is dataclasses.MISSING else field.default_factory()


def _shown(hint: Any, default: Any) -> Any:
    """The type with a placeholder that reads well; "(default: None)" says nothing and goes."""
    bare = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
    kinds = [kind for kind in typing.get_args(bare) if kind is not NoneType]
    if default is None and len(kinds) == 1:
        metavar = "PATH" if issubclass(kinds[0], Path) else kinds[0].__name__.upper()
        return Annotated[hint, tyro.conf.arg(metavar=metavar, help_behavior_hint="")]
    if default == ():
        return Annotated[hint, tyro.conf.arg(help_behavior_hint="")]
    return hint


def explain_mistake(box: str) -> str:
    """The gist of the box that tyro draws about a typing mistake, in one line.

    Args:
        box: A title, the complaint, perhaps hints, and where to get help, separated by lines; in ASCII, or in Unicode
            with a frame around them and the title in its upper edge.
    """
    plain = box.translate(str.maketrans("\u2500\u2502\u256d\u256e\u2570\u256f", "-     "))
    parts = [part.strip() for part in re.split(r"(?m)^.*-{5,}\s*$", plain)[1:] if part.strip()]
    if len(parts) < 2:
        return " ".join(box.split())
    hints = [part for part in parts[1:-1] if part.startswith(("Perhaps", "Available"))]
    return ". ".join(_gist(part).rstrip(".:") for part in (parts[0], *hints, parts[-1])) + "."


def _gist(text: str) -> str:
    """Of a list of options their names only; of other text all to the first empty line."""
    first, *lines = text.splitlines()
    options = list(dict.fromkeys(line.split()[0] for line in lines if line.strip().startswith("--")))
    if options:
        return f"{first.strip()} {', '.join(options)}"
    return " ".join(re.split(r"\n\s*\n", text)[0].split())
