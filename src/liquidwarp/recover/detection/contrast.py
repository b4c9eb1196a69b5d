"""Photos taken in the dark or through haze: their few levels are spread before anybody is looked for."""

import numpy as np
from jaxtyping import UInt8

__all__ = ["legible"]

_PERCENTILES = (1, 99)
_FEW = 100
"""Levels between these percentiles of all channels; with more a photo stays as it is. Of thirteen photos darkened to
8 %, or flattened to 12 % of their range, people were found in two and five as they are, in all with spread levels."""
_STEP = 4
"""Of the pixels that are looked at [px]."""


def legible(rgb: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """The picture, its levels spread over the whole range if they are few; one of a single colour stays.

    Args:
        rgb: The picture.
    """
    low, high = np.percentile(rgb[::_STEP, ::_STEP], _PERCENTILES)
    if not 0 < high - low < _FEW:
        return rgb
    spread = (np.arange(256) - low) / (high - low)
    return np.rint(255 * np.clip(spread, 0, 1)).astype(np.uint8)[rgb]
