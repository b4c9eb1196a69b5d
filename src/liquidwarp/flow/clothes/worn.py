"""What hangs before the body and not on the limb behind it: long hair over an arm, a skirt around both legs.

They are meshes of their own, joined to the person's extension, that hang on the trunk. Where hair is, a photo says
nothing of the arm behind it. Legs and hips in a skirt take its colours, so that no made-up skin shows where they are
thicker than the skirt; at its hem the photo says nothing of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams, PosedBody, RestBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.clothes.coat_tails import find_tails, tails_tube
from liquidwarp.flow.clothes.hair import find_hair
from liquidwarp.flow.clothes.skirt import ARMS, find_ending, find_skirt, legs_of
from liquidwarp.flow.clothes.skirt_tube import skirt_tube
from liquidwarp.flow.mesh.extension import Extension, join_extensions, no_extension
from liquidwarp.flow.mesh.surface import ProjectedSurface
from liquidwarp.flow.mesh.surroundings import Surroundings, at_rest, look_around, on_body
from liquidwarp.geometry.masks import dilate
from liquidwarp.geometry.raster import rasterize

__all__ = ["Worn", "without_worn", "worn_things"]

_STEP = 4 / 512
_LIFT = 0.02
"""Hair lies this far before the body [m]."""
_TRUNK = ("torso", "head", "face")
_AROUND = 0.03
"""So far around an arm its hair goes on over the chest [m]."""
_LEAST = 0.0015
"""Less hair than this on the arms is left as it is [m2]."""
_HEM = 0.05
"""So far above a skirt's hem the legs' colours are not its own [m]."""
_BESIDE = 0.03
"""So far beside an open coat legs show their own colours, as far as the photo shows them [m]."""
_SIDE = 2 / 512
"""So far beyond its outline a skirt's sides go on, relative to the picture's height."""
_SOFT = 0.7
"""Softness of the edge between hair and skin [px]."""


@dataclass(frozen=True)
class Worn:
    """What hangs before the body in S photos."""

    extension: Extension
    masks: Float[Tensor, "S 1 H W"]
    """Where it is, 1 = there; with soft edges."""
    skirts: Float[Tensor, "S 1 H W"]
    """Where it is a skirt, but a little above its hem: a leg is not level with it all around."""
    sides: Float[Tensor, "S 1 H W"]
    """A skirt and a little beside its outline, where front and back of its tube meet: neither is transparent there."""
    beside: Float[Tensor, "S 1 H W"]
    """Where an arm next to hair shows neither the hair nor its own colours, 1 = there."""
    shown: Float[Tensor, "E 2"]
    """Where the extension's points are shown in their photo [px], behind a coat; nan: as the fitted body has them."""

    def hidden_limbs(self, reach: int) -> Float[Tensor, "S 1 H W"]:
        """Where limbs are hidden, or mixed with what hangs before them.

        Args:
            reach: So far around it colours are mixed [px].
        """
        around = dilate(torch.maximum(self.masks, self.beside), reach)
        return around * (1 - self.skirts)

    def in_photos(self, surface: ProjectedSurface) -> ProjectedSurface:
        """Where the photos show people and extensions, whose last points are these.

        Args:
            surface: The same as the fitted bodies have it.
        """
        points = surface.extension.clone()
        own = torch.cat([self.shown.new_full((points.shape[1] - len(self.shown), 2), torch.nan), self.shown])
        points[..., :2] = torch.where(own.isnan(), points[..., :2], own.to(points))
        return replace(surface, extension=points)

    def __bool__(self) -> bool:
        return len(self.extension.faces) > 0


def worn_things(
    model: BodyModel,
    bodies: BodyParams | Sequence[BodyParams],
    images: Float[Tensor, "S 3 H W"],
    mattes: Float[Tensor, "S 1 H W"],
) -> Worn:
    """Find what hangs before the body and make a mesh of it.

    Args:
        model: The body.
        bodies: The S fitted bodies, cameras in the pictures' pixels; a list where shapes differ.
        images: RGB in [0, 1].
        mattes: Opacity of the person, 1 = person.
    """
    singles = [bodies[slice(i, i + 1)] for i in range(len(bodies))] if isinstance(bodies, BodyParams) else bodies
    meshes = [no_extension(model)]
    masks, skirts, sides, beside = (torch.zeros_like(mattes) for _ in range(4))
    behind: dict[int, Float[Tensor, "E 2"]] = {}
    for source, body in enumerate(singles):
        rest = model.rest(body.betas[None])
        posed = model.pose(rest, body.rel_rotmats)
        raster = rasterize(body.camera.project(posed.vertices), model.faces, *mattes.shape[-2:])
        if not bool(raster.covered.any()):
            continue
        around = look_around(model, raster, mattes[source, 0], float(body.camera.scale[0]))
        picture = images[source].permute(1, 2, 0).float().cpu().numpy()
        found = find_hair(picture, around)
        hair = _over_arms(found.mask, around)
        if hair.any():
            beside[source, 0] = torch.as_tensor(found.beside).to(beside)
            meshes.append(_hair_sheet(model, body, rest, posed, around, hair, source))
            masks[source, 0] = _soft(hair, masks)
        ending = find_ending(picture, around, legs_of(model, body, posed, mattes.shape[-2]))
        cloth = find_skirt(ending)
        over_legs = None if cloth is None else cloth.mask
        if cloth is not None:
            meshes.append(skirt_tube(model, body, rest, posed, around, cloth, source))
        elif (tails := find_tails(picture, around, ending)) is not None:
            cloth, over_legs = tails.cloth, _grown(tails.cloth.mask, round(_BESIDE * around.scale))
            tube, places = tails_tube(model, body, rest, posed, around, tails, source)
            behind[len(meshes)] = places
            meshes.append(tube)
        if cloth is not None and over_legs is not None:
            above_hem = _above_hem(over_legs, round(_HEM * around.scale))
            skirts[source, 0] = _soft(above_hem, skirts) * (1 - masks[source, 0])
            masks[source, 0] = torch.maximum(masks[source, 0], _soft(cloth.mask, masks))
            sides[source, 0] = _soft(_wider(cloth.mask), sides)
    shown = [behind.get(i, mattes.new_full((len(mesh.anchor), 2), torch.nan)) for i, mesh in enumerate(meshes)]
    return Worn(join_extensions(meshes), masks, skirts, sides, beside, torch.cat(shown))


def without_worn(extension: Extension, points: Float[Tensor, "S E 3"], masks: Float[Tensor, "S 1 H W"]) -> Extension:
    """A halo without what is a mesh of its own now.

    Args:
        extension: The halos.
        points: Its points in the S photos (x, y [px], depth [m]).
        masks: From :func:`worn_things`.
    """
    owner = extension.owner.clamp(min=0)
    own = points[owner, torch.arange(len(owner), device=owner.device)]
    column = own[:, 0].long().clamp(0, masks.shape[-1] - 1)
    row = own[:, 1].long().clamp(0, masks.shape[-2] - 1)
    covered = (masks[owner, 0, row, column] > 0.5) & (extension.owner >= 0)
    kept = ~covered[extension.faces].any(1)
    return replace(extension, faces=extension.faces[kept], part=extension.part[kept], max_edge=extension.max_edge[kept])


def _soft(mask: Bool[np.ndarray, "H W"], like: Tensor) -> Float[Tensor, "H W"]:
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _SOFT)
    return torch.as_tensor(blurred, dtype=like.dtype, device=like.device)


def _wider(skirt: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    row = np.ones((1, 2 * max(1, round(_SIDE * len(skirt))) + 1), np.uint8)
    return np.asarray(cv2.dilate(skirt.astype(np.uint8), row) > 0)


def _grown(mask: Bool[np.ndarray, "H W"], pixels: int) -> Bool[np.ndarray, "H W"]:
    size = 2 * max(1, pixels) + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0)


def _above_hem(skirt: Bool[np.ndarray, "H W"], rows: int) -> Bool[np.ndarray, "H W"]:
    """Where the skirt goes on for so many rows below."""
    lower = np.zeros_like(skirt)
    lower[: len(skirt) - rows] = skirt[rows:]
    return skirt & lower


def _over_arms(hair: Bool[np.ndarray, "H W"], around: Surroundings) -> Bool[np.ndarray, "H W"]:
    """The hair that would go with an arm, and a little around it: what lies on the chest goes with the chest anyway."""
    arms = hair & around.on(*ARMS)
    if arms.sum() < _LEAST * around.scale**2:
        return np.zeros_like(hair)
    size = 2 * max(1, round(_AROUND * around.scale)) + 1
    near: Bool[np.ndarray, "H W"] = hair & (cv2.dilate(arms.astype(np.uint8), np.ones((size, size), np.uint8)) > 0)
    return near


def _hair_sheet(
    model: BodyModel,
    body: BodyParams,
    rest: RestBody,
    posed: PosedBody,
    around: Surroundings,
    hair: Bool[np.ndarray, "H W"],
    source: int,
) -> Extension:
    """A sheet before the body that hangs on the nearest point of trunk and head."""
    device = rest.vertices.device
    height, width = hair.shape
    step = max(2, round(_STEP * height))
    grown = cv2.dilate(hair.astype(np.uint8), np.ones((2 * step + 1, 2 * step + 1), np.uint8)) > 0
    y, x = np.mgrid[0:height:step, 0:width:step]
    on = grown[y, x]
    index = np.where(on, np.cumsum(on.ravel()).reshape(on.shape) - 1, -1)
    y, x = y[on], x[on]
    trunk = (around.distance == 0) & around.on(*_TRUNK)
    if not trunk.any() or len(x) == 0:
        return no_extension(model)
    row, column = _nearest(trunk)
    hangs_on = on_body(model, around.raster, _index(row[y, x], device), _index(column[y, x], device))
    lies_on = on_body(model, around.raster, _index(around.row[y, x], device), _index(around.column[y, x], device))
    weights = _smooth(index, _without_arms(model, hangs_on.weights))
    depth = _smooth(index, lies_on.depth[:, None]) - _LIFT
    pixel = torch.as_tensor(np.stack([x, y], 1) + 0.5, dtype=depth.dtype, device=device)
    unposed = at_rest(body, posed, torch.cat([pixel, depth], 1), weights)
    faces = torch.as_tensor(_both_sides(index), device=device)
    return Extension(
        anchor=hangs_on.anchor,
        offset=unposed - rest.vertices[0, hangs_on.anchor],
        weights=weights,
        faces=faces,
        part=torch.full_like(faces[:, 0], PARTS.index("head")),
        owner=torch.full_like(hangs_on.anchor, source),
        recess=torch.zeros_like(depth[:, 0]),
        max_edge=torch.full_like(faces[:, 0], torch.inf, dtype=depth.dtype),
    )


def _nearest(mask: Bool[np.ndarray, "H W"]) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the nearest pixel of a mask."""
    _, label = cv2.distanceTransformWithLabels(
        1 - mask.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.argwhere(mask)
    of_label = np.zeros((label.max() + 1, 2), np.int64)
    of_label[label[places[:, 0], places[:, 1]]] = places
    row, column = of_label[label].transpose(2, 0, 1)
    return row, column


def _index(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.as_tensor(values, device=device)


def _without_arms(model: BodyModel, weights: Float[Tensor, "N J"]) -> Float[Tensor, "N J"]:
    """What hangs on the shoulder does not follow the arm."""
    arms = torch.isin(model.vertex_part, torch.tensor([PARTS.index(part) for part in ARMS], device=weights.device))
    of_arm = model.lbs_weights[arms].sum(0) > model.lbs_weights[~arms].sum(0)
    kept = weights * ~of_arm
    total = kept.sum(1, keepdim=True)
    mean = kept.sum(0, keepdim=True)
    kept = torch.where(total > 1e-3, kept, mean)
    return kept / kept.sum(1, keepdim=True).clamp(min=1e-6)


def _smooth(index: np.ndarray, values: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    """Average over neighbouring nodes of a grid."""
    on = index >= 0
    share = cv2.GaussianBlur(on.astype(np.float32), (0, 0), 1.5)[on]
    result = torch.zeros_like(values)
    for channel in values.any(0).nonzero()[:, 0].tolist():
        grid = np.zeros(index.shape, np.float32)
        grid[on] = values[:, channel].cpu().numpy()
        blurred = cv2.GaussianBlur(grid, (0, 0), 1.5)[on] / share
        result[:, channel] = torch.as_tensor(blurred, dtype=values.dtype, device=values.device)
    return result


def _both_sides(index: np.ndarray) -> np.ndarray:
    """Two triangles per whole cell of a grid, from both sides."""
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    whole = (a >= 0) & (b >= 0) & (c >= 0) & (d >= 0)
    a, b, c, d = a[whole], b[whole], c[whole], d[whole]
    front = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    return np.concatenate([front, front[:, ::-1]])
