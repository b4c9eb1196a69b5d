import cv2
import numpy as np
import pytest
import torch

from liquidwarp.flow.place.background import complete_background
from liquidwarp.flow.place.shadow import find_shadow, lift_shadow

SIZE = 192


def ground(seed=0):
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    grain = np.random.default_rng(seed).normal(0, 0.01, (SIZE, SIZE, 1))
    return (np.array([0.6, 0.55, 0.5]) * (0.8 + 0.3 * y + 0.1 * x)[..., None] + grain).astype(np.float32)


def hole():
    mask = np.zeros((SIZE, SIZE), bool)
    mask[30:160, 80:110] = True
    return mask


def cast(darkness=0.45, x=118.0):
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    distance = np.square((columns - x) / 24) + np.square((rows - 158) / 8)
    return (1 - darkness * np.exp(-distance))[..., None].astype(np.float32)


def painted(*changes):
    """The ground with rectangles (rows, columns, factor) of another brightness."""
    picture = ground()
    for rows, columns, factor in changes:
        picture[rows, columns] *= np.float32(factor)
    return picture


@pytest.mark.parametrize("x", [118.0, 72.0])
def test_a_shadow_at_the_feet_is_found(x):
    shadow = find_shadow(ground() * cast(x=x), hole())
    core = (cast(x=x)[..., 0] < 0.8) & ~hole()
    assert core.sum() > 200
    assert shadow.where[core].mean() > 0.9
    assert not shadow.where[:120].any()
    assert not (shadow.where & hole()).any()
    assert 0.2 < shadow.strength < 0.45


def test_lifting_it_gives_the_lit_ground_with_its_grain():
    dark = ground() * cast()
    core = (cast()[..., 0] < 0.8) & ~hole()
    lifted = lift_shadow(dark, find_shadow(dark, hole()))
    assert (dark - ground())[core].mean() < -0.12
    assert abs(float((lifted - ground())[core].mean())) < 0.03
    core[:, :118] = False  # next to the hole, in which nothing is lifted
    fine = [picture - cv2.GaussianBlur(picture, (0, 0), 2) for picture in (lifted, ground())]
    assert np.corrcoef(*(picture[core].ravel() for picture in fine))[0, 1] > 0.9


def test_a_bright_kerb_beside_the_shadow_stays():
    kerb = slice(168, 180), slice(0, SIZE), 1.3
    before = painted(kerb)
    shadow = find_shadow(before * cast(), hole())
    lifted = lift_shadow(before * cast(), shadow)
    assert np.abs(lifted - before)[172:178].max() < 0.08
    assert abs(float((lifted - before)[152:162, 114:130].mean())) < 0.05


EDGES = {
    "nothing": (),
    "a bright kerb": ((slice(163, 170), slice(0, SIZE), 1.5),),
    "a bright kerb on one side": ((slice(150, 175), slice(115, SIZE), 1.4),),
    "a dark kerb": ((slice(155, 162), slice(0, SIZE), 0.7),),
    "a carpet all around": ((slice(140, 175), slice(55, 140), 0.7),),
    "a carpet on one side": ((slice(145, 170), slice(100, 150), 0.7),),
    "a carpet that leaves the picture": ((slice(145, 170), slice(100, SIZE), 0.6),),
    "darker ground in front": ((slice(158, SIZE), slice(0, SIZE), 0.6),),
    "a step behind": ((slice(0, 150), slice(0, SIZE), 0.6),),
    "a thing of another colour": ((slice(150, 160), slice(108, 128), (0.2, 0.4, 0.9)),),
}


@pytest.mark.parametrize("edges", EDGES.values(), ids=EDGES)
def test_edges_on_the_ground_are_no_shadows(edges):
    assert find_shadow(painted(*edges), hole()) is None


def test_neither_are_the_pictures_own_dark_corners():
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE - 0.5
    assert find_shadow(ground() * np.exp(-2 * (y**2 + x**2))[..., None].astype(np.float32), hole()) is None
    below = np.where(y > 0.3, np.exp(-8 * (y - 0.3)), 1)[..., None].astype(np.float32)
    assert find_shadow(ground() * below, hole()) is None


def test_a_soft_stain_of_another_colour_is_none():
    stain = 1 - (1 - cast()) * np.float32((0.3, 1.0, 2.0))
    assert find_shadow(ground() * stain, hole()) is None


def test_a_shadow_elsewhere_is_not_the_persons():
    assert find_shadow(ground() * cast(x=40.0), hole()) is None


def test_no_ground_to_judge():
    assert find_shadow(ground(), np.zeros((SIZE, SIZE), bool)) is None
    assert find_shadow(ground(), np.ones((SIZE, SIZE), bool)) is None
    noise = np.random.default_rng(3).random((SIZE, SIZE, 3), dtype=np.float32)
    assert find_shadow(noise, hole()) is None


def test_the_background_has_no_shadow():
    person = torch.from_numpy(hole())[None, None].float()
    image = torch.from_numpy(ground() * cast()).permute(2, 0, 1)[None]
    result = complete_background(torch.where(person > 0, torch.ones(1), image), person)
    truth = torch.from_numpy(ground()).permute(2, 0, 1)[None]
    rows = slice(145, 170), slice(70, 150)
    before = (image - truth)[..., rows[0], rows[1]].mean()
    after = (result - truth)[..., rows[0], rows[1]].mean()
    assert before < -0.04
    assert abs(float(after)) < 0.3 * abs(float(before))


def test_the_background_keeps_a_kerb():
    person = torch.from_numpy(hole())[None, None].float()
    picture = painted((slice(170, 178), slice(0, SIZE), 1.3))
    image = torch.from_numpy(picture).permute(2, 0, 1)[None]
    result = complete_background(torch.where(person > 0, torch.ones(1), image), person)
    assert torch.equal(result[..., 165:], image[..., 165:])
