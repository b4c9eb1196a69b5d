"""What is written twice, plainly and fast for a CPU, gives the same."""

import pytest
import torch
import torch.nn.functional as F

from liquidwarp.flow import extension, shade, texture

CHANCE = torch.Generator().manual_seed(4)
FACES = torch.randint(40, (70, 3), generator=CHANCE)
"""Of 45 vertices, so that some have none."""


def test_smoothing_over_a_mesh(monkeypatch):
    values = torch.rand(2, 45, 3, generator=CHANCE)
    fixed = torch.rand(2, 45, generator=CHANCE) < 0.2
    fast = [extension.smooth_on_mesh(values, FACES, 25, kept) for kept in (None, fixed)]
    monkeypatch.setattr(extension, "_smooth_by_matrix", extension._smooth_by_faces)
    plain = [extension.smooth_on_mesh(values, FACES, 25, kept) for kept in (None, fixed)]
    torch.testing.assert_close(fast, plain, atol=1e-6, rtol=0)
    assert not torch.allclose(fast[0], values, atol=0.05)
    assert not torch.allclose(fast[0], fast[1], atol=0.01)


def test_light_that_flows_over_a_mesh(monkeypatch):
    colours, known = torch.rand(45, 3, generator=CHANCE), torch.rand(45, generator=CHANCE) < 0.4
    fast = shade.shade_gain(colours, known, FACES)
    monkeypatch.setattr(shade, "_exchange_by_matrix", shade._exchange_by_edges)
    torch.testing.assert_close(fast, shade.shade_gain(colours, known, FACES), atol=1e-5, rtol=0)
    assert float((fast - 1).abs().max()) > 0.1


@pytest.mark.parametrize("width", [3, 9])
def test_the_mean_of_a_neighbourhood(width):
    image = torch.rand(2, 3, 21, 34, generator=CHANCE)
    plain = F.avg_pool2d(image, width, 1, width // 2)
    torch.testing.assert_close(texture.mean_around(image, width), plain, atol=1e-6, rtol=0)
