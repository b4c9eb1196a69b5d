"""Which clothes are skirts, and where their mesh ends."""

import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.skirt import find_skirt, legs_of
from liquidwarp.flow.skirt_tube import skirt_tube
from liquidwarp.flow.surroundings import look_around
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix

SIZE, SCALE = (320, 256), 170.0
SKIN, SHIRT, RED, DARK = (0.9, 0.7, 0.6), (0.2, 0.3, 0.8), (0.8, 0.1, 0.1), (0.2, 0.02, 0.02)
APART = {"upperarm01.L": 0.45, "upperarm01.R": -0.45, "upperleg01.L": -0.06, "upperleg01.R": 0.06}


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


class Person:
    """Somebody with bare legs that are a little apart; what is painted on is cloth."""

    def __init__(self, model):
        rotvec = torch.zeros(1, len(model.joint_names), 3)
        for name, value in APART.items():
            rotvec[0, model.joint_names.index(name), 2] = value
        camera = WeakPerspective(torch.tensor([SCALE]), torch.tensor([[128.0, 150.0]]))
        self.model, self.body = model, BodyParams(torch.zeros(len(model.beta_names)), rotvec_to_matrix(rotvec), camera)
        self.rest = model.rest(self.body.betas[None])
        self.posed = model.pose(self.rest, self.body.rel_rotmats)
        self.raster = rasterize(camera.project(self.posed.vertices), model.faces, *SIZE)
        part = torch.where(self.raster.covered, model.face_part[self.raster.pix_to_face.clamp(min=0)], -1)[0].numpy()
        self.legs = legs_of(model, self.body, self.posed, SIZE[0])
        self.matte = part >= 0
        self.image = np.full((*SIZE, 3), 0.6, np.float32)
        self.image[self.matte] = SKIN
        self.image[part == PARTS.index("torso")] = SHIRT
        thighs = np.isin(part, [PARTS.index("left_upper_leg"), PARTS.index("right_upper_leg")])
        self.ends = {y: (np.flatnonzero(row)[0], np.flatnonzero(row)[-1]) for y, row in enumerate(thighs) if row.any()}
        self.hem = int(0.4 * self.legs.hips + 0.6 * self.legs.knees)

    def dressed(self, wider=4, closed=True, notch=0):
        """Red cloth from the hips to above the knees, so much wider than the thighs; open between them or not."""
        for y in range(self.legs.hips, self.hem):
            low, high = self.ends[y]
            cloth = np.zeros(SIZE[1], bool)
            cloth[low - wider : high + wider + 1] = True
            if not closed:
                cloth &= self.matte[y] | (np.abs(np.arange(SIZE[1]) - (low + high) / 2) > (high - low) / 4)
            cloth &= np.abs(np.arange(SIZE[1]) - (low + high) / 2) > notch - (self.hem - y)
            self.image[y, cloth], self.image[y, ~cloth & ~self.matte[y]] = RED, 0.6
            self.matte[y] |= cloth
        return self

    def shaded(self, dark=0.45):
        """Light from the left of the picture alone."""
        fall = np.linspace(1, dark, self.ends[self.hem][1] - self.ends[self.hem][0])
        light = np.interp(np.arange(SIZE[1]), np.linspace(*self.ends[self.hem], len(fall)), fall)
        self.image[self.legs.hips : self.hem] *= light[:, None].astype(np.float32)
        return self

    def creased(self):
        """Two legs that touch, with a shadow in between."""
        middle = self.legs.x.mean(0)
        for y in range(self.legs.hips, self.hem):
            self.image[y, round(middle[y]) - 1 : round(middle[y]) + 2] = DARK
        return self

    def around(self):
        return look_around(self.model, self.raster, torch.as_tensor(self.matte).float(), SCALE)

    def skirt(self):
        return find_skirt(self.image, self.around(), self.legs)


def test_a_narrow_skirt_is_known_by_the_gap_below_it(anny):
    skirt = Person(anny).dressed().skirt()
    assert skirt is not None
    assert abs(int(np.flatnonzero(skirt.mask.any(1)).max()) + 1 - Person(anny).hem) <= 3


@pytest.mark.parametrize("person", [lambda p: p.dressed(closed=False), lambda p: p.dressed().creased()])
def test_narrow_shorts_are_none(anny, person):
    """Whether there is air between their legs, or a crease alone."""
    assert person(Person(anny)).skirt() is None


def test_shade_on_one_side_makes_no_second_cloth(anny):
    assert Person(anny).dressed(wider=8).shaded().skirt() is not None


def test_a_hem_may_rise_in_the_middle(anny):
    person = Person(anny).dressed(wider=8, notch=7)
    assert person.skirt() is not None


def test_a_skirts_mesh_ends_at_its_hem_in_every_column(anny):
    person = Person(anny).dressed(wider=8, notch=7)
    skirt = person.skirt()
    tube = skirt_tube(anny, person.body, person.rest, person.posed, person.around(), skirt, 0)
    offset = person.rest.vertices[0, tube.anchor] + tube.offset
    moved = torch.einsum("nj,jab->nab", tube.weights, person.posed.transforms[0])
    posed = torch.einsum("nab,nb->na", moved[:, :, :3], offset) + moved[:, :, 3]
    x, y = person.body.camera.project(posed[None])[0, :, :2].numpy().T
    hem = skirt.hem[np.floor(x).astype(int).clip(0, SIZE[1] - 1)]
    assert (y - hem).max() < 1.5
    middle = np.abs(x - person.legs.x[:, person.hem].mean()) < 4
    assert y[middle].max() < y.max() - 3
