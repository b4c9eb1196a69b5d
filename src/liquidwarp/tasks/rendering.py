"""What every task hands back: frames that are made when they are asked for, and can be saved and resumed."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from tqdm import tqdm

from liquidwarp.body.model import BodyParams
from liquidwarp.body.turntable import orbit
from liquidwarp.cache import digest_of_tensors
from liquidwarp.config import SynthesisConfig
from liquidwarp.errors import MediaError
from liquidwarp.files import check_apart
from liquidwarp.media import IMAGE_SUFFIXES
from liquidwarp.media.resumable import ResumableWriter
from liquidwarp.media.writer import save_picture
from liquidwarp.synthesizer import SourceBank, person_boxes, render_frames

__all__ = ["Rendering"]

_MARGIN = 0.15
"""Free space beside the person in pictures that stand side by side, in heights of the person."""


@dataclass(frozen=True)
class Rendering:
    """A person in new poses, made frame by frame when it is iterated or saved.

    Example:
        warper.imitate(person, driving="dance.mp4").save("out.mp4")
    """

    bank: SourceBank = field(repr=False)
    """The person."""
    targets: BodyParams = field(repr=False)
    """T poses, cameras in the first photo's pixels."""
    synthesis: SynthesisConfig
    fps: float
    """Frames per second."""
    views: tuple[float | int, ...] = field(default=(), kw_only=True)
    """Sides from which the person is shown, side by side [degrees]; none: as the targets stand, in the whole photo."""
    inputs: tuple[Path, ...] = field(default=(), kw_only=True)
    """Further files that it is made from; no result takes their place."""
    progress: bool = field(default=True, kw_only=True)
    """Whether :meth:`save` shows a bar if it is not told."""

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames [px]."""
        width, height = self.bank.size
        columns = self._columns()
        return (len(self.views) * (columns.stop - columns.start) if self.views else width), height

    @property
    def sound(self) -> Path | None:
        """The file whose sound goes with the result."""
        return None

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "H W C"]]:
        return self.frames()

    def frames(self, start: int = 0) -> Iterator[UInt8[np.ndarray, "H W C"]]:
        """The frames from ``start`` on, one at a time."""
        if not self.views:
            yield from render_frames(self.bank, self.targets, self.synthesis, start, fps=self.fps)
            return
        columns = self._columns()
        sides = [render_frames(self.bank, side, self.synthesis, start, fps=self.fps) for side in self._sides()]
        for pictures in zip(*sides, strict=True):
            yield np.concatenate([picture[:, columns] for picture in pictures], 1)

    def _sides(self) -> list[BodyParams]:
        """The targets, seen from each of the views."""
        angles = [torch.full((len(self),), math.radians(angle)) for angle in self.views]
        return [orbit(self.targets, self.bank.model, angle) for angle in angles]

    def _columns(self) -> slice:
        """What of the photo's width each of the views shows: an even number of columns that holds the person."""
        width = self.bank.size[0]
        boxes = [person_boxes(self.bank.model, side) for side in self._sides()]
        if not boxes:
            return slice(0, width)
        box = torch.cat(boxes)
        margin = _MARGIN * float((box[:, 1, 1] - box[:, 0, 1]).max())
        left = max(0, math.floor(float(box[:, 0, 0].min()) - margin))
        right = min(width, math.ceil(float(box[:, 1, 0].max()) + margin))
        if right <= left:
            return slice(0, width)
        right -= (right - left) % 2 if right - left > 2 else 0
        return slice(left, right)

    def save(
        self, path: Path | str, resume: bool = True, progress: bool | Callable[[int, int], None] | None = None
    ) -> Path:
        """Render and write everything.

        Args:
            path: .mp4, .mov, .mkv, .webm, or a folder for PNG files; an image's name (.png, .jpg) for a single frame.
                Transparent results go to .mov (ProRes 4444), .webm (VP9), .png, or a folder.
            resume: Go on where an interrupted run with the same inputs and settings stopped.
            progress: Show a progress bar, as the warper does if not given; or a function that is told after each frame
                how many are done, and of how many. What it raises ends the run, which can be resumed.

        Returns:
            The path.

        Raises:
            MediaError: the place cannot be written, the disk is full, several frames shall go into one image, or it is
                the place of a file from which the result is made.
        """
        path = Path(path)
        check_apart(path, *self.bank.origins, *self.inputs)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            if len(self) != 1:
                raise MediaError(f"{path}: expected a video name or a folder for {len(self)} frames, got an image's.")
            return save_picture(path, next(iter(self)))
        alpha = self.bank.backdrop.transparent
        key, frames = self._key(), len(self)
        target = ResumableWriter(path, self.fps, self.size, key, self.sound, resume=resume, frames=frames, alpha=alpha)
        with target as video:
            tell = progress if callable(progress) else None
            shown = self.progress if progress is None else progress is True
            with tqdm(total=frames, initial=video.done, desc="Rendering", unit="frame", disable=not shown) as bar:
                for done, frame in enumerate(self.frames(video.done), video.done + 1):
                    video.write(frame)
                    bar.update()
                    if tell is not None:
                        tell(done, frames)
        return path

    def _key(self) -> str:
        """Names this result by what goes into it: the person's pixels and bodies, the targets and the settings."""
        targets, camera = self.targets, self.targets.camera
        moved = digest_of_tensors(targets.betas, targets.rel_rotmats, camera.scale, camera.translation)
        return f"{self.bank.fingerprint()}-{moved}-{self.synthesis!r}-{self.views}"
