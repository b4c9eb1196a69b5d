"""The weak-perspective camera and the pixel convention."""

import torch

from liquidwarp.geometry.camera import WeakPerspective, ndc_to_pixels, pixels_to_ndc

CAMERA = WeakPerspective(torch.tensor([100.0, 50.0]), torch.tensor([[320.0, 240.0], [10.0, 20.0]]))


def test_known_points():
    points = torch.tensor([[0.0, 0, 2], [1, -1, 3]]).expand(2, 2, 3)
    expected = torch.tensor([[[320.0, 240, 2], [420, 140, 3]], [[10, 20, 2], [60, -30, 3]]])
    torch.testing.assert_close(CAMERA.project(points), expected)
    torch.testing.assert_close(CAMERA.unproject(expected), points)


def test_a_crop_that_is_scaled_shows_the_same():
    points = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    whole, part = CAMERA.project(points), CAMERA.resized(0.5, (30.0, 40.0)).project(points)
    torch.testing.assert_close(part[..., :2], (whole[..., :2] - torch.tensor([30.0, 40.0])) * 0.5)
    torch.testing.assert_close(part[..., 2], whole[..., 2])


def test_frames_are_selected_together():
    one = CAMERA[1:]
    assert len(one) == 1
    assert float(one.scale) == 50
    assert one.translation.tolist() == [[10.0, 20.0]]


def test_ndc_lies_on_the_outer_edges():
    corners = torch.tensor([[0.0, 0.0], [640.0, 480.0], [320.0, 240.0], [0.5, 0.5]])
    ndc = pixels_to_ndc(corners, 480, 640)
    torch.testing.assert_close(ndc[:3], torch.tensor([[-1.0, -1], [1, 1], [0, 0]]))
    torch.testing.assert_close(ndc[3], torch.tensor([1 / 640 - 1, 1 / 480 - 1]))
    torch.testing.assert_close(ndc_to_pixels(ndc, 480, 640), corners)
