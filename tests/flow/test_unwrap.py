"""A body laid out flat has the same values at its places as the picture of all its faces."""

import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.surface import rest_coordinates
from liquidwarp.flow.mesh.unwrap import unwrap
from liquidwarp.geometry.raster import interpolate, rasterize

SIZE = 48


def whole_picture(model):
    flat = torch.cat([model.uv * SIZE, torch.zeros_like(model.uv[:, :1])], 1)
    return rasterize(flat[None], model.face_uv, SIZE, SIZE, cull_backfaces=False)


def test_places_are_those_of_the_whole_picture(box_body):
    flat, picture = unwrap(box_body, SIZE), whole_picture(box_body)
    assert 0.1 < picture.covered.float().mean() < 0.9
    assert torch.equal(flat.covered[:, 0], picture.covered)
    place = interpolate(rest_coordinates(box_body)[None], box_body.faces, picture).permute(0, 3, 1, 2)
    assert torch.equal(flat.spread(flat.place), place)
    part = torch.where(picture.covered, box_body.face_part[picture.pix_to_face.clamp(min=0)], 0)
    assert torch.equal(flat.spread(flat.part[:, None])[:, 0], part)


def test_what_is_spread_is_taken_again(box_body):
    flat = unwrap(box_body, SIZE)
    values = torch.rand(len(flat.pixel), 2, generator=torch.Generator().manual_seed(1))
    texture = flat.spread(values)
    assert texture.shape == (1, 2, SIZE, SIZE)
    assert torch.equal(flat.take(texture), values)
    assert not texture[:, :, ~flat.covered[0, 0]].any()


def test_vertices_are_mixed_at_places(box_body):
    flat = unwrap(box_body, SIZE)
    torch.testing.assert_close(flat.mix(rest_coordinates(box_body)), flat.place)


def test_borders_of_parts_are_even_and_not_saw_teeth():
    """Around the thighs' upper ends: the border is a third shorter than along the faces' edges, and in its place."""
    anny = AnnyBody.load()
    flat = unwrap(anny, 512)
    by_face = anny.face_part[flat.raster.pix_to_face[0, 0]]
    assert (flat.part == by_face).float().mean() > 0.97
    lengths = []
    for part in (by_face, flat.part):
        texture = flat.spread(part[:, None] + 1)[0, 0]
        torso, thigh = PARTS.index("torso") + 1, PARTS.index("left_upper_leg") + 1
        lengths.append(
            sum(
                int(((a == torso) & (b == thigh) | (a == thigh) & (b == torso)).sum())
                for a, b in ((texture[1:], texture[:-1]), (texture[:, 1:], texture[:, :-1]))
            )
        )
    assert 20 < lengths[1] < 0.75 * lengths[0]


def test_places_and_vertices_of_one_part_know_nothing_of_others():
    """A made-up limb's light is judged and changed up to its end; mixed with the next one's a step would stay."""
    anny = AnnyBody.load()
    flat = unwrap(anny, 512)
    named = flat.vertex_part[:, None].float()
    of_place = flat.mix_within(named)[:, 0]
    apart = (of_place - flat.part).abs() > 1e-3
    assert apart.float().mean() < 0.001 < ((flat.mix(named)[:, 0] - flat.part).abs() > 1e-3).float().mean()
    of_vertex = flat.around(flat.part[:, None].float(), torch.full_like(named, -1.0))
    met = of_vertex[:, 0] >= 0
    assert 0.5 < met.float().mean() < 1
    assert ((of_vertex - named).abs()[met] < 1e-3).float().mean() > 0.999
