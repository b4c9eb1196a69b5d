import math

import numpy as np
import pytest

from liquidwarp.recover.detection.regions import (
    Region,
    crop,
    paint_back,
    region_around,
    region_of_circle,
    region_of_picture,
    resample,
)

from .discs import draw, seen_discs

REGIONS = [Region(50.0, 40.0, 60.0), Region(31.7, 44.2, 55.3, 0.6), Region(60.1, 50.9, 300.0, -2.5)]


@pytest.mark.parametrize("region", REGIONS)
def test_points_come_back(region):
    points = np.random.default_rng(0).uniform(-50, 150, (20, 2))
    assert np.abs(region.to_image(region.to_unit(points)) - points).max() < 1e-9


def test_upright_region_is_plain_arithmetic():
    region = Region(50.0, 40.0, 60.0)
    assert np.allclose(region.to_image(np.array([[0.0, 0.0], [1.0, 0.5]])), [[20, 10], [80, 40]])


def test_angle_is_clockwise_in_the_picture():
    region = Region(0.0, 0.0, 2.0, math.pi / 2)  # its "up" is the picture's right
    assert np.allclose(region.to_image(np.array([[0.5, 0.0]])), [[1, 0]])
    assert np.allclose(region.turn(np.array([[0.0, -1.0, 7.0]])), [[1, 0, 7]])


def test_circle_gives_size_and_angle():
    region = region_of_circle(np.array([10.0, 20.0]), np.array([14.0, 20.0]), 1.25)
    assert (region.x, region.y) == (10, 20)
    assert region.side == pytest.approx(10)
    assert region.angle == pytest.approx(math.pi / 2)


@pytest.mark.parametrize("angle", [0.0, 0.4, 3.0, -2.0])
def test_region_around_holds_the_points_tightly(angle):
    up = np.array([math.sin(angle), -math.cos(angle)])
    points = np.random.default_rng(1).uniform(0, 100, (30, 2))
    unit = region_around(points, up, 1.0).to_unit(points)
    assert unit.min() > -1e-9
    assert unit.max() < 1 + 1e-9
    assert np.ptp(unit, axis=0).max() == pytest.approx(1)


@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi / 2, math.pi])
@pytest.mark.parametrize("size", [32, 64, 200])
def test_a_discs_centre_survives_the_crop(angle, size):
    """Half a pixel of error anywhere would show: from 3 times smaller to twice as large."""
    picture = draw((120, 100), (57.3, 48.8, 17.0))
    region = Region(55.0, 50.0, 100.0, angle)
    ((x, y, radius),) = seen_discs(crop(picture, region, size).astype(float) / 255)
    assert region.to_image(np.array([[x, y]]) / size)[0] == pytest.approx((57.3, 48.8), abs=0.06)
    assert radius * region.side / size == pytest.approx(17.0, rel=0.02)


def test_whole_picture_is_left_as_it_is():
    picture = np.random.default_rng(2).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    assert np.array_equal(crop(picture, region_of_picture(40, 40), 40), picture)


def test_letterbox_is_black_outside():
    cut = crop(np.full((20, 40, 3), 200, np.uint8), region_of_picture(40, 20), 40)
    assert not cut[:9].any()
    assert not cut[31:].any()
    assert (cut[12:28] == 200).all()


def test_shrinking_averages_instead_of_skipping():
    """A checkerboard has the mean 127.5 at any size; without anti-aliasing a crop shows stripes."""
    board = (np.indices((240, 240)).sum(0) % 2 * 255).astype(np.uint8)
    small = crop(board, Region(120.0, 120.0, 230.0), 31)
    assert np.abs(small.astype(float) - 127.5).max() < 12


def test_region_beside_the_picture_is_black():
    assert not crop(np.full((20, 20, 3), 255, np.uint8), Region(500.0, 500.0, 100.0), 16).any()


@pytest.mark.parametrize("size", [(120, 100), (60, 50), (240, 200)])
def test_paint_back_undoes_the_crop(size):
    region = Region(55.0, 50.0, 90.0, 0.5)
    cut = crop(draw((120, 100), (57.3, 48.8, 17.0))[..., 0].astype(np.float32) / 255, region, 128)
    back = paint_back(cut, region, (120, 100), size)
    assert back.shape == size[::-1]
    ((x, y, radius),) = seen_discs(np.repeat(back[..., None], 3, -1))
    scale = 120 / size[0]
    assert (x * scale, y * scale) == pytest.approx((57.3, 48.8), abs=0.08)
    assert radius * scale == pytest.approx(17.0, rel=0.03)


def test_resample_keeps_the_type():
    shift = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])
    ramp = np.tile(np.arange(10, dtype=np.float32), (4, 1))
    moved = resample(ramp, shift, (8, 4))
    assert moved.dtype == np.float32
    assert np.allclose(moved, ramp[:, 2:])
