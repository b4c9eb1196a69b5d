"""Random triangles, and when two rasters are the same. Without trimesh, which machines with a GPU may lack."""

import torch


def scene(num_faces=60, size=40, batch=2, seed=0):
    """Random triangles, many larger than a pixel, some partly or wholly outside of the picture."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(batch, num_faces, 1, 3, generator=generator) * torch.tensor([size + 10, size + 10, 5.0]) - 5
    corners = centre + torch.randn(batch, num_faces, 3, 3, generator=generator) * torch.tensor([6.0, 6, 0.5])
    return corners.view(batch, -1, 3), torch.arange(3 * num_faces).view(-1, 3)


def assert_same(found, expected, tolerance=2e-4):
    """Equal up to rounding: a pixel centre on an edge, or two faces at one depth, may go either way."""
    differs = found.pix_to_face != expected.pix_to_face
    assert float(differs.float().mean()) < 1e-3
    same = ~differs & found.covered
    assert int(same.sum()) > 50
    torch.testing.assert_close(found.bary[same], expected.bary[same], atol=tolerance * 20, rtol=0)
    torch.testing.assert_close(found.depth[same], expected.depth[same], atol=tolerance, rtol=tolerance)
