"""Tails of open coats: found by one cloth at both sides, closed behind in their own colour, open in front."""

import numpy as np
import pytest
import torch
from tests.flow.dressed import BLUE, GREEN, RED, SIZE, Person

from liquidwarp.body.anny import AnnyBody
from liquidwarp.flow.clothes.coat_tails import find_tails
from liquidwarp.flow.clothes.halo import halo
from liquidwarp.flow.clothes.skirt import find_ending
from liquidwarp.flow.compose import compose_layers
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.sources import prepare_sources


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def tails_of(person):
    return find_tails(person.image, person.around(), find_ending(person.image, person.around(), person.legs))


def like(picture, colour):
    return (picture - torch.tensor(colour)[:, None, None]).abs().amax(0) < 0.2


def test_an_open_coat_is_found_with_its_sides(anny):
    person = Person(anny).dressed(wider=8).opened()
    tails = tails_of(person)
    assert tails is not None
    own = (person.image == np.array(RED, np.float32)).all(-1) & tails.cloth.mask
    assert own.sum() > 0.95 * tails.cloth.mask.sum()
    rows = np.arange(5, len(tails.inner) - 5)
    middle = person.legs.x.mean(0)[person.legs.hips + rows]
    assert np.abs(tails.inner[rows] - middle[:, None] - np.array([-7, 7])).max() <= 3


@pytest.mark.parametrize(
    "person",
    [
        lambda p: p.dressed(wider=8),  # closed, a skirt
        lambda p: p.dressed(closed=False).opened(),  # shorts
        lambda p: p.dressed(wider=26).opened(),  # its upper end would gape
        lambda p: p.dressed(wider=8).opened(half=60),  # nothing of it is seen at the sides
        lambda p: p.dressed(wider=8).opened().recoloured(GREEN),  # a side of its own, as of a bag
    ],
)
def test_what_has_no_tails(anny, person):
    assert tails_of(person(Person(anny))) is None


@pytest.mark.parametrize("bag", [False, True])
def test_tails_are_closed_behind_in_the_coats_colour_and_open_in_front(anny, bag):
    """Also where a bag hides one of the sides."""
    person = Person(anny).dressed(wider=8).opened()
    if bag:
        low, rows = person.ends[person.hem][0], slice(person.legs.hips + 10, person.hem - 8)
        person.image[rows, low : low + 14] = GREEN
    matte = torch.as_tensor(person.matte)[None, None].float()
    image = torch.as_tensor(person.image).permute(2, 0, 1)[None]
    sources = prepare_sources(anny, halo(anny, person.body, matte), person.body, image, matte)
    assert len(sources.extension.faces) > 0
    for turn, colour in ((np.pi, RED), (0.0, BLUE)):
        target = person.turned(turn)
        layers = compose_layers(sources, project_bodies(anny, sources.extension, target), SIZE)
        around = layers.in_front & (layers.around.matte[:, 0] > 0.5)
        shown = torch.where(around[:, None], layers.around.texture, layers.body.texture)[0]
        row, column = int(0.5 * (person.legs.hips + person.hem)), int(person.legs.x[:, person.hem].mean())
        middle = slice(column - 4, column + 5)
        assert like(shown, colour)[row, middle].float().mean() > 0.8
