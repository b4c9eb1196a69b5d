"""Small facts about triangle meshes: normals, edges, neighbours."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

__all__ = ["face_normals", "vertex_normals"]


def face_normals(vertices: Float[Tensor, "B V 3"], faces: Int64[Tensor, "F 3"]) -> Float[Tensor, "B F 3"]:
    """Unit normals that point outward where corners run counter-clockwise seen from outside."""
    a, b, c = (vertices.index_select(1, faces[:, k]) for k in range(3))
    return F.normalize(torch.linalg.cross(b - a, c - a), dim=-1)


def vertex_normals(vertices: Float[Tensor, "B V 3"], faces: Int64[Tensor, "F 3"]) -> Float[Tensor, "B V 3"]:
    """Area-weighted unit normals of the vertices; 0 for a vertex in no face."""
    a, b, c = (vertices.index_select(1, faces[:, k]) for k in range(3))
    weighted = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices)
    for k in range(3):
        total.index_add_(1, faces[:, k], weighted)
    return F.normalize(total, dim=-1)
