"""Body parts and their groups, by which appearance is transferred."""

from liquidwarp.errors import SettingError

__all__ = ["GROUPS", "PARTS", "mirrored", "parts_of"]

PARTS = (
    "head",
    "face",
    "torso",
    "left_upper_arm",
    "left_lower_arm",
    "left_hand",
    "right_upper_arm",
    "right_lower_arm",
    "right_hand",
    "left_upper_leg",
    "left_lower_leg",
    "left_foot",
    "right_upper_leg",
    "right_lower_leg",
    "right_foot",
)
"""Left and right are the person's own. "head" is the head without its face: hair, ears, neck."""

_LEFT_ARM = ("left_upper_arm", "left_lower_arm")
_RIGHT_ARM = ("right_upper_arm", "right_lower_arm")
_LEFT_LEG = ("left_upper_leg", "left_lower_leg")
_RIGHT_LEG = ("right_upper_leg", "right_lower_leg")

GROUPS: dict[str, tuple[str, ...]] = {
    "left_arm": _LEFT_ARM,
    "right_arm": _RIGHT_ARM,
    "arms": _LEFT_ARM + _RIGHT_ARM,
    "left_leg": _LEFT_LEG,
    "right_leg": _RIGHT_LEG,
    "legs": _LEFT_LEG + _RIGHT_LEG,
    "hands": ("left_hand", "right_hand"),
    "feet": ("left_foot", "right_foot"),
    "whole_head": ("head", "face"),
    "upper": ("torso", *_LEFT_ARM, *_RIGHT_ARM),
    "lower": (*_LEFT_LEG, *_RIGHT_LEG),
    "body": ("torso", *_LEFT_ARM, *_RIGHT_ARM, *_LEFT_LEG, *_RIGHT_LEG, "left_foot", "right_foot"),
    "all": PARTS,
}
"""Names for sets of parts, as in the reference: upper, lower, body, all, and sides."""


def parts_of(name: str) -> tuple[str, ...]:
    """The parts that a part's or a group's name stands for.

    Raises:
        SettingError: no such name.

    Example:
        >>> parts_of("feet")
        ('left_foot', 'right_foot')
    """
    if name in PARTS:
        return (name,)
    if name in GROUPS:
        return GROUPS[name]
    known = ", ".join((*PARTS, *GROUPS))
    raise SettingError(f"part {name!r} is not known; expected one of: {known}.")


def mirrored(part: str) -> str:
    """The same part of the other side; parts in the middle are their own image.

    Example:
        >>> mirrored("left_hand"), mirrored("torso")
        ('right_hand', 'torso')
    """
    return part.replace("left", "right") if part.startswith("left") else part.replace("right", "left")
