import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.atlas import TextureAtlas, _continue_rims, _part_means, fill_atlas
from liquidwarp.flow.surface import rest_coordinates
from liquidwarp.flow.unwrap import unwrap


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def test_the_back_of_the_head_is_hair_and_not_cheek(anny):
    """Seen from the front: skin in the face and beside it, dark hair above."""
    place = rest_coordinates(anny)
    head, face = (anny.vertex_part == PARTS.index(part) for part in ("head", "face"))
    front = place[:, 2] < place[head | face, 2].mean()
    level = place[face, 1].mean()
    hair = head & (place[:, 1] < level)
    skin, dark = torch.tensor([0.9, 0.7, 0.6]), torch.tensor([0.2, 0.1, 0.05])
    colour = torch.where(hair[:, None], dark, skin)
    known = (head | face) & front
    filled = _continue_rims(anny, torch.where(known[:, None], colour, torch.tensor(0.5)), known, known)
    chin = level + 0.5 * (place[face, 1].amax() - level)
    back = head & ~front & (place[:, 1] < chin)
    assert torch.equal(filled[known], colour[known])
    assert int(back.sum()) > 50
    assert (filled[back] - dark).abs().max() < 0.02


def test_an_unseen_foot_wears_the_other_shoe(anny):
    left = anny.vertex_part == PARTS.index("left_foot")
    right = anny.vertex_part == PARTS.index("right_foot")
    shoe = torch.tensor([0.1, 0.2, 0.3])
    colour = torch.where(right[:, None], shoe, torch.tensor(0.8))
    means = _part_means(anny, colour, ~left)
    assert torch.allclose(means[left], shoe.expand(int(left.sum()), 3), atol=1e-4)


@pytest.mark.parametrize(
    ("arms", "legs", "expected"),
    [
        ("skin", "jeans", "skin"),
        ("sleeve", "skin", "skin"),
        ("sleeve", "jeans", "face"),
        ("stocking", "stocking", "face"),
    ],
)
def test_unseen_hands_look_like_bare_limbs_or_else_like_the_face(anny, arms, legs, expected):
    """The face is in a hat's shade; stockings have skin's hue and are much darker."""
    colours = {
        "face": torch.tensor([0.5, 0.375, 0.325]),
        "skin": torch.tensor([0.8, 0.6, 0.52]),
        "sleeve": torch.tensor([0.1, 0.1, 0.12]),
        "jeans": torch.tensor([0.2, 0.3, 0.5]),
        "stocking": torch.tensor([0.2, 0.15, 0.13]),
    }
    colour = torch.full((len(anny.vertex_part), 3), 0.5)
    hands = torch.zeros(len(anny.vertex_part), dtype=torch.bool)
    for number, part in enumerate(PARTS):
        own = anny.vertex_part == number
        hands |= own & part.endswith("hand")
        worn = arms if part.endswith("arm") else legs if part.endswith("leg") else part
        colour[own] = colours.get(worn, torch.tensor([0.3, 0.6, 0.3]))
    made_up = _part_means(anny, colour, ~hands)[hands]
    assert torch.allclose(made_up, colours[expected].expand_as(made_up), atol=1e-4)


def test_a_made_up_shoe_does_not_fade_into_the_trousers(anny):
    """The front is seen; behind, leg and shoe meet as sharply, and a strap's colour stays apart from the shoe's."""
    flat = unwrap(anny, 512)
    blue, brown, black = torch.tensor([0.1, 0.2, 0.6]), torch.tensor([0.6, 0.3, 0.1]), torch.tensor([0.05, 0.05, 0.05])
    foot = torch.zeros_like(flat.part, dtype=torch.bool)
    for side in ("left", "right"):
        foot |= flat.part == PARTS.index(f"{side}_foot")
    colours = torch.where(foot[:, None], brown, blue)
    strap = foot & (flat.place[:, 1] > flat.place[foot, 1].median())
    colours[strap] = black
    seen = (flat.place[:, 2] < flat.place[foot, 2].mean()).float()[:, None]
    spread = [flat.spread(values) for values in (colours, seen, seen, torch.zeros_like(seen))]
    filled = flat.take(fill_atlas(anny, TextureAtlas(*spread, flat.covered)).colours)
    hidden = foot & (seen[:, 0] == 0)
    apart = torch.stack([(filled[hidden] - colour).abs().amax(1) for colour in (brown, black)]).amin(0)
    assert int(hidden.sum()) > 1000
    assert apart.gt(0.1).float().mean() < 0.2
