"""The mask's outline as a term of the fit: what joints cannot show, girth above all.

Method: draw the body, take points on the outline of what was drawn, match them both ways with points on the outline
of the mask (near, and with a similar normal), and pull each pair together along the normal (and weakly along the
outline). After a few steps draw and match anew. Points on the picture's border are no outline.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.recover.detection.detections import Detections
from liquidwarp.recover.fitting.bundle import FitState, Rows, View, robust_cost, robust_weight
from liquidwarp.recover.fitting.observation import Observation
from liquidwarp.recover.fitting.skeleton import Skeleton, SkinnedPoints

__all__ = ["MaskOutlines", "OutlineTerm", "Surface", "match_outlines", "tightness_of_clothes"]

_POINTS = 288
"""Points per outline."""
_SIGMA = 0.02
"""Trusted accuracy of an outline, on the body [m]."""
_SLIDE = 0.1
"""Weight of the distance along the outline, against that across it."""
_NORMAL_PRICE = 0.15
"""A pair with opposite normals counts as twice this much farther apart [m]."""
_TOTAL_WEIGHT = 240.0
"""Of all pairs of one direction in one frame; the 33 landmarks weigh about 26, but they have the same bias in every
frame, and an outline that is off shows in every picture."""
_HEAD_WEIGHT = 0.2
"""Of pairs on head and face: what is outlined there is mostly hair, and the face has landmarks of its own."""
_TIGHT = 0.035
"""From the 10th to the 90th percentile, the distance of the outlines of tight clothes and body varies no more [m]."""
_ENOUGH_PAIRS = 50
"""With fewer pairs nothing is said about how loose a part's clothes are."""
_NOTHING = 1e-9
"""Instead of a weight of 0, which has no inverse."""
_FRAMES_PER_DRAW = 8
"""So that long clips need no more memory."""


@dataclass(frozen=True)
class Surface:
    """The body's skin, linear in the shape, on the movable joints; fingers posed and then fixed."""

    rest: Float[Tensor, "V 3"]
    """At betas = 0 [m]."""
    basis: Float[Tensor, "V 3 K"]
    weights: Float[Tensor, "V N"]
    faces: Int64[Tensor, "F 3"]
    trust: Float[Tensor, "V"]
    """How far the mask's outline tells where this vertex is (0, 1]."""
    part: Int64[Tensor, "V"]
    """Index of the body part."""
    tightness: Float[Tensor, "P"]
    """The same for each part where it lies within the mask: clothes may be wide, but a body does not leave them."""

    @staticmethod
    def of(model: BodyModel, skeleton: Skeleton, fixed: Float[Tensor, "J 3 3"]) -> "Surface":
        """Read the surface off a model.

        Args:
            model: The body.
            skeleton: Its movable joints.
            fixed: Rotations of the joints that are not movable (identity for the others).
        """
        num_betas = len(model.beta_names)
        betas = torch.cat([torch.zeros(1, num_betas), torch.eye(num_betas)])
        vertices = torch.cat([model.pose(model.rest(row[None]), fixed[None]).vertices for row in betas])
        basis = (vertices[1:] - vertices[:1]).permute(1, 2, 0).contiguous()
        head = torch.isin(model.vertex_part, torch.tensor([PARTS.index(part) for part in ("head", "face")]))
        trust = torch.where(head, _HEAD_WEIGHT, 1.0)
        weights = skeleton.merged_weights(model.lbs_weights)
        return Surface(vertices[0], basis, weights, model.faces, trust, model.vertex_part, torch.ones(len(PARTS)))


@dataclass(frozen=True)
class _Outline:
    """Points along the outlines of T pictures."""

    xy: Float[Tensor, "T M 2"]
    """Pixel centres (+0.5) of the picture they were found in."""
    normal: Float[Tensor, "T M 2"]
    """Unit, outward."""
    usable: Bool[Tensor, "T M"]


@dataclass(frozen=True)
class MaskOutlines:
    """Outlines of the masks in the fit's normalised units."""

    xy: Float[Tensor, "T M 2"]
    normal: Float[Tensor, "T M 2"]
    usable: Bool[Tensor, "T M"]
    size: Int64[Tensor, "T 2"]
    """(width, height) of each mask."""
    per_pixel: Float[Tensor, "T"]
    """Mask pixels per original pixel."""

    @staticmethod
    def of(parts: Sequence[Detections], observation: Observation) -> "MaskOutlines":
        """Trace the masks of a video, or of photos of several sizes one after the other."""
        masks = [part.masks[frame] for part in parts for frame in range(len(part))]
        per_pixel = torch.cat([torch.full((len(part),), part.masks.width / part.image_size[0]) for part in parts])
        return MaskOutlines.traced(masks, per_pixel, observation)

    @staticmethod
    def traced(
        masks: Sequence[Bool[np.ndarray, "_H _W"]], per_pixel: Float[Tensor, "T"], observation: Observation
    ) -> "MaskOutlines":
        """Trace masks that may be of several sizes.

        Args:
            masks: Where the person is, one per frame.
            per_pixel: Mask pixels per pixel of the original.
            observation: Of the same frames: its units are the outlines'.
        """
        outline = _stack([_trace(mask) for mask in masks])
        size = torch.tensor([[mask.shape[1], mask.shape[0]] for mask in masks])
        pixels = outline.xy / per_pixel[:, None, None]
        xy = (pixels - observation.centre[:, None]) / observation.pixels_per_metre[:, None, None]
        return MaskOutlines(xy, outline.normal, outline.usable, size, per_pixel)

    def frames(self, index: Tensor | slice) -> "MaskOutlines":
        """Only these frames."""
        return MaskOutlines(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class OutlineTerm:
    """Pairs of a point on the body and a point of the mask's outline."""

    points: SkinnedPoints
    """M points on the body, different ones in each frame."""
    on_body: Int64[Tensor, "T P"]
    """Which of them each pair holds."""
    target: Float[Tensor, "T P 2"]
    normal: Float[Tensor, "T P 2"]
    weight: Float[Tensor, "T P"]

    def cost(self, view: View) -> Float[Tensor, "T"]:
        """Robust squared distance, mostly across the outline."""
        return (self.weight * robust_cost(self._squared(self._apart(self._positions(view), view)))).sum(1)

    def rows(self, view: View, with_betas: bool) -> Rows:
        """Gauss-Newton rows: two for each point, as many pairs as it may have.

        The pairs of a point share its Jacobian. With the 2 x 2 weights W_p of its pairs, their sum has a factor L,
        and rows ``L^T J`` with residuals ``L^-1 sum_p W_p r_p`` have the same normal equations as all pairs have.
        """
        state, positions = view.state, self._positions(view)
        apart = self._apart(positions, view)
        weight = self.weight * robust_weight(self._squared(apart)) / _SIGMA**2
        across = (apart * self.normal).sum(-1, keepdim=True) * self.normal
        x, y = self.normal.unbind(-1)
        of_pairs = torch.stack([x * x + _SLIDE, x * y, y * y + _SLIDE], -1)
        summed = torch.zeros(*positions.shape[:2], 5, device=positions.device).scatter_add_(
            1,
            self.on_body[..., None].expand(-1, -1, 5),
            weight[..., None] * torch.cat([of_pairs, across + _SLIDE * apart], -1),
        )
        xx, xy, yy, pull_x, pull_y = summed.unbind(-1)
        first = xx.clamp(min=_NOTHING).sqrt()
        mixed = xy / first
        second = (yy - mixed**2).clamp(min=_NOTHING).sqrt()
        residual_x = pull_x / first
        residual_y = (pull_y - mixed * residual_x) / second

        def factored(rows: Float[Tensor, "T M 2 D"]) -> Float[Tensor, "T R D"]:
            along_x, along_y = rows.unbind(2)
            upper = first[..., None] * along_x + mixed[..., None] * along_y
            return torch.stack([upper, second[..., None] * along_y], 2).flatten(1, 2)

        scale = state.camera[:, :1, None, None]
        pose = view.skeleton.pose_rows(view.levers, self.points, state.betas, 2) * scale
        eye = torch.eye(2, device=positions.device)
        camera = torch.cat([positions[..., None], eye.expand(*positions.shape, 2)], -1)
        betas = None
        if with_betas:
            flat = torch.eye(3, device=positions.device)[None, None, :2]
            betas = factored(view.skeleton.beta_rows(view.posed, self.points, flat) * scale)
        residual = torch.stack([residual_x, residual_y], -1).flatten(1)
        return Rows(residual, torch.ones_like(residual), factored(pose), factored(camera), betas)

    def _positions(self, view: View) -> Float[Tensor, "T M 2"]:
        """Of the points on the body [m]."""
        return view.skeleton.locate(view.posed, self.points, view.state.betas)[..., :2]

    def _apart(self, positions: Float[Tensor, "T M 2"], view: View) -> Float[Tensor, "T P 2"]:
        """From the target of each pair to its point on the body, in the image."""
        camera = view.state.camera[:, None]
        image = camera[..., :1] * positions + camera[..., 1:]
        return torch.take_along_dim(image, self.on_body[..., None], 1) - self.target

    def _squared(self, apart: Float[Tensor, "T P 2"]) -> Float[Tensor, "T P"]:
        """Squared distance in sigmas: all of it across the outline, little of it along."""
        across = (apart * self.normal).sum(-1)
        return (across.square() + _SLIDE * apart.square().sum(-1)) / _SIGMA**2


def match_outlines(
    state: FitState,
    skeleton: Skeleton,
    surface: Surface,
    observation: Observation,
    mask: MaskOutlines,
    with_betas: bool,
) -> OutlineTerm:
    """Draw the bodies and pair their outlines with the masks'.

    Args:
        state: T frames.
        skeleton: The movable joints.
        surface: The skin.
        observation: The same T frames.
        mask: The same T frames.
        with_betas: Whether the term will be asked for derivatives by the shape.

    Returns:
        A term that holds until the next drawing.
    """
    body, points = _body_outline(state, skeleton, surface, observation, mask)
    pairs = _paired(body, mask)
    frame = torch.arange(len(body.xy))[:, None]
    rest, basis, weights, trust, part = points
    if not with_betas:  # the shape is fixed: put it into the rest positions
        rest, basis = rest + basis @ state.betas, basis[..., :0]
    within = torch.where(pairs.beyond < 0, surface.tightness[part[frame, pairs.on_body]], 1.0)
    return OutlineTerm(
        SkinnedPoints(rest, basis, weights),
        pairs.on_body,
        mask.xy[frame, pairs.on_mask],
        mask.normal[frame, pairs.on_mask],
        pairs.usable * trust[frame, pairs.on_body] * within * (_TOTAL_WEIGHT / mask.xy.shape[1]),
    )


def tightness_of_clothes(
    state: FitState, skeleton: Skeleton, surface: Surface, observation: Observation, mask: MaskOutlines
) -> Float[Tensor, "P"]:
    """How well a person's outline tells where each body part is: by how much their distance varies between frames.

    Args:
        state: T frames, fitted with outlines.
        skeleton: The movable joints.
        surface: The skin.
        observation: The same T frames.
        mask: The same T frames.

    Returns:
        1 for tight clothes, towards 0 for wide ones.
    """
    body, points = _body_outline(state, skeleton, surface, observation, mask)
    pairs = _paired(body, mask)
    part = points[-1][torch.arange(len(body.xy))[:, None], pairs.on_body]
    tightness = torch.ones(len(PARTS))
    for index in range(len(PARTS)):
        distances = pairs.beyond[pairs.usable & (part == index)]
        if len(distances) >= _ENOUGH_PAIRS:
            low, high = distances.quantile(torch.tensor([0.1, 0.9]))
            tightness[index] = _TIGHT / (high - low).clamp(min=_TIGHT)
    return tightness


@dataclass(frozen=True)
class _Pairs:
    """Points of two outlines matched both ways."""

    on_body: Int64[Tensor, "T P"]
    on_mask: Int64[Tensor, "T P"]
    usable: Bool[Tensor, "T P"]
    beyond: Float[Tensor, "T P"]
    """How far the body's point lies outside of the mask [m]."""


def _paired(body: _Outline, mask: MaskOutlines) -> _Pairs:
    """Each point with the nearest one of the other outline that faces the same way."""
    distance = torch.cdist(body.xy, mask.xy) + _NORMAL_PRICE * (1 - body.normal @ mask.normal.transpose(1, 2))
    far = 1e3
    to_mask = (distance + far * ~mask.usable[:, None]).argmin(2)
    to_body = (distance + far * ~body.usable[..., None]).argmin(1)
    frame = torch.arange(len(body.xy))[:, None]
    index = torch.arange(body.xy.shape[1]).expand_as(to_mask)
    on_body, on_mask = torch.cat([index, to_body], 1), torch.cat([to_mask, index], 1)
    usable = torch.cat([body.usable & mask.usable.any(1, True), mask.usable & body.usable.any(1, True)], 1)
    apart = body.xy[frame, on_body] - mask.xy[frame, on_mask]
    return _Pairs(on_body, on_mask, usable, (apart * mask.normal[frame, on_mask]).sum(-1))


def _body_outline(
    state: FitState, skeleton: Skeleton, surface: Surface, observation: Observation, mask: MaskOutlines
) -> tuple[_Outline, tuple[Tensor, Tensor, Tensor, Tensor, Tensor]]:
    """The drawn bodies' outlines (normalised), and what those points are: rest, basis, weights, trust, part."""
    width, height = mask.size.amax(0).tolist()
    scale = observation.pixels_per_metre * mask.per_pixel
    camera = WeakPerspective(
        state.camera[:, 0] * scale, state.camera[:, 1:] * scale[:, None] + observation.centre * mask.per_pixel[:, None]
    )
    transforms = skeleton.transforms(skeleton.pose(state.rel_rotmats, state.betas))
    features = SkinnedPoints(surface.rest[None], surface.basis[None], surface.weights[None]).features(state.betas)[0]
    outlines, vertices_of, bary_of = [], [], []
    for start in range(0, len(camera), _FRAMES_PER_DRAW):
        part = slice(start, start + _FRAMES_PER_DRAW)
        by_feature = transforms[part].permute(1, 3, 0, 2)  # N 4 T 3
        posed = (features @ by_feature.flatten(2).flatten(0, 1)).unflatten(1, (-1, 3)).transpose(0, 1)
        raster = rasterize(camera[part].project(posed), surface.faces, height, width)
        for size, pix_to_face, bary in zip(mask.size[part].tolist(), raster.pix_to_face, raster.bary, strict=True):
            outline = _trace((pix_to_face[: size[1], : size[0]] >= 0).numpy())
            column, row = outline.xy[0].long().unbind(-1)
            outlines.append(outline)
            vertices_of.append(surface.faces[pix_to_face[row, column].clamp(min=0)])
            bary_of.append(bary[row, column])
    outline = _stack(outlines)
    vertices, share = torch.stack(vertices_of), torch.stack(bary_of)[..., None]
    points = (
        (surface.rest[vertices] * share).sum(2),
        (surface.basis[vertices] * share[..., None]).sum(2),
        (surface.weights[vertices] * share).sum(2),
        (surface.trust[vertices] * share[..., 0]).sum(2),
        surface.part[vertices[..., 0]],
    )
    xy = (outline.xy / mask.per_pixel[:, None, None] - observation.centre[:, None]) / observation.pixels_per_metre[
        :, None, None
    ]
    return _Outline(xy, outline.normal, outline.usable), points


def _stack(outlines: list[_Outline]) -> _Outline:
    return _Outline(
        torch.cat([o.xy for o in outlines]),
        torch.cat([o.normal for o in outlines]),
        torch.cat([o.usable for o in outlines]),
    )


def _trace(mask: Bool[np.ndarray, "H W"]) -> _Outline:
    """Points spread evenly over the outer and inner outlines of a mask; none are usable if it is empty."""
    height, width = mask.shape
    image = mask.astype(np.uint8)
    contours, _ = cv2.findContours(image, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    longest = max((len(contour) for contour in contours), default=0)
    kept = [contour[:, 0] for contour in contours if len(contour) >= max(12, 0.05 * longest)]
    if not kept:
        empty = torch.zeros(1, _POINTS, 2)
        return _Outline(empty + 0.5, empty, torch.zeros(1, _POINTS, dtype=torch.bool))
    points = np.concatenate(kept)
    points = points[np.linspace(0, len(points) - 1, _POINTS).round().astype(int)]
    column, row = points[:, 0], points[:, 1]
    soft = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 2)
    gradient = np.stack([cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)], -1)[row, column]
    normal = -gradient / (np.linalg.norm(gradient, axis=1, keepdims=True) + 1e-9)
    usable = (column > 1) & (row > 1) & (column < width - 2) & (row < height - 2)
    usable &= np.linalg.norm(gradient, axis=1) > 1e-3
    return _Outline(
        torch.from_numpy(points.astype(np.float32) + 0.5)[None],
        torch.from_numpy(normal)[None],
        torch.from_numpy(usable)[None],
    )
