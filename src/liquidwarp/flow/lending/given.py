"""What a photo gives to another person, pixel by pixel: parts with soft ends.

Parts are those of the fitted body, but garments end where they end in the photo (:mod:`liquidwarp.flow.lending.hems`),
and long hair is the head's wherever it falls.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams, PosedBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.clothes.hair import find_hair
from liquidwarp.flow.lending.hems import hem_parts
from liquidwarp.flow.lending.parts import GARMENT_PARTS, vertex_parts
from liquidwarp.flow.mesh.surroundings import Surroundings, look_around
from liquidwarp.geometry.raster import Raster, interpolate, rasterize

__all__ = ["PhotoParts", "along_limbs", "label_photo"]

_SEAM = 0.02
"""Softness of what is given beside the body, where parts meet [m]: hair and hems have no hard ends."""
_HAIRY = ("head", "face", "torso", *(f"{side}_{part}_arm" for side in ("left", "right") for part in ("upper", "lower")))
"""Where long hair falls; what has its colour on legs is cloth."""
_CLOTH = 0.1
"""Where more than this share of the trunk's lower half has the colour of hair, that is the clothes' as well."""
_NEAR_HEAD, _OFF, _TUFT = 0.12, 0.01, 0.02
"""Hair beside the body is told so near to the head, so far off the body, and where so wide a tuft is beside the head
itself [m]."""
_SHOULDERS = [GARMENT_PARTS.index(name) for name in ("torso", "left_upper_arm", "right_upper_arm")]
_HEAD = torch.tensor([GARMENT_PARTS.index(name) for name in ("head", "face")])


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
    beside_head: Bool[np.ndarray, "H W"]
    """Hair beside the body, whose edge towards the clothes is known."""

    def shows(self, name: str) -> Bool[np.ndarray, "H W"]:
        """Where the body shows a part of ``GARMENT_PARTS``."""
        return np.asarray((self.part == GARMENT_PARTS.index(name)) & self.body)

    def share(self, weights: Float[Tensor, "Q"]) -> Float[Tensor, "1 H W"]:
        """How much of each pixel is given where parts are given by these weights: soft where parts meet."""
        table = torch.cat([weights.cpu(), weights.new_zeros(1).cpu()])
        hard = table[torch.from_numpy(self.part)].numpy()
        soft = cv2.GaussianBlur(hard, (0, 0), max(0.5, _SEAM * self.scale))
        soft = np.where(self.beside_head, hard, soft)
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
        return PhotoParts(np.full((height, width), -1), covered, scale, nothing, vertex_parts(model), covered)
    vertices = hem_parts(model, raster, image, matte)
    around = look_around(model, raster, matte[0], scale)
    hair = _hair(image, around)
    vertices = _under_hair(model, body, posed, raster, hair, vertices)
    first = model.faces[:, 0][raster.pix_to_face[0].clamp(min=0)]
    along = interpolate(along_limbs(model)[None, :, None], model.faces, raster)[0, :, :, 0].cpu().numpy()
    _, label = cv2.distanceTransformWithLabels(
        1 - covered.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )

    def nearest(values: Shaped[np.ndarray, "H W"]) -> Shaped[np.ndarray, "H W"]:
        table = np.zeros(label.max() + 1, values.dtype)
        table[label[covered]] = values[covered]
        return table[label]

    part = nearest(vertices[first].cpu().numpy())
    beside_head = _beside_head(part, covered, around)
    part = np.where(hair | beside_head, GARMENT_PARTS.index("head"), part)
    return PhotoParts(part, covered, scale, nearest(along), vertices, beside_head)


def _hair(image: Float[Tensor, "3 H W"], around: Surroundings) -> Bool[np.ndarray, "H W"]:
    """Long hair beside the body and on it; on the trunk only where it is no cloth of its colour."""
    hair = find_hair(image.permute(1, 2, 0).cpu().float().numpy(), around).mask & around.on(*_HAIRY)
    trunk = (around.distance == 0) & around.on("torso")
    if not trunk.any():
        return hair
    belly = trunk & (np.arange(len(trunk))[:, None] > np.nonzero(trunk)[0].mean())
    cloth = (hair & belly).sum() > _CLOTH * belly.sum()
    return np.asarray(hair & ~(trunk & cloth))


def _beside_head(
    part: Int64[np.ndarray, "H W"], covered: Bool[np.ndarray, "H W"], around: Surroundings
) -> Bool[np.ndarray, "H W"]:
    """What stands off the shoulders near the head and goes on beside the head: hair, even in the clothes' colour."""
    head = np.isin(part, _HEAD.numpy())
    loose = (around.matte > 0.5) & ~covered & (head | np.isin(part, _SHOULDERS))
    shown = (~(head & covered)).astype(np.uint8)
    near = cv2.distanceTransform(shown, cv2.DIST_L2, 5) < _NEAR_HEAD * around.scale
    off = cv2.distanceTransform((~covered).astype(np.uint8), cv2.DIST_L2, 5) > _OFF * around.scale
    core = loose & near & off
    count, label = cv2.connectedComponents(core.astype(np.uint8))
    beside = np.bincount(label[core & head], minlength=count) > (_TUFT * around.scale) ** 2
    chosen = core & beside[label]
    if not chosen.any():
        return chosen
    around_it = cv2.distanceTransform((~chosen).astype(np.uint8), cv2.DIST_L2, 5) < 2 * _OFF * around.scale
    return np.asarray(loose & near & around_it)


def _under_hair(
    model: BodyModel,
    body: BodyParams,
    posed: PosedBody,
    raster: Raster,
    hair: Bool[np.ndarray, "H W"],
    vertices: Int64[Tensor, "V"],
) -> Int64[Tensor, "V"]:
    """The parts of the vertices, those that a photo shows below hair being the head's."""
    pixel = body.camera.project(posed.vertices)[0]
    column, row = (pixel[:, axis].long().clamp(0, hair.shape[1 - axis] - 1) for axis in (0, 1))
    shown = torch.zeros_like(vertices, dtype=torch.bool)
    shown[model.faces[raster.pix_to_face[0][raster.covered[0]]].reshape(-1)] = True
    below = shown & torch.from_numpy(hair).to(vertices.device)[row, column]
    return torch.where(below & ~torch.isin(vertices, _HEAD.to(vertices)), _HEAD[0].to(vertices), vertices)


def along_limbs(model: BodyModel) -> Float[Tensor, "V"]:
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
