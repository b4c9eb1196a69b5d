"""A face that is turned farther than its photo is one thing: a half that was given up for its mirror image stays so.

What a photo shows flat serves a picture from the same side (:meth:`liquidwarp.flow.sources.FlowSources.seen_from`),
place by place. In a face that turns, that would be some places of the half that the photo shows badly, amid the mirror
image of its other half: smears around an eye. So such places are shown only while the whole head is hardly turned.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.parts import PARTS
from liquidwarp.flow.sources import FlowSources

__all__ = ["one_face"]

_TURNED = (0.17, 0.30)
"""How far a head's normals differ along the line of sight (root mean square) up to which the photo's own pixels are
shown all over, and from which only where the photo gives the head: turned by 17 and by 30 degrees."""


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
    apart = (sources.normals[0, :, head, 2] - normals[:, head, 2]).square().mean(1).sqrt()  # S
    alike = 1 - ((apart - _TURNED[0]) / (_TURNED[1] - _TURNED[0])).clamp(0, 1)
    kept = torch.maximum(sources.heads.share[0], alike[:, None])
    body = seen.body.clone()
    body[0, ..., 2] = torch.where(head, torch.maximum(sources.body[0, ..., 2], body[0, ..., 2] * kept), body[0, ..., 2])
    return replace(seen, body=body)
