"""Other people in a photo: where they are, and who stands before whom, so that they can be left alone.

People who overlap hide each other from the detector, so it looks again and again with everybody painted over who was
found so far.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from liquidwarp.recover.detection.landmarks import Pose
from liquidwarp.recover.mattes.matte import CoarseMask, refined_edge

__all__ = ["Company", "find_company", "paint_over"]

_MOST = 4
"""So many others at most: further ones are far from the person, or a crowd."""
_WINDOW = 2.0
"""Others are looked for in a window that reaches this many longer sides of the person to each side of the middle."""
_SMALLEST = 0.02
"""Somebody of whom less is seen than this share of the person is not told from a mistake."""
_NEW = 0.2
"""A find counts if this share of it was not painted over: else the paint itself was taken for a person."""
_COVERS = 0.04
"""Who hides this share of the fitted body stands before it."""
_INSIDE = 0.02
"""So far inside of the fitted body's outline it counts [heights of the person]: outlines err."""
_LOOSE = 0.03
"""So far around the fitted body clothes are the person's own [heights of the person]."""
_NEARER = 0.02
"""Feet so much lower in the picture stand nearer to the camera [heights of the person]."""
_FEET = (27, 28, 29, 30, 31, 32)
"""Ankles, heels and toes among the landmarks."""
_SEEN = 0.5
"""A foot that is less visible does not count."""
_SURE = 0.9
"""What belongs to the person with this probability is nobody else's."""
_SMEAR = 0.03
"""How far a place that is painted over takes its colours from [sides of the picture]."""
_SMEAR_SIDE = 512
"""Larger pictures are reduced to this for it [px]."""

Look = Callable[[UInt8[np.ndarray, "H W 3"]], list[Pose]]
"""Finds the people in a picture."""


@dataclass(frozen=True)
class Company:
    """The other people in a photo."""

    opacity: Float[np.ndarray, "H W"]
    """Of all of them [0, 1]."""
    front: Float[np.ndarray, "H W"]
    """Of those who stand before the person."""


def find_company(
    look: Look, rgb: UInt8[np.ndarray, "H W 3"], person: CoarseMask, body: Bool[np.ndarray, "H W"]
) -> Company | None:
    """Find the others near a person.

    Args:
        look: Finds people in a picture, such as ``PersonDetector.detect_people``.
        rgb: The photo.
        person: Where the person is.
        body: Where the fitted body is, also where somebody hides it.

    Returns:
        None if nobody is there.
    """
    rows, columns = _window(person.probability > 0.5)
    # A mask may take in a neighbour; the fitted body does not.
    own = (person.probability * _near(body))[rows, columns]
    picture = rgb[rows, columns]
    hidden = own > 0.5
    area = hidden.sum()
    size = (picture.shape[1], picture.shape[0])
    everybody, front = np.zeros(rgb.shape[:2], np.float32), np.zeros(rgb.shape[:2], np.float32)
    for _ in range(_MOST):
        found = []
        for pose in look(paint_over(picture, hidden)):
            mask = pose.soft_mask(size, size)
            new = np.where(hidden | (own > _SURE), 0, mask)
            if (new > 0.5).sum() > max(_SMALLEST * area, _NEW * (mask > 0.5).sum()):
                found.append((pose, new.astype(np.float32)))
        if not found:
            break
        for pose, mask in found:
            hidden = hidden | (mask > 0.5)
            opacity = np.zeros(rgb.shape[:2], np.float32)
            opacity[rows, columns] = refined_edge(picture, CoarseMask(mask, pose.region.side / len(pose.mask_logits)))
            everybody = np.maximum(everybody, opacity)
            if _is_before(pose, rows.start, opacity, body):
                front = np.maximum(front, opacity)
    return Company(everybody, front) if everybody.max() > 0.5 else None


def paint_over(rgb: UInt8[np.ndarray, "H W 3"], hidden: Bool[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with a place smeared away: the far surroundings' colours, without edges.

    Args:
        rgb: The picture.
        hidden: The place.
    """
    if not hidden.any():
        return rgb
    grown = cv2.dilate(hidden.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    known = (~grown).astype(np.float32)
    mean = rgb[~grown].mean(0, dtype=np.float32) if (~grown).any() else np.float32(127)
    weight, colours = _smeared(known)[..., None], _smeared(rgb * known[..., None])
    return np.where(grown[..., None], np.rint((colours + 1e-3 * mean) / (weight + 1e-3)), rgb).astype(np.uint8)


def _smeared(image: Float[np.ndarray, "H W *C"]) -> Float[np.ndarray, "H W *C"]:
    """A wide blur, made in a small picture: its cost grows with the cube of the side."""
    height, width = image.shape[:2]
    factor = min(1.0, _SMEAR_SIDE / max(height, width))
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    reduced = image if factor == 1 else cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(reduced, (0, 0), _SMEAR * max(height, width) * factor)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR))


def _near(body: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """The body and a little around it."""
    radius = max(1, round(_LOOSE * _height(body)))
    return cv2.dilate(body.astype(np.uint8), np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)) > 0


def _height(body: Bool[np.ndarray, "H W"]) -> int:
    rows = np.flatnonzero(body.any(1))
    return int(rows[-1] - rows[0] + 1) if len(rows) else 0


def _window(person: Bool[np.ndarray, "H W"]) -> tuple[slice, slice]:
    """Rows and columns around the person."""
    inside = [np.flatnonzero(person.any(axis)) for axis in (1, 0)]
    reach = _WINDOW * max(float(np.ptp(along)) for along in inside)
    middle = [float(along[0] + along[-1]) / 2 for along in inside]
    rows, columns = (
        slice(max(0, int(centre - reach)), min(length, int(centre + reach)))
        for centre, length in zip(middle, person.shape, strict=True)
    )
    return rows, columns


def _is_before(pose: Pose, top: int, opacity: Float[np.ndarray, "H W"], body: Bool[np.ndarray, "H W"]) -> bool:
    """Whether somebody stands before the person: hides the body, or has the feet nearer to the camera."""
    height = _height(body)
    if height == 0:
        return False
    radius = max(1, round(_INSIDE * height))
    inner = cv2.erode(body.astype(np.uint8), np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)) > 0
    if ((opacity > 0.5) & inner).sum() > _COVERS * max(1, inner.sum()):
        return True
    feet = [float(pose.xy[foot, 1]) + top for foot in _FEET if pose.visibility[foot] > _SEEN]
    return bool(feet) and max(feet) > float(np.flatnonzero(body.any(1))[-1]) + _NEARER * height
