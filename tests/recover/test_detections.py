import numpy as np
import torch

from liquidwarp.recover.detection.detections import BODY_LANDMARKS, PackedMasks
from liquidwarp.recover.detection.sightings import collect, largest_component, mask_size


def test_packed_masks_round_trip():
    masks = np.random.default_rng(0).random((5, 37, 29)) > 0.5  # 1073 pixels: not a whole number of bytes
    packed = PackedMasks.pack(masks)
    assert len(packed) == 5
    assert packed.bits.nbytes == 5 * 135
    assert all(np.array_equal(packed[frame], masks[frame]) for frame in range(5))


def test_landmarks_have_blazepose_order():
    assert len(BODY_LANDMARKS) == 33
    assert [BODY_LANDMARKS.index(name) for name in ("nose", "left_shoulder", "right_hip", "right_foot_index")] == [
        0,
        11,
        24,
        32,
    ]


def test_select_keeps_masks_with_their_frames():
    detections = collect([None] * 4, (640, 480), 25.0)
    masks = np.zeros((4, 192, 256), bool)
    masks[2] = True
    detections = type(detections)(**{**detections.__dict__, "masks": PackedMasks.pack(masks)})
    chosen = detections.select(torch.tensor([2, 0]))
    assert len(chosen) == 2
    assert chosen.masks[0].all()
    assert not chosen.masks[1].any()


def test_mask_size_keeps_the_shape():
    assert mask_size((1920, 1080)) == (384, 216)
    assert mask_size((720, 1280)) == (216, 384)
    assert mask_size((5000, 3)) == (384, 1)


def test_only_the_largest_component_stays():
    mask = np.zeros((20, 20), bool)
    mask[2:5, 2:5] = mask[8:18, 8:18] = True
    kept = largest_component(mask)
    assert kept.sum() == 100
    assert not kept[:5].any()
