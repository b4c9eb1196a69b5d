"""Which photo gives a place its colour."""

import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS

from .test_compose import anny_params, prepared


def test_one_photo_gives_the_face_that_both_show():
    model = AnnyBody.load()
    sources = prepared(model, *(anny_params(model, yaw, size=64) for yaw in (0.0, 0.7)))
    visibility, preference = sources.body[0, ..., 2], sources.body[0, ..., 3]
    both = (visibility > 0.9).all(0) & (model.vertex_part == PARTS.index("face"))
    assert int(both.sum()) > 100
    ratio = preference[0, both] / preference[1, both].clamp(min=1e-6)
    assert (ratio > 1.2).to(torch.float32).mean() > 0.7  # weights go with the eighth power: nearly all of it


def test_of_other_parts_each_photo_gives_the_side_that_it_faces():
    model = AnnyBody.load()
    sources = prepared(model, *(anny_params(model, yaw, size=64) for yaw in (-0.7, 0.7)))
    visibility, preference = sources.body[0, ..., 2], sources.body[0, ..., 3]
    both = (visibility > 0.5).all(0) & (model.vertex_part == PARTS.index("torso"))
    first = (preference[0, both] > preference[1, both]).to(torch.float32).mean()
    assert 0.2 < first < 0.8
