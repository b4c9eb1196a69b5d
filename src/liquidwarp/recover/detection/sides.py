"""Left and right kept apart through a video: the detector sometimes takes one leg for the other for a few frames."""

import logging
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from liquidwarp.recover.detection.detections import BODY_LANDMARKS, Detections

__all__ = ["swapped_frames", "untangle"]

ONSET = 0.08
"""What a run of swapped frames must gain before it is believed, in body sizes of saved jerkiness."""
PER_FRAME = 0.02
"""What each frame of it must gain besides."""
LONGEST = 15
"""Frames; an exchange that lasts longer is the truth, after a cut for example."""
DOUBT = 0.5
"""Repaired landmarks keep this share of their visibility."""
LIMBS = {
    "arms": ("shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
    "legs": ("hip", "knee", "ankle", "heel", "foot_index"),
}

logger = logging.getLogger(__name__)


def untangle(detections: Detections) -> Detections:
    """Undo short exchanges of the left and the right arm or leg.

    Picture and world landmarks come from different outputs of the network and are repaired apart. Repaired picture
    landmarks lose half of their visibility. Exchanges of more than LONGEST frames are left alone.

    Args:
        detections: A video's detections.
    """
    xy, world = detections.xy.numpy().copy(), detections.world.numpy().copy()
    visibility, hands = detections.visibility.numpy().copy(), np.tile(np.arange(2), (len(detections), 1))
    for limb, names in LIMBS.items():
        left, right = ([BODY_LANDMARKS.index(f"{side}_{name}") for name in names] for side in ("left", "right"))
        both, crossed = left + right, right + left
        for points in (xy, world):
            swapped = np.zeros(len(detections), bool)
            for run in _stretches(detections):
                size = max(float(np.ptp(points[run], axis=1).max(-1).mean()), 1e-6)
                swapped[run] = swapped_frames(points[run][:, left] / size, points[run][:, right] / size)
            rows = np.flatnonzero(swapped)[:, None]
            points[rows, both] = points[rows, crossed]
            if points is xy:
                visibility[rows, both] = DOUBT * visibility[rows, crossed]
                if limb == "arms":
                    hands[swapped] = (1, 0)
            if swapped.any():
                logger.info("left and right %s exchanged in frames %s", limb, np.flatnonzero(swapped).tolist())
    frames, order = torch.arange(len(detections))[:, None], torch.from_numpy(hands)
    return replace(
        detections,
        xy=torch.from_numpy(xy),
        world=torch.from_numpy(world),
        visibility=torch.from_numpy(visibility),
        hands_xy=detections.hands_xy[frames, order],
        hands_world=detections.hands_world[frames, order],
        hands_score=detections.hands_score[frames, order],
    )


def _stretches(detections: Detections) -> list[slice]:
    """Stretches of frames with a person that no cut interrupts."""
    found, shot = detections.found.numpy(), detections.shot
    shots = [found] if shot is None else [found & (shot == number).numpy() for number in shot.unique()]
    return [run for frames in shots for run in _runs(frames)]


def swapped_frames(left: Float[np.ndarray, "T L D"], right: Float[np.ndarray, "T L D"]) -> Bool[np.ndarray, "T"]:
    """In which frames two limbs must be exchanged so that both move evenly.

    A Viterbi path over the two states of each frame. What it keeps small is the change of velocity: legs that pass
    each other in the picture move evenly, legs that were taken for each other jump forth and back.

    Args:
        left: Landmarks of one limb, in body sizes.
        right: The same landmarks of the other.
    """
    frames = len(left)
    if frames < 3:
        return np.zeros(frames, bool)
    limbs = np.stack([np.concatenate([left, right], 1), np.concatenate([right, left], 1)], 1)  # T 2 2L D
    cost = np.full((2, 2), np.inf)  # of the best path that ends with these states of the last two frames
    cost[:] = [[0, ONSET + PER_FRAME], [ONSET + PER_FRAME, ONSET + 2 * PER_FRAME]]
    best = np.zeros((frames, 2, 2), np.int64)
    for t in range(2, frames):
        a, b, c = limbs[t - 2][:, None, None], limbs[t - 1][None, :, None], limbs[t][None, None, :]
        jerk = np.linalg.norm(a - 2 * b + c, axis=-1).mean(-1)
        onset = ONSET * np.array([[0, 1], [0, 0]]) + PER_FRAME * np.array([0, 1])
        paths = cost[:, :, None] + jerk + onset
        best[t] = paths.argmin(0)
        cost = paths.min(0)
    states = np.zeros(frames, np.int64)
    states[-2], states[-1] = np.unravel_index(int(cost.argmin()), (2, 2))
    for t in range(frames - 1, 1, -1):
        states[t - 2] = best[t][states[t - 1], states[t]]
    swapped = states.astype(bool)
    for run in _runs(swapped):
        swapped[run] &= run.stop - run.start <= LONGEST
    return swapped


def _runs(true: Bool[np.ndarray, "T"]) -> list[slice]:
    """Stretches of frames that are True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], true.astype(np.int8), [0]])))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
