"""Body Mesh Recovery as a result of its own: the body drawn over the pictures, and files for other programs."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from liquidwarp.body.export import save_bvh, save_glb, save_npz
from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.motion import motion_of
from liquidwarp.config import SynthesisConfig
from liquidwarp.media import VideoWriter, save_image
from liquidwarp.recover.overlay import draw_body
from liquidwarp.recover.photos import SourcePhotos
from liquidwarp.renderers import TextureRenderer
from liquidwarp.synthesizer import prepare_bank

__all__ = ["RecoveryFiles", "export_recovery", "person_texture"]

_PHOTOS_FPS = 1.0
"""Photos have no rate: in the motion files each stands for a second."""


@dataclass(frozen=True)
class RecoveryFiles:
    """Where to write what was recovered."""

    folder: Path
    """Made if need be."""
    names: tuple[str, ...]
    """A name for each photo, or one for a video; the first also names the body's files."""

    @property
    def stem(self) -> Path:
        """The body's files without their suffix."""
        return self.folder / self.names[0]


def export_recovery(
    body: BodyParams,
    model: BodyModel,
    pictures: Iterable[UInt8[np.ndarray, "_ _ 3"]],
    files: RecoveryFiles,
    fps: float = 0.0,
    masks: Iterable[Bool[np.ndarray, "_ _"]] | None = None,
    texture: UInt8[np.ndarray, "U U 3"] | None = None,
    cuts: tuple[Int64[Tensor, "T"] | None, Int64[Tensor, "T"] | None] = (None, None),
) -> list[Path]:
    """Write overlay, .npz, .bvh and .glb.

    Args:
        body: T fitted bodies, cameras in the pictures' pixels.
        model: The body model.
        pictures: The T frames or photos, RGB.
        files: Where to.
        fps: Frames per second of the video; 0 for photos.
        masks: Their outlines are drawn, one per picture, of any size.
        texture: Colours of the .glb: see :func:`person_texture`; None: grey.
        cuts: Shot and scene of each frame of a cut film, see :func:`liquidwarp.body.motion.motion_of`.

    Returns:
        The files in the order in which they were written.

    Raises:
        MediaError: a file cannot be written.
    """
    outlines = itertools.repeat(None) if masks is None else masks
    drawn = (
        draw_body(picture, body[slice(index, index + 1)], model, outline)
        for index, picture, outline in zip(range(len(body)), pictures, outlines, strict=False)
    )
    if fps > 0:
        written = [_overlay_video(files.stem.with_name(f"{files.stem.name}.mp4"), drawn, fps)]
    else:
        written = [
            save_image(files.folder / f"{name}.png", picture) for name, picture in zip(files.names, drawn, strict=True)
        ]
    motion = motion_of(body, model, fps or _PHOTOS_FPS, files.names[0], *cuts)
    npz, bvh, glb = (files.stem.with_name(f"{files.stem.name}.{suffix}") for suffix in ("npz", "bvh", "glb"))
    save_npz(npz, motion, model)
    save_bvh(bvh, motion, model, body.betas)
    save_glb(glb, motion, model, body.betas, texture)
    return [*written, npz, bvh, glb]


def person_texture(photos: SourcePhotos, model: BodyModel) -> UInt8[np.ndarray, "U U 3"]:
    """The person's colours in the body's UV layout, row 0 at v = 0; what no photo shows is made up.

    Args:
        photos: The photos, or frames of a video that show much of the person.
        model: The body model.
    """
    config = SynthesisConfig(extension="none")
    nowhere = np.zeros((8, 8, 3), np.uint8)
    renderer = prepare_bank(photos, model, config, background=nowhere).renderer
    assert isinstance(renderer, TextureRenderer)  # noqa: S101
    colours = renderer.atlas.colours[0].permute(1, 2, 0)
    return np.asarray((colours * 255).round().clamp(0, 255).byte().cpu().numpy())


def _overlay_video(path: Path, frames: Iterable[UInt8[np.ndarray, "H W 3"]], fps: float) -> Path:
    pictures = iter(frames)
    first = next(pictures)
    with VideoWriter(path, fps, (first.shape[1], first.shape[0])) as video:
        video.write(first)
        for picture in pictures:
            video.write(picture)
    return path
