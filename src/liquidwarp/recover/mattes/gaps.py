"""Narrow gaps between limbs, through which the background shows: a detector's coarse mask closes them.

The colours of the floor between two legs would otherwise become those of the trousers.
"""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.recover.mattes.body_raster import body_raster

__all__ = ["limb_borders", "open_gaps"]

_LIMBS = ("left_arm", "right_arm", "left_leg", "right_leg")
_RASTER = 384
"""The longer side at which limbs are drawn [px]."""
_SIDE = 400
"""The person's height at which colours are compared [px]."""
_REACH = 0.02
"""How far from the border of two limbs a gap may be, in heights of the person."""
_AROUND = 0.12
"""Whose colours count for a place: background and person within this many heights."""
_SAMPLES = 400
"""Pixels of a palette that are looked at."""
_NEAREST = 0.02
"""A colour is as far from a palette as from its nearest 2 %."""
_LIKE = 12.0
"""Colours this near one another in CIELAB are alike."""
_CLEARLY = 2.0, 4.0
"""Times, and plus, by which the person's colours must be farther than the background's."""
_LEAST = 2e-4
"""Gaps smaller than this share of the squared height are none."""
_ENOUGH = 30
"""With fewer pixels a palette says nothing."""


def limb_borders(model: BodyModel, body: BodyParams, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """Where in a picture the outlines of two limbs, or of an arm and the trunk, meet; with some margin.

    Args:
        model: The body.
        body: One frame, camera in the picture's pixels.
        size: Height and width of the picture [px].
    """
    drawn = body_raster(model, body, size, _RASTER)
    limb = _limb_of_faces(model)[drawn.pix_to_face[0].clamp(min=0)]
    labels = torch.where(drawn.covered[0], limb, -1).cpu().numpy().astype(np.int16)
    meet = _meeting(labels, np.array([0, 1])) | _meeting(labels, np.array([1, 0]))
    reach = max(1, round(_REACH * np.ptp(np.flatnonzero((labels >= 0).any(1))))) if meet.any() else 1
    wide = cv2.dilate(meet.astype(np.uint8), _disc(reach))
    return np.asarray(cv2.resize(wide, (size[1], size[0]), interpolation=cv2.INTER_NEAREST) > 0)


def _limb_of_faces(model: BodyModel) -> Int64[Tensor, "F"]:
    """1 to 4 for the limbs with hands and feet, 0 for trunk and head."""
    of_part = torch.zeros(len(PARTS), dtype=torch.int64)
    for number, part in enumerate(PARTS):
        side, _, rest = part.partition("_")
        for limb, name in enumerate(_LIMBS):
            ends = ("hand",) if name.endswith("arm") else ("foot",)
            if name.startswith(side) and (rest.endswith(name.partition("_")[2]) or rest in ends):
                of_part[number] = limb + 1
    return of_part[model.vertex_part.cpu()][model.faces.cpu()[:, 0]].to(model.faces.device)


def _meeting(labels: np.ndarray, step: np.ndarray) -> Bool[np.ndarray, "H W"]:
    """Pixels whose neighbour in one direction shows another limb; legs grow out of the trunk and make no gap there."""
    rows, columns = labels.shape[0] - step[0], labels.shape[1] - step[1]
    one, other = labels[:rows, :columns], labels[step[0] :, step[1] :]
    low, high = np.minimum(one, other), np.maximum(one, other)
    found = np.zeros(labels.shape, bool)
    found[:rows, :columns] = (low >= 0) & (low != high) & ~((low == 0) & (high >= 3))
    return found


def open_gaps(
    rgb: UInt8[np.ndarray, "H W 3"],
    person: Bool[np.ndarray, "H W"],
    borders: Bool[np.ndarray, "H W"],
) -> Bool[np.ndarray, "H W"]:
    """Parts of a mask near the borders of limbs that show the background, by their colours.

    A colour counts as the background's if the background close by has it and the person close by has none like it.

    Args:
        rgb: The picture.
        person: The closed mask.
        borders: From :func:`limb_borders`.

    Returns:
        The gaps, at the picture's size.
    """
    gaps = np.zeros(person.shape, bool)
    if not (person & borders).any():
        return gaps
    rows, columns = (_around(np.flatnonzero(person.any(axis)), person.shape[1 - axis]) for axis in (1, 0))
    height = int(np.ptp(np.flatnonzero(person.any(1))))
    scale = min(1.0, _SIDE / max(height, 1))
    size = (max(1, round((columns.stop - columns.start) * scale)), max(1, round((rows.stop - rows.start) * scale)))
    small = cv2.resize(rgb[rows, columns], size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    inside, asked = (
        cv2.resize(mask[rows, columns].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        for mask in (person, borders & person)
    )
    tall = height * scale
    edge = _disc(max(2, round(0.012 * tall)))
    behind = cv2.dilate(inside, edge) == 0
    shown = (cv2.erode(inside, edge) > 0) & (asked == 0)
    found = _of_background(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), asked > 0, behind, shown, round(_AROUND * tall))
    count, labels, facts, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(found, cv2.MORPH_OPEN, _disc(1)))
    large = [n for n in range(1, count) if facts[n, cv2.CC_STAT_AREA] > _LEAST * tall * tall]
    kept = np.isin(labels, large).astype(np.uint8)
    gaps[rows, columns] = cv2.resize(kept, (columns.stop - columns.start, rows.stop - rows.start)) > 0
    return gaps & person


def _of_background(
    lab: Float[np.ndarray, "H W 3"],
    asked: Bool[np.ndarray, "H W"],
    behind: Bool[np.ndarray, "H W"],
    shown: Bool[np.ndarray, "H W"],
    reach: int,
) -> UInt8[np.ndarray, "H W"]:
    """Which of the asked pixels have the colours of what is behind and not of what is shown within ``reach`` [px]."""
    found = np.zeros(asked.shape, np.uint8)
    step, chance = max(4, reach // 2), np.random.default_rng(0)
    for top in range(0, asked.shape[0], step):
        for left in range(0, asked.shape[1], step):
            tile = (slice(top, top + step), slice(left, left + step))
            if not asked[tile].any():
                continue
            window = (slice(max(0, top - reach), top + step + reach), slice(max(0, left - reach), left + step + reach))
            palettes = [lab[window][mask[window]] for mask in (behind, shown)]
            if min(map(len, palettes)) < _ENOUGH:
                continue
            colours = lab[tile][asked[tile]]
            far, own = (_distance(colours, chance.permutation(palette)[:_SAMPLES]) for palette in palettes)
            found[tile][asked[tile]] = (far < _LIKE) & (own > _CLEARLY[0] * far + _CLEARLY[1])
    return found


def _distance(colours: Float[np.ndarray, "N 3"], palette: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, "N"]:
    """From each colour to the nearest few of a palette."""
    squares = (colours**2).sum(1)[:, None] + (palette**2).sum(1) - 2 * colours @ palette.T
    place = max(1, round(_NEAREST * len(palette)))
    nearest: np.ndarray = np.sqrt(np.maximum(np.partition(squares, place, axis=1)[:, place], 0))
    return nearest


def _around(used: Int64[np.ndarray, "N"], end: int) -> slice:
    """From the first to the last of the used rows or columns, with some margin, at most up to ``end``."""
    first, last = int(used[0]), int(used[-1])
    more = round(2 * _AROUND * (last - first))
    return slice(max(0, first - more), min(end, last + more + 1))


def _disc(radius: int) -> UInt8[np.ndarray, "D D"]:
    disc: np.ndarray = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return disc
