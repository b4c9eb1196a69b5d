"""Hips that a shirt hid on their owner, below a shorter shirt of somebody else: the trousers go on up to the waist.

Nobody's photo shows what was below the shirt. It is taken to be like the cloth under the hem, mirrored there. And below
a top that ends above the waist there is skin down to the trousers, wherever the giver's own began.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.spatial import cKDTree
from torch import Tensor

from liquidwarp.flow.mesh.extension import smooth_on_mesh
from liquidwarp.flow.mesh.surface import vertices_of
from liquidwarp.flow.sources import FlowSources

__all__ = ["without_gaps"]

_SEEN, _FEW = 0.2, 100
"""Fewer vertices of trousers that are seen say nothing."""
_FLAT = 0.4
"""Lenders are looked for farther above and below than beside a place: heights count so much."""
_BESIDE = 0.04
"""A lender is no farther to the side or to the front than this [m]."""
_BELLY, _HIGH, _SOME = 0.12, 0.15, 5
"""The same for bare skin, which is alike everywhere, also above and below; and fewer vertices of it are none."""
_SEAM = 5
"""Wider than the seams between parts [edges of the mesh]."""
_MIXED, _SAME = 4, 1e-3
"""So many vertices lend to each; what is nearer than this is the same place [m]."""


def without_gaps(
    sources: FlowSources,
    allowed: Float[Tensor, "S V"],
    hips: Bool[Tensor, "V"],
    bellies: Bool[Tensor, "S V"],
) -> tuple[FlowSources, Float[Tensor, "S V"]]:
    """Let who gives the trousers give hips that nobody gives as well, and who shows a bare belly what is above them.

    Args:
        sources: Photos of several people (G = 1).
        allowed: 1 where a source gives a vertex, else 0.
        hips: Which vertices are the body's hips.
        bellies: Where those who give the torso show it bare below a short top.
    """
    model, photos = sources.model, sources
    rest = model.rest(model.lbs_weights.new_zeros(1, len(model.beta_names))).vertices[0].cpu().double().numpy()
    used = torch.zeros_like(hips).index_fill_(0, model.faces.reshape(-1), True)
    gap, seen = (allowed.amax(0) <= 0) & used, sources.body[0, ..., 2] > _SEEN
    legwear = hips | vertices_of(model, "left_upper_leg", "right_upper_leg")
    trunk = vertices_of(model, "torso") & ~hips
    for s in range(len(allowed)):
        for wanted, lends, as_image, reach in (
            (gap & hips, (allowed[s] > 0) & legwear & seen[s], True, (_BESIDE, np.inf)),
            (gap & trunk, bellies[s], False, (_BELLY, _HIGH)),
        ):
            if int(lends.sum()) >= (_FEW if as_image else _SOME) and bool(wanted.any()):
                beside = smooth_on_mesh(wanted[None, :, None].to(allowed), model.faces, _SEAM)[0, :, 0] > 0
                moved = wanted | (beside & (allowed[s] <= 0))  # a seam shall not show what was there
                from_, to = (np.flatnonzero(where.cpu().numpy()) for where in (lends, moved))
                lenders = _lenders(rest, from_, to, as_image, reach)
                sources = _lent(sources, photos, s, lenders, wanted)
                given = torch.zeros_like(hips).index_fill_(0, torch.as_tensor(lenders[0], device=hips.device), True)
                allowed = allowed.clone()
                allowed[s, given & wanted] = 1
    return sources, allowed


def _lenders(
    rest: Float[np.ndarray, "V 3"],
    lends: Int64[np.ndarray, "L"],
    wanted: Int64[np.ndarray, "W"],
    image: bool,
    reach: tuple[float, float],
) -> tuple[Int64[np.ndarray, "K"], Int64[np.ndarray, "K 4"], Float[np.ndarray, "K 4"]]:
    """Which vertices are near enough to some that lend, which of these lend to each, and in which shares."""
    flat = np.array([1.0, _FLAT, 1.0])
    hem = rest[lends[cKDTree(rest[lends] * flat).query(rest[wanted] * flat)[1]]]
    away = np.abs(hem - rest[wanted])
    near = (away[:, [0, 2]].max(1) < reach[0]) & (away[:, 1] < reach[1])
    place = rest[wanted[near]]
    if image:
        place[:, 1] = 2 * hem[near, 1] - place[:, 1]
    distance, index = cKDTree(rest[lends]).query(place, _MIXED)
    share = 1 / (distance + _SAME)
    return wanted[near], lends[index], share / share.sum(1, keepdims=True)


def _lent(
    sources: FlowSources,
    photos: FlowSources,
    source: int,
    lenders: tuple[Int64[np.ndarray, "K"], Int64[np.ndarray, "K 4"], Float[np.ndarray, "K 4"]],
    wanted: Bool[Tensor, "V"],
) -> FlowSources:
    """The same, where one source shows some vertices as others in ``photos``; not wanted ones only have their place."""
    place, lender, share = (torch.as_tensor(values, device=sources.body.device) for values in lenders)
    share, shown = share.to(sources.body), wanted[place].to(sources.body)
    body, unhidden, clear = (values.clone() for values in (sources.body, sources.unhidden, sources.clear))
    body[0, source, place] = (photos.body[0, source][lender] * share[..., None]).sum(1)
    body[0, source, place, 2] *= shown
    for values, before in ((unhidden, photos.unhidden), (clear, photos.clear)):
        values[0, source, place] = (before[0, source][lender] * share).sum(1) * shown
    return replace(sources, body=body, unhidden=unhidden, clear=clear)
