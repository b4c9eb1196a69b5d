"""The shadow that a person casts on the ground: it goes with the person.

What is taken for one must darken the ground and nothing else: all colours alike, the ground's grain kept, without a
sharp edge, beginning at the feet and falling to one side, with lit ground around it. A kerb, a carpet's edge, a mat
or another material fails at least one of these. The shadow is not painted over but lightened: a mistake then costs
brightness, not structure.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Float32

from liquidwarp.flow.place.poisson import membrane

__all__ = ["Shadow", "find_shadow", "lift_shadow"]

_FEET = 0.1
"""How much of the hole's height, from below, is where a person touches the ground."""
_REACH = (1.0, 0.4, 0.25)
"""How far the ground is looked at: sideways, upwards and downwards from the lowest point, in heights of the hole."""
_DARKER = 0.07
"""A shadow is at least this much darker than the lit ground [logarithm]."""
_TINTED = (0.05, 0.25)
"""Its channels are darkened alike, up to so much and this share of the darkening: shadows in the sun are bluish."""
_ROUGH = 0.16
"""On ground whose brightness varies more than this [logarithm] nothing can be told."""
_LIT = 0.4
"""At least this share of the ground looked at follows one plane of brightness."""
_SMALLEST, _LARGEST = 0.004, 0.35
"""Area of a shadow in squared heights of the hole."""
_ONE_SIDED = 0.45
"""Length of the mean way from the feet to a shadow's pixels, over the mean length of these ways."""
_SHARPEST = 0.16
"""Steepest edge, over the darkening [1 / px at the working size]; a sharp edge has 0.3."""
_GRAIN = (0.4, 2.5)
"""Contrast of the ground's grain in the shadow over that in the light."""
_WORKING_SIZE = 256

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Shadow:
    """A cast shadow."""

    where: Bool[np.ndarray, "H W"]
    """Outside of the hole."""
    light: Float32[np.ndarray, "H W 3"]
    """The share of light that reaches the ground, 1 = lit."""
    strength: float
    """How much light its core takes away, 0..1."""


@dataclass(frozen=True)
class _Ground:
    """The lit ground around the feet, as a plane of logarithmic brightness."""

    dark: FloatArray
    """(H, W, 3): how much brighter than the plane [logarithm]."""
    looked_at: BoolArray
    rough: float
    lit: BoolArray


def lift_shadow(image: Float[np.ndarray, "H W 3"], shadow: Shadow) -> Float[np.ndarray, "H W 3"]:
    """The picture as it would be without the shadow."""
    return (image / shadow.light).clip(0, 1).astype(image.dtype)


def find_shadow(
    image: Float[np.ndarray, "H W 3"], hole: Bool[np.ndarray, "H W"], useless: Bool[np.ndarray, "H W"] | None = None
) -> Shadow | None:
    """The shadow at the feet, if it is one for certain.

    Args:
        image: RGB in [0, 1]; the person is in the hole.
        hole: True = the person and a margin.
        useless: True = not part of the photo.
    """
    full = hole.shape
    factor = min(1.0, _WORKING_SIZE / max(full))
    size = (max(8, round(full[1] * factor)), max(8, round(full[0] * factor)))
    small_hole = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    rows = np.flatnonzero(small_hole.any(1))
    if len(rows) == 0 or small_hole.all():
        return None
    share = (~small_hole).astype(np.float32)
    if useless is not None:
        share *= cv2.resize(useless.astype(np.float32), size, interpolation=cv2.INTER_AREA) == 0
    small = cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    low, tall = int(rows[-1]), int(rows[-1] - rows[0] + 1)
    feet = small_hole & (np.arange(size[1])[:, None] > low - _FEET * tall)
    weight = cv2.GaussianBlur(share, (0, 0), 1.2)
    soft = cv2.GaussianBlur(small * share[..., None], (0, 0), 1.2) / np.maximum(weight, 1e-3)[..., None]
    brightness = np.log(soft + 0.02).astype(np.float32)
    ground = _ground(brightness, share > 0, feet, low, tall)
    if ground is None:
        return None
    region = _darkened(ground, feet)
    detail = np.log(small + 0.02) - brightness
    if not _is_shadow(region, ground, brightness, detail, feet, tall):
        return None
    grown = (cv2.dilate(region.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0) & (share > 0)
    other = (share == 0) | (ground.looked_at & ~ground.lit & ~grown)  # a kerb beside it does not say how the ground is
    lit = membrane(brightness, grown | small_hole, ignored=other & ~small_hole)
    darkening = np.where(grown[..., None], (brightness - lit).clip(-1.5, 0), 0)
    beside = cv2.GaussianBlur((share > 0).astype(np.float32), (0, 0), 2.0)[..., None]
    light = np.where(grown[..., None], cv2.GaussianBlur(darkening, (0, 0), 2.0) / np.maximum(beside, 0.1), 0)
    light = cv2.resize(np.exp(light), (full[1], full[0]), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    where = cv2.resize(grown.astype(np.float32), (full[1], full[0])) > 0.3
    core = float(np.percentile(ground.dark[region].mean(-1), 20))
    return Shadow(where & ~hole, light, 1 - float(np.exp(core)))


def _ground(brightness: FloatArray, known: BoolArray, feet: BoolArray, low: int, tall: int) -> _Ground | None:
    """Fit a plane to the brightness around the feet, by the majority; None if there is no such plane."""
    height, width = known.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    columns = np.flatnonzero(feet.any(0))
    near = (x > columns[0] - _REACH[0] * tall) & (x < columns[-1] + _REACH[0] * tall)
    looked_at = known & near & (y > low - _REACH[1] * tall) & (y < low + _REACH[2] * tall)
    if looked_at.sum() < 50:
        return None
    places = np.stack([np.ones_like(x), (x - columns.mean()) / tall, (y - low) / tall], -1)
    at, seen = places[looked_at], brightness[looked_at]
    weight = np.ones(len(at), np.float32)
    for _ in range(15):
        weighted = at * weight[:, None]
        plane = np.linalg.solve(weighted.T @ at + 1e-4 * np.eye(3), weighted.T @ seen)
        residual = (seen - at @ plane).mean(-1)
        spread = max(0.02, 1.5 * float(np.median(np.abs(residual))))
        weight = 1 / (1 + np.square(residual / np.where(residual < 0, spread / 2, spread)))
    difference = brightness - (places @ plane).astype(np.float32)
    mean = difference.mean(-1)
    follows = looked_at & (np.abs(mean) < max(_DARKER, 2.5 * spread))
    if spread > _ROUGH or follows.sum() < _LIT * looked_at.sum():
        return None
    rough = float(mean[follows].std())
    return _Ground(difference, looked_at, rough, looked_at & (np.abs(mean) < max(_DARKER, 2.5 * rough)))


def _darkened(ground: _Ground, feet: BoolArray) -> BoolArray:
    """What is darker than the lit ground, in all colours alike, and connected to the feet."""
    mean = ground.dark.mean(-1)
    dark = ground.looked_at & (mean < -max(_DARKER, 2 * ground.rough))
    dark &= np.abs(ground.dark - mean[..., None]).max(-1) < _TINTED[0] + _TINTED[1] * np.abs(mean)
    closed = cv2.morphologyEx(dark.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
    start = cv2.dilate(feet.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    _, label = cv2.connectedComponents(((closed & ground.looked_at) | start).astype(np.uint8))
    touching = np.unique(label[start])
    return closed & ground.looked_at & np.isin(label, touching[touching > 0])


def _is_shadow(
    region: BoolArray, ground: _Ground, brightness: FloatArray, detail: FloatArray, feet: BoolArray, tall: int
) -> bool:
    if not _SMALLEST * tall**2 < region.sum() < _LARGEST * tall**2:
        return False
    y, x = np.nonzero(region)
    height, width = region.shape
    sides = (y.max() >= height - 2, x.min() <= 1, x.max() >= width - 2)
    if sum(sides) > 1:
        return False
    foot_y, foot_x = (float(v.mean()) for v in np.nonzero(feet))
    way = np.stack([y - foot_y, x - foot_x])
    if np.linalg.norm(way.mean(1)) < _ONE_SIDED * np.linalg.norm(way, axis=0).mean():
        return False
    ring = (cv2.dilate(region.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0) & ~region & ~feet
    inside = ring & ground.looked_at
    if ring.sum() == 0 or inside.sum() < 0.5 * ring.sum() or ground.lit[inside].mean() < 0.6:
        return False
    depth = -float(np.median(ground.dark[region].mean(-1)))
    grey = brightness.mean(-1)
    steep = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8))
    border = (cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ground.looked_at
    border &= cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) == 0
    steepest = cv2.dilate(np.where(ground.looked_at, steep, 0), np.ones((3, 3), np.uint8))
    edge = float(np.median(steepest[border]) - np.median(steepest[ground.lit & ~border])) / depth
    grain = float(detail[region].std()) / max(float(detail[ground.lit & ~region].std()), 1e-3)
    return edge < _SHARPEST and _GRAIN[0] < grain < _GRAIN[1]
