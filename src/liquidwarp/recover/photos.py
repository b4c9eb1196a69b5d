"""The source's photos with bodies and mattes: from photos, folders of photos, or well-chosen frames of a video."""

import logging
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.cache import Cache, digest_of_tensors
from liquidwarp.config import DetectConfig
from liquidwarp.errors import MediaError
from liquidwarp.media import IMAGE_SUFFIXES, find_images, open_frames, read_image
from liquidwarp.recover.detection.choice import PersonChoice
from liquidwarp.recover.detection.detections import Detections
from liquidwarp.recover.detection.landmarks import Pose
from liquidwarp.recover.digitize import Recovery, recover_photos, recover_video
from liquidwarp.recover.films.scenery import around, lay_over, person_area, uncovering_frames
from liquidwarp.recover.mattes.body_raster import body_raster
from liquidwarp.recover.mattes.gaps import limb_borders
from liquidwarp.recover.mattes.held import cut_things
from liquidwarp.recover.mattes.matte import CoarseMask, matte
from liquidwarp.recover.tracking.company import find_company, paint_over
from liquidwarp.recover.tracking.tracker import PersonDetector
from liquidwarp.recover.views import CANDIDATES, views_of_video

__all__ = [
    "SourcePhotos",
    "further_frames",
    "hidden_places",
    "load_sources",
    "photos_of_video",
    "scenery_of_photos",
    "silhouette",
]

_log = logging.getLogger(__name__)

_IN_FRONT = 25
"""From this opacity on [0..255] somebody else hides the person."""
_MATTE = "matte-5"
_LARGEST = 1024
"""The longer side at which silhouettes are drawn [px]."""
_SOME = 25
"""Opacity from which the person is believed to be there [0, 255]."""


@dataclass(frozen=True)
class SourcePhotos:
    """S pictures of one person and what was recovered from them."""

    name: str
    pictures: tuple[UInt8[np.ndarray, "_ _ 3"], ...]
    """RGB, each in its own size."""
    alphas: tuple[UInt8[np.ndarray, "_ _"] | None, ...]
    """The pictures' own alpha channels, where they have one."""
    recovery: Recovery
    """One frame per picture."""
    mattes: tuple[UInt8[np.ndarray, "_ _"], ...]
    """Opacity of the person, 255 = person."""
    silhouettes: tuple[Bool[np.ndarray, "_ _"], ...]
    """Where the fitted bodies are."""
    scenery: tuple[tuple[UInt8[np.ndarray, "_ _ 3"], Bool[np.ndarray, "_ _"]], ...] = ()
    """Further frames of a video or photos of the same place, laid over the first picture, and where the person is in
    them: they may show what the person hides there."""
    further: "SourcePhotos | None" = None
    """More frames of a video, which are no sources: personalisation learns from them."""
    others: UInt8[np.ndarray, "_ _"] | None = None
    """Opacity of other people in the first picture; None: nobody else is there."""
    front: UInt8[np.ndarray, "_ _"] | None = None
    """Of those others who stand before the person."""
    held: tuple[Bool[np.ndarray, "_ _"], ...] = ()
    """Where each picture shows what the person holds, which is in no matte; empty: nothing is held."""

    def __len__(self) -> int:
        return len(self.pictures)

    def occupied(self, index: int) -> Bool[np.ndarray, "_ _"]:
        """Where the body is in a picture, or what it holds: what stands behind is not seen there."""
        return self.silhouettes[index] | self.held[index] if self.held else self.silhouettes[index]

    def covered(self, index: int) -> Bool[np.ndarray, "_ _"]:
        """Where a held thing or somebody else stands before the person: the matte ends there, the person goes on."""
        before = np.zeros(self.pictures[index].shape[:2], bool)
        if self.held:
            before |= self.held[index]
        if index == 0 and self.front is not None:
            before |= self.front > _IN_FRONT
        return before


def load_sources(
    paths: Sequence[Path],
    model: BodyModel,
    num_views: int = 4,
    person: PersonChoice | list[PersonChoice] = None,
    cache: Cache | None = None,
    progress: bool = True,
    further: int = 0,
) -> SourcePhotos:
    """Read the source and recover its body.

    Args:
        paths: Photos of one person, folders of photos, or one video.
        model: The body.
        num_views: How many frames of a video to take; of photos all are taken.
        person: Who, if several people are in view; a list has an entry for each photo.
        cache: Where what is found is kept.
        progress: Show progress bars.
        further: How many more frames of a video to take for personalisation.

    Raises:
        MediaError: nothing to read, or photos and videos mixed.
        NoPersonFoundError: a photo without the person.
    """
    files = [file for path in paths for file in _files_of(path)]
    if not files:
        raise MediaError("source: expected photos, a folder of photos or a video; got nothing.")
    videos = [file for file in files if file.suffix.lower() not in IMAGE_SUFFIXES]
    if videos and len(files) > 1:
        raise MediaError(f"{videos[0]}: a source is either photos or one video, not both. Leave one of them away.")
    cache = cache or Cache(enabled=False)
    if videos:
        recovery = recover_video(videos[0], model=model, person=person, cache=cache, progress=progress)
        chosen = views_of_video(videos[0], recovery, num_views, model, cache)
        of_video = photos_of_video(videos[0], recovery, chosen, model, cache)
        more = further_frames(recovery.of_person, chosen, further)
        more_photos = photos_of_video(videos[0], recovery, more, model, cache) if len(more) else None
        scenery = _scenery(videos[0], recovery, of_video, int(chosen[0]))
        return replace(of_video, scenery=scenery, further=more_photos)
    recovery = recover_photos(files, model=model, person=person, cache=cache, progress=progress)
    photos = [read_image(file) for file in files]
    pictures, alphas = tuple(photo.rgb for photo in photos), tuple(photo.alpha for photo in photos)
    found = _with_mattes(pictures, alphas, recovery, model, cache, [(file, 0) for file in files])
    return replace(found, scenery=scenery_of_photos(found))


def _files_of(path: Path) -> list[Path]:
    """A file, or the photos of a folder; that a video beside them is left out is told."""
    if not path.is_dir():
        return [path]
    photos = find_images(path)
    videos = sorted(f.name for f in path.iterdir() if (mimetypes.guess_type(f.name)[0] or "").startswith("video/"))
    if videos:
        _log.warning("%s: its photos are the source (%d); left out: %s.", path, len(photos), ", ".join(videos))
    return photos


def photos_of_video(
    path: Path,
    recovery: Recovery,
    frames: Int64[Tensor, "S"],
    model: BodyModel,
    cache: Cache,
    fps: float | int | None = None,
) -> SourcePhotos:
    """Some frames of a recovered video, as if they were photos.

    Args:
        path: The video.
        recovery: Of the video, or of its first frames.
        frames: Their numbers, in the order wanted.
        model: The body.
        cache: Where mattes are kept.
        fps: The rate at which the video was recovered; None: its own.
    """
    pictures = _take_frames(path, frames.tolist(), fps)
    origins = [(path, frame) for frame in frames.tolist()]
    return _with_mattes(pictures, (None,) * len(pictures), recovery.select(frames), model, cache, origins)


def further_frames(observed: Bool[Tensor, "T"], chosen: Int64[Tensor, "S"], count: int) -> Int64[Tensor, "M"]:
    """Frames spread over a video that are neither sources nor their neighbours.

    Args:
        observed: Frames in which the person was found.
        chosen: The sources.
        count: How many are wanted; fewer if there are no more.

    Example:
        >>> further_frames(torch.ones(10, dtype=torch.bool), torch.tensor([0, 5]), 3).tolist()
        [2, 7, 9]
    """
    frame = torch.arange(len(observed))
    usable = (observed & ((frame[:, None] - chosen[None]).abs().amin(1) >= 2)).nonzero()[:, 0]
    count = min(count, len(usable))
    return usable[torch.linspace(0, len(usable) - 1, count).round().long()] if count else usable[:0]


def hidden_places(photos: SourcePhotos) -> list[Bool[np.ndarray, "_ _"]]:
    """Where each photo does not show the place, as the person is there or close by."""
    return [around((matte > _SOME) | body) for matte, body in zip(photos.mattes, photos.silhouettes, strict=True)]


def scenery_of_photos(photos: SourcePhotos) -> tuple[tuple[UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"]], ...]:
    """Further photos from about the same place, laid over the first one, and where the person is in them.

    Args:
        photos: Of one person.
    """
    hidden = hidden_places(photos)
    moved = (
        lay_over(photos.pictures[0], hidden[0], photos.pictures[index], hidden[index])
        for index in range(1, len(photos))
        if photos.pictures[index].shape == photos.pictures[0].shape
    )
    return tuple(pair for pair in moved if pair is not None)


def _scenery(
    path: Path, recovery: Recovery, photos: SourcePhotos, first: int
) -> tuple[tuple[UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"]], ...]:
    """Frames that show what the person hides in frame ``first``, laid over that frame."""
    masks = recovery.detections.masks
    scene = recovery.scene
    here = recovery.observed if scene is None else recovery.observed & (scene == scene[first])
    frames_here = here.nonzero()[:, 0]
    candidates = frames_here[:: max(1, len(frames_here) // CANDIDATES)].tolist()
    frames = uncovering_frames(masks, first, candidates, recovery.image_size)
    if not frames:
        return ()
    hidden = person_area(masks[first], recovery.image_size)
    moved = (
        lay_over(photos.pictures[0], hidden, picture, person_area(masks[frame], recovery.image_size))
        for frame, picture in zip(frames, _take_frames(path, frames), strict=True)
    )
    return tuple(pair for pair in moved if pair is not None)


def _with_mattes(
    pictures: tuple[UInt8[np.ndarray, "_ _ 3"], ...],
    alphas: tuple[UInt8[np.ndarray, "_ _"] | None, ...],
    recovery: Recovery,
    model: BodyModel,
    cache: Cache,
    origins: Sequence[tuple[Path, int]],
) -> SourcePhotos:
    silhouettes = tuple(
        silhouette(model, recovery.body[slice(i, i + 1)], (picture.shape[0], picture.shape[1]))
        for i, picture in enumerate(pictures)
    )
    found = _cut_out(model, pictures, alphas, recovery, silhouettes, cache, origins)
    mattes = tuple(tensors["matte"].numpy() for tensors in found)
    others, front = (found[0][name].numpy() if name in found[0] else None for name in ("others", "front"))
    name = origins[0][0].stem
    held = tuple(tensors["held"].numpy() for tensors in found) if recovery.held is not None else ()
    return SourcePhotos(name, pictures, alphas, recovery, mattes, silhouettes, others=others, front=front, held=held)


def silhouette(model: BodyModel, body: BodyParams, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """Where a fitted body is in its picture; drawn at no more than 1024 px, so that large photos cost no more.

    Args:
        model: The body.
        body: One frame, camera in the picture's pixels.
        size: Height and width of the picture [px].
    """
    drawn = body_raster(model, body, size, _LARGEST).covered[0]
    enlarged = cv2.resize(drawn.cpu().numpy().astype(np.uint8), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged > 0)


def _cut_out(
    model: BodyModel,
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    alphas: Sequence[UInt8[np.ndarray, "_ _"] | None],
    recovery: Recovery,
    silhouettes: Sequence[Bool[np.ndarray, "_ _"]],
    cache: Cache,
    origins: Sequence[tuple[Path, int]],
) -> list[dict[str, Tensor]]:
    """Mattes ("matte") and other people ("others", "front"), from the cache where it knows them.

    ``origins`` are file and frame of each picture.
    """
    detector: PersonDetector | None = None
    results = []
    for index, (picture, (file, frame)) in enumerate(zip(pictures, origins, strict=True)):
        seen, body = recovery.detection(index), recovery.body[slice(index, index + 1)]
        held = None if recovery.held is None else recovery.held[index]
        others = None if seen.others is None else seen.others.bits
        masks = [torch.from_numpy(bits) for bits in (seen.masks.bits, held, others) if bits is not None]
        camera = body.camera
        state = digest_of_tensors(*masks, body.betas, body.rel_rotmats, camera.scale, camera.translation)
        key = cache.key(_MATTE, [file], {"frame": frame, "state": state})
        known = cache.load(key)
        if known is None:
            detector = detector or PersonDetector(DetectConfig())
            borders = limb_borders(model, body, (picture.shape[0], picture.shape[1]))
            layers = _matte_among_others(detector, picture, alphas[index], seen, silhouettes[index], borders)
            if held is not None:
                layers["matte"], things = cut_things(layers["matte"], picture, held, silhouettes[index])
                layers["held"] = things
            known = {name: torch.from_numpy(layer) for name, layer in layers.items()}, {}
            cache.save(key, *known)
        results.append(known[0])
    return results


def _matte_among_others(
    detector: PersonDetector,
    picture: UInt8[np.ndarray, "H W 3"],
    alpha: UInt8[np.ndarray, "H W"] | None,
    seen: Detections,
    body: Bool[np.ndarray, "H W"],
    borders: Bool[np.ndarray, "H W"],
) -> dict[str, Any]:
    """The person's matte, without a piece of a neighbour; and the neighbours, if there are any."""

    def look(rgb: UInt8[np.ndarray, "H W 3"]) -> list[Pose]:
        return detector.detect_people(rgb, everybody=False)

    company = None if alpha is not None else find_company(look, picture, CoarseMask.of(seen, 0), body)
    layers: dict[str, Float[np.ndarray, "H W"]] = {}
    if company is None:
        coarse = detector.coarse_mask(picture, seen)
    else:
        alone = detector.coarse_mask(paint_over(picture, company.opacity > 0.5), seen)
        coarse = replace(alone, probability=np.minimum(alone.probability, 1 - company.opacity))
        layers = {"others": company.opacity, "front": company.front}
    if seen.others is not None:
        theirs = CoarseMask.of(replace(seen, masks=seen.others), 0).probability
        coarse = replace(coarse, probability=np.minimum(coarse.probability, 1 - theirs))
    elif company is None:
        coarse = coarse.with_body(body)  # among others what is uncertain may be theirs
    layers["matte"] = matte(picture, seen, coarse=coarse, alpha=alpha, body_mask=body, borders=borders)
    return {name: np.rint(layer * 255).astype(np.uint8) for name, layer in layers.items()}


def _take_frames(
    path: Path, numbers: Sequence[int], fps: float | int | None = None
) -> tuple[UInt8[np.ndarray, "H W 3"], ...]:
    """Some frames of a video, in the order asked for; reading ends at the last of them."""
    frames = islice(open_frames(path, fps), max(numbers) + 1)
    found = {index: frame for index, frame in enumerate(frames) if index in numbers}
    return tuple(found[number] for number in numbers)
