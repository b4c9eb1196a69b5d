"""Somebody large and plain to see whom the finder does not believe in: an unusual pose, hard light, half a body.

The finder's doubtful hints are followed by the landmark network, which is surer than the finder but takes any shape for
a person. Where many different hints lead to one and the same body, and the finder half believes in it from many sides,
somebody is there. Cats and birds attract hints, but are not believed; patterns are believed once, but attract none.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from liquidwarp.recover.detection.landmarks import PeopleFinder, Pose
from liquidwarp.recover.detection.regions import Region
from liquidwarp.recover.tracking.follow import is_near

__all__ = ["HINT", "belief_in_close_up", "overlooked"]

HINT = 0.2
"""Least score of a hint [0, 1]."""
_MOST_HINTS = 60
"""Only the best are followed, so that a picture without people does not take minutes."""
_ALIKE = 0.15, 0.3
"""Two bodies are one if their middles (in sides of the region) and sizes (logarithm) are this near,"""
_PARALLEL = 0.5
"""and they are turned alike to within this [rad]."""
_AGREEING = 8
"""So many hints lead to somebody who is there; to a cat as many, so this is not enough."""
_SIDES, _TURNS = (1.0, 1.3, 1.6, 2.0, 2.5), (-0.26, 0.0, 0.26)
"""Second looks: sides of the square in sides of the body's region, and turns [rad]; each also mirrored."""
_FOUND_AGAIN = 0.2, 0.5
"""In a second look the middle and the size may differ this much."""
_BELIEF = 0.12
"""Least mean score of all second looks. The man whose photo led here has 0.21, of the shapes to which many hints lead
none more than 0.06."""
_SMALLEST = 0.3
"""Of the picture's longer side; who is smaller is not plain to see."""
_CLOSE_UP_VIEWS = ((0.0, 0.0, 1.0), (0.06, 0.0, 1.12), (-0.06, 0.0, 1.12), (0.0, -0.1, 1.25), (0.0, 0.0, 1.5))
"""Second looks at somebody who reaches far out of the picture: shift to the right and down, and side of the square, in
longer sides of the picture; each also mirrored."""
_FOUND_CLOSE = 0.35, 0.9
"""In these the middle and the size may differ this much: both are a guess."""


def overlooked(
    rgb: UInt8[np.ndarray, "H W 3"],
    hints: PeopleFinder,
    settle: Callable[[Region], Pose | None],
    views: Sequence[Region],
) -> Pose | None:
    """Look for one large person in whom the finder does not believe.

    Args:
        rgb: The picture.
        hints: The finder with the threshold ``HINT``.
        settle: The pose that a roughly placed region leads to; None if nobody is there.
        views: Parts of the picture in which hints are looked for.
    """
    found = sorted((hint for view in views for hint in hints(rgb, view)), key=lambda hint: -hint.score)
    followed = [settle(hint.region) for hint in found[:_MOST_HINTS]]
    least = _SMALLEST * max(rgb.shape[:2])
    poses = [pose for pose in followed if pose is not None and pose.height >= least]
    agreeing = [sum(_alike(pose.next_region, other) for other in poses) for pose in poses]
    if max(agreeing, default=0) < _AGREEING:
        return None
    middle = poses[int(np.argmax(agreeing))].next_region
    if _belief(rgb, hints, middle) < _BELIEF:
        return None
    return max((pose for pose in poses if _alike(middle, pose)), key=_seen)


def _alike(region: Region, pose: Pose) -> bool:
    """Whether a pose is in a region, as upright as there."""
    turned = math.remainder(region.angle - pose.next_region.angle, math.tau)
    return is_near(region, pose.next_region, *_ALIKE) and abs(turned) < _PARALLEL


def _seen(pose: Pose) -> float:
    """How much of the body a pose explains."""
    return float(pose.visibility.mean())


def _belief(rgb: UInt8[np.ndarray, "H W 3"], hints: PeopleFinder, region: Region) -> float:
    """How much the finder believes in somebody in a region, looking from many sides [0, 1]."""
    width = float(rgb.shape[1])
    mirrored = np.ascontiguousarray(rgb[:, ::-1])
    scores = []
    for turn in _TURNS:
        turned = replace(region, angle=region.angle + turn)
        for picture, place in ((rgb, turned), (mirrored, replace(turned, x=width - turned.x, angle=-turned.angle))):
            for side in _SIDES:
                seen = hints(picture, replace(place, side=side * place.side))
                again = [hint.score for hint in seen if is_near(place, hint.region, *_FOUND_AGAIN)]
                scores.append(max(again, default=0.0))
    return float(np.mean(scores))


def belief_in_close_up(rgb: UInt8[np.ndarray, "H W 3"], hints: PeopleFinder, region: Region) -> float:
    """How much the finder believes in somebody of whom the picture shows a small part, from many sides [0, 1].

    Args:
        rgb: The picture.
        hints: The finder with the threshold ``HINT``.
        region: Of the whole body, most of it outside of the picture.
    """
    width, height = float(rgb.shape[1]), float(rgb.shape[0])
    longer = max(width, height)
    mirrored = np.ascontiguousarray(rgb[:, ::-1])
    turned = replace(region, x=width - region.x, angle=-region.angle)
    scores = []
    for across, down, side in _CLOSE_UP_VIEWS:
        view = Region(width / 2 + across * longer, height / 2 + down * longer, side * longer)
        for picture, place, look in ((rgb, region, view), (mirrored, turned, replace(view, x=width - view.x))):
            near = [hint.score for hint in hints(picture, look) if is_near(place, hint.region, *_FOUND_CLOSE)]
            scores.append(max(near, default=0.0))
    return float(np.mean(scores))
