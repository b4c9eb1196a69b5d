"""Made-up colours brought into the light of what is seen beside them, all over the body.

Each part's hidden side is made up by itself, so where it meets what is seen, or the next part, light and shade may
step. Here brightness flows over the surface from vertex to vertex, but only within one cloth: hems stay.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.sparse import coo_matrix
from torch import Tensor

__all__ = ["shade_gain"]

_HUE, _SHADE = 0.03, 0.5
"""Colours whose shares of red, green and blue differ by less, and whose brightness by less [logarithm], are alike."""
_PULL, _EXCHANGES = 0.04, 80
"""A made-up colour follows what is seen beside it over about 1 / sqrt(pull) edges of the mesh."""
_STRONGEST = 0.4
"""A colour is made brighter or darker by this at most [logarithm]."""
_OTHER_HAIR = 0.8
"""The same for hair, which two photos show much darker and lighter."""
_DARK = 0.03


def shade_gain(
    colours: Float[Tensor, "V 3"],
    known: Bool[Tensor, "V"],
    faces: Int64[Tensor, "F 3"],
    hair: Bool[Tensor, "V"] | None = None,
) -> Float[Tensor, "V 3"]:
    """By how much made-up colours have to be brighter, so that no step in light is left.

    Args:
        colours: Seen or made up, RGB in [0, 1].
        known: Which are seen; they keep their colours.
        faces: Of the mesh.
        hair: What is one head's hair and so has no hem, however much darker it is in one photo than in another.

    Returns:
        1 where a colour is known.
    """
    bright = colours.sum(1, keepdim=True).clamp(min=2 * _DARK)
    look = torch.cat([colours / bright / _HUE, bright.log() / _SHADE], 1)
    a = faces[:, [0, 1, 2, 1, 2, 0]].reshape(-1)
    b = faces[:, [1, 2, 0, 0, 1, 2]].reshape(-1)
    alike = (-2 * (look[a] - look[b]).square().sum(1)).exp()
    if hair is not None:
        alike = torch.where(hair[a] & hair[b], 1, alike)
    light = colours.clamp(min=_DARK).log()
    exchange = _exchange_by_matrix if colours.device.type == "cpu" else _exchange_by_edges
    even = exchange(light, known, a, b, alike)
    most = torch.full_like(light[:, :1], _STRONGEST)
    if hair is not None:
        most[hair] = _OTHER_HAIR
    return torch.maximum(torch.minimum(even - light, most), -most).exp()


def _exchange_by_edges(
    light: Float[Tensor, "V 3"],
    known: Bool[Tensor, "V"],
    a: Int64[Tensor, "E"],
    b: Int64[Tensor, "E"],
    alike: Float[Tensor, "E"],
) -> Float[Tensor, "V 3"]:
    """The plain way, on any device."""
    total = _PULL + torch.zeros_like(light[:, 0]).index_add_(0, a, alike)
    even = light
    for _ in range(_EXCHANGES):
        around = torch.zeros_like(light).index_add_(0, a, alike[:, None] * even.index_select(0, b))
        even = torch.where(known[:, None], light, (_PULL * light + around) / total[:, None])
    return even


def _exchange_by_matrix(
    light: Float[Tensor, "V 3"],
    known: Bool[Tensor, "V"],
    a: Int64[Tensor, "E"],
    b: Int64[Tensor, "E"],
    alike: Float[Tensor, "E"],
) -> Float[Tensor, "V 3"]:
    """The same on a CPU, as products with a sparse matrix."""
    num = len(light)
    matrix = coo_matrix((alike.numpy(), (a.numpy(), b.numpy())), (num, num)).tocsr()
    total = np.asarray(matrix.sum(1)) + np.float32(_PULL)
    start, still = light.contiguous().numpy(), known[:, None].numpy()
    even = start
    for _ in range(_EXCHANGES):
        even = np.where(still, start, (np.float32(_PULL) * start + matrix @ even) / total)
    return torch.from_numpy(even)
