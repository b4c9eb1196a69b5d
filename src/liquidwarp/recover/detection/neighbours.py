"""Whose a pixel is where people stand close together: the network's mask of one of them takes in the others.

What lies near somebody's landmarks is that person's. It is all that is painted over when others are looked for, so that
a mask that takes in a neighbour does not hide the neighbour; and of two masks the one with the nearer body wins.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from liquidwarp.recover.detection.landmarks import Pose

__all__ = ["is_same", "others_place", "own_place", "to_body"]

_NEAR = 0.12
"""So far around the body, as its landmarks tell it, clothes and hair are surely the person's own [m]."""
_CLEARLY = 0.04
"""Where one of two bodies is no more than this nearer, the surer mask wins: a hand lies on somebody's hip [m]."""
_APART = 0.17
"""Heads and shoulders that are farther apart than this are two people's [m]."""
_HEAD_AND_SHOULDERS = (0, 2, 5, 7, 8, 11, 12)
_NOSE, _EARS, _SHOULDERS, _TRUNK = 0, (7, 8), (11, 12), (11, 12, 24, 23)
_HEAD_RADIUS, _NECK_RADIUS, _TRUNK_RADIUS = 0.13, 0.07, 0.06
"""Of the body around the middle between nose and ears, the neck, and the shoulders and hips [m]."""
_LIMBS = (
    (11, 13, 0.06),
    (12, 14, 0.06),
    (13, 15, 0.05),
    (14, 16, 0.05),
    (15, 19, 0.05),
    (16, 20, 0.05),
    (23, 25, 0.10),
    (24, 26, 0.10),
    (25, 27, 0.07),
    (26, 28, 0.07),
    (27, 31, 0.05),
    (28, 32, 0.05),
)
"""Two landmarks and the radius of the limb between them [m]."""
_SEEN = 0.3
"""A limb between landmarks less visible than this is a guess and claims nothing."""
_FAR = 100.0
"""Instead of an infinite distance [m]."""


def is_same(first: Pose, second: Pose) -> bool:
    """Whether two finds are one person: the same head and shoulders."""
    points = list(_HEAD_AND_SHOULDERS)
    apart = np.linalg.norm(first.xy[points] - second.xy[points], axis=1).mean()
    return bool(apart < _APART * min(_pixels_per_metre(first), _pixels_per_metre(second)))


def own_place(pose: Pose, picture_size: tuple[int, int], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """What of a person's mask is surely the person's own, on a grid of ``size`` (width, height) over the picture."""
    return np.asarray((pose.soft_mask(picture_size, size) > 0.5) & (to_body(pose, picture_size, size) < _NEAR))


def others_place(
    pose: Pose, others: list[Pose], picture_size: tuple[int, int], size: tuple[int, int]
) -> Bool[np.ndarray, "H W"]:
    """Where other people are seen and not this person.

    Args:
        pose: The person.
        others: Everybody else.
        picture_size: (width, height) [px].
        size: The same of the grid over the picture on which the answer lies.
    """
    mask, away = pose.soft_mask(picture_size, size), to_body(pose, picture_size, size)
    place = np.zeros(mask.shape, bool)
    for other in others:
        mask_of_other, away_of_other = other.soft_mask(picture_size, size), to_body(other, picture_size, size)
        nearer = away - away_of_other
        theirs = np.where(np.abs(nearer) < _CLEARLY, mask_of_other > mask, nearer > 0)
        place |= (mask_of_other > 0.5) & (theirs | (mask <= 0.5))
    return place


def to_body(pose: Pose, picture_size: tuple[int, int], size: tuple[int, int]) -> Float[np.ndarray, "H W"]:
    """How far each cell of a grid over the picture is from the body around the landmarks [m]; 0 on the body."""
    width, height = size
    shrink = np.array(size) / np.array(picture_size)
    xy, per_metre = pose.xy * shrink, _pixels_per_metre(pose) * float(shrink.mean())
    least = np.full((height, width), _FAR, np.float32)

    def add(points: Float[np.ndarray, "N 2"], radius: float) -> None:
        drawn = np.ones((height, width), np.uint8)
        # Landmarks beyond the picture may be far away; OpenCV takes whole numbers of 16 bits here.
        corners = np.clip(np.floor(points), -(2**14), 2**14).astype(np.int32)
        cv2.fillConvexPoly(drawn, cv2.convexHull(corners), 0)
        cv2.polylines(drawn, [corners], False, 0)
        if not drawn.all():
            away = cv2.distanceTransform(drawn, cv2.DIST_L2, 5) / per_metre - radius
            np.minimum(least, away, out=least)

    ears, shoulders = xy[list(_EARS)].mean(0), xy[list(_SHOULDERS)].mean(0)
    add(xy[list(_TRUNK)], _TRUNK_RADIUS)
    add(((ears + xy[_NOSE]) / 2)[None], _HEAD_RADIUS)
    add(np.stack([ears, shoulders]), _NECK_RADIUS)
    for start, end, radius in _LIMBS:
        if min(pose.visibility[start], pose.visibility[end]) >= _SEEN:
            add(xy[[start, end]], radius)
    return np.maximum(least, 0)


def _pixels_per_metre(pose: Pose) -> float:
    """Regress the places in the picture on those in space, visible landmarks first."""
    share = (pose.visibility + 1e-3) / (pose.visibility + 1e-3).sum()
    flat = pose.world[:, :2] - share @ pose.world[:, :2]
    image = pose.xy - share @ pose.xy
    return max(1e-3, float((share[:, None] * flat * image).sum() / max((share[:, None] * flat**2).sum(), 1e-9)))
