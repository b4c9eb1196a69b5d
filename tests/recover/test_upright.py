import math

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.recover.detection.upright import lying, lying_notes


@pytest.fixture(scope="module")
def model():
    return AnnyBody.load()


def turned(model, *degrees, bent=0.0):
    """People who stand, the picture turned by so much; ``bent``: at the hips, towards the camera [degrees]."""
    rotmats = torch.eye(3).expand(len(degrees), len(model.joint_names), 3, 3).clone()
    rotmats[:, 0] = rotvec_to_matrix(torch.tensor([[0.0, 0.0, math.radians(angle)] for angle in degrees]))
    for joint in model.roles.upper_leg:
        rotmats[:, joint] = rotvec_to_matrix(torch.tensor([math.radians(bent), 0.0, 0.0]))
    camera = WeakPerspective(torch.ones(len(degrees)), torch.zeros(len(degrees), 2))
    return BodyParams(torch.zeros(len(model.beta_names)), rotmats, camera)


def test_turned_pictures_are_found(model):
    found = lying(turned(model, 0, 30, -30, 90, -90, 180), model)
    assert found.tolist() == [False, False, False, True, True, True]


def test_who_bends_or_sits_does_not_lie(model):
    assert not lying(turned(model, 0, bent=-90), model)
    assert not lying(turned(model, 0, bent=-150), model)


def test_notes_name_the_photos(model):
    assert lying_notes(turned(model, 0, 10), model) == []
    assert lying_notes(turned(model, 90), model)[0].startswith("In the photo the person lies")
    assert "photo 1, 3 the person" in lying_notes(turned(model, 90, 0, 180), model)[0]
