"""Hair that a photo shows in front goes on around the back of the head; a bald head stays bald."""

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.surface import rest_coordinates
from liquidwarp.flow.mesh.unwrap import unwrap
from liquidwarp.flow.unseen.rings import Unrolled
from liquidwarp.flow.unseen.scalp import hair_around

SKIN, HAIR, BAND = torch.tensor([0.85, 0.65, 0.55]), torch.tensor([0.25, 0.15, 0.1]), torch.tensor([0.9, 0.9, 0.2])


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def seen_from_the_front(model, flat, hair, band=False):
    """Skin in the face, hair above and beside it; what was filled before fades from hair to skin."""
    part, place = flat.part, flat.place
    head, face = part == PARTS.index("head"), part == PARTS.index("face")
    middle = place[face, 1].mean()
    front = place[:, 2] < place[head | face, 2].mean()
    on_hair = head & (place[:, 1] < middle)
    strands = 1 + 0.15 * torch.sin(place[:, 2:3] * 300)
    colours = torch.where(on_hair[:, None], hair * strands if hair is not SKIN else hair, SKIN).clamp(0, 1)
    if band:
        crown = place[head, 1].min()
        colours[on_hair & ((place[:, 1] - crown) / (middle - crown) > 0.85)] = BAND
    crossed = torch.zeros_like(front)
    texture = Unrolled(place, part, colours, front, front, crossed)
    made_up = torch.where((on_hair & (place[:, 1] < middle - 0.03))[:, None], hair, SKIN).clone()
    return texture, made_up


def back_of_head(model, flat):
    """From the crown down to a little above the mouth's height, behind the ears."""
    face = rest_coordinates(model)[model.vertex_part == PARTS.index("face")]
    low = face[:, 1].mean() + 0.5 * (face[:, 1].amax() - face[:, 1].mean()) - 0.035
    head = flat.part == PARTS.index("head")
    behind = flat.place[:, 2] > flat.place[head, 2].quantile(0.7)
    return head & behind & (flat.place[:, 1] < low), low


@pytest.mark.parametrize("band", [False, True])
def test_the_back_of_the_head_has_hair_down_to_the_nape(anny, band):
    """A headband of another colour, or a rim of spectacles, does not come around with it."""
    flat = unwrap(anny, 512)
    texture, made_up = seen_from_the_front(anny, flat, HAIR, band)
    drawn = hair_around(anny, texture, flat, made_up)
    back, low = back_of_head(anny, flat)
    assert int(back.sum()) > 500
    assert (made_up[back] - SKIN).abs().amax(1).lt(0.05).any()
    assert (drawn[back] - HAIR).abs().amax() < 0.15
    assert drawn[back].std(0).max() > 0.004  # strands
    below = flat.place[:, 1] > low + 0.04
    elsewhere = texture.seen | (flat.part != PARTS.index("head")) | below
    assert torch.equal(drawn[elsewhere], made_up[elsewhere])


def test_a_bald_head_is_left_alone(anny):
    flat = unwrap(anny, 512)
    texture, made_up = seen_from_the_front(anny, flat, SKIN)
    assert torch.equal(hair_around(anny, texture, flat, made_up), made_up)


def test_a_head_that_is_not_seen_is_left_alone(anny):
    flat = unwrap(anny, 512)
    texture, made_up = seen_from_the_front(anny, flat, HAIR)
    nothing = torch.zeros_like(texture.seen)
    unseen = Unrolled(texture.place, texture.part, texture.colours, nothing, nothing, nothing)
    assert torch.equal(hair_around(anny, unseen, flat, made_up), made_up)


def test_ears_stay_bare(anny):
    flat = unwrap(anny, 512)
    texture, made_up = seen_from_the_front(anny, flat, HAIR)
    drawn = hair_around(anny, texture, flat, made_up)
    head, (across, height, depth) = flat.part == PARTS.index("head"), flat.place.abs().unbind(1)
    ear = head & ~texture.seen & (across > 0.09) & (height < 0.87) & (depth < 0.12)
    beside = head & ~texture.seen & (across < 0.08) & (height < 0.87) & (depth > 0.16)
    assert int(ear.sum()) > 50
    assert torch.equal(drawn[ear], made_up[ear])
    assert not torch.equal(drawn[beside], made_up[beside])


def test_the_back_of_a_head_is_no_lighter_than_the_darker_part_of_its_hair(anny):
    """Here most of what is beside the border, which lends, lies in glaring light."""
    flat = unwrap(anny, 512)
    texture, made_up = seen_from_the_front(anny, flat, HAIR * 2)
    lit = texture.seen & (flat.part == PARTS.index("head")) & (texture.colours.sum(1) < 1.5)
    place = flat.place[lit, 2]
    near = torch.zeros_like(lit).masked_scatter(lit, place > place.quantile(0.5))
    texture.colours[near] *= 1.5
    back, _ = back_of_head(anny, flat)
    drawn = hair_around(anny, texture, flat, made_up)[back].sum(1).median()
    assert drawn < 1.2 * texture.colours[lit & ~near].sum(1).median()


def test_hair_is_as_dark_as_most_of_what_is_shown_and_not_as_its_fringe(anny):
    """The head's top was filled from the hairline, where hair and forehead are mixed."""
    flat = unwrap(anny, 512)
    texture, made_up = seen_from_the_front(anny, flat, HAIR * 0.4)
    made_up = torch.where((made_up[:, :1] < 0.5), HAIR * 1.4, made_up)
    back, _ = back_of_head(anny, flat)
    assert hair_around(anny, texture, flat, made_up)[back].sum(1).median() < 0.6 * HAIR.sum()


def test_the_hairline_is_uneven_and_light_falls_from_above(anny):
    flat = unwrap(anny, 512)
    texture, made_up = seen_from_the_front(anny, flat, HAIR)
    drawn = hair_around(anny, texture, flat, made_up)
    back, low = back_of_head(anny, flat)
    height = flat.place[:, 1]
    upper, lower = (drawn[back & some].sum(1).median() for some in (height < -0.93, height > low - 0.03))
    assert upper > 1.05 * lower
    line = (flat.part == PARTS.index("head")) & ((height - low - 0.02).abs() < 0.002) & (flat.place[:, 2] > 0.12)
    assert drawn[line].sum(1).std() > 0.03
