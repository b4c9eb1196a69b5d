"""What every task hands back: frames that are made when they are asked for, and can be saved and resumed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from liquidwarp.body.model import BodyParams
from liquidwarp.cache import digest_of_tensors
from liquidwarp.config import SynthesisConfig
from liquidwarp.errors import MediaError
from liquidwarp.media import IMAGE_SUFFIXES, save_image
from liquidwarp.media.resumable import ResumableWriter
from liquidwarp.synthesizer import SourceBank, render_frames

__all__ = ["Rendering"]


@dataclass(frozen=True)
class Rendering:
    """A person in new poses, made frame by frame when it is iterated or saved.

    Example:
        warper.imitate(person, driving="dance.mp4").save("out.mp4")
    """

    bank: SourceBank
    """The person."""
    targets: BodyParams
    """T poses, cameras in the first photo's pixels."""
    synthesis: SynthesisConfig
    fps: float
    """Frames per second."""

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames [px]."""
        return self.bank.size

    @property
    def sound(self) -> Path | None:
        """The file whose sound goes with the result."""
        return None

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        return self.frames()

    def frames(self, start: int = 0) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The frames from ``start`` on, one at a time."""
        yield from render_frames(self.bank, self.targets, self.synthesis, start)

    def save(self, path: Path | str, resume: bool = True, progress: bool = True) -> Path:
        """Render and write everything.

        Args:
            path: .mp4, .mov, .mkv, or a folder for PNG files; an image's name (.png, .jpg) for a single frame.
            resume: Go on where an interrupted run with the same inputs and settings stopped.
            progress: Show a progress bar.

        Returns:
            The path.

        Raises:
            MediaError: the place cannot be written, the disk is full, or several frames shall go into one image.
        """
        path = Path(path)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            if len(self) != 1:
                raise MediaError(f"{path}: expected a video name or a folder for {len(self)} frames, got an image's.")
            return save_image(path, next(iter(self)))
        target = ResumableWriter(path, self.fps, self.size, self._key(), self.sound, resume=resume, frames=len(self))
        with target as video:
            bar = tqdm(total=len(self), initial=video.done, desc="Rendering", unit="frame", disable=not progress)
            with bar:
                for frame in self.frames(video.done):
                    video.write(frame)
                    bar.update()
        return path

    def _key(self) -> str:
        """Names this result by what goes into it: the person's pixels and bodies, the targets and the settings."""
        targets, camera = self.targets, self.targets.camera
        moved = digest_of_tensors(targets.betas, targets.rel_rotmats, camera.scale, camera.translation)
        return f"{self.bank.fingerprint()}-{moved}-{self.synthesis!r}"
