"""Imports only point down the rooms, and the rooms that must not know each other do not."""

import ast
import re
from pathlib import Path

import pytest

import liquidwarp

PACKAGE = Path(liquidwarp.__file__).parent
FLOORS = (
    ("errors",),
    ("config", "checks", "dataset_config", "effects", "files", "metrics", "types"),
    ("evaluation_config", "personal_config"),
    ("media",),
    ("weights",),
    ("cache",),
    ("geometry",),
    ("body",),
    ("recover", "flow", "gan"),
    ("synthetic",),
    ("learn",),
    ("mixture",),
    ("backdrop", "renderers"),
    ("synthesizer",),
    ("personal",),
    ("tasks",),
    ("evaluate",),
    ("api",),
    ("arguments", "doctor", "options", "parsing"),
    ("preparing",),
    ("commands", "evaluation_commands", "live_commands", "personal_commands", "recover_commands", "training_commands"),
    ("cli",),
)
"""Lowest first; rooms of one floor do not import each other."""
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
LAYERED = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            if node.module == "liquidwarp":
                names |= {f"liquidwarp.{alias.name}" for alias in node.names}
            else:
                names.add(node.module or "")
    return {name.split(".")[1] for name in names if name.startswith("liquidwarp.")}


def upward(room: str, source: str) -> set[str]:
    """Rooms that ``source``, a file of ``room``, must not import."""
    return {
        other
        for other in imported_rooms(ast.parse(source))
        if other != room and (other not in FLOOR_OF or FLOOR_OF[other] >= FLOOR_OF[room])
    }


@pytest.mark.parametrize("path", LAYERED, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path):
    room = room_of(path)
    assert room in FLOOR_OF, f"{room} is a new room: give it a floor in {__file__}"
    assert not upward(room, path.read_text(encoding="utf-8"))


def test_the_rule_bites():
    assert upward("gan", "from liquidwarp.recover.fit import fit_body") == {"recover"}
    assert upward("geometry", "def f():\n    import liquidwarp.body.model") == {"body"}
    assert upward("flow", "from liquidwarp.geometry.warp import Flow\nimport torch") == set()
    assert upward("media", "from liquidwarp import cli") == {"cli"}


def test_house_plan_names_every_room():
    plan = (PACKAGE.parents[1] / "docs" / "design.md").read_text(encoding="utf-8")
    table = plan.split("## The house plan")[1].split("## Decisions")[0]
    named = {name.rstrip("/") for name in re.findall(r"`([a-z_]+/?)`", table)}
    assert set(FLOOR_OF) <= named
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert folders | files == set(FLOOR_OF), "rooms that are there and rooms of the list"
