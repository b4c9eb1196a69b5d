"""The shipped body, and a stick figure that is written as BVH."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from liquidwarp.body.anny import AnnyBody

_SIDE = [
    ("{side}UpLeg", "Hips", (9, -8, 0)),
    ("{side}Leg", "{side}UpLeg", (0, -40, 0)),
    ("{side}Foot", "{side}Leg", (0, -40, 0)),
    ("{side}ToeBase", "{side}Foot", (0, -6, 14)),
    ("{side}Shoulder", "Spine", (4, 38, 0)),
    ("{side}Arm", "{side}Shoulder", (12, 2, 0)),
    ("{side}ForeArm", "{side}Arm", (27, 0, 0)),
    ("{side}Hand", "{side}ForeArm", (25, 0, 0)),
    ("{side}HandMiddle1", "{side}Hand", (9, 0, 0)),
    ("{side}HandThumb1", "{side}Hand", (3, 0, 3)),
]
FIGURE: dict[str, tuple[str, tuple[int, int, int]]] = {"Hips": ("", (0, 0, 0)), "Spine": ("Hips", (0, 10, 0))}
FIGURE |= {"Neck": ("Spine", (0, 42, 0)), "Head": ("Neck", (0, 9, 0))}
FIGURE |= {n.format(side="Left"): (p.format(side="Left"), o) for n, p, o in _SIDE}
FIGURE |= {n.format(side="Right"): (p.format(side="Right"), (-o[0], o[1], o[2])) for n, p, o in _SIDE}
"""T-pose, y up, looks to +z, centimetres: joint -> (parent, offset)."""

Frame = Mapping[str, Sequence[float]]
"""Joint -> angles [degrees] about x, y, z (applied as Rx Ry Rz); "root" -> place of the hips."""


@pytest.fixture(scope="session")
def anny() -> AnnyBody:
    return AnnyBody.load()


@pytest.fixture
def figure(tmp_path: Path) -> Callable[..., Path]:
    """Write the stick figure's motion: ``figure(frames, basis=..., unit=..., rename=..., newline=...)``."""

    def write(
        frames: Sequence[Frame],
        basis: np.ndarray | None = None,
        unit: float = 1.0,
        rename: Callable[[str], str] = lambda name: name,
        frame_time: float = 0.05,
        newline: str = "\n",
        leave_out: Sequence[str] = (),
        path: Path | None = None,
    ) -> Path:
        axes = np.eye(3) if basis is None else basis  # columns: where the figure's x, y, z lie in the file's axes
        lines = ["HIERARCHY"]

        def channel(axis: int) -> tuple[int, float]:
            place = int(np.abs(axes[:, axis]).argmax())
            return place, axes[place, axis]

        rotations = " ".join(f"{'XYZ'[channel(axis)[0]]}rotation" for axis in range(3))
        order: list[str] = []

        def add(joint: str, depth: int) -> None:
            if joint in leave_out:
                return
            order.append(joint)
            tab = "\t" * depth
            offset = axes @ np.array(FIGURE[joint][1]) * unit
            lines.extend([f"{tab}{'JOINT' if depth else 'ROOT'} {rename(joint)}", tab + "{"])
            lines.append(f"{tab}\tOFFSET {offset[0]:.6e} {offset[1]:.6e} {offset[2]:.6e}")
            kinds = rotations if depth else f"Xposition Yposition Zposition {rotations}"
            lines.append(f"{tab}\tCHANNELS {len(kinds.split())} {kinds}")
            for child, (parent, _) in FIGURE.items():
                if parent == joint:
                    add(child, depth + 1)
            lines.append(tab + "}")

        add("Hips", 0)
        lines += ["MOTION", f"Frames:\t{len(frames)}", f"Frame Time: {frame_time}"]
        for frame in frames:
            values = list(axes @ np.array(frame.get("root", (0, 94, 0))) * unit)
            for joint in order:
                values += [channel(axis)[1] * frame.get(joint, (0, 0, 0))[axis] for axis in range(3)]
            lines.append("\t".join(f"{value:.8g}" for value in values))
        path = path or tmp_path / "figure.bvh"
        path.write_bytes((newline.join(lines) + newline).encode())
        return path

    return write
