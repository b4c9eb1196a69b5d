"""Pictures to judge a recovery by: the fitted body over the frame, its parts coloured, mask outline and landmarks."""

import colorsys

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.geometry.mesh import face_normals
from liquidwarp.geometry.raster import rasterize

__all__ = ["draw_body"]

_OPACITY = 0.6
"""Of the body that is drawn over the picture."""
_OUTLINE = (0, 255, 0)
_LANDMARK = (255, 40, 40)


def part_colours() -> UInt8[np.ndarray, "P 3"]:
    """One RGB colour per body part, far apart for neighbours."""
    hues = [(index * 0.381) % 1 for index in range(len(PARTS))]
    return np.array([[int(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.6, 0.95)] for hue in hues], np.uint8)


def draw_body(
    frame: UInt8[np.ndarray, "H W 3"],
    body: BodyParams,
    model: BodyModel,
    mask: Bool[np.ndarray, "h w"] | None = None,
    landmarks: Float[Tensor, "P 2"] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw one frame's body over the picture.

    Args:
        frame: RGB.
        body: One frame (T = 1), camera in the pixels of ``frame``.
        model: The body model.
        mask: Its outline is drawn in green; any size.
        landmarks: Drawn as red dots [px].

    Returns:
        A new RGB picture.
    """
    height, width = frame.shape[:2]
    vertices = model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices
    raster = rasterize(body.camera.project(vertices), model.faces, height, width)
    facing = face_normals(vertices, model.faces)[0, :, 2].neg().clamp(0, 1)
    face = raster.pix_to_face[0].clamp(min=0)
    colour = torch.as_tensor(part_colours()).float()[model.face_part[face]]
    colour = colour * (0.35 + 0.65 * facing[face])[..., None]
    covered = raster.covered[0].numpy()[..., None]
    picture = np.where(covered, (1 - _OPACITY) * frame + _OPACITY * colour.numpy(), frame).astype(np.uint8)
    thickness = max(1, round(max(height, width) / 600))
    if mask is not None:
        large = cv2.resize(mask.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_LINEAR) > 127
        contours, _ = cv2.findContours(large.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, _OUTLINE, thickness)
    if landmarks is not None:
        for x, y in landmarks.tolist():
            cv2.circle(picture, (int(x), int(y)), 2 * thickness, _LANDMARK, -1)
    return picture
