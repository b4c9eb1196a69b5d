from dataclasses import replace

import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.geometry.camera import WeakPerspective, pixels_to_ndc
from liquidwarp.geometry.raster import interpolate, rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.geometry.warp import Flow, sample_at, warp
from liquidwarp.synthetic.figure import Decal, Figures, Outfit, Paint, dress
from liquidwarp.synthetic.scene import Camera, Light, Picture, SceneConfig, pose_points, render
from liquidwarp.synthetic.wardrobe import Textures, Wardrobe

from .conftest import SHIRT, TROUSERS, offset_garment, smooth_image

SIZE = 128


def flat_light(level: float = 0.8) -> Light:
    """The same from everywhere, so that a colour does not depend on the pose."""
    sky = torch.full((1, 3), level)
    return Light(torch.tensor([[[0.0, -1.0, 0.0]]]), torch.zeros(1, 1, 3), sky, sky)


def rotations(model: AnnyBody, seed: int, views: int = 2) -> torch.Tensor:
    rotvec = torch.zeros(views, len(model.joint_names), 3)
    movable = list(model.roles.movable())
    generator = torch.Generator().manual_seed(seed)
    rotvec[:, movable] = 0.08 * torch.randn(views, len(movable), 3, generator=generator)
    return rotvec_to_matrix(rotvec)


def shoot(
    model: AnnyBody,
    outfit: Outfit,
    textures: Textures,
    poses: torch.Tensor,
    supersample: int = 1,
    distance: float = torch.inf,
) -> tuple[Figures, torch.Tensor, Camera, Picture]:
    betas = torch.zeros(1, len(model.beta_names))
    figures = dress(model, betas, [outfit])
    transforms = model.pose(model.rest(betas), poses).transforms[None]
    views = len(poses)
    weak = WeakPerspective(torch.full((views,), 65.0), torch.tensor([[64.0, 66.0]]).expand(views, 2))
    camera = Camera(weak, torch.full((views,), distance))
    config = SceneConfig(supersample, shadow_size=0, occlusion=0.0)
    picture = render(figures, transforms, camera, flat_light(), textures, (SIZE, SIZE), config)
    return figures, transforms, camera, picture


def test_matte_is_the_silhouette_of_body_and_garments(model: AnnyBody, wardrobe: Wardrobe) -> None:
    outfit = Outfit.of([wardrobe.named("top0"), wardrobe.named("trousers1")], skin=9, eyes=0)
    poses = rotations(model, 1)
    figures, transforms, camera, picture = shoot(model, outfit, wardrobe.textures, poses)
    points, _ = pose_points(figures, transforms)
    everything = rasterize(camera.weak.project(points), figures.faces[0], SIZE, SIZE, cull_backfaces=False).covered
    assert torch.equal(picture.matte[0, :, 0] > 0.5, everything)
    naked = rasterize(
        camera.weak.project(model.pose(model.rest(torch.zeros(1, len(model.beta_names))), poses).vertices),
        model.faces,
        SIZE,
        SIZE,
    )
    assert (everything | ~naked.covered).float().mean() > 0.999
    assert everything.sum() > 1.05 * naked.covered.sum()


def test_true_flow_carries_one_view_into_the_other(model: AnnyBody, wardrobe: Wardrobe) -> None:
    outfit = Outfit.of([wardrobe.named("top0"), wardrobe.named("trousers1")], skin=9, eyes=0)
    figures, transforms, camera, picture = shoot(model, outfit, wardrobe.textures, rotations(model, 2), supersample=2)
    points, _ = pose_points(figures, transforms)
    pixels = camera.weak.project(points)
    faces = figures.faces[0]
    raster = rasterize(pixels, faces, SIZE, SIZE, cull_backfaces=False)
    source = interpolate(
        pixels[:1],
        faces,
        replace(raster, pix_to_face=raster.pix_to_face[1:], bary=raster.bary[1:], depth=raster.depth[1:]),
    )
    grid = pixels_to_ndc(source[..., :2], SIZE, SIZE)
    nearest = sample_at(raster.depth[:1, None].clamp(max=9.0), grid.view(1, -1, 2), nearest=True).view(1, SIZE, SIZE)
    visible = raster.covered[1:] & (source[..., 2] < nearest + 0.01) & (nearest < 8)
    inner = torch.nn.functional.avg_pool2d(picture.matte[0], 5, 1, 2) > 0.999
    visible &= inner[1] & (sample_at(inner[:1].float(), grid.view(1, -1, 2)).view(1, SIZE, SIZE) > 0.99)
    carried = warp(picture.colour[0, :1], Flow(grid, visible[:, None]))
    error = (carried - picture.colour[0, 1:])[visible[:, None].expand(-1, 3, -1, -1)]
    assert visible.float().mean() > 0.03
    assert -10 * torch.log10(error.square().mean()) > 30
    unmoved = (picture.colour[0, :1] - picture.colour[0, 1:])[visible[:, None].expand(-1, 3, -1, -1)]
    assert -10 * torch.log10(unmoved.square().mean()) < 28


@pytest.mark.parametrize(("alpha", "expected"), [(0, 0.0), (128, 0.5), (255, 1.0)])
def test_opacity_of_a_texture_becomes_coverage(model: AnnyBody, alpha: int, expected: float) -> None:
    veil = offset_garment(model, "veil", "dress", SHIRT, 1)
    veil = replace(veil, hides=torch.ones(len(model.faces), dtype=torch.bool), cutout=torch.ones_like(veil.cutout))
    textures = Textures.of([smooth_image(0), smooth_image(1, alpha)])
    *_, picture = shoot(model, Outfit.of([veil], skin=0, eyes=0), textures, rotations(model, 3, 1), supersample=4)
    chest = picture.matte[0, 0, 0, 44:50, 60:68]
    assert chest.mean() == pytest.approx(expected, abs=0.1)  # front and back of the veil ask for the same samples


def test_cloth_hides_skin_that_pokes_through_a_little(model: AnnyBody, wardrobe: Wardrobe) -> None:
    tight = offset_garment(model, "tight", "trousers", TROUSERS, 1, distance=-0.003)
    outfit = Outfit.of([tight], skin=9, eyes=0)
    red = Paint(colour=(1.0, 0.0, 0.0), amount=1.0)
    outfit = replace(outfit, paints=(Paint(), red), looseness=0.0)
    *_, picture = shoot(model, outfit, wardrobe.textures, rotations(model, 4, 1))
    inner = torch.nn.functional.avg_pool2d(picture.matte[0], 3, 1, 1)[0, 0] > 0.999
    legs = picture.colour[0, 0, 1, 80:100][inner[80:100]]
    assert len(legs) > 100
    assert (legs < 0.2).float().mean() > 0.97


def test_perspective_enlarges_what_is_near_and_keeps_the_root(model: AnnyBody) -> None:
    weak = WeakPerspective(torch.tensor([100.0]), torch.tensor([[64.0, 64.0]]))
    points = torch.tensor([[[0.1, 0.0, -0.5], [0.1, 0.0, 0.0], [0.1, 0.0, 0.5]]])
    x = Camera(weak, torch.tensor([2.0])).project(points, SIZE, SIZE)[0, :, 0] - 64
    torch.testing.assert_close(x, torch.tensor([10 / 0.75, 10.0, 8.0]))


def test_lamp_brightens_the_side_that_it_shines_on(model: AnnyBody, wardrobe: Wardrobe) -> None:
    betas = torch.zeros(1, len(model.beta_names))
    figures = dress(model, betas, [Outfit.of([], skin=9, eyes=0)])
    transforms = model.pose(model.rest(betas), rotations(model, 5, 1) * 0 + torch.eye(3)).transforms[None]
    camera = Camera(WeakPerspective(torch.tensor([65.0]), torch.tensor([[64.0, 66.0]])), torch.tensor([torch.inf]))
    dark = torch.full((1, 3), 0.05)
    lamp = Light(torch.tensor([[[1.0, 0.0, -0.2]]]), torch.ones(1, 1, 3), dark, dark)
    for shadow_size in (0, 96):
        config = SceneConfig(1, shadow_size)
        picture = render(figures, transforms, camera, lamp, wardrobe.textures, (SIZE, SIZE), config)
        left, right = picture.colour[0, 0, :, 40:64, 50:64].mean(), picture.colour[0, 0, :, 40:64, 64:78].mean()
        assert right > 1.2 * left


def test_textures_are_sampled_at_texel_centres() -> None:
    image = np.random.default_rng(0).integers(0, 255, (4, 8, 4), dtype=np.uint8)
    textures = Textures.of([smooth_image(0), image])
    uv = torch.tensor([[2.5 / 8, 1 - 1.5 / 4], [3.0 / 8, 1 - 1.5 / 4]])
    colour = textures.sample(torch.tensor([1, 1]), uv) * 255
    torch.testing.assert_close(colour[0], torch.tensor(image[1, 2]).float())
    torch.testing.assert_close(colour[1], (torch.tensor(image[1, 2]).float() + torch.tensor(image[1, 3]).float()) / 2)


def test_prints_are_rounded_pieces_of_a_picture_or_ink(model: AnnyBody, wardrobe: Wardrobe) -> None:
    outfit = Outfit.of([wardrobe.named("top0"), wardrobe.named("trousers1")], skin=9, eyes=0)
    poses = rotations(model, 1)

    def printed(ink: bool, front: bool = True) -> torch.Tensor:
        decal = Decal(4, (0.1, 0.1), 0.8, (0.0, -0.32), 0.2, front, ink)
        return shoot(model, replace(outfit, decal=decal), wardrobe.textures, poses)[3].colour[0, 0]

    plain = shoot(model, outfit, wardrobe.textures, poses)[3].colour[0, 0]
    coloured, inked = ((printed(ink) - plain).abs().amax(0) > 1e-3 for ink in (False, True))
    rows, columns = coloured.nonzero().unbind(1)
    box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
    assert 50 < coloured.sum() < 0.97 * box  # 13 px wide, without its corners
    assert coloured[rows.min(), columns.min()] == 0
    assert 0 < inked.sum() < coloured.sum()  # only what is dark in the picture
    change = (printed(ink=True) - plain)[:, inked].mean(0)
    assert (change.max() < 1e-3) or (change.min() > -1e-3)  # one ink
    assert (printed(ink=False, front=False) == plain).all()
