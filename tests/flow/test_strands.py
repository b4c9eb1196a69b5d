"""Made-up hair has strands: drawn out from the whorl down, as strong as in the seen hair."""

import pytest
import torch
from scipy.spatial import cKDTree

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.mesh.unwrap import unwrap
from liquidwarp.flow.unseen.strands import combed, strands

HEAD = PARTS.index("head")


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def test_strands_are_on_the_head_and_longer_than_wide(anny):
    flat = unwrap(anny, 512)
    drawn = strands(anny, 512)
    head = flat.part == HEAD
    assert torch.equal(drawn[~head], torch.zeros_like(drawn[~head]))
    assert torch.allclose(drawn[head].std(0), torch.ones(3), atol=0.05)
    behind = (flat.place[:, 0].abs() < 0.05) & (flat.place[:, 1].abs() < 0.9) & (flat.place[:, 1].abs() > 0.83)
    behind &= head & (flat.place[:, 2] > 0.15)
    tree, lock = cKDTree(flat.place[head].numpy()), drawn[head][:, 1]

    def alike(offset):
        _, other = tree.query((flat.place[behind] + torch.tensor(offset)).numpy())
        return float(torch.corrcoef(torch.stack([drawn[behind][:, 1], lock[torch.as_tensor(other)]]))[0, 1])

    assert alike([0.0, 0.012, 0.0]) > alike([0.012, 0.0, 0.0]) + 0.2


def test_hair_varies_as_much_as_the_seen_hair(anny):
    flat = unwrap(anny, 512)
    hair = (flat.part == HEAD) & (flat.place[:, 2] < flat.place[flat.part == HEAD, 2].mean())
    plain = torch.full_like(flat.place, 0.3)
    assert torch.allclose(combed(anny, flat, plain, hair), torch.ones(len(plain), 1), atol=1e-4)
    patterned = plain * (0.1 * torch.sin(flat.place[:, :1] * 2 * torch.pi / 0.03)).exp()
    varied = combed(anny, flat, patterned, hair)[flat.part == HEAD].log()
    assert float(varied.std()) == pytest.approx(0.07, abs=0.04)


def test_a_few_places_of_hair_tell_nothing(anny):
    flat = unwrap(anny, 512)
    few = torch.zeros_like(flat.part, dtype=torch.bool)
    few[:100] = True
    noise = torch.rand(len(flat.part), 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(combed(anny, flat, noise, few), torch.ones(len(flat.part), 1))
