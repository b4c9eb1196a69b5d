"""From what the networks saw in single frames to :class:`Detections`; little memory per frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from liquidwarp.recover.detection.detections import BODY_LANDMARKS, Detections, PackedMasks
from liquidwarp.recover.detection.hands_face import Face, Hand
from liquidwarp.recover.detection.landmarks import Pose

__all__ = ["Sighting", "collect", "faces_away", "largest_component", "mask_size", "sighting"]

MASK_SIDE = 384
"""Longer side of the masks [px]."""
UNSURE_FACE = 0.5
"""A back of the head has a face score below this."""
HIDDEN = 0.1
"""Visibility that a facial landmark gets when the face cannot be seen."""

_INDEX = {name: index for index, name in enumerate(BODY_LANDMARKS)}
_FACIAL = [index for name, index in _INDEX.items() if "eye" in name or "mouth" in name or name == "nose"]


@dataclass(frozen=True)
class Sighting:
    """One person in one frame."""

    xy: Float[np.ndarray, "33 2"]
    """[px]."""
    world: Float[np.ndarray, "33 3"]
    """[m], OpenCV axes, origin between the hips."""
    visibility: Float[np.ndarray, "33"]
    """[0, 1]."""
    hands: tuple[Hand | None, Hand | None]
    """(left, right)."""
    face: Face | None
    mask_bits: UInt8[np.ndarray, "N"]
    """The mask, packed."""


def sighting(pose: Pose, hands: tuple[Hand | None, Hand | None], face: Face | None, size: tuple[int, int]) -> Sighting:
    """Keep of one frame what the fit needs.

    A landmark outside of the picture gets visibility 0. Where the person faces away and no face was found, the
    landmarks of eyes, nose and mouth are guesses and lose their visibility.

    Args:
        pose: The person's pose.
        hands: (left, right) hand.
        face: The face.
        size: (width, height) of the frame [px].
    """
    inside = ((pose.xy >= 0) & (pose.xy <= size)).all(1)
    visibility = np.where(inside, pose.visibility, 0.0)
    if faces_away(pose.world) and (face is None or face.score < UNSURE_FACE):
        visibility[_FACIAL] = np.minimum(visibility[_FACIAL], HIDDEN)
        face = None
    mask = largest_component(pose.soft_mask(size, mask_size(size)) >= 0.5)
    return Sighting(pose.xy, pose.world, visibility, hands, face, np.packbits(mask))


def faces_away(world: Float[np.ndarray, "33 3"], margin: float = 0.3) -> bool:
    """Whether the chest points away from the camera; ``margin`` is the cosine that side views must exceed."""
    left, right = world[_INDEX["left_shoulder"]], world[_INDEX["right_shoulder"]]
    hips = (world[_INDEX["left_hip"]] + world[_INDEX["right_hip"]]) / 2
    forward = np.cross(left - right, (left + right) / 2 - hips)
    return bool(forward[2] > margin * np.linalg.norm(forward))


def mask_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the masks of frames of ``size``: the longer side has ``MASK_SIDE`` px, no side is empty."""
    scale = MASK_SIDE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def largest_component(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """The largest connected part of a mask."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count <= 2:
        return mask
    largest: np.ndarray = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return largest


def collect(sightings: Sequence[Sighting | None], size: tuple[int, int], fps: float) -> Detections:
    """Lay the frames side by side; a frame without a sighting holds zeros.

    Args:
        sightings: One entry a frame.
        size: (width, height) of the frames [px].
        fps: Frames per second; 0 for a photo.
    """
    frames = len(sightings)
    width, height = mask_size(size)
    found = np.zeros(frames, bool)
    xy, world = np.zeros((frames, 33, 2), np.float32), np.zeros((frames, 33, 3), np.float32)
    visibility = np.zeros((frames, 33), np.float32)
    hands_xy, hands_world = np.zeros((frames, 2, 21, 2), np.float32), np.zeros((frames, 2, 21, 3), np.float32)
    hands_score = np.zeros((frames, 2), np.float32)
    face_xy, face_score = np.zeros((frames, 468, 2), np.float32), np.zeros(frames, np.float32)
    bits = np.zeros((frames, -(-width * height // 8)), np.uint8)
    for frame, seen in enumerate(sightings):
        if seen is None:
            continue
        found[frame] = True
        xy[frame], world[frame], visibility[frame], bits[frame] = seen.xy, seen.world, seen.visibility, seen.mask_bits
        for side, hand in enumerate(seen.hands):
            if hand is not None:
                hands_xy[frame, side], hands_world[frame, side] = hand.xy, hand.world
                hands_score[frame, side] = hand.score
        if seen.face is not None:
            face_xy[frame], face_score[frame] = seen.face.xy, seen.face.score
    return Detections(
        found=torch.from_numpy(found),
        xy=torch.from_numpy(xy),
        world=torch.from_numpy(world),
        visibility=torch.from_numpy(visibility),
        hands_xy=torch.from_numpy(hands_xy),
        hands_world=torch.from_numpy(hands_world),
        hands_score=torch.from_numpy(hands_score),
        face_xy=torch.from_numpy(face_xy),
        face_score=torch.from_numpy(face_score),
        masks=PackedMasks(bits, height, width),
        image_size=size,
        fps=fps,
    )
