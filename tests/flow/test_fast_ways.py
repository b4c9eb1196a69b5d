"""What is written twice, plainly and fast for a CPU, gives the same."""

import pytest
import torch
import torch.nn.functional as F

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.flow.colours import shade
from liquidwarp.flow.mesh import extension, texture, visibility
from liquidwarp.flow.mesh.extension import inflated_shell, no_extension
from liquidwarp.flow.mesh.stage import Stage
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.geometry import raster
from liquidwarp.geometry.camera import WeakPerspective

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


@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
def test_colours_grow_ring_by_ring(monkeypatch, share):
    image, mask = torch.rand(2, 3, 21, 34, generator=CHANCE), torch.rand(2, 1, 21, 34, generator=CHANCE) < share
    mask[0, 0, 0, 33] |= share > 0  # also around a corner of the picture
    fast = texture._rings_by_place(image * mask, mask.float(), 4)
    torch.testing.assert_close(fast, texture._rings(image * mask, mask.float(), 4), atol=1e-6, rtol=0)
    grown = texture.grow_colours(image, mask.float(), 4)
    monkeypatch.setattr(texture, "_rings_by_place", texture._rings)
    torch.testing.assert_close(grown, texture.grow_colours(image, mask.float(), 4), atol=1e-6, rtol=0)


def test_corners_mixed_in_pieces(monkeypatch):
    values, bary = torch.rand(45, 5, generator=CHANCE), torch.rand(70, 3, generator=CHANCE)
    plain = torch.einsum("pkc,pk->pc", values[FACES], bary)
    torch.testing.assert_close(raster.mix_corners(values, FACES, bary), plain)
    monkeypatch.setattr(raster, "_PLACES_PER_PIECE", 16)
    torch.testing.assert_close(raster.mix_corners(values, FACES, bary), plain)
    assert raster.mix_corners(values, FACES[:0], bary[:0]).shape == (0, 5)


def test_several_radii_are_answered_as_one_by_one():
    """Hands hang beside the thighs: the more is near to them, the fewer vertices are clear of them."""
    anny, radii = AnnyBody.load(), [1, 3, 6]
    camera = WeakPerspective(torch.tensor([30.0]), torch.tensor([[32.0, 32.0]]))
    body = BodyParams(torch.zeros(len(anny.beta_names)), torch.eye(3).repeat(1, len(anny.parents), 1, 1), camera)
    vertices = project_bodies(anny, no_extension(anny), body).body
    seen = raster.rasterize(vertices, anny.faces, 64, 64)
    together = visibility.clear_of_limbs(vertices, seen, anny, radii)
    alone = [visibility.clear_of_limbs(vertices, seen, anny, [radius])[0] for radius in radii]
    assert torch.equal(together, torch.stack(alone))
    counts = together.sum((1, 2)).tolist()
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2] > 0


def test_bodies_that_are_posed_once():
    anny, size = AnnyBody.load(), (64, 48)
    turns = torch.eye(3).repeat(2, len(anny.parents), 1, 1)
    turns[1, 0] = torch.tensor([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [-0.8, 0.0, 0.6]])
    camera = WeakPerspective(torch.tensor([30.0, 25.0]), torch.tensor([[24.0, 32.0], [20.0, 30.0]]))
    bodies = BodyParams(torch.zeros(len(anny.beta_names)), turns, camera)
    stage, shell = Stage.of(anny, bodies, size), inflated_shell(anny)
    for picture in (slice(0, 2), slice(1, 2)):
        plain, staged = project_bodies(anny, shell, bodies[picture]), stage[picture]
        drawn = raster.rasterize(plain.body, anny.faces, *size)
        for name in ("body", "extension", "normals", "torn", "scale"):
            torch.testing.assert_close(getattr(staged.surface(shell), name), getattr(plain, name))
        for name in ("pix_to_face", "bary", "depth"):
            torch.testing.assert_close(getattr(staged.raster, name), getattr(drawn, name))
    assert stage.size == size
    assert not torch.equal(stage[slice(0, 1)].body, stage[slice(1, 2)].body)
