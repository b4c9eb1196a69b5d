"""The rasteriser on CUDA: equal to itself on the CPU and to the plain loop.

Where the developer's extras are missing, ``python -m pytest -o addopts="" tests/geometry/test_raster_cuda.py`` runs it.
"""

import pytest
import torch
from raster_scenes import assert_same, scene

from liquidwarp.geometry.raster import Raster, rasterize, rasterize_reference

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]


def on_cuda(vertices: torch.Tensor, faces: torch.Tensor, size: int, cull: bool = True) -> Raster:
    found = rasterize(vertices.cuda(), faces.cuda(), size, size, cull_backfaces=cull)
    assert found.pix_to_face.is_cuda
    return Raster(found.pix_to_face.cpu(), found.bary.cpu(), found.depth.cpu())


@pytest.mark.parametrize("cull", [True, False])
def test_the_same_as_on_the_cpu(cull):
    vertices, faces = scene(num_faces=3000, size=256, batch=4)
    assert_same(on_cuda(vertices, faces, 256, cull), rasterize(vertices, faces, 256, 256, cull_backfaces=cull))


def test_the_same_as_the_plain_loop():
    vertices, faces = scene(num_faces=60, size=40, batch=2)
    assert_same(on_cuda(vertices, faces, 40), rasterize_reference(vertices, faces, 40, 40))


def test_the_same_at_every_call():
    vertices, faces = scene(num_faces=3000, size=256, batch=4)
    one, other = (on_cuda(vertices, faces, 256) for _ in range(2))
    assert torch.equal(one.pix_to_face, other.pix_to_face)
    assert torch.equal(one.depth, other.depth)


def test_the_scatter_that_decides_what_is_nearest_is_exact():
    """64-bit integers, of which depth and face are made."""
    keys = torch.randint(0, 2**62, (200_000,), generator=torch.Generator().manual_seed(0))
    place = torch.randint(0, 1000, (200_000,), generator=torch.Generator().manual_seed(1))
    start = torch.full((1000,), torch.iinfo(torch.int64).max)
    by_cpu = start.clone().scatter_reduce_(0, place, keys, "amin")
    by_cuda = start.cuda().scatter_reduce_(0, place.cuda(), keys.cuda(), "amin")
    assert torch.equal(by_cuda.cpu(), by_cpu)
