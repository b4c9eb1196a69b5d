import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.clothes.shoes import put_on_shoes, wears_shoes
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize

from .conftest import box_params

SKIN = torch.tensor([0.85, 0.6, 0.45])


@pytest.fixture(scope="module")
def person():
    """The free body from the front: its raster tells which part each pixel shows."""
    model = AnnyBody.load()
    body = BodyParams(
        torch.zeros(len(model.beta_names)),
        torch.eye(3).expand(1, model.lbs_weights.shape[1], 3, 3).clone(),
        WeakPerspective(torch.tensor([130.0]), torch.tensor([[128.0, 128.0]])),
    )
    vertices = body.camera.project(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices)
    raster = rasterize(vertices, model.faces, 256, 256)
    part = torch.where(raster.covered, model.face_part[raster.pix_to_face.clamp(min=0)], -1)[0]
    return model, body, part


def photo(part, feet):
    """Skin all over, but for the feet."""
    foot = (part == PARTS.index("left_foot")) | (part == PARTS.index("right_foot"))
    image = torch.where((part >= 0)[..., None], SKIN, torch.tensor(0.5))
    return torch.where(foot[..., None], feet, image).permute(2, 0, 1)[None], (part >= 0).float()[None, None]


@pytest.mark.parametrize(
    ("feet", "shod"),
    [
        (torch.tensor([0.1, 0.1, 0.1]), True),
        (torch.tensor([0.9, 0.9, 0.9]), True),
        (SKIN, False),
        (SKIN * 0.75, False),
    ],
)
def test_feet_in_another_colour_than_the_face_wear_shoes(person, feet, shod):
    model, body, part = person
    assert wears_shoes(model, body, *photo(part, feet)) is shod


def test_feet_that_nobody_sees_prove_nothing(person):
    model, body, part = person
    image, matte = photo(part, torch.zeros(3))
    matte[..., 200:, :] = 0
    assert not wears_shoes(model, body, image, matte)


def test_shoes_are_as_thick_as_shoes_and_thick_ones_stay(person):
    model, body, _ = person
    index = model.beta_names.index("shoe-volume")
    dressed = put_on_shoes(model, body)
    assert dressed.betas[index] > 0.5
    assert torch.equal(dressed.betas[torch.arange(len(dressed.betas)) != index], torch.zeros(len(dressed.betas) - 1))
    dressed.betas[index] = 1.4
    assert put_on_shoes(model, dressed).betas[index] == pytest.approx(1.4)


def test_a_body_that_knows_no_shoes_keeps_its_feet(box_body):
    body = box_params()
    assert put_on_shoes(box_body, body) is body
