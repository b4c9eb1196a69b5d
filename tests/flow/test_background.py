import numpy as np
import pytest
import torch

from liquidwarp.errors import SettingError, ShapeError
from liquidwarp.flow.place.background import background_hole, complete_background
from liquidwarp.flow.place.exemplar import fill_by_example


def person(height=96, width=96, left=40, right=56):
    matte = torch.zeros(1, 1, height, width)
    matte[..., 20:90, left:right] = 1
    return matte


def stripes(height=96, width=96, period=8):
    """Vertical stripes: a smear from the left and right cannot draw them, copied patches can."""
    columns = (torch.arange(width) // (period // 2)) % 2
    return (0.2 + 0.6 * columns.float()).expand(1, 3, height, width).contiguous()


@pytest.mark.parametrize("quality", ["draft", "good"])
def test_constant_stays_constant(quality):
    image = torch.full((1, 3, 96, 96), 0.4)
    seen = torch.where(person() > 0, torch.ones(1), image)
    assert (complete_background(seen, person(), quality=quality) - image).abs().max() < 0.02


def test_texture_goes_on():
    image = stripes()
    seen = torch.where(person() > 0, torch.ones(1), image)
    inside = (person() > 0).expand(-1, 3, -1, -1)
    error = {
        q: (complete_background(seen, person(), quality=q) - image).abs()[inside].mean() for q in ("draft", "good")
    }
    assert error["good"] < 0.1
    assert error["good"] < error["draft"] / 2


def test_only_the_hole_changes():
    image = torch.rand(1, 3, 64, 64)
    matte = person(64, 64, 20, 40)
    result = complete_background(image, matte)
    kept = ~background_hole(matte).expand(-1, 3, -1, -1)
    assert torch.equal(result[kept], image[kept])


def test_hole_covers_matte_and_body():
    silhouette = torch.zeros(1, 1, 96, 96)
    silhouette[..., 90:95, 60:70] = 1
    hole = background_hole(person(), silhouette)
    assert hole[..., 92, 65].all()
    assert hole[..., 50, 48].all()
    assert not hole[..., 50, 80].any()


def test_another_photo_of_the_same_place_shows_it():
    place = torch.rand(1, 3, 96, 96)
    mattes = torch.cat([person(left=20, right=30), person(left=60, right=70)])
    photos = torch.where(mattes > 0, torch.zeros(1), place)
    assert torch.allclose(complete_background(photos, mattes), place)
    assert torch.allclose(complete_background(photos, mattes, primary=1), place)


def test_what_only_one_of_several_photos_shows_does_not_count():
    place = 0.2 + 0.6 * torch.rand(1, 3, 96, 96)
    mattes = torch.cat([person(left=20, right=30), *[person(left=60, right=70)] * 3])
    photos = torch.where(mattes > 0, torch.zeros(1), place)
    photos[2, :, 40:60, 15:35] = 1  # somebody passes by where the first photo's person stands
    result = complete_background(photos, mattes)[..., 20:90, 20:30]
    assert (result - place[..., 20:90, 20:30]).abs().max() < 0.03


def test_other_photos_are_brought_to_the_light_of_the_first():
    """A longer exposure, and a shade on one side: neither may draw the person's outline."""
    place = 0.3 + 0.2 * torch.rand(1, 3, 96, 96)
    mattes = torch.cat([person(left=20, right=30), person(left=60, right=70)])
    shade = torch.linspace(0.85, 1.0, 96).expand(1, 1, 96, 96)
    photos = torch.where(mattes > 0, torch.zeros(1), torch.cat([place, place * 1.1 * shade]))
    error = (complete_background(photos, mattes) - place)[..., 20:90, 20:30]
    assert error.mean().abs() < 0.006
    assert error.abs().mean() < 0.02


def test_another_place_is_not_used():
    photos = torch.cat([torch.full((1, 3, 96, 96), 0.2), torch.full((1, 3, 96, 96), 0.8)])
    mattes = torch.cat([person(left=20, right=30), person(left=60, right=70)])
    assert (complete_background(photos, mattes) - 0.2).abs().max() < 0.01


def test_nothing_is_copied_from_padding():
    image = torch.full((1, 3, 96, 96), 0.3)
    image[..., 66:] = 0.9
    inside = torch.ones(1, 1, 96, 96)
    inside[..., 66:] = 0
    matte = person(left=48, right=60)
    result = complete_background(image, matte, inside=inside)
    assert (result[..., 20:90, 48:60] - 0.3).abs().max() < 0.1


def test_large_pictures_are_filled_too():
    image = torch.full((1, 3, 640, 600), 0.5)
    matte = person(640, 600, 200, 300)
    assert (complete_background(image, matte) - 0.5).abs().max() < 0.02


def test_nothing_to_fill_or_nothing_known():
    image = np.random.default_rng(0).random((20, 20, 3), dtype=np.float32)
    assert np.array_equal(fill_by_example(image, np.zeros((20, 20), bool)), image)
    assert np.array_equal(fill_by_example(image, np.ones((20, 20), bool)), image)


def test_errors():
    image = torch.rand(1, 3, 96, 96)
    with pytest.raises(SettingError, match="quality"):
        complete_background(image, person(), quality="best")
    with pytest.raises(ShapeError, match="primary"):
        complete_background(image, person(), primary=1)
    with pytest.raises(ShapeError, match="images"):
        complete_background(image * 255, person())


@pytest.mark.parametrize("quality", ["draft", "good"])
def test_other_people_stay(quality):
    """A red neighbour touches the person, a green one stands apart: both stay, and are not there twice."""
    image = torch.full((1, 3, 96, 96), 0.4)
    red, green = person(left=56, right=70), person(left=4, right=14)
    for others, channel in ((red, 0), (green, 1)):
        image = torch.where(others > 0, torch.eye(3)[channel].view(1, 3, 1, 1), image)
    image = torch.where(person() > 0, torch.ones(1), image)
    result = complete_background(image, person(), quality=quality, others=red + green)
    assert (result[..., 20:90, 60:70] == image[..., 20:90, 60:70]).all()
    assert (result[..., 20:90, 4:14] == image[..., 20:90, 4:14]).all()
    greenish = (result[:, 1] > result[:, 0] + 0.3).sum()
    assert greenish == (green > 0).sum(), "nobody is copied"
    gone = complete_background(image, person(), quality=quality)
    assert not (gone[..., 20:90, 56:59] == image[..., 20:90, 56:59]).all(), "without that the margin is repainted"
    assert result[..., 20:90, 44:50].mean(1).max() < 0.8, "the person is gone"
