"""A head from one photo: what it does not show of one half, the other half shows.

Two photos of a face never fit together: expression, light and a few pixels of the fit differ, and a seam down a face is
what a viewer sees first. So one photo gives all that it shows of the head and, as heads are nearly symmetric, the
mirror image of that; other photos give what is left, such as the back of the head. Which photo that is may differ from
picture to picture (:mod:`liquidwarp.flow.seen.head_choice`). At the edge of a face the fit's error may put hair on a
cheek: where both halves differ, the one that is seen better is believed.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from scipy.spatial import cKDTree
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.body.remembered import once_per_model
from liquidwarp.flow.mesh.extension import smooth_on_mesh
from liquidwarp.flow.mesh.surface import rest_coordinates
from liquidwarp.flow.seen.head_choice import HeadViews, head_directions, no_head_views, select_views
from liquidwarp.geometry.warp import sample_at

__all__ = ["Twins", "head_shares", "head_views", "head_worth", "mirror_gain", "twin_vertices", "unlike_twins"]

_ENDS = ("left_hand", "right_hand", "left_foot", "right_foot")
_FACING = (0.1, 0.45)
"""Cosine to the line of sight at which a place of a head begins to be worth showing, and from which it is fully."""
_DEFICIT = (0.3, 0.6)
"""So much worse than its twin a place must be seen until it begins to be given up for the twin, and is."""
_DOUBT = 3.0
"""By so many times more a place counts as worse seen where its colour is not at all its twin's."""
_SEEN = 0.5
_LEAST = 0.1
"""A photo that shows less of the face than this shows no head."""
_LINE = 8
"""How smooth the line is at which the mirrored half begins [edges of the mesh]."""
_MOSTLY = 0.6
"""A half of a face of which a photo shows less than this well is its other half's mirror image."""
_ASIDE = 0.33
"""So is the far half of a face that a photo sees from so far aside [sine of the angle]: turned to the front it would be
smeared around an eye, and meet the mirror image of the near half in streaks."""
_MIDDLE = 0.016
"""Width of the seam between a half of a face and its mirror image, in rest coordinates."""
_SEAM = 4
"""Width of the change to other photos [edges of the mesh]."""
_GAIN_ROUNDS = 30
_ALIKE = 0.4
"""Places whose colours differ more from their mirror images' [logarithm] are not the same thing in another light."""
_TRACE = 0.02
"""What is worth less than this is not seen at all."""
_FAINT = 0.002
"""Farther away than this little of the known places' weight reaches, nothing is made brighter or darker."""
_DARK = 0.03
_ENOUGH_PHOTOS = 3
"""With fewer photos of a face nobody can say which one differs."""
_UNLIKE = 0.1
"""A face whose colours differ from the others' by this share of its mean is half as good."""


@dataclass(frozen=True)
class Twins:
    """Places of a head and their mirror images."""

    index: Int64[Tensor, "V"]
    """The vertex that is each vertex's mirror image; vertices of other parts are their own."""
    member: Bool[Tensor, "V"]
    """Vertices of heads, hands and feet."""
    head: Bool[Tensor, "V"]
    face: Bool[Tensor, "V"]


@once_per_model
def twin_vertices(model: BodyModel) -> Twins:
    """Find the mirror images of heads, hands and feet in the rest pose."""
    used = torch.zeros_like(model.vertex_part, dtype=torch.bool)
    used[model.faces.reshape(-1)] = True
    face = used & (model.vertex_part == PARTS.index("face"))
    head = face | (used & (model.vertex_part == PARTS.index("head")))
    member = head.clone()
    for part in _ENDS:
        member |= used & (model.vertex_part == PARTS.index(part))
    index = torch.arange(len(used), device=used.device)
    if bool(member.any()):
        places = rest_coordinates(model)[member].cpu().numpy()
        nearest = cKDTree(places).query(places * np.array([-1, 1, 1], np.float32))[1]
        index[member] = index[member][torch.as_tensor(nearest, device=index.device)]
    return Twins(index, member, head, face)


def head_worth(
    twins: Twins, visible: Float[Tensor, "S V"], normals: Float[Tensor, "S V 3"], inside: Float[Tensor, "S V"]
) -> Float[Tensor, "S V"]:
    """How well each photo shows each place [0, 1], such that it could be shown from another side too.

    Args:
        twins: From :func:`twin_vertices`.
        visible: How well each photo sees each vertex [0, 1].
        normals: Unit normals in the photos' camera frames.
        inside: 0 where a vertex falls outside of the person or on the outline, else 1.
    """
    return visible * inside * _smoothstep(-normals[..., 2], *_FACING)


def unlike_twins(twins: Twins, colours: Float[Tensor, "V 3"], worth: Float[Tensor, "V"]) -> Float[Tensor, "V"]:
    """How far a place of the head shows something else than its mirror image [0, 1]; 0 where one of them is not seen.

    Args:
        twins: From :func:`twin_vertices`.
        colours: What one photo shows, RGB in [0, 1].
        worth: From :func:`head_worth`, of that photo.
    """
    light = colours.clamp(min=_DARK).log()
    difference = (light - light[twins.index]).abs().amax(1)
    seen = (worth > _TRACE) & (worth[twins.index] > _TRACE) & twins.head
    return (difference / _ALIKE - 1).clamp(0, 1) * seen


def head_shares(
    model: BodyModel,
    twins: Twins,
    worth: Float[Tensor, "S V"],
    inside: Float[Tensor, "S V"],
    giver: int,
    unlike: Float[Tensor, "V"],
    aside: float,
) -> tuple[Float[Tensor, "S V"], Float[Tensor, "S V"], Float[Tensor, "S V"]]:
    """How much of what each photo of one person sees may be shown, such that one photo gives the head.

    Args:
        model: The body.
        twins: From :func:`twin_vertices`.
        worth: From :func:`head_worth`.
        inside: 0 where a vertex falls outside of the person or on the outline, else 1.
        giver: The photo that gives the head.
        unlike: From :func:`unlike_twins`, of that photo.
        aside: From how far aside it sees the face [sine of the angle].

    Returns:
        What may be shown: 1, but 0 on the head where the giver shows a place much worse than its twin, and in the
        other photos where the giver shows the place or its twin. And what may be lent to hidden places: the same, less
        what is seen at a grazing angle. And the first of them, also where a place of the face falls on the outline.
    """
    share = torch.ones_like(worth)
    own, mirrored = worth[giver], worth[giver, twins.index]
    given = (twins.head & (torch.maximum(own, mirrored) > _SEEN)).to(own.dtype)
    left = 1 - smooth_on_mesh(given[None, :, None], model.faces, _SEAM)[0, :, 0]
    share[:, twins.head] = ((left - 0.5) * 2).clamp(0, 1)[twins.head]
    # Noses and eyes hide a little of what is around them: the line between the halves shall not follow that.
    deficit = (mirrored - own) * (1 + _DOUBT * unlike)
    deficit = smooth_on_mesh(deficit[None, :, None], model.faces, _LINE)[0, :, 0]
    shown = (1 - _smoothstep(deficit, *_DEFICIT)) * _better_half(model, twins, mirrored - own, aside)
    share[giver] = torch.where(twins.head, shown, 1)
    shared = torch.where(twins.head, share * inside, share)
    return shared, torch.where(twins.head, shared * worth, shared), torch.where(twins.face, share, shared)


def _better_half(model: BodyModel, twins: Twins, deficit: Float[Tensor, "V"], aside: float) -> Float[Tensor, "V"]:
    """1; but 0 on the half of a face that is mostly given up or seen from far aside, from the middle on.

    A seam within that half would cut an eye or run beside the nose, where two views of it meet. In the middle a face
    and its mirror image are the same.
    """
    across, shown = rest_coordinates(model)[:, 0], 1 - _smoothstep(deficit, *_DEFICIT)
    halves = [float(shown[twins.face & (across * side > 0)].mean()) for side in (-1, 1)]
    if aside < _ASIDE and not min(halves) < _MOSTLY:
        return torch.ones_like(shown)
    side = -1 if halves[0] < halves[1] else 1
    return (0.5 - side * across / _MIDDLE).clamp(0, 1)


def head_views(
    model: BodyModel,
    bodies: BodyParams,
    colours: Float[Tensor, "S 3 H W"],
    body: Float[Tensor, "S V 4"],
    normals: Float[Tensor, "S V 3"],
    clear: Float[Tensor, "S V"],
    inside: Float[Tensor, "S V"],
) -> HeadViews:
    """The photos of one person that may give the head, and what all photos show if one of them does.

    Args:
        model: The body.
        bodies: The S fitted bodies.
        colours: The photos, RGB in [0, 1].
        body: Per vertex NDC position (x, y), visibility and preference.
        normals: Unit normals in the photos' camera frames.
        clear: Visibility, but 0 near other limbs.
        inside: 0 where a vertex falls outside of the person or on the outline, else 1.
    """
    twins, visible = twin_vertices(model), body[..., 2]
    if not bool(twins.face.any()):
        return no_head_views(visible)
    worth = head_worth(twins, visible, normals, inside)
    face = worth[:, twins.face]
    places = body[:, twins.face, :2]
    quality = _sharpness(colours, places, face) * _likeness(colours, places, face)
    directions = head_directions(model, bodies.rel_rotmats)
    source, penalty = select_views(face.mean(1), quality, directions, _LEAST)
    if len(source) == 0:
        return no_head_views(visible)
    shares = []
    for giver in source.tolist():
        shown = sample_at(colours[giver : giver + 1], body[giver : giver + 1, :, :2])[0].T
        unlike = unlike_twins(twins, shown, worth[giver])
        shares.append(head_shares(model, twins, worth, inside, giver, unlike, abs(float(directions[giver, 0]))))
    may_show, may_lend, given = (torch.stack(part) for part in zip(*shares, strict=True))
    return HeadViews(source, directions[source], penalty, visible * may_show, clear * may_lend, given)


def _sharpness(
    colours: Float[Tensor, "S 3 H W"], places: Float[Tensor, "S K 2"], worth: Float[Tensor, "S K"]
) -> Float[Tensor, "S"]:
    """How strong each photo's edges are where it shows the face, relative to the strongest there of any [0, 1]."""
    light = F.pad(colours.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    right, down = (light[..., 1:-1, 2:] - light[..., 1:-1, :-2]), (light[..., 2:, 1:-1] - light[..., :-2, 1:-1])
    edges = F.avg_pool2d((right.square() + down.square()).sqrt(), 5, 1, 2)
    found = sample_at(edges, places)[:, 0] * (worth > _SEEN)
    strongest = torch.where(worth > _SEEN, found.amax(0), 0).sum(1)
    return torch.where(strongest > 0, found.sum(1) / strongest.clamp(min=1e-6), 1)


def _likeness(
    colours: Float[Tensor, "S 3 H W"], places: Float[Tensor, "S K 2"], worth: Float[Tensor, "S K"]
) -> Float[Tensor, "S"]:
    """How much each photo's face looks like that of most photos [0, 1]; 1 where there are too few to tell.

    One that differs is blurred, covered by something, in another light, or its body does not fit.
    """
    seen = worth > _SEEN
    if len(seen) < _ENOUGH_PHOTOS:
        return torch.ones_like(worth[:, 0])
    found = sample_at(F.avg_pool2d(colours, 3, 1, 1, count_include_pad=False), places).transpose(1, 2)
    found = torch.where(seen[..., None], found, torch.nan)
    found = found / found.nanmean(1, keepdim=True).clamp(min=_DARK)
    unlike = (found - found.nanmedian(0).values).abs().mean(-1).nanmean(1)
    return torch.where(seen.any(1), 1 / (1 + unlike / _UNLIKE), 0)


def mirror_gain(
    model: BodyModel, twins: Twins, colour: Float[Tensor, "V 3"], known: Bool[Tensor, "V"]
) -> Float[Tensor, "V 3"]:
    """By how much a vertex is brighter than its mirror image, judged by the nearest places that are both known.

    Args:
        model: The body.
        twins: From :func:`twin_vertices`.
        colour: RGB in [0, 1].
        known: Which of them are meant.
    """
    light = colour.clamp(min=_DARK).log()
    difference = light - light[twins.index]
    both = twins.member & known & known[twins.index] & (difference.abs().amax(1) < _ALIKE)
    trust = both.to(light.dtype)[:, None]
    spread = smooth_on_mesh(torch.cat([difference * trust, trust], 1)[None], model.faces, _GAIN_ROUNDS)[0]
    return (spread[:, :3] / (spread[:, 3:] + _FAINT)).exp()


def _smoothstep(value: Float[Tensor, "*B"], low: float, high: float) -> Float[Tensor, "*B"]:
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)
