import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.surface import rest_coordinates
from liquidwarp.flow.mesh.unwrap import unwrap
from liquidwarp.flow.unseen.atlas import TextureAtlas, _continue_rims, _part_means, fill_atlas


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


def test_hair_between_two_photos_has_no_step(anny):
    """Dark hair in front, lighter hair behind, a strip at the sides that nobody shows: a slope, and the face stays.

    Of the front one half is shown; the other one is its mirror image.
    """
    flat = unwrap(anny, 512)
    head, face = (flat.part == PARTS.index(part) for part in ("head", "face"))
    level = flat.place[face, 1].mean()
    depth = (flat.place[:, 2] - flat.place[head | face, 2].mean())[:, None]
    skin, dark, light = torch.tensor([[0.85, 0.65, 0.55], [0.2, 0.13, 0.11], [0.42, 0.33, 0.24]])
    hair = torch.where(depth < 0, dark, light)
    colours = torch.where((head & (flat.place[:, 1] < level - 0.02))[:, None], hair, skin)
    strip = depth.abs() < 0.02
    seen = (~strip & ((depth > 0) | (flat.place[:, :1] > 0))).float()
    atlas = TextureAtlas(
        flat.spread(colours * seen), flat.spread(seen), flat.spread(seen), flat.spread(seen * 0), flat.covered
    )
    filled = flat.take(fill_atlas(anny, atlas).colours)
    above = head & (flat.place[:, 1] < level - 0.06) & (flat.place[:, 0] < -0.03)
    width = 0.02 / 6
    centres = torch.linspace(-0.03, 0.03, 13)
    means = [filled[above & ((depth[:, 0] - centre).abs() < width)].mean() for centre in centres]
    steps = torch.stack(means).diff() / (light - dark).mean()
    assert float(steps.sum()) == pytest.approx(1, abs=0.1)
    assert float(steps.abs().max()) < 0.5
    bare = face & (seen[:, 0] > 0)
    assert float((filled[bare] - skin).abs().max()) < 1e-3
