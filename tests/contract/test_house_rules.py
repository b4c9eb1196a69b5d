"""What the house rules forbid or limit, checked on every file of the package."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

import liquidwarp

PACKAGE = Path(liquidwarp.__file__).parent
ROOT = PACKAGE.parents[1]
FILES = sorted(PACKAGE.rglob("*.py"))


def each_file(function):
    return pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())(function)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@each_file
def test_files_and_functions_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > 80
    }
    assert not long
    many = {
        node.name: len(node.args.args) + len(node.args.kwonlyargs)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef)
        and len([a for a in node.args.args + node.args.kwonlyargs if a.arg not in ("self", "cls")]) > 8
    }
    assert not many, "more than 8 parameters: make a dataclass"


@each_file
def test_every_file_says_what_it_is_for(path):
    assert ast.get_docstring(parsed(path)), "a line on top that says what the file is for"


@each_file
def test_only_warp_samples_grids(path):
    if path != PACKAGE / "geometry" / "warp.py":
        used = {node.attr for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute)}
        assert not used & {"grid_sample", "affine_grid"}


BETWEEN_PROCESSES = PACKAGE / "personal" / "background_work.py"
"""What the program's own processes send to each other never was a file."""


@each_file
def test_nothing_is_unpickled_and_nothing_is_printed(path):
    for node in ast.walk(parsed(path)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            if names == ["UnpicklingError", "pickle"]:  # what torch.load raises of a damaged file
                continue
            if path != BETWEEN_PROCESSES:
                assert not {"pickle", "joblib", "dill"} & set(names)
            assert not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec"), f"line {node.lineno}"
            if called == "torch.load":  # the user's own old files, tensors only
                assert "weights_only=True" in ast.unparse(node), f"line {node.lineno}"
            assert called != "print" or path.name.endswith(("cli.py", "commands.py")), (
                f"line {node.lineno}: use logging"
            )
            allow = [word.value for word in node.keywords if word.arg == "allow_pickle"]
            assert not any(getattr(value, "value", True) for value in allow), f"line {node.lineno}"


def test_configuration_needs_no_torch():
    assert not re.search(r"^\s*(import|from) torch", (PACKAGE / "config.py").read_text(), re.MULTILINE)


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [path for path in map(ROOT.joinpath, done.stdout.splitlines()) if path.is_file()]


def test_no_machine_paths_or_foreign_words():
    forbidden = re.compile(r"""(?:^|[\s"'=(`])/(?:work|root|farm|opt/lw)/|[.]library\b|\bsub-?agent|site-packages/""")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked()
        if path.suffix in (".py", ".md", ".toml", ".yaml", ".yml", ".sh", ".json", "")
        and path.name != Path(__file__).name
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if forbidden.search(line)
    ]
    assert not found


def test_large_files_are_assets_only():
    large = [path for path in tracked() if path.stat().st_size > 500_000 and PACKAGE / "assets" not in path.parents]
    assert not large
    assert sum(path.stat().st_size for path in tracked()) < 110e6
