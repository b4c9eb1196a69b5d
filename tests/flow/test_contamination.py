import math

import torch

from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.extension import no_extension
from liquidwarp.flow.sources import prepare_source_batch, prepare_sources
from liquidwarp.flow.surface import project_bodies
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
