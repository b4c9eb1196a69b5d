"""Which hands a photo shows: not those in a sleeve, not those behind what they hold; gloves are shown."""

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.atlas import TextureAtlas, fill_atlas
from liquidwarp.flow.hands import hidden_hands

SKIN, BLACK, WHITE = (torch.tensor(c) for c in ([0.8, 0.6, 0.5], [0.1, 0.1, 0.11], [0.95, 0.95, 0.95]))
HANDS = ("left_hand", "right_hand")
FOREARMS = ("left_lower_arm", "right_lower_arm")


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def vertices(anny, *parts):
    return torch.isin(anny.vertex_part, torch.tensor([PARTS.index(part) for part in parts]))


def found(anny, **colours):
    """Which hands are hidden in a photo that shows all; named parts have these colours, the others are white."""
    shown = WHITE.expand(1, len(anny.vertex_part), 3).clone()
    shown[:, vertices(anny, "face")] = SKIN
    for name, colour in colours.items():
        shown[:, vertices(anny, *(HANDS if name == "hands" else FOREARMS if name == "forearms" else (name,)))] = colour
    hidden = hidden_hands(anny, shown, torch.ones(1, len(anny.vertex_part), dtype=torch.bool))[0]
    assert not hidden[~vertices(anny, *HANDS)].any()
    return {hand for hand in HANDS if hidden[vertices(anny, hand)].all()}


def test_bare_hands_are_shown(anny):
    assert found(anny, hands=SKIN, forearms=SKIN) == set()
    assert found(anny, hands=SKIN, forearms=BLACK) == set()


def test_hands_in_the_sleeves_colour_are_hidden(anny):
    assert found(anny, hands=BLACK, forearms=BLACK) == set(HANDS)


def test_what_one_of_two_bare_hands_holds_is_no_hand(anny):
    assert found(anny, left_hand=BLACK, right_hand=0.8 * SKIN, forearms=SKIN) == {"left_hand"}


def test_gloves_are_hands(anny):
    assert found(anny, hands=WHITE, forearms=SKIN) == set()
    assert found(anny, hands=WHITE, forearms=BLACK) == set()


def test_hands_that_no_photo_shows_have_the_faces_skin_and_feet_the_other_shoe(anny):
    known = vertices(anny, "face", "left_foot")
    size = 256
    colours = torch.zeros(1, 3, size, size)
    confidence, covered = torch.zeros(1, 1, size, size), torch.zeros(1, 1, size, size, dtype=torch.bool)
    for part, colour in (("face", SKIN), ("left_foot", BLACK)):
        uv = anny.uv[anny.face_uv[anny.face_part == PARTS.index(part)]].mean(1) * size
        column, row = uv.long().clamp(0, size - 1).T
        for down, right in [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]:
            at = (row + down).clamp(0, size - 1), (column + right).clamp(0, size - 1)
            colours[0, :, at[0], at[1]] = colour[:, None]
            confidence[0, 0, at[0], at[1]] = 1
            covered[0, 0, at[0], at[1]] = True
    atlas = fill_atlas(anny, TextureAtlas(colours, confidence, confidence, covered))
    assert int(known.sum()) > 100
    for part, colour in (("left_hand", SKIN), ("right_foot", BLACK)):
        uv = anny.uv[anny.face_uv[anny.face_part == PARTS.index(part)]].mean(1) * size
        column, row = uv.long().clamp(0, size - 1).T
        assert (atlas.colours[0, :, row, column].T - colour).abs().mean() < 0.15, part
