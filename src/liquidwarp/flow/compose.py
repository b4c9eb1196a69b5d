"""Flow Composition: the transformation flow from every target pixel to its place in every source.

Paper: Liu et al. 2021, Sec. 3.2: T_{s->t} from the projected vertices of the source and the map of faces and
barycentric weights of the target, the correspondence map C_t, and the warped texture that G_TSF starts from.

What differs: there is an extension around the body, so that hair and clothes have a flow too; a flow says how well
its source sees the point; and a chosen body part may come from another source, here in the flows themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyParams
from liquidwarp.errors import ShapeError
from liquidwarp.flow.condition import correspondence_map
from liquidwarp.flow.mesh.coverage import ProjectedMesh
from liquidwarp.flow.mesh.layers import Layer, build_layer, sample_sources
from liquidwarp.flow.mesh.stage import Stage
from liquidwarp.flow.mesh.surface import ProjectedSurface, rest_coordinates
from liquidwarp.flow.mesh.texture import blend_weights
from liquidwarp.flow.seen.occlusion import without_crossed
from liquidwarp.flow.sources import FlowSources, part_weights
from liquidwarp.geometry.raster import Raster, rasterize
from liquidwarp.types import TargetFlow

__all__ = [
    "SOLID",
    "Choice",
    "ComposedLayer",
    "Composition",
    "colour_layer",
    "compose_flow",
    "compose_layers",
    "compose_stage",
    "compose_views",
    "merge_layers",
]

Choice = Mapping[str, int] | Float[Tensor, "S P"]
SOLID = 0.5
"""From this opacity on the extension hides the body behind it."""
_FADE_FROM = 0.75


@dataclass(frozen=True)
class ComposedLayer:
    """One mesh in the targets, with the sources' colours on it."""

    layer: Layer
    texture: Float[Tensor, "N 3 H W"]
    """Merged colours; 0 where no source sees."""
    matte: Float[Tensor, "N 1 H W"]
    """Merged opacity; 0 where no source sees."""
    seen: Float[Tensor, "N 1 H W"]
    """How well the best source sees the point [0, 1]."""


@dataclass(frozen=True)
class Composition:
    """Both meshes in the targets, before they become one flow."""

    body: ComposedLayer
    around: ComposedLayer
    in_front: Bool[Tensor, "N H W"]
    """Where the extension is seen: before the body and opaque there, or where the body is not."""
    meshes: tuple[ProjectedMesh, ProjectedMesh]
    """Body and extension as they were rasterised."""


def compose_flow(
    sources: FlowSources,
    targets: BodyParams,
    size: tuple[int, int],
    choice: Choice | None = None,
    chunk: int = 8,
) -> TargetFlow:
    """Flows of one person (G = 1) to T targets.

    Args:
        sources: The prepared photos.
        targets: T target bodies, cameras in the target picture's pixels. Any pose, shape and camera: the source's
            own with the camera turned is a novel view.
        size: Height and width of the targets [px].
        choice: Which source gives which part (part or group name to source index), or weights (S, P); None: all
            sources give what they see.
        chunk: Targets that are worked on at once.

    Raises:
        ShapeError: a source index that does not exist, or weights of another shape.
    """
    pieces = []
    for start in range(0, len(targets), chunk):
        stage = Stage.of(sources.model, targets[slice(start, start + chunk)], size)
        pieces.append(compose_stage(sources, stage, choice))
    names = ("grid", "valid", "visible", "condition", "texture", "texture_matte")
    return TargetFlow(**{name: torch.cat([getattr(piece, name) for piece in pieces]) for name in names})


def compose_stage(sources: FlowSources, stage: Stage, choice: Choice | None = None) -> TargetFlow:
    """The same for bodies that are posed already."""
    surface = stage.surface(sources.extension)
    return merge_layers(compose_layers(sources, surface, stage.size, choice, stage.raster))


def compose_views(
    sources: FlowSources, targets: ProjectedSurface, size: tuple[int, int], choice: Choice | None = None
) -> TargetFlow:
    """:func:`compose_flow` for G people at once; row ``g * T + t`` of ``targets`` is person g in target t."""
    return merge_layers(compose_layers(sources, targets, size, choice))


def compose_layers(
    sources: FlowSources,
    targets: ProjectedSurface,
    size: tuple[int, int],
    choice: Choice | None = None,
    raster: Raster | None = None,
) -> Composition:
    """Body and extension apart, as a renderer needs them; ``raster`` is that of the bodies, where it is known."""
    model, extension = sources.model, sources.extension
    if len(targets) % sources.body.shape[0]:
        raise ShapeError(f"targets: expected a multiple of {sources.body.shape[0]} people, got {len(targets)}.")
    names = rest_coordinates(model)
    if raster is None:
        raster = rasterize(targets.body, model.faces, *size)
    layer = build_layer(raster, model.faces, sources.body, names, targets.normals)
    if sources.occlusion is not None:
        layer = without_crossed(layer, model.faces, sources.occlusion, targets)
    body = colour_layer(layer, model.face_part, choice, torch.cat([sources.colours, sources.mattes], 2))
    mesh = _whole_faces(_rank_halos(sources, targets, choice), extension.faces)
    raster = rasterize(mesh.vertices, mesh.faces, *size)
    normals = targets.normals.index_select(1, extension.anchor)
    layer = build_layer(raster, extension.faces, sources.around, names.index_select(0, extension.anchor), normals)
    around = colour_layer(layer, extension.part, choice, torch.cat([sources.colours, sources.fringes], 2))
    around = replace(around, matte=around.matte * _fade(targets.torn, around.layer.raster))
    on_body, on_around = body.layer.raster, around.layer.raster
    nearer = (on_around.depth < on_body.depth) & (around.matte[:, 0] > SOLID)
    meshes = ProjectedMesh(targets.body, model.faces), mesh
    return Composition(body, around, on_around.covered & (nearer | ~on_body.covered), meshes)


def _weights(choice: Choice | None, num_sources: int, device: torch.device) -> Float[Tensor, "S P"] | None:
    if choice is None:
        return None
    weights = part_weights(choice, num_sources, device) if isinstance(choice, Mapping) else choice.to(device)
    if weights.shape[0] != num_sources:
        raise ShapeError(f"choice: expected weights for {num_sources} sources, got {weights.shape[0]}.")
    return weights


def _rank_halos(sources: FlowSources, targets: ProjectedSurface, choice: Choice | None) -> ProjectedSurface:
    """Halos of different photos overlap: the one whose photo looks from the most similar side lies in front.

    The person's others step back behind the body, and a halo's faces on parts that another source gives are left out.
    """
    owner = sources.extension.owner
    people, num = sources.body.shape[:2]
    if num == 1 or not bool((owner >= 0).any()):
        return targets
    seen_from = sources.normals.repeat_interleave(len(targets) // people, 0)  # N S V 3
    similar = (seen_from * targets.normals[:, None]).sum(-1).mean(-1)  # N S
    same_person = sources.person[:, None] == sources.person
    best = similar[:, None].masked_fill(~same_person, -torch.inf).amax(-1)
    step_back = (best - similar > 1e-6) * (1 + (1 - similar) / 2)
    behind = step_back[:, owner.clamp(min=0)] * (owner >= 0)
    extension = targets.extension + F.pad(behind[..., None], (2, 0))
    weights = _weights(choice, num, owner.device)
    torn = targets.torn
    if weights is not None:
        giver = owner[sources.extension.faces[:, 0]]
        refused = (giver >= 0) & (weights[giver.clamp(min=0), sources.extension.part] == 0)
        torn = torch.where(refused, torch.full_like(torn, 2), torn)
    return replace(targets, extension=extension, torn=torn)


def _whole_faces(targets: ProjectedSurface, faces: Int64[Tensor, "M 3"]) -> ProjectedMesh:
    """The extension without the faces that the pose tore: these differ, so all faces get corners of their own."""
    if not bool((targets.torn > 1).any()):
        return ProjectedMesh(targets.extension, faces)
    corners = targets.extension.index_select(1, faces.reshape(-1)).reshape(len(targets), -1, 3, 3)
    whole = (targets.torn <= 1)[..., None, None]
    corners = torch.where(whole, corners, corners[:, :, :1]).flatten(1, 2)  # no area: never drawn
    return ProjectedMesh(corners, torch.arange(corners.shape[1], device=faces.device).view(-1, 3))


def _fade(torn: Float[Tensor, "N M"], raster: Raster) -> Float[Tensor, "N 1 H W"]:
    """Faces turn transparent before they tear, so that a moving picture does not flicker."""
    opacity = ((1 - torn) / (1 - _FADE_FROM)).clamp(0, 1)
    if opacity.shape[1] == 0:
        return torch.zeros_like(raster.depth)[:, None]
    flat = opacity.gather(1, raster.pix_to_face.flatten(1).clamp(min=0))
    return flat.view_as(raster.depth)[:, None]


def colour_layer(
    layer: Layer, face_part: Int64[Tensor, "F"], choice: Choice | None, images: Float[Tensor, "G S 4 h w"]
) -> ComposedLayer:
    """Put the sources' merged colours on a layer.

    Args:
        layer: Where its pixels lie in the sources.
        face_part: Part of each face of the layer's mesh.
        choice: See :func:`compose_flow`.
        images: RGB and opacity of the sources.
    """
    covered = layer.raster.covered
    weights = _weights(choice, images.shape[1], images.device)
    if weights is not None and len(face_part):
        part = face_part.index_select(0, layer.raster.pix_to_face.clamp(min=0).view(-1))
        chosen = weights[:, part].view(-1, *covered.shape).transpose(0, 1)
        layer = replace(layer, visible=layer.visible * chosen)
    sampled = sample_sources(images, layer.grid, covered)
    mixed = (sampled * blend_weights(layer.visible, layer.preference)[:, :, None]).sum(1)
    return ComposedLayer(layer, mixed[:, :3], mixed[:, 3:], layer.visible.amax(1, keepdim=True))


def merge_layers(composition: Composition) -> TargetFlow:
    """One flow per pixel: the extension's where it is seen, else the body's."""
    body, around, front = composition.body, composition.around, composition.in_front[:, None]
    shown = body.layer.raster.covered[:, None]
    return TargetFlow(
        grid=torch.where(front[..., None], around.layer.grid, body.layer.grid),
        valid=shown | front,
        visible=torch.where(front, around.layer.visible, body.layer.visible),
        condition=correspondence_map(
            torch.where(front, around.layer.coordinates, body.layer.coordinates),
            torch.where(front, around.layer.normals, body.layer.normals),
            shown & ~front,
            front,
        ),
        texture=torch.where(front, around.texture, body.texture),
        texture_matte=torch.where(front, around.matte, body.matte),
    )
