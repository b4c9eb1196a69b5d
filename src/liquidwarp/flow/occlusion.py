"""Arms that stand before a person's own body in a photo, pixel by pixel.

Vertices of the trunk are 2 cm apart, so their visibility knows an arm's edge to a centimetre or two, and in the shape
of the mesh: a row of teeth in the arm's colours would stay on the chest. Here the photo's pixels are asked. Beside the
edge of the fitted arm, which may lie a few pixels off, their colours decide.

Only arms are asked for. A thigh before the hips wears the same trousers, whose colours are better than made-up ones.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.layers import Layer, sample_sources
from liquidwarp.flow.visibility import DEPTH_TOLERANCE
from liquidwarp.geometry.raster import Raster, mix_corners

__all__ = ["Occlusion", "arms_before", "without_crossed"]

_ARM = tuple(part for part in PARTS if part.endswith(("arm", "hand")))
_NOWHERE = np.float32(1e4)
"""The depth of an arm where there is none [m]."""
_STEP = 0.04
"""A step in depth from one pixel to the next that is the edge of something before [m]."""
_BESIDE = 7 / 512
"""How far from the edge of a fitted arm the photo's may be, relative to the picture's height."""
_APART = 0.12
"""Colours of an arm and of what is behind it that differ by less [RGB, 0..1] do not tell them apart."""
_SOME = 1e-3

FloatArray = Float[np.ndarray, "H W"]
Mask = Bool[np.ndarray, "H W"]


@dataclass(frozen=True)
class Occlusion:
    """Where arms stand before a place in the photos."""

    depth: Float[Tensor, "G S V"]
    """Of the body vertices in the photos' cameras [m]."""
    arms: Float[Tensor, "G S 1 H W"]
    """Depth of the arm that a photo's pixel shows [m]; far away where it shows none."""

    def to(self, device: torch.device | str) -> "Occlusion":
        """The same on another device."""
        return Occlusion(self.depth.to(device), self.arms.to(device))


def arms_before(
    model: BodyModel, body: Float[Tensor, "S V 3"], raster: Raster, colours: Float[Tensor, "S 3 H W"]
) -> Occlusion:
    """Prepare the photos of one person.

    Args:
        model: The body.
        body: Projected vertices (x, y [px], depth [m]) in the photos.
        raster: Of the same bodies.
        colours: The photos, RGB in [0, 1].
    """
    of_arm = torch.isin(model.face_part, torch.tensor([PARTS.index(part) for part in _ARM], device=body.device))
    arm = (of_arm[raster.pix_to_face.clamp(min=0)] & raster.covered).cpu().numpy()
    depth, covered = raster.depth.cpu().numpy(), raster.covered.cpu().numpy()
    pictures = colours.permute(0, 2, 3, 1).cpu().numpy()
    shown = np.stack([_arms_shown(*each) for each in zip(depth, covered, arm, pictures, strict=True)])
    return Occlusion(body[None, ..., 2], torch.as_tensor(shown, device=body.device)[None, :, None])


def without_crossed(layer: Layer, faces: Int64[Tensor, "F 3"], occlusion: Occlusion) -> Layer:
    """The same layer of the body, seen by no photo where that shows an arm before the place.

    Args:
        layer: Where its pixels lie in the photos.
        faces: The faces that were rasterised.
        occlusion: In the photos.
    """
    pictures, height, width = layer.raster.pix_to_face.shape
    people, sources, vertices = occlusion.depth.shape
    pixel = layer.raster.covered.view(-1).nonzero()[:, 0]
    bary = layer.raster.bary.view(-1, 3).index_select(0, pixel)
    corner = faces.index_select(0, layer.raster.pix_to_face.view(-1).index_select(0, pixel))
    person = torch.div(pixel, height * width * (pictures // people), rounding_mode="floor")[:, None]
    depth = occlusion.depth.transpose(1, 2).reshape(people * vertices, sources)
    own = layer.visible.new_zeros(pictures * height * width, sources)
    own.index_copy_(0, pixel, mix_corners(depth, corner + person * vertices, bary))
    own = own.view(pictures, height, width, sources).permute(0, 3, 1, 2)
    arm = sample_sources(occlusion.arms, layer.grid, layer.raster.covered)[:, :, 0]
    behind = ((own - arm) / DEPTH_TOLERANCE - 1).clamp(0, 1)
    return replace(layer, visible=layer.visible * (1 - behind))


def _arms_shown(depth: FloatArray, covered: Mask, arm: Mask, colours: Float[np.ndarray, "H W 3"]) -> FloatArray:
    """The depth of the arm at each pixel: the fitted one's, whose edges before the body follow the photo's colours."""
    around = np.ones((3, 3), np.uint8)
    arms = np.where(arm, depth, _NOWHERE).astype(np.float32)
    inner = np.asarray(cv2.dilate(arms, around))
    far = np.asarray(cv2.dilate(np.where(covered, depth, -_NOWHERE).astype(np.float32), around))
    near_side = arm & (far - depth > _STEP)
    far_side = covered & (depth - np.asarray(cv2.erode(arms, around)) > _STEP)
    if not near_side.any() or not far_side.any():
        return inner
    (to_near, front), (to_far, back) = (_of_nearest(side, depth) for side in (near_side, far_side))
    reach = max(2, round(_BESIDE * len(depth)))
    edge = np.minimum(to_near, to_far)
    band = covered & (edge <= reach)
    of_front = covered & (np.abs(depth - front) < np.abs(depth - back))
    like_front = _by_colour(colours, of_front, covered & (edge > reach / 2) & (edge < 3 * reach), reach)
    like_front = _hanging_together(like_front & band, of_front & ~band)
    shown = np.where(band & (np.abs(front - back) > _STEP), np.where(like_front, front, _NOWHERE), inner)
    return shown.astype(np.float32)


def _of_nearest(side: Mask, depth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The distance to the nearest of some pixels [px], and its depth."""
    distance, label = cv2.distanceTransformWithLabels(
        (~side).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(label.max() + 1, np.float32)
    table[label[side]] = depth[side]
    return distance, table[label]


def _by_colour(colours: Float[np.ndarray, "H W 3"], of_front: Mask, sure: Mask, reach: int) -> Mask:
    """Pixels that are more like the sure ones in front nearby than like those behind; as fitted, if these are alike."""
    (front, much), (back, some) = (_mean_of(colours, sure & side, reach) for side in (of_front, ~of_front))
    soft = cv2.GaussianBlur(colours, (0, 0), 0.7)
    to_front, to_back, apart = (np.linalg.norm(a - b, axis=2) for a, b in ((soft, front), (soft, back), (front, back)))
    tells = (apart > _APART) & (much > _SOME) & (some > _SOME)
    chosen = np.where(tells, to_front < to_back, of_front).astype(np.uint8)
    # A pixel at the very edge mixes both.
    return np.asarray(cv2.dilate(cv2.medianBlur(chosen, 3), np.ones((3, 3), np.uint8)) > 0)


def _mean_of(
    colours: Float[np.ndarray, "H W 3"], chosen: Mask, radius: int
) -> tuple[Float[np.ndarray, "H W 3"], FloatArray]:
    """The mean of the chosen pixels around each one, and their share."""
    weight = chosen.astype(np.float32)
    share = np.asarray(cv2.GaussianBlur(weight, (0, 0), radius))
    total = np.asarray(cv2.GaussianBlur(colours * weight[..., None], (0, 0), radius))
    return total / np.maximum(share, 1e-6)[..., None], share


def _hanging_together(chosen: Mask, seed: Mask) -> Mask:
    """The chosen pixels that hang together with the seed: a spot of an arm's colour on a shirt is the shirt's."""
    count, label = cv2.connectedComponents((chosen | seed).astype(np.uint8))
    kept = np.zeros(count, bool)
    kept[label[seed]] = True
    return np.asarray(kept[label] & chosen)
