"""Landmarks of hands and face, on regions that the pose gives: no palm or face detector is needed.

Zhang et al. 2020, "MediaPipe Hands"; Kartynnik et al. 2019, "Real-time Facial Surface Geometry from Monocular Video
on Mobile GPUs".
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8

from liquidwarp.recover.detection.detections import BODY_LANDMARKS
from liquidwarp.recover.detection.landmarks import Network, Pose, sigmoid
from liquidwarp.recover.detection.regions import Region, crop, region_around

__all__ = ["Face", "FaceNetwork", "Hand", "HandNetwork"]

HAND_SIZE = 224
"""Side of the picture that the network of hands looks at [px],"""
FACE_SIZE = 192
"""and that of faces."""
HAND_MARGIN = 1.7
"""Side of a hand's region in lengths of its landmarks' extent."""
FACE_MARGIN = 1.5
"""The same of a face's."""
MIN_REGION = 20.0
"""A hand or face whose region is smaller [px] is not looked at: the networks only guess then."""
MIN_VISIBILITY = 0.3
"""A wrist less visible than this has no hand worth a look."""
FIRST_LOOKS = (0.65, 0.9)
"""Sizes of the region to try, as shares of the widest: a close look finds most hands, a wide one those spread out."""
GIVE_UP = 0.2
"""Below this score a second look at a better placed region does not help."""
KEEP = 0.5
"""From this score on a hand is followed from frame to frame."""

_INDEX = {name: index for index, name in enumerate(BODY_LANDMARKS)}
_SIDES = ("left", "right")


@dataclass(frozen=True)
class Hand:
    """One hand."""

    xy: Float[np.ndarray, "21 2"]
    """[px]."""
    world: Float[np.ndarray, "21 3"]
    """[m], OpenCV axes, origin within the hand."""
    score: float
    """[0, 1]."""
    right: float
    """How sure the network is that this is a right hand [0, 1]."""

    @property
    def size(self) -> float:
        """The longer extent [px]."""
        return float(np.ptp(self.xy, axis=0).max())


@dataclass(frozen=True)
class Face:
    """The face."""

    xy: Float[np.ndarray, "468 2"]
    """[px]."""
    score: float
    """[0, 1]."""


class HandNetwork:
    """21 landmarks of each hand of a person whose pose is known."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(
        self, image: UInt8[np.ndarray, "H W 3"], pose: Pose, previous: tuple[Hand | None, Hand | None] = (None, None)
    ) -> tuple[Hand | None, Hand | None]:
        """Find the (left, right) hand.

        Args:
            image: The picture.
            pose: The person's pose in it.
            previous: The hands in the frame before; a hand that was surely seen there needs one look instead of two.

        Returns:
            None for a hand that is hidden, outside of the picture, too small or not found.
        """
        left, right = (self._find(image, pose, side, hand) for side, hand in zip(_SIDES, previous, strict=True))
        if left is None or right is None or not _same_place(left, right):
            return left, right
        # Both regions hold one and the same hand: it belongs to the side that the network names.
        return (None, right) if left.right + right.right > 1 else (left, None)

    def _find(self, image: UInt8[np.ndarray, "H W 3"], pose: Pose, side: str, previous: Hand | None) -> Hand | None:
        wrist = _INDEX[f"{side}_wrist"]
        first = hand_region(pose, side)
        if pose.visibility[wrist] < MIN_VISIBILITY or first.side < MIN_REGION or not _inside(pose.xy[wrist], image):
            return None
        if previous is not None and previous.score >= KEEP:
            followed = _follow(previous)
            if math.dist((followed.x, followed.y), (first.x, first.y)) < 0.35 * first.side:
                hand = self._look(image, followed)
                if hand.score >= KEEP and _plausible(hand, pose, side):
                    return hand
        tried = []
        for share in FIRST_LOOKS:
            hand = self._look(image, replace(first, side=share * first.side))
            if hand.score >= GIVE_UP:
                again = self._look(image, _follow(hand))
                hand = again if again.score > hand.score else hand
            if _plausible(hand, pose, side):
                tried.append(hand)
                if hand.score >= KEEP:
                    break
        return max(tried, key=lambda found: found.score, default=None)

    def _look(self, image: UInt8[np.ndarray, "H W 3"], region: Region) -> Hand:
        pixels = crop(image, region, HAND_SIZE).astype(np.float32) / 255
        flat, score, right, world = self._network(pixels[None])
        return Hand(
            xy=region.to_image(flat.reshape(21, 3)[:, :2].astype(np.float64) / HAND_SIZE),
            world=region.turn(world.reshape(21, 3)),
            score=float(score.ravel()[0]),
            right=float(right.ravel()[0]),
        )


def hand_region(pose: Pose, side: str) -> Region:
    """The square in which a hand is to be looked for, from the wrist and the knuckles of the pose."""
    wrist, elbow, index, pinky = (pose.xy[_INDEX[f"{side}_{name}"]] for name in ("wrist", "elbow", "index", "pinky"))
    knuckles = (2 * index + pinky) / 3
    up = knuckles - wrist
    length = math.hypot(*up)
    reach = max(length, 0.35 * math.dist(wrist, elbow))  # a hand that points at the camera looks short
    centre = knuckles + up / max(length, 1e-6) * 0.27 * reach
    return Region(float(centre[0]), float(centre[1]), 4 * reach, math.atan2(up[0], -up[1]))


def _follow(hand: Hand) -> Region:
    """The region that a hand's own landmarks ask for: the middle finger up."""
    knuckles = hand.xy[9] / 2 + (hand.xy[5] + hand.xy[13]) / 4
    return region_around(hand.xy, knuckles - hand.xy[0], HAND_MARGIN)


def _plausible(hand: Hand, pose: Pose, side: str) -> bool:
    """Whether the hand starts near the pose's wrist; else the network saw another hand, or none."""
    return math.dist(hand.xy[0], pose.xy[_INDEX[f"{side}_wrist"]]) < max(hand.size, 0.25 * hand_region(pose, side).side)


def _same_place(left: Hand, right: Hand) -> bool:
    apart = float(np.linalg.norm(left.xy - right.xy, axis=1).mean())
    return apart < 0.25 * max(left.size, right.size)


def _inside(point: Float[np.ndarray, "2"], image: UInt8[np.ndarray, "H W 3"]) -> bool:
    return bool(0 <= point[0] <= image.shape[1] and 0 <= point[1] <= image.shape[0])


class FaceNetwork:
    """468 landmarks of the face of a person whose pose is known."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, image: UInt8[np.ndarray, "H W 3"], pose: Pose) -> Face | None:
        """Find the face; None where it is outside of the picture or too small."""
        region = face_region(pose)
        if region.side < MIN_REGION or not _inside(np.array([region.x, region.y]), image):
            return None
        first = self._look(image, region)
        return self._look(image, region_around(first.xy, first.xy[10] - first.xy[152], FACE_MARGIN))

    def _look(self, image: UInt8[np.ndarray, "H W 3"], region: Region) -> Face:
        flat, score = self._network(crop(image, region, FACE_SIZE).astype(np.float32)[None] / 255)
        xy = region.to_image(flat.reshape(468, 3)[:, :2].astype(np.float64) / FACE_SIZE)
        return Face(xy, float(sigmoid(score.ravel())[0]))


def face_region(pose: Pose) -> Region:
    """The square in which the face is to be looked for, from the pose's eyes, ears and mouth."""
    points = {name: pose.xy[index] for name, index in _INDEX.items()}
    eyes = (points["left_eye"] + points["right_eye"]) / 2
    up = eyes - (points["mouth_left"] + points["mouth_right"]) / 2
    size = max(
        math.hypot(*up),
        math.dist(points["left_eye"], points["right_eye"]),
        0.5 * math.dist(points["left_ear"], points["right_ear"]),
    )
    centre = eyes - 0.35 * up
    return Region(float(centre[0]), float(centre[1]), 4.2 * size, math.atan2(up[0], -up[1]))
