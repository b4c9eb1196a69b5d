"""Backward warping and flows: exact cases, and masks that never leak."""

import pytest
import torch

from liquidwarp.errors import ShapeError
from liquidwarp.geometry.camera import ndc_to_pixels
from liquidwarp.geometry.warp import Flow, resize, resize_flow, sample_at, warp


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(8, 8), (5, 9), (256, 192)])
def test_the_identity_flow_changes_nothing(size):
    image = noise(2, 3, *size)
    torch.testing.assert_close(warp(image, Flow.identity(*size, batch=2)), image, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, -2), (3, 1)])
def test_a_shift_by_whole_pixels_is_exact(dx, dy):
    """The target's pixel p comes from the source's p + (dx, dy)."""
    image = noise(1, 2, 10, 14)
    identity = Flow.identity(10, 14)
    moved = Flow(identity.grid + torch.tensor([2 * dx / 14, 2 * dy / 10]), identity.valid)
    y, x = torch.meshgrid(torch.arange(10), torch.arange(14), indexing="ij")
    expected = image[:, :, (y + dy).clamp(0, 9), (x + dx).clamp(0, 13)]  # outside: the nearest border pixel
    torch.testing.assert_close(warp(image, moved), expected, atol=1e-5, rtol=0)


def test_half_a_pixel_mixes_two():
    image = torch.tensor([[[[0.0, 1.0, 4.0]]]])
    flow = Flow(Flow.identity(1, 3).grid + torch.tensor([1 / 3, 0.0]), torch.ones(1, 1, 1, 3, dtype=torch.bool))
    torch.testing.assert_close(warp(image, flow), torch.tensor([[[[0.5, 2.5, 4.0]]]]))


def test_what_is_not_valid_is_zero():
    valid = noise(1, 1, 6, 6) > 0.5
    image = 1 + noise(1, 3, 6, 6)
    out = warp(image, Flow(Flow.identity(6, 6).grid, valid))
    assert bool(((out > 0) == valid).all())


def test_low_precision_images_keep_their_type_and_place():
    image = noise(1, 1, 256, 256).to(torch.bfloat16)
    out = warp(image, Flow.identity(256, 256))
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, image, atol=2e-3, rtol=1e-2)


def test_other_batch_sizes_are_refused():
    with pytest.raises(ShapeError, match="image has batch 2, flow has 1"):
        warp(noise(2, 3, 4, 4), Flow.identity(4, 4))


def test_warp_has_right_gradients():
    image = noise(1, 2, 5, 5).double().requires_grad_(True)
    grid = (Flow.identity(5, 5).grid.double() * 0.7 + 0.013).requires_grad_(True)
    sampled = torch.autograd.gradcheck(lambda i: sample_at(i, grid.detach().reshape(1, -1, 2)), (image,))
    assert sampled
    assert torch.autograd.gradcheck(lambda g: sample_at(image.detach(), g.reshape(1, -1, 2)), (grid,))


def test_samples_at_pixel_centres_and_between():
    image = torch.arange(12.0).view(1, 1, 3, 4)
    ndc = torch.tensor([[[0.5 / 2 - 1, 0.5 * 2 / 3 - 1], [0.0, 0.0], [5.0, 5.0]]])
    torch.testing.assert_close(sample_at(image, ndc), torch.tensor([[[0.0, 5.5, 11.0]]]))
    nearest = sample_at(image, ndc + torch.tensor([0.01, 0.0]), nearest=True)
    assert nearest.flatten().tolist() == [0.0, 6.0, 11.0]


@pytest.mark.parametrize("size", [256, 128, 64, 32])
def test_a_resized_identity_is_the_identity(size):
    small, share = resize_flow(Flow.identity(256, 256, batch=2), size, size)
    torch.testing.assert_close(small.grid, Flow.identity(size, size, batch=2).grid, atol=1e-6, rtol=0)
    assert bool(small.valid.all())
    assert bool((share == 1).all())


def test_a_grown_identity_is_the_identity_inside():
    large, _ = resize_flow(Flow.identity(16, 16), 64, 64)
    expected = Flow.identity(64, 64).grid
    torch.testing.assert_close(large.grid[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [128, 64, 100, 300])
def test_resizing_never_mixes_invalid_positions(size):
    """Valid pixels all point to one place; the invalid ones hold rubbish, and must not be felt."""
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    valid = ((x - 120) ** 2 + (y - 100) ** 2 < 70**2)[None, None]
    place = torch.tensor([0.3, -0.6])
    grid = torch.where(valid[:, 0, ..., None], place, torch.tensor([-2.0, 1e4]))
    flow, share = resize_flow(Flow(grid, valid), size, size)
    found = flow.grid[flow.valid[:, 0]]
    torch.testing.assert_close(found, place.expand_as(found), atol=1e-4, rtol=0)
    assert bool((flow.grid[~flow.valid[:, 0]] == 0).all())
    assert bool(((share > 0) == flow.valid).logical_or(share < 1e-5).all())
    assert float(share.mean()) == pytest.approx(float(valid.float().mean()), abs=0.002)


def test_resizing_keeps_a_shift_in_pixels_of_the_source():
    identity = Flow.identity(64, 64)
    shifted = Flow(identity.grid + torch.tensor([8 / 64, 0.0]), identity.valid)
    small, _ = resize_flow(shifted, 16, 16)
    moved = ndc_to_pixels(small.grid, 64, 64) - ndc_to_pixels(Flow.identity(16, 16).grid, 64, 64)
    torch.testing.assert_close(moved, torch.tensor([4.0, 0.0]).expand_as(moved), atol=1e-4, rtol=0)


def test_resize_keeps_flat_colours_and_does_not_alias():
    assert torch.allclose(resize(torch.full((1, 1, 30, 30), 0.3), 7, 11), torch.tensor(0.3))
    stripes = (torch.arange(64) % 2).float().expand(1, 1, 64, 64).contiguous()
    small = resize(stripes, 16, 16)
    assert float((small[..., 2:-2] - 0.5).abs().max()) < 0.05
    assert resize(stripes, 64, 64) is stripes
