"""Square, rotated pieces of a picture: cut out with anti-aliasing, painted back, points carried both ways.

Convention:
    Positions are continuous: pixel centres at +0.5, a picture spans [0, W] x [0, H], a region's unit square spans
    [0, 1] x [0, 1]. OpenCV counts pixel centres as whole numbers; only :func:`resample` translates.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Shaped

__all__ = ["Region", "crop", "paint_back", "region_around", "region_of_circle", "region_of_picture", "resample"]

MAX_SHRINK = 1.5
"""A bilinear kernel may step this many source pixels before it starts to skip some."""


@dataclass(frozen=True)
class Region:
    """A square piece of a picture. Its own "up" is the picture's "up" turned clockwise by ``angle``."""

    x: float
    """Centre [px]."""
    y: float
    """Centre [px]."""
    side: float
    """Length of a side [px]."""
    angle: float = 0.0
    """[rad], clockwise as seen in the picture (x right, y down)."""

    def affine(self, size: int = 1) -> Float[np.ndarray, "2 3"]:
        """The matrix ``image_from_crop`` of a crop of ``size`` x ``size`` pixels."""
        cos, sin = math.cos(self.angle) * self.side, math.sin(self.angle) * self.side
        corner = (self.x - (cos - sin) / 2, self.y - (sin + cos) / 2)
        return np.array([[cos / size, -sin / size, corner[0]], [sin / size, cos / size, corner[1]]])

    def to_image(self, points: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
        """Carry points of the unit square into the picture [px]."""
        matrix = self.affine()
        carried: np.ndarray = points @ matrix[:, :2].T + matrix[:, 2]
        return carried

    def to_unit(self, points: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
        """Carry points of the picture [px] into the unit square."""
        matrix = self.affine()
        carried: np.ndarray = (points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        return carried

    def turn(self, vectors: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
        """Turn the x and y of directions seen in the region into the picture's; further components stay."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        turned: np.ndarray = vectors.copy()
        turned[:, :2] = vectors[:, :2] @ np.array([[cos, sin], [-sin, cos]])
        return turned


def region_of_picture(width: int, height: int, angle: float = 0.0) -> Region:
    """The smallest square that holds a whole picture (a letterbox), upright or turned by a quarter or half."""
    return Region(width / 2, height / 2, float(max(width, height)), angle)


def region_of_circle(centre: Float[np.ndarray, "2"], top: Float[np.ndarray, "2"], scale: float) -> Region:
    """The square around a circle.

    Args:
        centre: Centre of the circle [px].
        top: Its highest point as the person stands [px]; this gives radius and angle.
        scale: Side of the square in diameters.
    """
    dx, dy = (top - centre).tolist()
    return Region(float(centre[0]), float(centre[1]), 2 * scale * math.hypot(dx, dy), math.atan2(dx, -dy))


def region_around(points: Float[np.ndarray, "N 2"], up: Float[np.ndarray, "2"], scale: float) -> Region:
    """The square around points, turned so that the direction ``up`` points upward in it.

    Args:
        points: [px].
        up: A direction in the picture, any length.
        scale: Side of the square in lengths of the points' longer extent.
    """
    angle = math.atan2(float(up[0]), -float(up[1]))
    upright = Region(0.0, 0.0, 1.0, angle)
    turned = Region(0.0, 0.0, 1.0, -angle).turn(points)
    low, high = turned.min(0), turned.max(0)
    centre = upright.turn((low + high)[None] / 2)[0]
    return Region(float(centre[0]), float(centre[1]), float((high - low).max()) * scale, angle)


def resample(
    image: Shaped[np.ndarray, "..."], image_from_output: Float[np.ndarray, "2 3"], size: tuple[int, int]
) -> Shaped[np.ndarray, "..."]:
    """Sample an image on an affine grid without aliasing; outside of the image lies 0.

    Convention:
        See the head of this file.

    Args:
        image: (H, W) or (H, W, C), uint8 or float32.
        image_from_output: Where in the image [px] a position of the output [px] comes from.
        size: (width, height) of the output [px].

    Returns:
        The output in the image's type. Steps of more than MAX_SHRINK pixels are averaged over their area first.
    """
    matrix = image_from_output.copy()
    step = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
    if step > MAX_SHRINK:
        height, width = image.shape[:2]
        corners = (
            np.array([[0, 0], [size[0], 0], [0, size[1]], size], dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]
        )
        margin = 2 * step
        left, top = np.clip(np.floor(corners.min(0) - margin), 0, (width, height)).astype(int)
        right, bottom = np.clip(np.ceil(corners.max(0) + margin), 0, (width, height)).astype(int)
        if right <= left or bottom <= top:
            return np.zeros((size[1], size[0], *image.shape[2:]), image.dtype)
        small = (math.ceil((right - left) / step), math.ceil((bottom - top) / step))
        image = cv2.resize(image[top:bottom, left:right], small, interpolation=cv2.INTER_AREA)
        shrink = np.array([small[0] / (right - left), small[1] / (bottom - top)])
        matrix[:, 2] -= (left, top)
        matrix *= shrink[:, None]
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # from continuous positions to OpenCV's pixel indices
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def crop(image: Shaped[np.ndarray, "..."], region: Region, size: int) -> Shaped[np.ndarray, "..."]:
    """Cut a region out of a picture as ``size`` x ``size`` pixels; black outside of the picture."""
    return resample(image, region.affine(size), (size, size))


def paint_back(
    values: Float[np.ndarray, "S S"], region: Region, picture_size: tuple[int, int], size: tuple[int, int]
) -> Float[np.ndarray, "H W"]:
    """Undo :func:`crop`: values of a region on the picture's own grid, 0 outside of the region.

    Args:
        values: Values on the region's grid.
        region: Where it lies in the picture.
        picture_size: (width, height) of the picture [px].
        size: (width, height) of the result: the picture's own or a smaller or larger grid over it.
    """
    image_from_crop = np.vstack([region.affine(values.shape[0]), [0.0, 0.0, 1.0]])
    scale = np.diag([picture_size[0] / size[0], picture_size[1] / size[1], 1.0])
    return resample(values.astype(np.float32), (np.linalg.inv(image_from_crop) @ scale)[:2], size)
