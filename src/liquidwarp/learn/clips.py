"""Prepared clips on disk: one folder per person and clip, with pictures that anyone can open.

Layout::

    DATASET/
      dataset.json              version, settings, clips
      CLIP/
        clip.json               where it comes from, its frames; written last: without it the clip is not whole
        images/000012.jpg       a square around the person in frame 12
        mattes/000012.png       opacity of the person, 255 = person
        backgrounds/000012.jpg  the same square without the person
        bodies.safetensors      shape, poses, cameras in the squares' pixels, landmarks, faces, where the squares are
        sheet.jpg               to look at

Reading needs torch, Pillow and safetensors only. Clips of the first version are read too; they do not say where their
squares are in the frames.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor

from liquidwarp.errors import WeightsCorruptError, WeightsNotFoundError
from liquidwarp.weights import load_tensors

__all__ = ["CLIP_FORMAT", "KINDS", "Clip", "ClipFacts", "find_clips"]

CLIP_FORMAT = "liquidwarp-clip-2"
_OLD_FORMAT = "liquidwarp-clip-1"
KINDS: Mapping[str, str] = {"images": ".jpg", "mattes": ".png", "backgrounds": ".jpg"}
"""Folders of pictures and their suffixes."""
_OLD_CORNERS = [0, 1, 3, 2, 4]
"""The first version had the corners of the right eye the other way round."""


@dataclass(frozen=True)
class ClipFacts:
    """What ``clip.json`` says."""

    name: str
    source: str
    """The file's or folder's own name."""
    digest: str
    """Of its content."""
    kind: str
    """"video" or "photos"."""
    split: str
    """"train" or "test"."""
    size: int
    """Side of the squares [px]."""
    frames: tuple[int, ...]
    """Numbers of the frames, or of the photos, that are kept."""
    notes: tuple[str, ...]
    """What the recovery of the body had to say."""
    settings: str
    """How it was made."""
    version: str
    """Of the package that made it."""
    format: str = CLIP_FORMAT
    """Which files and tensors there are."""

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"format": self.format, **asdict(self)}, indent=2) + "\n"

    @staticmethod
    def read(path: Path) -> "ClipFacts":
        """Read ``clip.json``.

        Raises:
            WeightsNotFoundError: no such file.
            WeightsCorruptError: not such a file.
        """
        if not path.is_file():
            raise WeightsNotFoundError(f"{path.parent}: expected a prepared clip with a {path.name}. Prepare it again.")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] not in (CLIP_FORMAT, _OLD_FORMAT):
                raise ValueError(f"format {values['format']!r}")
            values["frames"], values["notes"] = tuple(values["frames"]), tuple(values["notes"])
            return ClipFacts(**values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsCorruptError(f"{path}: expected a prepared clip ({error}). Prepare it again.") from error


@dataclass(frozen=True)
class Clip:
    """One person in T frames or photos."""

    folder: Path
    facts: ClipFacts
    betas: Float[Tensor, "K"]
    rel_rotmats: Float[Tensor, "T J 3 3"]
    scale: Float[Tensor, "T"]
    """[px/m], in the stored squares."""
    translation: Float[Tensor, "T 2"]
    """Of the root joint [px], in the stored squares."""
    face_landmarks: Float[Tensor, "T 5 2"]
    """Eye corners and nose as detected [px]; see :func:`liquidwarp.gan.crops.align_faces`."""
    face_seen: Float[Tensor, "T"]
    """1 where the face looks at the camera and was detected."""
    landmarks: Float[Tensor, "T 33 2"] | None = None
    """The body's as detected [px]; see :data:`liquidwarp.recover.detection.detections.BODY_LANDMARKS`. These and what
    follows are None in clips of the first version."""
    visibility: Float[Tensor, "T 33"] | None = None
    """Of the landmarks [0, 1]."""
    squares: Int64[Tensor, "T 3"] | None = None
    """Where the stored squares are in the frames: left, top, side [px]."""
    frame_sizes: Int64[Tensor, "T 2"] | None = None
    """(width, height) of the frames or photos [px]."""

    @staticmethod
    def load(folder: Path) -> "Clip":
        """Read the facts and the bodies; pictures are read when they are asked for.

        Raises:
            WeightsNotFoundError: the folder is no whole clip.
            WeightsCorruptError: a file is damaged.
        """
        facts = ClipFacts.read(folder / "clip.json")
        path = folder / "bodies.safetensors"
        tensors, _ = load_tensors(path, facts.format)
        if facts.format == _OLD_FORMAT and "face_landmarks" in tensors:
            tensors["face_landmarks"] = tensors["face_landmarks"][:, _OLD_CORNERS]
        try:
            return Clip(folder, facts, **tensors)
        except TypeError as error:
            raise WeightsCorruptError(f"{path}: expected the bodies of a clip ({error}). Prepare it again.") from error

    def __len__(self) -> int:
        return len(self.facts.frames)

    def path(self, kind: str, index: int) -> Path:
        """The file of one of :data:`KINDS` of the index-th kept frame."""
        return picture_path(self.folder, kind, self.facts.frames[index])

    def picture(self, kind: str, index: int, size: int) -> Float[Tensor, "C size size"]:
        """One picture in [0, 1], shrunk or enlarged (antialiased).

        Raises:
            WeightsCorruptError: the file is missing or damaged.
        """
        path = self.path(kind, index)
        try:
            with Image.open(path) as file:
                file.draft("RGB", (size, size))  # JPEG decodes to half or a quarter of its size for less
                whole = file if file.size == (size, size) else file.resize((size, size), Image.Resampling.BOX)
                pixels = np.array(whole)
        except (OSError, SyntaxError, ValueError) as error:
            raise WeightsCorruptError(f"{path}: the picture is missing or damaged ({error}). Prepare again.") from error
        values = torch.from_numpy(pixels).float() / 255
        return values[None] if values.dim() == 2 else values.permute(2, 0, 1)


def picture_path(folder: Path, kind: str, frame: int) -> Path:
    """Where a clip keeps a picture."""
    return folder / kind / f"{frame:06d}{KINDS[kind]}"


def find_clips(dataset: Path, split: str) -> list[Path]:
    """Folders of the whole clips of a split, by name.

    Args:
        dataset: What ``liquidwarp prepare`` wrote.
        split: "train", "test" or "all".
    """
    facts = [ClipFacts.read(path) for path in sorted(dataset.glob("*/clip.json"))]
    return [dataset / fact.name for fact in facts if split in ("all", fact.split)]
