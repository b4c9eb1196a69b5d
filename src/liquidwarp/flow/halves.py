"""A face that is turned farther than its photo is one thing: a half that was given up for its mirror image stays so.

What a photo shows flat serves a picture from the same side (:meth:`liquidwarp.flow.sources.FlowSources.seen_from`),
place by place. In a face that turns, that would be some places of the half that the photo shows badly, amid the mirror
image of its other half: smears around an eye. So such places are shown only while the head is hardly turned towards
them.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.parts import PARTS
from liquidwarp.flow.sources import FlowSources

__all__ = ["one_face"]

_TURNED = (0.07, 0.17)
"""How much more frontal [cosine, root mean square] the picture sees the places that were given up than the photo does,
up to which the photo's own pixels are shown all over, and from which only where the photo gives the head: turned by
about 6 and 13 degrees. A head that turns them away squeezes them, which does no harm."""


def one_face(sources: FlowSources, normals: Float[Tensor, "1 V 3"]) -> FlowSources:
    """The photos as suits one picture, its head of one piece.

    Args:
        sources: Photos of one person (G = 1); the first of those that may gives the head.
        normals: Unit normals of the body in the picture's camera frame.
    """
    seen = sources.seen_from(normals)
    if len(sources.heads) == 0:
        return seen
    head = torch.isin(
        sources.model.vertex_part, torch.tensor([PARTS.index("head"), PARTS.index("face")], device=normals.device)
    )
    share = sources.heads.share[0]
    turned = (sources.normals[0, ..., 2] - normals[..., 2]).clamp(min=0)  # S V
    shown = (1 - share) * sources.unhidden[0] * head
    apart = ((turned.square() * shown).sum(1) / shown.sum(1).clamp(min=1e-6)).sqrt()  # S
    alike = 1 - ((apart - _TURNED[0]) / (_TURNED[1] - _TURNED[0])).clamp(0, 1)
    kept = torch.maximum(share, alike[:, None])
    body = seen.body.clone()
    body[0, ..., 2] = torch.where(head, torch.maximum(sources.body[0, ..., 2], body[0, ..., 2] * kept), body[0, ..., 2])
    return replace(seen, body=body)
