"""Videos and photos of real people as training data: recover, cut out, store; see :mod:`liquidwarp.learn.clips`.

Paper:
    Liu et al. 2021, Sec. 4.1: the network is trained on pairs of frames of one person's video.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from tqdm import tqdm

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel
from liquidwarp.cache import Cache, digest_of
from liquidwarp.config import DetectConfig
from liquidwarp.dataset_config import PrepareConfig
from liquidwarp.errors import LiquidWarpError, MediaError
from liquidwarp.files import atomic_path, check_target
from liquidwarp.flow.place.background import complete_background
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.crop import Crop, crop_around
from liquidwarp.geometry.pictures import to_picture
from liquidwarp.learn.clip_sheet import clip_sheet
from liquidwarp.learn.clip_sources import ClipSource, find_sources
from liquidwarp.learn.clips import CLIP_FORMAT, KINDS, Clip, ClipFacts, picture_path
from liquidwarp.media import find_images, open_frames, read_image, save_image
from liquidwarp.recover.detection.detections import EYES_AND_NOSE, LEAST_EYE_SPAN
from liquidwarp.recover.digitize import Recovery, recover_photos, recover_video
from liquidwarp.recover.films.scenery import person_area
from liquidwarp.recover.mattes.gaps import limb_borders
from liquidwarp.recover.mattes.matte import matte
from liquidwarp.recover.photos import silhouette
from liquidwarp.recover.tracking.tracker import PersonDetector
from liquidwarp.weights import save_tensors

__all__ = ["DATASET_FORMAT", "PreparedClips", "prepare_clips"]

DATASET_FORMAT = "liquidwarp-dataset-1"
_SCENERY = 6
"""Frames of a video that may show what the person hides in another one."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedClips:
    """What became of the sources."""

    folder: Path
    made: tuple[str, ...]
    """Clips made now."""
    kept: tuple[str, ...]
    """Clips that were there already."""
    failures: tuple[str, ...]
    """What went wrong with the others, one line each."""


@dataclass(frozen=True)
class _Tools:
    """Opened once for all clips."""

    config: PrepareConfig
    model: BodyModel
    cache: Cache
    detector: PersonDetector
    progress: bool


@dataclass(frozen=True)
class _Material:
    """A clip's recovered body and the pictures it is in."""

    recovery: Recovery
    frames: tuple[int, ...]
    """The frames or photos to keep."""
    pictures: Callable[[Sequence[int]], Iterator[UInt8[np.ndarray, "H W 3"]]]
    """Some frames, in ascending order, one at a time."""
    is_video: bool


def prepare_clips(
    paths: Sequence[str | Path],
    out: str | Path,
    config: PrepareConfig | None = None,
    cache: Cache | None = None,
    progress: bool = True,
) -> PreparedClips:
    """Write training data.

    A stopped run goes on where it was; clips that are whole are left alone unless their source or the settings
    changed. A clip that cannot be made does not stop the others.

    Args:
        paths: Videos, folders of photos or frames, folders of such, datasets with text lists.
        out: The dataset's folder; clips are added to what is in it.
        config: Settings.
        cache: Where what is found in the videos is kept.
        progress: Show progress bars.

    Raises:
        MediaError: nothing to read, or the place cannot be written.
        LiquidWarpError: no clip could be made; the message is the first one's.
    """
    config, out = config or PrepareConfig(), Path(out)
    sources = find_sources([Path(path) for path in paths], config.folders)
    if out.exists() and not out.is_dir():
        raise MediaError(f"{out}: expected a folder for the dataset, got a file. Choose another name.")
    check_target(out / "dataset.json")
    made, kept, failures = [], [], []
    tools: _Tools | None = None
    first: LiquidWarpError | None = None
    for source in tqdm(sources, desc="Clips", unit="clip", disable=not progress or len(sources) < 2):
        try:
            facts = _facts_of(source, config)
            if _is_whole(out, facts):
                kept.append(facts.name)
                continue
            if tools is None:
                detector = PersonDetector(DetectConfig())
                tools = _Tools(config, AnnyBody.load(), cache or Cache(enabled=False), detector, progress)
            _prepare_clip(source, facts, out / facts.name, tools)
            made.append(facts.name)
        except LiquidWarpError as error:
            first = first or error
            text = str(error)
            failures.append(text if str(source.path) in text else f"{source.path}: {text}")
            logger.warning("%s", failures[-1])
    if first is not None and not made and not kept:
        raise first
    _write_index(out, config)
    return PreparedClips(out, tuple(made), tuple(kept), tuple(failures))


def _facts_of(source: ClipSource, config: PrepareConfig) -> ClipFacts:
    """All but the frames and the notes. What is held out is decided by content, so that it stays held out."""
    digest = digest_of(source.path)
    by_chance = "test" if config.held_out and int(digest[:8], 16) % config.held_out == 0 else "train"
    settings = json.dumps(asdict(replace(config, held_out=0)))
    return ClipFacts(
        name=source.name,
        source=source.path.name,
        digest=digest,
        kind=source.kind,
        split=source.split or by_chance,
        size=config.size,
        frames=(),
        notes=(),
        settings=settings,
        version=version("liquidwarp"),
    )


def _is_whole(out: Path, facts: ClipFacts) -> bool:
    """Whether this very clip is there; what another run with other settings left is thrown away."""
    folder = out / facts.name
    for name in ("clip.json", "clip.json.part"):
        if (folder / name).is_file():
            try:
                known = ClipFacts.read(folder / name)
            except LiquidWarpError:
                break
            same = (known.digest, known.kind, known.settings) == (facts.digest, facts.kind, facts.settings)
            if same and name == "clip.json":
                return True
            if same and known.format == facts.format:
                return False
            break
    if (folder / "clip.json").exists() or (folder / "clip.json.part").exists():
        for name in ("clip.json", "clip.json.part", "bodies.safetensors", "sheet.jpg"):
            (folder / name).unlink(missing_ok=True)
        for kind in KINDS:
            shutil.rmtree(folder / kind, ignore_errors=True)
    elif folder.exists() and any(folder.iterdir()):
        raise MediaError(f"{folder}: is in the way: expected a prepared clip or nothing there. Move it away.")
    return False


def _prepare_clip(source: ClipSource, facts: ClipFacts, folder: Path, tools: _Tools) -> None:
    material = _open_photos(source, tools) if source.kind == "photos" else _open_video(source, tools)
    facts = replace(facts, frames=material.frames, notes=material.recovery.notes)
    folder.mkdir(parents=True, exist_ok=True)
    _write_text(folder / "clip.json.part", facts.to_json())
    crops = _crops(material, tools)
    _store_pictures(material, crops, folder, tools)
    clip = _bodies(material, crops, folder, facts, tools.config.size)
    tensors = {name: getattr(clip, name) for name in Clip.__dataclass_fields__ if name not in ("folder", "facts")}
    save_tensors(folder / "bodies.safetensors", tensors, {"format": CLIP_FORMAT, "model": tools.model.name})
    save_image(folder / "sheet.jpg", clip_sheet(clip, tools.model))
    _write_text(folder / "clip.json", facts.to_json())
    (folder / "clip.json.part").unlink()


def _open_video(source: ClipSource, tools: _Tools) -> _Material:
    config, model, cache = tools.config, tools.model, tools.cache
    fps, limit = config.fps or None, config.limit or None
    recovery = recover_video(source.path, fps, limit, model, cache=cache, progress=tools.progress)
    usable = recovery.of_person.nonzero()[:, 0]
    chosen = usable[torch.linspace(0, len(usable) - 1, min(config.frames, len(usable))).round().long()].tolist()

    def pictures(wanted: Sequence[int]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        left = set(wanted)
        for index, frame in enumerate(open_frames(source.path, fps, limit)):
            if index in left:
                left.remove(index)
                yield frame
            if not left:
                return

    return _Material(recovery, tuple(chosen), pictures, is_video=True)


def _open_photos(source: ClipSource, tools: _Tools) -> _Material:
    files = find_images(source.path) if source.path.is_dir() else [source.path]
    recovery = recover_photos(files, tools.model, cache=tools.cache, progress=tools.progress)

    def pictures(wanted: Sequence[int]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        for index in wanted:
            yield read_image(files[index]).rgb

    return _Material(recovery, tuple(range(len(files))), pictures, is_video=False)


def _crops(material: _Material, tools: _Tools) -> list[Crop]:
    """A square around each frame's body, wide enough for hair and cloth as far as the coarse mask goes."""
    recovery, model = material.recovery, tools.model
    rest = model.rest(recovery.body.betas[None])
    crops = []
    for frame in material.frames:
        body = recovery.body[slice(frame, frame + 1)]
        points = body.camera.project(model.pose(rest, body.rel_rotmats).vertices)[0, :, :2]
        seen = recovery.detection(frame)
        rows, columns = np.nonzero(seen.masks[0])
        if len(rows):
            factor = seen.image_size[0] / seen.masks.width
            corners = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]]) * factor
            points = torch.cat([points, torch.from_numpy(corners).float()])
        crops.append(crop_around(points, tools.config.size, tools.config.margin))
    return crops


def _store_pictures(material: _Material, crops: Sequence[Crop], folder: Path, tools: _Tools) -> None:
    """Picture, matte and background of every kept frame; frames that an earlier run stored are not read again."""
    missing = [
        (frame, crop)
        for frame, crop in zip(material.frames, crops, strict=True)
        if not all(picture_path(folder, kind, frame).is_file() for kind in KINDS)
    ]
    if not missing:
        return
    scenery = list(_scenery(material)) if material.is_video else []
    pictures = material.pictures([frame for frame, _ in missing])
    bar = tqdm(missing, desc="Cutting out", unit="frame", disable=not tools.progress, leave=False)
    for (frame, crop), rgb in zip(bar, pictures, strict=True):
        seen = material.recovery.detection(frame)
        body = material.recovery.body[slice(frame, frame + 1)]
        covered = silhouette(tools.model, body, (rgb.shape[0], rgb.shape[1]))
        coarse = tools.detector.coarse_mask(rgb, seen)
        borders = limb_borders(tools.model, body, (rgb.shape[0], rgb.shape[1]))
        opacity = _tensor(matte(rgb, seen, coarse=coarse, body_mask=covered, borders=borders)[..., None])
        image, local = crop.take(_tensor(rgb)), crop.take(opacity, outside="zero").clamp(0, 1)
        behind = _background(image, local, crop, (_tensor(rgb), covered), scenery, tools.config.background)
        save_image(picture_path(folder, "images", frame), to_picture(image[0]))
        save_image(picture_path(folder, "backgrounds", frame), to_picture(behind[0]))
        save_image(picture_path(folder, "mattes", frame), to_picture(local[0])[..., 0])


def _scenery(material: _Material) -> Iterator[tuple[Float[Tensor, "1 3 H W"], Float[Tensor, "1 1 H W"]]]:
    """A few whole frames and where the person is in them."""
    spread = np.linspace(0, len(material.frames) - 1, min(_SCENERY, len(material.frames))).round().astype(int)
    frames = sorted({material.frames[place] for place in spread})
    for frame, rgb in zip(frames, material.pictures(frames), strict=True):
        mask = material.recovery.detection(frame).masks[0]
        yield _tensor(rgb), _tensor(person_area(mask, (rgb.shape[1], rgb.shape[0]))[..., None])


def _background(
    image: Float[Tensor, "1 3 S S"],
    opacity: Float[Tensor, "1 1 S S"],
    crop: Crop,
    whole: tuple[Float[Tensor, "1 3 H W"], Bool[np.ndarray, "H W"]],
    scenery: Sequence[tuple[Float[Tensor, "1 3 H W"], Float[Tensor, "1 1 H W"]]],
    quality: str,
) -> Float[Tensor, "1 3 S S"]:
    """The square without the person, from other frames where they show the same place."""
    body = crop.take(_tensor(whole[1][..., None]), outside="zero").clamp(0, 1)
    inside = crop.take(torch.ones_like(whole[0][:, :1]), outside="zero").clamp(0, 1)
    others = [(crop.take(rgb), crop.take(person, outside="zero").clamp(0, 1)) for rgb, person in scenery]
    images = torch.cat([image, *(rgb for rgb, _ in others)]).clamp(0, 1)
    mattes = torch.cat([opacity, *(person for _, person in others)])
    bodies = torch.cat([body, *(person for _, person in others)])
    return complete_background(images, mattes, bodies, inside.expand(len(images), -1, -1, -1), quality=quality)


def _bodies(material: _Material, crops: Sequence[Crop], folder: Path, facts: ClipFacts, size: int) -> Clip:
    """Bodies, landmarks and faces in the pixels of the squares."""
    recovery = material.recovery
    body = recovery.body[torch.tensor(material.frames)]
    camera = WeakPerspective.joined(crop.camera(body.camera[slice(i, i + 1)]) for i, crop in enumerate(crops))
    found = [recovery.detection(frame) for frame in material.frames]
    corners = torch.tensor([[crop.left, crop.top] for crop in crops], dtype=torch.float32)[:, None]
    factors = torch.tensor([crop.factor for crop in crops])[:, None, None]
    faces = (torch.cat([f.face_xy[:, list(EYES_AND_NOSE)] for f in found]) - corners) * factors
    span = (faces[:, 0] - faces[:, 2]).norm(dim=-1)
    inside = ((faces > 0) & (faces < size)).all((1, 2))
    seen = (torch.cat([f.face_score for f in found]) > 0.5) & inside & (span > LEAST_EYE_SPAN * camera.scale)
    return Clip(
        folder,
        facts,
        body.betas,
        body.rel_rotmats,
        camera.scale,
        camera.translation,
        faces,
        seen.float(),
        (torch.cat([f.xy for f in found]) - corners) * factors,
        torch.cat([f.visibility for f in found]),
        torch.tensor([[crop.left, crop.top, crop.side] for crop in crops]),
        torch.tensor([f.image_size for f in found]),
    )


def _tensor(picture: np.ndarray) -> Float[Tensor, "1 C H W"]:
    """Bytes become [0, 1]; other numbers stay."""
    tensor = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor.float()


def _write_index(out: Path, config: PrepareConfig) -> None:
    """``dataset.json``: what is in the folder now."""
    clips = [ClipFacts.read(path) for path in sorted(out.glob("*/clip.json"))]
    rows = [{"name": c.name, "split": c.split, "frames": len(c.frames), "kind": c.kind} for c in clips]
    facts = {"format": DATASET_FORMAT, "version": version("liquidwarp"), "settings": asdict(config), "clips": rows}
    _write_text(out / "dataset.json", json.dumps(facts, indent=2) + "\n")


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
