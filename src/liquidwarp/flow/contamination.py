"""Colours that landed on the wrong part, where the fitted body is a few pixels off.

Beside another limb, before or behind it, and at the silhouette a surface point may show the colour of what is next
to it in the photo. Such a point is found by its colour: it is far from that of its own part nearby and near to that
of its neighbour in the picture. It then counts as not seen, so that other photos or the made-up texture fill it.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.extension import smooth_on_mesh
from liquidwarp.flow.surface import rest_coordinates

__all__ = ["own_colours"]

_FAR = 0.13
"""Distance from the own part's colour at which a colour is suspicious, if that part is plain [RGB, 0..1]."""
_NEARER = 0.6
"""A colour is another's if it is nearer to it than this share of the distance to its own part's."""
_NEIGHBOURS = 25
_FEW = 40
_REACH = 28 / 512
"""How far away in the picture the other part may be, relative to its height."""
_HEIGHT_WEIGHT = 2.5
"""Own colours are those at the same height rather than those beside: clothes have hems."""
_TESTED = tuple(part for part in PARTS if part not in ("head", "face"))
"""Hair beside a face is as far from its colour as anything else."""


def own_colours(
    model: BodyModel,
    pixels: Float[Tensor, "V 2"],
    colours: Float[Tensor, "V 3"],
    behind: Float[Tensor, "V 3"],
    seen: Bool[Tensor, "V"],
    sure: Bool[Tensor, "V"],
    height: int,
) -> Float[Tensor, "V"]:
    """1 where a vertex of one photo shows its own colour, 0 where it shows another part's or the background's.

    Args:
        model: The body.
        pixels: Where the vertices are in the photo [px].
        colours: What the photo shows there.
        behind: The background's colour nearest to there.
        seen: Vertices that the photo shows by the fitted body.
        sure: Those of them that are clear of other parts and of the silhouette.
        height: Of the photo [px].
    """
    place = (rest_coordinates(model) * colours.new_tensor([1.0, _HEIGHT_WEIGHT, 1.0])).cpu().numpy()
    position, shown, back = pixels.cpu().numpy(), colours.cpu().numpy(), behind.cpu().numpy()
    known, doubtful = sure.cpu().numpy(), (seen & ~sure).cpu().numpy()
    part = model.vertex_part.cpu().numpy()
    wrong = np.zeros(len(part), bool)
    for name in _TESTED:
        member = part == PARTS.index(name)
        lender, asked = member & known, np.flatnonzero(member & doubtful)
        if int(lender.sum()) < _FEW or len(asked) == 0:
            continue
        own, spread = _typical(place[lender], shown[lender], place[asked])
        from_own = np.linalg.norm(shown[asked] - own, axis=1)
        from_other = np.linalg.norm(shown[asked] - back[asked], axis=1)
        others = known & ~member
        if int(others.sum()) >= _FEW:
            beside, _ = _typical(position[others], shown[others], position[asked], _REACH * height)
            from_other = np.fmin(from_other, np.linalg.norm(shown[asked] - beside, axis=1))
        wrong[asked] = (from_own > _FAR + 2 * spread) & (from_other < _NEARER * from_own)
    # A torn edge would show single vertices again: the neighbours go too.
    rejected = torch.as_tensor(wrong, device=colours.device).to(colours.dtype)
    around = smooth_on_mesh(rejected[None, :, None], model.faces, 2)[0, :, 0]
    return (1 - torch.maximum(rejected, 3 * around)).clamp(0, 1)


def _typical(
    places: Float[np.ndarray, "K D"],
    colours: Float[np.ndarray, "K 3"],
    wanted: Float[np.ndarray, "N D"],
    reach: float = np.inf,
) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N"]]:
    """Median colour of the nearest places, not a number where the nearest is out of reach; and how they vary."""
    distance, index = cKDTree(places).query(wanted, _NEIGHBOURS)
    near = colours[index]
    median = np.median(near, axis=1)
    spread = np.median(np.linalg.norm(near - median[:, None], axis=2), axis=1)
    return np.where(distance[:, :1] <= reach, median, np.nan), spread
