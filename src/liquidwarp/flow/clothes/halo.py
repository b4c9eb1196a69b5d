"""The halo: what a photo shows of the person outside of the naked body, lifted to a mesh that moves with the body.

A grid is laid over the matte minus the body's silhouette; each of its nodes hangs on the nearest body pixel: the
same skinning weights (blurred, so that cloth bends softly) and a depth just behind it. Carried back to the rest
pose, it is a second mesh beside the body that any pose can move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams, PosedBody, RestBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.extension import Extension, join_extensions, no_extension
from liquidwarp.flow.mesh.surface import rest_coordinates, vertices_of
from liquidwarp.flow.mesh.surroundings import Surroundings, at_rest, look_around, on_body
from liquidwarp.geometry.raster import rasterize

__all__ = ["HALO_REACH", "halo"]

HALO_REACH: Mapping[str, float] = {
    "head": 0.22,
    "face": 0.15,
    "torso": 0.30,
    "upper_arm": 0.18,
    "lower_arm": 0.15,
    "hand": 0.025,
    "upper_leg": 0.30,
    "lower_leg": 0.10,
    "foot": 0.04,
}
"""How far from its silhouette a part may have hair or cloth [m]: little at hands, so that held things stay away."""

BoolArray = npt.NDArray[np.bool_]

_LIFT = 0.015
_HIDDEN = 0.1
"""Thin layers, and what stands around a skull, lie so far behind the body [m]: seen from another side they would cross
the head as a strip."""
_STEP = 4 / 512
_STRETCH = 2.2
_SKIRT_GAP = 0.04
_SKIRT_LENGTH = 0.06
_WEIGHT_BLUR = 1.5
_SKIRT_BLUR = 6.0
_HANGING = (("head",), ("torso", "left_upper_arm", "right_upper_arm"))
"""Hair hangs from the first down over the others; what is before a face in profile is none."""
_BEND = 0.10
"""So far around where it leaves the head hair goes over from the head's depth to the shoulders' [m]."""
_CHAINS = (
    ("torso", "head", "face", "left_upper_leg", "right_upper_leg"),
    ("left_upper_arm", "left_lower_arm"),
    ("left_hand",),
    ("right_upper_arm", "right_lower_arm"),
    ("right_hand",),
    ("left_lower_leg", "left_foot"),
    ("right_lower_leg", "right_foot"),
)
"""Parts between which cloth may hang; :data:`_LINKS` says which groups touch."""
_LINKS = ((1, 2), (3, 4), (0, 5), (0, 6))


@dataclass(frozen=True)
class _Nodes:
    """Nodes of the halo's grid."""

    index: Int[np.ndarray, "GH GW"]
    """Number of each grid position's node; -1 where there is none."""
    x: Int[np.ndarray, "N"]
    y: Int[np.ndarray, "N"]
    skirt: Bool[np.ndarray, "N"]
    """Whether cloth hangs from both legs here."""
    under_chin: Bool[np.ndarray, "N"]
    """Whether what hangs from the head goes on over the shoulders here."""
    thin: Bool[np.ndarray, "N"]
    """Whether it is a thin layer of hair, which has no side of its own."""
    step: int
    """[px]"""


def halo(model: BodyModel, bodies: BodyParams | Sequence[BodyParams], mattes: Float[Tensor, "S 1 H W"]) -> Extension:
    """Make each source's halo and join them; each halo is coloured by its own source only.

    Args:
        model: The body.
        bodies: The S fitted bodies, cameras in the mattes' pixels; a list where shapes differ.
        mattes: Opacity of the person, 1 = person.
    """
    singles = [bodies[slice(i, i + 1)] for i in range(len(bodies))] if isinstance(bodies, BodyParams) else bodies
    halos = [_halo_of(model, body, mattes[s, 0], s) for s, body in enumerate(singles)]
    return join_extensions(halos) if halos else no_extension(model)


def _halo_of(model: BodyModel, body: BodyParams, matte: Float[Tensor, "H W"], source: int) -> Extension:
    rest = model.rest(body.betas[None])
    posed = model.pose(rest, body.rel_rotmats)
    height, width = matte.shape
    raster = rasterize(body.camera.project(posed.vertices), model.faces, height, width)
    if not bool(raster.covered.any()):
        return no_extension(model)
    picture = look_around(model, raster, matte, float(body.camera.scale[0]))
    nodes = _grid_nodes(picture)
    if len(nodes.x) == 0:
        return no_extension(model)
    return _lift(model, body, rest, posed, picture, nodes, source)


def _grid_nodes(picture: Surroundings) -> _Nodes:
    """Grid positions on and around what is the person but not the body."""
    height, width = picture.matte.shape
    step = max(2, round(_STEP * height))
    reach = np.array([next(r for name, r in HALO_REACH.items() if part.endswith(name)) for part in PARTS])
    near = picture.distance < reach[picture.part] * picture.scale
    between_legs = _skirt(picture)
    outside = (picture.matte > 0.5) & (picture.distance > 0) & (near | between_legs)
    count, label, stats, _ = cv2.connectedComponentsWithStats(outside.astype(np.uint8), connectivity=4)
    # Thin slivers along the silhouette are errors of the fit, not cloth.
    reaching = np.bincount(label[picture.distance > 3 * height / 512], minlength=count) > 0
    kept = reaching & (stats[:, cv2.CC_STAT_AREA] >= 12 * (height / 512) ** 2)
    kept[0] = False
    # Around the bald head of the body a thin layer is hair.
    hair = outside & picture.on("head", "face")
    square = np.ones((2 * step + 1, 2 * step + 1), np.uint8)
    thick, around = (cv2.dilate(mask.astype(np.uint8), square) > 0 for mask in (kept[label], kept[label] | hair))
    y, x = np.mgrid[0:height:step, 0:width:step]
    on = around[y, x]
    index = np.full(y.shape, -1)
    index[on] = np.arange(on.sum())
    under_chin = _under_chin(picture, on, step)
    x, y = x[on], y[on]
    return _Nodes(index, x, y, between_legs[y, x], under_chin, ~thick[y, x], step)


def _under_chin(picture: Surroundings, on: Bool[np.ndarray, "GH GW"], step: int) -> Bool[np.ndarray, "N"]:
    """Nodes near to others of the head and to others of the trunk."""
    part = picture.part[::step, ::step]
    near = np.ones(on.shape, bool)
    for names in _HANGING:
        group = on & np.isin(part, [PARTS.index(name) for name in names])
        if not group.any():
            return np.zeros(int(on.sum()), bool)
        distance = cv2.distanceTransform(1 - group.astype(np.uint8), cv2.DIST_L2, 5)
        near &= distance * step < _BEND * picture.scale
    return near[on]


def _skirt(picture: Surroundings) -> BoolArray:
    """Gaps between the legs that are wide, but filled by the matte: a skirt, a dress, a long coat.

    It must begin at the thighs: loose trousers fill gaps further down too.
    """
    body = picture.distance == 0
    leg, thigh = _leg_sides()
    side = leg[picture.part] * body
    skirt = np.zeros_like(body)
    thigh_rows = 0
    for y in np.flatnonzero((side == 1).any(1) & (side == 2).any(1)):
        left, right = np.flatnonzero(side[y] == 1), np.flatnonzero(side[y] == 2)
        start, stop = (left.max(), right.min()) if left.mean() < right.mean() else (right.max(), left.min())
        gap = slice(start + 1, stop)
        if stop - start < _SKIRT_GAP * picture.scale:
            continue
        if (picture.matte[y, gap] > 0.5).mean() < 0.9:
            break
        skirt[y, gap] = True
        thigh_rows += bool(thigh[picture.part[y, start]] and thigh[picture.part[y, stop]])
    if thigh_rows < _SKIRT_LENGTH * picture.scale:
        return np.zeros_like(body)
    empty: BoolArray = skirt & ~body
    return empty


def _leg_sides() -> tuple[Int[np.ndarray, "P"], Bool[np.ndarray, "P"]]:
    """1 for parts of the left leg, 2 for the right, else 0; and which are thighs."""
    is_leg = [part.endswith("leg") for part in PARTS]
    sides = [(1 if part.startswith("left") else 2) if leg else 0 for part, leg in zip(PARTS, is_leg, strict=True)]
    return np.array(sides), np.array([part.endswith("upper_leg") for part in PARTS])


def _lift(
    model: BodyModel,
    body: BodyParams,
    rest: RestBody,
    posed: PosedBody,
    picture: Surroundings,
    nodes: _Nodes,
    source: int,
) -> Extension:
    """Give the nodes weights and depth, and carry them back to the rest pose."""
    device = rest.vertices.device
    at = torch.as_tensor(np.stack([picture.row[nodes.y, nodes.x], picture.column[nodes.y, nodes.x]]), device=device)
    points = on_body(model, picture.raster, at[0], at[1])
    blurred = _blur_on_grid(torch.cat([points.weights, points.depth[:, None]], 1).cpu().numpy(), nodes)
    mixed = torch.as_tensor(blurred, device=device)
    weights, depth = mixed[:, :-1] / mixed[:, :-1].sum(1, keepdim=True), mixed[:, -1]
    pixel = torch.as_tensor(np.stack([nodes.x, nodes.y], 1) + 0.5, dtype=depth.dtype, device=device)
    unposed = at_rest(body, posed, torch.cat([pixel, depth[:, None] + _LIFT], 1), weights)
    faces, part, tears = _grid_faces(picture, nodes)
    longest = _STRETCH * 1.5 * nodes.step / picture.scale
    return Extension(
        anchor=points.anchor,
        offset=unposed - rest.vertices[0, points.anchor],
        weights=weights,
        faces=torch.as_tensor(faces, device=device),
        part=torch.as_tensor(part, device=device),
        owner=torch.full_like(points.anchor, source),
        recess=_HIDDEN * (torch.as_tensor(nodes.thin, device=device) | _on_skull(model, points.anchor)).to(depth.dtype),
        max_edge=torch.as_tensor(np.where(tears, longest, np.inf), dtype=depth.dtype, device=device),
    )


def _on_skull(model: BodyModel, anchor: Int64[Tensor, "N"]) -> Bool[Tensor, "N"]:
    """Nodes that hang on a head above its chin."""
    face = rest_coordinates(model)[vertices_of(model, "face"), 1]
    if len(face) == 0:
        return torch.zeros_like(anchor, dtype=torch.bool)
    skull = vertices_of(model, "head", "face") & (rest_coordinates(model)[:, 1] < face.amax())
    return skull[anchor]


def _blur_on_grid(values: Float[np.ndarray, "N C"], nodes: _Nodes) -> Float[np.ndarray, "N C"]:
    """Average over neighbouring nodes, of the weights and, in the last column, the depth.

    Widely where cloth hangs from both legs, so that it sticks to neither. Under a chin the depth falls back to the
    shoulders at once, what hangs down there does so slowly: else it would be torn as if it were stretched.
    """
    on = nodes.index >= 0
    share = on.astype(np.float32)
    mixed = np.empty_like(values)
    narrow_share = cv2.GaussianBlur(share, (0, 0), _WEIGHT_BLUR)[on]
    wide_share = cv2.GaussianBlur(share, (0, 0), _SKIRT_BLUR)[on]
    hang, depth_hang = (_ramp(nodes, which) for which in (nodes.skirt, nodes.skirt | nodes.under_chin))
    for channel in range(values.shape[1]):
        if not values[:, channel].any():
            mixed[:, channel] = 0
            continue
        grid = np.zeros(nodes.index.shape, np.float32)
        grid[on] = values[:, channel]
        narrow = cv2.GaussianBlur(grid, (0, 0), _WEIGHT_BLUR)[on] / narrow_share
        wide = cv2.GaussianBlur(grid, (0, 0), _SKIRT_BLUR)[on] / wide_share
        ramp = depth_hang if channel == values.shape[1] - 1 else hang
        mixed[:, channel] = narrow + ramp * (wide - narrow)
    return mixed


def _ramp(nodes: _Nodes, chosen: Bool[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """1 at some nodes, falling to 0 beside them."""
    on = nodes.index >= 0
    grid = np.zeros(nodes.index.shape, np.float32)
    grid[on] = chosen
    return np.asarray((cv2.GaussianBlur(grid, (0, 0), 2)[on] * 1.5).clip(0, 1))


def _grid_faces(
    picture: Surroundings, nodes: _Nodes
) -> tuple[Int[np.ndarray, "M 3"], Int[np.ndarray, "M"], Bool[np.ndarray, "M"]]:
    """Two triangles per grid cell, from both sides; none between parts that cloth does not join."""
    together = _parts_together()
    part = picture.part[nodes.y, nodes.x]
    a, b = nodes.index[:-1, :-1], nodes.index[:-1, 1:]
    c, d = nodes.index[1:, :-1], nodes.index[1:, 1:]
    whole = (a >= 0) & (b >= 0) & (c >= 0) & (d >= 0)
    a, b, c, d = a[whole], b[whole], c[whole], d[whole]

    def joined(p: Int[np.ndarray, "Q"], q: Int[np.ndarray, "Q"]) -> Bool[np.ndarray, "Q"]:
        either: BoolArray = together[part[p], part[q]] | nodes.skirt[p] | nodes.skirt[q]
        return either

    keep = joined(a, b) & joined(a, c) & joined(b, c) & joined(b, d) & joined(c, d)
    a, b, c, d = a[keep], b[keep], c[keep], d[keep]
    front = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    faces = np.concatenate([front, front[:, ::-1]])
    return faces, part[faces[:, 0]], ~nodes.skirt[faces].any(1)


def _parts_together() -> Bool[np.ndarray, "P P"]:
    """Which parts cloth may join; a sleeve also reaches the torso."""
    group = {part: g for g, chain in enumerate(_CHAINS) for part in chain}
    links = {(g, g) for g in range(len(_CHAINS))} | set(_LINKS) | {(b, a) for a, b in _LINKS}
    together = np.array([[(group[p], group[q]) in links for q in PARTS] for p in PARTS])
    torso = PARTS.index("torso")
    for side in ("left", "right"):
        sleeve = PARTS.index(f"{side}_upper_arm")
        together[sleeve, torso] = together[torso, sleeve] = True
    return together
