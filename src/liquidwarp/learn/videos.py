"""Training samples from prepared clips of real people: pairs of frames of one person, apart in time.

Paper:
    Liu et al. 2021, Sec. 3.4: source and target are different frames of the same person's video. The flow between them
    is composed of the recovered bodies, as in use.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel
from liquidwarp.config import TrainConfig
from liquidwarp.errors import SettingError, WeightsCorruptError
from liquidwarp.learn.clips import KINDS, Clip, find_clips
from liquidwarp.learn.datasets import Faces
from liquidwarp.learn.synthetic import SyntheticData, find_faces
from liquidwarp.synthetic.dataset import Bodies, SyntheticBatch

__all__ = ["FilmedBatch", "FilmedPeople", "VideoData", "frames_apart"]

_READERS = 8
"""Threads that decode pictures."""
_TEST_SHARE = 5
"""Where no clip is held out, the last fifth of every clip is."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilmedBatch(SyntheticBatch):
    """B people in V frames each; body and fitted body are the recovered one."""

    landmarks: Float[Tensor, "B V 5 2"]
    """Detected eye corners and nose [px]."""
    seen: Float[Tensor, "B V"]
    """1 where the face looks at the camera and was detected."""


@dataclass(frozen=True)
class _Footage:
    """A clip and which of its kept frames may be shown."""

    clip: Clip
    usable: tuple[int, ...]

    def choose(self, views: int, gap: int, generator: torch.Generator) -> list[int]:
        """Frames apart in time, the one that faces the camera first, the one that faces away second."""
        numbers = [self.clip.facts.frames[index] for index in self.usable]
        chosen = [self.usable[n] for n in frames_apart(numbers, views, gap, generator)]
        facing = self.clip.rel_rotmats[chosen, 0, 2, 2]  # 1: the pelvis looks at the camera
        front, back = int(facing.argmax()), int(facing.argmin())
        first = [front] if front == back else [front, back]
        return [chosen[n] for n in [*first, *(n for n in range(views) if n not in first)]]


def frames_apart(numbers: Sequence[int], count: int, gap: int, generator: torch.Generator) -> list[int]:
    """Places in an ascending list of numbers, in random order, that are all ``gap`` apart, or as far as possible.

    Args:
        numbers: Of the frames.
        count: How many are wanted, at most as many as there are.
        gap: Least difference of two of them.
        generator: Source of chance.

    Example:
        >>> sorted(frames_apart([0, 1, 9, 10, 20], 3, 5, torch.Generator().manual_seed(0)))[1:]
        [3, 4]
    """
    order = torch.randperm(len(numbers), generator=generator).tolist()
    while True:
        chosen: list[int] = []
        for place in order:
            if len(chosen) < count and all(abs(numbers[place] - numbers[other]) >= gap for other in chosen):
                chosen.append(place)
        if len(chosen) == count:
            return chosen
        gap //= 2  # a short clip


class FilmedPeople:
    """The people of a prepared dataset; the same interface as :class:`SyntheticPeople`."""

    def __init__(
        self, model: BodyModel, clips: Sequence[Clip], gap: int, seed: int = 0, part: str = "all", least: int = 2
    ) -> None:
        """Take clips that have enough frames.

        Args:
            model: The body that the clips were prepared with, on the device where samples are wanted.
            clips: Of one split.
            gap: Least distance of two frames shown together, in frames of the source.
            seed: The same seed gives the same samples.
            part: "train" leaves the last fifth of every clip out, "test" shows only that, "all" shows everything.
            least: Frames that a clip must have.

        Raises:
            SettingError: no clip has enough frames.
            WeightsCorruptError: a clip was prepared with another body.
        """
        self.model, self.gap, self.seed = model, gap, seed
        self.device = model.lbs_weights.device
        self._footage = [_Footage(clip, _part_of(clip, part, least)) for clip in clips if len(clip) >= least]
        if not self._footage:
            raise SettingError(
                f"train.video_folder: expected clips of at least {least} frames (sources and targets), found "
                f"{len(clips)} clips, none with as many. Prepare more, or take fewer sources and targets."
            )
        if len(self._footage) < len(clips):
            logger.warning(
                "%d clips have fewer than %d frames and are not used", len(clips) - len(self._footage), least
            )
        for clip in clips:
            if clip.betas.shape[0] != len(model.beta_names) or clip.rel_rotmats.shape[1] != len(model.parents):
                raise WeightsCorruptError(f"{clip.folder}: was prepared with another body. Prepare it again.")
        self._readers = ThreadPoolExecutor(_READERS)

    @torch.no_grad()
    def sample(self, batch: int, views: int, size: int, index: int | None = None) -> FilmedBatch:
        """Read people.

        Args:
            batch: People, B; a person may come several times if there are fewer.
            views: Frames of each, V: the first one faces the camera, the second one away from it.
            size: Side of the square pictures [px].
            index: Which batch.
        """
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + (index or 0)) * 7 + 1)
        order = torch.randperm(len(self._footage), generator=generator).tolist()
        people = [self._footage[order[row % len(order)]] for row in range(batch)]
        chosen = [(person.clip, person.choose(views, self.gap, generator)) for person in people]
        images, mattes, backgrounds = (self._read(kind, chosen, size) for kind in KINDS)
        factors = torch.tensor([size / clip.facts.size for clip, _ in chosen])
        scale = torch.stack([clip.scale[frames] for clip, frames in chosen]) * factors[:, None]
        translation = torch.stack([clip.translation[frames] for clip, frames in chosen]) * factors[:, None, None]
        landmarks = torch.stack([clip.face_landmarks[frames] for clip, frames in chosen])
        body = Bodies(
            torch.stack([clip.betas for clip, _ in chosen]).to(self.device),
            torch.stack([clip.rel_rotmats[frames] for clip, frames in chosen]).to(self.device),
            scale.to(self.device),
            translation.to(self.device),
        )
        return FilmedBatch(
            images=images,
            photos=images,
            mattes=mattes,
            backgrounds=backgrounds,
            body=body,
            fitted=body,
            distance=torch.full((batch,), torch.inf, device=self.device),
            landmarks=(landmarks * factors[:, None, None, None]).to(self.device),
            seen=torch.stack([clip.face_seen[frames] for clip, frames in chosen]).to(self.device),
        )

    def _read(self, kind: str, chosen: Sequence[tuple[Clip, list[int]]], size: int) -> Float[Tensor, "B V C S S"]:
        """Pictures of one kind; files are decoded side by side."""
        places = [(clip, frame) for clip, frames in chosen for frame in frames]
        pictures = self._readers.map(lambda place: place[0].picture(kind, place[1], size), places)
        return torch.unflatten(torch.stack(list(pictures)), 0, (len(chosen), -1)).to(self.device)


def _part_of(clip: Clip, part: str, least: int) -> tuple[int, ...]:
    """Indices of kept frames; the whole clip where a part would be too short."""
    everything = tuple(range(len(clip)))
    border = len(clip) - len(clip) // _TEST_SHARE
    chosen = {"train": everything[:border], "test": everything[border:], "all": everything}[part]
    return chosen if len(chosen) >= least else everything


class VideoData(SyntheticData):
    """Samples of :class:`FilmedPeople`; see :class:`liquidwarp.learn.datasets.TrainingData`."""

    @classmethod
    def load(cls, config: TrainConfig, device: torch.device, split: str) -> "VideoData":
        """The clips of ``config.video_folder``.

        Args:
            config: All settings.
            device: Where the flows are composed.
            split: "train" or "test": other people where some were held out, else other frames.

        Raises:
            SettingError: no folder is set, or there is nothing in it.
        """
        folder = config.video_folder
        if folder is None:
            raise SettingError("train.video_folder: expected the folder that 'liquidwarp prepare' made.")
        own, others = (find_clips(Path(folder), name) for name in (split, "test" if split == "train" else "train"))
        if not own and not others:
            raise SettingError(f"train.video_folder: {folder}: expected prepared clips, found none. Prepare some.")
        part = "all" if own and others else split
        clips = [Clip.load(path) for path in own or others]
        seed = config.seed + (10_007 if split == "test" else 0)
        model = AnnyBody.load().to(device)
        least = config.num_sources + config.num_targets
        return cls(config, FilmedPeople(model, clips, config.video_gap, seed, part, least))

    def _fitted(self, rendered: SyntheticBatch, found: Float[Tensor, "B V 1 S S"]) -> Bodies:
        """Recovered bodies were fitted already."""
        del found
        return rendered.fitted

    def _faces(self, rendered: SyntheticBatch) -> Faces:
        """Detected landmarks; the box around the head is the recovered body's."""
        faces = find_faces(self.model, rendered)
        if not isinstance(rendered, FilmedBatch):
            return faces
        return Faces(rendered.landmarks, rendered.seen, faces.boxes)
