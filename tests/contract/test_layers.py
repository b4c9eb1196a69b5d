"""Imports only point down the rooms, and the rooms that must not know each other do not."""

import ast
import re
from pathlib import Path

import pytest

import liquidwarp

PACKAGE = Path(liquidwarp.__file__).parent
FLOORS = (
    ("errors",),
    ("config", "checks", "dataset_config", "effects", "files", "given", "metrics", "types"),
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
FLOORS_WITHIN = {
    "flow": (
        ("mesh", "place"),
        ("colours",),
        ("clothes", "seen"),
        ("sources", "condition"),
        ("compose", "halves", "lending", "sheets"),
        ("draw", "previous", "unseen"),
        ("render",),
    ),
    "recover": (
        ("detection",),
        ("films", "mattes"),
        ("fitting", "tracking"),
        ("digitize", "live", "overlay"),
        ("views",),
        ("photos",),
    ),
}
"""The same within the large rooms: their folders, and their files beside the folders."""


def floor_of(floors: tuple[tuple[str, ...], ...]) -> dict[str, int]:
    return {room: floor for floor, rooms in enumerate(floors) for room in rooms}


FLOOR_OF = floor_of(FLOORS)
LAYERED = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path: Path, within: str = "") -> str:
    return path.relative_to(PACKAGE / within).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST, within: str = "") -> set[str]:
    """Rooms of the package, or the rooms within one of them, that are imported."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            if node.module == "liquidwarp" or node.module == f"liquidwarp.{within}":
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
            else:
                names.add(node.module or "")
    start = f"liquidwarp.{within}." if within else "liquidwarp."
    return {name.removeprefix(start).split(".")[0] for name in names if name.startswith(start)}


def upward(room: str, source: str, within: str = "") -> set[str]:
    """Rooms that ``source``, a file of ``room``, must not import."""
    floors = floor_of(FLOORS_WITHIN[within]) if within else FLOOR_OF
    return {
        other
        for other in imported_rooms(ast.parse(source), within)
        if other != room and (other not in floors or floors[other] >= floors[room])
    }


@pytest.mark.parametrize("path", LAYERED, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path):
    room = room_of(path)
    assert room in FLOOR_OF, f"{room} is a new room: give it a floor in {__file__}"
    assert not upward(room, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("within", FLOORS_WITHIN)
def test_imports_point_down_within_a_room(within):
    files = [
        path for path in (PACKAGE / within).rglob("*.py") if path.parent != PACKAGE / within or path.stem != "__init__"
    ]
    assert {room_of(path, within) for path in files} == set(floor_of(FLOORS_WITHIN[within]))
    wrong = {path: upward(room_of(path, within), path.read_text(encoding="utf-8"), within) for path in files}
    assert not {path: rooms for path, rooms in wrong.items() if rooms}


def test_the_rule_bites():
    assert upward("gan", "from liquidwarp.recover.fitting.fit import fit_body") == {"recover"}
    assert upward("geometry", "def f():\n    import liquidwarp.body.model") == {"body"}
    assert upward("flow", "from liquidwarp.geometry.warp import Flow\nimport torch") == set()
    assert upward("media", "from liquidwarp import cli") == {"cli"}
    assert upward("seen", "from liquidwarp.flow.unseen.tubes import f", "flow") == {"unseen"}
    assert upward("seen", "from liquidwarp.flow import sources", "flow") == {"sources"}
    assert upward("seen", "from liquidwarp.flow.mesh import surface", "flow") == set()


def test_house_plan_names_every_room():
    plan = (PACKAGE.parents[1] / "docs" / "design.md").read_text(encoding="utf-8")
    table = plan.split("## The house plan")[1].split("## Decisions")[0]
    named = {name.rstrip("/") for name in re.findall(r"`([a-z_]+/?)`", table)}
    assert set(FLOOR_OF) <= named
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert folders | files == set(FLOOR_OF), "rooms that are there and rooms of the list"
