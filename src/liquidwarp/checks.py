"""Checks of arguments at the public doors; inner functions trust their callers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from liquidwarp.errors import ShapeError

__all__ = ["check_shape", "check_unit_range"]


def check_shape(name: str, tensor: Tensor, expected: Sequence[int | str]) -> dict[str, int]:
    """Raise ShapeError unless ``tensor`` has the ``expected`` axes.

    Args:
        name: The argument's name, for the message.
        tensor: The tensor to look at.
        expected: One entry per axis: a number is exact, a letter is a free size that must be the same
            wherever it stands again.

    Returns:
        The size of each letter.

    Raises:
        ShapeError: another rank or size.

    Example:
        >>> check_shape("image", torch.zeros(2, 3, 4, 5), ("B", 3, "H", "W"))
        {'B': 2, 'H': 4, 'W': 5}
    """
    wanted = "(" + ", ".join(str(axis) for axis in expected) + ")"
    found = tuple(tensor.shape)
    if len(found) != len(expected):
        raise ShapeError(f"{name}: expected shape {wanted}, got {found}.")
    sizes: dict[str, int] = {}
    for axis, size in zip(expected, found, strict=True):
        known = sizes.setdefault(axis, size) if isinstance(axis, str) else axis
        if known != size:
            raise ShapeError(f"{name}: expected shape {wanted}, got {found}.")
    return sizes


def check_unit_range(name: str, image: Tensor) -> None:
    """Raise ShapeError unless ``image`` is floating point and within [0, 1] (up to rounding)."""
    if not image.is_floating_point():
        raise ShapeError(f"{name}: expected floating point in [0, 1], got {image.dtype}. Divide by 255 first.")
    if image.numel() == 0:
        return
    low, high = torch.aminmax(image.detach())
    if low < -1e-3 or high > 1 + 1e-3 or not bool(torch.isfinite(low + high)):
        raise ShapeError(f"{name}: expected values in [0, 1], got {float(low):.3g} to {float(high):.3g}.")
