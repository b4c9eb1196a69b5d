import numpy as np
import pytest

from liquidwarp.recover.detection.hands_face import Face, Hand
from liquidwarp.recover.detection.landmarks import Pose
from liquidwarp.recover.detection.regions import Region
from liquidwarp.recover.detection.sightings import HIDDEN, collect, faces_away, sighting

SIZE = (200, 100)
FACIAL = [0, 1, 2, 3, 4, 5, 6, 9, 10]


def standing(turn=0.0, roll=0.0):
    """World landmarks of a person (shoulders, hips); turned about the vertical, then rolled in the picture [rad]."""
    world = np.zeros((33, 3))
    world[11], world[12], world[23], world[24] = (0.2, -0.5, 0), (-0.2, -0.5, 0), (0.1, 0, 0), (-0.1, 0, 0)
    about_y = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return world @ about_y.T @ about_z.T


@pytest.mark.parametrize("roll", [0.0, 1.5, np.pi])
def test_facing_is_told_in_any_pose(roll):
    assert not faces_away(standing(0.0, roll))
    assert not faces_away(standing(1.5, roll))
    assert faces_away(standing(np.pi, roll))
    assert faces_away(standing(2.5, roll))


def seen(world, xy=None):
    mask = np.full((256, 256), -9.0)
    mask[64:192, 96:160] = 9  # the middle of the region
    mask[10:14, 10:14] = 9  # a speckle
    xy = np.full((33, 2), 50.0) if xy is None else xy
    region = Region(100.0, 50.0, 100.0)
    return Pose(region, region, 1.0, xy, world, np.full(33, 0.9), mask)


def test_a_back_has_no_face():
    back = sighting(seen(standing(np.pi)), (None, None), Face(np.zeros((468, 2)), 0.1), SIZE)
    assert back.face is None
    assert (back.visibility[FACIAL] == HIDDEN).all()
    assert (np.delete(back.visibility, FACIAL) == 0.9).all()


def test_a_look_over_the_shoulder_keeps_its_face():
    turned = sighting(seen(standing(np.pi)), (None, None), Face(np.zeros((468, 2)), 0.9), SIZE)
    assert turned.face is not None
    assert (turned.visibility == 0.9).all()


def test_outside_of_the_picture_nothing_is_visible():
    xy = np.full((33, 2), 50.0)
    xy[25], xy[26], xy[27] = (50, 101), (-1, 50), (201, 50)
    visibility = sighting(seen(standing(), xy), (None, None), None, SIZE).visibility
    assert (visibility[25:28] == 0).all()
    assert (visibility[28:] == 0.9).all()


def test_collected_frames_hold_what_was_seen():
    hand = Hand(np.full((21, 2), 3.0), np.full((21, 3), 4.0), 0.7, 1.0)
    face = Face(np.full((468, 2), 5.0), 0.8)
    detections = collect([None, sighting(seen(standing()), (None, hand), face, SIZE)], SIZE, 30.0)
    assert detections.found.tolist() == [False, True]
    assert detections.hands_score.tolist() == [[0, 0], [0, pytest.approx(0.7)]]
    assert (detections.hands_xy[1, 1] == 3).all()
    assert (detections.hands_world[1, 1] == 4).all()
    assert not detections.hands_xy[1, 0].any()
    assert (detections.face_xy[1] == 5).all()
    assert detections.face_score[1] == pytest.approx(0.8)
    assert (detections.masks.height, detections.masks.width) == (192, 384)
    mask = detections.masks[1]
    # 128 x 64 of 256 x 256 cells of a region of 100 px: 50 x 25 px of the picture, whose masks have 1.92 px a px.
    assert mask.sum() == pytest.approx(50 * 25 * 1.92**2, rel=0.03)
    assert np.flatnonzero(mask.any(0)).mean() == pytest.approx(191.5, abs=0.9)
