"""Medians over small windows of a picture, much faster than one by one.

All windows are sorted at once by a sorting network: each of its comparisons is one minimum and one maximum of whole
pictures, and those that the median does not depend on are left out.
"""

from functools import cache

import numpy as np
from jaxtyping import Float

__all__ = ["window_median"]

_BLOCK = 16
"""Rows that are worked on at once: what is compared then stays in the processor's cache."""


def window_median(values: Float[np.ndarray, "R C 3"], height: int, width: int) -> Float[np.ndarray, "H W 3"]:
    """The median over each window that lies within a picture, channel by channel.

    Args:
        values: Any.
        height: Rows of a window.
        width: Columns; an odd number of places in all.
    """
    rows, columns = values.shape[0] - height + 1, values.shape[1] - width + 1
    middle = height * width // 2
    result = np.empty((rows, columns, values.shape[2]), values.dtype)
    for top in range(0, rows, _BLOCK):
        stop = min(top + _BLOCK, rows)
        places = [values[top + y : stop + y, x : x + columns].copy() for y in range(height) for x in range(width)]
        spare = np.empty_like(places[0])
        for low, high, wants_low, wants_high in _comparisons(len(places)):
            least, most = places[low], places[high]
            if wants_low:
                np.minimum(least, most, out=spare)
            if wants_high:
                np.maximum(least, most, out=most)
            if wants_low:
                places[low], spare = spare, least
        result[top:stop] = places[middle]
    return result


@cache
def _comparisons(count: int) -> tuple[tuple[int, int, bool, bool], ...]:
    """What the middle one of so many sorted values depends on: two places, and which of them is asked for later.

    Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M), pruned from its end.
    """
    top = 1 << max(count - 1, 1).bit_length() - 1
    network, p = [], top
    while p:
        q, r, d = top, 0, p
        while d:
            network += [(low, low + d) for low in range(count - d) if low & p == r]
            d, q, r = q - p, q // 2, p
        p //= 2
    asked, kept = {count // 2}, []
    for low, high in reversed(network):
        if low in asked or high in asked:
            kept.append((low, high, low in asked, high in asked))
            asked |= {low, high}
    return tuple(reversed(kept))
