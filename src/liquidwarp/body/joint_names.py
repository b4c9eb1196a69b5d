"""Which joint of a foreign skeleton is which: names of the common conventions, matched tolerantly.

Known are the names of CMU (both of its BVH conversions), Mixamo, Rokoko, Biped (3ds Max), Daz / Poser, MakeHuman,
Rigify, Unreal, VRM, SMPL and AnimatedDrawings. Case, separators, prefixes ("mixamorig:", "Bip01 ") and the way the
side is written ("Left", "l_", ".L", "lThigh") do not matter.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from liquidwarp.errors import MotionError

__all__ = ["SkeletonRoles", "match_joints"]

_PREFIX = re.compile(r"^(mixamorig\d*|bip\d+|j_?bip|valvebiped|ccbase|def|org)[ _:.]*", re.IGNORECASE)
_SIDES = (
    re.compile(r"^(?P<side>left|right)(?P<rest>.+)$", re.IGNORECASE),
    re.compile(r"^(?P<side>[lr])[ _.-]+(?P<rest>.+)$", re.IGNORECASE),
    re.compile(r"^(?P<rest>.+?)[ _.-]*(?P<side>left|right)$", re.IGNORECASE),
    re.compile(r"^(?P<rest>.+?)[ _.-]+(?P<side>[lr])$", re.IGNORECASE),
    re.compile(r"^(?P<side>[lrLR])(?P<rest>[A-Z]\w+)$"),
    re.compile(r"^(?P<side>[lr])(?P<rest>hand|foot|hip|knee|ankle|wrist|elbow|shoulder|thumb|collar)$", re.IGNORECASE),
    re.compile(r"^(?P<rest>[a-z]+[a-z0-9]*)(?P<side>[LR])$"),
)

_SIDED = {
    "upper_leg": ("upleg", "thigh", "upperleg", "upperleg01", "femur", "hip"),
    "lower_leg": ("lowerleg", "lowleg", "shin", "calf", "lowerleg01", "tibia", "knee", "leg"),
    "foot": ("ankle", "foot"),
    "upper_arm": ("upperarm", "uparm", "shldr", "upperarm01", "humerus", "arm", "shoulder"),
    "lower_arm": ("forearm", "lowerarm", "lowarm", "lowerarm01", "radius", "elbow"),
    "hand": ("wrist", "hand"),
}
"""Names of each needed joint, best first; "Shoulder" is the upper arm only where nothing better is there."""

_OPTIONAL = {
    "toe": ("toebase", "toe", "toes", "ball", "toe0", "toe11"),
    "collar": ("collar", "clavicle", "collarbone", "shoulder"),
    "thumb": ("handthumb1", "thumb1", "thumb01", "thumbproximal", "thumb", "finger0", "finger11"),
    "finger": (
        "handmiddle1", "mid1", "middle1", "middle01", "middleproximal", "finger2", "finger31", "inhandmiddle",
        "handindex1", "index1", "index01", "indexproximal", "finger1", "fingers", "handend", "fingerbase",
    ),
}  # fmt: skip
_CENTRE = {"neck": ("neck", "neck01", "neck1", "lowerneck", "upperneck"), "head": ("head",)}


@dataclass(frozen=True)
class SkeletonRoles:
    """Indices of a foreign skeleton's joints; -1 where it has none. Pairs are (left, right)."""

    hips: int
    """The joint that carries both legs and the spine."""
    chest: int
    """The joint that carries both arms."""
    neck: int
    head: int
    upper_leg: tuple[int, int]
    lower_leg: tuple[int, int]
    foot: tuple[int, int]
    toe: tuple[int, int]
    """Where the foot points to."""
    collar: tuple[int, int]
    upper_arm: tuple[int, int]
    lower_arm: tuple[int, int]
    hand: tuple[int, int]
    finger: tuple[int, int]
    """Where the hand points to: the middle finger's first joint, if there is one."""
    thumb: tuple[int, int]


_NAMED = 8
"""So many joints of a file are named in a message."""


def match_joints(file: str, names: Sequence[str], parents: Sequence[int]) -> SkeletonRoles:
    """Find the joints of a skeleton by their names.

    Args:
        file: The file's name, for messages.
        names: The skeleton's joints.
        parents: Parent of each joint, -1 for the root.

    Returns:
        Which joint is which.

    Raises:
        MotionError: a needed joint is missing; the message lists the needed and the found names.
    """
    keys = [_key(name) for name in names]
    found = {role: (_find(keys, 0, words), _find(keys, 1, words)) for role, words in _SIDED.items()}
    missing = [
        f"{side} {role.replace('_', ' ')}"
        for role, pair in found.items()
        for side, joint in zip(("left", "right"), pair, strict=True)
        if joint < 0
    ]
    if missing:
        named = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        wanted = ", ".join(f"Left{words[0].capitalize()}" for role, words in _SIDED.items() if min(found[role]) < 0)
        raise MotionError(
            f"{file}: joints not found: {', '.join(missing)}. Joints in the file: {named}. "
            f"Rename them to names like {wanted}."
        )
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(parents):
        children.setdefault(parent, []).append(joint)

    def below(pair: tuple[int, int], words: tuple[str, ...]) -> tuple[int, int]:
        """The best named descendant of each of the pair, else its end site or first child."""
        return _descendant(pair[0], words, keys, children), _descendant(pair[1], words, keys, children)

    neck, head = (_find(keys, -1, _CENTRE[role]) for role in ("neck", "head"))
    collar = [_find(keys, side, _OPTIONAL["collar"]) for side in (0, 1)]
    collar = [-1 if joint in found["upper_arm"] else joint for joint in collar]
    thumb = tuple(_named(joint, _OPTIONAL["thumb"], keys, children) for joint in found["hand"])
    return SkeletonRoles(
        hips=_common_ancestor(found["upper_leg"], parents),
        chest=_common_ancestor(found["upper_arm"], parents),
        neck=neck,
        head=head,
        toe=below(found["foot"], _OPTIONAL["toe"]),
        collar=(collar[0], collar[1]),
        finger=below(found["hand"], _OPTIONAL["finger"]),
        thumb=(thumb[0], thumb[1]),
        **found,
    )


def _key(name: str) -> tuple[int, str]:
    """(side, core) of a joint's name: side 0 left, 1 right, -1 neither; core in lower case without separators.

    Example:
        >>> _key("mixamorig:LeftUpLeg"), _key("upperarm01.R"), _key("Bip01 L Thigh"), _key("lowerback")
        ((0, 'upleg'), (1, 'upperarm01'), (0, 'thigh'), (-1, 'lowerback'))
    """
    bare = name.rsplit(":", 1)[-1]
    bare = _PREFIX.sub("", bare) or bare
    bare = re.sub(r"^C[ _]", "", bare)
    for pattern in _SIDES:
        match = pattern.match(bare)
        if match:
            return (0 if match["side"][0] in "lL" else 1), _core(match["rest"])
    return -1, _core(bare)


def _core(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _find(keys: Sequence[tuple[int, str]], side: int, words: tuple[str, ...]) -> int:
    """The joint with the first of ``words`` that occurs on this side; -1 if none does."""
    for word in words:
        if (side, word) in keys:
            return keys.index((side, word))
    return -1


def _subtree(joint: int, children: dict[int, list[int]]) -> list[int]:
    """All joints below, nearest first."""
    result = list(children.get(joint, []))
    for below in result:
        result.extend(children.get(below, []))
    return result


def _named(joint: int, words: tuple[str, ...], keys: Sequence[tuple[int, str]], children: dict[int, list[int]]) -> int:
    """The best named joint below ``joint``; -1 if none is."""
    below = _subtree(joint, children)
    cores = [keys[j][1] for j in below]
    return next((below[cores.index(word)] for word in words if word in cores), -1)


def _descendant(
    joint: int, words: tuple[str, ...], keys: Sequence[tuple[int, str]], children: dict[int, list[int]]
) -> int:
    """The best named joint below ``joint``, else its first child (an end site, mostly); -1 for a leaf."""
    named = _named(joint, words, keys, children)
    return named if named >= 0 else next(iter(children.get(joint, [])), -1)


def _common_ancestor(pair: tuple[int, int], parents: Sequence[int]) -> int:
    """The lowest joint above both."""
    above = []
    for joint in pair:
        chain = []
        while parents[joint] >= 0:
            joint = parents[joint]
            chain.append(joint)
        above.append(chain)
    return next(joint for joint in above[0] if joint in above[1])
