"""Bare skin of others in the wearer's tone.

Where both people show a limb bare the wearer's own skin is shown (:mod:`liquidwarp.flow.lending.own_skin`); this is for
the rest.

Skin is told from cloth by its colours, after the person's own face. Faces are lit in another way than limbs (a hat, the
sun, a lamp), so where both people show bare arms, or bare legs, these tell how the giver's shall look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.flow.lending.given import PhotoParts
from liquidwarp.flow.lending.parts import GARMENT_PARTS

__all__ = ["BareSkin", "SkinTones", "Stretch", "match_skin", "skin_tone"]

Stretch = tuple[float, float]
"""From where to where a limb is bare, as ``PhotoParts.along``; empty where the end is not beyond the start."""

_LEAST_SKIN = 40
"""Fewer pixels of skin say nothing of its colour."""
_REDDER, _BLUER = (0.05, 1.6), (-2.0, 0.4)
"""Red and blue against green in human skin under usual light, logarithms of linear light; all else is a mask."""
_SPREAD = 0.16
"""How far the colours of one person's skin lie apart, in logarithms of their ratios."""
_LIGHT = 1.0
"""How far its light may lie apart, in logarithms."""
_BARE = ("torso", "hips", "upper_arm", "lower_arm", "upper_leg", "lower_leg", "foot")
"""Parts on which a giver's bare skin takes the wearer's tone."""
_DRESSED = ("torso", "hips")
"""Parts that hardly anybody shows bare: what they wear is cloth, in whatever colour."""
_BARE_TRUNK, _LIGHT_COUNTS = 0.1, 0.25
"""Unless it is so near to the face's colour; how much light counts beside the ratios of colours."""
_KINDS = ("arm", "leg")
_STRETCHES, _MOSTLY = 40, 0.35
"""Pieces into which a limb is cut; and how much like skin its skin is on average."""
_DRIFT, _SHADE = 0.15, 0.35
"""Between neighbouring pieces the ratios of colours, and the light, of one skin change by no more [logarithms]."""
_AROUND = 2.5
"""So many times as far as usual colours lie apart around a piece of a bare limb: sun, sky and the ground light it."""
_ROUNDS = 3
_STRONGEST = 8.0
"""Skin is made lighter or darker by this factor at most."""
_OTHER_LIGHT = 2.2
"""A limb's skin is lighter or darker than the face's by this factor at most: darker ones wear stockings."""
_BARE_LIMB = 0.02
"""Less skin than this does not tell a limb's tone [m2]."""
_BLEND = 0.02
"""Softness of the change from a limb's tone to the trunk's [m]."""
_DARKEST, _BRIGHTEST = 0.9, 0.15
"""How much darker than its tone skin in the shade may become, and how much lighter where its tone leaves no room
[logarithms]: in another tone shade and shine are softer, so that nothing is burnt out."""
_OTHER_TONE = 0.7
"""From such a change of tone on all of that holds [logarithm]."""
_HUES = 0.6
"""How much of the differences in hue stay: dark and fair skin differ in them as well."""


@dataclass(frozen=True)
class SkinTones:
    """How light and in what colour a person's skin is in one photo; linear light in (0, 1]."""

    face: Float[np.ndarray, "3"]
    arm: Float[np.ndarray, "3"] | None = None
    """None: not bare, or hardly seen."""
    leg: Float[np.ndarray, "3"] | None = None

    def limb(self, kind: str) -> Float[np.ndarray, "3"] | None:
        """That of arms or legs, or of the other ones, as a hat does not shade them."""
        own, other = (self.arm, self.leg) if kind == "arm" else (self.leg, self.arm)
        return other if own is None else own


def skin_tone(
    image: Float[Tensor, "3 H W"], matte: Float[Tensor, "1 H W"], parts: PhotoParts
) -> Float[np.ndarray, "3"] | None:
    """Mean colour of the face, linear light in (0, 1]; of the hands where the photo shows no face; None: no skin."""
    solid, colours = matte[0].cpu().numpy() > 0.9, _linear(image)
    for names in (("face",), ("left_hand", "right_hand")):
        inside = _named(parts, *names) & parts.body & solid
        inside = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        if inside.sum() >= _LEAST_SKIN:
            return _tone(colours[inside])
    return None


def _tone(colours: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "3"] | None:
    """Their mean without eyes, hair, beard and highlights; None: no skin."""
    light = colours.mean(1)
    usual = (light >= np.quantile(light, 0.45)) & (light <= np.quantile(light, 0.9))
    tone: np.ndarray = colours[usual].mean(0)
    redder, bluer = np.log(tone[0] / tone[1]), np.log(tone[2] / tone[1])
    return tone if _REDDER[0] < redder < _REDDER[1] and _BLUER[0] < bluer < _BLUER[1] else None


def match_skin(
    image: Float[Tensor, "3 H W"], parts: PhotoParts, skin: "BareSkin", wanted: SkinTones
) -> Float[Tensor, "3 H W"]:
    """Give the bare skin of arms, legs and trunk another tone; light and shade stay, but softer.

    Args:
        image: Photo of somebody, RGB in [0, 1].
        parts: What is where in it.
        skin: Where it is bare, and in which tones.
        wanted: The tones that it shall have.
    """
    colours = _linear(image)
    own = skin.tones.face
    overall = np.clip(wanted.face / own, 1 / _STRONGEST, _STRONGEST)
    usual = np.broadcast_to(np.log(own), colours.shape).copy()
    change = np.broadcast_to(np.log(overall), colours.shape).copy()
    for kind in _KINDS:
        before, after = getattr(skin.tones, kind), wanted.limb(kind)
        if before is not None and after is not None:
            limb = _named(parts, *(("_arm",) if kind == "arm" else ("_leg", "_foot")))
            further = _in_other_light(after, wanted.face) - _in_other_light(before, own)
            usual[limb], change[limb] = np.log(before), np.log(overall) + further
    usual, change = (cv2.GaussianBlur(m, (0, 0), max(0.5, _BLEND * parts.scale)) for m in (usual, change))
    became = np.exp(usual + change + _softer(np.log(colours) - usual, usual + change, change))
    share = np.clip(2 * skin.likeness - 0.3, 0, 1)[..., None]
    result = np.clip(colours ** (1 - share) * became**share, 0, 1) ** (1 / 2.2)
    return torch.from_numpy(result).permute(2, 0, 1).to(image)


def _softer(
    from_usual: Float[np.ndarray, "H W 3"], tone: Float[np.ndarray, "H W 3"], change: Float[np.ndarray, "H W 3"]
) -> Float[np.ndarray, "H W 3"]:
    """How skin differs from its tone: less, the more the tone changes, and only so far as there is room for it.

    All in logarithms.
    """
    light = from_usual.mean(-1, keepdims=True)
    limit = np.where(light > 0, np.maximum(_BRIGHTEST, -tone.max(-1, keepdims=True)), _DARKEST)
    softer = limit * np.tanh(light / limit) + _HUES * (from_usual - light)
    share = (np.abs(change).mean(-1, keepdims=True) / _OTHER_TONE).clip(0, 1)
    mixed: np.ndarray = from_usual + share * (softer - from_usual)
    return mixed


def _in_other_light(limb: Float[np.ndarray, "3"], face: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """How a limb's skin differs from the face's [logarithms]: in any hue, but hardly ever much lighter or darker."""
    ratio = np.log(limb / face)
    light = ratio.mean()
    within: np.ndarray = ratio - light + np.clip(light, -np.log(_OTHER_LIGHT), np.log(_OTHER_LIGHT))
    return within


@dataclass(frozen=True)
class BareSkin:
    """Where a photo shows bare skin."""

    likeness: Float[np.ndarray, "H W"]
    """[0, 1]"""
    tones: SkinTones
    stretches: Mapping[str, Stretch]
    """From where to where the limbs that the photo shows ("left_arm") are bare, as ``PhotoParts.along``; a limb in a
    sleeve is bare from 2 to 0."""

    @staticmethod
    def of(image: Float[Tensor, "3 H W"], parts: PhotoParts, face: Float[np.ndarray, "3"]) -> "BareSkin":
        """Told by the colours of the face, and then of each limb.

        Args:
            image: RGB in [0, 1].
            parts: What is where.
            face: Its tone, from :func:`skin_tone`.
        """
        colours = _linear(image)
        cloths = [tone for name in _DRESSED if (tone := _cloth_tone(colours[parts.shows(name)], face)) is not None]

        def likeness_to(tone: Float[np.ndarray, "3"], spread: float, even: float) -> Float[np.ndarray, "H W"]:
            """``even``: what is as near to cloth as to skin counts so much."""
            like = _likeness(colours, tone, spread)
            for cloth in cloths:
                nearer = _distance(colours, cloth) / _distance(colours, tone).clip(1e-6)
                like *= (nearer - 1 + even).clip(0, 1)
            return like

        likeness = likeness_to(face, _SPREAD, 0.3)
        tones, stretches = {}, {}
        for kind in _KINDS:
            shown = []
            for side in ("left", "right"):
                limb = _named(parts, f"{side}_upper_{kind}", f"{side}_lower_{kind}")
                of_limb = likeness_to(face, _SPREAD, 0.8)
                for _ in range(_ROUNDS):  # limbs are lit in another way than the face
                    certain = limb & parts.body & (of_limb > 0.5)
                    if certain.sum() > _LEAST_SKIN:
                        of_limb = np.maximum(of_limb, likeness_to(colours[certain].mean(0), 1.3 * _SPREAD, 0.8))
                of_limb, stretch = _along_bare_stretch(colours, of_limb, limb, parts, cloths)
                if (limb & parts.body).sum() > max(_LEAST_SKIN, _BARE_LIMB * parts.scale**2):
                    stretches[f"{side}_{kind}"] = stretch
                shown.append(colours[limb & parts.body & (of_limb > 0.5)])
                likeness = np.where(limb, of_limb, likeness)
            bare = np.concatenate(shown)
            enough = len(bare) > max(_LEAST_SKIN, _BARE_LIMB * parts.scale**2)
            tones[kind] = np.exp(np.log(bare).mean(0)) if enough else None
        likeness = np.where(_named(parts, *_BARE), likeness, 0)
        soft = cv2.GaussianBlur(likeness, (0, 0), max(0.5, 0.004 * parts.scale))
        return BareSkin(soft, SkinTones(face, tones["arm"], tones["leg"]), stretches)


def _named(parts: PhotoParts, *endings: str) -> Bool[np.ndarray, "H W"]:
    """Where the nearest part's name has one of these endings."""
    return np.isin(parts.part, [number for number, name in enumerate(GARMENT_PARTS) if name.endswith(endings)])


def _along_bare_stretch(
    colours: Float[np.ndarray, "H W 3"],
    likeness: Float[np.ndarray, "H W"],
    limb: Bool[np.ndarray, "H W"],
    parts: PhotoParts,
    cloths: Sequence[Float[np.ndarray, "3"]],
) -> tuple[Float[np.ndarray, "H W"], Stretch]:
    """The likeness to skin of the one stretch of a limb that is mostly skin: sleeves and trousers have no bare spots.

    Also from where to where that stretch goes.

    It goes on as far as its colour changes slowly, as light and shade do, and not to that of a cloth that the trunk
    wears; and what is skin all around is all skin.
    """
    shown = limb & parts.body
    piece = (parts.along * _STRETCHES / 2).astype(int).clip(0, _STRETCHES - 1)
    more = np.bincount(piece[shown], likeness[shown] - _MOSTLY, _STRETCHES)
    total = np.concatenate([[0], np.cumsum(more)])
    gain = np.triu(total[None, :] - total[:, None])
    start, stop = np.unravel_index(int(gain.argmax()), gain.shape)
    bare = limb & (piece >= start) & (piece < stop)
    if not (bare & shown).any() or np.median(likeness[bare & shown]) < 0.5:
        return np.where(bare, likeness, 0), (2.0, 0.0)
    usual = _usual_colours(colours, shown, piece)
    skin = np.median(colours[bare & shown], axis=0)
    dressed = [any(_distance(colour, cloth) < _distance(colour, skin) for cloth in cloths) for colour in usual]
    while start > 0 and not dressed[start - 1] and _same_skin(usual[start - 1], usual[start]):
        start -= 1
    while stop < _STRETCHES and not dressed[stop] and _same_skin(usual[stop], usual[stop - 1]):
        stop += 1
    around = np.exp(-0.5 * (_chroma(colours, usual[piece]) / (_AROUND * _SPREAD)) ** 2)
    bare = limb & (piece >= start) & (piece < stop)
    return np.where(bare, np.maximum(likeness, around), 0), (2 * int(start) / _STRETCHES, 2 * int(stop) / _STRETCHES)


def _usual_colours(
    colours: Float[np.ndarray, "H W 3"], shown: Bool[np.ndarray, "H W"], piece: Int64[np.ndarray, "H W"]
) -> Float[np.ndarray, "P 3"]:
    """Median colour of each piece of a limb; where nothing of it is seen, that of the one before."""
    usual = np.full((_STRETCHES, 3), np.nan)
    for number in np.unique(piece[shown]):
        usual[number] = np.median(colours[shown & (piece == number)], axis=0)
    known = np.flatnonzero(~np.isnan(usual[:, 0]))
    found: np.ndarray = usual[known[(np.searchsorted(known, np.arange(_STRETCHES), "right") - 1).clip(0)]]
    return found


def _same_skin(one: Float[np.ndarray, "3"], other: Float[np.ndarray, "3"]) -> bool:
    """Whether neighbouring pieces of a limb may be one skin in changing light."""
    return bool(_chroma(one, other) < _DRIFT and abs(np.log(one / other).mean()) < _SHADE)


def _cloth_tone(colours: Float[np.ndarray, "N 3"], skin: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"] | None:
    """The usual colour of a part that is nearly always dressed; None where little of it is seen, or it is bare.

    Args:
        colours: The part's, linear light.
        skin: Tone of the person's face.
    """
    if len(colours) < _LEAST_SKIN:
        return None
    tone: np.ndarray = np.exp(np.median(np.log(colours), axis=0))
    return tone if _distance(tone, skin) > _BARE_TRUNK else None


def _distance(colours: Float[np.ndarray, "*N 3"], tone: Float[np.ndarray, "3"]) -> Float[np.ndarray, "*N"]:
    """How far colours are from a tone, light counting little."""
    ratio = np.log(colours / tone)
    light = ratio.mean(-1)
    squared = ((ratio - light[..., None]) ** 2).sum(-1) + (_LIGHT_COUNTS * light) ** 2
    return np.asarray(np.sqrt(squared))


def _chroma(colours: Float[np.ndarray, "*N 3"], tone: Float[np.ndarray, "*#N 3"]) -> Float[np.ndarray, "*N"]:
    """How far the ratios of red, green and blue are from a tone's [logarithms]."""
    ratio = np.log(colours / tone)
    return np.asarray(np.sqrt(((ratio - ratio.mean(-1, keepdims=True)) ** 2).sum(-1)))


def _likeness(
    colours: Float[np.ndarray, "H W 3"], tone: Float[np.ndarray, "3"], spread: float
) -> Float[np.ndarray, "H W"]:
    """How much colours look like a tone in any light [0, 1]."""
    ratio = np.log(colours / tone)
    light = ratio.mean(2)
    chroma = ((ratio - light[..., None]) ** 2).sum(2)
    far = np.maximum(0, np.abs(light) - _LIGHT)
    likeness: np.ndarray = np.exp(-0.5 * (chroma / spread**2 + far**2 / 0.1))
    return likeness


def _linear(image: Float[Tensor, "3 H W"]) -> Float[np.ndarray, "H W 3"]:
    colours: np.ndarray = np.maximum(image.permute(1, 2, 0).cpu().double().numpy(), 0.02) ** 2.2
    return colours
