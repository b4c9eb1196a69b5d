"""Pixels at the edge of a limb before the body show some of both; all others are left alone."""

import pytest
import torch

from liquidwarp.flow.draw import soften_inner_edges
from liquidwarp.geometry.raster import Raster

ARM, SHIRT = torch.tensor([0.9, 0.7, 0.6]), torch.tensor([0.1, 0.2, 0.5])


@pytest.fixture
def crossing():
    """A limb of 8 columns (face 1), 10 cm before a trunk (face 0); nothing in the last columns, faint at their side."""
    face = torch.zeros(1, 16, 32, dtype=torch.long)
    face[..., 8:16], face[..., 28:] = 1, -1
    depth = torch.where(face == 1, 1.9, 2.0) + torch.linspace(0, 0.2, 32)
    raster = Raster(face, torch.zeros(1, 16, 32, 3), torch.where(face < 0, torch.inf, depth))
    colours = torch.where((face == 1)[..., None], ARM, SHIRT).permute(0, 3, 1, 2) * (face >= 0)[:, None]
    opacity = (face >= 0)[:, None].float()
    opacity[..., 27] = 0.4
    return colours, opacity, raster


def test_an_inner_edge_is_soft_and_nothing_else(crossing):
    colours, opacity, raster = crossing
    drawn = soften_inner_edges(colours, opacity, raster, torch.tensor([True, True]))
    edge = torch.zeros(32, dtype=torch.bool)
    edge[[7, 8, 15, 16]] = True
    assert torch.equal(drawn[..., ~edge], colours[..., ~edge])
    for inner, outer in ((8, 7), (15, 16)):
        assert torch.allclose(drawn[0, :, 5, inner], 0.75 * ARM + 0.25 * SHIRT, atol=1e-5)
        assert torch.allclose(drawn[0, :, 5, outer], 0.25 * ARM + 0.75 * SHIRT, atol=1e-5)


def test_edges_of_other_faces_stay_sharp(crossing):
    colours, opacity, raster = crossing
    assert torch.equal(soften_inner_edges(colours, opacity, raster, torch.tensor([False, False])), colours)


def test_a_limb_at_the_outline_takes_nothing_from_outside(crossing):
    """What is not the person has no colour: it must not darken an edge."""
    colours, _, raster = crossing
    face = raster.pix_to_face.clone()
    face[..., 16:] = -1
    alone = Raster(face, raster.bary, torch.where(face < 0, torch.inf, raster.depth))
    shown = (face >= 0)[:, None].float()
    drawn = soften_inner_edges(colours * shown, shown, alone, torch.tensor([True, True]))
    assert torch.allclose(drawn[0, :, 5, 15], ARM, atol=1e-5)
