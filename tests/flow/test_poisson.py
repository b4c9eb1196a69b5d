import numpy as np
import pytest

from liquidwarp.flow.place.exemplar import fill_by_example
from liquidwarp.flow.place.poisson import membrane, solve_gradients


def grid(height=60, width=80):
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return y / height, x / width


def hole_in(height=60, width=80):
    hole = np.zeros((height, width), bool)
    hole[15:50, 30:55] = True
    return hole


def test_membrane_restores_harmonic_pictures():
    y, x = grid()
    truth = np.stack([0.2 + 0.5 * x, 0.4 + 0.3 * y * x, 0.5 + 0.2 * (x - y)], -1)
    hole = hole_in()
    filled = membrane(np.where(hole[..., None], 0.0, truth).astype(np.float32), hole)
    assert np.abs(filled - truth).max() < 1e-4
    assert np.array_equal(filled[~hole], truth[~hole].astype(np.float32))


def test_wanted_differences_are_met_up_to_the_border():
    truth = np.random.default_rng(0).random((60, 80, 3), dtype=np.float32)
    hole = hole_in()
    right, down = np.diff(truth, axis=1), np.diff(truth, axis=0)
    filled = solve_gradients(np.where(hole[..., None], 0.0, truth).astype(np.float32), hole, right, down)
    assert np.abs(filled - truth).max() < 1e-4


def test_pull_towards_the_picture():
    hole = hole_in()
    image = np.where(hole, 0.8, 0.2).astype(np.float32)[..., None]
    flat = np.zeros_like(image)
    loose, tight = (solve_gradients(image, hole, flat[:, 1:], flat[1:], pull)[32, 42, 0] for pull in (0.0, 10.0))
    assert loose == pytest.approx(0.2, abs=1e-4)
    assert tight > 0.75


def test_hole_at_the_edge_of_the_picture_and_ignored_border():
    hole = np.zeros((30, 40), bool)
    hole[:, :15] = True
    image = np.where(hole, 0.9, 0.3).astype(np.float32)[..., None]
    assert np.abs(membrane(image, hole) - 0.3).max() < 1e-4
    image[:, 25:] = 0.7
    ignored = np.zeros_like(hole)
    ignored[:, 25:] = True
    middle = np.zeros_like(hole)
    middle[:, 10:25] = True
    filled = membrane(np.where(middle, 0.0, np.where(ignored, 0.7, 0.3)).astype(np.float32)[..., None], middle, ignored)
    assert np.abs(filled[:, 10:25] - 0.3).max() < 1e-4


def test_nothing_known_or_nothing_to_do():
    image = np.random.default_rng(0).random((20, 20, 3), dtype=np.float32)
    assert np.array_equal(membrane(image, np.zeros((20, 20), bool)), image)
    assert np.array_equal(membrane(image, np.ones((20, 20), bool)), image)


def test_copied_patches_leave_no_step_on_a_wall_with_a_gradient():
    """Light falls off across a wall with a little grain: copied brightness would show as edges."""
    y, x = grid(160, 160)
    wall = 0.75 + 0.15 * x - 0.1 * y - 0.1 * x * x
    grain = np.random.default_rng(1).normal(0, 0.004, wall.shape)
    truth = np.repeat((wall + grain)[..., None], 3, -1).astype(np.float32)
    hole = np.zeros(wall.shape, bool)
    hole[40:140, 55:105] = True
    filled = fill_by_example(np.where(hole[..., None], 0.0, truth).astype(np.float32), hole)
    error = (filled - wall[..., None])[hole]
    assert np.abs(error).mean() < 1.5 / 255
    large = np.stack(
        [np.convolve(row, np.ones(9) / 9, "valid") for row in (filled - wall[..., None])[40:140, 50:110, 0]]
    )
    # Averaged over 9 px, neither in the hole nor across its border is there a step of two grey levels.
    assert np.abs(large).max() < 5 / 255
    assert np.abs(np.diff(large.mean(0))).max() < 1 / 255
    grains = np.diff(filled[60:120, 65:95, 0], axis=1).std() / np.diff(truth[60:120, 65:95, 0], axis=1).std()
    assert 0.4 < grains < 1.3


def test_bricks_go_on():
    """Dark joints between bricks, lit from one side."""
    _, x = grid(128, 128)
    rows, columns = np.mgrid[0:128, 0:128]
    joint = (rows % 16 < 2) | ((columns + 12 * (rows // 16 % 2)) % 24 < 2)
    truth = np.repeat((np.where(joint, 0.3, 0.6) + 0.1 * x)[..., None], 3, -1).astype(np.float32)
    hole = np.zeros((128, 128), bool)
    hole[30:110, 46:82] = True
    filled = fill_by_example(np.where(hole[..., None], 1.0, truth).astype(np.float32), hole)
    error = np.abs(filled - truth)[hole].mean()
    assert error < 0.05
