"""The background without the person: from other photos of the same place, else made up from the photo itself."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.checks import check_shape, check_unit_range
from liquidwarp.errors import SettingError, ShapeError
from liquidwarp.flow.place.attached import attached_things
from liquidwarp.flow.place.exemplar import fill_by_example
from liquidwarp.flow.place.poisson import membrane
from liquidwarp.flow.place.shadow import find_shadow, lift_shadow
from liquidwarp.geometry.masks import dilate

__all__ = ["background_hole", "complete_background"]

_DILATION = 19 / 512
_OTHERS_DILATION = 2 / 512
"""Around the person in other photos, whose mattes are generous
(:func:`liquidwarp.recover.films.scenery.person_area`)."""
_AGREE = 0.035
_LARGEST = 1024
_BLACK = 1 / 255
_BRIGHTER = 1.15
"""Exposures further apart than this factor are not believed to be of the same place."""
_COARSE = 160
"""Size at which the light of two photos is compared [px]."""
_EDGE = 2 / 512
"""Width of the soft edge between people who overlap [picture heights]."""
_LIGHT = 0.5
"""The same place differs by no more than this between two photos [RGB, 0..1]."""


def background_hole(
    mattes: Float[Tensor, "S 1 H W"], silhouettes: Float[Tensor, "S 1 H W"] | None = None, margin: float = _DILATION
) -> Bool[Tensor, "S 1 H W"]:
    """Where the background is not to be seen: the person, the fitted body, and a margin around both.

    The body is needed besides the matte, or shoes and hands that the matte missed stay behind as patches.

    Args:
        mattes: Opacity of the person.
        silhouettes: Where the fitted bodies are, 1 = body.
        margin: Twice its width [picture heights].
    """
    covered = mattes if silhouettes is None else torch.maximum(mattes, silhouettes)
    return dilate((covered > 0.1).to(mattes.dtype), round(margin * covered.shape[-2] / 2)) > 0.5


def complete_background(
    images: Float[Tensor, "S 3 H W"],
    mattes: Float[Tensor, "S 1 H W"],
    silhouettes: Float[Tensor, "S 1 H W"] | None = None,
    inside: Float[Tensor, "S 1 H W"] | None = None,
    primary: int = 0,
    quality: str = "good",
    others: Float[Tensor, "1 1 H W"] | None = None,
) -> Float[Tensor, "1 3 H W"]:
    """Complete the background of one photo.

    Args:
        images: S photos, RGB in [0, 1]. Those that show the same place from the same camera as the primary one, as
            frames of a tripod video do, fill its hole with what is really there; others are not used.
        mattes: Opacity of the person, 1 = person.
        silhouettes: Where the fitted bodies are, 1 = body.
        inside: Where the photo is, 1 = photo; 0 = what a crop added around it, from which nothing is copied.
        primary: The photo whose background is wanted.
        quality: "good" copies patches of the picture into the hole (seconds), "draft" smears its border inward.
        others: Opacity of other people in the primary photo, who stay as they are; of those whom the person does not
            touch nothing is copied.

    Returns:
        The background; outside of the hole, of what the person holds and of the shadow on the ground it is the photo.

    Raises:
        ShapeError: sizes differ or there is no such photo.
        SettingError: an unknown quality.
    """
    sizes = check_shape("images", images, ("S", 3, "H", "W"))
    check_shape("mattes", mattes, (sizes["S"], 1, sizes["H"], sizes["W"]))
    check_unit_range("images", images)
    if quality not in ("draft", "good"):
        raise SettingError(f"quality: expected 'draft' or 'good', got {quality!r}.")
    if not 0 <= primary < sizes["S"]:
        raise ShapeError(f"primary: expected a photo from 0 to {sizes['S'] - 1}, got {primary}.")
    holes = background_hole(mattes, silhouettes, _OTHERS_DILATION)
    own = slice(primary, primary + 1)
    holes[own] = background_hole(mattes[own], None if silhouettes is None else silhouettes[own])
    stays = torch.zeros_like(holes[own]) if others is None else _beside(others, mattes[own])
    holes[own] &= ~stays
    picture, hole = _from_other_photos(images, holes, primary)
    image = picture[0].permute(1, 2, 0).cpu().numpy()
    mask = hole[0, 0].cpu().numpy()
    useless = np.zeros_like(mask) if inside is None else inside[primary, 0].cpu().numpy() < 0.5
    person, kept = holes[primary, 0].cpu().numpy(), stays[0, 0].cpu().numpy()
    useless = useless | _untouched(kept, person)
    shadow = find_shadow(image, person, useless)
    if shadow is not None:
        image = lift_shadow(image, shadow)
    mask = (mask | attached_things(image, person, useless)) & ~kept
    filled = _smear(image, mask) if quality == "draft" else _by_example(image, mask, useless)
    result = torch.as_tensor(filled, dtype=images.dtype, device=images.device).permute(2, 0, 1)[None]
    changed = mask if shadow is None else (mask | shadow.where) & ~kept
    return torch.where(torch.as_tensor(changed, device=images.device)[None, None], result, picture)


def _beside(others: Float[Tensor, "1 1 H W"], matte: Float[Tensor, "1 1 H W"]) -> Bool[Tensor, "1 1 H W"]:
    """Where others are, but not along the person's own soft edge, whose colours are a mix of both."""
    edge = dilate((matte > 0.05).to(matte.dtype), max(1, round(_EDGE * matte.shape[-2])))
    return (others > 0.5) & (edge < 0.5)


def _untouched(others: Bool[np.ndarray, "H W"], hole: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Those of the others whom the hole does not touch: copied, they would be there twice."""
    count, labels = cv2.connectedComponents(others.astype(np.uint8))
    grown = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    touched = np.isin(np.arange(count), np.unique(labels[grown]))
    return others & ~touched[labels]


def _from_other_photos(
    images: Float[Tensor, "S 3 H W"], holes: Bool[Tensor, "S 1 H W"], primary: int
) -> tuple[Float[Tensor, "1 3 H W"], Bool[Tensor, "1 1 H W"]]:
    """Take the median of the photos that agree with the primary one wherever both show the background."""
    picture, hole = images[primary : primary + 1], holes[primary : primary + 1]
    where = hole[0, 0]
    found = []
    for other in range(len(images)):
        both = ~hole & ~holes[other : other + 1]
        if other == primary or int(both.sum()) < both.numel() // 20:
            continue
        exposed = (images[other : other + 1] * _exposure(images[other], picture[0], both[0, 0])).clamp(max=1)
        difference = (exposed - picture).abs().mean(1, keepdim=True)[both]
        if float(difference.median()) < _AGREE and float(difference.mean()) < 2 * _AGREE:
            matched = _matched(exposed, picture, both)[0, :, where]
            found.append(torch.where(holes[other, 0][where], torch.inf, matched))
    if not found:
        return picture, hole
    seen = torch.stack(found).sort(0).values
    count = seen.isfinite().sum(0)
    low, high = (torch.gather(seen, 0, n[None])[0] for n in ((count - 1).clamp(min=0) // 2, count // 2 % len(found)))
    shown = count[0] > 0
    picture, hole = picture.clone(), hole.clone()
    picture[0, :, where] = torch.where(shown, (low + high) / 2, picture[0, :, where])
    hole[0, 0, where] = ~shown
    return picture, hole


def _exposure(
    other: Float[Tensor, "3 H W"], picture: Float[Tensor, "3 H W"], both: Bool[Tensor, "H W"]
) -> Float[Tensor, "3 1 1"]:
    """What brings the other photo to the exposure of the first: cameras change it while they film."""
    ratio = (picture[:, both] + _BLACK) / (other[:, both] + _BLACK)
    return ratio.median(1).values.clamp(1 / _BRIGHTER, _BRIGHTER)[:, None, None]


def _matched(
    other: Float[Tensor, "1 3 H W"], picture: Float[Tensor, "1 3 H W"], both: Bool[Tensor, "1 1 H W"]
) -> Float[Tensor, "1 3 H W"]:
    """The other photo with the light of the primary one: their difference, coarsely, goes on into the hole.

    Shades and reflections on the ground move with a person, so that the same place is rarely as bright in two photos.
    """
    height, width = both.shape[-2:]
    factor = min(1.0, _COARSE / max(height, width))
    size = (max(2, round(width * factor)), max(2, round(height * factor)))
    known = both[0, 0].cpu().numpy().astype(np.float32)
    share = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
    difference = ((picture - other) * both)[0].permute(1, 2, 0).cpu().numpy()
    coarse = cv2.resize(difference, size, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-3)[..., None]
    filled = cv2.GaussianBlur(membrane(coarse.astype(np.float32), share < 0.5), (0, 0), 1.0)
    light = cv2.resize(filled.clip(-_LIGHT, _LIGHT), (width, height), interpolation=cv2.INTER_LINEAR)
    shift = torch.as_tensor(light, dtype=other.dtype, device=other.device).permute(2, 0, 1)[None]
    return (other + shift).clamp(0, 1)


def _smear(image: Float[np.ndarray, "H W 3"], hole: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W 3"]:
    pixels = (image * 255).round().clip(0, 255).astype(np.uint8)
    radius = max(3, round(5 * image.shape[0] / 512))
    filled = cv2.inpaint(pixels, hole.astype(np.uint8), radius, cv2.INPAINT_TELEA)
    return filled.astype(np.float32) / 255


def _by_example(
    image: Float[np.ndarray, "H W 3"], hole: Bool[np.ndarray, "H W"], useless: Bool[np.ndarray, "H W"]
) -> Float[np.ndarray, "H W 3"]:
    """At most 1024 px large, so that it takes seconds; larger holes are filled with an enlarged result."""
    height, width = hole.shape
    factor = _LARGEST / max(height, width)
    if factor >= 1:
        return fill_by_example(image, hole, useless)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    share = cv2.resize(1 - hole.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    barred = cv2.resize(useless.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    known = cv2.resize(image * ~hole[..., None], size, interpolation=cv2.INTER_AREA)
    small = fill_by_example(known / np.maximum(share, 1e-3)[..., None], share < 0.999, barred)
    enlarged: Float[np.ndarray, "H W 3"] = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return enlarged.clip(0, 1)
