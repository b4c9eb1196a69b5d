"""Which photo gives a place its colour."""

import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS
from liquidwarp.geometry.masks import erode
from liquidwarp.geometry.raster import rasterize

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


def test_hands_in_sleeves_are_not_seen_whoever_else_is_there():
    """Two people: one with the hands in black sleeves, one with bare hands."""
    model = AnnyBody.load()
    skin, black, white = (torch.tensor(c) for c in ([0.8, 0.6, 0.5], [0.1, 0.1, 0.1], [0.9, 0.9, 0.9]))
    body, side = anny_params(model, 0.0, size=384), 384
    posed = model.pose(model.rest(body.betas[None]), body.rel_rotmats)
    raster = rasterize(body.camera.project(posed.vertices), model.faces, side, side)
    part = torch.where(raster.covered, model.face_part[raster.pix_to_face.clamp(min=0)], -1)[0]
    images = white.view(3, 1, 1).repeat(2, 1, side, side)
    for image, hand in zip(images, (black, skin), strict=True):
        for number, name in enumerate(PARTS):
            colour = skin if name == "face" else hand if name.endswith("hand") else black if "arm" in name else white
            image[:, part == number] = colour[:, None]
    sources = prepared(model, body, body, images=images, mattes=raster.covered[:, None].float().repeat(2, 1, 1, 1))
    hands = torch.isin(model.vertex_part, torch.tensor([PARTS.index(f"{s}_hand") for s in ("left", "right")]))
    seen = (sources.body[0, :, hands, 2] > 0.5).sum(1)
    assert int(seen[0]) == 0
    assert int(seen[1]) > 100


def test_a_ball_before_a_limb_hides_it_to_its_rim_but_a_wide_body_is_seen():
    model, side = AnnyBody.load(), 384
    body = anny_params(model, 0.0, size=side)
    points = body.camera.project(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices)
    silhouette = rasterize(points, model.faces, side, side).covered[:, None].float()
    thigh = points[0, model.vertex_part == PARTS.index("left_upper_leg"), :2]
    ball = torch.stack([thigh[:, 0].amax(), thigh[:, 1].mean()])  # at the outline, as large as the thigh is wide
    radius = float(thigh[:, 0].amax() - thigh[:, 0].amin()) / 2
    pixels = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="xy"), -1) + 0.5
    hidden = ((pixels - ball).norm(dim=-1) < radius)[None, None]
    slimmer = erode(silhouette, 2)
    photo = torch.full((1, 3, side, side), 0.5)
    whole, behind_ball, wide = (
        prepared(model, body, images=photo, mattes=mattes).body[0, 0, :, 2] > 0.3
        for mattes in (silhouette, silhouette * ~hidden, slimmer)
    )
    within = whole & ((points[0, :, :2] - ball).norm(dim=-1) < radius - 1)
    assert int(within.sum()) > 15
    assert not bool((behind_ball & within).any())
    beyond = whole & ((points[0, :, :2] - ball).norm(dim=-1) > radius + 2)
    assert bool(behind_ball[beyond].all())
    assert float(wide[whole].float().mean()) > 0.99
