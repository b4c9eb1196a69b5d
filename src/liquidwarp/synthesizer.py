"""One person, prepared once and rendered many times: the photos' crops, bodies, extension and background.

Paper:
    Liu et al. 2021, Fig. 2: Body Mesh Recovery and Flow Composition prepare the sources; every target pose is then
    one pass of flow and painting, by one of :mod:`liquidwarp.renderers`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from liquidwarp.backdrop import Backdrop, OwnPlace, Still, fit_picture
from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.cache import Cache, digest_of_tensors
from liquidwarp.config import SynthesisConfig
from liquidwarp.errors import SettingError
from liquidwarp.flow.clothes.halo import halo
from liquidwarp.flow.clothes.shoes import put_on_shoes, wears_shoes
from liquidwarp.flow.compose import Choice
from liquidwarp.flow.mesh.extension import Extension, inflated_shell, join_extensions, no_extension
from liquidwarp.flow.place.contact import contact_light, ground_lines
from liquidwarp.flow.seen.head_choice import HeadMemory
from liquidwarp.flow.sources import FlowSources, prepare_plain_sources, prepare_sources
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.crop import Crop, crop_around
from liquidwarp.geometry.masks import grow_colours
from liquidwarp.geometry.pictures import to_picture, to_tensor
from liquidwarp.recover.photos import SourcePhotos
from liquidwarp.renderers import DrawnFrame, NetworkRenderer, Renderer, TextureRenderer, head_plan, source_views

__all__ = [
    "CutOut",
    "SourceBank",
    "build_extension",
    "equip_bank",
    "head_memory",
    "person_boxes",
    "person_extent",
    "prepare_bank",
    "render_frames",
    "with_network",
]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

_GPU_BATCH = 8
"""Frames that are drawn together on a GPU; on a CPU it is one."""
_CHAIN, _WARM_UP = 48, 8
"""How many frames attend to the one before them until the chain begins anew, and how much earlier it does."""


@dataclass(frozen=True)
class SourceBank:
    """Everything that is kept of a person: what :func:`render_frames` needs for any pose."""

    name: str
    model: BodyModel = field(repr=False)
    """The body model, on the CPU."""
    sources: FlowSources = field(repr=False)
    """The S photos' crops at the working size, on the device that renders."""
    renderer: Renderer = field(repr=False)
    """Draws this person."""
    images: Float[Tensor, "S 3 H W"] = field(repr=False)
    """The crops, RGB in [0, 1]."""
    bodies: BodyParams = field(repr=False)
    """The S fitted bodies, cameras in the crops' pixels."""
    body: BodyParams = field(repr=False)
    """The body of the first photo (one frame), camera in that photo's own pixels, on the CPU."""
    picture: UInt8[np.ndarray, "h w 3"] = field(repr=False)
    """The first photo."""
    backdrop: Backdrop = field(repr=False)
    """What stands behind the person, in the first photo's size."""
    notes: tuple[str, ...]
    """What the user should know about the sources."""
    photos: SourcePhotos | None = field(default=None, repr=False)
    """What all of this was made of, which personalisation learns from; None in a person read from a file."""
    origins: tuple[Path, ...] = ()
    """The files from which the person was read; no result takes their place."""

    @property
    def device(self) -> torch.device:
        """Where frames are rendered."""
        return self.images.device

    @property
    def background(self) -> UInt8[np.ndarray, "h w 3"]:
        """The first picture that stands behind the person."""
        return self.backdrop.still()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the first photo, and so of the result [px]."""
        return self.picture.shape[1], self.picture.shape[0]

    def fingerprint(self) -> str:
        """Names the person by content: pixels, bodies, background and the network's weights."""
        picture = torch.from_numpy(self.picture)
        bodies = (self.bodies.betas, self.bodies.rel_rotmats, self.bodies.camera.scale, self.bodies.camera.translation)
        sources = (self.sources.colours, self.sources.mattes, self.sources.body, self.sources.extension.faces)
        own = digest_of_tensors(self.images, *sources, *bodies, picture)
        return f"{own}-{self.backdrop.fingerprint()}-{self.renderer.fingerprint()}"


@dataclass(frozen=True)
class CutOut:
    """A person cut out of the photos, on the CPU: what a renderer is prepared from."""

    name: str
    images: Float[Tensor, "S 3 H W"]
    """The crops, RGB in [0, 1]."""
    mattes: Float[Tensor, "S 1 H W"]
    """Opacity of the person, 1 = person."""
    bodies: BodyParams
    """The S fitted bodies, cameras in the crops' pixels."""
    body: BodyParams
    """The body of the first photo (one frame), camera in that photo's own pixels."""
    picture: UInt8[np.ndarray, "h w 3"]
    """The first photo."""
    backdrop: Backdrop
    """What stands behind the person, in the first photo's size."""
    notes: tuple[str, ...]
    """What the user should know about the sources."""


def prepare_bank(
    photos: SourcePhotos,
    model: BodyModel,
    config: SynthesisConfig,
    generator: LiquidWarpingGenerator | None = None,
    background: Backdrop | UInt8[np.ndarray, "h w 3"] | None = None,
    device: torch.device | str = "cpu",
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> SourceBank:
    """Cut the person out of every photo, dress the body, encode the sources.

    Args:
        photos: The photos with their recovered bodies.
        model: The body model, on the CPU.
        config: Settings.
        generator: The network that renders, on ``device``; None renders by texture warping.
        background: What to put behind the person instead of the first photo's own background, which is completed when
            it is first looked at; a picture of any size, or a backdrop of the photo's.
        device: Where frames will be rendered.
        cache: Where completed backgrounds are kept.
        progress: Told of each step.

    Returns:
        The prepared person.
    """
    show = progress or (lambda text, done, total: None)
    crops, images, mattes = [], [], []
    for index, photo in enumerate(photos.pictures):
        show("Cutting out the person", index, len(photos))
        body, opacity = photos.recovery.body[slice(index, index + 1)], photos.mattes[index]
        crop = crop_around(person_extent(model, body, opacity), config.size, config.margin)
        crops.append(crop)
        images.append(crop.take(to_tensor(photo)))
        mattes.append(crop.take(to_tensor(opacity[..., None]), outside="zero"))
    photos = _shod(photos, model, crops, torch.cat(images), torch.cat(mattes))
    backdrop: Backdrop
    if background is None:
        backdrop = OwnPlace(photos, config.background, cache or Cache(enabled=False), model)
    elif isinstance(background, np.ndarray):
        backdrop = Still(fit_picture(background, (photos.pictures[0].shape[1], photos.pictures[0].shape[0])))
    else:
        backdrop = background
    show("Preparing the renderer", 0, 1)
    person = CutOut(
        name=photos.name,
        images=torch.cat(images),
        mattes=torch.cat(mattes),
        bodies=_in_crops(photos.recovery.body, crops),
        body=photos.recovery.body[slice(0, 1)],
        picture=photos.pictures[0],
        backdrop=backdrop,
        notes=photos.recovery.notes,
    )
    return replace(equip_bank(person, model, config, generator, device), photos=photos)


def _shod(
    photos: SourcePhotos,
    model: BodyModel,
    crops: Sequence[Crop],
    images: Float[Tensor, "S 3 H W"],
    mattes: Float[Tensor, "S 1 H W"],
) -> SourcePhotos:
    """The same photos; feet that look like shoes are shaped like shoes."""
    body = photos.recovery.body
    if not wears_shoes(model, _in_crops(body, crops), images, mattes):
        return photos
    return replace(photos, recovery=replace(photos.recovery, body=put_on_shoes(model, body)))


def equip_bank(
    person: CutOut,
    model: BodyModel,
    config: SynthesisConfig,
    generator: LiquidWarpingGenerator | None,
    device: torch.device | str = "cpu",
) -> SourceBank:
    """Prepare the renderer of a person who has been cut out.

    Args:
        person: The person.
        model: The body model, on the CPU.
        config: Settings; the crops have its size.
        generator: The network that renders, on ``device``; None renders by texture warping.
        device: Where frames will be rendered.
    """
    extension = build_extension(config.extension, model, person.bodies, person.mattes, network=False)
    sources = prepare_sources(model, extension, person.bodies, person.images, person.mattes)
    warp = TextureRenderer.of(sources).to(device)
    bank = SourceBank(
        name=person.name,
        model=model,
        sources=warp.sources,
        renderer=warp,
        images=person.images.to(device),
        bodies=person.bodies.to(device),
        body=person.body,
        picture=person.picture,
        backdrop=person.backdrop,
        notes=person.notes,
    )
    return bank if generator is None else with_network(bank, config, generator)


def with_network(bank: SourceBank, config: SynthesisConfig, generator: LiquidWarpingGenerator) -> SourceBank:
    """The same person, rendered by a network.

    Args:
        bank: Rendered by texture warping.
        config: The settings that the bank was prepared with.
        generator: On the bank's device.

    Raises:
        SettingError: the bank's renderer is a network already.
    """
    warp, model = bank.renderer, bank.model
    if not isinstance(warp, TextureRenderer):
        raise SettingError("renderer: expected a person who is rendered by texture warping, got a network's.")
    mattes = bank.sources.mattes[0].cpu()
    extension = build_extension(config.extension, model, bank.bodies.to("cpu"), mattes, network=True)
    sources = prepare_plain_sources(model, extension, bank.bodies.to("cpu"), bank.images.cpu(), mattes).to(bank.device)
    views = source_views(sources, bank.images, bank.bodies)
    renderer = NetworkRenderer.of(sources, views, generator, warp, config.half, config.keep == "photos")
    return replace(bank, sources=sources, renderer=renderer)


def person_extent(model: BodyModel, body: BodyParams, opacity: UInt8[np.ndarray, "H W"]) -> Float[Tensor, "N 2"]:
    """Points [px] that the crop must hold: the body as far as the picture has it, and the matte (0..255) beyond it."""
    whole = body.camera.project(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices)[0, :, :2]
    projected = torch.minimum(whole.clamp(min=0), whole.new_tensor((opacity.shape[1], opacity.shape[0])))
    rows, columns = np.nonzero(opacity > 127)
    if len(rows) == 0:
        return projected
    low, high = whole.amin(0), whole.amax(0)
    slack = 0.15 * float((high - low).max())  # speckles far from the body are not the person
    box = torch.tensor([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], dtype=torch.float32)
    return torch.cat([projected, torch.minimum(torch.maximum(box, low - slack), high + slack)])


def _in_crops(body: BodyParams, crops: Sequence[Crop]) -> BodyParams:
    """Each frame's camera seen in its own crop."""
    cameras = [crop.camera(body.camera[slice(i, i + 1)]) for i, crop in enumerate(crops)]
    return BodyParams(body.betas, body.rel_rotmats, WeakPerspective.joined(cameras))


def build_extension(
    kind: str,
    model: BodyModel,
    bodies: BodyParams | Sequence[BodyParams],
    mattes: Float[Tensor, "S 1 H W"],
    network: bool,
) -> Extension:
    """What carries hair and clothes.

    Args:
        kind: One of :class:`liquidwarp.config.SynthesisConfig`'s.
        model: The body.
        bodies: The S fitted bodies, cameras in the mattes' pixels; a list where shapes differ.
        mattes: Opacity of the person, 1 = person.
        network: Whether a network will render.
    """
    if kind == "auto":
        kind = "both" if network else "halo"
    if kind == "none":
        return no_extension(model)
    parts = [inflated_shell(model)] if kind in ("shell", "both") else []
    if kind in ("halo", "both"):
        parts.append(halo(model, bodies, mattes))
    return join_extensions(parts)


def render_frames(
    bank: SourceBank,
    targets: BodyParams,
    config: SynthesisConfig,
    start: int = 0,
    choice: Choice | None = None,
    fps: float = 25.0,
    heads: Float[Tensor, "T K"] | None = None,
) -> Iterator[UInt8[np.ndarray, "H W C"]]:
    """Render the person in new poses, in the first photo's frame and resolution.

    Args:
        bank: The person.
        targets: T bodies, cameras in the first photo's pixels.
        config: Settings.
        start: The first frame to render.
        choice: Which source gives which part; see :func:`liquidwarp.flow.compose.compose_layers`.
        fps: Frames per second, by which a film stands behind the person.
        heads: The share of each photo that may give the head; None: as suits all of these frames.

    Yields:
        One picture after the other, RGB, or RGBA if the backdrop is transparent: straight colours, which go on beyond
        the person's edge. Memory does not depend on T.
    """
    boxes = person_boxes(bank.model, targets)
    shown = _inside(boxes, bank.size)
    # One window size for all frames, so that the person is not resampled differently from frame to frame.
    side = max(8, round(float((shown[:, 1] - shown[:, 0]).max()) * (1 + 2 * config.margin)))
    crops = [crop_around(box, config.size, side=side) for box in shown]
    ground, shade = ground_lines(boxes[:, 1, 1]), bank.backdrop.foot_shade() if config.shadow else 0.0
    behind = bank.backdrop.frames(fps, start)
    front = None if bank.backdrop.front is None else to_tensor(bank.backdrop.front[..., None])[0].to(bank.device)
    draw = _draw_in_turn if config.temporal else _draw_batches
    heads = head_plan(_warp_sources(bank), targets) if heads is None else heads
    drawn = draw(bank, _in_crops(targets, crops), config, start, choice, heads)
    for index, (colour, opacity) in enumerate(drawn, start):
        with torch.inference_mode():
            scenery = to_tensor(next(behind))[0]
            place = scenery.to(bank.device)
            if shade > 0:
                here = slice(index, index + 1)
                scenery = scenery * contact_light(bank.model, targets[here], ground[here], bank.size, shade)[0]
            scenery = scenery.to(bank.device)
            if bank.backdrop.transparent:
                picture = _cut_out(crops[index], colour, opacity, scenery)
            else:
                whole = crops[index].paste(scenery, colour * opacity, opacity)
                picture = to_picture(whole if front is None else torch.lerp(whole, place, front))
        yield picture


_Drawn = tuple[Float[Tensor, "3 S S"], Float[Tensor, "1 S S"]]


def _draw_batches(
    bank: SourceBank,
    targets: BodyParams,
    config: SynthesisConfig,
    start: int,
    choice: Choice | None,
    heads: Float[Tensor, "T K"],
) -> Iterator[_Drawn]:
    """The person's colours and opacity, frame by frame; cameras in the frames' windows."""
    batch = config.batch or (_GPU_BATCH if bank.device.type == "cuda" else 1)
    for first in range(start, len(targets), batch):
        with torch.inference_mode():
            frames = slice(first, first + batch)
            local = targets[frames].to(bank.device)
            drawn = bank.renderer.render(local, (config.size, config.size), choice, heads[frames])
        yield from zip(*drawn, strict=True)


def _draw_in_turn(
    bank: SourceBank,
    targets: BodyParams,
    config: SynthesisConfig,
    start: int,
    choice: Choice | None,
    heads: Float[Tensor, "T K"],
) -> Iterator[_Drawn]:
    """The same, while each frame attends to the one before.

    So a frame depends on all before it. To go on from any ``start`` with the same pictures without drawing everything
    again, the chain begins anew for every :data:`_CHAIN` frames, :data:`_WARM_UP` frames earlier, which are not shown.
    """
    renderer, size = bank.renderer, (config.size, config.size)
    if not isinstance(renderer, NetworkRenderer):
        raise SettingError("temporal: only networks attend to the frame before; choose --renderer lite or base.")
    for first in range(start - start % _CHAIN, len(targets), _CHAIN):
        before: DrawnFrame | None = None
        for index in range(max(0, first - _WARM_UP), min(first + _CHAIN, len(targets))):
            with torch.inference_mode():
                body, head = targets[slice(index, index + 1)].to(bank.device), heads[slice(index, index + 1)]
                if before is None:
                    colour, opacity = renderer.render(body, size, choice, head)
                else:
                    colour, opacity = renderer.render_after(before, body, size, choice, head)
                before = DrawnFrame(body, colour, opacity)
            if index >= max(first, start):
                yield colour[0], opacity[0]


def head_memory(bank: SourceBank) -> HeadMemory:
    """Chooses which photo gives the head frame by frame, where :func:`render_frames` gets one frame at a time."""
    return HeadMemory(bank.model, _warp_sources(bank).heads)


def _warp_sources(bank: SourceBank) -> FlowSources:
    """The photos as texture warping draws them."""
    warp = bank.renderer.warp if isinstance(bank.renderer, NetworkRenderer) else bank.renderer
    return warp.sources if isinstance(warp, TextureRenderer) else bank.sources


def _cut_out(
    crop: Crop, colour: Float[Tensor, "3 S S"], opacity: Float[Tensor, "1 S S"], nothing: Float[Tensor, "3 H W"]
) -> UInt8[np.ndarray, "H W 4"]:
    """The person alone on black: straight colours and opacity."""
    ink = crop.paste(nothing, colour * opacity, opacity)
    cover = crop.paste(nothing[:1], opacity, opacity)
    return to_picture(torch.cat([grow_colours(ink, cover), cover]))


def _inside(boxes: Float[Tensor, "T 2 2"], size: tuple[int, int]) -> Float[Tensor, "T 2 2"]:
    """What of each box lies in the picture: a portrait's body goes on below it and would take most of the pixels."""
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor(size))


def person_boxes(model: BodyModel, targets: BodyParams) -> Float[Tensor, "T 2 2"]:
    """Bounding box of the projected body in each frame: (low, high) x (x, y) [px]."""
    rest = model.rest(targets.betas[None])
    boxes = []
    for first in range(0, len(targets), 16):
        chunk = targets[slice(first, first + 16)]
        pixels = chunk.camera.project(model.pose(rest, chunk.rel_rotmats).vertices)[..., :2]
        boxes.append(torch.stack([pixels.amin(1), pixels.amax(1)], 1))
    return torch.cat(boxes)
