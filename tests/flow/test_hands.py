"""Which hands a photo shows: not those in a sleeve, not those behind what they hold; gloves are shown."""

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.flow.mesh.surface import project_bodies, rest_coordinates
from liquidwarp.flow.seen.hands import hidden_hands, lost_hands, strange_fingers
from liquidwarp.flow.unseen.atlas import TextureAtlas, _part_means, fill_atlas
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize

SKIN, BLACK, WHITE = (torch.tensor(c) for c in ([0.8, 0.6, 0.5], [0.1, 0.1, 0.11], [0.95, 0.95, 0.95]))
GREEN, BLUE = torch.tensor([0.2, 0.5, 0.3]), torch.tensor([0.2, 0.3, 0.6])
HANDS = ("left_hand", "right_hand")
FOREARMS = ("left_lower_arm", "right_lower_arm")


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def vertices(anny, *parts):
    return torch.isin(anny.vertex_part, torch.tensor([PARTS.index(part) for part in parts]))


def found(anny, unseen=(), **colours):
    """Which hands are hidden in a photo; named parts have these colours, the others are white."""
    shown = WHITE.expand(1, len(anny.vertex_part), 3).clone()
    shown[:, vertices(anny, "face")] = SKIN
    for name, colour in colours.items():
        shown[:, vertices(anny, *(HANDS if name == "hands" else FOREARMS if name == "forearms" else (name,)))] = colour
    hidden = hidden_hands(anny, shown, ~vertices(anny, *unseen)[None])[0]
    assert not hidden[~vertices(anny, *HANDS)].any()
    return {hand for hand in HANDS if hidden[vertices(anny, hand)].all()}


def test_bare_hands_are_shown(anny):
    assert found(anny, hands=SKIN, forearms=SKIN) == set()
    assert found(anny, hands=SKIN, forearms=BLACK) == set()


def test_hands_in_the_sleeves_colour_are_hidden(anny):
    assert found(anny, hands=BLACK, forearms=BLACK) == set(HANDS)


def test_hands_in_the_shade_of_a_sleeve_or_before_the_chest_are_hidden(anny):
    """Sleeves in half of the light, and a forearm that the photo does not show while the other one is dressed."""
    orange = torch.tensor([0.87, 0.43, 0.18])
    assert found(anny, hands=0.65 * orange, forearms=orange) == set(HANDS)
    assert found(anny, unseen=("right_lower_arm",), hands=BLACK, left_lower_arm=BLACK) == set(HANDS)
    arms = {"left_upper_arm": BLACK, "right_upper_arm": BLACK}
    assert found(anny, unseen=FOREARMS, hands=BLACK, **arms) == set(HANDS)


def test_little_of_a_hand_that_is_no_skin_tells_nothing(anny):
    hands = vertices(anny, *HANDS).nonzero()[:, 0]
    shown = WHITE.expand(1, len(anny.vertex_part), 3).clone()
    shown[:, vertices(anny, "face")] = SKIN
    seen = ~vertices(anny, *HANDS)
    seen[hands[::8]] = True
    assert hidden_hands(anny, shown, seen[None])[0, hands].all()
    shown[:, hands] = SKIN
    assert not hidden_hands(anny, shown, seen[None]).any()


def test_what_one_of_two_bare_hands_holds_is_no_hand(anny):
    assert found(anny, left_hand=BLACK, right_hand=0.8 * SKIN, forearms=SKIN) == {"left_hand"}


def test_gloves_are_hands(anny):
    assert found(anny, hands=WHITE, forearms=SKIN) == set()
    assert found(anny, hands=WHITE, forearms=BLACK) == set()


def filled(anny, **seen):
    """Mean colours of the parts in a texture of which only these parts are seen, in these colours."""
    size = 256
    colours = torch.zeros(1, 3, size, size)
    confidence, covered = torch.zeros(1, 1, size, size), torch.zeros(1, 1, size, size, dtype=torch.bool)

    def places(part):
        own = anny.face_part == PARTS.index(part)
        uv = anny.uv[anny.face_uv[own]].mean(1) * size
        return uv.long().clamp(0, size - 1).T

    for part, colour in seen.items():
        column, row = places(part)
        for down, right in [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]:
            at = (row + down).clamp(0, size - 1), (column + right).clamp(0, size - 1)
            colours[0, :, at[0], at[1]] = colour[:, None]
            confidence[0, 0, at[0], at[1]] = 1
            covered[0, 0, at[0], at[1]] = True
    atlas = fill_atlas(anny, TextureAtlas(colours, confidence, confidence, torch.zeros_like(confidence), covered))
    return {part: atlas.colours[0][:, places(part)[1], places(part)[0]].mean(1) for part in PARTS}


def test_hands_that_no_photo_shows_have_the_faces_skin_and_feet_the_other_shoe(anny):
    assert int(vertices(anny, "face", "left_foot").sum()) > 100
    shown = filled(anny, face=SKIN, left_foot=BLACK)
    assert (shown["left_hand"] - SKIN).abs().mean() < 0.15
    assert (shown["right_foot"] - BLACK).abs().mean() < 0.15


def test_sleeves_and_trouser_legs_that_no_photo_shows_go_on_from_elbow_and_knee(anny):
    colours = SKIN.expand(len(anny.vertex_part), 3).clone()
    places = rest_coordinates(anny)
    hems = {}
    for limb, colour in (("arm", GREEN), ("leg", BLUE)):
        for side in ("left", "right"):
            upper = vertices(anny, f"{side}_upper_{limb}")
            away = (places - places[vertices(anny, f"{side}_lower_{limb}")].mean(0)).norm(dim=1)
            colours[upper] = torch.where((away < away[upper].median())[upper, None], colour, WHITE)
        hems[limb] = colour
    known = ~vertices(anny, *FOREARMS, "left_lower_leg", "right_lower_leg", "right_upper_arm")
    means = _part_means(anny, colours, known)
    for part in (*FOREARMS, "left_lower_leg"):
        own = means[vertices(anny, part)][0]
        assert (own - hems[part[-3:]]).abs().max() < 0.1, part
    few = known & ~vertices(anny, "left_upper_arm")
    few[vertices(anny, "left_upper_arm").nonzero()[:3]] = True
    colours[vertices(anny, "torso")] = BLUE
    assert (_part_means(anny, colours, few)[vertices(anny, "left_lower_arm")] - BLUE).abs().max() < 0.1


@pytest.mark.parametrize(("trunk", "like"), [(BLUE, 1.1 * SKIN), (SKIN, SKIN)])
def test_hands_that_no_photo_shows_look_like_bare_arms_but_not_like_a_coat_in_the_skins_colour(anny, trunk, like):
    colours = BLUE.expand(len(anny.vertex_part), 3).clone()
    arms = ("left_upper_arm", "right_upper_arm", *FOREARMS)
    for part, colour in (("face", SKIN), ("torso", trunk), *((arm, 1.1 * SKIN) for arm in arms)):
        colours[vertices(anny, part)] = colour
    means = _part_means(anny, colours, ~vertices(anny, *HANDS))
    assert (means[vertices(anny, *HANDS)] - like).abs().max() < 0.01


def test_fingers_that_show_what_is_behind_them_are_not_seen(anny):
    hand = vertices(anny, "left_hand")
    places = rest_coordinates(anny)
    along = (places - places[vertices(anny, "left_lower_arm")].mean(0)).norm(dim=1)
    tips = hand & (along > along[hand].quantile(0.8))
    cuff = hand & (along < along[hand].quantile(0.1))
    shown = SKIN.expand(1, len(hand), 3).clone()
    shown[:, tips], shown[:, cuff] = torch.tensor([0.2, 0.4, 0.9]), WHITE
    seen = torch.ones(1, len(hand), dtype=torch.bool)
    strange = strange_fingers(anny, shown, seen)[0]
    assert strange[tips].all()
    assert not strange[cuff].any(), "that is a sleeve's edge"
    assert not strange[~hand].any()
    assert float(strange[hand].float().mean()) < 0.5
    shown[:, hand & (torch.arange(len(hand)) % 2 == 0)] = BLACK
    assert not strange_fingers(anny, shown, seen).any(), "a hand of several colours"


def test_a_hand_that_the_matte_lost_is_whole(anny):
    middle = anny.rest(torch.zeros(1, len(anny.beta_names))).vertices[0, vertices(anny, "left_hand"), :2].mean(0)
    camera = WeakPerspective(torch.tensor([400.0]), 80 - 400 * middle[None])
    body = BodyParams(torch.zeros(len(anny.beta_names)), torch.eye(3).expand(1, len(anny.joint_names), 3, 3), camera)
    raster = rasterize(project_bodies(anny, no_extension(anny), body).body, anny.faces, 160, 160)
    part = torch.where(raster.covered, anny.face_part[raster.pix_to_face.clamp(min=0)], -1)
    hand = (part == PARTS.index("left_hand"))[:, None]
    assert int(hand.sum()) > 300
    matte = raster.covered[:, None].float()
    assert not lost_hands(anny, raster, matte).any()
    columns = hand[0, 0].nonzero()[:, 1]
    matte[..., int(columns.float().quantile(0.6)) :] = 0
    assert torch.equal(lost_hands(anny, raster, matte) > 0, hand)
