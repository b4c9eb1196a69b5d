"""BVH motion files: reading, writing and forward kinematics in the file's own axes and units.

The format has no standard. What is taken here: any order and number of channels, tabs, Windows line ends, joint
names with spaces, a brace on the joint's own line, joints without an end site, numbers like ``1e-3``. What is
refused is named with its line. Which joint is which, which way is up and how long a unit is stand in
:mod:`liquidwarp.body.joint_names` and :mod:`liquidwarp.body.skeleton`.
"""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from liquidwarp.errors import MotionError
from liquidwarp.files import atomic_path

__all__ = ["BvhMotion", "read_bvh", "write_bvh"]

_log = logging.getLogger(__name__)
_AXES = "XYZ"
_END = "_end"


@dataclass(frozen=True)
class BvhMotion:
    """A skeleton and its local transforms over T frames, in the file's axes and units."""

    names: tuple[str, ...]
    """Joints in the file's order, parents before children; an end site is its joint's name and "_end"."""
    parents: tuple[int, ...]
    """Parent of each joint, -1 for the root."""
    offsets: Float[np.ndarray, "J 3"]
    """Place relative to the parent where no position channel says otherwise."""
    rotations: Float[np.ndarray, "T J 3 3"]
    """Relative to the parent; the identity for joints without rotation channels."""
    positions: Float[np.ndarray, "T J 3"]
    """Place relative to the parent, per frame."""
    fps: float

    def forward(self) -> tuple[Float[np.ndarray, "T J 3 3"], Float[np.ndarray, "T J 3"]]:
        """Global orientation and place of each joint (forward kinematics)."""
        rotations, places = self.rotations.copy(), self.positions.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                rotations[:, joint] = rotations[:, parent] @ self.rotations[:, joint]
                moved = (rotations[:, parent] @ self.positions[:, joint, :, None])[..., 0]
                places[:, joint] = places[:, parent] + moved
        return rotations, places

    def zero_pose(self) -> Float[np.ndarray, "J 3"]:
        """Places of the joints when every rotation is zero."""
        places: np.ndarray = self.offsets.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                places[joint] += places[parent]
        return places


@dataclass
class _Hierarchy:
    """The joints as the header lists them."""

    names: list[str]
    parents: list[int]
    offsets: list[list[float]]
    channels: list[list[str]]


def read_bvh(path: Path | str) -> BvhMotion:
    """Read a BVH file.

    Args:
        path: The file.

    Returns:
        The skeleton with its motion.

    Raises:
        MotionError: the file cannot be read or understood; the message names the line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise MotionError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error
    hierarchy, first = _read_hierarchy(path.name, lines)
    fps, values = _read_frames(path.name, lines, first, sum(len(c) for c in hierarchy.channels))
    offsets = np.array(hierarchy.offsets)
    rotations, positions = _local_transforms(hierarchy, offsets, values)
    return BvhMotion(tuple(hierarchy.names), tuple(hierarchy.parents), offsets, rotations, positions, fps)


def _read_hierarchy(file: str, lines: list[str]) -> tuple[_Hierarchy, int]:
    """The header, and the index of the line after MOTION."""
    tree, stack, current = _Hierarchy([], [], [], []), list[int](), -1
    for index, raw in enumerate(lines):
        for line in raw.replace("{", "\n{\n").replace("}", "\n}\n").split("\n"):
            words = line.split()
            if not words or words[0].upper() == "HIERARCHY":
                continue
            keyword = words[0].upper()
            if keyword == "MOTION":
                if stack or not tree.names:
                    raise _broken(file, index, "MOTION", "a complete joint hierarchy before it")
                return tree, index + 1
            if keyword in ("ROOT", "JOINT", "END"):
                if keyword == "ROOT" and tree.names:
                    raise _broken(file, index, line.strip(), "one skeleton with one root")
                parent = stack[-1] if stack else -1
                if parent < 0 and keyword != "ROOT":
                    raise _broken(file, index, line.strip(), "a joint inside of the root's braces")
                name = tree.names[parent] + _END if keyword == "END" else " ".join(words[1:])
                current = len(tree.names)
                tree.names.append(name or f"joint{current}")
                tree.parents.append(parent)
                tree.offsets.append([0.0, 0.0, 0.0])
                tree.channels.append([])
            elif keyword == "{":
                if current < 0:
                    raise _broken(file, index, "{", "ROOT and a name before it")
                stack.append(current)
            elif keyword == "}":
                if not stack:
                    raise _broken(file, index, "}", "as many opening as closing braces")
                stack.pop()
            elif keyword == "OFFSET" and stack:
                tree.offsets[stack[-1]] = _numbers(file, index, words[1:], 3)
            elif keyword == "CHANNELS" and stack:
                tree.channels[stack[-1]] = _channels(file, index, words[1:])
            else:
                raise _broken(file, index, line.strip(), "HIERARCHY, ROOT, JOINT, End Site, OFFSET, CHANNELS or MOTION")
    raise MotionError(
        f"{file}: expected a BVH file with a MOTION section, found none in {len(lines)} lines. Export the motion again."
    )


def _channels(file: str, index: int, words: list[str]) -> list[str]:
    """Channels as "Xp" (position) or "Xr" (rotation), in the file's order."""
    found = []
    for word in words[1:]:
        axis, kind = word[0].upper(), word[1:].lower()
        if axis not in _AXES or kind not in ("position", "rotation"):
            raise _broken(file, index, word, "channels such as Xposition or Zrotation")
        found.append(axis + kind[0])
    if not words or words[0] != str(len(found)):
        raise _broken(file, index, " ".join(words), "the number of channels and as many names")
    return found


def _read_frames(file: str, lines: list[str], first: int, width: int) -> tuple[float, Float[np.ndarray, "T N"]]:
    """Frame rate and the channels' values."""
    declared, frame_time = -1, math.nan
    rows: list[list[float]] = []
    for index in range(first, len(lines)):
        words = lines[index].replace(":", ": ").split()
        if not words:
            continue
        if words[0].lower() == "frames:":
            declared = int(_numbers(file, index, words[1:], 1)[0])
        elif words[0].lower() == "frame" and len(words) > 1 and words[1].lower() == "time:":
            frame_time = _numbers(file, index, words[2:], 1)[0]
            if frame_time <= 0:
                raise _broken(file, index, lines[index].strip(), "a frame time above 0 seconds")
        else:
            rows.append(_numbers(file, index, words, width))
    if math.isnan(frame_time):
        raise MotionError(f"{file}: no 'Frame Time:' line found. Add it: seconds per frame, e.g. 0.033333.")
    if not rows:
        raise MotionError(f"{file}: the file holds no frames; expected at least one line of {width} numbers.")
    if declared not in (-1, len(rows)):
        _log.warning("%s says %d frames and holds %d; all %d are used.", file, declared, len(rows), len(rows))
    return 1 / frame_time, np.array(rows)


def _numbers(file: str, index: int, words: list[str], count: int) -> list[float]:
    """Exactly ``count`` finite numbers."""
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise _broken(file, index, " ".join(words)[:60], f"{count} numbers") from None
    if len(values) != count:
        raise _broken(file, index, f"{len(values)} numbers", f"{count} numbers")
    if not all(map(math.isfinite, values)):
        raise _broken(file, index, "a number that is not finite", f"{count} finite numbers")
    return values


def _broken(file: str, index: int, found: str, expected: str) -> MotionError:
    return MotionError(f"{file}, line {index + 1}: expected {expected}; found: {found}. Export the file again.")


def _local_transforms(
    tree: _Hierarchy, offsets: Float[np.ndarray, "J 3"], values: Float[np.ndarray, "T N"]
) -> tuple[Float[np.ndarray, "T J 3 3"], Float[np.ndarray, "T J 3"]]:
    """Rotation and place relative to the parent from the channels' values."""
    frames, joints = len(values), len(offsets)
    rotations = np.tile(np.eye(3), (frames, joints, 1, 1))
    positions = np.tile(offsets, (frames, 1, 1))
    column = 0
    for joint, channels in enumerate(tree.channels):
        place = positions[:, joint].copy()
        for channel in channels:
            axis, value = _AXES.index(channel[0]), values[:, column]
            if channel[1] == "p":
                place[:, axis] = value
            else:
                rotations[:, joint] = rotations[:, joint] @ _rotation_about(axis, np.radians(value))
            column += 1
        positions[:, joint] = _place(place, offsets[joint])
    return rotations, positions


def _place(channel: Float[np.ndarray, "T 3"], offset: Float[np.ndarray, "3"]) -> Float[np.ndarray, "T 3"]:
    """Programs disagree whether a position channel replaces the offset or is added: take the one nearer to it."""
    replaces = np.linalg.norm(channel.mean(0) - offset) <= np.linalg.norm(channel.mean(0))
    return channel if replaces else channel + offset


def _rotation_about(axis: int, angle: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T 3 3"]:
    """Right-handed rotation about a coordinate axis, angle [rad]."""
    j, k = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:, axis, axis] = 1
    matrix[:, j, j] = matrix[:, k, k] = np.cos(angle)
    matrix[:, k, j] = np.sin(angle)
    matrix[:, j, k] = -matrix[:, k, j]
    return matrix


def _zyx_angles(matrix: Float[np.ndarray, "*B 3 3"]) -> Float[np.ndarray, "*B 3"]:
    """Angles (z, y, x) [rad] with R = Rz Ry Rx; at the pole x is 0."""
    y = np.arcsin(np.clip(-matrix[..., 2, 0], -1, 1))
    pole = np.abs(matrix[..., 2, 0]) > 1 - 1e-9
    z = np.where(
        pole, np.arctan2(-matrix[..., 0, 1], matrix[..., 1, 1]), np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0])
    )
    x = np.where(pole, 0.0, np.arctan2(matrix[..., 2, 1], matrix[..., 2, 2]))
    return np.stack([z, y, x], -1)


def write_bvh(path: Path | str, motion: BvhMotion) -> None:
    """Write a BVH file: position channels for the root, ZYX rotations for every joint but the end sites.

    Args:
        path: Where to write; an existing file is replaced only when the new one is complete.
        motion: What to write; a name that ends in "_end" becomes an end site.
    """
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(motion.parents):
        children.setdefault(parent, []).append(joint)
    lines, order = ["HIERARCHY"], list[int]()

    def add(joint: int, depth: int) -> None:
        tab = "\t" * depth
        end = motion.names[joint].endswith(_END)
        title = "End Site" if end else f"{'JOINT' if depth else 'ROOT'} {motion.names[joint]}"
        lines.extend([tab + title, tab + "{"])
        lines.append(tab + "\tOFFSET " + " ".join(f"{value:.6f}" for value in motion.offsets[joint]))
        if not end:
            order.append(joint)
            places = "" if depth else "Xposition Yposition Zposition "
            lines.append(f"{tab}\tCHANNELS {3 if depth else 6} {places}Zrotation Yrotation Xrotation")
        for child in children.get(joint, []):
            add(child, depth + 1)
        lines.append(tab + "}")

    add(children[-1][0], 0)
    frames = len(motion.rotations)
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {1 / motion.fps:.8f}"]
    angles = np.degrees(_zyx_angles(motion.rotations[:, order])).reshape(frames, -1)
    for row in np.concatenate([motion.positions[:, order[0]], angles], 1):
        lines.append(" ".join(f"{value:.4f}".rstrip("0").rstrip(".") for value in row))
    with atomic_path(Path(path)) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii", errors="replace")
