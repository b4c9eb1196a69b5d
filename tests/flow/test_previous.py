"""The frame before as a source: where nothing moves it lies where it was."""

import pytest
import torch

from liquidwarp.flow.clothes.halo import halo
from liquidwarp.flow.compose import compose_flow
from liquidwarp.flow.mesh.extension import inflated_shell, join_extensions, no_extension
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.previous import choice_with_frame, with_frame
from liquidwarp.flow.sources import prepare_sources
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.warp import Flow, warp

from .conftest import box_params
from .test_halo import SIZE as HALO_SIZE
from .test_halo import params, silhouette

SIZE = (64, 64)


def coverage(model, body):
    raster = rasterize(project_bodies(model, no_extension(model), body).body, model.faces, *SIZE)
    return raster.covered[:, None].float()


@pytest.fixture
def box_sources(box_body):
    """A photo from the front, and a frame with the arm swung out."""
    photo, frame = box_params(), box_params((0.0, 0.0, 0.8), at=(30.0, 33.0))
    extension = inflated_shell(box_body)
    sources = prepare_sources(box_body, extension, [photo], torch.rand(1, 3, *SIZE), coverage(box_body, photo))
    picture = torch.rand(1, 3, *SIZE)
    return sources, frame, picture, coverage(box_body, frame)


def test_without_motion_the_frame_before_is_handed_on(box_sources):
    sources, body, picture, opacity = box_sources
    flow = compose_flow(with_frame(sources, body, picture, opacity), body, SIZE)
    seen = flow.visible[:, 1:2] > 0.99
    assert seen.sum() > 0.9 * opacity.sum()
    assert (flow.grid[:, 1] - Flow.identity(*SIZE).grid)[seen[:, 0]].abs().max() < 1e-4
    carried = warp(picture, Flow(flow.grid[:, 1], flow.valid))
    assert ((carried - picture).abs() * seen).max() < 1e-3


def test_photos_are_seen_as_before(box_sources):
    sources, body, picture, opacity = box_sources
    alone = compose_flow(sources, body, SIZE)
    joined = compose_flow(with_frame(sources, body, picture, opacity), body, SIZE)
    assert joined.grid.shape[1] == 2
    both = (alone.valid & joined.valid)[:, 0]
    assert both.sum() > 0.95 * alone.valid.sum()
    same = (alone.grid[:, 0] - joined.grid[:, 0]).abs().amax(-1) < 1e-5
    assert same[both].float().mean() > 0.98  # elsewhere it is decided anew what lies in front
    assert (alone.visible[:, 0] == joined.visible[:, 0])[both].float().mean() > 0.98


def test_a_halo_of_a_photo_is_found_in_the_frame(anny):
    bodies = [params(anny, yaw) for yaw in (0.0, 0.4)]
    mattes = torch.cat([silhouette(anny, body) for body in bodies]).float()
    mattes = torch.nn.functional.max_pool2d(mattes, 13, 1, 6)
    extension = join_extensions([inflated_shell(anny), halo(anny, bodies, mattes)])
    sources = prepare_sources(anny, extension, bodies, torch.rand(2, 3, *HALO_SIZE), mattes)
    alone = compose_flow(sources, bodies[0], HALO_SIZE)
    joined = compose_flow(
        with_frame(sources, bodies[0], torch.rand(1, 3, *HALO_SIZE), mattes[:1]), bodies[0], HALO_SIZE
    )
    around = (alone.condition[:, 7] > 0) & (mattes[0] > 0.5)
    assert around.sum() > 100
    assert (joined.visible[:, 2][around] > 0.5).float().mean() > 0.8
    assert (joined.condition[:, 7] > 0)[around].float().mean() > 0.95  # it still lies in front


def test_a_choice_among_photos_leaves_the_frame_free():
    assert choice_with_frame(None, 2, "cpu") is None
    weights = choice_with_frame({"left_hand": 1}, 2, "cpu")
    assert weights.shape[0] == 3
    assert (weights[2] == 1).all()
    assert (weights[0] == 0).sum() == 1
    assert torch.equal(choice_with_frame(weights[:2], 2, "cpu"), weights)
