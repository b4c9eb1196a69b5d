"""A neck that no photo shows is bare down to its collar; where ears are below hair nobody knows."""

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.surface import rest_coordinates
from liquidwarp.flow.mesh.unwrap import unwrap
from liquidwarp.flow.unseen.nape import bare_around
from liquidwarp.flow.unseen.rings import Unrolled

SKIN, BEARD = torch.tensor([0.85, 0.65, 0.55]), torch.tensor([0.3, 0.22, 0.18])
SHIRT, HAIR = torch.tensor([0.6, 0.65, 0.7]), torch.tensor([0.1, 0.1, 0.12])
HEAD, FACE, TORSO = (PARTS.index(part) for part in ("head", "face", "torso"))


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def drawn(model, ears=SKIN, jaw=SKIN, neck=BEARD):
    """From the front: a face, ears, below the chin a beard or a collar, and a shirt; behind all is shirt so far.

    Returns:
        The hidden places of the neck behind, of the shirt behind, and what is made up.
    """
    flat = unwrap(model, 512)
    place, part = flat.place, flat.part
    face = rest_coordinates(model)[model.vertex_part == FACE]
    level, chin = face[:, 1].mean(), face[:, 1].amax()
    on_head = (part == HEAD) | (part == FACE)
    front = place[:, 2] < place[on_head, 2].mean() - 0.02
    colours = torch.where((part == TORSO)[:, None], SHIRT, SKIN).clone()
    colours[on_head & (place[:, 1] > chin - 0.05)] = neck
    colours[on_head & (place[:, 0].abs() > 0.055) & (place[:, 1] < chin - 0.05)] = ears
    colours[(part == HEAD) & (place[:, 0].abs() > 0.07) & (place[:, 1] > level) & (place[:, 1] < chin - 0.03)] = jaw
    colours[on_head & (place[:, 1] < level - 0.06)] = HAIR
    texture = Unrolled(place, part, colours, front, front, torch.zeros_like(front))
    made_up = bare_around(model, texture, torch.where(front[:, None], colours, SHIRT))
    behind = ~front & (place[:, 2] > 0.1)
    hidden = behind & (on_head | (part == TORSO)) & (place[:, 1] > chin - 0.03) & (place[:, 1] < chin + 0.02)
    below = behind & (part == TORSO) & (place[:, 1] > chin + 0.06)
    assert int(hidden.sum()) > 300
    assert torch.equal(made_up[front], colours[front])
    return made_up[hidden], made_up[below]


def test_a_neck_behind_a_beard_is_skin_and_the_shirt_begins_below(anny):
    neck, below = drawn(anny)
    assert float((neck - SKIN).abs().amax()) < 0.1
    assert torch.equal(below, SHIRT.expand_as(below))


def test_a_collar_goes_up_as_far_as_it_is_seen(anny):
    neck, _ = drawn(anny, neck=SHIRT)
    assert float((neck - SHIRT).abs().amax(1).lt(0.05).float().mean()) > 0.9


@pytest.mark.parametrize("where", ["ears", "jaw"])
def test_below_long_hair_nothing_is_known(anny, where):
    neck, _ = drawn(anny, **{where: HAIR})
    assert torch.equal(neck, SHIRT.expand_as(neck))
