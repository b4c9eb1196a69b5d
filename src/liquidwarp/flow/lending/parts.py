"""Several people who lend each other parts: each source keeps only what it gives.

Paper: Liu et al. 2021, Sec. 3.4 (Human appearance transfer): flows per body part, each from another person.

The choice is written into the sources themselves, so that everything that follows obeys it: the warped texture, the
visibility that the network's attention is masked by, the halos, and what is made up for places that nobody shows.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import GROUPS, PARTS, parts_of
from liquidwarp.errors import SettingError, ShapeError
from liquidwarp.flow.lending.gaps import without_gaps
from liquidwarp.flow.mesh.extension import Extension, smooth_on_mesh
from liquidwarp.flow.sources import FlowSources
from liquidwarp.geometry.warp import sample_at

__all__ = ["GARMENT_PARTS", "OWN_SKIN", "garment_parts", "keep_parts", "shown_parts", "vertex_parts"]

GARMENT_PARTS = (*PARTS, "hips")
"""The parts that people lend each other. Trousers and skirts begin at the waist: the torso ends there, and what is
below it are the hips."""
OWN_SKIN = len(GARMENT_PARTS)
"""One part more, where it is known: the wearer's own bare skin, which no garment of others hides."""

_OVER = ("torso", *(f"{side}_lower_{limb}" for side in ("left", "right") for limb in ("arm", "leg")))
"""Shirts hang over hips, cuffs over hands, trousers over shoes."""

_BELT = 0.12
"""Height of the waistband above the hip joints [m]."""

_SEAM = 4
"""Half the width of the seams between parts [edges of the mesh]: about 3 cm."""
_HEM = 2
"""The same where it is known where garments end in the photos."""
_EDGE = 1
"""So far beside a place that nobody gives the colours are mixed with what was there [edges of the mesh]."""
_TRACE = 0.02
"""Beyond the seam there shall be exactly nothing."""
_SEEN = 0.2
_MOSTLY = 0.5
"""Share of what faces the camera."""


def keep_parts(
    sources: FlowSources,
    weights: Float[Tensor, "S Q"],
    person: Int64[Tensor, "S"],
    shares: Float[Tensor, "S 1 H W"] | None = None,
    parts: Int64[Tensor, "S V"] | None = None,
    bellies: Bool[Tensor, "S V"] | None = None,
) -> FlowSources:
    """Let each source give only some parts, with soft seams on the body between them.

    Args:
        sources: Photos of several people (G = 1).
        weights: 1 where the source may give the part (of :data:`GARMENT_PARTS`, and ``OWN_SKIN`` if there is one more),
            else 0; each part has a giver.
        person: Whose photo each source is.
        shares: How much of each pixel beside the body the source gives; None: the halos' faces are cut at the parts.
        parts: The part that each vertex belongs to in each photo (:func:`liquidwarp.flow.lending.hems.hem_parts`);
            None: the body's own. A place that nobody gives is made up.
        bellies: Vertices that the photos show bare between a top and the waist; None: what nobody gives around the
            waist is made up as well.

    Returns:
        The same sources, which do not see what they do not give; halos of other parts are gone.

    Raises:
        ShapeError: the numbers of sources differ, or nobody gives a part.
    """
    model, num = sources.model, sources.body.shape[1]
    if weights.shape[0] != num or len(person) != num:
        raise ShapeError(f"weights, person: expected {num} sources, got {weights.shape[0]} and {len(person)}.")
    missing = [GARMENT_PARTS[p] for p in (weights.amax(0) <= 0).nonzero()[:, 0].tolist()]
    if missing:
        raise ShapeError(f"weights: expected a source for each part, got none for {', '.join(missing)}.")
    own = vertex_parts(model).expand(num, -1) if parts is None else parts
    allowed = _outermost(_well_seen(sources, weights, own), own, vertex_parts(model))  # S V
    if bellies is not None:
        bellies = bellies & (weights[:, GARMENT_PARTS.index("torso"), None] > 0)
        sources, allowed = without_gaps(sources, allowed, vertex_parts(model) == GARMENT_PARTS.index("hips"), bellies)
    allowed = _away_from_gaps(model, allowed)
    soft = smooth_on_mesh(allowed[..., None], model.faces, _SEAM if parts is None else _HEM)[..., 0]
    share = soft / soft.amax(0).clamp(min=1e-6)
    share = share * (share > _TRACE) * (allowed.amax(0) > 0)
    body, around, clear = sources.body.clone(), sources.around.clone(), sources.clear * allowed
    body[..., 2] *= share
    extension = sources.extension
    anybody = extension.owner < 0
    around[..., 2] *= torch.where(anybody, share.index_select(1, extension.anchor), 1.0)
    if shares is None:
        kept, fringes = _own_halos(model, extension, weights), sources.fringes
    else:
        kept, fringes = _given_halos(extension, around[0], shares), sources.fringes * shares[None]
    unhidden = sources.unhidden * share
    kept_sources = replace(sources, body=body, unhidden=unhidden, around=around, clear=clear)
    return replace(kept_sources, extension=kept, fringes=fringes, person=person)


def _well_seen(
    sources: FlowSources, weights: Float[Tensor, "S Q"], parts: Int64[Tensor, "S V"]
) -> Float[Tensor, "S V"]:
    """1 where a source may give a vertex; nothing of a strip beyond a garment's usual end of which it shows little.

    Such strips lie behind hands and at outlines, where scraps of all kinds of colours are seen.
    """
    allowed, usual, count = weights.gather(1, parts), vertex_parts(sources.model), OWN_SKIN + 1
    hips, torso = GARMENT_PARTS.index("hips"), GARMENT_PARTS.index("torso")
    beside = torch.where(usual == hips, torso, usual).expand_as(parts)
    strip = (allowed > 0) & (weights.gather(1, beside) == 0) & ((parts != usual) | (usual == hips))
    strip &= parts != OWN_SKIN
    facing = strip & (sources.normals[0, ..., 2] < 0)
    region = parts * count + usual
    ones = torch.ones_like(allowed)
    total, seen = (
        ones.new_zeros(len(parts), count * count).scatter_add_(1, region, ones * where)
        for where in (facing, facing & (sources.body[0, ..., 2] > _SEEN))
    )
    hardly = (seen < _MOSTLY * total).gather(1, region)
    return torch.where(strip & hardly, 0.0, allowed)


def _away_from_gaps(model: BodyModel, allowed: Float[Tensor, "S V"]) -> Float[Tensor, "S V"]:
    """Nothing beside places that nobody gives: a garment that is taken off there leaves its edge on its neighbour."""
    gap = (allowed.amax(0) <= 0).to(allowed.dtype)[None, :, None]
    return torch.where(smooth_on_mesh(gap, model.faces, _EDGE)[..., 0] > 0, 0.0, allowed)


def _outermost(
    allowed: Float[Tensor, "S V"], parts: Int64[Tensor, "S V"], usual: Int64[Tensor, "V"]
) -> Float[Tensor, "S V"]:
    """Where two people give garments of two parts, the upper one hangs over the other: a shirt over trousers.

    Hair that falls beyond the head hangs over all.
    """
    over = torch.tensor([*(name in _OVER for name in GARMENT_PARTS), False], device=parts.device)[parts]
    hair = (parts == GARMENT_PARTS.index("head")) & (parts != usual)
    for above in (over | hair, hair):
        covered = (allowed * above).amax(0) > 0
        allowed = torch.where(covered & ~above, 0.0, allowed)
    return allowed


def _given_halos(extension: Extension, around: Float[Tensor, "S E 4"], shares: Float[Tensor, "S 1 H W"]) -> Extension:
    """Without the faces that lie where their photo gives nothing."""
    given = sample_at(shares, around[..., :2].contiguous())[:, 0]  # S E
    point = given.gather(0, extension.owner.clamp(min=0)[None])[0]
    kept = (extension.owner[extension.faces[:, 0]] < 0) | (point[extension.faces].amax(1) > _TRACE)
    return replace(extension, faces=extension.faces[kept], part=extension.part[kept], max_edge=extension.max_edge[kept])


def garment_parts(name: str) -> tuple[str, ...]:
    """The parts that a part's or a group's name stands for, when clothes are meant.

    Raises:
        SettingError: no such name.

    Example:
        >>> garment_parts("legs")[-1], garment_parts("lower")[-1]
        ('right_lower_leg', 'hips')
    """
    if name == "hips":
        return ("hips",)
    if name not in PARTS and name not in GROUPS:
        raise SettingError(
            f"wear: {name!r} is not known. A shirt or jacket is upper, trousers or a skirt lower, a dress or coat "
            "upper,lower, shoes feet, hair and hat head; `liquidwarp transfer --help` lists all parts."
        )
    return (*parts_of(name), "hips") if name in ("lower", "body", "all") else parts_of(name)


def vertex_parts(model: BodyModel) -> Int64[Tensor, "V"]:
    """Index into :data:`GARMENT_PARTS` of each vertex."""
    rest = model.rest(model.lbs_weights.new_zeros(1, len(model.beta_names)))
    below = rest.vertices[0, :, 1] > rest.joints[0, list(model.roles.upper_leg), 1].mean() - _BELT
    hips = below & (model.vertex_part == PARTS.index("torso"))
    return torch.where(hips, GARMENT_PARTS.index("hips"), model.vertex_part)


def _own_halos(model: BodyModel, extension: Extension, weights: Float[Tensor, "S Q"]) -> Extension:
    """Without the faces on parts that their photo does not give."""
    first = extension.faces[:, 0]
    owner, anchored = extension.owner[first], vertex_parts(model)[extension.anchor[first]]
    on_torso = extension.part == PARTS.index("torso")
    part = torch.where(on_torso & (anchored == GARMENT_PARTS.index("hips")), anchored, extension.part)
    kept = (owner < 0) | (weights[owner.clamp(min=0), part] > 0)
    return replace(extension, faces=extension.faces[kept], part=extension.part[kept], max_edge=extension.max_edge[kept])


def shown_parts(sources: FlowSources, least: float = 0.03) -> tuple[str, ...]:
    """The parts of :data:`GARMENT_PARTS` of which the photos together show at least a share.

    Args:
        sources: Photos of one person.
        least: Share of the part's surface.
    """
    model = sources.model
    seen = (sources.body[0, :, :, 2].amax(0) > _SEEN).to(torch.float32)
    used = torch.zeros_like(seen).index_fill_(0, model.faces.reshape(-1), 1)
    totals = torch.zeros(2, len(GARMENT_PARTS), device=seen.device)
    totals.index_add_(1, vertex_parts(model), torch.stack([seen * used, used]))
    shown = totals[0] > least * totals[1]
    return tuple(part for part, there in zip(GARMENT_PARTS, shown.tolist(), strict=True) if there)
