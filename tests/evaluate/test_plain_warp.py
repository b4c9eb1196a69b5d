"""The plain contender: what is seen is copied, what is not seen is empty."""

import pytest
import torch
from torch import Tensor

from liquidwarp.body.model import BodyParams
from liquidwarp.config import BodyNoise, SyntheticConfig, TrainConfig
from liquidwarp.evaluate.plain_warp import PlainWarp, blend_by_visibility
from liquidwarp.evaluate.synthetic import KnownBodies, plain_warped
from liquidwarp.flow.condition import condition_maps
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.masks import dilate, erode
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.geometry.warp import Flow
from liquidwarp.learn.boxes import MovingBoxes
from liquidwarp.synthetic.dataset import SyntheticPeople
from liquidwarp.synthetic.poses import PoseLibrary
from liquidwarp.synthetic.wardrobe import Textures, Wardrobe

SIZE = 192


def test_colours_are_the_mean_by_visibility_and_nothing_is_there_where_none_sees():
    photos = torch.zeros(1, 2, 3, 4, 4)
    photos[0, 0, 0], photos[0, 1, 2] = 1, 1  # red, blue
    visible = torch.zeros(1, 1, 2, 4, 4)
    visible[..., 0, :, 1:], visible[..., 1, :, 2:], visible[..., 0, :, 3] = 0.9, 0.3, 0.4
    grid = Flow.identity(4, 4, 2).grid[None, None]
    colours, opacity = blend_by_visibility(photos, grid, visible)
    assert opacity[0, 0, 0].tolist() == [[0, 1, 1, 0]] * 4
    expected = torch.tensor([[0.0, 1, 0.75, 0], [0, 0, 0, 0], [0, 0, 0.25, 0]])
    torch.testing.assert_close(colours[0, 0, :, 0], expected)


def test_positions_are_the_flow_s():
    photo = torch.rand(1, 1, 3, 8, 8)
    grid = Flow.identity(8, 8).grid[None, None].flip(-1)  # columns and rows change places
    colours, opacity = blend_by_visibility(photo, grid, torch.ones(1, 1, 1, 8, 8))
    torch.testing.assert_close(colours[:, 0], photo[:, 0].transpose(2, 3))
    assert (opacity == 1).all()


def _standing(anny, yaw: float) -> BodyParams:
    rotvec = torch.zeros(1, len(anny.joint_names), 3)
    rotvec[0, 0, 1] = yaw
    camera = WeakPerspective(torch.tensor([SIZE / 2.2]), torch.full((1, 2), SIZE / 2))
    return BodyParams(torch.zeros(len(anny.beta_names)), rotvec_to_matrix(rotvec), camera)


@pytest.fixture(scope="module")
def front(anny) -> tuple[PlainWarp, Tensor, Tensor]:
    """A person with wide hair: the photo from the front, and the naked body's silhouette in it."""
    body = _standing(anny, 0.0)
    silhouette = condition_maps(anny, no_extension(anny), body, (SIZE, SIZE))[:, 6:7]
    photo = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 12), (SIZE, SIZE), mode="bilinear")
    return PlainWarp.of(anny, body, photo, dilate(silhouette, 6)), photo, silhouette


def test_the_own_pose_shows_the_photo_s_own_pixels_and_no_hair(front, anny):
    warp, photo, silhouette = front
    colours, opacity = warp.render(_standing(anny, 0.0), (SIZE, SIZE))
    assert opacity.unique().tolist() == [0, 1]
    assert (opacity <= silhouette).all()  # wide hair and clothes are left out
    inner = erode(silhouette, 3)
    assert (opacity * inner).sum() > 0.97 * inner.sum()
    assert ((colours - photo) * opacity).abs().max() < 0.02
    assert (colours * (1 - opacity) == 0).all()


def test_the_back_is_empty(front, anny):
    warp, _, silhouette = front
    colours, opacity = warp.render(_standing(anny, torch.pi), (SIZE, SIZE))
    assert opacity.sum() < 0.03 * silhouette.sum()
    assert colours[opacity.expand_as(colours) == 0].abs().max() == 0


@pytest.fixture(scope="module")
def naked(anny) -> SyntheticPeople:
    skin = Textures.of([torch.full((8, 8, 4), 255, dtype=torch.uint8).numpy()])
    walls = torch.full((1, 3, 64, 64), 90, dtype=torch.uint8)
    wardrobe = Wardrobe((), skin, {"young_male": 0, "young_female": 0}, {}, walls, ("a_0",), (0,))
    config = SyntheticConfig(degrade=0.0, noise=BodyNoise(*[0.0] * len(BodyNoise.__dataclass_fields__)))
    return SyntheticPeople(anny, wardrobe, PoseLibrary(torch.zeros(2, len(anny.joint_names), 3), ("a", "b")), config)


@pytest.mark.parametrize("count", [1, 3])
def test_rendered_people_are_warped_by_their_fitted_bodies_alone(naked, count):
    data = KnownBodies(TrainConfig(people=1, size=128, half_size_share=0.0), naked)
    sample = dict(zip((1, 3), data.growing(3, (1, 3)), strict=True))[count]
    colours, opacity = plain_warped(sample, data)
    true = erode(sample.mattes[0], 1)
    seen = erode(opacity[0], 1) * true
    assert opacity.shape == (1, 2, 1, *sample.images.shape[-2:])
    assert (dilate(sample.mattes[0], 2) >= opacity[0])[opacity[0] > 0].float().mean() > 0.98
    assert seen.sum() > (0.3, 0.5)[count > 1] * true.sum()
    error = ((colours - sample.images)[0].abs() * seen).sum() / (3 * seen.sum())
    shuffled = ((colours.flip(1) - sample.images)[0].abs() * seen).sum() / (3 * seen.sum())
    assert error < shuffled / 2  # the light falls otherwise when the person turns


def test_samples_without_bodies_are_warped_by_their_own_flow():
    (sample,) = MovingBoxes(1, 2, 2, 64).samples(0)
    colours, opacity = plain_warped(sample, None)
    expected = blend_by_visibility(sample.sources.images, sample.targets.grid, sample.targets.visible)
    assert torch.equal(colours, expected[0])
    assert torch.equal(opacity, expected[1])
