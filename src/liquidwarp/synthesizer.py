"""One person, prepared once and rendered many times: the photos' crops, bodies, extension and background.

Paper:
    Liu et al. 2021, Fig. 2: Body Mesh Recovery and Flow Composition prepare the sources; every target pose is then
    one pass of flow and painting. Here the painter is the warped texture itself or the Liquid Warping GAN.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.config import SynthesisConfig
from liquidwarp.flow.atlas import TextureAtlas, fill_atlas, merge_texture
from liquidwarp.flow.background import complete_background
from liquidwarp.flow.compose import Choice
from liquidwarp.flow.extension import Extension, inflated_shell, no_extension
from liquidwarp.flow.halo import halo
from liquidwarp.flow.render import render_person
from liquidwarp.flow.sources import FlowSources, prepare_sources
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.crop import Crop, crop_around
from liquidwarp.geometry.raster import rasterize
from liquidwarp.recover.matte import matte
from liquidwarp.recover.photos import SourcePhotos

__all__ = ["SourceBank", "prepare_bank", "render_frames"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class SourceBank:
    """Everything that is kept of a person: what :func:`render_frames` needs for any pose."""

    name: str
    sources: FlowSources
    """The S photos' crops at the working size."""
    atlas: TextureAtlas
    """Their colours merged in the body's UV layout, with what no photo shows made up."""
    images: Float[Tensor, "S 3 H W"]
    """The crops, RGB in [0, 1]."""
    bodies: BodyParams
    """The S fitted bodies, cameras in the crops' pixels."""
    body: BodyParams
    """The body of the first photo (one frame), camera in that photo's own pixels."""
    picture: UInt8[np.ndarray, "H W 3"]
    """The first photo."""
    background: UInt8[np.ndarray, "H W 3"]
    """The first photo without the person."""
    notes: tuple[str, ...]
    """What the user should know about the sources."""

    @property
    def model(self) -> BodyModel:
        """The body model of all of it."""
        return self.sources.model

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the first photo, and so of the result [px]."""
        return self.picture.shape[1], self.picture.shape[0]


def prepare_bank(
    photos: SourcePhotos,
    model: BodyModel,
    config: SynthesisConfig,
    background: UInt8[np.ndarray, "H W 3"] | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> SourceBank:
    """Cut the person out of every photo, dress the body, complete the background.

    Args:
        photos: The photos with their recovered bodies.
        model: The body model, on the CPU.
        config: Settings.
        background: A picture to put behind the person instead of the first photo's own background; any size.
        device: Where frames will be rendered.
        progress: Told of each step.

    Returns:
        The prepared person.
    """
    crops, images, mattes = [], [], []
    whole_mattes = []
    for index, photo in enumerate(photos.pictures):
        if progress:
            progress("Cutting out the person", index, len(photos.pictures))
        opacity = matte(photo, photos.recovery.detection(index), alpha=photos.alphas[index])
        body = photos.recovery.body[slice(index, index + 1)]
        crop = crop_around(_extent(model, body, opacity), config.size, config.margin)
        crops.append(crop)
        images.append(crop.take(_to_tensor(photo)))
        mattes.append(crop.take(torch.from_numpy(opacity)[None, None], outside="zero"))
        whole_mattes.append(opacity)
    cropped, opacities = torch.cat(images), torch.cat(mattes)
    bodies = _in_crops(photos.recovery.body, crops)
    extension = _extension(config, model, bodies, opacities)
    sources = prepare_sources(model, extension, bodies, cropped, opacities)
    if progress:
        progress("Completing the background", 0, 1)
    scenery = (
        _fit_background(background, photos.pictures[0].shape[:2])
        if background is not None
        else _own_background(photos, whole_mattes, model, config.background)
    )
    atlas = fill_atlas(model, merge_texture(sources))
    return SourceBank(
        name=photos.name,
        sources=sources.to(device),
        atlas=atlas.to(device),
        images=cropped.to(device),
        bodies=bodies.to(device),
        body=photos.recovery.body[slice(0, 1)],
        picture=photos.pictures[0],
        background=scenery,
        notes=photos.recovery.notes,
    )


def _to_tensor(picture: UInt8[np.ndarray, "H W 3"]) -> Float[Tensor, "1 3 H W"]:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255


def _extent(model: BodyModel, body: BodyParams, opacity: Float[np.ndarray, "H W"]) -> Float[Tensor, "N 2"]:
    """Points that the crop must hold: the projected body, and the matte where it goes beyond."""
    projected = body.camera.project(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices)[0, :, :2]
    rows, columns = np.nonzero(opacity > 0.5)
    if len(rows) == 0:
        return projected
    low, high = projected.amin(0), projected.amax(0)
    slack = 0.15 * float((high - low).max())  # speckles far from the body are not the person
    box = torch.tensor([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], dtype=torch.float32)
    return torch.cat([projected, torch.minimum(torch.maximum(box, low - slack), high + slack)])


def _in_crops(body: BodyParams, crops: Sequence[Crop]) -> BodyParams:
    """Each frame's camera seen in its own crop."""
    cameras = [crop.camera(body.camera[slice(i, i + 1)]) for i, crop in enumerate(crops)]
    camera = WeakPerspective(torch.cat([c.scale for c in cameras]), torch.cat([c.translation for c in cameras]))
    return BodyParams(body.betas, body.rel_rotmats, camera)


def _extension(
    config: SynthesisConfig, model: BodyModel, bodies: BodyParams, mattes: Float[Tensor, "S 1 H W"]
) -> Extension:
    if config.extension == "halo":
        return halo(model, bodies, mattes)
    return inflated_shell(model) if config.extension == "shell" else no_extension(model)


def _fit_background(picture: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """Scale and centre-crop a picture to fill ``size`` (height, width)."""
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.fit(Image.fromarray(picture), (size[1], size[0]), Image.Resampling.LANCZOS))


def _own_background(
    photos: SourcePhotos, mattes: Sequence[Float[np.ndarray, "H W"]], model: BodyModel, quality: str
) -> UInt8[np.ndarray, "H W 3"]:
    """The first photo's background; photos of the same size may show what the person hides in the first."""
    shape = photos.pictures[0].shape
    alike = [index for index, photo in enumerate(photos.pictures) if photo.shape == shape]
    images = torch.cat([_to_tensor(photos.pictures[index]) for index in alike])
    opacities = torch.stack([torch.from_numpy(mattes[index])[None] for index in alike])
    body = photos.recovery.body[torch.tensor(alike)]
    vertices = model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices
    raster = rasterize(body.camera.project(vertices), model.faces, shape[0], shape[1])
    return _to_picture(complete_background(images, opacities, raster.covered[:, None].float(), quality=quality)[0])


def _to_picture(image: Float[Tensor, "3 H W"]) -> UInt8[np.ndarray, "H W 3"]:
    return (image * 255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().cpu().numpy()


def render_frames(
    bank: SourceBank,
    targets: BodyParams,
    config: SynthesisConfig,
    start: int = 0,
    choice: Choice | None = None,
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Render the person in new poses, in the first photo's frame and resolution.

    Args:
        bank: The person.
        targets: T bodies, cameras in the first photo's pixels.
        config: Settings.
        start: The first frame to render.
        choice: Which source gives which part; see :func:`liquidwarp.flow.compose.compose_layers`.

    Yields:
        One RGB picture after the other; memory does not depend on T.
    """
    device = bank.images.device
    scenery = _to_tensor(bank.background)[0]
    side = _window_side(bank.model, targets, config.margin)
    for first in range(start, len(targets), config.batch):
        chunk = targets[slice(first, first + config.batch)]
        crops = _windows(bank.model, chunk, side, config.size)
        with torch.inference_mode():
            local = _in_crops(chunk, crops).to(device)
            size = (config.size, config.size)
            colours, opacities = render_person(bank.sources, local, bank.atlas, size, choice)
        for crop, colour, opacity in zip(crops, colours.cpu(), opacities.cpu(), strict=True):
            yield _to_picture(crop.paste(scenery, colour * opacity, opacity))


def _boxes(model: BodyModel, targets: BodyParams) -> Float[Tensor, "T 2 2"]:
    """Bounding box of the projected body in each frame: (low, high) x (x, y) [px]."""
    rest = model.rest(targets.betas[None])
    boxes = []
    for first in range(0, len(targets), 16):
        chunk = targets[slice(first, first + 16)]
        pixels = chunk.camera.project(model.pose(rest, chunk.rel_rotmats).vertices)[..., :2]
        boxes.append(torch.stack([pixels.amin(1), pixels.amax(1)], 1))
    return torch.cat(boxes)


def _window_side(model: BodyModel, targets: BodyParams, margin: float) -> int:
    """One window size for all frames, so that the person is not resampled differently from frame to frame."""
    boxes = _boxes(model, targets)
    return max(8, round(float((boxes[:, 1] - boxes[:, 0]).max()) * (1 + 2 * margin)))


def _windows(model: BodyModel, targets: BodyParams, side: int, size: int) -> list[Crop]:
    return [crop_around(box, size, side=side) for box in _boxes(model, targets)]
