"""How much a video's picture itself accelerates where the body's landmarks are: the part of the jitter that is meant.

A landmark's own acceleration cannot tell noise from fast motion. Dense optical flow (DIS, Kroeger et al. 2016) from
each frame to both neighbours knows neither detector nor body: where the picture moves evenly, the two cancel.
"""

from collections.abc import Iterable

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from liquidwarp.recover.detection.detections import PackedMasks

__all__ = ["picture_accelerations"]

_SIDE = 900
"""Longer side of the pictures that are compared [px]."""
_REACH = 0.02
"""Half the side of the square around a landmark, as a share of the body's height,"""
_LEAST_REACH = 3
"""and its least [px]."""
_FEWEST = 10
"""Pixels of the person in the square."""


def picture_accelerations(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    points: Float[Tensor, "T P 2"],
    height: Float[Tensor, "T"],
    masks: PackedMasks,
) -> Float[Tensor, "T P 2"]:
    """The second difference of the picture's motion at some points.

    Args:
        frames: The video, T frames or more.
        points: Where to look in each frame [px].
        height: Of the body in each frame [px].
        masks: Where the person is; nothing else counts.

    Returns:
        Median around each point [px per frame^2]; NaN in the first and the last frame, and where the person is not
        around the point.
    """
    found = np.full((*points.shape[:2], 2), np.nan, np.float32)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    shown: list[UInt8[np.ndarray, "h w"]] = []
    factor = 1.0
    for index, rgb in zip(range(len(points)), frames, strict=False):
        factor = min(1.0, _SIDE / max(rgb.shape[:2]))
        small = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        shown = [*shown[-2:], cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)]
        if len(shown) < 3:
            continue
        before, now, after = shown
        empty = np.zeros((*now.shape, 2), np.float32)
        apart = flow.calc(now, after, empty.copy()) + flow.calc(now, before, empty)
        middle = index - 1
        mask = cv2.resize(masks[middle].astype(np.uint8), now.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        reach = max(_LEAST_REACH, round(_REACH * float(height[middle]) * factor))
        found[middle] = _around(apart, mask, (points[middle] * factor).numpy(), reach) / factor
    return torch.from_numpy(found)


def _around(
    values: Float[np.ndarray, "h w 2"], mask: Bool[np.ndarray, "h w"], points: Float[np.ndarray, "P 2"], reach: int
) -> Float[np.ndarray, "P 2"]:
    """The median in the mask's part of the square around each point; NaN where that is too small, or cut off."""
    medians = np.full((len(points), 2), np.nan, np.float32)
    for index, (column, row) in enumerate(np.floor(points).astype(int)):
        left, top = column - reach, row - reach
        if left < 0 or top < 0 or column + reach >= mask.shape[1] or row + reach >= mask.shape[0]:
            continue
        part = (slice(top, row + reach + 1), slice(left, column + reach + 1))
        if mask[part].sum() >= _FEWEST:
            medians[index] = np.median(values[part][mask[part]], axis=0)
    return medians
