"""How the photos' pixels and the network's come together."""

import torch

from liquidwarp.renderers import common_outline, keep_photos
from liquidwarp.types import TargetFlow


def _flow(matte: torch.Tensor, colour: float) -> TargetFlow:
    """A warp of one colour that one source sees wherever it is opaque."""
    _, _, height, width = matte.shape
    return TargetFlow(
        grid=torch.zeros(1, 1, height, width, 2),
        valid=matte > 0,
        visible=matte.clone(),
        condition=torch.zeros(1, 8, height, width),
        texture=colour * matte.expand(-1, 3, -1, -1),
        texture_matte=matte,
    )


def _bar(left: int, right: int) -> torch.Tensor:
    matte = torch.zeros(1, 1, 64, 64)
    matte[..., left:right] = 1
    return matte


def test_colours_are_halfway_where_a_photo_shows_the_place():
    picture, opacity = keep_photos(_flow(_bar(16, 48), 0.8), torch.full((1, 3, 64, 64), 0.4), _bar(16, 48))
    assert torch.allclose(picture[..., 20:44], torch.tensor(0.6))
    assert torch.equal(opacity, _bar(16, 48))


def test_the_warp_s_colours_go_on_beyond_its_outline_and_the_network_s_begin_farther_out():
    picture, _ = keep_photos(_flow(_bar(16, 40), 0.8), torch.full((1, 3, 64, 64), 0.1), _bar(16, 60))
    assert torch.allclose(picture[..., 40], torch.tensor(0.8), atol=1e-3)
    assert torch.allclose(picture[..., 50:60], torch.tensor(0.1))


def test_near_the_network_s_outline_the_mean_decides():
    own, warped = _bar(16, 40), _bar(16, 41)
    opacity = common_outline(0.9 * own, warped)
    assert torch.allclose(opacity[..., 16], torch.tensor((0.95 - 0.5) * 1.6 + 0.5).clamp(max=1))
    assert torch.allclose(opacity[..., 40], torch.tensor(0.5))
    assert (opacity[..., :16] == 0).all()


def test_holes_and_tatters_of_the_warp_are_gone():
    own, warped = _bar(16, 40), _bar(16, 40)
    warped[..., 20:30, 24:30] = 0
    warped[..., 10:20, 52:60] = 1
    opacity = common_outline(own, warped)
    assert (opacity[..., 20:30, 24:30] == 1).all()
    assert (opacity[..., 10:20, 52:60] == 0).all()
    assert torch.equal(opacity[..., :40], own[..., :40])
