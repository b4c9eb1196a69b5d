import math

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.flow.mesh.surface import project_bodies, rest_coordinates
from liquidwarp.flow.mesh.visibility import apart_from_limbs
from liquidwarp.flow.seen.contamination import own_colours, skin_of_an_arm
from liquidwarp.flow.sources import prepare_source_batch, prepare_sources
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.geometry.warp import sample_at

from .conftest import box_params

SIZE = (256, 256)
RED, BLUE = torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.8])


def arm_across(lift: float) -> BodyParams:
    """The arm before the chest, ``lift`` [rad] higher than level."""
    body = box_params(scale=160.0, at=(128.0, 128.0))
    across = rotvec_to_matrix(torch.tensor([0.0, 0.0, math.pi / 2 + lift]))
    body.rel_rotmats[0, 1] = rotvec_to_matrix(torch.tensor([0.0, -0.5, 0.0])) @ across
    return body


def photo(model, body, background=0.5):
    """A red torso and a blue arm."""
    vertices = body.camera.project(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices)
    raster = rasterize(vertices, model.faces, *SIZE)
    arm = (model.face_part[raster.pix_to_face.clamp(min=0)] == PARTS.index("left_upper_arm"))[:, None]
    person = torch.where(arm, BLUE[None, :, None, None], RED[None, :, None, None])
    matte = raster.covered[:, None].float()
    return torch.where(matte > 0, person, torch.tensor(background)), matte


def uncleaned(model, body, image, matte):
    surface = project_bodies(model, no_extension(model), body)
    return prepare_source_batch(model, no_extension(model), surface, image[None], matte[None])


def test_an_arm_that_is_not_where_it_was_fitted_does_not_colour_the_chest(box_body):
    image, matte = photo(box_body, arm_across(0.0))
    torso = box_body.vertex_part == PARTS.index("torso")
    front = torso & (box_body.tensors.template[:, 2] < -0.09)
    stained, left, kept = 0, 0, []
    for lift in (-0.12, -0.09, -0.06, 0.06, 0.09, 0.12):
        fitted = arm_across(lift)
        sources = prepare_sources(box_body, no_extension(box_body), fitted, image, matte)
        shown = sample_at(image, sources.body[0, :1, :, :2])[0].T
        visible = sources.body[0, 0, :, 2] > 0.5
        before = uncleaned(box_body, fitted, image, matte).body[0, 0, :, 2] > 0.5
        blue = (shown[:, 2] > 0.5) & front & before
        stained, left = stained + int(blue.sum()), left + int((blue & visible).sum())
        kept.append(visible[(shown[:, 0] > 0.75) & front & before].float().mean())
    assert stained > 5
    assert left == 0, (left, stained)
    assert min(kept) > 0.85


def test_nothing_is_lost_where_the_fit_is_exact(box_body):
    body = arm_across(0.0)
    image, matte = photo(box_body, body)
    cleaned = prepare_sources(box_body, no_extension(box_body), body, image, matte).body[0, 0, :, 2]
    before = uncleaned(box_body, body, image, matte).body[0, 0, :, 2]
    assert ((before > 0.5) & (cleaned < 0.4)).float().mean() < 0.02


def test_background_at_the_side_is_not_cloth(box_body):
    """The fitted torso is broader than the true one: its edge shows a green wall."""
    true = box_params(scale=160.0, at=(128.0, 128.0))
    image, matte = photo(box_body, true)
    green = torch.tensor([0.1, 0.9, 0.2])[None, :, None, None]
    image = torch.where(matte > 0, image, green)
    loose = torch.nn.functional.max_pool2d(matte, 5, 1, 2)  # a matte that holds some wall
    fitted = box_params(scale=168.0, at=(128.0, 128.0))
    sources = prepare_sources(box_body, no_extension(box_body), fitted, image, loose)
    shown = sample_at(image, sources.body[0, :1, :, :2])[0].T
    visible = sources.body[0, 0, :, 2] > 0.5
    wall = shown[:, 1] > 0.8
    before = uncleaned(box_body, fitted, image, loose).body[0, 0, :, 2] > 0.5
    assert int((wall & before).sum()) > 50
    assert int((wall & visible).sum()) < 0.2 * int((wall & before).sum())


SKIN, BLACK, BROWN, WHITE = (
    torch.tensor(c) for c in ([0.85, 0.6, 0.45], [0.1, 0.1, 0.1], [0.2, 0.35, 0.3], [0.9, 0.9, 0.9])
)


@pytest.fixture(scope="module")
def dressed():
    """The free body seen from the front in its rest pose: everything black but face, hands and arms."""
    model = AnnyBody.load()
    place = rest_coordinates(model)
    part = {name: model.vertex_part == PARTS.index(name) for name in PARTS}
    bare = part["face"] | part["left_hand"] | part["right_hand"]
    for side in ("left", "right"):
        bare = bare | part[f"{side}_upper_arm"] | part[f"{side}_lower_arm"]
    colours = torch.where(bare[:, None], SKIN, BLACK)
    chest = part["torso"] & (place[:, 1] > place[part["torso"], 1].median() - 0.1)
    side = chest & (place[:, 0] > 0.6 * place[chest, 0].max())
    return model, place, part, colours, side


def kept(model, place, colours, doubtful):
    seen = place[:, 2] < place[:, 2].mean() + 0.05
    pixels = place[:, :2] * 250 + 256
    behind = torch.tensor([0.2, 0.8, 0.2]).expand(len(place), 3)
    inside = torch.ones_like(seen)
    return seen, own_colours(model, pixels, colours, behind, seen, seen & ~doubtful, inside, 512)


def test_an_arm_taken_for_the_shirt_is_found(dressed):
    model, place, _, colours, side = dressed
    stained = torch.where(side[:, None], SKIN, colours)
    seen, own = kept(model, place, stained, side)
    assert int((side & seen).sum()) > 20
    assert (own[side & seen] < 0.1).float().mean() > 0.9
    assert (own[seen] > 0.5).float().mean() > 0.9


def test_a_coat_in_the_colour_of_its_sleeves_is_kept(dressed):
    model, place, part, colours, side = dressed
    sleeve = sum(part[f"{s}_{p}_arm"] for s in ("left", "right") for p in ("upper", "lower")) > 0
    coat = torch.where((side | sleeve)[:, None], BROWN, colours)
    seen, own = kept(model, place, coat, side)
    assert own[side & seen].min() > 0.9


def test_a_jacket_over_the_thighs_is_kept(dressed):
    model, place, part, colours, _ = dressed
    thighs = part["left_upper_leg"] | part["right_upper_leg"]
    upper = thighs & (place[:, 1] < place[thighs, 1].median())
    jacket = torch.where((part["torso"] | upper)[:, None], WHITE, colours)
    seen, own = kept(model, place, jacket, upper & (place[:, 0].abs() > 0.12))
    assert own[upper & seen].min() > 0.9


def test_a_white_sole_is_not_the_other_shoe_s(dressed):
    model, place, part, colours, _ = dressed
    foot = part["left_foot"] | part["right_foot"]
    sole = foot & (place[:, 1] > place[foot, 1].median() + 0.01)
    seen, own = kept(model, place, torch.where(sole[:, None], WHITE, colours), sole & part["left_foot"])
    assert int((sole & seen).sum()) > 20
    assert own[sole & seen].min() > 0.9


def test_near_a_limb_that_the_fit_hides(box_body):
    """The arm is behind the torso: no pixel shows it, but the fit may be wrong."""
    body = box_params(scale=160.0, at=(128.0, 128.0))
    behind = project_bodies(box_body, no_extension(box_body), body).body.clone()
    arm = box_body.vertex_part == PARTS.index("left_upper_arm")
    behind[:, arm] += torch.tensor([-80.0, 0.0, 0.5])
    near, far = apart_from_limbs(behind, box_body, SIZE, (2, 12))[:, 0]
    assert (near[arm] == 1).all()
    beside = ~arm & (behind[0, :, 0] - 128.0).abs().lt(7) & (behind[0, :, 1] - 128.0).abs().lt(40)
    assert int(beside.sum()) > 5
    assert near[beside].max() == 0
    assert far.sum() < near.sum()
    assert near[~arm & (behind[0, :, 0] < 100)].min() == 1


SHIRT = torch.tensor([0.3, 0.4, 0.6])


def in_a_shirt(model, *bare):
    """Colours of a person in a shirt; face, arms and these vertices are bare."""
    skin = torch.isin(model.vertex_part, torch.tensor([PARTS.index(p) for p in PARTS if p != "torso"]))
    for place in bare:
        skin |= place
    return torch.where(skin[:, None], SKIN, SHIRT)


def test_skin_on_the_torso_is_an_arms_only_beside_a_forearm():
    anny = AnnyBody.load()
    place = rest_coordinates(anny)
    torso = anny.vertex_part == PARTS.index("torso")
    pixels = place[:, :2] * 200 + 256
    wrist = place[anny.vertex_part == PARTS.index("left_hand")].mean(0)
    pixels[anny.vertex_part == PARTS.index("left_hand")] += (torch.tensor([0.15, -0.1]) - wrist[:2]) * 200
    beside = torso & ((place - torch.tensor([0.15, -0.1, 0.0])).norm(dim=1) < 0.1)
    neckline = torso & (place[:, 1] < -0.55) & (place[:, 0].abs() < 0.02) & (place[:, 2] < 0.1)
    belly = torso & ((place[:, 1] + 0.1).abs() < 0.1)
    sure = torch.ones_like(torso)
    stained = skin_of_an_arm(anny, pixels, in_a_shirt(anny, beside, neckline), sure, sure, 512)
    assert int(beside.sum()) > 10
    assert int(neckline.sum()) > 3
    assert stained[beside].float().mean() > 0.8
    assert not stained[neckline].any()
    glare = torch.where(beside[:, None], torch.tensor([0.93, 0.86, 0.79]), in_a_shirt(anny, neckline))
    assert skin_of_an_arm(anny, pixels, glare, sure, sure & ~beside, 512)[beside].float().mean() > 0.8
    white = torch.where(beside[:, None], torch.tensor([0.95, 0.95, 0.94]), in_a_shirt(anny, neckline))
    assert not skin_of_an_arm(anny, pixels, white, sure, sure, 512).any()
    within = belly & ((place[:, 1] + 0.1).abs() < 0.06)
    assert not skin_of_an_arm(anny, pixels, in_a_shirt(anny, belly), sure, sure, 512)[within].any()


def test_the_outline_of_an_arm_before_the_chest_does_not_take_the_chests_colour(box_body):
    """The photo's arm is a little thinner and elsewhere than the fitted one."""
    image, matte = photo(box_body, arm_across(0.0))
    arm = box_body.vertex_part == PARTS.index("left_upper_arm")
    stained, left = 0, 0
    for lift in (-0.03, 0.03):
        sources = prepare_sources(box_body, no_extension(box_body), arm_across(lift), image, matte)
        shown = sample_at(image, sources.body[0, :1, :, :2])[0].T
        before = uncleaned(box_body, arm_across(lift), image, matte).body[0, 0, :, 2] > 0.5
        red = arm & (shown[:, 0] > 0.5) & before
        stained, left = stained + int(red.sum()), left + int((red & (sources.body[0, 0, :, 2] > 0.5)).sum())
    assert stained > 10
    assert left < 0.3 * stained
