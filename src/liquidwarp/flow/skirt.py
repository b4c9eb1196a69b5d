"""Skirts: cloth around both legs, which hangs from the hips and opens with the legs, but not between them.

A skirt is known by its hem: on both sides the outline steps in towards the legs, and above the hem the picture is
filled from leg to leg with one cloth. It becomes a closed tube around both legs. Its back shows the front's colours.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import median_filter
from scipy.spatial import cKDTree

from liquidwarp.body.model import BodyModel, BodyParams, PosedBody, RestBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.extension import Extension
from liquidwarp.flow.surroundings import Surroundings, at_rest

__all__ = ["Legs", "Skirt", "find_skirt", "legs_of", "skirt_tube"]

_STEP_IN, _EITHER = 0.06, 0.008
"""The outline steps in by at least this at the hem, on both sides together and on either one [m]."""
_WITHIN = 0.012
"""Within so many rows above and below [m]."""
_TILT = 0.12
"""The hem's ends differ by no more than this in height [m]."""
_LENGTH = 0.10
"""A skirt reaches at least so far below the hips [m]."""
_BAND = (0.06, 0.012)
"""The cloth above the hem and the leg below it are compared from here to here [m]."""
_ONE_CLOTH, _OTHER_CLOTH = 26.0, 9.0
"""Colours farther apart are two cloths, an open coat say; nearer ones are the same [CIELAB]."""
_SAG = 0.06
"""A hem is round, so in a picture its middle lies lower or higher than its ends; by so much at most [m]."""
_EVEN = 0.02
"""Over this width hems have no teeth [m]."""
_FILLED = 0.9
_STEP = 4 / 512
"""Distance of the tube's rows, relative to the picture's height."""
_ROOM = 0.03
"""Between the legs and the tube [m]."""
_CLOTH = 0.008
"""At least so far before and behind the body [m]."""
_FLARE = 0.12
"""Below its top by this much a skirt has that room [m]."""
_HANG = 0.15
"""Below the hips by this much the cloth goes with the legs alone [m]."""
_BELOW_KNEE = 0.5
"""How much the cloth goes with the shins where it is longer than to the knees."""
_ROUND = 24
"""Points across, before and behind each."""
_OVAL = 0.65
"""From front to back it measures at most so much of its width: a fit fills skirts with thighs that are too deep."""
_MARGIN = 0.96
"""The tube is a little narrower than the outline, whose pixels are half background."""
_BEFORE = 0.03
"""A leg that sticks out of the tube by less than this stays behind it [m]."""
_ARMS = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("upper_arm", "lower_arm", "hand"))

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Legs:
    """The axes of both legs by the picture's rows; side 0 is on the left of the picture."""

    x: Float[np.ndarray, "2 H"]
    """[px]"""
    depth: Float[np.ndarray, "2 H"]
    """[m]"""
    hips: int
    """Row of the hips."""
    knees: int
    ankles: int
    left_first: bool
    """Whether the person's left leg is on the left of the picture."""


@dataclass(frozen=True)
class Skirt:
    """A skirt in a photo."""

    mask: Bool[np.ndarray, "H W"]
    start: Int[np.ndarray, "R"]
    """First column of each row from ``top`` on."""
    stop: Int[np.ndarray, "R"]
    """Behind the last."""
    top: int
    legs: Legs


def legs_of(model: BodyModel, body: BodyParams, posed: PosedBody, height: int) -> Legs | None:
    """Where the legs are; None: not upright, so that rows say nothing of them.

    Args:
        model: The body.
        body: One body.
        posed: The same.
        height: Of the picture [px].
    """
    joints = body.camera.project(posed.joints)[0].cpu().numpy().astype(np.float64)
    roles = model.roles
    chain = np.stack([joints[list(pair)] for pair in (roles.upper_leg, roles.lower_leg, roles.foot)], 1)  # 2 3 3
    hips, knees, ankles = chain[..., 1].mean(0)
    scale = float(body.camera.scale[0])
    if (np.diff(chain[..., 1], axis=1) < 0.15 * scale).any():
        return None
    left_first = bool(chain[0, 0, 0] < chain[1, 0, 0])
    ordered = chain if left_first else chain[::-1]
    rows = np.arange(height) + 0.5
    x, depth = (np.stack([np.interp(rows, leg[:, 1], leg[:, axis]) for leg in ordered]) for axis in (0, 2))
    return Legs(x, depth, int(hips), int(knees), int(ankles), left_first)


def find_skirt(image: Float[np.ndarray, "H W 3"], around: Surroundings, legs: Legs | None) -> Skirt | None:
    """Find a skirt.

    Args:
        image: The photo, RGB in [0, 1].
        around: Its body and matte.
        legs: Of the same body.
    """
    if legs is None:
        return None
    height, width = around.matte.shape
    person = (around.matte > 0.5) & ~around.on(*_ARMS)
    first, last = max(0, legs.hips), min(height - 1, legs.ankles)
    if last - first < _LENGTH * around.scale:
        return None
    outer = np.array([_outline(person[y], legs.x[:, y]) for y in range(first, last)])  # R 2
    ends = _hem(outer, around.scale)
    if ends is None or max(ends) < _LENGTH * around.scale:
        return None
    left, right = ends
    rows = np.arange(first, last)
    for y in rows[: min(ends)]:
        between = person[y, round(legs.x[0, y]) : round(legs.x[1, y])]
        if len(between) and between.mean() < _FILLED:
            return None
    reach = max(1, round(_WITHIN * around.scale))
    corners = _corner(outer[:left, 0], reach), _corner(-outer[:right, 1], reach)
    low, high = outer[corners[0], 0], outer[corners[1], 1]
    columns = np.arange(width)
    straight = first + np.interp(columns, [low, high], [left, right])  # from end to end
    lab = np.asarray(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2Lab))
    hem = _round_hem(lab, person, straight, (low, high), legs, around.scale)
    stop = min(max(*ends, int(hem[int(max(0, low)) : int(high) + 1].max()) - first), len(outer))
    outer[corners[0] :, 0], outer[corners[1] :, 1] = low, high
    mask = np.zeros((height, width), bool)
    for row in range(stop):
        y, start, end = first + row, *(round(float(edge)) for edge in outer[row])
        here = slice(max(0, start), min(width, end + 1))
        mask[y, here] = person[y, here] & (hem[here] > y)
    if not _one_cloth(lab, mask, hem, legs):
        return None
    smooth = cv2.GaussianBlur(outer[:stop], (1, 0), sigmaX=1e-3, sigmaY=3)
    return Skirt(mask, np.floor(smooth[:, 0]).astype(int), np.ceil(smooth[:, 1]).astype(int) + 1, first, legs)


def _corner(edge: Float[np.ndarray, "R"], reach: int) -> int:
    """The last rows' place that is farthest outside: there the cloth ends at a side, below it the outline steps in."""
    return max(0, len(edge) - reach) + int(edge[-reach:].argmin())


def _round_hem(
    lab: Float[np.ndarray, "H W 3"],
    person: Bool[np.ndarray, "H W"],
    straight: Float[np.ndarray, "W"],
    ends: tuple[float, float],
    legs: Legs,
    scale: float,
) -> Float[np.ndarray, "W"]:
    """The row in each column below which there is no cloth any more.

    Around the straight hem each pixel votes for the cloth above or for the leg below, whichever its colour is nearer
    to; the background votes for the leg. The hem is where most votes are right on both sides.
    """
    sag, even = max(2, round(_SAG * scale)), 2 * max(1, round(_EVEN * scale / 2)) + 1
    inner = np.arange(max(0, round(ends[0])), min(len(straight), round(ends[1]) + 1))
    rows = (np.rint(straight[inner]).astype(int) + np.arange(-sag, sag)[:, None]).clip(0, len(lab) - 1)
    seen = lab[rows, inner]
    cloth = np.median(seen[: max(1, sag // 2)], 0)
    below = np.array([_leg_colour(lab, legs, side, int(straight[inner].max()) + sag) for side in range(2)])
    side = (np.abs(inner - legs.x[0][rows[-1]]) > np.abs(inner - legs.x[1][rows[-1]])).astype(int)
    nearer = np.linalg.norm(seen - cloth, axis=-1) < np.linalg.norm(seen - below[side], axis=-1)
    votes = np.where(nearer & person[rows, inner], 1, -1)
    edge = np.concatenate([np.zeros((1, len(inner)), int), votes.cumsum(0)]).argmax(0)
    hem = straight.copy()
    hem[inner] = straight[inner] - sag + median_filter(edge, even, mode="nearest")
    return hem


def _leg_colour(lab: Float[np.ndarray, "H W 3"], legs: Legs, side: int, row: int) -> Float[np.ndarray, "3"]:
    """The median around a leg's axis in one row [CIELAB]."""
    row = min(len(lab) - 2, row)
    column = int(np.clip(legs.x[side, row], 2, lab.shape[1] - 3))
    return np.asarray(np.median(lab[row - 1 : row + 2, column - 2 : column + 3].reshape(-1, 3), 0))


def _outline(row: Bool[np.ndarray, "W"], axes: Float[np.ndarray, "2"]) -> tuple[float, float]:
    """The outer ends of what the legs' axes lie in, on the left and on the right; the axes where nothing is there."""
    ends = []
    for axis, step in zip(axes, (-1, 1), strict=True):
        column = int(np.clip(axis, 0, len(row) - 1))
        run = row[column::step]
        length = len(run) if run.all() else int(np.argmin(run))
        ends.append(column + step * max(0, length - 1))
    return float(ends[0]), float(ends[1])


def _hem(outer: Float[np.ndarray, "R 2"], scale: float) -> tuple[int, int] | None:
    """The first rows below the places where the outline steps in most, on the left and on the right."""
    reach = max(1, round(_WITHIN * scale))
    steps = np.stack([outer[2 * reach :, 0] - outer[: -2 * reach, 0], outer[: -2 * reach, 1] - outer[2 * reach :, 1]])
    if steps.shape[1] == 0:
        return None
    left, right = (_widest(side, round(_TILT * scale / 2)) for side in steps)
    both = (left + right) * (np.minimum(left, right) > _EITHER * scale)
    around = int(both.argmax())
    if both[around] < _STEP_IN * scale:
        return None
    window = slice(max(0, around - round(_TILT * scale / 2)), around + round(_TILT * scale / 2) + 1)
    ends = []
    for side, inward in enumerate((1, -1)):
        centre = int(steps[side, window].argmax()) + window.start + reach
        rows = slice(centre - reach, centre + reach + 1)
        ends.append(rows.start + 1 + int((inward * np.diff(outer[rows, side])).argmax()))
    return ends[0], ends[1]


def _widest(values: Float[np.ndarray, "R"], reach: int) -> Float[np.ndarray, "R"]:
    """The largest value within ``reach``."""
    widest: FloatArray = np.asarray(cv2.dilate(values[:, None], np.ones((2 * reach + 1, 1), np.uint8)), np.float64)[
        :, 0
    ]
    return widest


def _one_cloth(
    lab: Float[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"], hem: Float[np.ndarray, "W"], legs: Legs
) -> bool:
    """Whether the same cloth is all along the hem, and another one, or skin, below it."""
    height = len(mask)
    scale = (legs.ankles - legs.hips) / 0.8
    above, gap = (round(part * scale) for part in _BAND)
    y = np.arange(height)[:, None]
    band = mask & (y > hem - above) & (y < hem - gap)
    columns = np.flatnonzero(band.any(0))
    if len(columns) < 10:
        return False
    fifths = np.array_split(columns, 5)
    cloth = [np.median(lab[:, part][band[:, part]], 0) for part in fifths]
    apart = max(float(np.linalg.norm(a - b)) for a in cloth for b in cloth)
    under = []
    for side in range(2):
        row = min(height - 1, int(hem[int(np.clip(legs.x[side, height // 2], 0, len(hem) - 1))]) + above)
        leg = _leg_colour(lab, legs, side, row)
        under.append(min(float(np.linalg.norm(leg - c)) for c in cloth))
    return apart < _ONE_CLOTH and min(under) > _OTHER_CLOTH


def skirt_tube(
    model: BodyModel,
    body: BodyParams,
    rest: RestBody,
    posed: PosedBody,
    around: Surroundings,
    skirt: Skirt,
    source: int,
) -> Extension:
    """A closed tube around both legs, as wide as the skirt in the picture.

    Args:
        model: The body.
        body: One body.
        rest: The same at rest.
        posed: The same in its pose.
        around: The body's photo.
        skirt: In it.
        source: Number of the photo.
    """
    step = max(2, round(_STEP * len(skirt.mask)))
    vertices = body.camera.project(posed.vertices)[0].cpu().numpy().astype(np.float64)
    part = model.vertex_part.cpu().numpy()
    rows = np.arange(-2 * step, len(skirt.start) + 2 * step + 1, step)
    known = rows.clip(0, len(skirt.start) - 1)
    y = (skirt.top + rows).clip(0, len(skirt.mask) - 1)
    middle, half = (skirt.start + skirt.stop)[known] / 2, (skirt.stop - skirt.start)[known] / 2
    u = np.linspace(-1, 1, _ROUND)
    x = middle[:, None] + _MARGIN * half[:, None] * u
    legs_x, legs_depth = skirt.legs.x[:, y], skirt.legs.depth[:, y]
    across = ((x - legs_x[0][:, None]) / np.maximum(legs_x[1] - legs_x[0], 1)[:, None]).clip(0, 1)
    centre = legs_depth[0][:, None] * (1 - across) + legs_depth[1][:, None] * across
    hangs = ((rows / (_FLARE * float(body.camera.scale[0])))[:, None]).clip(0, 1)
    deep = _depth_of_legs(vertices, part, skirt.top + rows, legs_depth.mean(0), step) + _ROOM * hangs
    deep *= (_OVAL * 2 * half / float(body.camera.scale[0]) / deep.sum(1).clip(1e-3)).clip(max=1)[:, None]
    profile = np.sqrt(1 - np.abs(u) ** (2 + 2 * hangs))
    surface = _surface(around, x, y)
    before = np.fmin(centre - deep[:, :1] * profile, surface - _CLOTH)
    behind = centre + deep[:, 1:] * profile
    height = np.broadcast_to((skirt.top + rows + 0.5)[:, None], x.shape)
    nodes = np.concatenate([np.dstack([x, height, depth]).reshape(-1, 3) for depth in (before, behind)])
    weights = _weights(model, vertices[:, 1], part, skirt, skirt.top + rows, across)
    device, dtype = rest.vertices.device, rest.vertices.dtype
    on_both = torch.as_tensor(np.concatenate([weights, weights]), dtype=dtype, device=device)
    pixels = torch.as_tensor(nodes, dtype=dtype, device=device)
    unposed = at_rest(body, posed, pixels, on_both)
    near = np.flatnonzero(np.isin(part, [PARTS.index("torso"), *_leg_parts("left"), *_leg_parts("right")]))
    scale = float(body.camera.scale[0])
    tree = cKDTree(vertices[near] / [scale, scale, 1])
    anchor = torch.as_tensor(near[tree.query(nodes / [scale, scale, 1])[1]], device=device)
    faces, side = _tube_faces(len(rows), across)
    sides = _leg_parts("left")[0], _leg_parts("right")[0]
    first, second = sides if skirt.legs.left_first else sides[::-1]
    return Extension(
        anchor=anchor,
        offset=unposed - rest.vertices[0, anchor],
        weights=on_both,
        faces=torch.as_tensor(faces, device=device),
        part=torch.as_tensor(np.where(side, second, first), device=device),
        owner=torch.full_like(anchor, source),
        recess=torch.full_like(pixels[:, 0], -_BEFORE),
        max_edge=torch.full((len(faces),), torch.inf, dtype=dtype, device=device),
    )


def _leg_parts(side: str) -> tuple[int, int]:
    return PARTS.index(f"{side}_upper_leg"), PARTS.index(f"{side}_lower_leg")


def _depth_of_legs(
    vertices: FloatArray, part: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], centre: FloatArray, step: int
) -> Float[np.ndarray, "R 2"]:
    """How far the tube reaches before and behind the legs' axes in each row [m]."""
    member = np.isin(part, [PARTS.index("torso"), *_leg_parts("left"), *_leg_parts("right")])
    own = vertices[member]
    deep = np.zeros((len(rows), 2))
    for index, row in enumerate(rows):
        near = own[np.abs(own[:, 1] - row) < 2 * step, 2]
        if len(near):
            deep[index] = centre[index] - near.min(), near.max() - centre[index]
    soft = cv2.GaussianBlur(np.maximum(deep, 0), (1, 0), sigmaX=1e-3, sigmaY=2.0)
    widest: FloatArray = np.asarray(soft, np.float64)
    return np.maximum(widest, deep)


def _surface(around: Surroundings, x: Float[np.ndarray, "R K"], y: Int[np.ndarray, "R"]) -> Float[np.ndarray, "R K"]:
    """Depth of the body's front [m]; nan beside the body."""
    column = np.floor(x).astype(int).clip(0, around.matte.shape[1] - 1)
    row = np.broadcast_to(y[:, None], column.shape)
    depth = around.raster.depth[0].cpu().numpy().astype(np.float64)[row, column]
    legs = (around.distance == 0) & ~around.on(*_ARMS)
    surface: FloatArray = np.where(legs[row, column], depth, np.nan)
    return surface


def _weights(
    model: BodyModel,
    height: FloatArray,
    part: npt.NDArray[np.int64],
    skirt: Skirt,
    rows: npt.NDArray[np.int64],
    across: Float[np.ndarray, "R K"],
) -> Float[np.ndarray, "N J"]:
    """With the hips at the top, further down with the leg on its side and between the legs with both."""
    own = model.lbs_weights.cpu().numpy()
    metre = (skirt.legs.ankles - skirt.legs.hips) / 0.8
    order = ("left", "right") if skirt.legs.left_first else ("right", "left")

    def band(members: npt.NDArray[np.bool_], row: float | int) -> FloatArray:
        candidates = np.flatnonzero(members)
        nearest = candidates[np.argsort(np.abs(height[candidates] - row))[:60]]
        mean: FloatArray = own[nearest].mean(0).astype(np.float64)
        return mean

    hips = band(part == PARTS.index("torso"), skirt.legs.hips)
    result = np.empty((len(rows), across.shape[1], own.shape[1]))
    smooth = across * across * (3 - 2 * across)
    for index, row in enumerate(rows.tolist()):
        with_legs = np.clip((row - skirt.legs.hips) / (_HANG * metre), 0, 1)
        legs = []
        for side in order:
            thigh, shin = (part == leg for leg in _leg_parts(side))
            above = band(thigh, min(row, skirt.legs.knees - 0.05 * metre))
            below = band(thigh | shin, row)
            long = _BELOW_KNEE * np.clip((row - skirt.legs.knees) / (0.1 * metre), 0, 1)
            legs.append((1 - with_legs) * hips + with_legs * ((1 - long) * above + long * below))
        result[index] = (1 - smooth[index])[:, None] * legs[0] + smooth[index][:, None] * legs[1]
    return result.reshape(-1, own.shape[1]) / result.sum(-1).reshape(-1, 1)


def _tube_faces(rows: int, across: Float[np.ndarray, "R K"]) -> tuple[Int[np.ndarray, "M 3"], Bool[np.ndarray, "M"]]:
    """Front and back, each seen from both sides, joined at the outline.

    Also whether a face is on the second leg's side.
    """
    columns = across.shape[1]
    front = np.arange(rows * columns).reshape(rows, columns)
    ring = np.concatenate([front, front[:, ::-1] + rows * columns, front[:, :1]], 1)
    a, b, c, d = (part.ravel() for part in (ring[:-1, :-1], ring[:-1, 1:], ring[1:, :-1], ring[1:, 1:]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    faces = np.concatenate([faces, faces[:, ::-1]])
    return faces, across.ravel()[faces[:, 0] % (rows * columns)] > 0.5
