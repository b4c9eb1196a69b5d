"""How much of each pixel a mesh covers, against drawing it four times as large, and edges that a person can tell."""

import math

import pytest
import torch
import torch.nn.functional as F

from liquidwarp.flow.compose import compose_layers
from liquidwarp.flow.draw import draw_layers, within_edge
from liquidwarp.flow.mesh.coverage import ProjectedMesh, Rim, coverage, coverage_reference
from liquidwarp.flow.mesh.extension import inflated_shell
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.geometry.raster import rasterize

from .conftest import box_params
from .test_compose import SIZE, prepared


def drawn(mesh, height, width):
    return coverage(mesh, rasterize(mesh.vertices, mesh.faces, height, width))


def test_it_is_the_share_of_samples_that_a_larger_drawing_covers(box_body):
    bodies = box_params((0, 0, 0.5), (0.4, 0.3, 1.0), (0, 0, -0.4), turn=(0.1, 0.5, 0.2), scale=37.3)
    posed = box_body.pose(box_body.rest(bodies.betas[None]), bodies.rel_rotmats)
    mesh = ProjectedMesh(bodies.camera.project(posed.vertices), box_body.faces)
    found, plain = drawn(mesh, *SIZE), coverage_reference(mesh, *SIZE)
    assert int(((found > 0) & (found < 1)).sum()) > 100
    assert float((found - plain).abs().max()) < 1e-6


def test_many_small_and_large_faces_from_both_sides_and_beyond_the_picture():
    generator = torch.Generator().manual_seed(3)
    centre = torch.rand(2, 150, 1, 2, generator=generator) * 60 - 10
    spread = torch.rand(150, 1, 1, generator=generator).square() * 25
    corners = centre + torch.randn(2, 150, 3, 2, generator=generator) * spread
    vertices = F.pad(corners, (0, 1), value=2.0).flatten(1, 2)
    mesh = ProjectedMesh(vertices, torch.arange(450).view(-1, 3))
    raster = rasterize(vertices, mesh.faces, 40, 48)
    found, plain = coverage(mesh, raster), coverage_reference(mesh, 40, 48)
    # A sliver, or a slit, that misses all centres is seen only beside something that does not.
    solid = raster.covered[:, None].float()
    edge = (F.max_pool2d(solid, 3, 1, 1) > 0) & (F.max_pool2d(1 - solid, 3, 1, 1) > 0)
    assert int(edge.sum()) > 500
    assert float((found - plain)[edge].abs().max()) < 1e-6
    assert torch.equal(found[~edge], solid[~edge])


@pytest.mark.parametrize("offset", [0.1, 0.4, 0.5, 0.75])
def test_an_edge_within_a_pixel_gives_its_share(offset):
    corners = torch.tensor([[2.0, 2], [2, 12], [8 + offset, 12], [8 + offset, 2]])
    mesh = ProjectedMesh(F.pad(corners, (0, 1), value=1.0)[None], torch.tensor([[0, 1, 2], [0, 2, 3]]))
    found = drawn(mesh, 16, 16)
    assert float(found[0, 0, 6, 8]) == pytest.approx(offset, abs=0.126)
    assert found[0, 0, 6, [2, 7]].tolist() == [1, 1]
    assert found[0, 0, 6, [1, 9]].tolist() == [0, 0]


def test_no_mesh_covers_nothing():
    mesh = ProjectedMesh(torch.zeros(1, 0, 3), torch.zeros(0, 3, dtype=torch.long))
    assert float(drawn(mesh, 8, 8).sum()) == 0


def test_values_go_on_over_the_rim_without_what_is_not_known():
    known = torch.zeros(1, 6, 6, dtype=torch.bool)
    known[..., :3] = True
    values = torch.where(known, torch.arange(6.0)[None, :, None], torch.inf)[:, None]
    cover = torch.zeros(1, 1, 6, 6)
    cover[..., :3], cover[..., 3] = 1, 0.2
    result = Rim.of(known, cover).continued(values.clone(), known)
    assert result[0, 0, 1:-1, 3].tolist() == [1, 2, 3, 4]
    assert torch.equal(result[..., :3], values[..., :3])
    assert torch.isinf(result[..., 4:]).all()


@pytest.mark.parametrize("around", [False, True])
def test_a_drawn_person_has_the_outline_of_one_drawn_larger(box_body, around):
    """The body alone, or with what is around it: the plain way is to draw eight times as large and take means."""
    image = torch.tensor([0.2, 0.5, 0.7])[None, :, None, None].expand(1, -1, *SIZE).contiguous()
    extension = inflated_shell(box_body) if around else None
    sources = prepared(box_body, box_params(), extension=extension, images=image, mattes=torch.ones(1, 1, *SIZE))
    opacities = []
    for factor in (1, 8):
        body = box_params((0, 0, 0.5), turn=(0, 0.3, 0.2), scale=40.0 * factor, at=(32.2 * factor, 31.7 * factor))
        size = (SIZE[0] * factor, SIZE[1] * factor)
        composition = compose_layers(sources, project_bodies(box_body, sources.extension, body), size)
        colours, opacity = draw_layers(composition, torch.zeros(1, 3, *size) + image[..., :1, :1])
        opacities.append(F.avg_pool2d(opacity, factor))
        shown = (opacity > 0).expand(-1, 3, -1, -1)
        assert float((colours - image[..., :1, :1])[shown].abs().max()) < 0.02
    soft = (opacities[1] > 0.02) & (opacities[1] < 0.98)
    assert int(soft.sum()) > 150
    assert opacities[1].max() > 0.999
    assert opacities[1].min() == 0
    apart = (opacities[0] - opacities[1])[soft]
    assert float(apart.abs().mean()) < 0.04
    assert abs(float(apart.mean())) < 0.01
    steps = (opacities[0] > 0.5).float() - opacities[1]
    assert float(steps[soft].abs().mean()) > 3 * float(apart.abs().mean())


def test_an_edge_moves_as_smoothly_as_the_body(box_body):
    """From step to step by a tenth of a pixel no pixel's opacity jumps: steps flicker."""
    image = torch.full((1, 3, *SIZE), 0.5)
    sources = prepared(box_body, box_params(), images=image)
    before, jumps = None, []
    for step in range(12):
        body = box_params(turn=(0, 0, 0.1), at=(32 + 0.1 * step, 32.0))
        composition = compose_layers(sources, project_bodies(box_body, sources.extension, body), SIZE)
        opacity = draw_layers(composition, image)[1]
        if before is not None:
            jumps.append(float((opacity - before).abs().max()))
        before = opacity
    assert max(jumps) < 0.35


def test_networks_are_given_an_outline_a_quarter_of_a_pixel_within():
    edge = torch.linspace(0, 1, 101)[None, None, None]
    within = within_edge(edge)
    assert float(edge.mean() - within.mean()) == pytest.approx(0.25, abs=0.01)
    assert within[..., [0, -1]].flatten().tolist() == [0, 1]
    assert math.isclose(float(within[0, 0, 0, 50]), 0, abs_tol=1e-6)
