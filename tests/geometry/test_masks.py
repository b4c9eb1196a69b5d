import pytest
import torch
import torch.nn.functional as F

from liquidwarp.geometry.masks import dilate, erode


def pooled(mask, radius):
    """The plain way."""
    return F.max_pool2d(mask, 2 * radius + 1, 1, radius)


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 7, 12, 40])
def test_dilation_equals_pooling(radius):
    """Of any values, also where the window is larger than the picture."""
    depth = torch.randn(2, 1, 33, 50, generator=torch.Generator().manual_seed(0))
    depth[0, 0, 3, 4] = torch.inf
    depth[1, 0, :, :20] = -torch.inf
    size = 2 * radius + 1
    rows = F.max_pool2d(F.pad(depth, (0, 0, radius, radius), value=-torch.inf), (size, 1), 1)
    plain = F.max_pool2d(F.pad(rows, (radius, radius, 0, 0), value=-torch.inf), (1, size), 1)
    torch.testing.assert_close(dilate(depth, radius), plain, rtol=0, atol=0)


def test_erosion_equals_pooling():
    mask = (torch.rand(1, 1, 40, 60, generator=torch.Generator().manual_seed(1)) > 0.02).float()
    plain = mask
    for step in range(5):
        if step % 2 == 0:
            plain = -pooled(-plain, 1)
        else:
            plus = torch.maximum(F.max_pool2d(-plain, (3, 1), 1, (1, 0)), F.max_pool2d(-plain, (1, 3), 1, (0, 1)))
            plain = -plus
        torch.testing.assert_close(erode(mask, step + 1), plain, rtol=0, atol=0)
