"""Whether colours may be one cloth's, in light and shade."""

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float

__all__ = ["same_cloth", "usual_cloth"]

_HUE, _SHADE = 0.05, 0.6
"""Colours whose shares of red, green and blue differ by less [Euclidean], and whose brightness by less [logarithm],
are one cloth in light and shade."""
_SAMPLES = 300
"""So many colours are compared with each other."""
_MOSTLY = 0.5
"""The usual colour is like at least this share of them."""

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


def usual_cloth(colours: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, "3"] | None:
    """The colour that most others are alike; None where less than half are."""
    if len(colours) == 0:
        return None
    some = colours[:: max(1, len(colours) // _SAMPLES)]
    alike = np.stack([same_cloth(some, colour) for colour in some])
    best = int(alike.sum(1).argmax())
    if alike[best].mean() < _MOSTLY:
        return None
    usual: FloatArray = np.median(some[alike[best]], axis=0)
    return usual


def same_cloth(
    colours: Float[np.ndarray, "N 3"], cloth: Float[np.ndarray, "3"], tolerance: float = 1.0
) -> Bool[np.ndarray, "N"]:
    """Which colours may be one cloth's in light and shade.

    Args:
        colours: RGB in [0, 1].
        cloth: The cloth's.
        tolerance: How many times the usual difference is still alike.
    """
    light, own = colours.sum(1).clip(0.06), float(cloth.sum().clip(0.06))
    hue = np.linalg.norm(colours / light[:, None] - cloth / own, axis=1)
    same: BoolArray = (hue < tolerance * _HUE) & (np.abs(np.log(light / own)) < tolerance * _SHADE)
    return same
