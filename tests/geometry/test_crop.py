import torch

from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.crop import Crop, crop_around


def gradient(height: int, width: int) -> torch.Tensor:
    """A picture whose red is the x and whose green is the y of the pixel's centre."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x / width, y / height, torch.full_like(x, 0.25)])[None]


def test_take_keeps_pixels_at_the_same_size() -> None:
    image = gradient(20, 30)
    assert torch.equal(Crop(4, 3, 8, 8).take(image), image[:, :, 3:11, 4:12])


def test_take_shrinks_to_the_centres_that_the_convention_says() -> None:
    crop = Crop(4, 2, 16, 8).take(gradient(20, 30))
    expected = (4 + (torch.arange(8) + 0.5) * 2) / 30
    assert torch.allclose(crop[0, 0, 3, 1:-1], expected[1:-1], atol=1e-5)


def test_take_beyond_the_picture() -> None:
    image = torch.ones(1, 1, 6, 6)
    window = Crop(-4, -4, 8, 8)
    assert torch.equal(window.take(image), torch.ones(1, 1, 8, 8))
    zero = window.take(image, outside="zero")
    assert zero[0, 0, 4:, 4:].min() == 1
    assert zero[0, 0, :4].max() == 0


def test_camera_and_back() -> None:
    camera = WeakPerspective(torch.tensor([200.0]), torch.tensor([[50.0, 60.0]]))
    crop = Crop(10, 20, 80, 40)
    inside = crop.camera(camera)
    assert inside.scale.item() == 100
    assert inside.translation.tolist() == [[20.0, 20.0]]
    back = crop.uncrop_camera(inside)
    assert torch.allclose(back.translation, camera.translation)
    assert torch.allclose(back.scale, camera.scale)


def test_paste_is_the_inverse_of_take() -> None:
    image = gradient(24, 24)
    for size in (8, 16, 32):
        crop = Crop(4, 5, 16, size)
        pasted = crop.paste(torch.zeros(3, 24, 24), crop.take(image)[0], torch.ones(1, size, size))
        inner = pasted[:, 11:15, 10:14]
        assert torch.allclose(inner, image[0, :, 11:15, 10:14], atol=2e-3)
        assert pasted[:, :5].max() == 0


def test_paste_outside_changes_nothing() -> None:
    picture = torch.rand(3, 10, 10)
    result = Crop(50, 50, 4, 4).paste(picture, torch.ones(3, 4, 4), torch.ones(1, 4, 4))
    assert torch.equal(result, picture)


def test_crop_around_is_centred() -> None:
    crop = crop_around(torch.tensor([[10.0, 10.0], [30.0, 50.0]]), size=64, margin=0.1)
    assert crop.side == 48
    assert (crop.left + crop.side / 2, crop.top + crop.side / 2) == (20, 30)
