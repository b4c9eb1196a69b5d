"""From files to bodies: detect, fit, keep the results.

Detections of a video are kept in pieces as they are made, so that a run that was stopped goes on where it was; the
fitted body is kept too. Everything is keyed by content and settings.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor
from tqdm import tqdm

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.cache import Cache
from liquidwarp.config import DetectConfig, FitConfig
from liquidwarp.errors import NoPersonFoundError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.media import FrameSource, open_frames, read_image
from liquidwarp.recover.choice import PersonChoice, choices_of_pictures
from liquidwarp.recover.detections import Detections, PackedMasks
from liquidwarp.recover.fit import BodyFit, fit_body
from liquidwarp.recover.sightings import mask_size
from liquidwarp.recover.tracker import PersonDetector

__all__ = ["Recovery", "recover_photos", "recover_video"]

_PIECE = 300
"""Frames whose detections are kept together; a stopped run loses at most these."""
_DETECTIONS = "detections-2"
_RECOVERY = "recovery-5"
_TRUNK = (11, 12, 23, 24)
"""Shoulders and hips among the landmarks."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovery:
    """The recovered body of a video or of photos, with what it was made from. T frames or photos."""

    body: BodyParams
    """Cameras in the pixels of each picture."""
    parts: tuple[Detections, ...]
    """One entry for a video, one entry per photo."""
    observed: Bool[Tensor, "T"]
    """False: nobody was detected there; the pose is bridged from the neighbours."""
    seen: Bool[Tensor, "T J"]
    """False: the picture does not show what this joint turns; its rotation is the prior's."""
    fps: float
    """0 for photos."""
    notes: tuple[str, ...]
    """What the user should know about the quality, in whole sentences."""

    def __len__(self) -> int:
        return len(self.body)

    @property
    def detections(self) -> Detections:
        """All detections, if all pictures have one size.

        Raises:
            ValueError: photos of several sizes; take :meth:`detection` of each.
        """
        first = self.parts[0]
        if any(part.image_size != first.image_size for part in self.parts):
            raise ValueError("photos of several sizes have no common detections; take Recovery.detection(index).")
        return _joined(self.parts)

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of the first picture [px]."""
        return self.parts[0].image_size

    @property
    def masks(self) -> list[Bool[np.ndarray, "h w"]]:
        """The person mask of every picture, shrunk to 256 px."""
        return [part.masks[frame] for part in self.parts for frame in range(len(part))]

    def detection(self, index: int) -> Detections:
        """What was detected in one picture (T = 1)."""
        for part in self.parts:
            if index < len(part):
                return part.select(torch.tensor([index]))
            index -= len(part)
        raise IndexError("expected a frame of the recovery.")

    def select(self, frames: Int64[Tensor, "M"]) -> "Recovery":
        """Only these frames, as if they were photos."""
        return replace(
            self,
            body=self.body[frames],
            parts=tuple(replace(self.detection(index), fps=0.0) for index in frames.tolist()),
            observed=self.observed[frames],
            seen=self.seen[frames],
            fps=0.0,
        )


def recover_video(
    path: str | Path,
    fps: float | int | None = None,
    max_frames: int | None = None,
    model: BodyModel | None = None,
    person: PersonChoice | list[PersonChoice] = None,
    cache: Cache | None = None,
    progress: bool = True,
    settings: tuple[DetectConfig, FitConfig] | None = None,
) -> Recovery:
    """Recover a person from a video, or from a folder of frames.

    Args:
        path: The video.
        fps: Rate at which to read it; None takes its own.
        max_frames: Only the first frames.
        model: The body; None loads Anny.
        person: Who, if several people are in view.
        cache: Where results are kept; None keeps nothing.
        progress: Show a progress bar.
        settings: Of the detector and the fit.

    Raises:
        MediaError: the video cannot be read.
        NoPersonFoundError: nobody in any frame.
        SettingError: more than one choice of person.
    """
    (person,) = choices_of_pictures(person, 1)
    detect, fit = settings or (DetectConfig(), FitConfig())
    cache = cache or Cache(enabled=False)
    model = model or AnnyBody.load()
    frames = open_frames(path, fps, max_frames)
    source = {"fps": fps, "max_frames": max_frames, "person": person, "detect": detect}
    detections = _detect_video(frames, source, detect, cache, progress)
    key = cache.key(_RECOVERY, [Path(path)], {**source, "fit": fit, "model": _name_of(model)})
    return _fitted((detections,), model, fit, cache, key)


def recover_photos(
    paths: Sequence[str | Path],
    model: BodyModel | None = None,
    person: PersonChoice | list[PersonChoice] = None,
    cache: Cache | None = None,
    progress: bool = True,
    settings: tuple[DetectConfig, FitConfig] | None = None,
) -> Recovery:
    """Recover a person from photos of any sizes: one shape, a pose and a camera for each.

    Args:
        paths: The photos, all of the same person in the same clothes.
        model: The body; None loads Anny.
        person: Who, if several people are in view; a list has an entry for each photo.
        cache: Where results are kept; None keeps nothing.
        progress: Show a progress bar.
        settings: Of the detector and the fit.

    Raises:
        MediaError: a photo cannot be read.
        NoPersonFoundError: nobody in one of the photos.
        SettingError: neither one choice nor as many as photos.
    """
    detect, fit = settings or (DetectConfig(), FitConfig())
    cache = cache or Cache(enabled=False)
    model = model or AnnyBody.load()
    files = [Path(path) for path in paths]
    choices = choices_of_pictures(person, len(files))
    detector: PersonDetector | None = None
    parts = []
    bar = tqdm(files, desc="Detecting", unit="photo", disable=not progress, leave=False)
    for file, choice in zip(bar, choices, strict=True):
        key = cache.key(_DETECTIONS, [file], {"person": choice, "detect": detect})
        known = _load_detections(cache, key)
        if known is None:
            detector = detector or PersonDetector(detect)
            try:
                known = detector.detect_photo(read_image(file).rgb, choice)
            except NoPersonFoundError as error:
                raise NoPersonFoundError(f"{file}: {error}") from error
            cache.save(key, *_packed(known))
        parts.append(known)
    key = cache.key(_RECOVERY, files, {"person": choices, "detect": detect, "fit": fit, "model": _name_of(model)})
    return _fitted(tuple(parts), model, fit, cache, key)


def _fitted(parts: tuple[Detections, ...], model: BodyModel, config: FitConfig, cache: Cache, key: str) -> Recovery:
    """The body from the cache, or fitted now."""
    known = cache.load(key)
    if known is None:
        fit = fit_body(parts, model, config)
        camera = fit.body.camera
        tensors = {
            "betas": fit.body.betas,
            "rel_rotmats": fit.body.rel_rotmats,
            "scale": camera.scale,
            "translation": camera.translation,
            "fitted": fit.fitted,
            "seen": fit.seen,
        }
        cache.save(key, tensors)
    else:
        t = known[0]
        body = BodyParams(t["betas"], t["rel_rotmats"], WeakPerspective(t["scale"], t["translation"]))
        fit = BodyFit(body, t["seen"], t["fitted"])
    return Recovery(fit.body, parts, fit.fitted, fit.seen, parts[0].fps, _notes(fit, model))


def _notes(fit: BodyFit, model: BodyModel) -> tuple[str, ...]:
    """What may disappoint the user later."""
    notes = []
    lost = int((~fit.fitted).sum())
    if lost:
        notes.append(f"Nobody was found in {lost} of {len(fit.fitted)} frames; their poses are bridged.")
    roles = model.roles
    seen = fit.seen[fit.fitted].float().mean(0)
    if max(float(seen[joint]) for joint in roles.foot) < 0.5:
        notes.append("The feet are not in the picture; the legs below the edge are invented.")
    if max(float(seen[joint]) for joint in roles.hand) < 0.5:
        notes.append("The hands are not in the picture; the arms below the edge are invented.")
    if float(seen[roles.neck[-1]]) < 0.5:
        notes.append("The head is not in the picture; it is invented.")
    return tuple(notes)


def _detect_video(
    frames: FrameSource, source: Mapping[str, object], config: DetectConfig, cache: Cache, progress: bool
) -> Detections:
    """Detect piece by piece; frames are read once and not kept, pieces that the cache knows are only skipped."""
    starts = range(0, max(frames.num_frames, 1), _PIECE)
    keys = [cache.key(_DETECTIONS, [frames.path], {**source, "from": start, "piece": _PIECE}) for start in starts]
    pieces: list[Detections] = []
    detector: PersonDetector | None = None
    position, reader = 0, iter(frames)
    failure: NoPersonFoundError | None = None
    with tqdm(total=frames.num_frames, desc="Detecting", unit="frame", disable=not progress, leave=False) as bar:
        for start, key in zip(starts, keys, strict=True):
            piece = _load_detections(cache, key)
            if piece is None:
                detector = detector or PersonDetector(config)
                pictures = islice(reader, start - position, start - position + _PIECE)
                position = start + _PIECE
                step = _stepper(bar)
                person: PersonChoice = source["person"]  # type: ignore[assignment]
                try:
                    piece = _detect_piece(detector, pictures, frames, pieces, person, step)
                except NoPersonFoundError as error:
                    failure = error
                    piece = _nobody(min(_PIECE, frames.num_frames - start), frames)
                cache.save(key, *_packed(piece))
            bar.update(start + len(piece) - bar.n)
            pieces.append(piece)
    if failure is not None and not any(bool(piece.found.any()) for piece in pieces):
        raise NoPersonFoundError(f"{frames.path}: {failure}") from failure
    return _joined(pieces)


def _detect_piece(
    detector: PersonDetector,
    pictures: Iterable[UInt8[np.ndarray, "H W 3"]],
    frames: FrameSource,
    before: Sequence[Detections],
    person: PersonChoice,
    progress: Callable[[int], None],
) -> Detections:
    """One piece: the person of the frames before, found by place; if there is none, or she left, the user's choice."""
    if not before or not bool(before[-1].found.any()):
        return detector.detect_frames(pictures, frames.size, float(frames.fps), person, progress)
    last = int(before[-1].found.nonzero()[-1, 0])
    x, y = before[-1].xy[last, list(_TRUNK)].mean(0).tolist()
    try:
        return detector.detect_frames(pictures, frames.size, float(frames.fps), (x, y), progress)
    except NoPersonFoundError:
        start = sum(len(piece) for piece in before)
        again = islice(frames, start, start + _PIECE)
        return detector.detect_frames(again, frames.size, float(frames.fps), person)


def _stepper(bar: Any) -> Callable[[int], None]:
    def step(_: int) -> None:
        bar.update(1)

    return step


def _nobody(count: int, frames: FrameSource) -> Detections:
    width, height = mask_size(frames.size)
    empty = torch.zeros(count, 33, 2), torch.zeros(count, 33, 3), torch.zeros(count, 33)
    hands = torch.zeros(count, 2, 21, 2), torch.zeros(count, 2, 21, 3), torch.zeros(count, 2)
    masks = PackedMasks.pack(np.zeros((count, height, width), bool))
    face = torch.zeros(count, 468, 2), torch.zeros(count)
    return Detections(
        torch.zeros(count, dtype=torch.bool), *empty, *hands, *face, masks, frames.size, float(frames.fps)
    )


def _joined(parts: Sequence[Detections]) -> Detections:
    """One after the other; all of one size."""
    if len(parts) == 1:
        return parts[0]
    names = [f.name for f in fields(Detections) if isinstance(getattr(parts[0], f.name), Tensor)]
    tensors: dict[str, Any] = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
    bits = np.concatenate([part.masks.bits for part in parts])
    return replace(parts[0], **tensors, masks=replace(parts[0].masks, bits=bits))


def _packed(detections: Detections) -> tuple[dict[str, Tensor], dict[str, str]]:
    """For the cache."""
    tensors = {f.name: v for f in fields(Detections) if isinstance(v := getattr(detections, f.name), Tensor)}
    masks = detections.masks
    tensors["masks"] = torch.from_numpy(masks.bits)
    numbers = (masks.width, masks.height, *detections.image_size, detections.fps)
    return tensors, {"numbers": " ".join(str(number) for number in numbers)}


def _load_detections(cache: Cache, key: str) -> Detections | None:
    known = cache.load(key)
    if known is None:
        return None
    tensors, metadata = known
    width, height, image_width, image_height, fps = metadata["numbers"].split()
    masks = PackedMasks(tensors.pop("masks").numpy(), int(height), int(width))
    return Detections(**tensors, masks=masks, image_size=(int(image_width), int(image_height)), fps=float(fps))


def _name_of(model: BodyModel) -> list[object]:
    """What the cache should tell bodies apart by."""
    return [model.name, len(model.parents), len(model.beta_names), float(model.landmarks["body"].rest.sum())]
