"""What somebody looks like, coarsely: the colours of head, chest and thighs, to know people again in another shot."""

from collections.abc import Sequence
from itertools import product

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from liquidwarp.recover.detection.detections import BODY_LANDMARKS
from liquidwarp.recover.detection.landmarks import Pose
from liquidwarp.recover.detection.regions import crop

__all__ = ["BINS", "NO_LOOK", "REGIONS", "likeness", "look_of", "mean_look"]

REGIONS = 3
"""Head, chest, thighs."""
_SHAPE = (6, 8, 8)
"""Bins of lightness, green to red, blue to yellow."""
BINS = 6 * 8 * 8
NO_LOOK = np.zeros((REGIONS, BINS), np.float32)
"""Of nobody."""
_LOW, _HIGH = (0.0, 88.0, 88.0), (255.0, 168.0, 168.0)
"""Between which the colours are told apart, in OpenCV's Lab of [0..255]."""
_SIDE = 128
"""Side of the picture of the person in which colours are counted [px]."""
_CHEST = 0.45
"""The chest ends this far down from shoulders to hips."""
_THIGH = 0.25
"""Width of a thigh, in its lengths."""
_HEAD = 1.3, 0.8
"""Radius of the head: in distances of the ears, and in distances of eyes and mouth; the larger one."""
_FEWEST = 40
"""Pixels that tell the colours of a region."""

_INDEX = {name: index for index, name in enumerate(BODY_LANDMARKS)}
Look = Float[np.ndarray, "R K"]


def look_of(rgb: UInt8[np.ndarray, "H W 3"], pose: Pose) -> Look:
    """Colour histograms of the regions, each of sum 1; zeros where a region is hardly in the picture.

    Args:
        rgb: The picture.
        pose: The person in it.
    """
    points = pose.region.to_unit(pose.xy) * _SIDE
    pixels = crop(rgb, pose.region, _SIDE)
    inside = crop(np.full(rgb.shape[:2], 255, np.uint8), pose.region, _SIDE) > 250
    step = pose.mask_logits.shape[0] // _SIDE
    person = (pose.mask_logits[::step, ::step] > 0) & inside
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float64)
    look = np.zeros((REGIONS, BINS), np.float32)
    for index, region in enumerate(_regions(points)):
        chosen = region & person
        if chosen.sum() >= _FEWEST:
            look[index] = _histogram(lab[chosen])
    return look


def _regions(points: Float[np.ndarray, "33 2"]) -> tuple[Bool[np.ndarray, "S S"], ...]:
    """Head, chest and thighs on the person's own picture."""
    head, chest, thighs = (np.zeros((_SIDE, _SIDE), np.uint8) for _ in range(REGIONS))
    at = {name: points[index] for name, index in _INDEX.items()}
    ears = np.linalg.norm(at["left_ear"] - at["right_ear"])
    drop = np.linalg.norm(points[1:7].mean(0) - (at["mouth_left"] + at["mouth_right"]) / 2)
    radius = max(1, round(float(max(_HEAD[0] * ears, _HEAD[1] * drop))))
    cv2.circle(head, _whole(points[:11].mean(0)), radius, 1, -1)
    sides = [(at[f"{side}_shoulder"], at[f"{side}_hip"]) for side in ("left", "right")]
    (left, left_low), (right, right_low) = ((top, top + _CHEST * (hip - top)) for top, hip in sides)
    cv2.fillConvexPoly(chest, np.array([_whole(p) for p in (left, right, right_low, left_low)], np.int32), 1)
    for side in ("left", "right"):
        hip, knee = at[f"{side}_hip"], at[f"{side}_knee"]
        width = max(1, round(_THIGH * float(np.linalg.norm(hip - knee))))
        cv2.line(thighs, _whole(hip), _whole(knee), 1, width)
    return head > 0, (chest > 0) & (head == 0), thighs > 0


def _whole(point: Float[np.ndarray, "2"]) -> tuple[int, int]:
    """A place as OpenCV draws it; far outside of the picture it is cut off."""
    x, y = np.clip(point, -4 * _SIDE, 4 * _SIDE).round().astype(int).tolist()
    return x, y


def _histogram(lab: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "K"]:
    """Each colour is shared out among the bins around it, so that a little more light changes little."""
    top = np.array(_SHAPE) - 1
    place = np.clip((lab - _LOW) / (np.array(_HIGH) - _LOW), 0, 1) * top
    low = np.minimum(place.astype(np.int64), top - 1)
    share = place - low
    counts = np.zeros(_SHAPE)
    for corner in product((0, 1), repeat=3):
        weight = np.where(corner, share, 1 - share).prod(1)
        np.add.at(counts, tuple((low + corner).T), weight)
    histogram: np.ndarray = (counts / counts.sum()).ravel().astype(np.float32)
    return histogram


def mean_look(looks: Sequence[Look] | Float[np.ndarray, "T R K"]) -> Look:
    """The mean of those that show a region, for each region."""
    stack = np.asarray(looks)
    shown = (stack.sum(2, keepdims=True) > 0).sum(0)
    mean: np.ndarray = stack.sum(0) / np.maximum(shown, 1)
    return mean


def likeness(one: Look, two: Look) -> tuple[float, int]:
    """How alike the colours are in the regions that both show [0, 1], on average, and how many regions these are."""
    both = (one.sum(1) > 0) & (two.sum(1) > 0)
    if not both.any():
        return 0.0, 0
    return float(np.sqrt(one[both] * two[both]).sum(1).mean()), int(both.sum())
