"""Which clothes are skirts, and where their mesh ends."""

import numpy as np
import pytest
import torch
from tests.flow.dressed import SCALE, SIZE, Person

from liquidwarp.body.anny import AnnyBody
from liquidwarp.flow.clothes.skirt import find_ending, find_skirt
from liquidwarp.flow.clothes.skirt_tube import skirt_tube


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def skirt_of(person):
    return find_skirt(find_ending(person.image, person.around(), person.legs))


def test_a_narrow_skirt_is_known_by_the_gap_below_it(anny):
    skirt = skirt_of(Person(anny).dressed())
    assert skirt is not None
    assert abs(int(np.flatnonzero(skirt.mask.any(1)).max()) + 1 - Person(anny).hem) <= 3


@pytest.mark.parametrize("person", [lambda p: p.dressed(closed=False), lambda p: p.dressed().creased()])
def test_narrow_shorts_are_none(anny, person):
    """Whether there is air between their legs, or a crease alone."""
    assert skirt_of(person(Person(anny))) is None


def test_shade_on_one_side_makes_no_second_cloth(anny):
    assert skirt_of(Person(anny).dressed(wider=8).shaded()) is not None


def test_a_hem_may_rise_in_the_middle(anny):
    person = Person(anny).dressed(wider=8, notch=7)
    assert skirt_of(person) is not None


def test_a_skirts_mesh_follows_its_hem_in_every_column(anny):
    person = Person(anny).dressed(wider=8, notch=7)
    skirt = skirt_of(person)
    tube = skirt_tube(anny, person.body, person.rest, person.posed, person.around(), skirt, 0)
    offset = person.rest.vertices[0, tube.anchor] + tube.offset
    moved = torch.einsum("nj,jab->nab", tube.weights, person.posed.transforms[0])
    posed = torch.einsum("nab,nb->na", moved[:, :, :3], offset) + moved[:, :, 3]
    x, y = person.body.camera.project(posed[None])[0, :, :2].numpy().T
    hem = skirt.hem[np.floor(x).astype(int).clip(0, SIZE[1] - 1)]
    assert (y - hem).max() < 0.03 * SCALE + 1.5
    middle = np.abs(x - person.legs.x[:, person.hem].mean()) < 4
    assert y[middle].max() < y.max() - 3
