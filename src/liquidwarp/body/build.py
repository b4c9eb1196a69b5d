"""How stout a body is below its clothes, and how wide it is in those of somebody else.

A body that was fitted to a photo fills the clothes: a skirt makes thighs of its own width, wide trousers make thick
legs. Clothes only add, so where a person is slimmest, by the measures of the mean body, there the build is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.measures import measure
from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS

__all__ = ["WIDTHS", "dressed_shape"]

WIDTHS = ("torso", "hips", "upper_arm", "lower_arm", "upper_leg", "lower_leg")
"""Parts of the body that clothes make wider, of both sides."""

_END = {"lower_arm": "hand", "lower_leg": "foot"}
"""What a limb's lower half ends at."""
_RINGS = 6
"""Into which each part is cut across its axis."""
_HIPS = 0.12
"""Height of the waistband above the hip joints [m]."""
_TRUNK = ("torso", "hips")
_LIMBS = {_TRUNK: 1.25, ("upper_arm", "lower_arm"): 1.17, ("upper_leg", "lower_leg"): 1.17}
"""So many times as wide as its slim places trunk, arms and legs are at most where they are bare, by the mean body's; on
bodies up to 30 % heavier than it."""
_SLIM = 0.25
"""So much of a body is tightly dressed or bare [quantile]."""
_VARIETY = 1.25
"""The same within the whole body, which has more than one limb's slim places to go by."""
_TROUSERS = 1.1
"""Wide trousers are as much wider than the shins."""
_ROUNDS = 2
_EVERY, _KEPT = 20, 0.3
"""Of head, hands and feet one vertex in so many stays, and how much that counts."""
_EFFORT = 5e-4
"""Changing a shape coefficient by one is as bad as being wrong by this [m]."""


@dataclass(frozen=True)
class _Rings:
    """Slices of the body; ring r belongs to part ``r // _RINGS`` of :data:`WIDTHS`, of both sides."""

    ring: Int64[Tensor, "N"]
    """Ring and side of some vertices: ``2 r`` on the left, ``2 r + 1`` on the right or in the middle."""
    vertex: Int64[Tensor, "N"]
    axis: Float[Tensor, "N 3"]
    """Unit vector along their part."""

    @staticmethod
    def of(model: BodyModel) -> "_Rings":
        """Cut the mean body."""
        rest = model.rest(torch.zeros(1, len(model.beta_names)))
        place, joints, roles = rest.vertices[0], rest.joints[0], model.roles
        used = torch.zeros(len(place), dtype=torch.bool).index_fill_(0, model.faces.reshape(-1), True)
        waist = joints[list(roles.upper_leg), 1].mean() - _HIPS
        pieces = []
        for number, part in enumerate(WIDTHS):
            for side, prefix in enumerate(("left_", "right_") if part not in ("torso", "hips") else ("", "")):
                name = "torso" if part == "hips" else prefix + part
                member = used & (model.vertex_part == PARTS.index(name))
                axis = place.new_tensor([0.0, 1.0, 0.0])
                if prefix:
                    ends = (part, part.replace("upper", "lower") if "upper" in part else _END[part])
                    start, stop = (joints[getattr(roles, role)[side]] for role in ends)
                    axis = (stop - start) / (stop - start).norm()
                else:
                    member = member & ((place[:, 1] > waist) == (part == "hips")) & ((place[:, 0] > 0) == (side == 0))
                vertex = member.nonzero()[:, 0]
                along = place[vertex] @ axis
                share = (along - along.amin()) / (along.amax() - along.amin()).clamp(min=1e-6)
                ring = number * _RINGS + (share * _RINGS).long().clamp(max=_RINGS - 1)
                pieces.append((2 * ring + side, vertex, axis.expand(len(vertex), 3)))
        return _Rings(*(torch.cat(column) for column in zip(*pieces, strict=True)))

    def widths(self, vertices: Float[Tensor, "B V 3"]) -> Float[Tensor, "B R"]:
        """Mean distance of the rings from their middle [m], the mean of both sides."""
        place = vertices[:, self.vertex]
        across = place - (place * self.axis).sum(-1, keepdim=True) * self.axis
        count = 2 * _RINGS * len(WIDTHS)
        ones = torch.zeros(count).index_add_(0, self.ring, torch.ones(len(self.ring))).clamp(min=1)
        middle = vertices.new_zeros(len(vertices), count, 3).index_add_(1, self.ring, across) / ones[:, None]
        far = (across - middle[:, self.ring]).norm(dim=-1)
        mean = vertices.new_zeros(len(vertices), count).index_add_(1, self.ring, far) / ones
        return mean.view(len(vertices), -1, 2).mean(-1)


def dressed_shape(
    model: BodyModel, wearer: Float[Tensor, "K"], givers: Mapping[str, Float[Tensor, "K"]]
) -> Float[Tensor, "K"]:
    """The wearer's shape in clothes of others: no wider than the build below the own ones, and as wide as the lent.

    What is tight or bare on both keeps the wearer's own width; joints stay where they are, as far as shapes allow.

    Args:
        model: The body.
        wearer: Shape in the own clothes.
        givers: One of :data:`WIDTHS` to the shape of who lends what is worn there.
    """
    if not givers:
        return wearer
    rings, mean = _Rings.of(model), torch.zeros(len(model.beta_names))
    own, start = _relative(model, rings, wearer.cpu(), mean), wearer.cpu()
    wanted = own.clone()
    for part, giver in givers.items():
        rows = slice(WIDTHS.index(part) * _RINGS, (WIDTHS.index(part) + 1) * _RINGS)
        lent = _relative(model, rings, giver.cpu(), mean)
        wanted[rows] = (_below_clothes(own) * _widened(lent))[rows]
    shape = start
    for _ in range(_ROUNDS):
        shape = _nearer(model, rings, shape, start, wanted / own)
    return shape.to(wearer)


def _relative(
    model: BodyModel, rings: _Rings, betas: Float[Tensor, "K"], mean: Float[Tensor, "K"]
) -> Float[Tensor, "R"]:
    """Widths by the height, as multiples of the mean body's."""
    widths = rings.widths(model.rest(torch.stack([betas, mean])).vertices)
    tall = [measure(model, shape, "height") for shape in (betas, mean)]
    return widths[0] / widths[1] * tall[1] / tall[0]


def _below_clothes(width: Float[Tensor, "R"]) -> Float[Tensor, "R"]:
    """Widths of the body itself: no clothes make it slimmer, so each is at most what the slim places allow.

    Where a limb enters cloth and comes out again, it is as wide within as at both ends.
    """
    bare = width.clamp(max=_VARIETY * float(width.quantile(_SLIM)))
    for pair, most in _LIMBS.items():
        rows = torch.tensor([WIDTHS.index(part) * _RINGS + ring for part in pair for ring in range(_RINGS)])
        limb = bare[rows].double().numpy()
        limit = most * float(np.quantile(limb, _SLIM))
        limb = limb.clip(max=limit)
        tight = np.flatnonzero(width[rows].numpy() <= limit)
        if pair != _TRUNK and len(tight):
            limb = np.minimum(limb, np.interp(np.arange(len(limb)), tight, limb[tight], limit, limit))
        bare[rows] = torch.from_numpy(limb).to(bare)
    return bare


def _widened(width: Float[Tensor, "R"]) -> Float[Tensor, "R"]:
    """How many times as wide as the body its clothes are, but for thighs in what leaves the shins bare.

    A skirt hangs around both legs and is a tube of its own (:mod:`liquidwarp.flow.clothes.skirt`).
    """
    wide = (width / _below_clothes(width)).clamp(min=1).view(len(WIDTHS), _RINGS)
    if float(wide[WIDTHS.index("lower_leg")].mean()) < _TROUSERS:
        wide[WIDTHS.index("upper_leg")] = 1
    return wide.view(-1)


def _nearer(
    model: BodyModel,
    rings: _Rings,
    betas: Float[Tensor, "K"],
    original: Float[Tensor, "K"],
    change: Float[Tensor, "R"],
) -> Float[Tensor, "K"]:
    """One step (Gauss-Newton) to the original's widths times ``change``; joints, head, hands and feet stay."""
    count = len(betas)
    rest = model.rest(torch.cat([betas[None], original[None], betas + torch.eye(count)]))
    ends = torch.ones(rest.vertices.shape[1], dtype=torch.bool).index_fill_(0, rings.vertex, False)
    kept = _KEPT * rest.vertices[:, ends][:, ::_EVERY].flatten(1)
    looks = torch.cat([rings.widths(rest.vertices), rest.joints.flatten(1), kept], 1)
    wanted = looks[1].clone()
    wanted[: len(change)] *= change
    slope = torch.cat([(looks[2:] - looks[0]).T, _EFFORT * torch.eye(count)])
    gap = torch.cat([wanted - looks[0], _EFFORT * (original - betas)])
    return betas + torch.linalg.lstsq(slope, gap[:, None]).solution[:, 0]
