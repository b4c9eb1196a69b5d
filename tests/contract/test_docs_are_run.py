"""What the documents show works: Python blocks, command lines, links and the doctests of the package."""

import doctest
import importlib
import re
import shlex
from pathlib import Path

import pytest

import liquidwarp
from liquidwarp.cli import COMMANDS, parse

from .test_public_names import MODULES

ROOT = Path(liquidwarp.__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^(<!-- run -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def each_document(function):
    return pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())(function)


def blocks(path: Path, language: str) -> list[tuple[bool, str]]:
    found = BLOCK.findall(path.read_text(encoding="utf-8"))
    return [(bool(run), text) for run, kind, text in found if kind == language]


@each_document
def test_python_blocks(path, tmp_path, monkeypatch):
    """Every block is valid Python whose imports work; those below ``<!-- run -->`` are run."""
    monkeypatch.chdir(tmp_path)
    for run, text in blocks(path, "python"):
        code = compile(text, f"{path.name}", "exec")
        if run:
            exec(code, {"__name__": "document"})
            continue
        for name, attributes in re.findall(r"^from (liquidwarp[\w.]*) import ([\w, ]+)$", text, re.MULTILINE):
            module = importlib.import_module(name)
            for attribute in attributes.split(","):
                assert hasattr(module, attribute.strip()), f"{path.name}: {name} has no {attribute}"


@each_document
def test_command_lines(path):
    for _, text in blocks(path, "bash"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["liquidwarp"]:
                continue
            if "--help" in words:
                assert words[1:-1] == [] or words[1] in COMMANDS
            else:
                assert isinstance(parse(words[1:]), COMMANDS[words[1]][0])


@each_document
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not missing


@each_document
def test_named_files_exist(path):
    """Paths in back quotes such as `geometry/warp.py` are real; `__name__` stands for any."""
    named = re.findall(
        r"`((?:src/liquidwarp/|tests/|scripts/|benchmarks/|docs/)?[\w/]+\.(?:py|md|toml))`", path.read_text()
    )
    missing = [
        name
        for name in named
        if not (ROOT / name).exists()
        and not (ROOT / "src" / "liquidwarp" / name).exists()
        and not (path.parent / name).exists()
        and not list(ROOT.glob(f"src/liquidwarp/**/{name}"))
    ]
    assert not missing


def test_paper_map_names_exist():
    """Classes, functions and fields in the paper map are in the source."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    text = (ROOT / "docs" / "paper_map.md").read_text(encoding="utf-8")
    names = {
        part
        for name in re.findall(r"`([A-Za-z_][\w.]*)`", text)
        if not name.endswith(".py")
        for part in name.split(".")
    }
    missing = [
        name
        for name in sorted(names)
        if not re.search(rf"^(?:class|def|    def|   ) ?{name}\b[(:]", source, re.MULTILINE)
    ]
    assert not missing


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    failed, _ = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    )
    assert failed == 0
