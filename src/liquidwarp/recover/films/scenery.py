"""The place behind a filmed person: frames in which the person stands elsewhere, laid over the first one."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from liquidwarp.recover.detection.detections import PackedMasks

__all__ = ["around", "lay_over", "person_area", "uncovering_frames"]

_MOST = 9
"""So many frames at most, and fewer of large ones:"""
_PIXELS = 2**25
"""All of them together."""
_OFTEN = 5
"""Enough frames that show the same place: what is wrong in two of them does not count."""
_WORTHWHILE = 0.05
"""A frame is taken only if it uncovers this share of what the person hides; a place that k chosen frames show already
counts as 1 / (k + 1)."""
_AROUND = 3
"""How far around the coarse mask the person may be, in the mask's pixels."""
_BESIDE = 0.018
"""How far around the fine mask it may be [picture heights]."""
_FEATURES = 1500
"""Corners that are looked for in a picture (ORB)."""
_LIKE = 0.8
"""A match is believed if the second best one differs this much more (Lowe 2004)."""
_NEAR = 2.0
"""Matches that lie this near under the common movement agree with it [px at 720 px of height]."""
_ENOUGH = 40
"""Corners, matches and matches that agree, below which nothing is known of a movement."""
_SHARE = 0.4
"""So many matches, and this share of them, must agree with a movement."""
_STRAIGHT = 0.1
"""A movement that stretches or shears the picture more than this is not the camera's."""


def uncovering_frames(
    masks: PackedMasks, first: int, candidates: Sequence[int], size: tuple[int, int] = (0, 0)
) -> list[int]:
    """Few frames that together show most of the place where the person is in one frame, and most of it several times.

    Args:
        masks: Where the person is in each frame.
        first: The frame whose place is wanted.
        candidates: Frames to choose from.
        size: (width, height) of the frames [px].
    """
    most = max(2, min(_MOST, _PIXELS // max(1, size[0] * size[1])))
    margin = np.ones((2 * _AROUND + 1, 2 * _AROUND + 1), np.uint8)
    hidden = masks[first]
    enough = _WORTHWHILE * hidden.sum()
    shown = {frame: hidden & (cv2.dilate(masks[frame].astype(np.uint8), margin) == 0) for frame in candidates}
    times = np.zeros(hidden.shape)
    frames: list[int] = []
    while len(frames) < most and shown:
        value = np.where(times < _OFTEN, 1 / (1 + times), 0)
        best = max(shown, key=lambda frame: float(value[shown[frame]].sum()))
        if value[shown[best]].sum() < enough:
            break
        times += shown.pop(best)
        frames.append(best)
    return frames


def person_area(mask: Bool[np.ndarray, "h w"], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """A coarse mask and what is around it, on a picture of (width, height) [px]."""
    grow = max(1, round(_AROUND * size[0] / mask.shape[1]))
    return _grown(cv2.resize(mask.astype(np.uint8), size), grow)


def around(person: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """A fine mask and what is a little around it: soft edges, and what light does beside them."""
    return _grown(person.astype(np.uint8), max(1, round(_BESIDE * len(person))))


def _grown(mask: UInt8[np.ndarray, "H W"], pixels: int) -> Bool[np.ndarray, "H W"]:
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return np.asarray(cv2.dilate(mask, ellipse) > 0)


def lay_over(
    first: UInt8[np.ndarray, "H W 3"],
    first_hidden: Bool[np.ndarray, "H W"],
    other: UInt8[np.ndarray, "H W 3"],
    other_hidden: Bool[np.ndarray, "H W"],
) -> tuple[UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"]] | None:
    """Undo a little movement of the camera between two frames, found by what both show of the place (ORB, RANSAC).

    Args:
        first: The frame that stays.
        first_hidden: Where the person is in it.
        other: The frame that is moved over it.
        other_hidden: Where the person is in that.

    Returns:
        The moved frame and where it shows the person or nothing; None if the two do not show the same place.
    """
    finder = cv2.ORB_create(_FEATURES)  # type: ignore[attr-defined]
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, other)]
    seen = [(~hidden).astype(np.uint8) for hidden in (first_hidden, other_hidden)]
    (points, features), (other_points, other_features) = (
        finder.detectAndCompute(picture, mask) for picture, mask in zip(grey, seen, strict=True)
    )
    if features is None or other_features is None or min(len(points), len(other_points)) < _ENOUGH:
        return other, other_hidden  # a plain wall: whoever fills in compares the colours
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(other_features, features, k=2)
    good = [pair[0] for pair in pairs if len(pair) == 2 and pair[0].distance < _LIKE * pair[1].distance]
    if len(good) < _ENOUGH:
        return other, other_hidden
    start = np.array([other_points[match.queryIdx].pt for match in good], np.float32)
    end = np.array([points[match.trainIdx].pt for match in good], np.float32)
    movement, agree = cv2.findHomography(start, end, cv2.RANSAC, _NEAR * max(first.shape[:2]) / 720)
    if movement is None or agree.sum() < max(_ENOUGH, _SHARE * len(good)) or not _is_straight(movement):
        return None
    size = (first.shape[1], first.shape[0])
    moved = cv2.warpPerspective(other, movement, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    hidden = cv2.warpPerspective(other_hidden.astype(np.uint8), movement, size, borderValue=1)
    return np.asarray(moved), np.asarray(hidden > 0)


def _is_straight(movement: np.ndarray) -> bool:
    return float(np.abs(movement[:2, :2] / movement[2, 2] - np.eye(2)).max()) < _STRAIGHT
