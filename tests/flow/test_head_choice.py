"""Heads: each picture takes that of the photo from the most similar side, a video changes over seldom and softly."""

import math

import pytest
import torch
from tests.flow.conftest import box_params

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.mesh.unwrap import unwrap
from liquidwarp.flow.seen.head_choice import (
    HeadMemory,
    HeadViews,
    choose_heads,
    head_directions,
    head_weights,
    select_views,
)
from liquidwarp.flow.sources import prepare_plain_sources, prepare_sources
from liquidwarp.flow.unseen.atlas import fill_atlas, merge_texture
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import interpolate, rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.renderers import TextureRenderer, head_plan

SIZE = 128


def directions(*degrees):
    """Sides from which a head is seen, around the vertical."""
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
    return torch.stack([angle.sin(), torch.zeros_like(angle), -angle.cos()], 1)


def views(*degrees, penalty=None):
    count = len(degrees)
    nothing = torch.zeros(count, count, 1)
    extra = torch.zeros(count) if penalty is None else torch.tensor(penalty)
    return HeadViews(torch.arange(count), directions(*degrees), extra, nothing, nothing, nothing)


def test_a_direction_is_the_cameras_in_the_heads_frame(box_body):
    turned = box_params((0.0, 0.0, 0.0), turn=(0.0, 0.5, 0.0))
    there = head_directions(box_body, turned.rel_rotmats)[0]
    assert torch.allclose(rotvec_to_matrix(torch.tensor([0.0, 0.5, 0.0])) @ there, torch.tensor([0.0, 0.0, -1.0]))
    straight = head_directions(box_body, box_params((0.0, 0.0, 0.0)).rel_rotmats)[0]
    assert float((there * straight).sum()) == pytest.approx(math.cos(0.5), abs=1e-6)


def test_the_best_photo_of_each_side_may_give_the_head():
    shown = torch.tensor([0.7, 0.8, 0.4, 0.1, 0.7])
    quality = torch.tensor([0.9, 0.9, 0.45, 0.9, 0.9])
    kept, penalty = select_views(shown, quality, directions(5, 0, 60, -70, 40), least=0.15)
    assert kept.tolist() == [1, 4, 2]  # 0 looks from the same side as 1, 3 shows too little
    assert penalty.tolist() == pytest.approx([0.0, 0.0, 15.0])


def test_photos_without_a_face_give_no_head():
    kept, penalty = select_views(torch.tensor([0.05, 0.02]), torch.ones(2), directions(0, 90), least=0.1)
    assert len(kept) == len(penalty) == 0


def test_a_single_picture_takes_the_nearest_photo():
    for degrees, nearest in ((-20, 0), (33, 1), (80, 2), (120, 2)):
        assert choose_heads(views(0, 40, 90), directions(degrees)).tolist() == [nearest]


def test_a_worse_photo_must_be_nearer():
    assert choose_heads(views(0, 40, penalty=[0.0, 15.0]), directions(25)).tolist() == [0]
    assert choose_heads(views(0, 40, penalty=[0.0, 15.0]), directions(35)).tolist() == [1]


def test_a_video_does_not_change_over_for_a_moment():
    wobble = directions(*[15, 25] * 20)
    assert len(choose_heads(views(0, 40), wobble).unique()) == 1
    turn = directions(*range(0, 42, 2))
    chosen = choose_heads(views(0, 40), turn)
    assert chosen[0] == 0
    assert chosen[-1] == 1
    assert int((chosen.diff() != 0).sum()) == 1
    glance = directions(*[0] * 10, 35, *[0] * 10)
    assert choose_heads(views(0, 40), glance).unique().tolist() == [0]


def test_a_change_takes_a_few_frames():
    weights = head_weights(torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), 2)
    assert weights[:, 1].tolist() == pytest.approx([0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1])
    assert torch.allclose(weights.sum(1), torch.ones(8))


def turned(degrees):
    """A pose seen from this side."""
    return box_params((0.0, 0.0, 0.0), turn=(0.0, math.radians(degrees), 0.0)).rel_rotmats


def test_live_the_photo_changes_only_when_it_was_worth_it(box_body):
    assert torch.allclose(head_directions(box_body, turned(30)), directions(30), atol=1e-6)
    memory = HeadMemory(box_body, views(0, 40))
    assert memory.step(turned(35)).tolist() == [[0.0, 1.0]]  # the first frame takes the nearest
    memory = HeadMemory(box_body, views(0, 40))
    shares = torch.cat([memory.step(turned(angle)) for angle in [0, *[15, 25] * 20, 0, 0, 38, 0, 0]])
    assert torch.equal(shares[:, 1], torch.zeros(len(shares)))
    after = torch.cat([memory.step(turned(40)) for _ in range(12)])
    assert after[0, 1] == 0
    assert after[-1, 1] == 1
    assert after[:, 1].diff().amax() < 0.21
    assert memory.step(turned(40)).device == after.device
    assert HeadMemory(box_body, views(0, 40)[slice(0, 0)]).step(turned(0)).shape == (1, 0)


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def heads(anny, *yaws):
    rotvec = torch.zeros(len(yaws), len(anny.joint_names), 3)
    rotvec[:, 0, 1] = torch.deg2rad(torch.tensor(yaws))
    camera = WeakPerspective(torch.full((len(yaws),), 320.0), torch.tensor([[SIZE / 2, 290.0]] * len(yaws)))
    return BodyParams(torch.zeros(len(anny.beta_names)), rotvec_to_matrix(rotvec), camera)


def photos(anny, prepare, light, *yaws):
    """Sources of photos of a grey head, each in its own light."""
    bodies = heads(anny, *yaws)
    surface = project_bodies(anny, no_extension(anny), bodies)
    raster = rasterize(surface.body, anny.faces, SIZE, SIZE)
    colours = torch.tensor(light)[:, None, None].expand(-1, len(anny.vertex_part), 3)
    images = interpolate(colours, anny.faces, raster).permute(0, 3, 1, 2)
    return prepare(anny, no_extension(anny), bodies, images, raster.covered[:, None].float())


def test_a_picture_shows_the_head_of_the_photo_from_its_side(anny):
    warp = TextureRenderer.of(photos(anny, prepare_sources, [0.9, 0.3], 0.0, 55.0))
    assert warp.sources.heads.source.tolist() == [0, 1]
    picture, matte = warp.render(heads(anny, 5.0, 50.0), (SIZE, SIZE))
    middle = [float(picture[i][:, matte[i, 0] > 0.9].median()) for i in range(2)]
    assert middle[0] - middle[1] > 0.3
    both, _ = warp.render(heads(anny, 5.0), (SIZE, SIZE), heads=torch.tensor([[0.5, 0.5]]))
    assert middle[1] + 0.1 < float(both[0][:, matte[0, 0] > 0.9].median()) < middle[0] - 0.1


def test_networks_flows_have_no_choice_of_heads(anny):
    sources = photos(anny, prepare_plain_sources, [0.9, 0.3], 0.0, 55.0)
    assert len(sources.heads) == 0
    assert head_plan(sources, heads(anny, 5.0, 50.0)).shape == (2, 0)


def test_another_heads_texture_differs_on_the_head_alone(anny):
    sources = photos(anny, prepare_sources, [0.9, 0.3], 0.0, 55.0)
    first = fill_atlas(anny, merge_texture(sources))
    merged = merge_texture(sources.with_head(1))
    quick, whole = fill_atlas(anny, merged, filled=first), fill_atlas(anny, merged)
    flat = unwrap(anny, quick.colours.shape[-1])
    face = torch.isin(flat.part, torch.tensor([PARTS.index("head"), PARTS.index("face")]))
    head = flat.spread(face[:, None])[0, 0]
    body = flat.covered[0, 0] & ~head
    assert torch.equal(quick.colours[0, :, body], first.colours[0, :, body])
    apart = (quick.colours - whole.colours)[0, :, head].abs().amax(0)
    assert apart.quantile(0.99) < 0.02
    assert (first.colours - whole.colours)[0, :, head].abs().mean() > 0.1
