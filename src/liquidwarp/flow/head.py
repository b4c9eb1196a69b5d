"""A head from one photo: what it does not show of one half, the other half shows.

Two photos of a face never fit together: expression, light and a few pixels of the fit differ, and a seam down a face is
what a viewer sees first. So one photo gives all that it shows of the head and, as heads are nearly symmetric, the
mirror image of that; other photos give what is left, such as the back of the head.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.spatial import cKDTree
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.extension import smooth_on_mesh
from liquidwarp.flow.surface import rest_coordinates

__all__ = ["Twins", "head_shares", "mirror_gain", "twin_vertices"]

_ENDS = ("left_hand", "right_hand", "left_foot", "right_foot")
_FACING = (0.1, 0.45)
"""Cosine to the line of sight at which a place of a head begins to be worth showing, and from which it is fully."""
_DEFICIT = (0.3, 0.6)
"""So much worse than its twin a place must be seen until it begins to be given up for the twin, and is."""
_SEEN = 0.5
_LEAST = 0.1
"""A photo that shows less of the face than this shows no head."""
_SEAM = 4
"""Width of the change to other photos [edges of the mesh]."""
_GAIN_ROUNDS = 30
_ALIKE = 0.4
"""Places whose colours differ more from their mirror images' [logarithm] are not the same thing in another light."""
_FAINT = 0.002
"""Farther away than this little of the known places' weight reaches, nothing is made brighter or darker."""
_DARK = 0.03


@dataclass(frozen=True)
class Twins:
    """Places of a head and their mirror images."""

    index: Int64[Tensor, "V"]
    """The vertex that is each vertex's mirror image; vertices of other parts are their own."""
    member: Bool[Tensor, "V"]
    """Vertices of heads, hands and feet."""
    head: Bool[Tensor, "V"]
    face: Bool[Tensor, "V"]


def twin_vertices(model: BodyModel) -> Twins:
    """Find the mirror images of heads, hands and feet in the rest pose."""
    used = torch.zeros_like(model.vertex_part, dtype=torch.bool)
    used[model.faces.reshape(-1)] = True
    face = used & (model.vertex_part == PARTS.index("face"))
    head = face | (used & (model.vertex_part == PARTS.index("head")))
    member = head.clone()
    for part in _ENDS:
        member |= used & (model.vertex_part == PARTS.index(part))
    index = torch.arange(len(used), device=used.device)
    if bool(member.any()):
        places = rest_coordinates(model)[member].cpu().numpy()
        nearest = cKDTree(places).query(places * np.array([-1, 1, 1], np.float32))[1]
        index[member] = index[member][torch.as_tensor(nearest, device=index.device)]
    return Twins(index, member, head, face)


def head_shares(
    model: BodyModel, visible: Float[Tensor, "S V"], normals: Float[Tensor, "S V 3"], inside: Float[Tensor, "S V"]
) -> tuple[Float[Tensor, "S V"], Float[Tensor, "S V"]]:
    """How much of what each photo of one person sees may be shown, such that one photo gives the head.

    Args:
        model: The body.
        visible: How well each photo sees each vertex [0, 1].
        normals: Unit normals in the photos' camera frames.
        inside: 0 where a vertex falls outside of the person or on the outline, else 1.

    Returns:
        What may be shown: 1, but 0 on the head where the chosen photo shows a place much worse than its twin, and in
        the other photos where the chosen one shows the place or its twin. And what may be lent to hidden places: the
        same, less what is seen at a grazing angle. Both are 1 everywhere if no photo shows the face.
    """
    twins = twin_vertices(model)
    share = torch.ones_like(visible)
    worth = visible * inside * _smoothstep(-normals[..., 2], *_FACING)
    shown = worth[:, twins.face].mean(1) if bool(twins.face.any()) else worth.new_zeros(len(worth))
    best = int(shown.argmax())
    if float(shown[best]) < _LEAST:
        return share, share
    own, mirrored = worth[best], worth[best, twins.index]
    given = (twins.head & (torch.maximum(own, mirrored) > _SEEN)).to(own.dtype)
    left = 1 - smooth_on_mesh(given[None, :, None], model.faces, _SEAM)[0, :, 0]
    share[:, twins.head] = ((left - 0.5) * 2).clamp(0, 1)[twins.head]
    share[best] = torch.where(twins.head, 1 - _smoothstep(mirrored - own, *_DEFICIT), 1)
    share = torch.where(twins.head, share * inside, share)
    return share, torch.where(twins.head, share * worth, share)


def mirror_gain(
    model: BodyModel, twins: Twins, colour: Float[Tensor, "V 3"], known: Bool[Tensor, "V"]
) -> Float[Tensor, "V 3"]:
    """By how much a vertex is brighter than its mirror image, judged by the nearest places that are both known.

    Args:
        model: The body.
        twins: From :func:`twin_vertices`.
        colour: RGB in [0, 1].
        known: Which of them are meant.
    """
    light = colour.clamp(min=_DARK).log()
    difference = light - light[twins.index]
    both = twins.member & known & known[twins.index] & (difference.abs().amax(1) < _ALIKE)
    trust = both.to(light.dtype)[:, None]
    spread = smooth_on_mesh(torch.cat([difference * trust, trust], 1)[None], model.faces, _GAIN_ROUNDS)[0]
    return (spread[:, :3] / (spread[:, 3:] + _FAINT)).exp()


def _smoothstep(value: Float[Tensor, "*B"], low: float, high: float) -> Float[Tensor, "*B"]:
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)
