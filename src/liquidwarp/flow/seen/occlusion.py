"""Arms that stand before a person's own body in a photo, pixel by pixel.

Vertices of the trunk are 2 cm apart, so their visibility knows an arm's edge to a centimetre or two, and in the shape
of the mesh: a row of teeth in the arm's colours would stay on the chest. Here the photo's pixels are asked. Beside the
edge of the fitted arm, which may lie a few pixels off, their colours decide.

Only arms are asked for. A thigh before the hips wears the same trousers, whose colours are better than made-up ones.

A hand may lie on the body, so its depth tells little. It is fitted to the landmarks of its fingers, so where it is, no
other part is seen, nor where its colours go on.

Real fingers are wider than the fitted ones. In a picture where a hand lies before the same place as in the photo, the
photo shows its rim rightly, on whatever part of the body that falls.
"""

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from scipy.spatial import cKDTree
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.layers import Layer, sample_sources
from liquidwarp.flow.mesh.surface import ProjectedSurface
from liquidwarp.flow.mesh.visibility import DEPTH_TOLERANCE
from liquidwarp.geometry.camera import ndc_to_pixels
from liquidwarp.geometry.raster import Raster, mix_corners

__all__ = ["Occlusion", "arms_before", "without_crossed"]

_ARM = tuple(part for part in PARTS if part.endswith(("arm", "hand")))
_HANDS = tuple(part for part in _ARM if part.endswith("hand"))
_NOWHERE = np.float32(1e4)
"""The depth of an arm where there is none [m]."""
_STEP = 0.04
"""A step in depth from one pixel to the next that is the edge of something before [m]."""
_BESIDE = 7 / 512
"""How far from the edge of a fitted arm the photo's may be, relative to the picture's height."""
_GAP, _RIM = 3 / 512, 1 / 512
"""Half the width of gaps between fingers, and how much wider than the fitted one a hand surely is, relative to the
picture's height."""
_APART = 0.12
"""Colours of an arm and of what is behind it that differ by less [RGB, 0..1] do not tell them apart."""
_SOME = 1e-3
_SAME = (0.007, 0.015)
"""A hand that has moved against a place by less than the first is before the same place, by more than the second before
another [m]."""

FloatArray = Float[np.ndarray, "H W"]
Mask = Bool[np.ndarray, "H W"]


@dataclass(frozen=True)
class Occlusion:
    """Where arms stand before a place in the photos."""

    depth: Float[Tensor, "G S V"]
    """Of the body vertices in the photos' cameras [m]."""
    arms: Float[Tensor, "G S 1 H W"]
    """Depth of the arm that a photo's pixel shows [m]; far away where it shows none."""
    hands: Float[Tensor, "G S 1 H W"]
    """1 where a photo's pixel shows a hand, before whatever else is fitted there."""
    on_arm: Bool[Tensor, " F"]
    """Faces of the body that are of an arm or a hand."""
    nearest: Int64[Tensor, "G S 1 H W"]
    """The body vertex of an arm that is nearest to each pixel."""
    places: Float[Tensor, "G S V 2"]
    """Of the body vertices in the photos [px]."""
    scale: Float[Tensor, "G S"]
    """Of the photos [px/m]."""

    def to(self, device: torch.device | str) -> "Occlusion":
        """The same on another device."""
        return Occlusion(*(getattr(self, field.name).to(device) for field in fields(self)))


def arms_before(
    model: BodyModel, surface: ProjectedSurface, raster: Raster, colours: Float[Tensor, "S 3 H W"]
) -> Occlusion:
    """Prepare the photos of one person.

    Args:
        model: The body.
        surface: The bodies in the photos.
        raster: Of the same bodies.
        colours: The photos, RGB in [0, 1].
    """
    body = surface.body
    of_arm, of_hand = (
        torch.isin(model.face_part, torch.tensor([PARTS.index(part) for part in parts], device=body.device))
        for parts in (_ARM, _HANDS)
    )
    arm, hand = ((of[raster.pix_to_face.clamp(min=0)] & raster.covered).cpu().numpy() for of in (of_arm, of_hand))
    depth, covered = raster.depth.cpu().numpy(), raster.covered.cpu().numpy()
    pictures = colours.permute(0, 2, 3, 1).cpu().numpy()
    shown = np.stack([_arms_shown(*each) for each in zip(depth, covered, arm, pictures, strict=True)])
    hands = np.stack([_hands_shown(*each) for each in zip(hand, covered & ~arm, pictures, strict=True)])
    nearest = np.stack([_nearest_of(model, of_arm, *each) for each in zip(body, arm, strict=True)])
    return Occlusion(
        depth=body[None, ..., 2],
        arms=torch.as_tensor(shown, device=body.device)[None, :, None],
        hands=torch.as_tensor(hands, device=body.device)[None, :, None],
        on_arm=of_arm,
        nearest=torch.as_tensor(nearest, device=body.device)[None, :, None],
        places=body[None, ..., :2],
        scale=surface.scale[None],
    )


def without_crossed(
    layer: Layer, faces: Int64[Tensor, "F 3"], occlusion: Occlusion, targets: ProjectedSurface | None = None
) -> Layer:
    """The same layer of the body, seen by no photo where that shows an arm before the place.

    Args:
        layer: Where its pixels lie in the photos.
        faces: The faces that were rasterised.
        occlusion: In the photos.
        targets: The bodies in the pictures: a hand that lies before the same place there is left. None: no hand is.
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
    hand = sample_sources(occlusion.hands, layer.grid, layer.raster.covered)[:, :, 0]
    elsewhere = ~occlusion.on_arm[layer.raster.pix_to_face.clamp(min=0)][:, None]
    hand = hand * elsewhere
    moved = torch.ones_like(hand) if targets is None else _moved(layer, occlusion, targets)
    visible = layer.visible * (1 - torch.maximum(behind, hand * moved))
    return replace(layer, visible=torch.maximum(visible, hand * (1 - moved)))


def _moved(layer: Layer, occlusion: Occlusion, targets: ProjectedSurface) -> Float[Tensor, "N S H W"]:
    """0 where the arm that is nearest to a place in a photo is there in the picture, too; 1 where it is elsewhere."""
    pictures, sources = layer.grid.shape[:2]
    people = len(occlusion.places)
    person = torch.arange(pictures, device=layer.grid.device) // (pictures // people)
    size = occlusion.nearest.shape[-2:]
    result = torch.ones_like(layer.visible)
    picture, row, column = layer.raster.covered.nonzero(as_tuple=True)
    here = torch.stack([column, row], 1) + 0.5
    for source in range(sources):
        there = ndc_to_pixels(layer.grid[picture, source, row, column], *size)
        x, y = there.long().unbind(1)
        of = person[picture]
        arm = occlusion.nearest[of, source, 0, y.clamp(0, size[0] - 1), x.clamp(0, size[1] - 1)]
        before = (there - occlusion.places[of, source, arm]) / occlusion.scale[of, source, None]
        after = (here - targets.body[picture, arm, :2]) / targets.scale[picture, None]
        apart = ((before - after).norm(dim=1) - _SAME[0]) / (_SAME[1] - _SAME[0])
        result[picture, source, row, column] = apart.clamp(0, 1)
    return result


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


def _nearest_of(
    model: BodyModel, of_arm: Bool[Tensor, " F"], body: Float[Tensor, "V 3"], arm: Mask
) -> Int64[np.ndarray, "H W"]:
    """The vertex of the arm that is seen nearest to each pixel; any where no arm is seen."""
    vertices = model.faces[of_arm].unique()
    if len(vertices) == 0 or not arm.any():
        return np.zeros(arm.shape, np.int64)
    row, column = _nearest(arm)
    tree = cKDTree(body[vertices, :2].cpu().numpy())
    on = np.zeros(arm.shape, np.int64)
    on[arm] = tree.query(np.argwhere(arm)[:, ::-1] + 0.5)[1]
    return np.asarray(vertices.cpu().numpy()[on[row, column]])


def _nearest(mask: Mask) -> tuple[Int64[np.ndarray, "H W"], Int64[np.ndarray, "H W"]]:
    """Row and column of the nearest pixel of a mask."""
    _, label = cv2.distanceTransformWithLabels((~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    places = np.argwhere(mask)
    of_label = np.zeros((label.max() + 1, 2), np.int64)
    of_label[label[mask]] = places
    row, column = of_label[label].transpose(2, 0, 1)
    return row, column


def _hands_shown(hand: Mask, other: Mask, colours: Float[np.ndarray, "H W 3"]) -> FloatArray:
    """1 where a hand is: the fitted one with what is between its fingers, and its colours beside it.

    Args:
        hand: Where the fitted hands are seen.
        other: Where other parts than arms are.
        colours: The photo.
    """
    height = len(hand)
    gap, rim = (_disc(max(1, round(size * height))) for size in (_GAP, _RIM))
    closed = cv2.morphologyEx(hand.astype(np.uint8), cv2.MORPH_CLOSE, gap)
    whole = np.asarray(cv2.dilate(closed, rim) > 0)
    if not whole.any():
        return whole.astype(np.float32)
    reach = max(2, round(_BESIDE * height))
    outside, inside = (
        np.asarray(cv2.distanceTransform(each.astype(np.uint8), cv2.DIST_L2, 5)) for each in (~whole, hand)
    )
    sure = (inside > 1) | (other & (outside > reach / 2) & (outside < 3 * reach))
    like_hand = _by_colour(colours, hand, sure, reach) & other & (outside <= reach)
    return (whole | _hanging_together(like_hand, whole)).astype(np.float32)


def _disc(radius: int) -> UInt8[np.ndarray, "D D"]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)


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
