"""A skirt's mesh: a closed tube around both legs, as wide as in the photo. It opens with them, but not in between."""

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from liquidwarp.body.model import BodyModel, BodyParams, PosedBody, RestBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.clothes.skirt import ARMS, Skirt
from liquidwarp.flow.mesh.extension import Extension
from liquidwarp.flow.mesh.surroundings import Surroundings, at_rest

__all__ = ["hanging_tube", "skirt_tube"]

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
_MARGIN = 1.0
"""The tube is so much narrower than the outline on either side, whose pixels are half background [px]."""
_BELOW = 0.03
"""So far below its hem the tube goes on, as its edge is soft [m]."""
_BEFORE = 0.03
"""A leg that sticks out of the tube by less than this stays behind it [m]."""

FloatArray = npt.NDArray[np.float64]


def skirt_tube(
    model: BodyModel,
    body: BodyParams,
    rest: RestBody,
    posed: PosedBody,
    around: Surroundings,
    skirt: Skirt,
    source: int,
) -> Extension:
    """A closed tube around both legs, as wide as the skirt in the picture; see :func:`hanging_tube`."""
    return hanging_tube(model, body, rest, posed, around, skirt, source)[0]


def hanging_tube(
    model: BodyModel,
    body: BodyParams,
    rest: RestBody,
    posed: PosedBody,
    around: Surroundings,
    skirt: Skirt,
    source: int,
) -> tuple[Extension, Float[np.ndarray, "R K 3"], Float[np.ndarray, "R K 3"]]:
    """The tube, and its points before and behind the legs as the photo shows them (x, y [px], depth [m]).

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
    x = middle[:, None] + (half - _MARGIN).clip(1)[:, None] * u
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
    place = _down_to_hem(skirt, rows, x[known.argmax()], _BELOW * float(body.camera.scale[0]))
    front, back = (_between_rows(np.dstack([x, height, depth]), place) for depth in (before, behind))
    nodes = np.concatenate([front.reshape(-1, 3), back.reshape(-1, 3)])
    weights = _weights(model, vertices[:, 1], part, skirt, skirt.top + rows, across)
    weights = _between_rows(weights, place).reshape(-1, weights.shape[-1])
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
    tube = Extension(
        anchor=anchor,
        offset=unposed - rest.vertices[0, anchor],
        weights=on_both,
        faces=torch.as_tensor(faces, device=device),
        part=torch.as_tensor(np.where(side, second, first), device=device),
        owner=torch.full_like(anchor, source),
        recess=torch.full_like(pixels[:, 0], -_BEFORE),
        max_edge=torch.full((len(faces),), torch.inf, dtype=dtype, device=device),
    )
    return tube, front, back


def _down_to_hem(
    skirt: Skirt, rows: npt.NDArray[np.int64], last: Float[np.ndarray, "K"], below: float
) -> Float[np.ndarray, "R K"]:
    """Where the nodes of each row lie [numbers of rows]: those below a column's hem lie on it.

    Args:
        skirt: In the picture.
        rows: Of the tube, from the skirt's top on [px].
        last: Columns of the nodes at the hem [px].
        below: So far below the hem they may lie [px].
    """
    hem = skirt.hem[np.floor(last).astype(int).clip(0, len(skirt.hem) - 1)] - skirt.top - 0.5 + below
    stop = np.interp(hem, rows, np.arange(len(rows)))
    return np.minimum(np.arange(len(rows))[:, None], stop)


def _between_rows(values: Float[np.ndarray, "R K C"], place: Float[np.ndarray, "R K"]) -> Float[np.ndarray, "R K C"]:
    """Values of the tube's columns at places between its rows."""
    above = np.floor(place).astype(int)
    below, column = np.minimum(above + 1, len(values) - 1), np.arange(values.shape[1])
    share = (place - above)[..., None]
    mixed: FloatArray = (1 - share) * values[above, column] + share * values[below, column]
    return mixed


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
    legs = (around.distance == 0) & ~around.on(*ARMS)
    surface: FloatArray = np.where(legs[row, column], depth, np.nan)
    return surface


def _weights(
    model: BodyModel,
    height: FloatArray,
    part: npt.NDArray[np.int64],
    skirt: Skirt,
    rows: npt.NDArray[np.int64],
    across: Float[np.ndarray, "R K"],
) -> Float[np.ndarray, "R K J"]:
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
    shares: FloatArray = result / result.sum(-1, keepdims=True)
    return shares


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
