"""Which colours the skin of a fitted body shows, clothes included, and by how much a picture disagrees with them.

Each vertex takes the robust mean of what it shows in several pictures. Drawn with the body of one picture, these
colours lie beside the picture's own wherever that body is wrong; dense optical flow (DIS, Kroeger et al. 2016) from the
drawing to the picture says by how much.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.mesh import vertex_normals
from liquidwarp.geometry.raster import Raster, interpolate, rasterize

__all__ = ["Disagreement", "SkinColours", "Square", "View", "disagreement"]

_SIDE = 320
"""Of the square around the person in which colours are compared [px]."""
_MARGIN = 1.15
"""The square's side over the longer side of the body's box."""
_SOFT = 0.8
"""Blur of what is compared, one sigma [px]."""
_GRAZING, _FACING = 0.25, 0.65
"""A vertex counts nothing where the cosine of its view is below the first, and fully above the second."""
_BEHIND = 0.015
"""A vertex this far behind the nearest surface is hidden [m]."""
_BORDER = 2.0
"""Vertices this near to the mask's border count nothing,"""
_INSIDE = 6.0
"""and fully when they are so far within [px]."""
_ROBUST = 15.0
"""A colour this far from the mean counts half [grey levels]."""
_LIGHT = 16.0
"""Light is evened out over this distance, one sigma [px],"""
_QUARTER = 4
"""in pictures that are this much smaller."""
_AROUND = 12.0
"""The structure of a photo is what differs from the mean over this distance, one sigma [px],"""
_LEAST_SPREAD = 6.0
"""where it differs by more than this; less is noise [grey levels]."""
_STRUCTURE = 28.0
"""How strong structure is shown, one standard deviation [grey levels]."""
_CONTRAST = 6.0
"""Where colours change by this much per pixel, the flow is fully believed [grey levels]; flat cloth says nothing."""
_NEAR = 3.0
"""Contrast and agreement are means over this distance, one sigma [px]."""


class Square:
    """One picture, cropped and scaled to the square around a body."""

    def __init__(
        self,
        rgb: UInt8[np.ndarray, "H W 3"],
        mask: Bool[np.ndarray, "h w"],
        vertices: Float[Tensor, "V 3"],
    ) -> None:
        """Crop.

        Args:
            rgb: The picture.
            mask: Where the person is, at any size.
            vertices: The body in the picture's pixels.
        """
        self.size: tuple[int, int] = (rgb.shape[0], rgb.shape[1])
        """(height, width) of the picture [px]."""
        low, high = vertices[:, :2].amin(0), vertices[:, :2].amax(0)
        side = float((high - low).max()) * _MARGIN
        self.factor = _SIDE / side
        """The square's pixels per picture's pixel."""
        self.origin = (low + high) / 2 - side / 2
        """The square's upper left corner in the picture [px]."""
        sharp = rgb if self.factor > 0.7 else cv2.GaussianBlur(rgb, (0, 0), 0.35 / self.factor)
        colours = cv2.warpAffine(
            sharp, self._matrix(1.0), (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        self.rgb = cv2.GaussianBlur(colours, (0, 0), _SOFT).astype(np.float32)
        shrunk = self._matrix(rgb.shape[1] / mask.shape[1])
        self.person = cv2.warpAffine(mask.astype(np.float32), shrunk, (_SIDE, _SIDE)) > 0.5
        self.depth_in_mask = cv2.distanceTransform(self.person.astype(np.uint8), cv2.DIST_L2, 3)

    def _matrix(self, enlarged: float) -> Float[np.ndarray, "2 3"]:
        """From a picture that is this much smaller to the square, for pixels that are numbered from 0."""
        scale = self.factor * enlarged
        shift = -self.factor * self.origin.numpy() + 0.5 * scale - 0.5
        return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)

    def structured(self) -> "Square":
        """The same without its light: how colours differ from those around them, equally strong everywhere."""
        inside = self.person.astype(np.float32)
        share = cv2.GaussianBlur(inside, (0, 0), _AROUND)[..., None] + 1e-3

        def around(colours: Float[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W 3"]:
            mean: np.ndarray = cv2.GaussianBlur(colours * inside[..., None], (0, 0), _AROUND) / share
            return mean

        apart = self.rgb - around(self.rgb)
        spread = around(apart**2).mean(-1, keepdims=True)
        bare = copy.copy(self)
        bare.rgb = np.clip(128 + apart * (_STRUCTURE / np.sqrt(spread + _LEAST_SPREAD**2)), 0, 255).astype(np.float32)
        return bare

    def camera(self, camera: WeakPerspective) -> WeakPerspective:
        """A camera of the picture as one of the square."""
        return WeakPerspective(camera.scale * self.factor, (camera.translation - self.origin) * self.factor)

    def to_picture(self, xy: Float[np.ndarray, "N 2"]) -> Float[Tensor, "N 2"]:
        """Places in the square as places in the picture [px]."""
        return torch.from_numpy(xy) / self.factor + self.origin


@dataclass(frozen=True)
class View:
    """A body in a square."""

    square: Square
    xy: Float[np.ndarray, "V 2"]
    """Of the vertices [px of the square, pixel centres +0.5]."""
    raster: Raster
    weight: Float[np.ndarray, "V"]
    """How well the square shows each vertex [0, 1]."""

    @staticmethod
    def of(
        square: Square, camera: WeakPerspective, vertices: Float[Tensor, "V 3"], faces: Int64[Tensor, "F 3"]
    ) -> "View":
        """Draw.

        Args:
            square: A picture.
            camera: One frame, of that picture.
            vertices: Posed [m].
            faces: The body's.
        """
        projected = square.camera(camera).project(vertices[None])
        raster = rasterize(projected, faces, _SIDE, _SIDE)
        xy = projected[0, :, :2].numpy()
        column, row = np.clip(xy.astype(int), 0, _SIDE - 1).T
        nearest = torch.where(raster.covered[0], raster.depth[0], -1e3).numpy()
        around = cv2.dilate(nearest, np.ones((3, 3), np.uint8))
        front = projected[0, :, 2].numpy() <= around[row, column] + _BEHIND
        facing = -vertex_normals(vertices[None], faces)[0, :, 2].numpy()
        weight = np.clip((facing - _GRAZING) / (_FACING - _GRAZING), 0, 1) * front
        weight = weight * np.clip((square.depth_in_mask[row, column] - _BORDER) / (_INSIDE - _BORDER), 0, 1)
        within = ((xy > 1) & (xy < _SIDE - 2)).all(1)
        return View(square, xy, raster, weight * within)


@dataclass(frozen=True)
class SkinColours:
    """The colours of V vertices."""

    rgb: Float[np.ndarray, "V 3"]
    """0 to 255."""
    known: Float[np.ndarray, "V"]
    """How well they were seen [0, 1]."""

    @staticmethod
    def of(views: Sequence[View]) -> "SkinColours":
        """The robust mean over pictures of one person."""
        weight = np.stack([view.weight for view in views])
        shown = np.stack([_sample(view.square.rgb, view.xy) for view in views])
        total = weight.sum(0)
        mean = _weighted_mean(shown, weight)
        for _ in range(3):
            apart = np.abs(shown - mean).mean(-1)
            mean = _weighted_mean(shown, weight / (1 + (apart / _ROBUST) ** 2))
        return SkinColours(mean, np.clip(2 * total, 0, 1))

    def drawn(
        self, raster: Raster, faces: Int64[Tensor, "F 3"]
    ) -> tuple[Float[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"]]:
        """The body in these colours, and where they are known."""
        values = np.concatenate([self.rgb * self.known[:, None], self.known[:, None]], 1)
        picture = interpolate(torch.from_numpy(values).float()[None], faces, raster)[0].numpy()
        known = picture[..., 3]
        return picture[..., :3] / np.maximum(known[..., None], 1e-3), known > 0.5


@dataclass(frozen=True)
class Disagreement:
    """Where the vertices of a view belong according to its picture."""

    target: Float[Tensor, "V 2"]
    """[px of the picture]"""
    weight: Float[Tensor, "V"]
    """[0, 1]"""


def disagreement(view: View, skin: SkinColours, faces: Int64[Tensor, "F 3"], farthest: float) -> Disagreement:
    """Compare the drawn skin with the picture.

    Args:
        view: A body in its picture.
        skin: What it should show.
        faces: The body's.
        farthest: Longer movements are not believed [px of the square].
    """
    square = view.square
    drawn, known = skin.drawn(view.raster, faces)
    both = (known & square.person).astype(np.float32)
    lit = _in_the_light_of(square.rgb, drawn, both)
    lit = np.where(known[..., None], lit, square.rgb)
    start, end = (cv2.cvtColor(picture.astype(np.uint8), cv2.COLOR_RGB2GRAY) for picture in (lit, square.rgb))
    empty = np.zeros((*start.shape, 2), np.float32)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(start, end, empty)
    row, column = np.mgrid[:_SIDE, :_SIDE].astype(np.float32)
    moved = cv2.remap(end, column + flow[..., 0], row + flow[..., 1], cv2.INTER_LINEAR)
    before, after = (cv2.blur(cv2.absdiff(start, other) * both, (9, 9)) for other in (end, moved))
    steps = cv2.Sobel(start, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(start, cv2.CV_32F, 0, 1) ** 2
    contrast = np.sqrt(cv2.GaussianBlur(steps * both, (0, 0), _NEAR)) / 8
    believed = both * np.clip(contrast / _CONTRAST, 0, 1) * (after < before + 0.3)
    apart = _sample(flow, view.xy)
    weight = _sample(believed, view.xy) * view.weight * (np.linalg.norm(apart, axis=1) < farthest)
    return Disagreement(square.to_picture(view.xy + apart), torch.from_numpy(weight).float())


def _in_the_light_of(
    picture: Float[np.ndarray, "H W 3"], drawn: Float[np.ndarray, "H W 3"], both: Float[np.ndarray, "H W"]
) -> Float[np.ndarray, "H W 3"]:
    """The drawing, as bright and as coloured around every place as the picture is there."""
    small = (_SIDE // _QUARTER, _SIDE // _QUARTER)
    means = []
    for colours in (picture, drawn):
        summed = cv2.resize(np.dstack([colours * both[..., None], both]), small, interpolation=cv2.INTER_AREA)
        summed = cv2.GaussianBlur(summed, (0, 0), _LIGHT / _QUARTER)
        means.append(summed[..., :3] / (summed[..., 3:] + 1e-3) + 8)
    gain = cv2.resize(np.clip(means[0] / means[1], 0.5, 2), (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
    lit: np.ndarray = np.clip(drawn * gain, 0, 255)
    return lit


def _weighted_mean(values: Float[np.ndarray, "T V 3"], weight: Float[np.ndarray, "T V"]) -> Float[np.ndarray, "V 3"]:
    mean: np.ndarray = np.einsum("tv,tvc->vc", weight, values) / np.maximum(weight.sum(0), 1e-6)[:, None]
    return mean


def _sample(picture: Float[np.ndarray, "H W *C"], xy: Float[np.ndarray, "V 2"]) -> Float[np.ndarray, "V *C"]:
    """Bilinear, at pixel centres +0.5; cv2 takes at most 32767 places in a row."""
    place = (xy - 0.5).astype(np.float32)
    sampled: np.ndarray = cv2.remap(
        picture, place[:, None, 0], place[:, None, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )[:, 0]
    return sampled
