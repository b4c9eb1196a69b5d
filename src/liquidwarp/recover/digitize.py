"""From files to bodies: detect, fit, keep the results.

Detections of a video are kept in pieces as they are made, so that a run that was stopped goes on where it was; the
fitted body is kept too. Everything is keyed by content and settings.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from tqdm import tqdm

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.cache import Cache
from liquidwarp.config import DetectConfig, FitConfig
from liquidwarp.errors import NoPersonFoundError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.media import FrameSource, open_frames, read_image
from liquidwarp.recover.detection.choice import PersonChoice, choices_of_pictures
from liquidwarp.recover.detection.detections import Detections, PackedMasks
from liquidwarp.recover.films.scenes import notes_on_shots
from liquidwarp.recover.films.shots import find_shots
from liquidwarp.recover.fitting.fit import BodyFit
from liquidwarp.recover.fitting.whole_fit import HALF_FIT, fit_photos, fit_video
from liquidwarp.recover.tracking.pieces import Pieces, whole_video
from liquidwarp.recover.tracking.tracker import PersonDetector

__all__ = ["Recovery", "recover_photos", "recover_video"]

_SECONDS = 3.0
"""Work after which detections are kept; a killed run loses no more."""
_DETECTIONS = "detections-9"
_VIDEO_DETECTIONS = "detections-7"
_RECOVERY = "recovery-19"
_VIDEO_RECOVERY = "recovery-26"
"""Kinds of results in the cache; a number rises when the making of its results changes."""

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
    held: PackedMasks | None = None
    """Where a video's masks show things that the person holds, or that pass before the person; None: nowhere."""

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
        return Detections.joined(self.parts)

    @property
    def of_person(self) -> Bool[Tensor, "T"]:
        """Where the person was detected, and no shot of a film shows somebody else."""
        own = [torch.ones(len(part), dtype=torch.bool) if part.own is None else part.own for part in self.parts]
        return self.observed & torch.cat(own)

    @property
    def shot(self) -> Int64[Tensor, "T"] | None:
        """Which shot of a film each frame belongs to; None: no cuts."""
        return self.parts[0].shot if len(self.parts) == 1 else None

    @property
    def scene(self) -> Int64[Tensor, "T"] | None:
        """Frames with the same number show the same place from the same camera; None: no cuts."""
        return self.parts[0].scene if len(self.parts) == 1 else None

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of the first picture [px]."""
        return self.parts[0].image_size

    @property
    def masks(self) -> list[Bool[np.ndarray, "h w"]]:
        """The person mask of every picture, shrunk to 384 px."""
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
            held=None if self.held is None else self.held.select(frames.numpy()),
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
    key = cache.key(_VIDEO_RECOVERY, [Path(path)], {**source, "fit": fit, "model": _name_of(model)})

    def fit_now() -> tuple[BodyFit, PackedMasks | None]:
        return fit_video(detections, frames, model, fit, cache, key, progress)

    return _recovery((detections,), model, cache, key, fit_now)


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
        entry = cache.load(key)
        if entry is not None:
            known = Detections.from_tensors(*entry)
        else:
            detector = detector or PersonDetector(detect)
            try:
                known = detector.detect_photo(read_image(file).rgb, choice)
            except NoPersonFoundError as error:
                raise NoPersonFoundError(f"{file}: {error}") from error
            cache.save(key, *known.to_tensors())
        parts.append(known)
    key = cache.key(_RECOVERY, files, {"person": choices, "detect": detect, "fit": fit, "model": _name_of(model)})

    def fit_now() -> tuple[BodyFit, PackedMasks | None]:
        return fit_photos(parts, (read_image(file).rgb for file in files), model, fit, progress), None

    return _recovery(tuple(parts), model, cache, key, fit_now)


def _recovery(
    parts: tuple[Detections, ...],
    model: BodyModel,
    cache: Cache,
    key: str,
    fit_now: Callable[[], tuple[BodyFit, PackedMasks | None]],
) -> Recovery:
    """The body from the cache, or fitted now."""
    known = cache.load(key)
    if known is None:
        fit, held = fit_now()
        camera = fit.body.camera
        tensors = {
            "betas": fit.body.betas,
            "rel_rotmats": fit.body.rel_rotmats,
            "scale": camera.scale,
            "translation": camera.translation,
            "fitted": fit.fitted,
            "seen": fit.seen,
        }
        if held is not None:
            tensors["held"] = torch.from_numpy(held.bits)
        cache.save(key, tensors)
        cache.remove(f"{HALF_FIT}-{key}")
    else:
        t = known[0]
        body = BodyParams(t["betas"], t["rel_rotmats"], WeakPerspective(t["scale"], t["translation"]))
        fit = BodyFit(body, t["seen"], t["fitted"])
        held = replace(parts[0].masks, bits=t["held"].numpy()) if "held" in t else None
    notes = (*_notes(fit, model), *notes_on_shots(parts[0]))
    return Recovery(fit.body, parts, fit.fitted, fit.seen, parts[0].fps, notes, held)


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
    """Detect what earlier runs did not; frames are read once and not kept."""
    key = cache.key(_VIDEO_DETECTIONS, [frames.path], source)
    known = cache.load(key)
    if known is not None:
        return Detections.from_tensors(*known)
    pieces = Pieces(cache, key)
    done = pieces.num_frames
    with tqdm(frames, desc="Looking for cuts", unit="frame", disable=not progress, leave=False) as bar:
        shots = find_shots(bar)
    person: PersonChoice = source["person"]  # type: ignore[assignment]
    with tqdm(
        total=frames.num_frames, initial=done, desc="Detecting", unit="frame", disable=not progress, leave=False
    ) as bar:
        if done < frames.num_frames:
            detector, rest = PersonDetector(config), islice(frames, done, None)
            found = detector.follow(
                rest,
                frames.size,
                frames.fps,
                person,
                pieces.state,
                _SECONDS,
                lambda _: bar.update(1),
                shots.starts,
            )
            for piece in found:
                pieces.add(piece)
    try:
        whole = whole_video(pieces.known, shots, person is not None)
    except NoPersonFoundError as error:
        raise NoPersonFoundError(f"{frames.path}: {error}") from error
    cache.save(key, *whole.to_tensors())
    pieces.clear()
    return whole


def _name_of(model: BodyModel) -> list[object]:
    """What the cache should tell bodies apart by."""
    return [model.name, len(model.parents), len(model.beta_names), float(model.landmarks["body"].rest.sum())]
