from dataclasses import replace

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.compose import compose_layers
from liquidwarp.flow.draw import draw_flow
from liquidwarp.flow.mesh.extension import inflated_shell, no_extension
from liquidwarp.flow.mesh.surface import project_bodies, rest_coordinates
from liquidwarp.flow.sources import FlowSources, prepare_source_batch
from liquidwarp.flow.unseen.fill import SurfaceFill
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import interpolate, rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix

SIZE = (256, 256)


@pytest.fixture(scope="module")
def anny() -> AnnyBody:
    return AnnyBody.load()


@pytest.fixture(scope="module")
def fill(anny: AnnyBody) -> SurfaceFill:
    return SurfaceFill.of(anny)


def frontal(model: AnnyBody, turn: float = 0.0) -> BodyParams:
    rotmats = torch.eye(3).expand(1, len(model.joint_names), 3, 3).clone()
    rotmats[:, 0] = rotvec_to_matrix(torch.tensor([0.0, turn, 0.0]))
    return BodyParams(
        torch.zeros(len(model.beta_names)),
        rotmats,
        WeakPerspective(torch.tensor([130.0]), torch.tensor([[128.0, 112.0]])),
    )


def photographed(model: AnnyBody, colour: torch.Tensor, turn: float = 0.0) -> FlowSources:
    """One photo of a body whose vertices have these colours."""
    surface = project_bodies(model, inflated_shell(model), frontal(model, turn))
    raster = rasterize(surface.body, model.faces, *SIZE)
    image = interpolate(colour[None], model.faces, raster).permute(0, 3, 1, 2)
    matte = raster.covered[:, None].float()
    return prepare_source_batch(model, inflated_shell(model), surface, image[None], matte[None])


def test_hidden_places_take_the_colour_of_their_part_at_their_height(anny: AnnyBody, fill: SurfaceFill) -> None:
    place = rest_coordinates(anny)
    torso = anny.vertex_part == PARTS.index("torso")
    colour = torch.full((len(place), 3), 0.9)
    middle = place[torso, 1].mean()
    colour[torso & (place[:, 1] < middle)] = torch.tensor([1.0, 0.0, 0.0])
    colour[torso & (place[:, 1] >= middle)] = torch.tensor([0.0, 0.0, 1.0])
    sources = photographed(anny, colour)
    found = fill.colours(sources, rounds=0)[0]
    hidden = sources.body[0, 0, :, 2] == 0
    clear = torso & hidden & ((place[:, 1] - middle).abs() > 0.05)
    assert int(clear.sum()) > 200
    assert (found[clear] - colour[clear]).abs().mean() < 0.05
    seen = sources.body[0, 0, :, 2] > 0.9
    assert (found[seen & torso] - colour[seen & torso]).abs().mean() < 0.05


def test_a_hidden_limb_takes_its_mirror_image(anny: AnnyBody, fill: SurfaceFill) -> None:
    left, right = (anny.vertex_part == PARTS.index(f"{side}_foot") for side in ("left", "right"))
    shoe = torch.tensor([0.1, 0.2, 0.3])
    colour = torch.where(right[:, None], shoe, torch.tensor(0.8))
    sources = photographed(anny, colour)
    blind = sources.body.clone()
    blind[:, :, left, 2:] = 0
    found = fill.colours(replace(sources, body=blind, clear=sources.clear * ~left))[0]
    assert (found[left] - shoe).abs().mean() < 0.06
    assert (found[anny.vertex_part == PARTS.index("left_lower_leg")] - 0.8).abs().mean() < 0.06


def test_people_do_not_mix_and_nobody_is_grey(anny: AnnyBody, fill: SurfaceFill) -> None:
    one, two = (photographed(anny, torch.full((len(anny.vertex_part), 3), value)) for value in (0.2, 0.7))
    per_person = ("colours", "mattes", "outlines", "fringes", "body", "unhidden", "clear", "around", "normals")
    both = replace(one, **{name: torch.cat([getattr(one, name), getattr(two, name)]) for name in per_person})
    found = fill.colours(both)
    torch.testing.assert_close(found[0], torch.full_like(found[0], 0.2), atol=1e-3, rtol=0)
    torch.testing.assert_close(found[1], torch.full_like(found[1], 0.7), atol=1e-3, rtol=0)
    nothing = fill.colours(replace(one, body=one.body * 0, clear=one.clear * 0))
    torch.testing.assert_close(nothing, torch.full_like(nothing, 0.5))


def test_the_drawn_flow_has_a_colour_all_over_the_body(anny: AnnyBody, fill: SurfaceFill) -> None:
    """Seen from the front in the photo and from behind in the target."""
    sources = replace(photographed(anny, torch.full((len(anny.vertex_part), 3), 0.4)), extension=no_extension(anny))
    sources = replace(sources, around=sources.around[:, :, :0])
    target = project_bodies(anny, no_extension(anny), frontal(anny, turn=3.14))
    composition = compose_layers(sources, target, SIZE)
    flow = draw_flow(composition, fill.at_pixels(fill.colours(sources), composition))
    covered = composition.body.layer.raster.covered[:, None]
    assert flow.visible.amax(1, keepdim=True)[covered].mean() < 0.1
    inner = torch.nn.functional.avg_pool2d(covered.float(), 9, 1, 4) == 1
    assert (flow.texture_matte[inner] > 0.99).all()
    assert (flow.texture - 0.4).abs()[inner.expand_as(flow.texture)].max() < 0.02
    beyond = torch.nn.functional.max_pool2d(covered.float(), 3, 1, 1) == 0
    assert flow.texture_matte[beyond].max() == 0
    assert flow.texture_matte[~covered].mean() < 0.005
