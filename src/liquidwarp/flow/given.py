"""What a photo gives to another person, pixel by pixel: parts with soft ends, and bare skin in the other's tone.

Parts are those of the fitted body; skin is told from cloth by its colours, after the person's own face.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.flow.parts import GARMENT_PARTS, vertex_parts
from liquidwarp.geometry.raster import rasterize

__all__ = ["PhotoParts", "label_photo", "match_skin", "skin_tone"]

_SEAM = 0.02
"""Softness of what is given beside the body, where parts meet [m]: hair and hems have no hard ends."""
_LEAST_SKIN = 40
"""Fewer pixels of skin say nothing of its colour."""
_REDDER, _BLUER = (0.05, 1.6), (-2.0, 0.4)
"""Red and blue against green in human skin under usual light, logarithms of linear light; all else is a mask."""
_SPREAD = 0.16
"""How far the colours of one person's skin lie apart, in logarithms of their ratios."""
_LIGHT = 1.0
"""How far its light may lie apart, in logarithms."""
_BARE = ("torso", "hips", "upper_arm", "lower_arm", "upper_leg", "lower_leg", "foot")
"""Parts on which a giver's bare skin takes the wearer's tone."""
_STRONGEST = 8.0
"""Skin is made lighter or darker by this factor at most."""


@dataclass(frozen=True)
class PhotoParts:
    """One photo, taken apart."""

    part: Int64[np.ndarray, "H W"]
    """Index into GARMENT_PARTS of the nearest place of the body; -1: there is no body."""
    body: Bool[np.ndarray, "H W"]
    """Where the body itself is."""
    scale: float
    """[px/m]."""

    def share(self, weights: Float[Tensor, "Q"]) -> Float[Tensor, "1 H W"]:
        """How much of each pixel is given where parts are given by these weights: soft where parts meet."""
        table = torch.cat([weights.cpu(), weights.new_zeros(1).cpu()])
        hard = table[torch.from_numpy(self.part)].numpy()
        soft = cv2.GaussianBlur(hard, (0, 0), max(0.5, _SEAM * self.scale))
        return torch.from_numpy(np.clip(soft, 0, 1))[None]


def label_photo(model: BodyModel, body: BodyParams, size: tuple[int, int]) -> PhotoParts:
    """Take a photo apart.

    Args:
        model: The body.
        body: One frame, camera in the photo's pixels.
        size: Height and width of the photo [px].
    """
    height, width = size
    posed = model.pose(model.rest(body.betas[None]), body.rel_rotmats)
    raster = rasterize(body.camera.project(posed.vertices), model.faces, height, width)
    covered = raster.covered[0].cpu().numpy()
    scale = float(body.camera.scale[0])
    if not covered.any():
        return PhotoParts(np.full((height, width), -1), covered, scale)
    first = model.faces[:, 0][raster.pix_to_face[0].clamp(min=0)]
    shown = vertex_parts(model)[first].cpu().numpy()
    _, label = cv2.distanceTransformWithLabels(
        1 - covered.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.full(label.max() + 1, -1)
    table[label[covered]] = shown[covered]
    return PhotoParts(table[label], covered, scale)


def skin_tone(
    image: Float[Tensor, "3 H W"], matte: Float[Tensor, "1 H W"], parts: PhotoParts
) -> Float[np.ndarray, "3"] | None:
    """Mean colour of the face, linear light in (0, 1]; None where the photo shows none, or no skin there."""
    inside = (parts.part == GARMENT_PARTS.index("face")) & parts.body & (matte[0].cpu().numpy() > 0.9)
    inside = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if inside.sum() < _LEAST_SKIN:
        return None
    colours = _linear(image)[inside]
    light = colours.mean(1)
    usual = (light >= np.quantile(light, 0.45)) & (light <= np.quantile(light, 0.9))  # no eyes, hair, beard, highlights
    tone: np.ndarray = colours[usual].mean(0)
    redder, bluer = np.log(tone[0] / tone[1]), np.log(tone[2] / tone[1])
    return tone if _REDDER[0] < redder < _REDDER[1] and _BLUER[0] < bluer < _BLUER[1] else None


def match_skin(
    image: Float[Tensor, "3 H W"],
    parts: PhotoParts,
    own: Float[np.ndarray, "3"],
    wanted: Float[np.ndarray, "3"],
) -> Float[Tensor, "3 H W"]:
    """Give the bare skin of arms, legs and trunk another tone; light and shade stay.

    Args:
        image: Photo of somebody, RGB in [0, 1].
        parts: What is where in it.
        own: That person's tone, from :func:`skin_tone`.
        wanted: The tone that the skin shall have.
    """
    colours = _linear(image)
    bare = np.isin(parts.part, [number for number, name in enumerate(GARMENT_PARTS) if name.endswith(_BARE)])
    likeness = _likeness(colours, own, _SPREAD)
    certain = bare & parts.body & (likeness > 0.5)
    if certain.sum() > _LEAST_SKIN:  # limbs are lit in another way than the face
        likeness = np.maximum(likeness, _likeness(colours, colours[certain].mean(0), 1.3 * _SPREAD))
    likeness = cv2.GaussianBlur(np.where(bare, likeness, 0), (0, 0), max(0.5, 0.004 * parts.scale))
    share = np.clip(2 * likeness - 0.3, 0, 1)[..., None]
    change = np.clip(wanted / own, 1 / _STRONGEST, _STRONGEST) ** share
    result = np.clip(colours * change, 0, 1) ** (1 / 2.2)
    return torch.from_numpy(result).permute(2, 0, 1).to(image)


def _likeness(
    colours: Float[np.ndarray, "H W 3"], tone: Float[np.ndarray, "3"], spread: float
) -> Float[np.ndarray, "H W"]:
    """How much colours look like a tone in any light [0, 1]."""
    ratio = np.log(colours / tone)
    light = ratio.mean(2)
    chroma = ((ratio - light[..., None]) ** 2).sum(2)
    far = np.maximum(0, np.abs(light) - _LIGHT)
    likeness: np.ndarray = np.exp(-0.5 * (chroma / spread**2 + far**2 / 0.1))
    return likeness


def _linear(image: Float[Tensor, "3 H W"]) -> Float[np.ndarray, "H W 3"]:
    colours: np.ndarray = np.maximum(image.permute(1, 2, 0).cpu().double().numpy(), 0.02) ** 2.2
    return colours
