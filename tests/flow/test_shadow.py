import numpy as np
import torch

from liquidwarp.flow.background import complete_background
from liquidwarp.flow.shadow import foot_shadow

SIZE = 192


def ground(seed=0):
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    grain = np.random.default_rng(seed).normal(0, 0.01, (SIZE, SIZE, 1))
    return (np.array([0.6, 0.55, 0.5]) * (0.8 + 0.3 * y + 0.1 * x)[..., None] + grain).astype(np.float32)


def hole():
    mask = np.zeros((SIZE, SIZE), bool)
    mask[30:160, 80:110] = True
    return mask


def cast(darkness=0.45, x=110.0):
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    distance = np.square((columns - x) / 20) + np.square((rows - 158) / 6)
    return (1 - darkness * np.exp(-distance))[..., None].astype(np.float32)


def test_a_shadow_at_the_feet_is_found():
    found = foot_shadow(ground() * cast(), hole())
    core = (cast()[..., 0] < 0.8) & ~hole()
    assert core.sum() > 200
    assert found[core].mean() > 0.9
    assert not found[:130].any()
    assert not found[:, :50].any()


def test_no_shadow_no_change():
    assert foot_shadow(ground(), hole()).sum() < 0.002 * SIZE * SIZE
    assert not foot_shadow(ground(), np.zeros((SIZE, SIZE), bool)).any()
    noise = np.random.default_rng(3).random((SIZE, SIZE, 3), dtype=np.float32)
    assert (foot_shadow(noise, hole()) & ~hole()).sum() < 0.01 * SIZE * SIZE


def test_a_coloured_thing_beside_the_feet_stays():
    picture = ground()
    picture[150:160, 108:125] = (0.1, 0.1, 0.5)
    assert not (foot_shadow(picture, hole()) & ~hole())[152:158, 116:122].any()


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
