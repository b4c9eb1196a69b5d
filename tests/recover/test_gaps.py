"""The background shows between two legs, and the mask of the person gives way there."""

import math

import numpy as np
import torch

from liquidwarp.body.model import BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.recover.mattes.gaps import limb_borders, open_gaps

HEIGHT, WIDTH = 400, 300


def _trousers(cloth: int, gap: int, floor: int = 190):
    """Two legs with a gap of 12 px, whose mask is closed, on a slightly noisy floor; a mark on one leg."""
    noise = np.random.default_rng(0).integers(-5, 6, (HEIGHT, WIDTH, 1))
    rgb = np.full((HEIGHT, WIDTH, 3), floor) + noise
    rgb[40:360, 100:200] = cloth + noise[40:360, 100:200]
    rgb[120:340, 144:156] = gap + noise[120:340, 144:156]
    rgb[200:208, 115:123] = floor
    person = np.zeros((HEIGHT, WIDTH), bool)
    person[40:360, 100:200] = True
    borders = np.zeros_like(person)
    borders[60:350, 138:162] = True
    return rgb.clip(0, 255).astype(np.uint8), person, borders


def test_a_gap_between_the_legs_is_opened_and_a_mark_on_a_leg_is_not():
    rgb, person, borders = _trousers(cloth=40, gap=190)
    gaps = open_gaps(rgb, person, borders)
    assert gaps[130:330, 146:154].mean() > 0.9
    gaps[118:342, 142:158] = False
    assert not gaps.any()


def test_cloth_of_the_person_s_own_colours_stays():
    for cloth, gap in ((40, 60), (190, 190), (40, 120)):
        assert not open_gaps(*_trousers(cloth, gap)).any(), (cloth, gap)
    rgb, person, borders = _trousers(cloth=40, gap=190)
    assert not open_gaps(rgb, person, np.zeros_like(borders)).any()
    assert not open_gaps(rgb, np.zeros_like(person), borders).any()


def test_borders_lie_where_a_leg_crosses_the_other_and_not_at_the_hips(anny):
    rotations = torch.eye(3).repeat(1, len(anny.parents), 1, 1)
    camera = WeakPerspective(torch.tensor([160.0]), torch.tensor([[150.0, 170.0]]))
    standing = BodyParams(torch.zeros(len(anny.beta_names)), rotations, camera)
    legs = slice(200, HEIGHT)
    assert not limb_borders(anny, standing, (HEIGHT, WIDTH))[legs].any()
    hip = anny.joint_names.index("upperleg01.L")
    crossed = rotations.clone()
    crossed[:, hip] = rotvec_to_matrix(torch.tensor([0.0, 0.0, math.radians(25)]))
    other = rotations.clone()
    other[:, hip] = rotvec_to_matrix(torch.tensor([0.0, 0.0, math.radians(-25)]))
    found = [
        limb_borders(anny, BodyParams(standing.betas, pose, camera), (HEIGHT, WIDTH))[legs].sum()
        for pose in (crossed, other)
    ]
    assert min(found) == 0 < max(found), "one way the leg leaves the other, one way it crosses it"
