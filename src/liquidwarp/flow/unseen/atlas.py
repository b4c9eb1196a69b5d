"""The person's texture: the sources' colours merged in the body's UV layout, and what no source saw made up.

Paper: Liu et al. 2021, Sec. 3.2: the sources' textures are merged in UV space by visibility.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.spatial import cKDTree
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS, mirrored
from liquidwarp.flow.colours.complexion import like_face, unlike_face
from liquidwarp.flow.colours.shade import shade_gain
from liquidwarp.flow.compose import Choice, colour_layer
from liquidwarp.flow.mesh.extension import smooth_on_mesh
from liquidwarp.flow.mesh.layers import build_layer
from liquidwarp.flow.mesh.surface import rest_coordinates, vertices_of
from liquidwarp.flow.mesh.texture import grow_colours
from liquidwarp.flow.mesh.unwrap import UnwrappedBody, unwrap
from liquidwarp.flow.seen.head import mirror_gain, twin_vertices
from liquidwarp.flow.seen.occlusion import without_crossed
from liquidwarp.flow.sources import FlowSources
from liquidwarp.flow.unseen.coat import Beside
from liquidwarp.flow.unseen.nape import bare_around
from liquidwarp.flow.unseen.rings import Unrolled, go_on_around
from liquidwarp.flow.unseen.scalp import full_hair, hair_around
from liquidwarp.geometry.camera import pixels_to_ndc
from liquidwarp.geometry.warp import sample_at

__all__ = ["TextureAtlas", "fill_atlas", "merge_texture"]

_SURELY = 0.7
_FEW = 50
_SOME = 20
_OTHER_LIGHT, _BARE = 0.6, 0.5
"""A limb's skin is as light as the face's, up to this [logarithm]; and so much of a bare limb is skin."""
_SEEN = 0.5
_SPREAD, _ON_FEET = 12, 2
"""How often made-up colours are smoothed over the mesh; straps and soles stay sharp."""
_BESIDE, _DARK, _OTHER_HAIR = 2, 0.03, 2.2
"""Made-up hair within so many edges of the mesh is taken for what meets other hair, which is at most so many times as
light or dark."""
_MIRRORED = 3
_TWIN_NEAR = 0.01
"""A mirror image farther than this from everything seen was not seen, in rest coordinates."""
_RIM_NEIGHBOURS = 9
_SOME_HAIR = 12
"""With fewer vertices of hair at the edge of what is seen, a head may be bald."""
_REGIONS = (("head", "face"), *((part,) for part in PARTS if part != "head"))


@dataclass(frozen=True)
class TextureAtlas:
    """One person's colours in the UV layout; row 0 is v = 0."""

    colours: Float[Tensor, "1 3 U U"]
    """RGB in [0, 1]."""
    confidence: Float[Tensor, "1 1 U U"]
    """How well the best source saw the place [0, 1]; 0: made up, or not yet known."""
    lends: Float[Tensor, "1 1 U U"]
    """How well a place was seen by a source in which nothing stood before it [0, 1]: only from there colours are
    copied to hidden places."""
    crossed: Float[Tensor, "1 1 U U"]
    """How far an arm that stands before a place takes it away again from all photos that seem to see it [0, 1]."""
    covered: Bool[Tensor, "1 1 U U"]
    """Where the body's surface is laid out."""

    def to(self, device: torch.device | str) -> "TextureAtlas":
        """The same texture on another device."""
        return TextureAtlas(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def sample(self, uv: Float[Tensor, "N 2 H W"]) -> Float[Tensor, "N 3 H W"]:
        """Colours at UV positions (u, v down) in [0, 1]."""
        pictures, _, height, width = uv.shape
        ndc = uv.permute(0, 2, 3, 1).reshape(1, -1, 2) * 2 - 1
        return sample_at(self.colours, ndc).view(3, pictures, height, width).transpose(0, 1)


def merge_texture(sources: FlowSources, size: int = 1024, choice: Choice | None = None) -> TextureAtlas:
    """Merge what the sources saw into one texture.

    Args:
        sources: Photos of one person (G = 1), or of several that lend each other parts.
        size: U [px].
        choice: Which source gives which part; see :func:`liquidwarp.flow.compose.compose_flow`.

    Returns:
        The texture; where no source sees, its colour is 0 and its confidence 0.
    """
    model = sources.model
    flat = unwrap(model, size)
    normals = model.lbs_weights.new_zeros(1, model.lbs_weights.shape[0], 3)
    layer = build_layer(flat.raster, model.faces, sources.body, rest_coordinates(model), normals)
    photos = torch.cat([sources.colours, sources.mattes], 2)
    merged = colour_layer(layer, model.face_part, choice, photos)
    texture, crossed = merged.texture, torch.zeros_like(merged.seen)
    if sources.occlusion is not None:
        free = colour_layer(without_crossed(layer, model.faces, sources.occlusion), model.face_part, choice, photos)
        texture = torch.where(free.seen > 0, free.texture, texture)
        crossed = (1 - free.seen / merged.seen.clamp(min=1e-6)) * (merged.seen > 0)
    colours, seen, crossed = (flat.spread(values[0, :, 0].T) for values in (texture, merged.seen, crossed))
    lends = flat.spread(flat.mix(sources.clear[:1].amax(1)[0, :, None]))
    return TextureAtlas(colours, seen, lends, crossed, flat.covered)


def fill_atlas(
    model: BodyModel, atlas: TextureAtlas, beside: Beside | None = None, filled: TextureAtlas | None = None
) -> TextureAtlas:
    """Make up what no source saw.

    Around torso and limbs the seen cloth goes on at the same height (:mod:`liquidwarp.flow.unseen.tubes`); a limb that
    is hidden altogether copies its mirror image. Everything else takes colours that spread over the surface from its
    seen neighbours: the back of a head from the hair around the face, the sole from the shoe.

    Args:
        model: The body.
        atlas: From :func:`merge_texture`.
        beside: From :func:`liquidwarp.flow.unseen.coat.beside_body`: an open coat goes on behind as it hangs beside the
            body.
        filled: The same person's filled texture with another head: all but the head is taken from there.

    Returns:
        The same atlas with a colour everywhere; its confidence tells what was seen.
    """
    if not bool((atlas.confidence > _SEEN).any()):
        return atlas
    flat = unwrap(model, atlas.colours.shape[-1])
    texture, spread = _unrolled(atlas, flat), _spread_over_surface(model, atlas, flat)
    if filled is None:
        copied, found, patterned = go_on_around(model, texture, beside)
    else:
        copied, found, patterned = flat.take(filled.colours), ~_on_head(flat), torch.zeros_like(texture.seen)
    mirrored_half, twin_seen = _mirrored_ends(model, atlas, flat)
    made_up = bare_around(model, texture, torch.where(found[:, None], copied, spread))
    made_up = hair_around(model, texture, flat, made_up)
    made_up = made_up + twin_seen * (mirrored_half - made_up)
    known = ((flat.take(atlas.confidence) - 0.2) / 0.5).clamp(0, 1) * (1 - flat.take(atlas.crossed))
    seen = known * flat.take(atlas.colours)
    mixed = replace(atlas, colours=flat.spread(seen + (1 - known) * made_up))
    shown = torch.maximum(torch.maximum(known, twin_seen), patterned[:, None].to(known.dtype))
    made_up = _in_even_light(model, mixed, flat, made_up, shown)
    colours = seen + (1 - known) * made_up
    if filled is not None:
        colours = torch.where(found[:, None], copied, colours)
    outside = grow_colours(flat.spread(colours), atlas.covered.to(colours.dtype), steps=8)
    return replace(atlas, colours=outside)


def _on_head(flat: UnwrappedBody) -> Bool[Tensor, "P"]:
    head = torch.tensor([PARTS.index(part) for part in _REGIONS[0]], device=flat.part.device)
    return torch.isin(flat.part, head)


def _in_even_light(
    model: BodyModel,
    mixed: TextureAtlas,
    flat: UnwrappedBody,
    made_up: Float[Tensor, "P 3"],
    shown: Float[Tensor, "P 1"],
) -> Float[Tensor, "P 3"]:
    """Made-up colours without steps in light where they meet seen ones (``mixed`` has both) or other made-up ones.

    ``shown`` says how far the photos, or their mirror images, tell a place's colour.
    """
    colour, known = _vertex_colours(model, mixed)
    colour = flat.around(flat.take(mixed.colours), colour)  # without folds and weave, and without what is next to it
    lends = known & (sample_at(mixed.lends, _vertex_places(model))[0, 0] > 0.9 * _SEEN)
    told = sample_at(flat.spread(shown), _vertex_places(model))[0, 0] > 0.9 * _SEEN
    hair = full_hair(model, rest_coordinates(model)) & (model.vertex_part == PARTS.index("head"))
    hair &= unlike_face(colour, colour[told & (model.vertex_part == PARTS.index("face"))])
    still = twin_vertices(model).head & (told | ~hair)  # a face's halves are alike by now
    gain = shade_gain(colour, lends | still, model.faces, hair)
    # Where it meets what is told made-up hair must have that light, or the step would only be a face wide.
    free = (hair & ~told)[None, :, None].to(gain.dtype)
    near = smooth_on_mesh(torch.cat([colour[None] * free, free], -1), model.faces, _BESIDE)[0]
    meets = (hair & told & (near[:, 3] > 0))[:, None]
    step = colour.clamp(min=_DARK) / (near[:, :3] / near[:, 3:].clamp(min=1e-6)).clamp(min=_DARK)
    gain = torch.where(meets, step.clamp(1 / _OTHER_HAIR, _OTHER_HAIR), gain)
    change = flat.mix_within(gain) - 1
    return (made_up * (1 + change * (1 - shown))).clamp(0, 1)


def _spread_over_surface(model: BodyModel, atlas: TextureAtlas, flat: UnwrappedBody) -> Float[Tensor, "P 3"]:
    """Seen vertices keep their colours; the others take those of the nearest place where the seen surface ends.

    Nearest at the same height, so that a hem or a collar goes on around the body; then smoothed a little.
    """
    colour, known = _vertex_colours(model, atlas)
    lends = known & (sample_at(atlas.lends, _vertex_places(model))[0, 0] > 0.9 * _SEEN)
    colour, known, lends = _with_twins(model, colour, known, lends)
    start = torch.where(known[:, None], colour, _part_means(model, colour, lends if bool(lends.any()) else known))
    start = _continue_rims(model, start, known, lends)
    within, foot = _faces_within_parts(model), vertices_of(model, "left_foot", "right_foot")
    spread, sharp = (smooth_on_mesh(start[None], within, times, fixed=known[None])[0] for times in (_SPREAD, _ON_FEET))
    return flat.mix(torch.where(foot[:, None], sharp, spread))


def _faces_within_parts(model: BodyModel) -> Int64[Tensor, "M 3"]:
    """Faces of one part alone, over which colours may spread: a shoe does not fade into the trousers."""
    part = torch.where(vertices_of(model, "face"), PARTS.index("head"), model.vertex_part)[model.faces]
    return model.faces[(part == part[:, :1]).all(1)]


def _vertex_places(model: BodyModel) -> Float[Tensor, "1 V 2"]:
    """Where each vertex is in the texture, NDC."""
    uv_of = model.uv.new_zeros(model.lbs_weights.shape[0], 2)
    uv_of[model.faces.reshape(-1)] = model.uv[model.face_uv.reshape(-1)]
    return pixels_to_ndc(uv_of[None], 1, 1)


def _vertex_colours(model: BodyModel, atlas: TextureAtlas) -> tuple[Float[Tensor, "V 3"], Bool[Tensor, "V"]]:
    """What the texture has at each vertex, and whether that was seen."""
    place = _vertex_places(model)
    known = sample_at(atlas.confidence, place)[0, 0] > 0.9 * _SEEN
    return sample_at(atlas.colours, place)[0].T, known


def _mirrored_ends(
    model: BodyModel, atlas: TextureAtlas, flat: UnwrappedBody
) -> tuple[Float[Tensor, "P 3"], Float[Tensor, "P 1"]]:
    """The mirror image's colours on head, hands and feet, in their own light, and how well that image was seen."""
    shown, confidence = flat.take(atlas.colours), flat.take(atlas.confidence)[:, 0]
    colours, weight = torch.zeros_like(shown), torch.zeros_like(confidence)
    twins = twin_vertices(model)
    on_end = twins.member[flat.corner].all(-1)
    seen = on_end & (confidence > 0)
    wanted = on_end & (confidence < 1)
    if int(seen.sum()) < _FEW or not bool(wanted.any()):
        return colours, weight[:, None]
    twin = flat.place[wanted] * shown.new_tensor([-1, 1, 1])
    distance, nearest = _neighbours(flat.place[seen], twin, _MIRRORED, _TWIN_NEAR)
    share = (distance + 1e-5).reciprocal()  # 0 where there is none so near
    share = share / share.sum(1, keepdim=True).clamp(min=1e-6)
    colour, known = _vertex_colours(model, atlas)
    gain = flat.mix(mirror_gain(model, twins, colour, known))[wanted]
    colours[wanted] = ((shown[seen][nearest] * share[..., None]).sum(1) * gain).clamp(0, 1)
    weight[wanted] = ((confidence[seen][nearest] * share).sum(1) - 0.1).mul(3).clamp(0, 1)
    return colours, weight[:, None]


def _with_twins(
    model: BodyModel, colour: Float[Tensor, "V 3"], known: Bool[Tensor, "V"], lends: Bool[Tensor, "V"]
) -> tuple[Float[Tensor, "V 3"], Bool[Tensor, "V"], Bool[Tensor, "V"]]:
    """The same, where vertices of head, hands and feet whose mirror images are known count as known."""
    twins = twin_vertices(model)
    new = twins.member & ~known & known[twins.index]
    mirrored_colour = (colour[twins.index] * mirror_gain(model, twins, colour, known)).clamp(0, 1)
    colour = torch.where(new[:, None], mirrored_colour, colour)
    return colour, known | new, lends | (new & lends[twins.index])


def _continue_rims(
    model: BodyModel, colour: Float[Tensor, "V 3"], known: Bool[Tensor, "V"], lends: Bool[Tensor, "V"]
) -> Float[Tensor, "V 3"]:
    """Hidden vertices take the most usual colour of the nearest lending vertices that border on others."""
    hidden = ~known
    border = smooth_on_mesh((~lends)[None, :, None].to(colour.dtype), model.faces, 3)[0, :, 0] > 0.02
    rim = lends & border
    rest = rest_coordinates(model)
    place = rest * colour.new_tensor([1.0, 3.0, 1.0])
    result = colour.clone()

    def lend(lender: Bool[Tensor, "V"], wanted: Bool[Tensor, "V"]) -> None:
        if int(lender.sum()) >= _RIM_NEIGHBOURS and bool(wanted.any()):
            near = colour[lender][_nearest(place[lender], place[wanted], _RIM_NEIGHBOURS)]
            usual = torch.cdist(near, near).sum(2).argmin(1)  # one of them: no colour between a strap and skin
            result[wanted] = near[torch.arange(len(near), device=near.device), usual]

    for region in _REGIONS:
        member = torch.isin(model.vertex_part, torch.tensor([PARTS.index(p) for p in region], device=colour.device))
        lend(rim & member, hidden & member)
    # The back of a head is like its top: cheeks lend it nothing where the upper head was seen.
    head, face = (model.vertex_part == PARTS.index(part) for part in ("head", "face"))
    level = rest[face, 1].mean() if bool(face.any()) else -torch.inf
    chin = level + 0.5 * (rest[face, 1].amax() - level) if bool(face.any()) else -torch.inf
    hair = rim & head & (rest[:, 1] < level) & unlike_face(colour, colour[known & face])
    lender = hair if int(hair.sum()) >= _SOME_HAIR else rim & head & (rest[:, 1] < level)
    lend(lender, hidden & head & (rest[:, 1] < chin))
    return result


def _part_means(model: BodyModel, colour: Float[Tensor, "V 3"], known: Bool[Tensor, "V"]) -> Float[Tensor, "V 3"]:
    """Mean colour of the seen vertices of each vertex's part; of its mirror image, where it was not seen.

    Hands that nobody sees look like bare arms or legs, or else like the face; lower arms and legs like the upper ones
    at the elbow and at the knee, arms else like the trunk; all else like the seen clothes.
    """
    clothes = known & ~vertices_of(model, "head", "face", "left_hand", "right_hand")
    worn = next((all_of for all_of in (clothes, known) if int(all_of.sum()) > _SOME), torch.ones_like(known))
    table = colour[worn].mean(0).repeat(len(PARTS), 1)
    for part, name in enumerate(PARTS):
        lenders = [known & (model.vertex_part == PARTS.index(side)) for side in (name, mirrored(name))]
        if name.endswith("hand"):
            lenders += _bare_skin(model, colour, known)
        elif name.endswith(("arm", "leg")):
            lenders += [known & nearer for nearer in _above(model, name)]
        for lender in lenders:
            if int(lender.sum()) > _SOME:
                table[part] = colour[lender].mean(0)
                break
    return table[model.vertex_part]


def _above(model: BodyModel, limb: str) -> list[Bool[Tensor, "V"]]:
    """What goes on into a limb: the upper one, first as far as it is near, this side's or the other's; or the trunk."""
    near, whole, places = [], [], rest_coordinates(model)
    for name in (limb, mirrored(limb)) if "_lower_" in limb else ():
        upper, own = (vertices_of(model, part) for part in (name.replace("lower", "upper"), name))
        if bool(upper.any()) and bool(own.any()):
            away = (places - places[own].mean(0)).norm(dim=1)
            near.append(upper & (away < away[upper].mean()))
            whole.append(upper)
    return near + whole + ([vertices_of(model, "torso")] if limb.endswith("arm") else [])


def _bare_skin(model: BodyModel, colour: Float[Tensor, "V 3"], known: Bool[Tensor, "V"]) -> list[Bool[Tensor, "V"]]:
    """Seen vertices of bare arms, bare legs, and of the face, which a hat or the light may make darker than these.

    Whose trunk looks like the face wears that colour, perhaps on arms and legs as well: there only the face tells.
    """
    face = known & (model.vertex_part == PARTS.index("face"))
    if int(face.sum()) <= _SOME:
        return [face]
    light = colour.sum(1).clamp(min=0.02).log()
    alike = like_face(colour, colour[face]) & ((light - light[face].median()).abs() < _OTHER_LIGHT)
    trunk = known & vertices_of(model, "torso")
    if int((trunk & alike).sum()) > _BARE * int(trunk.sum()):
        return [face]
    found = []
    for kind in ("arm", "leg"):
        parts = [number for number, part in enumerate(PARTS) if part.endswith(kind)]
        limb = known & torch.isin(model.vertex_part, torch.tensor(parts, device=known.device))
        bare = limb & alike
        if int(bare.sum()) > _BARE * int(limb.sum()):
            found.append(bare)
    return [*found, face]


def _unrolled(atlas: TextureAtlas, flat: UnwrappedBody) -> Unrolled:
    """The texture's places one by one."""
    confidence, lends, crossed = (flat.take(image)[:, 0] for image in (atlas.confidence, atlas.lends, atlas.crossed))
    return Unrolled(
        place=flat.place,
        part=flat.part,
        colours=flat.take(atlas.colours),
        seen=confidence > _SURELY,
        lends=(lends > _SEEN) & (confidence > _SEEN) & (crossed <= _SEEN),
        crossed=crossed > _SEEN,
    )


def _nearest(known: Float[Tensor, "K 3"], wanted: Float[Tensor, "N 3"], count: int) -> Int64[Tensor, "N {count}"]:
    """Indices of the nearest ``count`` known places."""
    return _neighbours(known, wanted, count)[1]


def _neighbours(
    known: Float[Tensor, "K 3"], wanted: Float[Tensor, "N 3"], count: int, reach: float = np.inf
) -> tuple[Float[Tensor, "N {count}"], Int64[Tensor, "N {count}"]]:
    """Distances and indices of the nearest ``count`` known places; distance inf where none is within reach."""
    distance, index = cKDTree(known.cpu().numpy()).query(wanted.cpu().numpy(), count, distance_upper_bound=reach)
    far = torch.as_tensor(np.asarray(distance), device=known.device, dtype=known.dtype).view(-1, count)
    nearest = torch.as_tensor(np.asarray(index), device=known.device).view(-1, count)
    return far, nearest.clamp(max=len(known) - 1)
