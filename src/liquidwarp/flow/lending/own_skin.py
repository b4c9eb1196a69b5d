"""Where garments of others leave a limb bare and the wearer's photos show it bare, the wearer's own skin is seen.

Nobody's skin in another one's tone is as good: it brings light, bracelets and tattoos of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.parts import mirrored
from liquidwarp.flow.lending.given import PhotoParts, along_limbs
from liquidwarp.flow.lending.parts import GARMENT_PARTS, OWN_SKIN, vertex_parts
from liquidwarp.flow.lending.skin import BareSkin, Stretch
from liquidwarp.flow.sources import FlowSources
from liquidwarp.geometry.warp import sample_at

__all__ = ["bare_bellies", "bare_of", "with_own_skin"]

_SEAM = 0.06
"""A cuff may end so much lower than the colours tell, as ``PhotoParts.along``: no cloth shall be cut."""
_LIKE = 0.5
"""So much like skin is a bare belly."""
_SEEN, _MOSTLY = 0.2, 0.5
"""So much of what faces the camera a photo must show: else, beside hair say, the giver's is better."""
_LEAST = 0.15
"""Shorter stretches are no bare limbs."""


def bare_of(photos: Sequence[Mapping[str, Stretch]]) -> dict[str, Stretch]:
    """What is bare of each limb ("left_arm") in all photos of a person that show it; of its twin, if none does."""
    found: dict[str, Stretch] = {}
    for limb in ("left_arm", "right_arm", "left_leg", "right_leg"):
        for name in (limb, mirrored(limb)):
            shown = [photo[name] for photo in photos if name in photo]
            if shown:
                found[limb] = max(low for low, _ in shown), min(high for _, high in shown)
                break
    return found


def bare_bellies(
    parts: Sequence[PhotoParts], skins: Sequence[BareSkin | None], sources: FlowSources
) -> Bool[Tensor, "S V"]:
    """Which vertices between a short top and the waist the photos show bare.

    Args:
        parts: Of the S photos.
        skins: Where they show bare skin; None: not known.
        sources: What the photos show.
    """
    hips, torso = (GARMENT_PARTS.index(name) for name in ("hips", "torso"))
    above, seen = vertex_parts(sources.model) == torso, sources.body[0, ..., 2] > _SEEN
    bare = torch.zeros_like(seen)
    for s, (photo, skin) in enumerate(zip(parts, skins, strict=True)):
        if skin is not None:
            likeness = torch.as_tensor(skin.likeness).to(sources.body)[None, None]
            like = sample_at(likeness, sources.body[0, s, None, :, :2])[0, 0] > _LIKE
            bare[s] = above & (photo.vertices == hips) & seen[s] & like
    return bare


def with_own_skin(
    parts: Sequence[PhotoParts],
    person: Int64[Tensor, "S"],
    weights: Float[Tensor, "N Q"],
    bare: Sequence[Mapping[str, Stretch]],
    sources: FlowSources,
) -> tuple[tuple[PhotoParts, ...], Float[Tensor, "N Q+1"]]:
    """Call skin that the wearer shows and garments of others leave bare a part of its own, which the wearer gives.

    Args:
        parts: Of the S photos.
        person: Whose they are; 0: the wearer's.
        weights: 1 where a person gives a part.
        bare: What is bare of each person's limbs.
        sources: What the photos show.

    Returns:
        The photos' parts with that part (``OWN_SKIN``), and its weights.
    """
    own = torch.zeros(len(weights), 1).index_fill_(0, torch.tensor([0]), 1)
    usual, along, changed = vertex_parts(sources.model), along_limbs(sources.model), list(parts)
    seen, facing = sources.body[0, person == 0, :, 2] > _SEEN, sources.normals[0, person == 0, :, 2] < 0
    for limb in ("left_arm", "right_arm", "left_leg", "right_leg"):
        side, kind = limb.split("_")
        for name in (f"{side}_upper_{kind}", f"{side}_lower_{kind}"):
            number = GARMENT_PARTS.index(name)
            giver = int(weights[:, number].argmax())
            if giver == 0 or limb not in bare[0] or limb not in bare[giver]:
                continue
            low, high = (pick(bare[n][limb][end] for n in (0, giver)) for end, pick in ((0, max), (1, min)))
            if high - low < _LEAST:
                continue
            low, high = low + _SEAM * (low > 0), high - _SEAM * (high < 2)
            of_vertices = (usual == number) & (along >= low) & (along <= high)
            shown, towards = (float((where & of_vertices).sum(1).max()) for where in (seen, facing))
            if shown < _MOSTLY * towards:
                continue
            for s, photo in enumerate(changed):
                if int(person[s]) not in (0, giver):
                    continue
                skin = (photo.part == number) & (photo.along >= low) & (photo.along <= high)
                worn = photo.vertices == number
                changed[s] = replace(
                    photo,
                    part=np.where(skin, OWN_SKIN, photo.part),
                    vertices=torch.where(of_vertices & worn, OWN_SKIN, photo.vertices),
                )
    return tuple(changed), torch.cat([weights, own.to(weights)], 1)
