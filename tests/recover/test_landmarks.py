import numpy as np
import pytest

from liquidwarp.errors import WeightsCorruptError, WeightsNotFoundError
from liquidwarp.recover.detection.landmarks import (
    DETECTOR_SIZE,
    DETECTOR_STRIDES,
    PoseNetwork,
    decode_boxes,
    load_network,
    refine,
    ssd_anchors,
)
from liquidwarp.recover.detection.regions import Region

from .discs import RADIUS, RIM, Discs, draw


def test_anchors_are_the_networks():
    anchors = ssd_anchors(DETECTOR_SIZE, DETECTOR_STRIDES)
    assert anchors.shape == (2254, 2)  # 2 * 28^2 + 2 * 14^2 + 6 * 7^2, the detector's number of outputs
    assert np.allclose(anchors[:3], [[0.5 / 28, 0.5 / 28]] * 2 + [[1.5 / 28, 0.5 / 28]])
    assert np.allclose(anchors[-6:], 6.5 / 7)


def hand_made(scores):
    """Anchors at the corners of a square; each box 20 px wide around its anchor, moved by (2, 4)."""
    anchors = np.array([[0.25, 0.25], [0.27, 0.25], [0.75, 0.75], [0.5, 0.1]], np.float32)
    offsets = np.tile(np.array([2, 4, 20, 20, 1, 1, 0, -30], np.float32), (4, 1))
    return offsets, np.log(np.array(scores) / (1 - np.array(scores))).astype(np.float32), anchors


def test_boxes_decode_to_known_places():
    boxes, scores = decode_boxes(*hand_made([0.9, 0.01, 0.8, 0.01]), size=100, threshold=0.5)
    assert scores == pytest.approx([0.9, 0.8])
    assert boxes[0] == pytest.approx([0.17, 0.19, 0.37, 0.39, 0.26, 0.26, 0.25, -0.05], abs=1e-6)
    assert boxes[1][:4] == pytest.approx([0.67, 0.69, 0.87, 0.89], abs=1e-6)


def test_overlapping_boxes_are_averaged_by_score():
    boxes, scores = decode_boxes(*hand_made([0.9, 0.6, 0.7, 0.01]), size=100, threshold=0.5)
    assert scores == pytest.approx([0.9, 0.7])
    assert boxes[0][0] == pytest.approx(0.17 + 0.02 * 0.6 / 1.5, abs=1e-6)


def test_nothing_above_the_threshold():
    boxes, scores = decode_boxes(*hand_made([0.1, 0.1, 0.1, 0.1]), size=100, threshold=0.5)
    assert boxes.shape == (0, 8)
    assert scores.shape == (0,)


def test_refinement_moves_to_the_centre_of_mass():
    heatmaps = np.full((64, 64, 3), -10.0)
    heatmaps[20, 10:13, 0] = 10  # columns 10, 11, 12: middle 11
    heatmaps[20, 10, 1] = -0.1  # unsure: below one half
    unit = np.array([[10.4 / 64, 20.9 / 64], [10.4 / 64, 20.9 / 64], [1.3, 0.5]])
    refined = refine(unit, heatmaps)
    assert refined[0] == pytest.approx((11 / 64, 20 / 64), abs=1e-3)
    assert np.array_equal(refined[1:], unit[1:])


@pytest.mark.parametrize("region", [Region(100.0, 80.0, 110.0), Region(90.0, 85.0, 150.0, 1.1)])
def test_landmarks_reach_the_picture_without_half_pixels(region):
    network = PoseNetwork(Discs().pose)
    centre = np.array([97.4, 83.1])
    pose = network(draw((200, 160), (*centre, 25.0)), region)
    turned = region.turn(RIM)  # the stub network draws its landmarks upright in the crop
    assert np.abs(pose.xy - centre - 25 * turned).max() < 0.25
    assert np.abs(pose.xy[0] - centre).max() < 0.06
    assert np.abs(pose.world[:, :2] - RADIUS * turned).max() < 1e-6
    assert pose.next_region.angle == pytest.approx(region.angle)
    assert pose.next_region.side == pytest.approx(2 * 1.25 * 1.5 * 25, rel=0.01)


@pytest.mark.parametrize("shift", [1, 7])
def test_a_shifted_picture_shifts_landmarks_and_mask_alike(shift):
    network = PoseNetwork(Discs().pose)
    first = network(draw((200, 160), (97.4, 83.1, 25.0)), Region(100.0, 80.0, 120.0))
    second = network(draw((200, 160), (97.4 + shift, 83.1, 25.0)), Region(100.0, 80.0, 120.0))
    assert np.abs(second.xy - first.xy - (shift, 0)).max() < 0.06
    left, right = (pose.soft_mask((200, 160), (200, 160)) for pose in (first, second))
    assert np.abs(right[:, shift:] - left[:, :-shift]).max() < 0.5
    columns = np.arange(200) + 0.5
    for mask, x in ((left, 97.4), (right, 97.4 + shift)):
        assert (mask * columns).sum() / mask.sum() == pytest.approx(x, abs=0.1)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(WeightsNotFoundError, match=r"gone\.tflite.*Install"):
        load_network(tmp_path / "gone.tflite", 1)
    (tmp_path / "bad.tflite").write_bytes(b"not a network")
    with pytest.raises(WeightsCorruptError, match=r"bad\.tflite"):
        load_network(tmp_path / "bad.tflite", 1)
