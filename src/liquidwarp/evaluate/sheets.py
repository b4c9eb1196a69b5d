"""Contact sheets: what the figures stand for, to be looked at."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from liquidwarp.geometry.pictures import to_picture
from liquidwarp.geometry.warp import resize

__all__ = ["contact_sheet", "to_pixels"]

_HEADER = 26
"""Height of the titles' line [px]."""
_GAP = 4
"""Between pictures [px]."""


def to_pixels(image: Float[Tensor, "3 H W"], size: int | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """RGB in [0, 1] as a picture; ``size`` is another height and width [px]."""
    if size is not None:
        image = resize(image[None], size, size)[0]
    return to_picture(image)


def contact_sheet(
    titles: Sequence[str], rows: Sequence[Sequence[UInt8[np.ndarray, "_ _ 3"]]]
) -> UInt8[np.ndarray, "H W 3"]:
    """Rows of pictures under one line of titles.

    Args:
        titles: One per column.
        rows: Pictures; those of a column have one width, those of a row one height.
    """
    widths = [picture.shape[1] for picture in rows[0]]
    header = np.full((_HEADER, sum(widths) + _GAP * (len(widths) - 1), 3), 255, np.uint8)
    left = 0
    for title, width in zip(titles, widths, strict=True):
        cv2.putText(header, title, (left + 4, _HEADER - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        left += width + _GAP
    lines: list[np.ndarray] = [header]
    for row in rows:
        gap = np.full((row[0].shape[0], _GAP, 3), 255, np.uint8)
        pieces = [part for picture in row for part in (picture, gap)][:-1]
        lines += [np.concatenate(pieces, 1), np.full((_GAP, header.shape[1], 3), 255, np.uint8)]
    return np.concatenate(lines[:-1])
