"""What synthetic people wear: garments bound to the body, textures, skins, eyes, background photos.

``scripts/build_wardrobe.py`` writes the files and describes them. A garment's vertex is the weighted mean of its six
nearest body vertices plus an offset, so it follows every shape of the body; its skinning weights are theirs.
"""

import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from PIL import Image, ImageFilter, UnidentifiedImageError
from safetensors import safe_open
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.errors import SettingError, WeightsCorruptError, WeightsNotFoundError

__all__ = ["KINDS", "Garment", "MakeHumanBody", "Textures", "Wardrobe"]

KINDS = ("eyes", "eyebrows", "shoes", "trousers", "skirt", "suit", "top", "dress", "coat", "hair", "hat")
"""From the skin outwards: where two overlap, the later one is drawn over the earlier one."""

_FORMAT = "liquidwarp-wardrobe-1"
_HANGING = ("skirt", "dress", "coat")
"""What swings as one, with smoothed skinning weights."""
_FINE = ("hair", "eyebrows", "eyes")
"""What may be half transparent."""
_HELD_OUT_EVERY = 5
"""Each so many-th of the names, in the order of their checksums, is never shown in training."""
_BASE_VERTICES = 19158
"""Of MakeHuman's base mesh."""


class MakeHumanBody(BodyModel, Protocol):
    """A body whose vertices are known to MakeHuman, so that its garments fit."""

    makehuman_vertex: Int64[Tensor, "V"]
    """Index of each vertex in MakeHuman's base mesh."""


@dataclass(frozen=True)
class Textures:
    """Images of several sizes in one tensor, sampled together."""

    pixels: UInt8[Tensor, "P 4"]
    """RGBA rows of all images, one after the other."""
    first: Int64[Tensor, "N"]
    """Where each image starts."""
    size: Int64[Tensor, "N 2"]
    """(width, height) of each image [px]."""

    @staticmethod
    def of(images: Sequence[UInt8[np.ndarray, "_ _ 4"]]) -> "Textures":
        """Put RGBA images together."""
        sizes = torch.tensor([image.shape[1::-1] for image in images]).view(-1, 2)
        ends = sizes.prod(1).cumsum(0)
        flat = np.concatenate([image.reshape(-1, 4) for image in images])
        return Textures(torch.from_numpy(flat), ends - sizes.prod(1), sizes)

    def to(self, device: torch.device | str) -> "Textures":
        """The same on another device."""
        return Textures(self.pixels.to(device), self.first.to(device), self.size.to(device))

    def _at(self, image: Int64[Tensor, "N"], x: Tensor, y: Tensor) -> Tensor:
        size = self.size[image]
        column = x.long().clamp(min=0).minimum(size[:, 0] - 1)
        row = y.long().clamp(min=0).minimum(size[:, 1] - 1)
        return self.pixels[self.first[image] + row * size[:, 0] + column]

    def sample(self, image: Int64[Tensor, "N"], uv: Float[Tensor, "N 2"]) -> Float[Tensor, "N 4"]:
        """Bilinear RGBA in [0, 1] at texture positions (u right, v up, repeating)."""
        x, y = self._pixel(image, uv)
        left, top = (x - 0.5).floor(), (y - 0.5).floor()
        right_share, low_share = (x - 0.5 - left)[:, None], (y - 0.5 - top)[:, None]
        upper = torch.lerp(self._at(image, left, top).float(), self._at(image, left + 1, top).float(), right_share)
        lower = torch.lerp(
            self._at(image, left, top + 1).float(), self._at(image, left + 1, top + 1).float(), right_share
        )
        return torch.lerp(upper, lower, low_share) / 255

    def opacity(self, image: Int64[Tensor, "N"], uv: Float[Tensor, "N 2"]) -> Float[Tensor, "N"]:
        """Alpha in [0, 1] of the nearest texel."""
        return self._at(image, *self._pixel(image, uv))[:, 3].float() / 255

    def _pixel(self, image: Int64[Tensor, "N"], uv: Float[Tensor, "N 2"]) -> tuple[Tensor, Tensor]:
        size = self.size[image]
        return uv[:, 0].remainder(1) * size[:, 0], (1 - uv[:, 1]).remainder(1) * size[:, 1]


@dataclass(frozen=True)
class Garment:
    """Anything that is worn: clothes, shoes, hair, eyebrows, and the eyes."""

    name: str
    kind: str
    body_index: Int64[Tensor, "N 6"]
    """Body vertices that carry each vertex."""
    body_weight: Float[Tensor, "N 6"]
    """Their shares; rows sum to 1."""
    offset: Float[Tensor, "N 3"]
    """From their mean to the vertex at rest [m]."""
    joint_weights: Float[Tensor, "N J"]
    """Skinning weights."""
    faces: Int64[Tensor, "M 3"]
    corner_uv: Float[Tensor, "M 3 2"]
    hides: Bool[Tensor, "F"]
    """The body's faces that lie under it."""
    cutout: Bool[Tensor, "M"]
    """Faces with holes in their texture."""
    texture: int
    """Index into the wardrobe's textures; -1 where the person brings it (eyes)."""


@dataclass(frozen=True)
class Wardrobe:
    """All items of one split, and the textures of all."""

    garments: tuple[Garment, ...]
    textures: Textures
    skins: dict[str, int]
    """Name to texture."""
    eyes: dict[str, int]
    """Name to texture."""
    backgrounds: UInt8[Tensor, "N 3 H W"]
    background_names: tuple[str, ...]
    prints: tuple[int, ...]
    """Textures of the same photos, small, for prints on clothes."""

    def of_kind(self, *kinds: str) -> tuple[Garment, ...]:
        """The items of these kinds."""
        return tuple(garment for garment in self.garments if garment.kind in kinds)

    def named(self, name: str) -> Garment:
        """One item.

        Raises:
            SettingError: no such item.
        """
        for garment in self.garments:
            if garment.name == name:
                return garment
        known = ", ".join(garment.name for garment in self.garments)
        raise SettingError(f"garment {name!r} is not in the wardrobe; expected one of: {known}.")

    def split(self, name: str) -> "Wardrobe":
        """The items for training ("train"), those kept for evaluation ("held_out"), or "all".

        Every fifth item of a kind is held out, in the order of a hash of the names, so that adding an item moves no
        other one often. A kind with fewer than three items belongs to training alone, the eyes and eyebrows to both.

        Raises:
            SettingError: another name.
        """
        if name not in ("train", "held_out", "all"):
            raise SettingError(f"split {name!r}: expected train, held_out or all.")
        if name == "all":
            return self
        held_out = {"train": False, "held_out": True}[name]
        face = [garment for garment in self.garments if garment.kind in ("eyes", "eyebrows")]
        worn = [
            garment
            for kind in KINDS
            if kind not in ("eyes", "eyebrows")
            for garment in self.of_kind(kind)
            if (garment.name in _held_out([g.name for g in self.of_kind(kind)])) == held_out
        ]
        photos = [
            index
            for index, photo in enumerate(self.background_names)
            if (_place(photo) in _held_out([_place(other) for other in self.background_names])) == held_out
        ]
        skins = {key: texture for key, texture in self.skins.items() if (key in _held_out(self.skins)) == held_out}
        return replace(
            self,
            garments=(*face, *worn),
            skins=skins,
            backgrounds=self.backgrounds[photos],
            background_names=tuple(self.background_names[index] for index in photos),
            prints=tuple(self.prints[index] for index in photos),
        )

    @staticmethod
    def load(folder: str | Path, model: MakeHumanBody, background_size: int = 512) -> "Wardrobe":
        """Read the files of ``scripts/build_wardrobe.py`` for ``model``, onto the CPU.

        Args:
            folder: Where they are.
            model: The body to dress.
            background_size: Side of the background photos [px].

        Raises:
            WeightsNotFoundError: no wardrobe there.
            WeightsCorruptError: of another format.
        """
        path = Path(folder) / "wardrobe.safetensors"
        if not path.is_file():
            raise WeightsNotFoundError(f"{path}: no wardrobe. Build it with scripts/build_wardrobe.py.")
        reader = _Reader(model)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise WeightsCorruptError(f"{path}: expected format {_FORMAT}, found {metadata.get('format')}.")
            for item in json.loads(metadata["items"]):
                prefix = f"garment/{item['name']}/"
                parts = {key: file.get_tensor(prefix + key) for key in _PARTS}
                own = f"texture/{item['name']}"
                texture = _decode(file.get_tensor(own)) if own in file.keys() else None  # noqa: SIM118
                reader.add_garment(item["name"], item["kind"], parts, texture)
            keys = sorted(file.keys())
            skins = {n[5:]: reader.add_image(_decode(file.get_tensor(n))) for n in keys if n.startswith("skin/")}
            eyes = {n[5:]: reader.add_image(_decode(file.get_tensor(n))) for n in keys if n.startswith("eyes/")}
        photos, names = _load_backgrounds(Path(folder) / "backgrounds.safetensors", background_size)
        prints = tuple(reader.add_image(_small(photo)) for photo in photos)
        return Wardrobe(tuple(reader.garments), Textures.of(reader.images), skins, eyes, photos, names, prints)

    def to(self, device: torch.device | str) -> "Wardrobe":
        """The same on another device."""
        return replace(
            self,
            garments=tuple(_move(garment, device) for garment in self.garments),
            textures=self.textures.to(device),
            backgrounds=self.backgrounds.to(device),
        )


_PARTS = ("body_index", "body_weight", "offset", "faces", "corner_uv", "hidden")


class _Reader:
    """Collects garments and images while a wardrobe is read."""

    def __init__(self, model: MakeHumanBody) -> None:
        self.model = model
        base_vertex = model.makehuman_vertex.cpu()
        self.vertex_of_base = torch.full((_BASE_VERTICES,), -1)
        self.vertex_of_base[base_vertex] = torch.arange(len(base_vertex))
        self.garments: list[Garment] = []
        self.images: list[UInt8[np.ndarray, "_ _ 4"]] = []

    def add_image(self, image: UInt8[np.ndarray, "H W 4"]) -> int:
        self.images.append(_bleed(image))
        return len(self.images) - 1

    def add_garment(
        self, name: str, kind: str, parts: dict[str, Tensor], image: UInt8[np.ndarray, "H W 4"] | None
    ) -> None:
        body_index = self.vertex_of_base[parts["body_index"].long()]
        body_weight = parts["body_weight"].float()
        body_weight = body_weight / body_weight.sum(1, keepdim=True)
        faces, corner_uv = parts["faces"].long(), parts["corner_uv"].float()
        weights = (self.model.lbs_weights[body_index] * body_weight[..., None]).sum(1)
        if kind in _HANGING:
            weights = _smoothed(weights, faces, rounds=25)
        hidden = torch.zeros(len(self.vertex_of_base), dtype=torch.bool)
        hidden[parts["hidden"].long()] = True
        hides = hidden[self.model.makehuman_vertex][self.model.faces].all(1)
        if image is not None and kind not in _FINE:
            image = _opaque(image)
        texture = -1 if image is None else self.add_image(image)
        cutout = torch.zeros(len(faces), dtype=torch.bool) if image is None else _has_holes(image, corner_uv)
        self.garments.append(
            Garment(
                name,
                kind,
                body_index,
                body_weight,
                parts["offset"].float(),
                weights,
                faces,
                corner_uv,
                hides,
                cutout,
                texture,
            )
        )


def _opaque(image: UInt8[np.ndarray, "H W 4"]) -> UInt8[np.ndarray, "H W 4"]:
    """Cloth is there or not: through half transparent cloth one would look into the body, which it hides."""
    alpha = ((image[..., 3:].astype(np.float32) - 48) * 8).clip(0, 255)
    return np.concatenate([image[..., :3], alpha.astype(np.uint8)], 2)


def _place(photo: str) -> str:
    """The place where a background was taken: crops of one panorama share it."""
    return photo.rsplit("_", 1)[0]


def _held_out(names: Sequence[str] | dict[str, int]) -> set[str]:
    """The names that are kept for evaluation."""
    ordered = sorted(set(names), key=lambda name: zlib.crc32(name.encode()))
    return set(ordered[2::_HELD_OUT_EVERY]) if len(ordered) >= 3 else set()


def _smoothed(weights: Float[Tensor, "N J"], faces: Int64[Tensor, "M 3"], rounds: int) -> Float[Tensor, "N J"]:
    """Average over the neighbours again and again: a skirt then swings as one instead of tearing between the legs."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = torch.cat([edges, edges.flip(1)])
    count = torch.zeros(len(weights)).index_add_(0, edges[:, 0], torch.ones(len(edges)))
    for _ in range(rounds):
        around = torch.zeros_like(weights).index_add_(0, edges[:, 0], weights[edges[:, 1]])
        weights = 0.5 * weights + 0.5 * around / count.clamp(min=1)[:, None]
    return weights / weights.sum(1, keepdim=True)


def _has_holes(image: UInt8[np.ndarray, "H W 4"], corner_uv: Float[Tensor, "M 3 2"]) -> Bool[Tensor, "M"]:
    """Faces over which some texel is not opaque."""
    if image[..., 3].min() > 250:
        return torch.zeros(len(corner_uv), dtype=torch.bool)
    textures = Textures.of([image])
    middle = corner_uv.mean(1, keepdim=True)
    points = torch.cat([middle, corner_uv, torch.lerp(corner_uv, middle, 0.4)], 1)
    points = torch.cat([points, (corner_uv + corner_uv.roll(1, 1)) / 2], 1)
    flat = points.reshape(-1, 2)
    opacity = textures.opacity(torch.zeros(len(flat), dtype=torch.int64), flat)
    return opacity.view(len(corner_uv), -1).amin(1) < 0.98


def _decode(data: UInt8[Tensor, "N"]) -> UInt8[np.ndarray, "H W 4"]:
    """Encoded bytes to RGBA."""
    try:
        image = Image.open(io.BytesIO(data.numpy().tobytes())).convert("RGBA")
    except UnidentifiedImageError as error:
        raise WeightsCorruptError("wardrobe: a texture cannot be decoded. Build the wardrobe again.") from error
    return np.asarray(image, np.uint8)


def _bleed(image: UInt8[np.ndarray, "H W 4"]) -> UInt8[np.ndarray, "H W 4"]:
    """Carry colour from opaque texels outwards, so that the edge of a strand is not tinted by what lies beside it."""
    alpha = image[..., 3:].astype(np.float32) / 255
    if alpha.min() > 0.98:
        return image
    colour = image[..., :3].astype(np.float32)
    blur = ImageFilter.GaussianBlur(6)
    weighted = np.concatenate([colour * alpha, alpha * 255], 2).round().astype(np.uint8)
    blurred = np.asarray(Image.fromarray(weighted).filter(blur), np.float32)
    mean = colour[alpha[..., 0] > 0.5].mean(0)
    share = blurred[..., 3:] / 255
    spread = (blurred[..., :3] + mean * 0.02) / (share + 0.02)
    mixed = colour * alpha + spread * (1 - alpha)
    return np.concatenate([mixed.clip(0, 255), image[..., 3:]], 2).astype(np.uint8)


def _load_backgrounds(path: Path, size: int) -> tuple[UInt8[Tensor, "N 3 H W"], tuple[str, ...]]:
    if not path.is_file():
        raise WeightsNotFoundError(f"{path}: no backgrounds. Build them with scripts/build_wardrobe.py --backgrounds.")
    with safe_open(path, framework="pt") as file:
        names = tuple(sorted(file.keys()))
        decoded = [Image.fromarray(_decode(file.get_tensor(name))).convert("RGB") for name in names]
    photos = np.stack([np.asarray(photo.resize((size, size), Image.Resampling.BOX)) for photo in decoded])
    return torch.from_numpy(photos).permute(0, 3, 1, 2).contiguous(), names


def _small(photo: UInt8[Tensor, "3 H W"], size: int = 128) -> UInt8[np.ndarray, "h w 4"]:
    """An RGBA thumbnail."""
    image = Image.fromarray(photo.permute(1, 2, 0).numpy()).convert("RGBA")
    return np.asarray(image.resize((size, size), Image.Resampling.BOX), np.uint8)


def _move(garment: Garment, device: torch.device | str) -> Garment:
    moved = {
        name: value.to(device)
        for name in garment.__dataclass_fields__
        if isinstance(value := getattr(garment, name), Tensor)
    }
    return replace(garment, **moved)  # type: ignore[arg-type]
