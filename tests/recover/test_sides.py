from dataclasses import replace

import numpy as np
import pytest
import torch

from liquidwarp.recover.detection.detections import BODY_LANDMARKS
from liquidwarp.recover.detection.sides import swapped_frames, untangle
from liquidwarp.recover.detection.sightings import collect

LEGS = [
    [BODY_LANDMARKS.index(f"{side}_{name}") for name in ("hip", "knee", "ankle", "heel", "foot_index")]
    for side in ("left", "right")
]


def walk(frames=60, legs=5):
    """Two legs that swing past each other, as seen from the side; sizes of a body."""
    swing = 0.15 * np.sin(np.arange(frames) * 2 * np.pi / 30)[:, None] * np.linspace(0, 1, legs)
    down = np.tile(np.linspace(0, 0.5, legs), (frames, 1))
    return np.stack([swing, down], -1), np.stack([-swing + 0.01, down], -1)


def test_legs_that_pass_each_other_stay():
    assert not swapped_frames(*walk()).any()


def test_a_spin_is_no_exchange():
    """Seen flat, the legs of a spinning person change places twice a turn, fast but evenly."""
    angle = (np.arange(72) + 0.5) * 2 * np.pi / 12
    side = 0.3 * np.cos(angle)[:, None] * np.ones(5)
    down = np.tile(np.linspace(0, 0.5, 5), (72, 1))
    assert not swapped_frames(np.stack([side, down], -1), np.stack([-side, down], -1)).any()


@pytest.mark.parametrize("length", [1, 3, 6])
@pytest.mark.parametrize("start", [4, 20, 36])
def test_short_exchanges_are_found(start, length):
    left, right = walk()
    frames = slice(start, start + length)
    left[frames], right[frames] = right[frames].copy(), left[frames].copy()
    expected = np.zeros(60, bool)
    expected[frames] = True
    assert np.array_equal(swapped_frames(left, right), expected)


def test_a_lasting_change_is_the_truth():
    """After a cut the person may stand the other way round; legs that are apart all the time tell."""
    left, right = (points + np.array([side, 0]) for points, side in zip(walk(80), (0.3, -0.3), strict=True))
    left[40:], right[40:] = right[40:].copy(), left[40:].copy()
    assert not swapped_frames(left, right).any()


def test_detections_are_repaired_and_marked():
    left, right = walk()
    clean = collect([None] * 60, (1000, 1000), 30.0)
    xy = torch.zeros(60, 33, 2)
    xy[:, LEGS[0]], xy[:, LEGS[1]] = (torch.from_numpy(1000 * points).float() + 500 for points in (left, right))
    clean = replace(clean, found=torch.ones(60, dtype=torch.bool), xy=xy, visibility=torch.ones(60, 33))
    broken = xy.clone()
    broken[10:12, LEGS[0]], broken[10:12, LEGS[1]] = xy[10:12, LEGS[1]], xy[10:12, LEGS[0]]
    repaired = untangle(replace(clean, xy=broken))
    assert torch.equal(repaired.xy, xy)
    assert (repaired.visibility[10:12, LEGS[0]] == 0.5).all()
    assert int((repaired.visibility < 1).sum()) == 2 * 10


def test_gaps_part_the_video():
    left, right = walk()
    clean = collect([None] * 60, (1000, 1000), 30.0)
    xy = torch.zeros(60, 33, 2)
    xy[:, LEGS[0]], xy[:, LEGS[1]] = (torch.from_numpy(1000 * points).float() + 500 for points in (left, right))
    found = torch.ones(60, dtype=torch.bool)
    found[25:30] = False
    xy[25:30] = 0
    kept = untangle(replace(clean, found=found, xy=xy, visibility=torch.ones(60, 33)))
    assert torch.equal(kept.xy, xy)
