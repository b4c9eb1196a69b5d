"""The whole fit of a video or of photos: landmarks, held things, outlines, colours."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from liquidwarp.body.model import BodyModel
from liquidwarp.cache import Cache
from liquidwarp.config import FitConfig
from liquidwarp.recover.detection.detections import Detections, PackedMasks
from liquidwarp.recover.fitting.bundle import FitState
from liquidwarp.recover.fitting.fit import BodyFit, fit_body, fit_landmarks, fit_outlines
from liquidwarp.recover.fitting.fit_task import FitTask
from liquidwarp.recover.fitting.photometric import PhotometricFit
from liquidwarp.recover.fitting.smooth import bridge_gaps, smooth_change
from liquidwarp.recover.mattes.held import find_held

__all__ = ["HALF_FIT", "fit_photos", "fit_video"]

HALF_FIT = "half-fit-6"
"""The fit on landmarks, kept until the whole fit is there."""


def fit_video(
    detections: Detections,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    model: BodyModel,
    config: FitConfig,
    cache: Cache | None = None,
    key: str = "",
    progress: bool = False,
) -> tuple[BodyFit, PackedMasks | None]:
    """Fit the body to a video, find what the person holds on the way, and align the frames by their colours.

    Args:
        detections: Of the frames.
        frames: Every loop starts at the first frame again.
        model: The body.
        config: Settings.
        cache: Keeps the first half of the fit until the whole is there; None keeps nothing.
        key: Of the whole fit in the cache.
        progress: Show a bar for each stage.

    Returns:
        The body, and where held things are in the masks.
    """
    cache = cache or Cache(enabled=False)
    count = int(detections.found.sum())
    task = FitTask.of((detections,), model, config)
    half = f"{HALF_FIT}-{key}"
    known = cache.load(half)
    if known is None:
        with _bar("Fitting landmarks", 2 * count, progress) as bar:
            state = fit_landmarks(replace(task, step=bar.update), config)
        cache.save(half, vars(state))
    else:
        state = FitState(**known[0])
    with _bar("Looking for held things", len(detections), progress) as bar:
        own = replace(detections, found=detections.of_person)
        held = find_held(_Counted(frames, bar), own, task.whole_body(state), model)
    with _bar("Fitting outlines", config.frame_outline_rounds * count, progress) as bar:
        task = replace(task, step=bar.update)
        fit = fit_outlines(task if held is None else task.without(held.beyond), state, config)
    if config.photometric:
        masks = detections.masks if held is None else detections.masks.without(held.whole)
        with _bar("Aligning colours", int(detections.of_person.sum()), progress) as bar:
            body = PhotometricFit.of(model).align(fit.body, frames, masks, detections.of_person, bar.update)
        body = bridge_gaps(body, fit.fitted, detections.shot)  # the old bridges lead to bodies that have been moved
        smoothing, moments = config.smoothing, detections.moments
        body = smooth_change(fit.body, body, detections.fps, model.parents, smoothing, moments)
        fit = replace(fit, body=body)
    return fit, None if held is None else held.whole


def fit_photos(
    parts: Sequence[Detections],
    pictures: Iterable[UInt8[np.ndarray, "_ _ 3"]],
    model: BodyModel,
    config: FitConfig,
    progress: bool = False,
) -> BodyFit:
    """Fit one body to photos of a person, and align the photos by their colours.

    Args:
        parts: What was detected in each photo.
        pictures: The photos; read one by one, if there are several.
        model: The body.
        config: Settings.
        progress: Show a bar for the alignment.
    """
    fit = fit_body(parts, model, config)
    if not config.photometric or len(parts) < 2:
        return fit
    masks = [part.masks[0] for part in parts]
    with _bar("Aligning colours", len(parts), progress) as bar:
        body = PhotometricFit.of(model).align_photos(fit.body, _Counted(pictures, bar), masks)
    return replace(fit, body=body)


def _bar(stage: str, total: int, shown: bool) -> Any:
    """What is done of a stage, without counts: it may go over all frames several times."""
    form = "{l_bar}{bar}| {elapsed}<{remaining}"
    return tqdm(total=total, desc=stage, disable=not shown, leave=False, bar_format=form)


@dataclass(frozen=True)
class _Counted:
    """A video whose last loop is shown by a bar."""

    frames: Iterable[UInt8[np.ndarray, "H W 3"]]
    bar: Any

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        self.bar.reset()
        for frame in self.frames:
            yield frame
            self.bar.update()
