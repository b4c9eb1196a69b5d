import cv2
import numpy as np
import pytest
from PIL import Image

from liquidwarp.recover.detection.detections import PackedMasks
from liquidwarp.recover.films.scenery import lay_over, person_area, uncovering_frames
from liquidwarp.weights import asset


@pytest.fixture(scope="module")
def place():
    return np.array(Image.open(asset("demo/background.jpg")).resize((384, 512), Image.Resampling.BOX))


def masks(*lefts):
    """A person of 20 x 20 px whose left side is here in each frame."""
    frames = np.zeros((len(lefts), 64, 64), bool)
    for frame, left in enumerate(lefts):
        frames[frame, 10:30, left : left + 20] = True
    return PackedMasks.pack(frames)


def test_every_place_is_shown_several_times():
    assert uncovering_frames(masks(0, 0, 0, 30, 30), 0, range(5)) == [3, 4]
    aside = masks(0, *[30] * 20)
    assert len(uncovering_frames(aside, 0, range(21))) == 5, "enough for a median"
    assert len(uncovering_frames(aside, 0, range(21), (3840, 2160))) == 4, "large frames fill the memory"


def test_two_frames_that_show_a_half_each():
    assert sorted(uncovering_frames(masks(20, 20, 33, 7), 0, range(4))) == [2, 3]


def test_nobody_moved():
    assert uncovering_frames(masks(5, 5, 6, 4), 0, range(4)) == []


def test_person_area_holds_the_mask_with_a_margin():
    area = person_area(masks(20)[0], (128, 128))
    assert area.shape == (128, 128)
    assert area[20:60, 40:80].all()
    assert area[40, 36], "3 of the mask's pixels around it"
    assert not area[40, 28]


def with_person(picture, columns):
    """A flat red person, and where."""
    hidden = np.zeros(picture.shape[:2], bool)
    hidden[100:400, columns] = True
    return np.where(hidden[..., None], np.uint8((200, 0, 0)), picture), hidden


def test_a_little_movement_of_the_camera_is_undone(place):
    first, first_hidden = with_person(place, slice(150, 230))
    movement = np.array([[1.02, 0.01, -9.0], [-0.01, 1.02, 6.0]])
    other = cv2.warpAffine(place, movement, (384, 512), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    other, other_hidden = with_person(other, slice(20, 100))
    moved, hidden = lay_over(first, first_hidden, other, other_hidden)
    uncovered = first_hidden & ~hidden
    assert uncovered.mean() > 0.8 * first_hidden.mean()
    before = np.abs(other[uncovered].astype(int) - place[uncovered]).mean()
    after = np.abs(moved[uncovered].astype(int) - place[uncovered]).mean()
    assert after < 0.3 * before
    inside = cv2.erode((~hidden).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert (np.abs(moved[inside].astype(int) - (200, 0, 0)).sum(-1) > 60).all(), "no pixel of the person is left"


def test_another_place_is_refused(place):
    first, first_hidden = with_person(place, slice(150, 230))
    other = np.ascontiguousarray(place[::-1, ::-1])
    found = lay_over(first, first_hidden, *with_person(other, slice(20, 100)))
    assert found is None or (found[0] == with_person(other, slice(20, 100))[0]).all(), "never bent to fit"


def test_a_plain_wall_stays_as_it_is(place):
    wall = np.full_like(place, 180)
    first, other = with_person(wall, slice(150, 230)), with_person(wall, slice(20, 100))
    moved, hidden = lay_over(*first, *other)
    np.testing.assert_array_equal(moved, other[0])
    np.testing.assert_array_equal(hidden, other[1])
