import copy
import math

import pytest
import torch

from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.extension import inflated_shell
from liquidwarp.flow.mesh.stage import Stage
from liquidwarp.flow.mesh.texture import blend_weights, grow_colours
from liquidwarp.flow.render import render_person, render_warp, without_specks
from liquidwarp.flow.sources import prepare_sources
from liquidwarp.flow.unseen.atlas import fill_atlas, merge_texture
from liquidwarp.geometry.masks import dilate, erode
from liquidwarp.geometry.rotations import rotvec_to_matrix

from .conftest import box_params
from .test_compose import SIZE, coverage, prepared


def test_erode_and_grow():
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., 5:15, 5:15] = 1
    assert erode(mask, 2).sum() == 36
    assert dilate(mask, 2).sum() == 14 * 14
    image = torch.where(mask > 0, torch.full((1,), 0.3), torch.full((1,), 0.9)).expand(-1, 3, -1, -1)
    assert torch.allclose(grow_colours(image, mask), torch.full((1, 3, 20, 20), 0.3), atol=1e-5)
    assert torch.equal(grow_colours(image, torch.zeros_like(mask)), image)


def test_grown_colours_come_from_nearby():
    mask = torch.zeros(1, 1, 16, 64)
    mask[..., 24:40] = 1
    image = torch.zeros(1, 3, 16, 64)
    image[..., 32:] = 1
    grown = grow_colours(image, mask)
    assert grown[..., 20:24].max() < 0.05
    assert grown[..., 40:44].min() > 0.95


def test_blend_prefers_one_source():
    visible = torch.tensor([1.0, 1.0, 0.0]).view(1, 3, 1, 1)
    weights = blend_weights(visible, torch.tensor([0.9, 0.5, 1.0]).view(1, 3, 1, 1)).flatten()
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > 0.9
    assert weights[2] == 0
    assert blend_weights(visible * 0, visible).abs().max() == 0


def test_what_a_source_hardly_sees_comes_from_another():
    """Where a photo's part of the head ends it is seen by 1 %, but from a better side."""
    visible = torch.tensor([1.0, 0.01]).view(1, 2, 1, 1)
    better = torch.tensor([0.1, 0.3]).view(1, 2, 1, 1)
    assert blend_weights(visible, better)[0, 0] > 0.99
    assert blend_weights(torch.ones_like(visible), better)[0, 1] > 0.99


def test_two_half_visible_sources_make_one_texture(box_body):
    bodies = [box_params(), box_params(turn=(0, math.pi, 0))]
    colours = torch.tensor([[1.0, 0, 0], [0, 0, 1]])[:, :, None, None].expand(-1, -1, *SIZE).contiguous()
    # The box's UVs lay its front over its back: give each its own half, and its other sides no room.
    model = copy.copy(box_body)
    depth = model.tensors.template[:, 2]
    of_face = depth[model.faces]
    flat = (of_face == of_face[:, :1]).all(1) & (of_face[:, 0].abs() > 0.09)
    model.uv = torch.stack([model.uv[:, 0] / 2 + 0.5 * (depth < 0), model.uv[:, 1]], 1)
    model.face_uv = torch.where(flat[:, None], model.faces, 0)
    sources = prepared(model, *bodies, images=colours)
    atlas = merge_texture(sources, 128)
    single = merge_texture(prepared(model, bodies[0], images=colours[:1]), 128)
    centre_front, centre_back = (64, 64 + 30), (64, 30)
    assert torch.allclose(atlas.colours[0, :, centre_front[0], centre_front[1]], colours[0, :, 0, 0], atol=1e-3)
    assert torch.allclose(atlas.colours[0, :, centre_back[0], centre_back[1]], colours[1, :, 0, 0], atol=1e-3)
    assert atlas.confidence[0, 0, centre_back[0], centre_back[1]] > 0.9
    assert single.confidence[0, 0, centre_back[0], centre_back[1]] == 0
    assert single.colours[0, :, centre_back[0], centre_back[1]].abs().max() == 0


def test_fill_gives_hidden_sides_a_plausible_colour(box_body):
    image = torch.tensor([0.2, 0.5, 0.7])[None, :, None, None].expand(1, -1, *SIZE).contiguous()
    sources = prepared(box_body, box_params(), images=image)
    atlas = fill_atlas(box_body, merge_texture(sources, 128))
    assert (atlas.colours - image[..., :1, :1]).abs().max() < 0.02
    background = torch.ones(1, 3, *SIZE)
    picture, matte = render_warp(sources, box_params(turn=(0, math.pi, 0)), atlas, background)
    inside = (matte > 0.99).expand(-1, 3, -1, -1)
    assert inside.sum() > 1000
    assert (picture - image)[inside].abs().max() < 0.05


def test_colours_are_straight(box_body):
    """At the soft rim the colour stays the person's own: laid over any background it leaves no dark edge."""
    image = torch.full((1, 3, *SIZE), 0.8)
    sources = prepared(box_body, box_params(), images=image)
    atlas = fill_atlas(box_body, merge_texture(sources, 64))
    colours, mattes = render_person(
        sources, Stage.of(sources.model, box_params((0, 0, 0.4), turn=(0, 0, 0.2)), SIZE), atlas
    )
    soft = ((mattes > 0.1) & (mattes < 0.9)).expand(-1, 3, -1, -1)
    assert soft.sum() > 30
    assert (colours[soft] - 0.8).abs().max() < 0.02
    assert colours[(mattes == 0).expand_as(colours)].abs().max() == 0


def test_limb_near_the_chest_lends_it_nothing(box_body):
    """Places next to another limb are seen, but their colours are not copied elsewhere."""
    apart, close = prepared(box_body, box_params()), prepared(box_body, arm_before_chest())
    torso = box_body.vertex_part == PARTS.index("torso")
    front = torso & (box_body.tensors.template[:, 2] < -0.09)
    assert apart.clear[0, 0, front].mean() > 0.9
    assert close.clear[0, 0, front].mean() < close.body[0, 0, front, 2].mean() - 0.005


def test_own_pose_returns_the_photo(box_body):
    body = box_params((0.0, 0.0, 0.2))
    # A gentle ramp, as colours that are unlike those near them but like a limb's count as stains.
    down, right = (torch.linspace(0.4, 0.6, side) for side in SIZE)
    image = torch.stack([down[:, None].expand(SIZE), right.expand(SIZE), torch.full(SIZE, 0.3)])[None]
    matte = coverage(box_body, body)
    background = torch.full((1, 3, *SIZE), 0.5)
    sources = prepared(box_body, body, images=image)
    atlas = fill_atlas(box_body, merge_texture(sources, 64))
    picture, opacity = render_warp(sources, body, atlas, background)
    inner = erode(matte, 2).expand(-1, 3, -1, -1) > 0
    assert (picture - image)[inner].abs().max() < 0.02
    outside = (dilate(matte, 2) == 0).expand(-1, 3, -1, -1)
    assert torch.equal(picture[outside], background[outside])
    assert (opacity - matte).abs().mean() < 0.03


def test_background_never_bleeds_into_the_person(box_body):
    """The photo's background is bright green: no pixel of a new pose may be."""
    body = box_params()
    matte = coverage(box_body, body)
    green = torch.tensor([0.0, 1, 0])[None, :, None, None]
    grey = torch.full((1, 3, 1, 1), 0.5)
    blurred = torch.nn.functional.avg_pool2d(matte, 3, 1, 1)
    image = blurred * grey + (1 - blurred) * green
    extension = inflated_shell(box_body)
    sources = prepare_sources(box_body, extension, body, image, matte)
    atlas = fill_atlas(box_body, merge_texture(sources, 64))
    targets = box_params((0, 0, 0.5), (0.4, 0.3, 1.0), (0, 0, -0.4), turn=(0, 0.5, 0))
    pictures, _ = render_warp(sources, targets, atlas, grey.expand(1, 3, *SIZE).contiguous())
    assert (pictures - 0.5).abs().max() < 0.03


def arm_before_chest():
    """The arm raised across the chest and turned towards the camera."""
    body = box_params()
    across = rotvec_to_matrix(torch.tensor([0.0, 0.0, math.pi / 2]))
    body.rel_rotmats[0, 1] = rotvec_to_matrix(torch.tensor([0.0, -0.5, 0.0])) @ across
    return body


def test_limb_before_the_torso(box_body):
    """The arm, painted red, is turned before the chest: there it hides the torso."""
    body = box_params()
    columns = torch.arange(SIZE[1]) + 0.5
    image = torch.zeros(1, 3, *SIZE)
    image[:, 0] = (columns > 48).float()
    image[:, 2] = (columns <= 48).float()
    sources = prepared(box_body, body, images=image)
    atlas = fill_atlas(box_body, merge_texture(sources, 64))
    raised = arm_before_chest()
    picture, _ = render_warp(sources, raised, atlas, torch.ones(1, 3, *SIZE))
    # The arm's far part lies over the torso at the height of the shoulder, 12 px above the middle.
    assert picture[0, 0, 20, 36] > 0.8
    assert picture[0, 2, 20, 36] < 0.2
    assert picture[0, 2, 40, 36] > 0.8


def test_specks_go_and_larger_pieces_stay():
    matte = torch.zeros(1, 1, 80, 80)
    matte[..., 10:70, 20:40] = 1
    matte[..., 10:30, 50:60] = 0.8  # a hand cut off by a sleeve, say
    clean = matte.clone()
    matte[..., 50:53, 50:53] = 0.9
    matte[..., 50:53, 53] = 0.05
    matte[..., 10:70, 40] = 0.05  # the person's own soft edge
    clean[..., 10:70, 40] = 0.05
    assert torch.equal(without_specks(matte), clean)
    assert torch.equal(without_specks(clean), clean)
    assert torch.equal(without_specks(clean * 0), clean * 0)
