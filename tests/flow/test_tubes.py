import numpy as np
import pytest

from liquidwarp.flow.unseen.tubes import COLUMNS, ROWS, complete_rings, tube_of, unroll

WHITE, BLUE, RED = (np.array(c) for c in ([0.9, 0.9, 0.9], [0.1, 0.2, 0.7], [0.8, 0.1, 0.1]))


HEIGHTS = np.linspace(-1, 1, 401)


def points(angles, heights=HEIGHTS, radius=0.3):
    """Of an upright tube; angle 0 is the front (-z), positive ones are at +x."""
    a, h = (v.ravel() for v in np.meshgrid(np.radians(angles), heights))
    return np.stack([radius * np.sin(a), h, -radius * np.cos(a)], 1)


ALL = points(np.linspace(-180, 179, 360))
FRONT, BACK = points(np.linspace(-75, 75, 151)), points(np.linspace(-180, -85, 96))


def completed(colours, strip=40.0, wanted=BACK):
    tube = tube_of(ALL, upright=True)
    return complete_rings(tube.cells(FRONT), colours, tube.cells(wanted), tube.cells(ALL), strip)


def test_a_place_is_named_by_height_and_angle():
    tube = tube_of(ALL, upright=True)
    cells = tube.cells(points([0, 90, -90], heights=[0.0]))
    assert np.allclose(cells[:, 0], 79.5, atol=0.1)
    assert np.allclose(cells[:, 1], [128, 192, 64], atol=2) or np.allclose(cells[:, 1], [128, 64, 192], atol=2)


def test_a_hem_goes_on_around_the_body_without_a_gradient():
    colours = np.where(FRONT[:, 1:2] < 0.2, WHITE, BLUE)
    made_up = completed(colours)
    above, below = BACK[:, 1] < 0.18, BACK[:, 1] > 0.22
    assert np.abs(made_up[above] - WHITE).max() < 0.02
    assert np.abs(made_up[below] - BLUE).max() < 0.02


def test_what_is_in_the_middle_of_the_front_is_not_copied_behind():
    print_on_it = np.abs(np.degrees(np.arctan2(FRONT[:, 0], -FRONT[:, 2]))) < 25
    made_up = completed(np.where(print_on_it[:, None], RED, WHITE))
    assert np.abs(made_up - WHITE).max() < 0.02


def test_a_thin_wrong_rim_does_not_spread():
    """The last degrees of what is seen show something else, as they do where the fit is not exact."""
    rim = np.abs(np.degrees(np.arctan2(FRONT[:, 0], -FRONT[:, 2]))) > 68
    made_up = completed(np.where(rim[:, None], RED, WHITE))
    assert np.abs(made_up - WHITE).max() < 0.15


def test_each_side_goes_on_up_to_the_middle_of_the_back():
    colours = np.where(FRONT[:, :1] < 0, BLUE, RED)
    left, right = completed(colours, wanted=points([-95, -130])), completed(colours, wanted=points([95, 130]))
    assert np.abs(left - BLUE).max() < 0.02
    assert np.abs(right - RED).max() < 0.02


@pytest.mark.parametrize(("other", "share"), [([0.68, 0.0, 0.04], (0.1, 0.25)), ([0.1, 0.6, 0.2], (0.4, 0.6))])
def test_sun_goes_over_into_shade_all_the_way(other, share):
    """Pink cloth whose dye is overexposed in the sun and deep red in the shade; another cloth begins at once."""
    pink = np.array([0.91, 0.09, 0.44])
    made_up = completed(np.where(FRONT[:, :1] < 0, pink, other), wanted=points([-150, 180, 150], HEIGHTS[100:300]))
    rings = made_up.reshape(-1, 3, 3).mean(0)
    low, high = share
    assert low < np.abs(rings[1] - rings[0]).max() / np.abs(pink - other).max() < high


def test_sun_on_one_side_flows_into_the_shade_within_a_short_way():
    """The left side goes on behind; beside the sunlit rim there is no step."""
    rim = np.degrees(np.arctan2(FRONT[:, 0], -FRONT[:, 2])) > 55
    colours = np.where(rim[:, None], WHITE, 0.45 * WHITE)
    made_up = completed(colours, wanted=points([77, 85, 95, 120, -95], HEIGHTS[100:300])).reshape(-1, 5, 3).mean((0, 2))
    assert made_up[0] > 0.66
    assert 0.5 < made_up[1] < 0.66
    assert np.abs(made_up[3:] - 0.45 * 0.9).max() < 0.06


def test_the_weave_goes_on():
    colours = WHITE * 0.6 + 0.08 * np.sign(np.sin(np.arctan2(FRONT[:, 0], -FRONT[:, 2]) * 40))[:, None]
    assert 0.03 < completed(colours).std() < 0.1


def test_a_limb_may_lie_in_any_direction():
    turn = np.linalg.qr(np.array([[0.2, 1.0, 0.1], [1.0, -0.1, 0.3], [0.1, 0.2, 1.0]]))[0]
    tube = tube_of(ALL @ turn.T, upright=False)
    colours = np.where(FRONT[:, 1:2] < 0.2, WHITE, BLUE)
    front, back, surface = (tube.cells(some @ turn.T) for some in (FRONT, BACK, ALL))
    made_up = complete_rings(front, colours, back, surface, 90.0)
    above, below = BACK[:, 1] < 0.17, BACK[:, 1] > 0.23
    assert np.abs(made_up[above] - WHITE).max() < 0.02
    assert np.abs(made_up[below] - BLUE).max() < 0.02


@pytest.mark.parametrize("angles", [[0.0, 0.5], [170.0]])
def test_too_little_lends_nothing(angles):
    tube = tube_of(ALL, upright=True)
    few = points(angles)
    assert complete_rings(tube.cells(few), np.full((len(few), 3), 0.5), tube.cells(BACK), tube.cells(ALL), 40.0) is None


def test_light_does_not_step_from_ring_to_ring():
    """The border is in the shade between two heights; the cloth is one."""
    shaded = (np.abs(FRONT[:, 0]) > 0.2) & (np.abs(FRONT[:, 1]) < 0.3)
    made_up = completed(np.where(shaded[:, None], 0.65 * BLUE, BLUE))
    middle = np.abs(BACK[:, 0]) < 0.05
    order = np.argsort(BACK[middle, 1], kind="stable")
    light = made_up[middle].sum(1)[order] / BLUE.sum()
    rows = light.reshape(len(HEIGHTS), -1).mean(1)
    assert np.abs(rows[8:] - rows[:-8]).max() < 0.03
    assert rows.min() > 0.8


def test_a_hem_between_two_greys_goes_on_too():
    """White and grey have one hue, but are no light and shade of each other."""
    grey = WHITE * 0.55
    made_up = completed(np.where(FRONT[:, 1:2] < 0.2, WHITE, grey))
    assert np.abs(made_up[BACK[:, 1] < 0.1] - WHITE).max() < 0.06
    assert np.abs(made_up[BACK[:, 1] > 0.3] - grey).max() < 0.06


def test_rows_that_nobody_saw_do_not_repeat_an_edge():
    """Seen from the height 0.2 on, with a shadow in the first rows: above it is all the cloth's usual colour."""
    seen = FRONT[:, 1] > 0.2
    colours = np.where(FRONT[:, 1:2] < 0.25, RED, BLUE)
    tube = tube_of(ALL, upright=True)
    high = points(np.linspace(-75, 75, 151), HEIGHTS[HEIGHTS < 0.0])
    made_up = complete_rings(tube.cells(FRONT[seen]), colours[seen], tube.cells(high), tube.cells(ALL), 40.0)
    assert np.abs(made_up - BLUE).max() < 0.1


def test_a_limb_with_few_places_is_seen_as_far_as_these_are():
    """Every fourth cell of every second row has a place: half of the tube was seen, and a slit in it was not."""
    row, column = (axis.ravel() for axis in np.mgrid[0:ROWS:2, 0:COLUMNS:4])
    seen = (column < COLUMNS // 2) & (np.abs(column - 64) > 6)
    colours = np.where(column[:, None] < 64, WHITE, BLUE)
    surface = np.stack([row, column + 0.5], 1)
    grid, known = unroll(surface[seen], colours[seen], surface)
    assert known[:, 1:57].all()
    assert known[:, 73:125].all()
    assert np.abs(grid[:, 4:50] - WHITE).max() < 1e-6
    assert np.abs(grid[:, 76:120] - BLUE).max() < 1e-6
    assert not known[:, 62:67].any()
    assert not known[:, 132:250].any()
