"""People painted in two colours: where their shirts, cuffs and collars end is known."""

import numpy as np
import pytest
import torch

from liquidwarp.body.model import BodyParams
from liquidwarp.flow.lending.hems import _without_islands, hem_parts
from liquidwarp.flow.lending.parts import GARMENT_PARTS, vertex_parts
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import interpolate, rasterize
from liquidwarp.weights import asset, load_tensors

SIZE = (512, 384)
SHIRT, TROUSERS, SKIN = (0.8, 0.2, 0.2), (0.15, 0.2, 0.5), (0.85, 0.65, 0.55)
TORSO, HIPS = GARMENT_PARTS.index("torso"), GARMENT_PARTS.index("hips")


@pytest.fixture(scope="module")
def scene(anny):
    """The raster of a standing body, and each pixel's rest position and usual part."""
    truth, _ = load_tensors(asset("demo/truth.safetensors"))
    camera = WeakPerspective(truth["scale"][:1], truth["translation"][:1]).resized(0.5)
    body = BodyParams(truth["betas"], truth["rel_rotmats"][:1], camera)
    posed = anny.pose(anny.rest(body.betas[None]), body.rel_rotmats)
    raster = rasterize(camera.project(posed.vertices), anny.faces, *SIZE)
    rest = anny.rest(torch.zeros(1, len(anny.beta_names)))
    place = interpolate(rest.vertices, anny.faces, raster)[0]
    part = vertex_parts(anny)[anny.faces[:, 0]][raster.pix_to_face[0].clamp(min=0)]
    return raster, place, part, rest


def of(part, *names):
    return torch.isin(part, torch.tensor([i for i, name in enumerate(GARMENT_PARTS) if name.endswith(names)]))


def painted(scene, hem=None, trousers=TROUSERS):
    """A shirt down to ``hem`` (y in the rest pose [m]; None: to the usual waist), trousers, and skin."""
    raster, place, part, _ = scene
    colours = torch.tensor(SKIN).expand(*SIZE, 3).clone()
    trunk = of(part, "torso", "hips", "upper_leg")
    colours[of(part, "torso", "arm")] = torch.tensor(SHIRT)
    colours[of(part, "hips", "_leg")] = torch.tensor(trousers)
    if hem is not None:
        colours[trunk & (place[..., 1] < hem)] = torch.tensor(SHIRT)
        colours[trunk & (place[..., 1] >= hem)] = torch.tensor(trousers)
    noise = torch.rand(*SIZE, 1, generator=torch.Generator().manual_seed(0)) - 0.5
    return (colours + 0.05 * noise).clamp(0, 1).permute(2, 0, 1), raster.covered[:1].float()


@pytest.mark.parametrize("hem", [-0.2, 0.0, 0.07])
def test_a_shirt_ends_where_its_colour_ends(anny, scene, hem):
    labels = hem_parts(anny, scene[0], *painted(scene, hem))
    usual, level = vertex_parts(anny), scene[3].vertices[0, :, 1]
    trunk = of(usual, "torso", "hips") & torch.isin(torch.arange(len(usual)), anny.faces)
    above, below = trunk & (level < hem - 0.03), trunk & (level > hem + 0.03)
    assert (labels[above] == TORSO).float().mean() > 0.98, "also at the back, which the photo does not show"
    assert (labels[below] == HIPS).float().mean() > 0.98
    elsewhere = ~of(usual, "torso", "hips", "upper_leg", "foot", "hand", "head", "face")
    assert torch.equal(labels[elsewhere], usual[elsewhere])


def test_one_colour_all_over_tells_nothing(anny, scene):
    labels = hem_parts(anny, scene[0], *painted(scene, None, trousers=SHIRT))
    trunk = of(vertex_parts(anny), "torso", "hips")
    assert (labels == vertex_parts(anny))[trunk].float().mean() > 0.97


def test_nobody_there_tells_nothing(anny, scene):
    image, matte = painted(scene, 0.1)
    assert torch.equal(hem_parts(anny, scene[0], image, 0 * matte), vertex_parts(anny))


def test_a_cuff_over_the_hand_is_the_sleeves(anny, scene):
    image, matte = painted(scene)
    _, place, part, rest = scene
    wrist, elbow = (rest.joints[0, role[0]] for role in (anny.roles.hand, anny.roles.lower_arm))
    along = (wrist - elbow) / (wrist - elbow).norm()
    hand = part == GARMENT_PARTS.index("left_hand")
    cuff = hand & ((place - wrist) @ along < 0.05)
    assert cuff.sum() > 20
    image[:, cuff] = torch.tensor(SHIRT)[:, None]
    labels = hem_parts(anny, scene[0], image, matte)
    of_hand = vertex_parts(anny) == GARMENT_PARTS.index("left_hand")
    reach = (rest.vertices[0] - wrist) @ along
    sleeve = labels == GARMENT_PARTS.index("left_lower_arm")
    assert sleeve[of_hand & (reach < 0.03)].float().mean() > 0.9
    assert sleeve[of_hand & (reach > 0.09)].float().mean() < 0.02
    other = vertex_parts(anny) == GARMENT_PARTS.index("right_hand")
    bare = labels[other & (((rest.vertices[0] * torch.tensor([-1.0, 1, 1])) - wrist) @ along > 0.03)]
    assert (bare == GARMENT_PARTS.index("right_hand")).float().mean() > 0.97


def test_bare_arms_have_no_cuffs(anny, scene):
    image, matte = painted(scene)
    image[:, of(scene[2], "arm")] = torch.tensor(SKIN)[:, None]
    labels = hem_parts(anny, scene[0], image, matte)
    hands = of(vertex_parts(anny), "hand")
    assert torch.equal(labels[hands], vertex_parts(anny)[hands])
    assert np.isin(labels.numpy(), range(len(GARMENT_PARTS))).all()


def test_a_beard_above_a_bare_neck_is_no_collar():
    said = np.array([1.0, 1.0, -1.0, -1.0, -1.0, 1.0, 1.0])[:, None]
    assert _without_islands(said)[:, 0].tolist() == [1.0, 1.0, -1.0, -1.0, -1.0, 0.0, 0.0]
    thin = np.array([1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0])[:, None]
    assert np.array_equal(_without_islands(thin), thin), "a stripe, or a button"
