"""Where garments really end: a shirt hangs over the hips, a cuff over the hand, a collar over the neck.

Body parts meet at joints, clothes do not. Around each such place a photo's colours tell what belongs to the garment
above and what to that, or to the skin, below: a hem line around the body, which may differ from photo to photo.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int64
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.flow.lending.parts import GARMENT_PARTS, vertex_parts
from liquidwarp.geometry.raster import Raster

__all__ = ["Places", "hem_parts"]

FloatArray = npt.NDArray[np.float64]

_COLUMNS, _ROW = 48, 0.01
"""Cells around the body, and their height [m]."""
_BINS = 16
"""Of each colour channel."""
_FEW = 60
"""Fewer pixels of a garment say nothing of its colours."""
_FLOOR = 2e-4
"""Share of unknown colours in each bin."""
_STRONGEST = 2.0
"""The most that one cell may say for either side [logarithm]."""
_USUAL = 0.15
"""What a row of distance from the usual place costs, where all of a column is seen."""
_SMOOTH = 0.6
"""What a row of difference between neighbouring columns costs."""
_GAP, _GAP_SAYS = 2, 0.3
"""So many rows of which each says so much against the upper garment [logarithm] end a collar or a cuff."""
_MARGIN = 0.01
"""So far below cuffs and collars colours are mixed with theirs [m]."""
_INSIDE = 0.9
"""Opacity from which on a pixel shows the person alone."""


@dataclass(frozen=True)
class Places:
    """N places of the body's surface."""

    rest: Float[np.ndarray, "N 3"]
    """In the rest pose of the mean body [m]."""
    part: Int64[np.ndarray, "N"]
    """Index into ``GARMENT_PARTS``."""


@dataclass(frozen=True)
class _Junction:
    """A place where the garment of the upper parts may end below or above the joint."""

    upper: tuple[str, ...]
    """What belongs to them takes the first one's name."""
    lower: tuple[str, ...]
    """The same."""
    origin: FloatArray
    """Where the parts meet, on the axis."""
    axis: FloatArray
    """Unit vector from the upper to the lower parts."""
    reach: tuple[float, float]
    """How far above (negative) and below the joint the hem may be [m]."""
    garment: tuple[float, float]
    """From where to where pixels of the upper parts surely show the upper garment."""
    below: tuple[float, float]
    """The same for the lower ones."""
    doubt: float
    """Evidence below this is none [logarithm]: colours that both sides have, such as skin."""

    def heights(self, rest: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N"]:
        """Along the axis [m]."""
        along: FloatArray = (rest - self.origin) @ self.axis
        return along

    def columns(self, rest: Float[np.ndarray, "N 3"]) -> Int64[np.ndarray, "N"]:
        """Around the axis."""
        side = np.cross(self.axis, np.array([0.0, 0.0, 1.0]))
        side = side / np.linalg.norm(side)
        front = np.cross(self.axis, side)
        angle = np.arctan2((rest - self.origin) @ side, (rest - self.origin) @ front)
        return np.floor((angle / (2 * np.pi) + 0.5) * _COLUMNS).astype(np.int64) % _COLUMNS


def hem_parts(
    model: BodyModel, raster: Raster, image: Float[Tensor, "3 H W"], matte: Float[Tensor, "1 H W"]
) -> Int64[Tensor, "V"]:
    """The part that each vertex's garment belongs to in one photo, index into ``GARMENT_PARTS``.

    Args:
        model: The body.
        raster: Of the fitted body in the photo, one picture.
        image: RGB in [0, 1].
        matte: Opacity of the person.
    """
    rest = model.rest(model.lbs_weights.new_zeros(1, len(model.beta_names)))
    parts = vertex_parts(model)
    vertices = Places(rest.vertices[0].cpu().double().numpy(), parts.cpu().numpy())
    inside = cv2.erode((matte[0].cpu().numpy() > _INSIDE).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    shown = raster.covered[0].cpu().numpy() & inside
    row, column = np.nonzero(shown)
    corners = model.faces[raster.pix_to_face[0].cpu()[row, column]].cpu()
    bary = raster.bary[0].cpu()[row, column][..., None]
    place = (rest.vertices[0].cpu()[corners] * bary).sum(1).double().numpy()
    pixels = Places(place, vertices.part[corners[:, 0].numpy()])
    colours = image.permute(1, 2, 0).cpu().double().numpy()[row, column]
    labels = vertices.part.copy()
    for junction in _junctions(model, rest.joints[0].cpu().double().numpy()):
        hem = _hem(junction, pixels, colours)
        if hem is not None:
            _relabel(junction, hem, vertices, labels)
    return torch.from_numpy(labels).to(parts)


def _junctions(model: BodyModel, joints: Float[np.ndarray, "J 3"]) -> list[_Junction]:
    """Waist, neck, wrists and ankles. Only the waist's garment may end above the joint."""
    roles, down = model.roles, np.array([0.0, 1.0, 0.0])
    hips = joints[list(roles.upper_leg)].mean(0)
    legs = ("left_upper_leg", "right_upper_leg")
    waist = _Junction(
        ("torso",), ("hips", *legs), hips - 0.12 * down, down, (-0.14, 0.36), (-0.35, -0.09), (0.2, 0.55), 0.3
    )
    chest = joints[roles.neck[0]]
    neck = _Junction(("torso",), ("head", "face"), chest, -down, (0.0, 0.09), (-0.25, -0.04), (0.07, 0.25), 0.9)
    found = [waist, neck]
    for side, name in enumerate(("left", "right")):
        elbow, wrist, ankle = (joints[role[side]] for role in (roles.lower_arm, roles.hand, roles.foot))
        along = (wrist - elbow) / np.linalg.norm(wrist - elbow)
        found.append(
            _Junction(
                (f"{name}_lower_arm",),
                (f"{name}_hand",),
                wrist,
                along,
                (0.0, 0.08),
                (-0.2, -0.05),
                (0.07, 0.3),
                0.9,
            )
        )
        found.append(
            _Junction(
                (f"{name}_lower_leg",),
                (f"{name}_foot",),
                ankle - 0.02 * down,
                down,
                (0.0, 0.06),
                (-0.3, -0.04),
                (0.04, 0.2),
                0.9,
            )
        )
    return found


def _hem(junction: _Junction, pixels: Places, colours: Float[np.ndarray, "N 3"]) -> FloatArray | None:
    """Height of the hem in each column [m]; None where the colours do not tell."""
    height = junction.heights(pixels.rest)
    of_upper, of_lower = (_among(pixels.part, names) for names in (junction.upper, junction.lower))
    seeds = [
        own & (height > low) & (height < high)
        for own, (low, high) in ((of_upper, junction.garment), (of_lower, junction.below))
    ]
    if min(int(seed.sum()) for seed in seeds) < _FEW:
        return None
    above, below = (_histogram(colours[seed]) for seed in seeds)
    evidence = np.log((above + _FLOOR) / (below + _FLOOR))
    evidence = np.sign(evidence) * (np.abs(evidence) - junction.doubt).clip(0, _STRONGEST)
    low, high = junction.reach
    rows = round((high - low) / _ROW)
    zone = (of_upper | of_lower) & (height > low) & (height < high)
    cell = ((height[zone] - low) / _ROW).astype(int).clip(0, rows - 1) * _COLUMNS + junction.columns(pixels.rest[zone])
    count = np.bincount(cell, minlength=rows * _COLUMNS).reshape(rows, _COLUMNS)
    said = np.bincount(cell, evidence[_bin(colours[zone])], rows * _COLUMNS).reshape(rows, _COLUMNS)
    mean: FloatArray = said / count.clip(1)
    if not mean.any():
        return None
    if low >= 0:
        mean = _without_islands(mean)
    # A hem before row r: all above speak for the upper garment, all below for what is below.
    before = np.concatenate([np.zeros((1, _COLUMNS)), np.cumsum(mean, 0)])
    gain = 2 * before - before[-1]
    usual = np.abs(np.arange(rows + 1) - (-low) / _ROW)[:, None]
    gain -= _USUAL * usual * (count > 0).mean(0)
    return low + _ROW * _best_line(gain)


def _without_islands(said: Float[np.ndarray, "R C"]) -> FloatArray:
    """The same, where what is like the garment beyond a gap is none: beards and shades below chins are no collars."""
    against = said < -_GAP_SAYS
    gap = np.zeros_like(against)
    gap[_GAP - 1 :] = sliding_window_view(against, _GAP, axis=0).all(-1)
    beyond = np.logical_or.accumulate(gap, 0)
    return np.where(beyond, np.minimum(said, 0), said)


def _best_line(gain: Float[np.ndarray, "R C"]) -> FloatArray:
    """The row in each column of a closed line that gains most, and is smooth."""
    rows, columns = gain.shape
    step = _SMOOTH * np.abs(np.arange(rows)[:, None] - np.arange(rows))
    total, came_from = gain[:, 0].copy(), []
    for column in range(1, 3 * columns):  # three times around, of which the middle one closes
        options = total[:, None] - step
        came_from.append(options.argmax(0))
        total = options.max(0) + gain[:, column % columns]
    line = [int(total.argmax())]
    for origin in came_from[::-1]:
        line.append(int(origin[line[-1]]))
    path = np.array(line[::-1], float)
    return path[columns : 2 * columns]


def _relabel(junction: _Junction, hem: FloatArray, vertices: Places, labels: Int64[np.ndarray, "V"]) -> None:
    """Give what is above the hem to the upper part, what is below to the lower one."""
    height, line = junction.heights(vertices.rest), hem[junction.columns(vertices.rest)]
    of_upper, of_lower = (_among(vertices.part, names) for names in (junction.upper, junction.lower))
    margin = _MARGIN * (junction.reach[0] == 0)
    labels[of_lower & (height < line + margin * (line > 0))] = GARMENT_PARTS.index(junction.upper[0])
    labels[of_upper & (height > line) & (height < 0)] = GARMENT_PARTS.index(junction.lower[0])


def _among(part: Int64[np.ndarray, "N"], names: tuple[str, ...]) -> Bool[np.ndarray, "N"]:
    return np.isin(part, [GARMENT_PARTS.index(name) for name in names])


def _bin(colours: Float[np.ndarray, "N 3"]) -> Int64[np.ndarray, "N"]:
    level = (colours * _BINS).astype(np.int64).clip(0, _BINS - 1)
    index: npt.NDArray[np.int64] = (level[:, 0] * _BINS + level[:, 1]) * _BINS + level[:, 2]
    return index


def _histogram(colours: Float[np.ndarray, "N 3"]) -> FloatArray:
    """Share of each colour, spread over those beside it."""
    count = np.bincount(_bin(colours), minlength=_BINS**3).reshape(_BINS, _BINS, _BINS).astype(np.float64)
    for axis in range(3):
        padded = np.take(count, np.r_[0, np.arange(_BINS), _BINS - 1], axis)
        low, middle, high = (np.take(padded, np.arange(k, k + _BINS), axis) for k in range(3))
        count = 0.25 * low + 0.5 * middle + 0.25 * high
    return (count / count.sum()).ravel()
