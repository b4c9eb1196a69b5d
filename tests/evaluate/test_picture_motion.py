"""A patterned square that is thrown: its acceleration is known."""

import cv2
import numpy as np
import torch

from liquidwarp.evaluate.picture_motion import picture_accelerations
from liquidwarp.recover.detection.detections import PackedMasks

FRAMES, SIZE, SIDE = 9, 200, 60
GRAVITY = 1.2


def thrown() -> tuple[list[np.ndarray], PackedMasks, torch.Tensor]:
    noise = np.random.default_rng(0).uniform(0, 255, (SIDE, SIDE)).astype(np.float32)
    patch = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 30, 220, cv2.NORM_MINMAX)
    frames, masks, centres = [], [], []
    for index in range(FRAMES):
        x, y = 60 + 4.0 * index, 90 - 6.0 * index + GRAVITY / 2 * index**2
        matrix = np.array([[1, 0, x - SIDE / 2], [0, 1, y - SIDE / 2]], np.float32)
        there = cv2.warpAffine(np.ones_like(patch), matrix, (SIZE, SIZE))
        picture = cv2.warpAffine(patch, matrix, (SIZE, SIZE)) * there + 128 * (1 - there)
        frames.append(np.repeat(picture[..., None], 3, 2).astype(np.uint8))
        masks.append(there > 0.99)
        centres.append([[x, y], [x, y - 20], [15.0, 185.0]])  # the last one is beside the person
    return frames, PackedMasks.pack(np.stack(masks)), torch.tensor(centres)


def test_a_thrown_thing_accelerates_evenly() -> None:
    frames, masks, points = thrown()
    found = picture_accelerations(frames, points, torch.full((FRAMES,), 200.0), masks)
    expected = torch.tensor([0.0, GRAVITY]).expand(2, 2)
    torch.testing.assert_close(found[1:-1, :2].median(0).values, expected, atol=0.1, rtol=0)
    assert found[[0, -1]].isnan().all()
    assert found[:, 2].isnan().all()


def test_large_pictures_are_measured_in_their_own_pixels() -> None:
    frames, masks, points = thrown()
    large = [cv2.resize(frame, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC) for frame in frames]
    found = picture_accelerations(large, 8 * points, torch.full((FRAMES,), 1600.0), masks)
    assert abs(float(found[1:-1, 0, 1].median()) - 8 * GRAVITY) < 1.2
