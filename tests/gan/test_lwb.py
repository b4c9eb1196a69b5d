import pytest
import torch
from torch import nn

from liquidwarp.config import GeneratorConfig
from liquidwarp.gan.lwb import LiquidWarpingBlock, ScaleGeometry, SourceAttention
from liquidwarp.geometry.warp import Flow, warp

CHANNELS, SIZE = 6, 5


class PlainAttention(nn.Module):
    """The paper's attention, unfolded: q, k and v apart, one source after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Conv2d(CHANNELS, CHANNELS, 1) for _ in range(3))
        self.unseen_key = nn.Parameter(torch.randn(CHANNELS))
        self.unseen = nn.Parameter(torch.randn(CHANNELS))

    def forward(self, features, sources, visible):
        query = self.q(features)
        scores = [
            ((query * self.k(f)).sum(1) / CHANNELS**0.5 + v.log()).masked_fill(v == 0, float("-inf"))
            for f, v in zip(sources, visible, strict=True)
        ]
        scores.append((query * self.unseen_key[:, None, None]).sum(1) / CHANNELS**0.5)
        weights = torch.softmax(torch.stack(scores), 0)
        values = [self.v(f) for f in (*sources, self.unseen[:, None, None].expand_as(features))]
        return sum(w[:, None] * v for w, v in zip(weights, values, strict=True))

    def folded(self) -> SourceAttention:
        attention = SourceAttention(CHANNELS)
        q, key = self.q.weight[:, :, 0, 0], self.k.weight[:, :, 0, 0]
        apart = self.unseen_key - self.k.bias
        with torch.no_grad():
            attention.query.weight.copy_(torch.cat([key.T @ q, (apart @ q)[None]])[..., None, None])
            attention.query.bias.copy_(torch.cat([key.T @ self.q.bias, (apart @ self.q.bias)[None]]))
            attention.unseen.copy_(self.unseen)
        return attention


@pytest.mark.parametrize("num_sources", [1, 2, 5])
def test_folded_attention_is_the_papers(num_sources):
    torch.manual_seed(num_sources)
    plain = PlainAttention()
    features = torch.randn(1, CHANNELS, SIZE, SIZE)
    sources = torch.randn(num_sources, 1, CHANNELS, SIZE, SIZE)
    visible = torch.rand(num_sources, 1, SIZE, SIZE) * (torch.rand(num_sources, 1, SIZE, SIZE) > 0.3)
    visible = visible.clamp(min=1e-3) * (visible > 0)

    mixed = plain.folded()(features, sources.transpose(0, 1)[:, None], visible.transpose(0, 1)[:, None, :, None])

    torch.testing.assert_close(plain.v(mixed), plain(features, sources, visible), atol=1e-5, rtol=1e-5)


def test_pixel_seen_by_no_source_takes_the_learned_feature():
    torch.manual_seed(0)
    attention = PlainAttention().folded()
    warped = torch.randn(1, 1, 3, CHANNELS, SIZE, SIZE)
    visible = torch.ones(1, 1, 3, 1, SIZE, SIZE)
    visible[..., 2, 2] = 0
    mixed = attention(torch.randn(1, CHANNELS, SIZE, SIZE), warped, visible)
    torch.testing.assert_close(mixed[0, :, 2, 2], attention.unseen.detach())
    assert (mixed[0, :, 1, 1] - attention.unseen).abs().max() > 0.05


def test_weights_sum_to_one_and_hidden_sources_get_none():
    torch.manual_seed(1)
    attention = SourceAttention(CHANNELS)
    visible = torch.rand(1, 1, 4, 1, SIZE, SIZE)
    visible[:, :, 1] = 0
    weights = attention.weights(
        torch.randn(1, CHANNELS, SIZE, SIZE), torch.randn(1, 1, 4, CHANNELS, SIZE, SIZE), visible
    )
    torch.testing.assert_close(weights.sum(2), torch.ones(1, 1, 1, SIZE, SIZE))
    assert (weights[:, :, 1] == 0).all()


def test_previous_frame_is_preferred_by_its_bias():
    torch.manual_seed(2)
    attention = SourceAttention(CHANNELS)
    inputs = torch.randn(1, CHANNELS, 2, 2), torch.randn(1, 1, 3, CHANNELS, 2, 2), torch.ones(1, 1, 3, 1, 2, 2)
    before = attention.weights(*inputs, num_previous=1)
    with torch.no_grad():
        attention.previous_bias.add_(3.0)
    after = attention.weights(*inputs, num_previous=1)
    assert (after[:, :, 2] > before[:, :, 2]).all()
    torch.testing.assert_close(attention.weights(*inputs), before)


def test_geometry_warps_each_source_to_each_target(make_people):
    _, target = make_people(people=2, sources=3, targets=2)
    geometry = ScaleGeometry.at(target, 32, 32)
    features = torch.randn(2, 3, 4, 32, 32)
    warped = geometry.warp(features)
    for person, t, s in ((0, 0, 0), (1, 1, 2), (0, 1, 1)):
        flow = Flow(target.grid[person, t, s][None], target.valid[person, t][None])
        torch.testing.assert_close(warped[person, t, s], warp(features[person, s][None], flow)[0])


def test_geometry_averages_visibility_over_valid_pixels_only(make_people):
    _, target = make_people()
    target.valid[:] = False
    target.valid[..., 0, 0] = True
    target.visible[:] = 1.0
    target.visible[:, :, 1] = 0.0
    geometry = ScaleGeometry.at(target, 8, 8)
    assert geometry.visible[0, 0, :, 0, 0, 0].tolist() == [1.0, 0.0]
    assert geometry.maps[0, :, 0, 0].tolist() == pytest.approx([1.0, 1 / 16])
    assert geometry.visible[0, 0, :, 0, 4, 4].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("fusion", ["attention", "attention-adain", "add", "average", "soft-gate"])
def test_every_fusion_has_gradients_everywhere(fusion, make_people):
    torch.manual_seed(0)
    _, target = make_people(sources=2, targets=2)
    block = LiquidWarpingBlock(CHANNELS, GeneratorConfig(fusion=fusion, modulation_channels=8))
    features = torch.randn(2, CHANNELS, 8, 8, requires_grad=True)
    sources = torch.randn(1, 2, CHANNELS, 8, 8, requires_grad=True)
    geometry = ScaleGeometry.at(target, 8, 8)
    block(features, geometry.warp(sources), geometry).square().sum().backward()
    for name, parameter in block.named_parameters():
        assert name == "attention.previous_bias" or parameter.grad.abs().sum() > 0, name
    assert torch.isfinite(sources.grad).all()
    assert sources.grad.abs().sum() > 0
    assert features.grad.abs().sum() > 0
