"""What flow composition keeps of the source photos: where each surface point lies in them and how well it is seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS, parts_of
from liquidwarp.checks import check_shape
from liquidwarp.errors import ShapeError
from liquidwarp.flow.clothes.worn import Worn, without_worn, worn_things
from liquidwarp.flow.colours.light import even_light
from liquidwarp.flow.mesh.extension import Extension, join_extensions, smooth_on_mesh
from liquidwarp.flow.mesh.surface import ProjectedSurface, project_bodies
from liquidwarp.flow.mesh.texture import grow_colours
from liquidwarp.flow.mesh.visibility import (
    apart_from_limbs,
    body_visibility,
    clear_of_limbs,
    extension_visibility,
    farthest_nearby,
    from_same_side,
    unhidden,
    within_limbs,
)
from liquidwarp.flow.seen.collars import printed_on_neck
from liquidwarp.flow.seen.contamination import away_from, own_colours, skin_of_an_arm
from liquidwarp.flow.seen.hands import hidden_hands, lost_hands, strange_fingers
from liquidwarp.flow.seen.head import head_views
from liquidwarp.flow.seen.head_choice import HeadViews, no_head_views
from liquidwarp.flow.seen.occlusion import Occlusion, arms_before
from liquidwarp.geometry.camera import pixels_to_ndc
from liquidwarp.geometry.masks import dilate, erode
from liquidwarp.geometry.raster import Raster, rasterize
from liquidwarp.geometry.warp import sample_at

__all__ = ["FlowSources", "part_weights", "prepare_plain_sources", "prepare_source_batch", "prepare_sources"]

_ERODE = 2.5 / 512
"""How far inside of the matte a colour is surely the person's, relative to the picture's height."""
_SKULL = 2 / 512
"""How far the body's head may lie outside of the person's by the fit's error, relative to the picture's height."""
_HAIR = 0.04
"""So far around the head [m] hair counts however thin it is."""
_SLIVER = 1 / 512
"""Half the width of the thinnest cloth that counts, relative to the picture's height."""
_CLEARANCE = 8 / 512
"""How near to something before it a place is not trusted, relative to the picture's height."""
_REACH = 6 / 512
"""How far outside of the matte a body vertex may fall by the fit's error and still count as seen."""
_HOLE = 2 / 512
"""Half the least width of a hole in the matte within the body that is more than the fit's error, relative to the
picture's height."""
_SURE = 5 / 512
"""How far inside of the matte a colour is nobody else's, relative to the picture's height."""
_BROAD = ("torso", "left_upper_leg", "right_upper_leg")
"""Parts that arms and hands often cover."""
_APART = (8 / 512, 12 / 512, 20 / 512)
"""How far from a limb their colours are their own, even if the fit is poor, relative to the picture's height; the
farthest that leaves enough of them."""
_ENOUGH, _SHARE = 60, 0.4
"""Vertices of such a part that must be left at the least distance, and share at a greater one."""
_LIMB_EDGE = 3 / 512
"""How near to a limb's outline in the picture what is beside it may be shown instead, relative to its height."""
_SEEN = 0.2
_HEAD = ("head", "face")
_TRUNK = ("torso", *_HEAD)
_EDGE, _HIDDEN = 4 / 512, 0.2
"""So far around what is worn before a limb its colours are mixed, relative to the picture's height; from this on."""
_FACE_LOYALTY = 2
"""How much more than other parts a head is taken from the one photo that shows most of it."""


@dataclass(frozen=True)
class FlowSources:
    """S source photos of G people, ready for :func:`liquidwarp.flow.compose.compose_views`."""

    model: BodyModel
    extension: Extension
    colours: Float[Tensor, "G S 3 H W"]
    """The photos, with the person's own colours grown outward over the background."""
    mattes: Float[Tensor, "G S 1 H W"]
    """Opacity of the person."""
    outlines: Float[Tensor, "G S 1 H W"]
    """The same for drawing: heads, and hands that the matte lost, are whole."""
    fringes: Float[Tensor, "G S 1 H W"]
    """Opacity of what is the person but not the naked body: the matte outside of the body's silhouette."""
    body: Float[Tensor, "G S V 4"]
    """Per body vertex: NDC position (x, y), visibility [0, 1] and preference [0, 1]."""
    unhidden: Float[Tensor, "G S V"]
    """Visibility of the body vertices at whatever angle they are seen: for pictures from the photo's own side."""
    clear: Float[Tensor, "G S V"]
    """Visibility of the body vertices, but 0 near other limbs: where colours may be lent to hidden places."""
    around: Float[Tensor, "G S E 4"]
    """The same per extension point."""
    normals: Float[Tensor, "G S V 3"]
    """Unit normals of the body in the sources' camera frames."""
    person: Int64[Tensor, "S"]
    """Whose photo each is, where several people lend each other parts; else 0."""
    heads: HeadViews
    """Photos that may give the head; ``body`` and ``clear`` are as if the first of them did."""
    occlusion: Occlusion | None = None
    """Where arms stand before the body, pixel by pixel; unknown in sources as networks are trained on."""

    def with_head(self, view: int) -> "FlowSources":
        """The same photos of one person (G = 1), of which that with this index into ``heads`` gives the head."""
        body, unhidden = self.body.clone(), self.unhidden.clone()
        body[0, ..., 2] = self.heads.visible[view]
        head = torch.isin(self.model.vertex_part, _indices(_HEAD, body.device))
        others = torch.arange(body.shape[1], device=body.device) != self.heads.source[view]
        elsewhere = head & others[:, None]
        unhidden[0] = torch.where(elsewhere, torch.minimum(unhidden[0], body[0, ..., 2]), unhidden[0])
        heads, clear = self.heads[slice(view, view + 1)], self.heads.clear[view][None]
        return replace(self, body=body, unhidden=unhidden, clear=clear, heads=heads)

    def seen_from(self, normals: Float[Tensor, "1 V 3"]) -> "FlowSources":
        """The same photos of one person (G = 1), seen as suits one picture: flat views serve it from their own side.

        Args:
            normals: Unit normals of the body in the picture's camera frame.
        """
        body = self.body.clone()
        flat = self.unhidden[0] * from_same_side(self.normals[0], normals[0])
        body[0, ..., 2] = torch.maximum(body[0, ..., 2], flat)
        return replace(self, body=body, mattes=self.outlines)

    def recoloured(self, images: Float[Tensor, "S 3 H W"]) -> "FlowSources":
        """The same photos of one group (G = 1) in other colours, which say nothing of what is seen in them."""
        return replace(self, colours=grow_colours(images, _own_pixels(self.mattes[0]))[None])

    def to(self, device: torch.device | str) -> "FlowSources":
        """The same values on another device."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "occlusion"}
        return FlowSources(**moved, occlusion=self.occlusion and self.occlusion.to(device))


def prepare_sources(
    model: BodyModel,
    extension: Extension,
    bodies: BodyParams | Sequence[BodyParams],
    images: Float[Tensor, "S 3 H W"],
    mattes: Float[Tensor, "S 1 H W"],
) -> FlowSources:
    """Prepare the photos of one person, or of several people that lend each other parts.

    Args:
        model: The body.
        extension: What is around it.
        bodies: The S fitted bodies, cameras in these images' pixels; a list where shapes differ.
        images: RGB in [0, 1].
        mattes: Opacity of the person, 1 = person.

    Raises:
        ShapeError: the numbers of bodies, images and mattes differ.
    """
    sizes = check_shape("images", images, ("S", 3, "H", "W"))
    check_shape("mattes", mattes, (sizes["S"], 1, sizes["H"], sizes["W"]))
    surface = project_bodies(model, extension, bodies)
    if len(surface) != sizes["S"]:
        raise ShapeError(f"bodies: expected one per image, {sizes['S']}, got {len(surface)}.")
    worn = None
    if bool((extension.owner >= 0).any()) and (found := worn_things(model, bodies, images, mattes)):
        worn = found
        extension = join_extensions([without_worn(extension, surface.extension, worn.masks), worn.extension])
        surface = worn.in_photos(project_bodies(model, extension, bodies))
    raster = rasterize(surface.body, model.faces, *images.shape[-2:])
    prepared = prepare_source_batch(model, extension, surface, images[None], mattes[None], worn, raster)
    cleaned = _without_strange_colours(prepared, surface, raster, images, mattes)
    hair = _thin_hair(model, surface, raster, mattes)[None]
    arms = arms_before(model, surface, raster, cleaned.colours[0])
    cleaned = replace(cleaned, fringes=torch.maximum(cleaned.fringes, hair), occlusion=arms)
    photos = range(sizes["S"])
    cleaned = _with_real_hands(cleaned, [photos] if isinstance(bodies, BodyParams) else [[s] for s in photos])
    if not isinstance(bodies, BodyParams):  # several people: their clothes differ, not their light
        return cleaned
    solid = torch.maximum(lost_hands(model, raster, mattes), _skulls(model, raster, mattes.shape[-2]))
    cleaned = replace(cleaned, outlines=torch.maximum(mattes, solid)[None])
    even = even_light(model, cleaned.colours[0], cleaned.body[0], raster)[None]
    inside = sample_at(_own_pixels(mattes), cleaned.body[0, ..., :2])[:, 0]
    cleaned = _with_bare_necks(cleaned, even[0])
    heads = head_views(model, bodies, even[0], cleaned.body[0], cleaned.normals[0], cleaned.clear[0], inside)
    complete = replace(cleaned, colours=even, heads=heads)
    return replace(complete.with_head(0), heads=heads) if len(heads) else complete


def prepare_plain_sources(
    model: BodyModel,
    extension: Extension,
    bodies: BodyParams | Sequence[BodyParams],
    images: Float[Tensor, "S 3 H W"],
    mattes: Float[Tensor, "S 1 H W"],
) -> FlowSources:
    """The same as networks are trained on: with strange colours, in the photos' own light, nothing worn set apart.

    A network mends such things itself, in the picture that texture warping drew of the cleaned sources; flows of
    another kind than in training make it paint stains. See :func:`prepare_sources` for the arguments.
    """
    surface = project_bodies(model, extension, bodies)
    return prepare_source_batch(model, extension, surface, images[None], mattes[None])


def _without_strange_colours(
    sources: FlowSources,
    surface: ProjectedSurface,
    raster: Raster,
    images: Float[Tensor, "S 3 H W"],
    mattes: Float[Tensor, "S 1 H W"],
) -> FlowSources:
    """Points that show another part's colour, or the background's, count as not seen."""
    height = images.shape[-2]
    inner = erode((mattes > 0.9).to(images.dtype), round(_SURE * height))
    background = grow_colours(images, erode((mattes < 0.05).to(images.dtype), round(_SURE * height / 2)))
    size = (height, images.shape[-1])
    pixels = [round(radius * height) for radius in _APART]
    apart = clear_of_limbs(surface.body, raster, sources.model, pixels)  # R S V
    apart = apart * apart_from_limbs(surface.body, sources.model, size, pixels)
    within = within_limbs(surface.body, raster, sources.model, round(_LIMB_EDGE * height)) > 0.5
    body, unhidden, clear = sources.body.clone(), sources.unhidden.clone(), sources.clear.clone()
    for s in range(len(images)):
        ndc = sources.body[0, s, :, :2][None]
        colours = sample_at(sources.colours[0, s : s + 1], ndc)[0].T
        behind = sample_at(background[s : s + 1], ndc)[0].T
        inside = sample_at(inner[s : s + 1], ndc, nearest=True)[0, 0] > 0.5
        seen = sources.unhidden[0, s] > _SEEN
        sure = inside & (clear[0, s] > _SEEN)
        pixel = surface.body[s, :, :2]
        arms = skin_of_an_arm(sources.model, pixel, colours, seen, sure, height)
        sure &= ~arms
        sure &= _far_enough(sources.model, sure, apart[:, s] > 0.5) & _core(sources.model, sure, within[s])
        own = own_colours(sources.model, pixel, colours, behind, seen, sure, inside, height)
        own = own * away_from(sources.model, arms).to(own.dtype)
        body[0, s, :, 2:] *= own[:, None]
        unhidden[0, s] *= own
        clear[0, s] *= own
    return replace(sources, body=body, unhidden=unhidden, clear=clear)


def _with_real_hands(sources: FlowSources, people: Sequence[Sequence[int]]) -> FlowSources:
    """Hands that are in sleeves, and fingers that show what is behind them, count as not seen.

    Args:
        sources: All photos.
        people: Which of them show one person, whose other hand and skin tell.
    """
    seen, unhidden = sources.body[0, ..., 2] > _SEEN, sources.unhidden[0] > _SEEN
    colours = sample_at(sources.colours[0], sources.body[0, ..., :2]).transpose(1, 2)
    real = torch.ones_like(sources.unhidden)
    for photos in people:
        own = torch.tensor(list(photos), device=seen.device)
        strange = hidden_hands(sources.model, colours[own], seen[own])
        strange |= strange_fingers(sources.model, colours[own], unhidden[own])
        real[0, own] = 1 - strange.to(real.dtype)
    body, around = sources.body.clone(), sources.around.clone()
    body[..., 2] *= real
    around[..., 2] *= real.index_select(-1, sources.extension.anchor)
    return replace(sources, body=body, around=around, unhidden=sources.unhidden * real, clear=sources.clear * real)


def _with_bare_necks(sources: FlowSources, images: Float[Tensor, "S 3 H W"]) -> FlowSources:
    """What hangs or stands before a neck that is bare below it counts as not seen there."""
    shown = sample_at(images, sources.body[0, ..., :2]).transpose(1, 2)
    own = torch.stack(
        [
            away_from(sources.model, printed_on_neck(sources.model, colours, seen))
            for colours, seen in zip(shown, sources.body[0, ..., 2] > _SEEN, strict=True)
        ]
    )[None].to(sources.body)
    body = sources.body.clone()
    body[..., 2] *= own
    return replace(sources, body=body, clear=sources.clear * own)


def _indices(parts: Sequence[str], device: torch.device) -> Int64[Tensor, "K"]:
    return torch.tensor([PARTS.index(part) for part in parts], device=device)


def _far_enough(model: BodyModel, sure: Bool[Tensor, "V"], apart: Bool[Tensor, "R V"]) -> Bool[Tensor, "V"]:
    """False where a broad part is too near to a limb: as far from limbs as leaves enough of the part."""
    far = torch.ones_like(sure)
    for name in _BROAD:
        member = model.vertex_part == PARTS.index(name)
        enough = max(_ENOUGH, _SHARE * int((sure & member).sum()))
        for step, away in enumerate(apart):
            if int((sure & member & away).sum()) >= (enough if step else _ENOUGH):
                far = torch.where(member, away, far)
    return far


def _core(model: BodyModel, sure: Bool[Tensor, "V"], within: Bool[Tensor, "V"]) -> Bool[Tensor, "V"]:
    """False at the outline of parts of which enough is left within it."""
    core = torch.ones_like(sure)
    for part in range(len(PARTS)):
        member = model.vertex_part == part
        if int((sure & member & within).sum()) >= _ENOUGH:
            core = torch.where(member, within, core)
    return core


def prepare_source_batch(
    model: BodyModel,
    extension: Extension,
    surface: ProjectedSurface,
    images: Float[Tensor, "G S 3 H W"],
    mattes: Float[Tensor, "G S 1 H W"],
    worn: Worn | None = None,
    raster: Raster | None = None,
) -> FlowSources:
    """The same for G people at once, on any device: row ``g * S + s`` of ``surface`` is person g in source s.

    Where something is ``worn`` before the limbs (:mod:`liquidwarp.flow.clothes.worn`), one person's photos do not show
    them. ``raster`` is that of the bodies, where it is known already.
    """
    people, sources, _, height, width = images.shape
    if raster is None:
        raster = rasterize(surface.body, model.faces, height, width)
    nearest = farthest_nearby(raster)
    flat_matte = mattes.flatten(0, 1)
    near_matte = _near(flat_matte, raster.covered[:, None])
    there = unhidden(surface.body, nearest) * (_matte_at(near_matte, surface.body) > 0.5)
    if worn is not None:
        limb = ~torch.isin(model.vertex_part, _indices(_TRUNK, there.device))
        hidden = _matte_at(worn.hidden_limbs(round(_EDGE * height)), surface.body) > _HIDDEN
        there = there * ~(limb & hidden)
    seen = there * body_visibility(surface.body, surface.normals, nearest)
    points = surface.extension - F.pad(extension.recess[:, None], (2, 0))
    normals = surface.normals.index_select(1, extension.anchor)
    source = torch.arange(sources, device=images.device).repeat(people)
    around_seen = extension_visibility(points, normals, extension.owner, source, nearest)
    (clear,) = clear_of_limbs(surface.body, raster, model, [round(_CLEARANCE * height)])
    preference = _preference(model, seen, surface)
    body = _columns(surface.body, seen, preference, height, width)
    around = _columns(points, around_seen, preference.index_select(1, extension.anchor), height, width)
    margin = max(1, round(_ERODE * height))
    fringe = _fringe(flat_matte, raster.covered[:, None], margin)
    if worn is not None:
        fringe = torch.maximum(torch.maximum(fringe, flat_matte * worn.masks), worn.sides)
    colours = grow_colours(images.flatten(0, 1), _own_pixels(flat_matte))
    return FlowSources(
        model=model,
        extension=extension,
        colours=colours.view_as(images),
        mattes=mattes,
        outlines=mattes,
        fringes=fringe.view_as(mattes),
        body=body.view(people, sources, -1, 4),
        unhidden=there.view(people, sources, -1),
        clear=(seen * clear).view(people, sources, -1),
        around=around.view(people, sources, -1, 4),
        normals=surface.normals.view(people, sources, -1, 3),
        person=torch.zeros(sources, dtype=torch.long, device=images.device),
        heads=no_head_views(seen.view(people, sources, -1)[0]),
    )


def _near(matte: Float[Tensor, "N 1 H W"], body: Bool[Tensor, "N 1 H W"]) -> Float[Tensor, "N 1 H W"]:
    """The matte and what lies so little outside of it that the fit's error may have put a body's point there.

    Not at the rim of a deep hole in the matte, such as a held ball leaves: there the body is not thinner, but hidden.
    """
    reach, core = round(_REACH * matte.shape[-2]), max(1, round(_HOLE * matte.shape[-2]))
    near = dilate(matte, reach)
    deep = erode((body & (near <= 0.5)).to(matte.dtype), core)
    return near * (1 - dilate(deep, reach + 2 * core) * (matte < 0.5))


def _own_pixels(matte: Float[Tensor, "N 1 H W"]) -> Float[Tensor, "N 1 H W"]:
    """1 where a pixel has the person's colour alone."""
    return erode((matte > 0.6).to(matte.dtype), max(1, round(_ERODE * matte.shape[-2])))


def _fringe(matte: Float[Tensor, "N 1 H W"], body: Bool[Tensor, "N 1 H W"], margin: int) -> Float[Tensor, "N 1 H W"]:
    """The matte outside of the body, and a margin within it, so that there is no gap at the silhouette.

    Slivers along the silhouette are errors of the fit, not cloth: what is too thin is left out.
    """
    solid = body.to(matte.dtype)
    thin = max(1, round(_SLIVER * matte.shape[-2]))
    core = erode((matte > 0.5) * (1 - solid), thin)
    kept = -erode(-core, thin + margin)
    return matte * kept * (1 - erode(solid, margin))


def _thin_hair(
    model: BodyModel, surface: ProjectedSurface, raster: Raster, mattes: Float[Tensor, "S 1 H W"]
) -> Float[Tensor, "S 1 H W"]:
    """The matte just outside of the head, however thin: the body is bald, so there a thin layer is hair."""
    height = mattes.shape[-2]
    head = _on_head(model, raster).to(mattes.dtype)
    near = torch.cat(
        [dilate(head[s : s + 1], max(1, round(_HAIR * float(scale)))) for s, scale in enumerate(surface.scale.tolist())]
    )
    inside = erode(raster.covered[:, None].to(mattes.dtype), max(1, round(_ERODE * height)))
    return mattes * near * (1 - inside)


def _skulls(model: BodyModel, raster: Raster, height: int) -> Float[Tensor, "S 1 H W"]:
    """1 within the heads: a skull is smaller than the head with its hair, so what the matte lacks there it has lost."""
    return erode(_on_head(model, raster).to(raster.depth.dtype), max(1, round(_SKULL * height)))


def _on_head(model: BodyModel, raster: Raster) -> Bool[Tensor, "S 1 H W"]:
    part = torch.where(raster.covered, model.face_part[raster.pix_to_face.clamp(min=0)], -1)
    return torch.isin(part, _indices(_HEAD, part.device))[:, None]


def _matte_at(matte: Float[Tensor, "N 1 H W"], points: Float[Tensor, "N V 3"]) -> Float[Tensor, "N V"]:
    ndc = pixels_to_ndc(points[..., :2], *matte.shape[-2:])
    return sample_at(matte, ndc, nearest=True)[:, 0]


def _preference(model: BodyModel, seen: Float[Tensor, "N V"], surface: ProjectedSurface) -> Float[Tensor, "N V"]:
    """Frontal views at a high resolution are preferred; smooth, so that sources change over at few places.

    A source that sees a whole part well is preferred all over the part: two photos of a face never fit together
    exactly, and half of each is worse than either.
    """
    facing = -surface.normals[..., 2].clamp(max=0)
    resolution = (surface.scale / surface.scale.amax())[:, None]
    score = seen * (0.05 + facing.square()) * resolution
    score = smooth_on_mesh(score[..., None], model.faces, iterations=12)[..., 0]
    used = torch.zeros_like(score[:1]).index_fill_(1, model.faces.reshape(-1), 1)
    totals = score.new_zeros(len(score) + 1, len(PARTS))
    totals.index_add_(1, model.vertex_part, torch.cat([score * used, used]))
    means = totals[:-1] / totals[-1:].clamp(min=1)
    head = [PARTS.index(part) for part in ("head", "face")]
    share = means[:, head] / means[:, head].amax(0).clamp(min=1e-6)
    means[:, head] *= share**_FACE_LOYALTY
    return (score * (0.1 + 0.9 * means.index_select(1, model.vertex_part))).clamp(0, 1)


def _columns(
    points: Float[Tensor, "N P 3"],
    seen: Float[Tensor, "N P"],
    preference: Float[Tensor, "N P"],
    height: int,
    width: int,
) -> Float[Tensor, "N P 4"]:
    ndc = pixels_to_ndc(points[..., :2], height, width)
    return torch.cat([ndc, seen[..., None], preference[..., None]], -1)


def part_weights(
    choice: Mapping[str, int], num_sources: int, device: torch.device | str = "cpu"
) -> Float[Tensor, "S P"]:
    """Which source gives which body part, as weights.

    Args:
        choice: Part or group name (:data:`liquidwarp.body.parts.GROUPS`) to source index; later entries win.
            Parts that are not named may come from any source.
        num_sources: S.
        device: Where the weights are wanted.

    Returns:
        1 where the source may give the part, else 0.

    Raises:
        ShapeError: a source index does not exist.
        SettingError: a part is not known.
    """
    weights = torch.ones(num_sources, len(PARTS), device=device)
    for name, source in choice.items():
        if not 0 <= source < num_sources:
            raise ShapeError(f"choice[{name!r}]: expected a source index from 0 to {num_sources - 1}, got {source}.")
        for part in parts_of(name):
            weights[:, PARTS.index(part)] = 0
            weights[source, PARTS.index(part)] = 1
    return weights
