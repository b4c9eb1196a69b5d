"""People as coloured bars, seen by a finder that only sees the largest one: who is left when she is painted over?"""

import cv2
import numpy as np
import pytest

from liquidwarp.recover.detection.landmarks import Pose
from liquidwarp.recover.detection.regions import region_of_picture
from liquidwarp.recover.mattes.matte import CoarseMask
from liquidwarp.recover.tracking.company import find_company, paint_over

SIZE = (200, 160)
RED, BLUE, GREY = (220, 30, 30), (30, 30, 220), (90, 110, 90)


def bar(left, right, top=30, bottom=130):
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[top:bottom, left:right] = True
    return mask


def draw(*people):
    """(mask, colour), the last one in front."""
    rgb = np.full((SIZE[1], SIZE[0], 3), GREY, np.uint8)
    for mask, colour in people:
        rgb[mask] = colour
    return rgb


def look(rgb):
    """The larger of the red and the blue that can be seen; from head to feet."""
    masks = [np.abs(rgb.astype(int) - colour).sum(-1) < 60 for colour in (RED, BLUE)]
    mask = max(masks, key=np.sum)
    if mask.sum() < 50:
        return []
    region = region_of_picture(rgb.shape[1], rgb.shape[0])
    rows, columns = np.nonzero(mask)
    box = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], float)
    xy = np.stack([np.linspace(box[0, 0], box[1, 0], 33), np.linspace(box[0, 1], box[1, 1], 33)], 1)
    inside = region.affine(256)
    matrix = inside.copy()
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    shown = cv2.warpAffine(mask.astype(np.float32), matrix, (256, 256), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    logits = np.where(shown > 0.5, 8.0, -8.0)
    return [Pose(region, region, 1.0, xy, np.zeros((33, 3)), np.ones(33), logits)]


def company(rgb, person, body=None):
    return find_company(look, rgb, CoarseMask(person.astype(np.float32), 1.0), person if body is None else body)


def iou(opacity, mask):
    return (mask & (opacity > 0.5)).sum() / (mask | (opacity > 0.5)).sum()


@pytest.mark.parametrize(("bottom", "before"), [(130, False), (120, False), (140, True)])
def test_a_neighbour_is_found_and_stands_before_if_the_feet_are_lower(bottom, before):
    blue, red = bar(40, 80), bar(100, 145, bottom=bottom)
    found = company(draw((blue, BLUE), (red, RED)), blue)
    assert iou(found.opacity, red) > 0.9
    assert (found.opacity[blue] < 0.5).all()
    assert (found.front.max() > 0.5) == before


def test_who_hides_the_body_stands_before():
    blue, red = bar(60, 110), bar(90, 150, bottom=128)
    found = company(draw((blue, BLUE), (red, RED)), blue & ~red, body=blue)
    assert iou(found.front, red) > 0.9


def test_who_is_hidden_stands_behind():
    blue, red = bar(60, 110), bar(90, 170, bottom=128)
    found = company(draw((red, RED), (blue, BLUE)), blue)
    assert iou(found.opacity, red & ~blue) > 0.85
    assert found.front.max() < 0.5


def test_a_mask_that_took_in_a_neighbour_gives_it_back():
    """The detector's mask holds both, the fitted body only one."""
    blue, red = bar(40, 80), bar(84, 125)
    found = company(draw((blue, BLUE), (red, RED)), blue | red, body=blue)
    assert iou(found.opacity, red) > 0.85


def test_somebody_alone_has_no_company():
    blue = bar(40, 80)
    assert company(draw((blue, BLUE)), blue) is None


def test_paint_leaves_nothing_of_who_was_there():
    red = bar(60, 110)
    picture = draw((red, RED))
    painted = paint_over(picture, red)
    assert np.abs(painted.astype(int) - GREY).max() <= 2
    apart = bar(0, 50, 0, 160)
    np.testing.assert_array_equal(painted[apart], picture[apart])
    assert paint_over(picture, np.zeros_like(red)) is picture


def test_paint_of_a_large_picture_is_that_of_the_plain_blur():
    """The fast way blurs a reduced picture; the plain one would take seconds for a phone's photo."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (9, 7, 3), np.uint8)
    picture = cv2.resize(coarse, (700, 900), interpolation=cv2.INTER_CUBIC)
    hidden = np.zeros((900, 700), bool)
    hidden[200:700, 250:430] = True
    known = (cv2.dilate(hidden.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0).astype(np.float32)
    blur = [cv2.GaussianBlur(image, (0, 0), 0.03 * 900) for image in (known, picture * known[..., None])]
    plain = (blur[1] + 1e-3 * picture[known > 0].mean(0)) / (blur[0][..., None] + 1e-3)
    error = np.abs(paint_over(picture, hidden)[hidden].astype(float) - plain[hidden])
    assert error.max() < 4
    assert error.mean() < 0.6
