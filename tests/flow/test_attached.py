import numpy as np
import pytest
import torch

from liquidwarp.flow.place.attached import attached_things
from liquidwarp.flow.place.background import complete_background

SIZE = 192


def wall(seed=0):
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    grain = np.random.default_rng(seed).normal(0, 0.005, (SIZE, SIZE, 1))
    return (np.array([0.7, 0.7, 0.68]) * (0.9 + 0.1 * y - 0.1 * x)[..., None] + grain).astype(np.float32)


def hole():
    mask = np.zeros((SIZE, SIZE), bool)
    mask[20:170, 80:110] = True
    return mask


def with_thing(rows, columns, colour=(0.5, 0.3, 0.1)):
    picture = wall()
    picture[rows, columns] = colour
    thing = np.zeros((SIZE, SIZE), bool)
    thing[rows, columns] = True
    return picture, thing & ~hole()


@pytest.mark.parametrize(
    "place", [(slice(80, 120), slice(105, 130)), (slice(12, 24), slice(70, 120))], ids=["a bag in a hand", "a hat"]
)
def test_what_is_held_is_found(place):
    picture, thing = with_thing(*place)
    found = attached_things(picture, hole())
    assert found[thing].mean() > 0.98
    assert found.sum() < 2.2 * thing.sum() + 400


@pytest.mark.parametrize(
    "place",
    [
        (slice(80, 120), slice(120, 140)),
        (slice(80, 90), slice(100, SIZE)),
        (slice(160, 172), slice(60, 130)),
        (slice(80, 82), slice(109, 112)),
    ],
    ids=["beside the person", "goes on beyond", "a mat on the ground", "a speck"],
)
def test_other_things_stay(place):
    assert not attached_things(with_thing(*place)[0], hole()).any()


def test_nothing_is_told_on_a_busy_background():
    busy = np.random.default_rng(1).random((SIZE // 8, SIZE // 8, 3), dtype=np.float32).repeat(8, 0).repeat(8, 1)
    assert not attached_things(busy, hole()).any()
    assert not attached_things(wall(), hole()).any()
    assert not attached_things(wall(), np.zeros((SIZE, SIZE), bool)).any()
    assert not attached_things(wall(), np.ones((SIZE, SIZE), bool)).any()


def test_what_is_held_does_not_stay_in_the_background():
    picture, thing = with_thing(slice(80, 120), slice(105, 130))
    person = torch.from_numpy(hole())[None, None].float()
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].clamp(0, 1)
    result = complete_background(torch.where(person > 0, torch.zeros(1), image), person)[0].permute(1, 2, 0).numpy()
    assert np.abs(result - wall())[thing].max() < 0.08
