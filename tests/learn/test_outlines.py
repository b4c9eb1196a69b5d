"""Outlines as halos carry them."""

import torch

from liquidwarp.learn.outlines import carry_outlines


def _case(seed):
    """A body of 40 px in a dress of 80 px, of which the warp shows only the body."""
    body = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    body[..., 20:110, 44:84] = True
    truth = torch.zeros(1, 1, 128, 128)
    truth[..., 20:110, 24:104] = 1
    colours = torch.tensor([0.8, 0.2, 0.4])[None, :, None, None] * body
    return carry_outlines(colours, body.float(), body, truth, torch.Generator().manual_seed(seed)), body, truth


def test_the_outline_is_near_the_true_one_but_not_it():
    (_, matte), _, truth = _case(0)
    solid = matte > 0.5
    overlap = float((solid & (truth > 0.5)).sum() / (solid | (truth > 0.5)).sum())
    assert 0.9 < overlap < 0.999


def test_colours_go_on_from_the_body_to_the_outline():
    (colours, matte), body, _ = _case(1)
    beyond = (matte[0, 0] > 0.9) & ~body[0, 0]
    assert beyond.sum() > 1000
    assert torch.allclose(colours[0][:, beyond].mean(1), torch.tensor([0.8, 0.2, 0.4]), atol=0.02)


def test_errors_differ_from_draw_to_draw():
    (_, first), _, _ = _case(2)
    (_, second), _, _ = _case(3)
    assert (first - second).abs().max() > 0.5


def test_an_empty_warp_keeps_its_colours():
    nothing = torch.zeros(1, 1, 64, 64)
    colours = torch.rand(1, 3, 64, 64)
    generator = torch.Generator().manual_seed(0)
    drawn, matte = carry_outlines(colours, nothing, nothing.bool(), nothing, generator)
    assert not matte.any()
    assert not drawn.any()
