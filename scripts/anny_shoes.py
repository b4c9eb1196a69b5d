"""Shoes for a barefoot body, as two directions of its shape. Part of ``build_anny.py``.

The shoe is the foot closed with a ball of 22 mm (hollows fill), thickened by 6 mm and flattened below; it is made on a
grid of 2 mm, and the foot's vertices slide along the gradient of its distance field to its surface. The sides of the
toes slide to the middle of the gap between them instead, so that the toes fuse.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

VOXEL = 0.002
"""[m]"""
CLOSING_RADIUS = 0.022
"""[m] Gaps and hollows that such a ball cannot enter are filled."""
THICKNESS = 0.006
"""[m] Upper of the shoe over the skin."""
SOLE = 0.025
"""[m] What one unit of ``shoe-sole`` lowers the ground under the foot by."""
COLLAR = (0.075, 0.105)
"""[m] Above the ground: from here on the shoe gets thinner, here it ends."""
SLAB = 0.012
"""[m] Height up to which the shoe's outline reaches down to the ground vertically."""
OVERLAP = 0.006
"""[m] By which neighbouring toes grow into each other."""


@dataclass(frozen=True)
class Grid:
    """Voxels around a foot."""

    origin: np.ndarray
    size: np.ndarray

    def index(self, points: np.ndarray) -> tuple[np.ndarray, ...]:
        """The voxel of each point."""
        return tuple(np.round((points - self.origin) / VOXEL).astype(int).T)

    def sample(self, field: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Trilinear values of a field at the points."""
        return ndimage.map_coordinates(field, ((points - self.origin) / VOXEL).T, order=1, mode="nearest")


def shoe_directions(
    template: np.ndarray, faces: np.ndarray, weights: np.ndarray, joint_names: list[str]
) -> dict[str, np.ndarray]:
    """Displacements (V, 3) [m] for one unit of "shoe-volume" (fills out, keeps the sole's height) and "shoe-sole"."""
    volume, sole = np.zeros_like(template, dtype=np.float64), np.zeros_like(template, dtype=np.float64)
    for side in "LR":
        leg = [j for j, n in enumerate(joint_names) if n.startswith(("foot", "toe", "lowerleg")) and n.endswith(side)]
        on_leg = weights[:, leg].sum(1) > 0.5
        height = template[on_leg, 1].max() - template[:, 1]
        near = np.flatnonzero(on_leg & (height < COLLAR[1] + 0.03))
        local = np.full(len(template), -1)
        local[near] = np.arange(len(near))
        inside = local[faces]
        shod = put_on(
            template[near].astype(np.float64),
            inside[(inside >= 0).all(1)],
            toe_of(weights[near], joint_names, side),
            smoothstep(height[near], COLLAR[1], COLLAR[0]),
        )
        volume[near] = shod - template[near]
        sole[near, 1] = SOLE * smoothstep(template[on_leg, 1].max() - shod[:, 1], 0.040, 0.008)
    return {"shoe-volume": volume, "shoe-sole": sole}


def toe_of(weights: np.ndarray, joint_names: list[str], side: str) -> np.ndarray:
    """Per vertex the toe (1 to 5) that carries it, 0 for none."""
    toes = np.zeros((len(weights), 6))
    for joint, name in enumerate(joint_names):
        if name.startswith("toe") and name.endswith(side):
            toes[:, int(name[3])] += weights[:, joint]
    toes[:, 0] = 1 - toes.sum(1)
    return toes.argmax(1)


def smoothstep(value: np.ndarray, zero: float, one: float) -> np.ndarray:
    """0 at ``zero``, 1 at ``one``, smooth between."""
    t = np.clip((value - zero) / (one - zero), 0, 1)
    return t * t * (3 - 2 * t)


def put_on(points: np.ndarray, faces: np.ndarray, toe: np.ndarray, fade: np.ndarray) -> np.ndarray:
    """The foot's points on the surface of the shoe, blended with the skin by ``fade``."""
    margin = CLOSING_RADIUS + 4 * VOXEL
    grid = Grid(points.min(0) - margin, np.ceil((np.ptp(points, axis=0) + 2 * margin) / VOXEL).astype(int) + 1)
    ground = points[:, 1].max()
    solid = fill_foot(grid, points, faces, ground)
    dilated = distance_to(solid) <= CLOSING_RADIUS
    level = CLOSING_RADIUS - distance_to(~dilated) - THICKNESS
    y = grid.origin[1] + np.arange(grid.size[1]) * VOXEL
    shoe = ndimage.gaussian_filter(np.maximum(level, (y - ground)[None, :, None]), 2)
    cells = toe_cells(grid, points, faces, toe)
    fields = [shoe if k == 0 else np.maximum(shoe, ndimage.gaussian_filter(cells[k - 1], 1)) for k in range(6)]
    neighbours = mean_of_neighbours(faces, len(points))
    result = points.copy()
    for _ in range(8):
        for k, field in enumerate(fields):
            result[toe == k] = project(grid, field, result[toe == k])
        result = points + (0.5 * (result + neighbours @ result) - points) * (fade > 0)[:, None]
    for k, field in enumerate(fields):
        result[toe == k] = project(grid, field, result[toe == k])
    result[:, 1] = np.minimum(result[:, 1], ground)
    return points + (result - points) * fade[:, None]


def distance_to(solid: np.ndarray) -> np.ndarray:
    """[m], 0 within."""
    return np.asarray(ndimage.distance_transform_edt(~solid)) * VOXEL


def project(grid: Grid, field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The points moved along the gradient of a distance field to where it is 0."""
    gradient = np.gradient(field, VOXEL)
    for _ in range(25):
        slope = np.stack([grid.sample(component, points) for component in gradient], 1)
        step = grid.sample(field, points)[:, None] * slope / np.maximum((slope**2).sum(1, keepdims=True), 0.05)
        points = points - np.clip(0.5 * step, -0.003, 0.003)
    return points


def toe_cells(grid: Grid, points: np.ndarray, faces: np.ndarray, toe: np.ndarray) -> list[np.ndarray]:
    """Per toe a field [m] that is negative where this toe is nearest, 0 a little beyond the middle of the gap."""
    distances = []
    for k in range(1, 6):
        solid = np.zeros(grid.size, bool)
        mark_surface(grid, solid, points, faces[(toe[faces] == k).all(1)])
        distances.append(distance_to(solid))
    stack = np.stack(distances)
    return [(stack[k] - np.delete(stack, k, 0).min(0)) / 2 - OVERLAP for k in range(5)]


def mark_surface(grid: Grid, solid: np.ndarray, points: np.ndarray, faces: np.ndarray) -> None:
    """Set the voxels that the triangles touch."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    steps = np.linspace(0, 1, 12)
    for u in steps:
        for v in steps[steps <= 1 - u + 1e-9]:
            solid[grid.index(a + u * (b - a) + v * (c - a))] = True


def fill_foot(grid: Grid, points: np.ndarray, faces: np.ndarray, ground: float) -> np.ndarray:
    """Voxels in the foot, with its outline carried down to the ground and its top carried up out of the grid."""
    solid = np.zeros(grid.size, bool)
    mark_surface(grid, solid, points, faces)
    for row in range(grid.size[1]):
        solid[:, row] = ndimage.binary_fill_holes(ndimage.binary_closing(solid[:, row], iterations=1))
    bottom = int((ground - grid.origin[1]) / VOXEL)
    outline = solid[:, bottom - round(0.03 / VOXEL) : bottom + 1].any(1)
    solid[:, bottom - round(SLAB / VOXEL) : bottom + 1] |= outline[:, None]
    top = int(np.flatnonzero(solid.any((0, 2)))[0]) + 2
    solid[:, :top] = solid[:, top : top + 1]
    return solid


def mean_of_neighbours(faces: np.ndarray, size: int) -> sparse.csr_matrix:
    """Matrix that replaces each vertex by the mean of those that it shares an edge with."""
    rows = np.concatenate([faces[:, k] for k in (0, 1, 2, 1, 2, 0)])
    columns = np.concatenate([faces[:, k] for k in (1, 2, 0, 0, 1, 2)])
    adjacent = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    adjacent.data[:] = 1
    return sparse.diags(1 / np.maximum(np.asarray(adjacent.sum(1)).ravel(), 1)) @ adjacent
