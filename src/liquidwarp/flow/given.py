"""What a photo gives to another person, pixel by pixel: parts with soft ends, and bare skin in the other's tone.

Parts are those of the fitted body, but garments end where they end in the photo (:mod:`liquidwarp.flow.hems`); skin is
told from cloth by its colours, after the person's own face.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.hems import hem_parts
from liquidwarp.flow.parts import GARMENT_PARTS, vertex_parts
from liquidwarp.geometry.raster import interpolate, rasterize

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
_DRESSED = ("torso", "hips")
"""Parts that hardly anybody shows bare: what they wear is cloth, in whatever colour."""
_BARE_TRUNK, _LIGHT_COUNTS = 0.1, 0.25
"""Unless it is so near to the face's colour; how much light counts beside the ratios of colours."""
_LIMBS = tuple(
    (f"{side}_upper_{limb}", f"{side}_lower_{limb}") for side in ("left", "right") for limb in ("arm", "leg")
)
_STRETCHES, _MOSTLY = 40, 0.35
"""Pieces into which a limb is cut; and how much like skin its skin is on average."""
_ROUNDS = 3
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
    along: Float[np.ndarray, "H W"]
    """How far along its limb it is: 0 at shoulder or hip, 1 at elbow or knee, 2 at wrist or ankle; elsewhere 0."""
    vertices: Int64[Tensor, "V"]
    """``part`` of each vertex of the body."""

    def shows(self, name: str) -> Bool[np.ndarray, "H W"]:
        """Where the body shows a part of ``GARMENT_PARTS``."""
        return np.asarray((self.part == GARMENT_PARTS.index(name)) & self.body)

    def share(self, weights: Float[Tensor, "Q"]) -> Float[Tensor, "1 H W"]:
        """How much of each pixel is given where parts are given by these weights: soft where parts meet."""
        table = torch.cat([weights.cpu(), weights.new_zeros(1).cpu()])
        hard = table[torch.from_numpy(self.part)].numpy()
        soft = cv2.GaussianBlur(hard, (0, 0), max(0.5, _SEAM * self.scale))
        return torch.from_numpy(np.clip(soft, 0, 1))[None]


def label_photo(
    model: BodyModel, body: BodyParams, image: Float[Tensor, "3 H W"], matte: Float[Tensor, "1 H W"]
) -> PhotoParts:
    """Take a photo apart.

    Args:
        model: The body.
        body: One frame, camera in the photo's pixels.
        image: RGB in [0, 1].
        matte: Opacity of the person.
    """
    height, width = image.shape[-2:]
    posed = model.pose(model.rest(body.betas[None]), body.rel_rotmats)
    raster = rasterize(body.camera.project(posed.vertices), model.faces, height, width)
    covered = raster.covered[0].cpu().numpy()
    scale = float(body.camera.scale[0])
    if not covered.any():
        nothing = np.zeros((height, width), np.float32)
        return PhotoParts(np.full((height, width), -1), covered, scale, nothing, vertex_parts(model))
    vertices = hem_parts(model, raster, image, matte)
    first = model.faces[:, 0][raster.pix_to_face[0].clamp(min=0)]
    along = interpolate(_along_limbs(model)[None, :, None], model.faces, raster)[0, :, :, 0].cpu().numpy()
    _, label = cv2.distanceTransformWithLabels(
        1 - covered.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )

    def nearest(values: Shaped[np.ndarray, "H W"]) -> Shaped[np.ndarray, "H W"]:
        table = np.zeros(label.max() + 1, values.dtype)
        table[label[covered]] = values[covered]
        return table[label]

    return PhotoParts(nearest(vertices[first].cpu().numpy()), covered, scale, nearest(along), vertices)


def _along_limbs(model: BodyModel) -> Float[Tensor, "V"]:
    """See ``PhotoParts.along``."""
    rest, roles = model.rest(model.lbs_weights.new_zeros(1, len(model.beta_names))), model.roles
    result = rest.vertices.new_zeros(rest.vertices.shape[1])
    for side, name in enumerate(("left", "right")):
        for limb, chain in (
            ("arm", (roles.upper_arm, roles.lower_arm, roles.hand)),
            ("leg", (roles.upper_leg, roles.lower_leg, roles.foot)),
        ):
            joints = [rest.joints[0, role[side]] for role in chain]
            for half, part in enumerate(("upper", "lower")):
                bone = joints[half + 1] - joints[half]
                share = (rest.vertices[0] - joints[half]) @ bone / bone.square().sum()
                member = model.vertex_part == PARTS.index(f"{name}_{part}_{limb}")
                result = torch.where(member, half + share.clamp(0, 1), result)
    return result


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
    cloths = [tone for name in _DRESSED if (tone := _cloth_tone(colours[parts.shows(name)], own)) is not None]

    def likeness_to(tone: Float[np.ndarray, "3"], spread: float, even: float) -> Float[np.ndarray, "H W"]:
        """``even``: what is as near to cloth as to skin counts so much."""
        like = _likeness(colours, tone, spread)
        for cloth in cloths:
            nearer = _distance(colours, cloth) / _distance(colours, tone).clip(1e-6)
            like *= (nearer - 1 + even).clip(0, 1)
        return like

    likeness = likeness_to(own, _SPREAD, 0.3)
    for names in _LIMBS:
        limb = np.isin(parts.part, [GARMENT_PARTS.index(name) for name in names])
        of_limb = likeness_to(own, _SPREAD, 0.8)
        for _ in range(_ROUNDS):  # limbs are lit in another way than the face
            certain = limb & parts.body & (of_limb > 0.5)
            if certain.sum() > _LEAST_SKIN:
                of_limb = np.maximum(of_limb, likeness_to(colours[certain].mean(0), 1.3 * _SPREAD, 0.8))
        likeness = np.where(limb, of_limb * _bare_stretch(of_limb, limb, parts), likeness)
    likeness = cv2.GaussianBlur(np.where(bare, likeness, 0), (0, 0), max(0.5, 0.004 * parts.scale))
    share = np.clip(2 * likeness - 0.3, 0, 1)[..., None]
    change = np.clip(wanted / own, 1 / _STRONGEST, _STRONGEST) ** share
    result = np.clip(colours * change, 0, 1) ** (1 / 2.2)
    return torch.from_numpy(result).permute(2, 0, 1).to(image)


def _bare_stretch(
    likeness: Float[np.ndarray, "H W"], limb: Bool[np.ndarray, "H W"], parts: PhotoParts
) -> Bool[np.ndarray, "H W"]:
    """The one stretch of a limb that is mostly skin: sleeves and trousers have no bare spots."""
    shown = limb & parts.body
    piece = (parts.along * _STRETCHES / 2).astype(int).clip(0, _STRETCHES - 1)
    more = np.bincount(piece[shown], likeness[shown] - _MOSTLY, _STRETCHES)
    total = np.concatenate([[0], np.cumsum(more)])
    gain = np.triu(total[None, :] - total[:, None])
    start, stop = np.unravel_index(int(gain.argmax()), gain.shape)
    return np.asarray((piece >= start) & (piece < stop))


def _cloth_tone(colours: Float[np.ndarray, "N 3"], skin: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"] | None:
    """The usual colour of a part that is nearly always dressed; None where little of it is seen, or it is bare.

    Args:
        colours: The part's, linear light.
        skin: Tone of the person's face.
    """
    if len(colours) < _LEAST_SKIN:
        return None
    tone: np.ndarray = np.exp(np.median(np.log(colours), axis=0))
    return tone if _distance(tone, skin) > _BARE_TRUNK else None


def _distance(colours: Float[np.ndarray, "*N 3"], tone: Float[np.ndarray, "3"]) -> Float[np.ndarray, "*N"]:
    """How far colours are from a tone, light counting little."""
    ratio = np.log(colours / tone)
    light = ratio.mean(-1)
    squared = ((ratio - light[..., None]) ** 2).sum(-1) + (_LIGHT_COUNTS * light) ** 2
    return np.asarray(np.sqrt(squared))


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
