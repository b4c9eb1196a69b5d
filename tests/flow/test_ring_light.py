"""What the made-up colours of tubes look like is tested with them (test_tubes); here fast and plain ways agree."""

import numpy as np
import pytest
from scipy.ndimage import median_filter
from tests.flow import plain_rings

from liquidwarp.flow.colours.tone import Common
from liquidwarp.flow.colours.window_median import window_median
from liquidwarp.flow.unseen import ring_light, tubes

ROWS, COLUMNS = 40, 60


def shirt_and_trousers(chance):
    """Seen colours in light and shade, in a grid with seen stretches of all kinds."""
    light = chance.uniform(0.5, 1.0, (ROWS, COLUMNS, 1))
    cloth = np.where(np.arange(ROWS)[:, None, None] < 22, [0.8, 0.75, 0.7], [0.15, 0.2, 0.5])
    grid = (light * cloth + chance.normal(0, 0.01, (ROWS, COLUMNS, 3))).clip(0, 1).astype(np.float32)
    known = np.zeros((ROWS, COLUMNS), bool)
    for row in range(4, ROWS):
        for _ in range(chance.integers(4)):
            start, length = chance.integers(COLUMNS), chance.integers(2, 30)
            known[row, (start + np.arange(length)) % COLUMNS] = True
    known[10], known[11] = True, False
    return grid, known


@pytest.mark.parametrize("width", [5, 16])
def test_all_rings_at_once_are_as_ring_by_ring(width):
    grid, known = shirt_and_trousers(np.random.default_rng(3))
    plain, detail = grid.copy(), np.zeros_like(grid)
    shown = Common.of_trunk(known.nonzero()[0].astype(np.float64), grid[known])
    rows = enumerate(zip(grid, known, plain, detail, strict=True))
    longest = [plain_rings.complete_row(k, row, seen, width, shown, *made_up) for k, (row, seen, *made_up) in rows]
    fast = tubes._complete_rows(grid, known, width, shown)
    assert fast[2].tolist() == longest
    np.testing.assert_allclose(fast[0], plain, atol=1e-6)
    np.testing.assert_allclose(fast[1], detail, atol=1e-6)
    assert {0, COLUMNS} < set(longest)
    assert np.abs(detail).max() > 0.05


def test_nothing_that_was_seen_completes_nothing():
    grid = np.full((ROWS, COLUMNS, 3), 0.4, np.float32)
    shown = Common.of_trunk(np.zeros(0), grid[:0, 0])
    plain, detail, longest = tubes._complete_rows(grid, np.zeros((ROWS, COLUMNS), bool), 9, shown)
    assert (plain == grid).all()
    assert not detail.any()
    assert not longest.any()


@pytest.mark.parametrize("count", [1, 7, 40])
def test_usual_colours_of_some_rings_are_those_of_all(count):
    rings = np.random.default_rng(count).random((count, 9, 3)).astype(np.float32)
    wanted = np.array([count - 1, 0, 0, count // 2, count - 1])
    np.testing.assert_array_equal(tubes._usual_colours(rings, wanted), plain_rings.usual_colours(rings)[wanted])
    assert tubes._usual_colours(rings, wanted[:0]).shape == (0, 9, 3)


def test_even_light_of_all_colours_of_a_ring_is_as_one_by_one():
    chance = np.random.default_rng(5)
    grid, known = shirt_and_trousers(chance)
    row, column = known.nonzero()
    row, colours = np.repeat(row + 0.3, 9), np.repeat(grid[row, column], 9, 0)
    colours = (colours * chance.uniform(0.6, 1.2, (len(colours), 1))).astype(np.float32)
    fast = ring_light.evenly_lit(grid, colours, row)
    np.testing.assert_allclose(fast, plain_rings.evenly_lit(grid, colours, row), atol=1e-6)
    assert np.abs(fast - grid).max() > 0.1


def test_where_hardly_anything_is_seen_light_stays():
    grid = np.full((3, 5, 3), 0.4, np.float32)
    few = np.full((ring_light._FEWEST - 1, 3), 0.6, np.float32)
    assert (ring_light.evenly_lit(grid, few, np.ones(len(few))) == grid).all()


def test_whole_pictures_exchange_as_cell_by_cell():
    chance = np.random.default_rng(6)
    grid, known = shirt_and_trousers(chance)
    plain = (0.7 * grid).astype(np.float32)
    fast = ring_light.without_steps(plain, grid, known)
    np.testing.assert_allclose(fast, plain_rings.without_steps(plain, grid, known), atol=1e-5)
    assert (fast[known] == plain[known]).all()
    assert np.abs(fast - plain).max() > 0.05


@pytest.mark.parametrize("window", [(11, 3), (1, 1), (3, 3), (5, 1)])
def test_a_median_over_windows_is_scipys(window):
    values = np.random.default_rng(7).random((37, 21, 3)).astype(np.float32)
    values[5:9] = 0.25  # ties
    up, left = (size // 2 for size in window)
    expected = median_filter(values, (*window, 1))[up : 37 - up, left : 21 - left]
    np.testing.assert_array_equal(window_median(values, *window), expected)
