"""What a person holds or wears that the matte has missed: on a plain background it stands out."""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from liquidwarp.flow.place.poisson import membrane

__all__ = ["attached_things"]

_REACH = 0.22
"""How far from the person things are looked for, in heights of the hole; what goes on beyond is not held."""
_DIFFERENT = (0.1, 4.0)
"""A thing differs from the plain background by this much [RGB, 0..1], and by this many times its roughness."""
_PLAIN = 0.03
"""Rougher backgrounds [RGB, 0..1] are not plain: there nothing can be told."""
_SMALLEST = 0.002
"""Area of a thing in squared heights of the hole."""
_GROUND = 0.2
"""What touches the person only in this lowest part of the hole's height lies on the ground and stays."""
_WORKING_SIZE = 256


def attached_things(
    image: Float[np.ndarray, "H W 3"], hole: Bool[np.ndarray, "H W"], useless: Bool[np.ndarray, "H W"] | None = None
) -> Bool[np.ndarray, "H W"]:
    """Islands on a plain background that touch the person above the ground, such as a bag in a hand or a hat.

    Args:
        image: RGB in [0, 1]; the person is in the hole.
        hole: True = the person and a margin.
        useless: True = not part of the photo.
    """
    full = hole.shape
    factor = min(1.0, _WORKING_SIZE / max(full))
    size = (max(8, round(full[1] * factor)), max(8, round(full[0] * factor)))
    small_hole = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    nothing = np.zeros_like(hole)
    rows = np.flatnonzero(small_hole.any(1))
    if len(rows) == 0:
        return nothing
    outside = np.zeros_like(small_hole)
    if useless is not None:
        outside = (cv2.resize(useless.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0) & ~small_hole
    low, tall = int(rows[-1]), int(rows[-1] - rows[0] + 1)
    zone = _grown(small_hole, round(_REACH * tall))
    rim = _grown(zone, max(2, round(0.08 * tall))) & ~zone & ~outside
    if rim.sum() < 0.2 * tall:
        return nothing
    share = (~small_hole).astype(np.float32)
    small = cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    weight = cv2.GaussianBlur(share, (0, 0), 1.0)
    soft = (cv2.GaussianBlur(small * share[..., None], (0, 0), 1.0) / np.maximum(weight, 1e-3)[..., None]).astype(
        np.float32
    )
    even = cv2.GaussianBlur(soft, (0, 0), max(2.0, 0.04 * tall))
    rough = float(np.percentile(np.abs(soft - even).max(-1)[rim], 80))
    if rough > _PLAIN:
        return nothing
    expected = membrane(soft, zone | small_hole, outside)
    different = np.abs(soft - expected).max(-1) > max(_DIFFERENT[0], _DIFFERENT[1] * rough)
    candidates = zone & ~small_hole & ~outside & different
    _, label = cv2.connectedComponents(candidates.astype(np.uint8), connectivity=4)
    held = small_hole & (np.arange(size[1])[:, None] < low - _GROUND * tall)
    edge = rim | outside
    edge[0], edge[-1], edge[:, 0], edge[:, -1] = True, True, True, True
    beyond = np.unique(label[_grown(edge, 1)])
    found = np.isin(label, np.setdiff1d(np.unique(label[_grown(held, 2)]), np.append(beyond, 0)))
    if found.sum() < _SMALLEST * tall**2:
        return nothing
    around = cv2.resize(_grown(found, 2).astype(np.float32), (full[1], full[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(around > 0.3)


def _grown(mask: Bool[np.ndarray, "H W"], pixels: int) -> Bool[np.ndarray, "H W"]:
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), ellipse) > 0)
