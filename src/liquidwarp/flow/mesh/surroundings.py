"""One photo's body and matte on the CPU, and for every pixel the body's pixel that is nearest to it."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams, PosedBody
from liquidwarp.body.parts import PARTS
from liquidwarp.geometry.raster import Raster

__all__ = ["BodyPoints", "Surroundings", "at_rest", "look_around", "on_body"]


@dataclass(frozen=True)
class Surroundings:
    """What lies on and around one source's body."""

    matte: Float[np.ndarray, "H W"]
    raster: Raster
    distance: Float[np.ndarray, "H W"]
    """To the silhouette [px]; 0 on the body."""
    row: Int[np.ndarray, "H W"]
    column: Int[np.ndarray, "H W"]
    part: Int[np.ndarray, "H W"]
    """Part of the nearest body pixel."""
    scale: float
    """Pixels per metre."""

    def on(self, *names: str) -> Bool[np.ndarray, "H W"]:
        """Where the nearest body pixel belongs to one of these parts."""
        found: Bool[np.ndarray, "H W"] = np.isin(self.part, [PARTS.index(name) for name in names])
        return found


@dataclass(frozen=True)
class BodyPoints:
    """Some points of the body's surface."""

    anchor: Int64[Tensor, "N"]
    """The nearest vertex."""
    weights: Float[Tensor, "N J"]
    """Skinning weights."""
    depth: Float[Tensor, "N"]
    """[m]"""


def look_around(model: BodyModel, raster: Raster, matte: Float[Tensor, "H W"], scale: float) -> Surroundings:
    """Find the nearest body pixels.

    Args:
        model: The body.
        raster: One picture of it, in which something is covered.
        matte: Opacity of the person, 1 = person.
        scale: Pixels per metre.
    """
    body = raster.covered[0].cpu().numpy()
    distance, label = cv2.distanceTransformWithLabels(
        1 - body.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(body)
    of_label = np.zeros((label.max() + 1, 2), np.int64)
    of_label[label[rows, columns]] = np.stack([rows, columns], 1)
    row, column = of_label[label].transpose(2, 0, 1)
    face_part = model.face_part.cpu().numpy()
    part = face_part[raster.pix_to_face[0].cpu().numpy()[row, column]]
    return Surroundings(matte.float().cpu().numpy(), raster, distance, row, column, part, scale)


def on_body(model: BodyModel, raster: Raster, row: Int64[Tensor, "N"], column: Int64[Tensor, "N"]) -> BodyPoints:
    """What the body has in some pixels that show it.

    Args:
        model: The body.
        raster: One picture of it.
        row: Of the pixels.
        column: Of the pixels.
    """
    corner = model.faces[raster.pix_to_face[0, row, column]]
    bary = raster.bary[0, row, column]
    return BodyPoints(
        anchor=corner.gather(1, bary.argmax(1, keepdim=True))[:, 0],
        weights=(model.lbs_weights[corner] * bary[..., None]).sum(1),
        depth=raster.depth[0, row, column],
    )


def at_rest(
    body: BodyParams, posed: PosedBody, pixels: Float[Tensor, "N 3"], weights: Float[Tensor, "N J"]
) -> Float[Tensor, "N 3"]:
    """Carry points of a picture back to the rest pose [m].

    Args:
        body: One fitted body.
        posed: The same.
        pixels: (x [px], y [px], depth [m]).
        weights: Skinning weights; rows sum to 1.
    """
    point = body.camera.unproject(pixels[None])[0]
    blend = torch.einsum("nj,jk->nk", weights, posed.transforms[0].flatten(1)).view(-1, 3, 4)
    unposed: Float[Tensor, "N 3"] = torch.linalg.solve(blend[..., :3], (point - blend[..., 3])[..., None])[..., 0]
    return unposed
