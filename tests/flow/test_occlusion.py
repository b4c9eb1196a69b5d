"""An arm before the body leaves no rest of its colours there, and the shirt beside it is kept."""

from dataclasses import replace
from math import pi

import numpy as np
import pytest
import torch

from liquidwarp.body.linear import LinearBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.flow.mesh.stage import Stage
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.render import render_person
from liquidwarp.flow.seen.occlusion import _NOWHERE, _arms_shown, _hands_shown
from liquidwarp.flow.sources import prepare_sources
from liquidwarp.flow.unseen.atlas import fill_atlas, merge_texture
from liquidwarp.geometry.masks import dilate
from liquidwarp.geometry.raster import rasterize

from .conftest import box_params

SIZE = 128
BEFORE = (-0.6 * pi / 2, 0.0, 0.8 * pi / 2)
"""Turns the arm before the trunk."""
SHIRT, SKIN = np.array([0.8, 0.1, 0.2], np.float32), np.array([0.9, 0.7, 0.6], np.float32)


@pytest.fixture(scope="module")
def crossed(box_body):
    """A photo with the arm before the trunk."""
    body = box_params(BEFORE, scale=100.0, at=(64.0, 64.0))
    raster = rasterize(project_bodies(box_body, no_extension(box_body), body).body, box_body.faces, SIZE, SIZE)
    of_arm = (box_body.face_part == PARTS.index("left_upper_arm"))[raster.pix_to_face.clamp(min=0)]
    photo = torch.where(of_arm[..., None], torch.from_numpy(SKIN), torch.from_numpy(SHIRT)).permute(0, 3, 1, 2)
    matte = raster.covered[:, None].float()
    return prepare_sources(box_body, no_extension(box_body), body, photo * matte, matte)


def rest_of_arm(sources, body):
    """How many pixels of the trunk have the arm's colour when the arm hangs beside it."""
    atlas = fill_atlas(sources.model, merge_texture(sources))
    picture = render_person(sources, Stage.of(sources.model, body, (SIZE, SIZE)), atlas)[0][0].permute(1, 2, 0).numpy()
    trunk = picture[20:108, 36:92]
    return int((np.abs(trunk - SHIRT).max(2) > 0.25).sum())


def test_an_arm_leaves_no_rest_on_the_trunk(box_body, crossed):
    hanging = box_params((0.0, 0.0, 0.0), scale=100.0, at=(64.0, 64.0))
    assert rest_of_arm(replace(crossed, occlusion=None), hanging) > 20
    assert rest_of_arm(crossed, hanging) == 0


def test_the_photos_own_view_is_kept(box_body, crossed):
    body = box_params(BEFORE, scale=100.0, at=(64.0, 64.0))
    atlas = fill_atlas(box_body, merge_texture(crossed))
    drawn, matte = render_person(crossed, Stage.of(crossed.model, body, (SIZE, SIZE)), atlas)
    apart = (drawn - crossed.colours[0]).abs().amax(1) * (matte[:, 0] > 0.9)
    assert (apart > 0.35).float().mean() < 0.001  # edges between the arm and the trunk are soft


def arm_in(photo_rows, spot=False, arm_colour=SKIN):
    """Depth of the arm shown at each pixel where the fitted arm covers rows 40 to 60, and the photo's other rows."""
    depth = np.ones((SIZE, SIZE), np.float32)
    arm = np.zeros((SIZE, SIZE), bool)
    arm[40:60] = True
    depth[arm] = 0.9
    photo = np.broadcast_to(SHIRT, (SIZE, SIZE, 3)).copy()
    photo[photo_rows] = arm_colour
    if spot:
        photo[34:37, 60:63] = arm_colour
    return _arms_shown(depth, np.ones_like(arm), arm, photo)[:, SIZE // 2 - 3]


def test_the_edge_of_a_misfitted_arm_follows_the_photo():
    shown = arm_in(slice(43, 63))
    assert (shown[43:63] < 1).all()
    assert (shown[:41] == _NOWHERE).all()
    assert (shown[65:] == _NOWHERE).all()


def test_what_the_colours_do_not_tell_is_as_fitted():
    shown = arm_in(slice(43, 63), arm_colour=SHIRT)
    assert (shown[41:59] < 1).all()
    assert (shown[:38] == _NOWHERE).all()
    assert (shown[62:] == _NOWHERE).all()


def test_a_spot_of_the_arms_colour_is_the_shirts():
    assert (arm_in(slice(40, 60), spot=True)[30:38] == _NOWHERE).all()


FLAT = (-0.18 * pi / 2, 0.0, 0.8 * pi / 2)
"""Turns the arm before the trunk, but so that it touches it."""


@pytest.fixture(scope="module")
def with_hand(box_body):
    """A body whose arm is a hand altogether."""
    hand = PARTS.index("left_hand")
    tensors = box_body.tensors
    changed = replace(
        tensors,
        face_part=torch.where(tensors.face_part == PARTS.index("left_upper_arm"), hand, tensors.face_part),
        vertex_part=torch.where(tensors.vertex_part == PARTS.index("left_upper_arm"), hand, tensors.vertex_part),
    )
    model = box_body
    return LinearBody("hand", model.joint_names, model.parents, model.beta_names, changed, model.roles, {})


def touching(model, wider):
    """A photo in which a hand that is wider than the fitted one lies on the trunk, and its body."""
    body = box_params(FLAT, scale=100.0, at=(64.0, 64.0))
    raster = rasterize(project_bodies(model, no_extension(model), body).body, model.faces, SIZE, SIZE)
    hand = (model.face_part == PARTS.index("left_hand"))[raster.pix_to_face.clamp(min=0)] & raster.covered
    hand = dilate(hand[:, None].float(), wider)[:, 0] > 0.5
    photo = torch.where(hand[..., None], torch.from_numpy(SKIN), torch.from_numpy(SHIRT)).permute(0, 3, 1, 2)
    matte = raster.covered[:, None].float()
    return prepare_sources(model, no_extension(model), body, photo * matte, matte), body


def test_a_hand_that_touches_the_body_leaves_no_rest_on_it(with_hand):
    hanging = box_params((0.0, 0.0, 0.0), scale=100.0, at=(64.0, 64.0))
    sources, _ = touching(with_hand, 2)
    by_depth = replace(sources.occlusion, hands=torch.zeros_like(sources.occlusion.hands))
    assert rest_of_arm(replace(sources, occlusion=by_depth), hanging) > 100
    assert rest_of_arm(sources, hanging) == 0


def test_a_hand_that_stays_where_it_was_keeps_its_rim(with_hand):
    sources, body = touching(with_hand, 2)
    atlas = fill_atlas(with_hand, merge_texture(sources))
    shown = sources.occlusion.hands[0, 0, 0] > 0.5
    shown &= sources.mattes[0, 0, 0] > 0.9

    def skin(poses):
        drawn = render_person(sources, Stage.of(sources.model, poses, (SIZE, SIZE)), atlas)[0][0].permute(1, 2, 0)
        return float(((drawn - torch.from_numpy(SKIN)).abs().amax(2) < 0.2)[shown].float().mean())

    assert skin(body) > 0.93
    elsewhere = box_params((FLAT[0], 0.0, 0.6 * pi / 2), scale=100.0, at=(64.0, 64.0))
    assert skin(elsewhere) < 0.4


def test_what_is_between_fingers_is_the_hands_and_its_colours_go_on():
    hand = np.zeros((512, 512), bool)
    hand[160:240, 240:246] = hand[160:240, 250:256] = True
    photo = np.broadcast_to(SHIRT, (512, 512, 3)).copy()
    photo[160:240, 236:260] = SKIN
    photo[180:200, 246:250] = SHIRT
    photo[100:108, 244:252] = SKIN
    shown = _hands_shown(hand, ~hand, photo) > 0
    assert shown[164:236, 237:259].all()
    for beyond in (shown[:150], shown[250:], shown[:, :228], shown[:, 268:]):
        assert not beyond.any()
    assert not _hands_shown(np.zeros_like(hand), ~hand, photo).any()
