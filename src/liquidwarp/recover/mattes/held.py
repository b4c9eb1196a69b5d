"""Things that a filmed person holds or that pass in front of the person: a ball, a cup. They are in the mask, too.

Such a thing covers a place of the body in fewer frames than the clothes there are seen in, and its colours are none
that the video usually shows there (usual_colours.py). Only broad, compact pieces count, so hair, hems and errors of the
fit stay. What is held in most of the frames at the same place counts as clothes; white balls at white shoes are not
told apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.recover.detection.detections import Detections, PackedMasks
from liquidwarp.recover.mattes.matte import CoarseMask, refined_edge
from liquidwarp.recover.mattes.usual_colours import BodyPatches, ColouredFrame, UsualColours

__all__ = ["HeldThings", "cut_things", "find_held"]

_SAMPLES = 64
"""Frames from which it is learned what is usual, and in which a first look is taken."""
_FEWEST = 16
"""Frames with a person; fewer say nothing."""
_STRANGE = 0.65
"""A colour is strange where it is less than so many times as frequent as the most usual one."""
_UNUSUAL = 0.8
"""Around a strange piece so many are enough,"""
_AROUND = 0.1
"""this far [m]."""
_RADIUS = 0.035
"""Of the largest disc in a piece, at least [m]."""
_AREA = 0.008
"""Of a piece, at least [m^2],"""
_LARGEST = 0.13
"""and at most: as large as a trunk, it is clothes in another light."""
_OTHER_LIGHT = 0.2
"""A frame in which more of the person than this share is strange is lit in another way."""
_SPREAD = 4.0
"""Area of a piece in such discs, at most."""
_OF_DISC = 0.6
"""A piece that fills so much of the smallest disc around it is a part of that disc."""
_RIM = 0.012
"""Mixed colours around a piece [m]."""
_CRUMB = 0.01
"""When something is cut out of a matte, smaller pieces than this share of the person go,"""
_OF_BODY = 0.3
"""and those of which less than this share is before the body."""


@dataclass(frozen=True)
class HeldThings:
    """Where held and passing things are in the T masks."""

    whole: PackedMasks
    beyond: PackedMasks
    """Only where they reach out of the body; before it they hide no outline."""


def find_held(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], detections: Detections, body: BodyParams, model: BodyModel
) -> HeldThings | None:
    """Look for held and passing things in a video.

    Args:
        frames: The video; every loop starts at its first frame. It is read once, and again if something is found.
        detections: Of the T frames.
        body: The T bodies, roughly; cameras in the frames' pixels.
        model: The body.

    Returns:
        Where such things are, or None if there are none.
    """
    found = detections.found.nonzero()[:, 0]
    if len(found) < _FEWEST:
        return None
    patches = BodyPatches.of(model)

    def look(index: int, rgb: UInt8[np.ndarray, "H W 3"]) -> ColouredFrame:
        return ColouredFrame.of(rgb, detections.masks[index], body[slice(index, index + 1)], model, patches)

    sample = set(found[torch.linspace(0, len(found) - 1, min(_SAMPLES, len(found))).round().long()].tolist())
    views = [look(index, rgb) for index, rgb in zip(range(max(sample) + 1), frames, strict=False) if index in sample]
    usual = _usual_without_strange(views, patches)
    if not any(strange_things(view, usual).any() for view in views):
        return None
    whole, beyond = np.zeros_like(detections.masks.bits), np.zeros_like(detections.masks.bits)
    for index, rgb in zip(range(len(detections)), frames, strict=False):
        if detections.found[index]:
            view = look(index, rgb)
            things = strange_things(view, usual)
            whole[index] = np.packbits(things.reshape(-1))
            beyond[index] = np.packbits((things & ~view.covered).reshape(-1))
    return HeldThings(replace(detections.masks, bits=whole), replace(detections.masks, bits=beyond))


def _usual_without_strange(views: Sequence[ColouredFrame], patches: BodyPatches) -> UsualColours:
    """Twice: what was strange at first makes nothing usual."""
    first = UsualColours.of(views, patches)
    cleaned = [replace(view, person=view.person & ~strange_things(view, first)) for view in views]
    return UsualColours.of(cleaned, patches)


def strange_things(frame: ColouredFrame, usual: UsualColours) -> Bool[np.ndarray, "H W"]:
    """Broad, compact pieces of the mask with colours that are not usual there."""
    rarity = usual.of_pixels(frame)
    strange = frame.person & (rarity < _STRANGE)
    kept = np.zeros_like(strange)
    if strange.sum() > _OTHER_LIGHT * frame.person.sum():
        return kept
    pieces = _opened(frame, _closed(strange))
    count, labels = cv2.connectedComponents(pieces.astype(np.uint8))
    for label in range(1, count):
        piece = labels == label
        area = piece.sum() / frame.pixels_per_metre**2
        radius = float(_depth(frame, piece).max())
        kept |= piece & (_AREA <= area <= min(_LARGEST, _SPREAD * np.pi * radius**2))
    if not kept.any():
        return kept
    unusual = usual.of_pixels(frame, shoes=False) < _UNUSUAL  # a white ball does not end at white shoes
    grown = frame.person & unusual & (frame.distance(kept) < _AROUND)
    whole = kept | _opened(frame, _closed(grown | kept))
    whole |= _rest_of_discs(frame, whole)
    things: np.ndarray = frame.person & (frame.distance(whole) < _RIM)
    return things


def _rest_of_discs(frame: ColouredFrame, pieces: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """What completes pieces of discs in their own colours, where these are usual: a white ball at a white shoe."""
    rest = np.zeros_like(pieces)
    count, labels = cv2.connectedComponents(pieces.astype(np.uint8))
    for label in range(1, count):
        piece = labels == label
        rows, columns = np.nonzero(piece)
        (x, y), radius = cv2.minEnclosingCircle(np.stack([columns, rows], 1).astype(np.float32))
        if len(rows) >= _OF_DISC * np.pi * radius**2:
            disc = cv2.circle(np.zeros(piece.shape, np.uint8), (round(x), round(y)), round(radius), 1, -1) > 0
            rest |= disc & frame.person & frame.coloured_like(piece)
    return rest


def _closed(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Without pinholes."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    closed: np.ndarray = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0
    return closed


def _opened(frame: ColouredFrame, mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Only what is about as broad as a disc of the least radius."""
    core = _depth(frame, mask) >= _RADIUS
    return mask & (frame.distance(core) < _RADIUS + 1 / frame.pixels_per_metre)


def _depth(frame: ColouredFrame, mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """How far every pixel of a mask is from what is beyond it [m]; the picture's border is beyond."""
    padded = np.pad(mask, 1).astype(np.uint8)
    depth: np.ndarray = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1] / frame.pixels_per_metre
    return depth


def cut_things(
    matte: UInt8[np.ndarray, "H W"],
    rgb: UInt8[np.ndarray, "H W 3"],
    things: Bool[np.ndarray, "h w"],
    body: Bool[np.ndarray, "H W"],
) -> tuple[UInt8[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]:
    """Take held things out of a matte, with the picture's own edges.

    Args:
        matte: The person's opacity, 255 = person.
        rgb: The picture.
        things: Where they are, coarsely; the same picture shrunk.
        body: Where the fitted body is.

    Returns:
        The matte without them and without crumbs, and where the things are.
    """
    height, width = matte.shape
    if not things.any():
        return matte, np.zeros(matte.shape, bool)
    soft = cv2.GaussianBlur(things.astype(np.float32), (0, 0), 0.8)
    large = np.clip(cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)
    cell = width / things.shape[1]
    thing = refined_edge(rgb, CoarseMask(large, cell))
    rim = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(cell) + 1,) * 2)
    where = cv2.dilate((thing > 0.1).astype(np.uint8), rim) > 0
    left = np.where(where, 0, matte).astype(np.uint8)
    count, labels = cv2.connectedComponents((left > 127).astype(np.uint8))
    size = np.bincount(labels.ravel(), minlength=count)
    of_body = np.bincount(labels[body], minlength=count)
    small = (size < _CRUMB * size[1:].sum()) | (of_body < _OF_BODY * size)
    near = cv2.dilate(where.astype(np.uint8), rim) > 0
    crumbs = np.isin(labels, np.flatnonzero(small)) & (labels > 0)
    left[crumbs | (near & (left <= 127))] = 0
    return left, where
