"""The source's photos with their bodies: from photos, folders of photos, or well-chosen frames of a video."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.cache import Cache
from liquidwarp.errors import MediaError
from liquidwarp.media import IMAGE_SUFFIXES, find_images, open_frames, read_image
from liquidwarp.recover.choice import PersonChoice
from liquidwarp.recover.digitize import Recovery, recover_photos, recover_video

__all__ = ["SourcePhotos", "choose_views", "load_sources"]

_CANDIDATES = 48
_SOFTNESS_WEIGHT = 0.35


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

    def __len__(self) -> int:
        return len(self.pictures)


def load_sources(
    paths: Sequence[Path],
    model: BodyModel,
    num_views: int = 4,
    person: PersonChoice = None,
    cache: Cache | None = None,
    progress: bool = True,
) -> SourcePhotos:
    """Read the source and recover its body.

    Args:
        paths: Photos of one person, folders of photos, or one video.
        model: The body.
        num_views: How many frames of a video to take; of photos all are taken.
        person: Who, if several people are in view.
        cache: Where what is found is kept.
        progress: Show progress bars.

    Raises:
        MediaError: nothing to read, or photos and videos mixed.
        NoPersonFoundError: a photo without the person.
    """
    files = [file for path in paths for file in (find_images(path) if path.is_dir() else [path])]
    if not files:
        raise MediaError("source: expected photos, a folder of photos or a video; got nothing.")
    videos = [file for file in files if file.suffix.lower() not in IMAGE_SUFFIXES]
    if videos and len(files) > 1:
        raise MediaError(f"{videos[0]}: a source is either photos or one video, not both. Leave one of them away.")
    if videos:
        return _from_video(videos[0], model, num_views, person, cache, progress)
    recovery = recover_photos(files, model=model, person=person, cache=cache, progress=progress)
    photos = [read_image(file) for file in files]
    return SourcePhotos(files[0].stem, tuple(p.rgb for p in photos), tuple(p.alpha for p in photos), recovery)


def _from_video(
    path: Path, model: BodyModel, num_views: int, person: PersonChoice, cache: Cache | None, progress: bool
) -> SourcePhotos:
    recovery = recover_video(path, model=model, person=person, cache=cache, progress=progress)
    usable = recovery.observed.nonzero()[:, 0]
    candidates = usable[torch.linspace(0, len(usable) - 1, min(_CANDIDATES, len(usable))).round().long()]
    wanted = set(candidates.tolist())
    sharpness = torch.zeros(len(recovery.body))
    for index, frame in enumerate(open_frames(path)):
        if index in wanted:
            sharpness[index] = _sharpness(frame)
    chosen = choose_views(recovery.body, candidates, sharpness, min(num_views, len(candidates)))
    pictures = {index: frame for index, frame in enumerate(open_frames(path)) if index in chosen.tolist()}
    selected = tuple(pictures[index] for index in chosen.tolist())
    return SourcePhotos(path.stem, selected, (None,) * len(selected), recovery.select(chosen))


def _sharpness(frame: UInt8[np.ndarray, "H W 3"]) -> float:
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return float(np.log(cv2.Laplacian(grey, cv2.CV_32F).var() + 1e-6))


def choose_views(
    body: BodyParams, candidates: Int64[Tensor, "N"], sharpness: Float[Tensor, "T"], count: int
) -> Int64[Tensor, "S"]:
    """Frames of a video that together show the person from all the sides that it shows.

    The first faces the camera most; each further one turns the trunk furthest away from those already chosen.
    Blurred frames are avoided.

    Args:
        body: The recovered video.
        candidates: Frames to choose from.
        sharpness: Of each frame of the video; any unit, larger is sharper.
        count: How many, at most N.

    Returns:
        Frame numbers, the most frontal first.
    """
    facing = -body.rel_rotmats[candidates, 0, :, 2]  # where the pelvis looks: its -z axis
    heading = torch.atan2(facing[:, 0], -facing[:, 2])  # [rad], 0 = towards the camera
    value = sharpness[candidates]
    spread = value.std().clamp(min=1e-6) if len(value) > 1 else torch.tensor(1.0)
    bonus = _SOFTNESS_WEIGHT * ((value - value.median()) / spread).clamp(-2, 1)
    chosen = [int((bonus - heading.abs()).argmax())]
    while len(chosen) < count:
        difference = heading[:, None] - heading[chosen][None]
        distance = torch.atan2(difference.sin(), difference.cos()).abs().amin(1)
        score = distance + bonus
        score[chosen] = -torch.inf
        chosen.append(int(score.argmax()))
    return candidates[chosen]
