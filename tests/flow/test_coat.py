"""Open coats: the hidden back takes the coat's colours, not those of what is worn below."""

import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.clothes.halo import halo
from liquidwarp.flow.colours.cloth import same_cloth, usual_cloth
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.flow.mesh.surface import project_bodies, rest_coordinates
from liquidwarp.flow.sources import prepare_sources
from liquidwarp.flow.unseen.atlas import fill_atlas, merge_texture
from liquidwarp.flow.unseen.coat import below_coat, beside_body, covered_rows, find_coat
from liquidwarp.flow.unseen.tubes import COLUMNS, ROWS
from liquidwarp.geometry.camera import WeakPerspective, pixels_to_ndc
from liquidwarp.geometry.raster import interpolate, rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.geometry.warp import sample_at

BROWN, BLUE, SKIN = (np.array(colour) for colour in ((0.5, 0.33, 0.27), (0.1, 0.15, 0.45), (0.85, 0.66, 0.55)))
GREY, WHITE = (np.full(3, value) for value in (0.43, 0.88))
PINK, DARK_RED, BLACK = (np.array(colour) for colour in ((0.91, 0.09, 0.44), (0.68, 0.0, 0.04), (0.03, 0.03, 0.04)))
SIZE = 160


def front(middle=BLUE, sides=BROWN, length=1.0, seen=0.24):
    """Cells and colours of a torso's front; a coat of this share of its height that is open in the middle."""
    row, column = (axis.ravel() for axis in np.mgrid[0:ROWS:2, 0:COLUMNS:2])
    around = np.abs(column / COLUMNS - 0.5)
    shown = around < seen
    coat = (around > 0.1) & (row < length * ROWS)
    colours = np.where(coat[:, None], sides, middle)
    return np.stack([row, column], 1)[shown].astype(float), colours[shown]


def shaded_shirt(lit, shade, passage, seen=0.24):
    """A closed shirt of which one side is lit; its colours pass over to the shade's in this share of the turn."""
    cells, _ = front(seen=seen)
    share = ((cells[:, 1] / COLUMNS - 0.5) / passage + 0.5).clip(0, 1)[:, None]
    return cells, (1 - share) * lit + share * shade


def sleeves(colour=BROWN):
    light = np.random.default_rng(0).uniform(0.8, 1.2, (200, 1))
    return colour * light


def test_a_coat_is_known_by_its_sleeves_and_what_is_below_it_lends_nothing():
    cells, colours = front(length=0.6)
    coat = find_coat(cells, colours, sleeves())
    assert coat is not None
    assert np.abs(coat - BROWN).max() < 0.05
    below = below_coat(cells, colours, coat)
    blue = (colours == BLUE).all(1)
    inside, under = cells[:, 0] < 0.55 * ROWS, cells[:, 0] > 0.65 * ROWS
    assert below[blue & inside].all()
    assert not below[blue & under].any()  # trousers go on around as they are
    assert not below[~blue].any()
    assert below_coat(cells, colours, coat, goes_on=True)[blue & under].all()


@pytest.mark.parametrize(
    ("torso", "arms"),
    [
        (front(), sleeves(SKIN)),  # bare arms tell nothing
        (front(sides=BLUE), sleeves()),  # only the sleeves have another colour
        (front(middle=BROWN * 0.8), sleeves()),  # closed, with a fold in the middle
        (front(length=0.15), sleeves()),  # a collar
        (front(seen=0.5), sleeves()),  # the back is seen
        (front(), np.concatenate([sleeves(BROWN), sleeves(BLUE), sleeves(SKIN)])),  # no common colour
    ],
)
def test_what_is_no_coat(torso, arms):
    assert find_coat(*torso, arms) is None


@pytest.mark.parametrize("hidden", [0.4, 0.95])
def test_rows_whose_border_an_arm_hides_have_no_say_unless_they_are_nearly_all(hidden):
    cells, colours = front()
    place = cells[:, 1] / COLUMNS - 0.5
    arm = (np.abs(place) > 0.06) & (place < 0.16) & (cells[:, 0] < hidden * ROWS)  # and the whole other side
    coat = find_coat(cells[~arm], colours[~arm], sleeves())
    assert (coat is not None) == (hidden < 0.5)


def test_a_saturated_shirt_with_shaded_sides_is_no_coat():
    cells, _ = front()
    around = np.abs(cells[:, 1] / COLUMNS - 0.5)
    share = (around / 0.18).clip(0, 1)[:, None]
    for middle, sides in ((PINK, DARK_RED), (DARK_RED, PINK)):
        colours = (1 - share) * middle + share * sides
        assert not same_cloth(sides[None], middle, 2.0)  # by colour alone two cloths
        assert find_coat(cells, colours, sleeves(sides)) is None


@pytest.mark.parametrize("lit", [PINK, DARK_RED])
def test_nor_is_one_that_is_lit_from_one_side(lit):
    cells, colours = shaded_shirt(PINK, DARK_RED, 0.25)
    assert find_coat(cells, colours, sleeves(lit)) is None


def test_an_arm_that_stayed_on_a_shaded_shirt_makes_no_coat_of_it():
    cells, colours = shaded_shirt(PINK, DARK_RED, 0.25)
    arm = (np.abs(cells[:, 0] - 0.4 * ROWS) < 0.1 * ROWS) & (np.abs(cells[:, 1] / COLUMNS - 0.45) < 0.1)
    colours[arm] = SKIN
    assert find_coat(cells, colours, sleeves(PINK)) is None


@pytest.mark.parametrize("blur", [0, 4])
@pytest.mark.parametrize("sides", [BROWN, PINK])
def test_a_coat_over_a_dark_top_is_one_also_in_a_blurred_photo(sides, blur):
    cells, _ = front()
    around = np.abs(cells[:, 1] - COLUMNS / 2)
    share = ((around - 0.1 * COLUMNS) / max(2 * blur, 1e-3) + 0.5).clip(0, 1)[:, None]
    coat = find_coat(cells, (1 - share) * BLACK + share * sides, sleeves(sides))
    assert coat is not None
    assert np.abs(coat - sides).max() < 0.1


def test_a_grey_jacket_over_white_is_one_by_its_two_lines():
    """By colour alone it may be light and shade, and light may draw one line: an arm's shadow."""
    assert same_cloth(WHITE[None], GREY, 2.0)
    cells, colours = front(middle=WHITE, sides=GREY)
    coat = find_coat(cells, colours, sleeves(GREY))
    assert coat is not None
    assert np.abs(coat - GREY).max() < 0.05
    share = ((cells[:, 1] / COLUMNS - 0.5) / 0.3).clip(0, 1)[:, None]
    right = cells[:, 1] > COLUMNS / 2
    colours[right] = ((1 - share) * WHITE + share * GREY)[right]
    assert find_coat(cells, colours, sleeves(GREY)) is None


def test_rows_are_covered_where_the_coat_is():
    cells = np.stack([np.repeat(np.arange(20, 60), 3), np.tile([10.0, 11.0, 12.0], 40)], 1)
    rows = covered_rows(cells)
    assert rows[22:58].all()
    assert not rows[:16].any()
    assert not rows[64:].any()


def test_light_and_shade_are_one_cloth():
    assert same_cloth(np.stack([BROWN * 0.7, BROWN * 1.4]), BROWN).all()
    assert not same_cloth(np.stack([BLUE, BROWN * 0.3]), BROWN).any()
    assert usual_cloth(np.zeros((0, 3))) is None


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def test_the_back_of_an_open_coat_is_the_coats(anny):
    rotvec = torch.zeros(1, len(anny.joint_names), 3)
    for side, sign in (("L", 1), ("R", -1)):
        rotvec[0, anny.joint_names.index(f"upperarm01.{side}"), 2] = 0.2 * sign
    body = BodyParams(
        torch.zeros(len(anny.beta_names)),
        rotvec_to_matrix(rotvec),
        WeakPerspective(torch.tensor([85.0]), torch.tensor([[SIZE / 2, SIZE / 2]])),
    )
    place = rest_coordinates(anny)
    colours = torch.tensor(SKIN).float().expand(len(place), 3).clone()
    coated = torch.isin(
        anny.vertex_part, torch.tensor([i for i, p in enumerate(PARTS) if p == "torso" or p.endswith("arm")])
    )
    colours[coated] = torch.tensor(BROWN).float()
    torso = anny.vertex_part == PARTS.index("torso")
    open_in_front = torso & (place[:, 2] < place[torso, 2].mean() + 0.05)
    open_in_front &= (place[:, 0].abs() < 0.06) | ((place[:, 0] > 0) & (torch.sin(place[:, 1] * 60) > 0))  # torn
    colours[open_in_front] = torch.tensor(BLUE).float()
    thighs = [anny.vertex_part == PARTS.index(f"{side}_upper_leg") for side in ("left", "right")]
    colours[thighs[0] & (place[:, 0] > place[thighs[0], 0].mean() + 0.02)] = torch.tensor(BROWN).float()
    surface = project_bodies(anny, no_extension(anny), body)
    raster = rasterize(surface.body, anny.faces, SIZE, SIZE)
    image = interpolate(colours[None], anny.faces, raster).permute(0, 3, 1, 2)
    sources = prepare_sources(anny, no_extension(anny), body, image, raster.covered[:, None].float())
    filled = fill_atlas(anny, merge_texture(sources), beside_body(sources))
    uv = anny.uv.new_zeros(len(place), 2)
    uv[anny.faces.reshape(-1)] = anny.uv[anny.face_uv.reshape(-1)]
    at = sample_at(filled.colours, pixels_to_ndc(uv[None], 1, 1))[0].T.double().numpy()
    behind = (surface.normals[0, :, 2] > 0.3) & (uv.sum(1) > 0)
    assert same_cloth(at[(torso & behind).numpy()], BROWN).mean() > 0.75
    for thigh in thighs:  # a coat that long hangs behind both
        assert same_cloth(at[(thigh & behind).numpy()], BROWN).mean() > 0.75


def test_beside_the_body_are_the_halos_colours(anny):
    body = BodyParams(
        torch.zeros(len(anny.beta_names)),
        torch.eye(3).expand(1, len(anny.joint_names), 3, 3),
        WeakPerspective(torch.tensor([85.0]), torch.tensor([[SIZE / 2, SIZE / 2]])),
    )
    raster = rasterize(project_bodies(anny, no_extension(anny), body).body, anny.faces, SIZE, SIZE)
    matte = raster.covered[:, None].float()
    hips = slice(SIZE // 2 - 4, SIZE // 2 + 22)
    matte[:, :, hips, 52:108] = 1
    image = torch.full((1, 3, SIZE, SIZE), 0.5)
    image[:, :, hips, :60] = torch.tensor(BROWN).float()[:, None, None]
    sources = prepare_sources(anny, halo(anny, body, matte), body, image, matte)
    beside = beside_body(sources)
    right = beside.places[:, 0] < -0.29  # of the picture's left
    assert right.sum() > 10
    assert same_cloth(beside.colours[right].astype(float), BROWN).mean() > 0.9
    assert not same_cloth(beside.colours[beside.places[:, 0] > 0.2].astype(float), BROWN).any()
    assert len(beside_body(prepare_sources(anny, no_extension(anny), body, image, matte)).places) == 0
