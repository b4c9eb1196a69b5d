import torch

from liquidwarp.body.model import BodyParams
from liquidwarp.flow.colours.light import even_light
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.sources import prepare_source_batch, prepare_sources
from liquidwarp.geometry.raster import interpolate, rasterize
from liquidwarp.geometry.warp import sample_at

from .conftest import box_params

SIZE = (96, 96)


def photos(model, body, lights):
    """The same striped body in each photo, under lights (L 3)."""
    count = len(lights)
    bodies = BodyParams(
        body.betas,
        body.rel_rotmats.expand(count, -1, -1, -1),
        type(body.camera)(*(v.expand(count, *v.shape[1:]) for v in (body.camera.scale, body.camera.translation))),
    )
    surface = project_bodies(model, no_extension(model), bodies)
    raster = rasterize(surface.body, model.faces, *SIZE)
    stripes = 0.4 + 0.15 * torch.sign(torch.sin(model.tensors.template[:, 1] * 30))
    image = interpolate(stripes[None, :, None].expand(count, -1, 3), model.faces, raster).permute(0, 3, 1, 2)
    matte = raster.covered[:, None].float()
    return bodies, surface, raster, torch.where(matte > 0, image * lights[:, :, None, None], 0.5), matte


def shown(prepared):
    return sample_at(prepared.colours[0], prepared.body[0, ..., :2]).transpose(1, 2)


def test_two_photos_under_different_light_agree(box_body):
    lights = torch.tensor([[1.0, 1.0, 1.0], [1.3, 1.1, 0.9]])
    bodies, surface, _, images, mattes = photos(box_body, box_params(scale=60.0, at=(48.0, 48.0)), lights)
    before = prepare_source_batch(box_body, no_extension(box_body), surface, images[None], mattes[None])
    after = prepare_sources(box_body, no_extension(box_body), bodies, images, mattes)
    seen = (after.body[0, ..., 2] > 0.5).all(0)
    assert int(seen.sum()) > 50
    apart, together = ((s[0] - s[1])[seen].abs().mean() for s in (shown(before), shown(after)))
    assert apart > 0.04
    assert together < 0.1 * apart
    # Light is evened, stripes are not: their contrast stays.
    assert (shown(after)[0, seen].log().std() / shown(before)[0, seen].log().std() - 1).abs() < 0.05


def test_one_photo_or_the_same_light_changes_nothing(box_body):
    for count in (1, 2):
        lights = torch.ones(count, 3)
        _, surface, raster, images, mattes = photos(box_body, box_params(scale=60.0, at=(48.0, 48.0)), lights)
        sources = prepare_source_batch(box_body, no_extension(box_body), surface, images[None], mattes[None])
        evened = even_light(box_body, sources.colours[0], sources.body[0], raster)
        assert torch.allclose(evened, sources.colours[0], atol=1e-4)


def test_another_thing_in_one_photo_is_not_taken_for_light(box_body):
    """The second photo shows a dark bag before part of the torso."""
    _, surface, raster, images, mattes = photos(box_body, box_params(scale=60.0, at=(48.0, 48.0)), torch.ones(2, 3))
    images[1, :, 40:60, 40:60] = 0.02
    sources = prepare_source_batch(box_body, no_extension(box_body), surface, images[None], mattes[None])
    evened = even_light(box_body, sources.colours[0], sources.body[0], raster)
    assert (evened - sources.colours[0]).abs().max() < 0.05


def test_another_shirt_is_not_taken_for_light(box_body):
    lights = torch.tensor([[1.0, 1.0, 1.0], [0.3, 1.8, 0.3]])
    _, surface, raster, images, mattes = photos(box_body, box_params(scale=60.0, at=(48.0, 48.0)), lights)
    sources = prepare_source_batch(box_body, no_extension(box_body), surface, images[None], mattes[None])
    evened = even_light(box_body, sources.colours[0], sources.body[0], raster)
    assert (evened - sources.colours[0]).abs().max() < 0.05
