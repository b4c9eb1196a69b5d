"""The shadow that a person casts on the ground: it goes with the person."""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from liquidwarp.flow.poisson import membrane

__all__ = ["foot_shadow"]

_FEET = 0.1
"""How much of the hole's height, from below, is where a person touches the ground."""
_REACH = (0.22, 0.07)
"""How far a shadow is looked for, sideways and up or down, in heights of the hole."""
_DARKER = 0.06
"""A shadow is at least this much darker than the ground around."""
_TINTED = 0.15
"""A shadow's channels are darkened alike; what differs more between them is a thing."""
_WORKING_SIZE = 256


def foot_shadow(image: Float[np.ndarray, "H W 3"], hole: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Where the ground beside the feet is darker than further away, connected to the hole.

    Args:
        image: RGB in [0, 1]; the person is in the hole.
        hole: True = the person and a margin.
    """
    full = hole.shape
    factor = min(1.0, _WORKING_SIZE / max(full))
    size = (max(8, round(full[1] * factor)), max(8, round(full[0] * factor)))
    small_hole = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    share = (~small_hole).astype(np.float32)
    small = cv2.resize(image.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    rows = np.flatnonzero(small_hole.any(1))
    if len(rows) == 0 or small_hole.all():
        return np.zeros_like(hole)
    tall = int(rows[-1] - rows[0] + 1)
    feet = small_hole & (np.arange(size[1])[:, None] > rows[-1] - _FEET * tall)
    width, height = (2 * round(reach * tall) + 1 for reach in _REACH)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, height))
    zone = cv2.dilate(feet.astype(np.uint8), around) > 0
    rim = (cv2.dilate(zone.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0) & ~zone & ~small_hole
    if not rim.any():
        return np.zeros_like(hole)
    weight = cv2.GaussianBlur(share, (0, 0), 1.5)
    soft = cv2.GaussianBlur(small * share[..., None], (0, 0), 1.5) / np.maximum(weight, 1e-3)[..., None]
    expected = membrane(soft.astype(np.float32), zone | small_hole)
    ratio = (soft + 0.02) / (expected + 0.02)
    # On ground with a pattern only what is darker than the pattern is a shadow.
    pattern = float((np.abs(soft - cv2.blur(soft, (9, 9))) / (soft + 0.02))[rim].mean())
    dark = zone & ~small_hole & (ratio.max(-1) < 1 - max(_DARKER, 2 * pattern)) & (np.ptp(ratio, -1) < _TINTED)
    _, label = cv2.connectedComponents((dark | feet).astype(np.uint8))
    touching = np.unique(label[feet])
    shadow = dark & np.isin(label, touching[touching > 0])
    grown = cv2.dilate(shadow.astype(np.uint8), np.ones((7, 7), np.uint8)) * (zone | small_hole)
    return cv2.resize(grown.astype(np.float32), (full[1], full[0])) > 0.3
