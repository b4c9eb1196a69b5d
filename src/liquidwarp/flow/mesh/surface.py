"""A person's surface, body and extension, projected into pictures: what both rasterisation and flow start from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams, PosedBody, RestBody, skin
from liquidwarp.body.parts import PARTS
from liquidwarp.body.remembered import once_per_model
from liquidwarp.flow.mesh.extension import Extension
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.mesh import vertex_normals

__all__ = [
    "ProjectedSurface",
    "concatenate",
    "project_bodies",
    "project_extension",
    "project_posed",
    "rest_coordinates",
    "vertices_of",
]


@dataclass(frozen=True)
class ProjectedSurface:
    """N projected people: V body vertices and E extension points each."""

    body: Float[Tensor, "N V 3"]
    """(x [px], y [px], depth [m])."""
    extension: Float[Tensor, "N E 3"]
    """The same for the extension, its recess included in the depth."""
    normals: Float[Tensor, "N V 3"]
    """Unit normals of the body in the camera's frame (z < 0 looks at the camera)."""
    torn: Float[Tensor, "N M"]
    """How much longer than allowed the longest edge of each extension face is; > 1 is left out."""
    scale: Float[Tensor, "N"]
    """Pixels per metre."""

    def __getitem__(self, index: slice | Tensor) -> "ProjectedSurface":
        return ProjectedSurface(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def __len__(self) -> int:
        return self.body.shape[0]


def concatenate(surfaces: Sequence[ProjectedSurface]) -> ProjectedSurface:
    """Stack surfaces along the first axis."""
    return ProjectedSurface(
        **{f.name: torch.cat([getattr(s, f.name) for s in surfaces]) for f in fields(ProjectedSurface)}
    )


def project_posed(
    model: BodyModel, extension: Extension, rest: RestBody, posed: PosedBody, camera: WeakPerspective
) -> ProjectedSurface:
    """Project posed bodies and the extension that moves with them.

    Args:
        model: The body.
        extension: What is around it.
        rest: The shaped bodies that were posed, B = 1 or N.
        posed: N posed bodies.
        camera: N cameras.
    """
    pixels, torn = project_extension(extension, rest, posed.transforms, camera)
    return ProjectedSurface(
        body=camera.project(posed.vertices),
        extension=pixels,
        normals=vertex_normals(posed.vertices, model.faces),
        torn=torn,
        scale=camera.scale,
    )


def project_extension(
    extension: Extension, rest: RestBody, transforms: Float[Tensor, "N J 3 4"], camera: WeakPerspective
) -> tuple[Float[Tensor, "N E 3"], Float[Tensor, "N M"]]:
    """Project what moves with N posed bodies.

    Args:
        extension: What is around the bodies.
        rest: The shaped bodies that were posed, B = 1 or N.
        transforms: Of their joints; see :class:`liquidwarp.body.model.PosedBody`.
        camera: N cameras.

    Returns:
        ``extension`` and ``torn`` of :class:`ProjectedSurface`.
    """
    points = skin(extension.points(rest), extension.weights, transforms)
    pixels = camera.project(points)
    pixels = torch.cat([pixels[..., :2], pixels[..., 2:] + extension.recess[:, None]], -1)
    return pixels, _longest_edge(points, extension.faces) / extension.max_edge


def _longest_edge(points: Float[Tensor, "N E 3"], faces: Int64[Tensor, "M 3"]) -> Float[Tensor, "N M"]:
    a, b, c = (points.index_select(1, faces[:, k]) for k in range(3))
    squared = torch.stack([(a - b).square().sum(-1), (b - c).square().sum(-1), (c - a).square().sum(-1)])
    return squared.amax(0).sqrt() if faces.shape[0] else squared.new_zeros(points.shape[0], 0)


def project_bodies(
    model: BodyModel, extension: Extension, bodies: BodyParams | Sequence[BodyParams]
) -> ProjectedSurface:
    """Pose and project one body over its frames, or several bodies of different shapes one after another."""
    if isinstance(bodies, BodyParams):
        rest = model.rest(bodies.betas[None])
        return project_posed(model, extension, rest, model.pose(rest, bodies.rel_rotmats), bodies.camera)
    return concatenate([project_bodies(model, extension, body) for body in bodies])


@once_per_model
def rest_coordinates(model: BodyModel) -> Float[Tensor, "V 3"]:
    """Rest position of each vertex at betas = 0, centred and divided by half the longest side: within [-1, 1].

    These are names of surface points, the same for every person: the first channels of a correspondence map.
    """
    vertices = model.rest(model.lbs_weights.new_zeros(1, len(model.beta_names))).vertices[0]
    used = vertices.index_select(0, model.faces.reshape(-1))
    low, high = used.amin(0), used.amax(0)
    return ((vertices - (low + high) / 2) / ((high - low).amax() / 2)).clamp(-1, 1)


def vertices_of(model: BodyModel, *parts: str) -> Bool[Tensor, "V"]:
    """Vertices of these parts (names of :data:`liquidwarp.body.parts.PARTS`)."""
    chosen = torch.tensor([PARTS.index(part) for part in parts], device=model.vertex_part.device)
    return torch.isin(model.vertex_part, chosen)
