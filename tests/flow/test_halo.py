import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.clothes.halo import halo
from liquidwarp.flow.compose import compose_flow, compose_layers
from liquidwarp.flow.mesh.extension import inflated_shell, join_extensions, no_extension
from liquidwarp.flow.mesh.stage import Stage
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.render import render_person
from liquidwarp.flow.sources import prepare_sources
from liquidwarp.flow.unseen.atlas import fill_atlas, merge_texture
from liquidwarp.geometry.camera import WeakPerspective, ndc_to_pixels
from liquidwarp.geometry.masks import dilate
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix

SIZE = (192, 192)
LEG = ("upperleg", "lowerleg", "foot", "toe")


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def params(model, yaw=0.0, **joints):
    rotvec = torch.zeros(1, len(model.joint_names), 3)
    rotvec[0, 0, 1] = yaw
    for name, value in joints.items():
        rotvec[0, model.joint_names.index(name.replace("_", "."))] = torch.tensor(value)
    camera = WeakPerspective(torch.tensor([90.0]), torch.tensor([[96.0, 96.0]]))
    return BodyParams(torch.zeros(len(model.beta_names)), rotvec_to_matrix(rotvec), camera)


def silhouette(model, body):
    return rasterize(project_bodies(model, no_extension(model), body).body, model.faces, *SIZE).covered[:, None]


def joint_pixel(model, body, name):
    rest = model.rest(body.betas[None])
    joints = model.pose(rest, body.rel_rotmats).joints
    return body.camera.project(joints)[0, model.joint_names.index(name), :2]


def dressed(model, body):
    """The silhouette and a skirt that flares from the hips and fills the gap between the legs down to the knees."""
    matte = silhouette(model, body).float()
    left, right = joint_pixel(model, body, "lowerleg01.L"), joint_pixel(model, body, "lowerleg01.R")
    top = int(joint_pixel(model, body, "upperleg01.L")[1])
    bottom = int(left[1])
    for y in range(top, bottom):
        flare = 10 + 4 * (y - top) / (bottom - top)
        matte[..., y, int(right[0] - flare) : int(left[0] + flare)] = 1
    return matte


APART = {"upperleg01_L": (0.0, 0.0, -0.22), "upperleg01_R": (0.0, 0.0, 0.22)}
ARMS = {"upperarm01_L": (0.0, 0.0, -0.5), "upperarm01_R": (0.0, 0.0, 0.5)}


def test_hair_is_covered_and_flows_to_itself(anny):
    body = params(anny, **ARMS)
    matte = silhouette(anny, body).float()
    head = joint_pixel(anny, body, "head")
    yy, xx = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] + 0.5
    hair = torch.as_tensor(np.hypot(xx - float(head[0]), yy - float(head[1])) < 22)
    matte[0, 0, hair] = 1
    extension = halo(anny, body, matte)
    assert len(extension.anchor) > 20
    sources = prepare_sources(anny, extension, body, torch.rand(1, 3, *SIZE), matte)
    flow = compose_flow(sources, body, SIZE)
    outside = hair & (matte[0, 0] > 0) & ~silhouette(anny, body)[0, 0]
    assert flow.valid[0, 0][outside].float().mean() > 0.95
    assert flow.texture_matte[0, 0][outside].mean() > 0.95
    here = torch.as_tensor(np.stack([xx, yy], -1), dtype=torch.float32)
    error = (ndc_to_pixels(flow.grid[0, 0], *SIZE) - here).norm(dim=-1)
    assert error[outside & flow.valid[0, 0]].max() < 0.05


def test_hair_follows_the_head(anny):
    body, turned = params(anny, **ARMS), params(anny, head=(0.0, 0.0, 0.6), **ARMS)
    matte = silhouette(anny, body).float()
    head = joint_pixel(anny, body, "head")
    x, y = int(head[0]), int(head[1])
    matte[..., y - 26 : y - 6, x - 3 : x + 4] = 1  # a plume on the head
    sources = prepare_sources(anny, halo(anny, body, matte), body, torch.rand(1, 3, *SIZE), matte)
    around = compose_layers(sources, project_bodies(anny, sources.extension, turned), SIZE).around
    plume = (around.matte[0, 0] > 0.5).nonzero().float()
    assert len(plume) > 20
    # A positive turn about z (forward) is clockwise in the picture: the plume leans to the right.
    assert float(plume[:, 1].mean()) > float(joint_pixel(anny, turned, "head")[0]) + 4


def test_long_hair_is_whole_between_head_and_shoulders(anny):
    close = WeakPerspective(torch.tensor([300.0]), torch.tensor([[96.0, 290.0]]))
    bowed, turned = (replace(params(anny, neck01=(0.5, turn, 0.0), **ARMS), camera=close) for turn in (0.0, 0.3))
    matte = silhouette(anny, bowed).float()
    head, shoulder = (joint_pixel(anny, bowed, name) for name in ("head", "upperarm01.L"))
    yy, xx = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] + 0.5
    aside = np.abs(xx - float(head[0]))
    hair = torch.as_tensor((aside < 55) & (yy > float(head[1]) - 25) & (yy < float(shoulder[1]) + 10))
    extension = halo(anny, bowed, torch.maximum(matte, hair.float()))
    for target in (bowed, turned):
        surface = project_bodies(anny, extension, target)
        assert len(extension.faces) > 500
        assert (surface.torn[0] > 1).float().mean() < 0.005


def test_skirt_does_not_tear(anny):
    body = params(anny, **APART, **ARMS)
    matte = dressed(anny, body)
    extension = halo(anny, body, matte)
    noise = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    sources = prepare_sources(anny, extension, body, noise, matte)
    wide = {"upperleg01_L": (0.0, 0.0, -0.45), "upperleg01_R": (0.0, 0.0, 0.45)}
    target = params(anny, **wide, **ARMS)
    around = compose_layers(sources, project_bodies(anny, sources.extension, target), SIZE).around
    # Between the thighs, halfway down to the knees.
    hips = joint_pixel(anny, target, "upperleg01.L")
    knees = joint_pixel(anny, target, "lowerleg01.L"), joint_pixel(anny, target, "lowerleg01.R")
    row = int(0.5 * hips[1] + 0.5 * knees[0][1])
    opaque = torch.maximum(around.matte[0, 0], silhouette(anny, target)[0, 0].float())
    middle = opaque[row, int(knees[1][0] + 10) : int(knees[0][0] - 10)]
    assert len(middle) > 10
    assert middle.min() > 0.5


def test_trousers_are_not_joined(anny):
    body = params(anny, **APART, **ARMS)
    matte = silhouette(anny, body).float()
    matte = torch.nn.functional.max_pool2d(matte, 9, 1, 4)  # loose all around, the gap between the legs open
    extension = halo(anny, body, matte)
    left = torch.tensor([n.endswith(".L") and n.startswith(LEG) for n in anny.joint_names])
    right = torch.tensor([n.endswith(".R") and n.startswith(LEG) for n in anny.joint_names])
    weight = torch.stack([extension.weights[:, left].sum(1), extension.weights[:, right].sum(1)], 1)
    knee = project_bodies(anny, extension, body).extension[0, :, 1] > joint_pixel(anny, body, "lowerleg01.L")[1]
    face = extension.faces[knee[extension.faces].all(1)]
    one_leg = (weight[face] > 0.5).all(1).any(1)
    assert len(face) > 50
    assert one_leg.float().mean() > 0.98


def test_no_cloth_no_halo(anny):
    body = params(anny, **ARMS)
    assert len(halo(anny, body, silhouette(anny, body).float()).anchor) == 0


def test_body_outside_of_the_picture(anny):
    body = params(anny)
    away = BodyParams(body.betas, body.rel_rotmats, WeakPerspective(torch.tensor([90.0]), torch.tensor([[900.0, 900]])))
    assert len(halo(anny, away, torch.ones(1, 1, *SIZE)).anchor) == 0


def test_sleeve_before_the_torso_and_halo_behind_the_body(anny):
    body = params(anny, upperarm01_L=(0.0, 0.0, 0.3))
    matte = silhouette(anny, body).float()
    loose = torch.nn.functional.max_pool2d(matte, 13, 1, 6)
    extension = halo(anny, body, loose)
    noise = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    sources = prepare_sources(anny, extension, body, noise, loose)
    composition = compose_layers(sources, project_bodies(anny, sources.extension, body), SIZE)
    # In the photo's own pose nothing of the halo may cover the body that it surrounds.
    inner = 1 - torch.nn.functional.max_pool2d(1 - matte, 5, 1, 2)
    assert (composition.in_front & (inner[:, 0] > 0)).float().sum() < 0.01 * inner.sum()


def test_two_halos_and_a_shell(anny):
    bodies = [params(anny, **ARMS), params(anny, yaw=math.pi, **ARMS)]
    mattes = torch.cat([torch.nn.functional.max_pool2d(silhouette(anny, b).float(), 13, 1, 6) for b in bodies])
    extension = join_extensions([inflated_shell(anny), halo(anny, bodies, mattes)])
    assert set(extension.owner.unique().tolist()) == {-1, 0, 1}
    colours = torch.tensor([[1.0, 0, 0], [0, 1, 0]])[:, :, None, None].expand(-1, -1, *SIZE).contiguous()
    sources = prepare_sources(anny, extension, bodies, colours, mattes)
    for body, colour in zip(bodies, colours[:, :, 0, 0], strict=True):
        around = compose_layers(sources, project_bodies(anny, extension, body), SIZE).around
        opaque = around.matte[0, 0] > 0.9
        assert opaque.sum() > 500
        difference = (around.texture[0, :, opaque] - colour[:, None]).abs().amax(0)
        assert (difference < 0.05).float().mean() > 0.95
    only = compose_flow(sources, bodies[0], SIZE, choice={"all": 1})
    assert only.visible[:, 0].max() == 0


def test_a_thin_layer_around_the_head_is_hair_but_around_limbs_an_error_of_the_fit(anny):
    body = params(anny, **ARMS)
    body = BodyParams(
        body.betas, body.rel_rotmats, WeakPerspective(torch.tensor([300.0]), torch.tensor([[96.0, 300.0]]))
    )
    bare = silhouette(anny, body).float()
    matte = dilate(bare, 1)
    sources = prepare_sources(anny, halo(anny, body, matte), body, torch.rand(1, 3, *SIZE), matte)
    _, opacity = render_person(
        sources, Stage.of(sources.model, body, SIZE), fill_atlas(anny, merge_texture(sources, 64))
    )
    layer = (matte > 0) & (bare == 0)
    top, shoulder = int(joint_pixel(anny, body, "head")[1]), int(joint_pixel(anny, body, "upperarm01.L")[1])
    assert opacity[..., :top, :][layer[..., :top, :]].mean() > 0.9
    assert opacity[..., shoulder:, :][layer[..., shoulder:, :]].mean() < 0.2


@pytest.mark.parametrize("yaw", [0.6, -0.6])
def test_hair_around_a_skull_does_not_cross_the_head_from_the_side(anny, yaw):
    """Thick hair stands out at the sides of a photo: when the head is turned its sheet lies behind the head."""
    camera = WeakPerspective(torch.tensor([300.0]), torch.tensor([[96.0, 300.0]]))
    front, side = (params(anny, yaw=angle, **ARMS) for angle in (0.0, yaw))
    front, side = (BodyParams(body.betas, body.rel_rotmats, camera) for body in (front, side))
    matte = dilate(silhouette(anny, front).float(), 12)
    sources = prepare_sources(anny, halo(anny, front, matte), front, torch.rand(1, 3, *SIZE), matte)
    crossed = compose_layers(sources, project_bodies(anny, sources.extension, side), SIZE)
    on_body = crossed.body.layer.raster
    part = torch.where(on_body.covered, anny.face_part[on_body.pix_to_face.clamp(min=0)], -1)
    chin = int(joint_pixel(anny, side, "head")[1])
    skull = torch.isin(part, torch.tensor([PARTS.index("head"), PARTS.index("face")]))[:, :chin]
    assert int(skull.sum()) > 1000
    assert int((crossed.in_front[:, :chin] & skull).sum()) < 5
