"""What the person wears beyond the naked body (hair, jackets, skirts, shoes) as a second mesh that moves with it.

An extension hangs on the body: each of its points is a body vertex plus an offset in the rest pose, skinned with
weights of its own. So one extension fits bodies of any shape, and is posed by the same joints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.sparse import csr_matrix, diags
from torch import Tensor

from liquidwarp.body.model import BodyModel, RestBody
from liquidwarp.body.parts import PARTS
from liquidwarp.geometry.mesh import vertex_normals

__all__ = ["SHELL_THICKNESS", "Extension", "inflated_shell", "join_extensions", "no_extension", "smooth_on_mesh"]

SHELL_THICKNESS: Mapping[str, float] = {
    "head": 0.045,
    "face": 0.045,
    "left_hand": 0.012,
    "right_hand": 0.012,
    "left_foot": 0.02,
    "right_foot": 0.02,
}
"""Distance of the shell from the skin by part [m]; 0.035 where not named."""

_THICKNESS = 0.035
_BEHIND_ALL = 10.0


@dataclass(frozen=True)
class Extension:
    """A mesh outside of the body, bound to it. N points, M faces."""

    anchor: Int64[Tensor, "N"]
    """The body vertex each point hangs on."""
    offset: Float[Tensor, "N 3"]
    """Rest position relative to the anchor's [m]."""
    weights: Float[Tensor, "N J"]
    """Skinning weights; rows sum to 1."""
    faces: Int64[Tensor, "M 3"]
    """Counter-clockwise seen from outside; a sheet that is seen from both sides has each face twice."""
    part: Int64[Tensor, "M"]
    """Body part that each face belongs to, index into ``PARTS``."""
    owner: Int64[Tensor, "N"]
    """The only source that knows this point's colour, as a halo is made from one photo; -1: any source."""
    recess: Float[Tensor, "N"]
    """Added to the depth [m], so that the extension lies behind the surface that it surrounds."""
    max_edge: Float[Tensor, "M"]
    """A face with a longer edge in a pose is torn off [m]; inf: never."""

    def points(self, rest: RestBody) -> Float[Tensor, "B N 3"]:
        """Rest positions on shaped bodies [m]."""
        return rest.vertices.index_select(1, self.anchor) + self.offset

    def to(self, device: torch.device | str) -> "Extension":
        """The same extension on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def no_extension(model: BodyModel) -> Extension:
    """Nothing but the body."""
    floats, indices = model.lbs_weights.new_zeros(0), model.faces.new_zeros(0)
    joints = model.lbs_weights.shape[1]
    return Extension(
        anchor=indices,
        offset=floats.view(0, 3),
        weights=floats.view(0, joints),
        faces=indices.view(0, 3),
        part=indices,
        owner=indices,
        recess=floats,
        max_edge=floats,
    )


def inflated_shell(model: BodyModel, thickness: Mapping[str, float] = SHELL_THICKNESS) -> Extension:
    """The body's outer skin, pushed out along its normals; the same for every person, so training uses it.

    It always lies behind the body itself: what it shows is the ring around the silhouette, where a source's matte
    decides how much of it is the person.

    Args:
        model: The body.
        thickness: Distance from the skin by part [m]; 0.035 where not named.
    """
    rest = model.rest(model.lbs_weights.new_zeros(1, len(model.beta_names)))
    by_part = [thickness.get(part, _THICKNESS) for part in PARTS]
    distance = rest.vertices.new_tensor(by_part).index_select(0, model.vertex_part)
    distance = smooth_on_mesh(distance[None, :, None], model.faces, iterations=6)[0]
    normals = vertex_normals(rest.vertices, model.faces)[0]
    num = rest.vertices.shape[1]
    return Extension(
        anchor=torch.arange(num, device=normals.device),
        offset=normals * distance,
        weights=model.lbs_weights,
        faces=model.faces,
        part=model.face_part,
        owner=torch.full_like(model.vertex_part, -1),
        recess=distance.new_full((num,), _BEHIND_ALL),
        max_edge=distance.new_full((len(model.faces),), torch.inf),
    )


def join_extensions(extensions: Sequence[Extension]) -> Extension:
    """Several extensions as one mesh."""
    starts = torch.tensor([0] + [len(e.anchor) for e in extensions]).cumsum(0).tolist()
    joined = {f.name: torch.cat([getattr(e, f.name) for e in extensions]) for f in fields(Extension)}
    joined["faces"] = torch.cat([e.faces + start for e, start in zip(extensions, starts, strict=False)])
    return Extension(**joined)


def smooth_on_mesh(
    values: Float[Tensor, "B V C"],
    faces: Int64[Tensor, "F 3"],
    iterations: int,
    fixed: Bool[Tensor, "B V"] | None = None,
) -> Float[Tensor, "B V C"]:
    """Average per-vertex values over the mesh: each vertex takes the mean of its faces, again and again.

    Args:
        values: Anything per vertex.
        faces: Corner indices.
        iterations: How far it spreads: about this many edges.
        fixed: Vertices that keep their values.
    """
    if values.device.type == "cpu" and not values.requires_grad:
        return _smooth_by_matrix(values, faces, iterations, fixed)
    return _smooth_by_faces(values, faces, iterations, fixed)


def _smooth_by_faces(
    values: Float[Tensor, "B V C"],
    faces: Int64[Tensor, "F 3"],
    iterations: int,
    fixed: Bool[Tensor, "B V"] | None,
) -> Float[Tensor, "B V C"]:
    """The plain way, on any device."""
    batch, num, channels = values.shape
    corners = faces.reshape(-1)
    count = values.new_zeros(num).index_add_(0, corners, values.new_ones(corners.shape[0]))
    kept = (count == 0)[None] if fixed is None else fixed | (count == 0)
    smooth = values
    for _ in range(iterations):
        mean = smooth.index_select(1, corners).reshape(batch, -1, 3, channels).mean(2, keepdim=True)
        spread = mean.expand(-1, -1, 3, -1).flatten(1, 2)
        total = torch.zeros_like(values).index_add_(1, corners, spread) / count.clamp(min=1)[:, None]
        smooth = torch.where(kept[..., None], values, total)
    return smooth


def _smooth_by_matrix(
    values: Float[Tensor, "B V C"],
    faces: Int64[Tensor, "F 3"],
    iterations: int,
    fixed: Bool[Tensor, "B V"] | None,
) -> Float[Tensor, "B V C"]:
    """The same on a CPU, where one sparse product takes a twentieth of the time."""
    batch, num, channels = values.shape
    mean, alone = _mean_of_faces(faces, num, values.dtype)
    kept = alone[None] if fixed is None else fixed | alone
    start = np.ascontiguousarray(values.transpose(0, 1).reshape(num, -1).numpy())
    still = kept.expand(batch, num).T[..., None].expand(num, batch, channels).reshape(num, -1).numpy()
    smooth = start
    for _ in range(iterations):
        smooth = np.where(still, start, mean @ smooth)
    return torch.from_numpy(smooth).view(num, batch, channels).transpose(0, 1).contiguous()


@lru_cache(maxsize=4)
def _mean_of_faces(faces: Int64[Tensor, "F 3"], num: int, dtype: torch.dtype) -> tuple[csr_matrix, Bool[Tensor, "V"]]:
    """The matrix that takes the mean of each vertex's faces, and the vertices without any; meshes are immutable."""
    corners = faces.reshape(-1)
    count = torch.zeros(num, dtype=dtype).index_add_(0, corners, torch.ones(len(corners), dtype=dtype))
    ends = np.arange(0, len(corners) + 1, 3, dtype=np.int32)
    entries = np.ones(len(corners), np.float32), corners.numpy().astype(np.int32), ends
    gather = csr_matrix(entries, (len(faces), num))
    share = (1 / (3 * count.clamp(min=1))).numpy()
    return (diags(share) @ (gather.T @ gather)).tocsr().astype(share.dtype), count == 0
