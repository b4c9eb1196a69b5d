"""What stands behind the person: the photo's own place, a picture, a film, or nothing.

It gives one picture per frame of the result, and says how much light a person's feet take from its ground.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice, repeat
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.cache import Cache, digest_of, digest_of_tensors
from liquidwarp.flow.place.background import background_hole, complete_background
from liquidwarp.flow.place.contact import contact_light, measured_shade
from liquidwarp.flow.place.shadow import find_shadow
from liquidwarp.geometry.masks import dilate
from liquidwarp.geometry.pictures import to_tensor
from liquidwarp.media import open_frames
from liquidwarp.recover.photos import SourcePhotos

__all__ = ["SHADE", "Backdrop", "Film", "Nothing", "OwnPlace", "Still", "fit_picture"]

_OWN = "background-7"
SHADE = 0.35
"""How much light feet take from a ground of which nothing is known."""
_SHADES = (0.2, 0.5)
"""The least and the most, taken from a cast shadow in the photo."""
_BESIDE = 0.004
"""So far around the person its edge is mixed with the ground, relative to the picture's height."""


@runtime_checkable
class Backdrop(Protocol):
    """What stands behind the person."""

    @property
    def transparent(self) -> bool:
        """Whether there is nothing, so that results need an opacity."""
        ...

    @property
    def front(self) -> UInt8[np.ndarray, "H W"] | None:
        """Opacity of what of its picture stands before the person; None: nothing."""
        ...

    def still(self) -> UInt8[np.ndarray, "H W 3"]:
        """Its first frame; black where there is nothing."""
        ...

    def foot_shade(self) -> float:
        """How much light feet take from its ground, 0..1; 0: it has no ground."""
        ...

    def fingerprint(self) -> str:
        """Names it by content."""
        ...

    def frames(self, fps: float, start: int = 0) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Its pictures at ``fps`` frames per second, from number ``start`` on; they never end."""
        ...


@dataclass(frozen=True)
class Still:
    """One picture: for a colour, another place, or the photo's own place."""

    picture: UInt8[np.ndarray, "H W 3"]
    shade: float = 0.0
    """How much light feet take from its ground."""
    transparent: bool = False
    front: UInt8[np.ndarray, "H W"] | None = None

    def still(self) -> UInt8[np.ndarray, "H W 3"]:
        """The picture."""
        return self.picture

    def foot_shade(self) -> float:
        """As given."""
        return self.shade

    def fingerprint(self) -> str:
        """Names it by content."""
        return f"{digest_of_tensors(torch.from_numpy(np.ascontiguousarray(self.picture)))}-{self.shade:.3f}"

    def frames(self, fps: float, start: int = 0) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The picture, again and again."""
        return repeat(self.picture)


@dataclass(frozen=True)
class Nothing:
    """No background: the result is transparent around the person."""

    size: tuple[int, int]
    """(width, height) [px]."""
    transparent: bool = True
    front: None = None

    def still(self) -> UInt8[np.ndarray, "H W 3"]:
        """Black."""
        return np.zeros((self.size[1], self.size[0], 3), np.uint8)

    def foot_shade(self) -> float:
        """There is no ground."""
        return 0.0

    def fingerprint(self) -> str:
        """The same for all."""
        return "transparent"

    def frames(self, fps: float, start: int = 0) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Black."""
        return repeat(self.still())


@dataclass(frozen=True)
class Film:
    """A video, brought to the size and the frame rate of the result."""

    path: Path
    size: tuple[int, int]
    """(width, height) of the result [px]."""
    ending: Literal["loop", "hold"] = "loop"
    """After its last frame it begins again, or stands still."""
    shade: float = SHADE
    """How much light feet take from its ground."""
    transparent: bool = False
    front: None = None

    def still(self) -> UInt8[np.ndarray, "H W 3"]:
        """The first frame."""
        return fit_picture(next(iter(open_frames(self.path))), self.size)

    def foot_shade(self) -> float:
        """As given."""
        return self.shade

    def fingerprint(self) -> str:
        """Names it by the file's content."""
        return f"{digest_of(self.path)}-{self.ending}-{self.shade:.3f}"

    def frames(self, fps: float, start: int = 0) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Frame t is what the film shows at t / fps seconds."""
        film = open_frames(self.path, fps)
        begin = start % len(film) if self.ending == "loop" else min(start, len(film) - 1)
        last = self.still()
        for turn in count():
            for frame in islice(iter(film), begin if turn == 0 else 0, None):
                last = fit_picture(frame, self.size)
                yield last
            if self.ending == "hold":
                yield from repeat(last)


@dataclass(frozen=True)
class OwnPlace:
    """The place of the first photo, without the person: completed when it is first looked at."""

    photos: SourcePhotos
    quality: Literal["good", "draft"]
    """See :class:`liquidwarp.config.SynthesisConfig`."""
    cache: Cache
    """Where the completed picture is kept."""
    model: BodyModel
    """Of the body that stands there."""
    transparent: bool = False

    @property
    def front(self) -> UInt8[np.ndarray, "H W"] | None:
        """Other people who stand before the person."""
        return self.photos.front

    def still(self) -> UInt8[np.ndarray, "H W 3"]:
        """The photo without the person."""
        return self._completed.picture

    def foot_shade(self) -> float:
        """As dark as the ground at the feet in the photo, or as a cast shadow in it, if either can be seen."""
        return self._completed.shade

    def fingerprint(self) -> str:
        """Names it by content."""
        return self._completed.fingerprint()

    def frames(self, fps: float, start: int = 0) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The picture, again and again."""
        return self._completed.frames(fps, start)

    @cached_property
    def _completed(self) -> Still:
        """Further pictures may show what the person hides in the first one."""
        photos = self.photos
        pictures = [photos.pictures[0]] + [picture for picture, _ in photos.scenery]
        silhouettes = [np.uint8(255) * person for person in (photos.occupied(0), *(p for _, p in photos.scenery))]
        mattes = [photos.mattes[0], *silhouettes[1:]]
        others = [] if photos.others is None else [photos.others]
        arrays = (torch.from_numpy(array) for array in (*pictures, *mattes, *silhouettes, *others))
        body = photos.recovery.body[slice(0, 1)].to("cpu")
        stands = (body.betas, body.rel_rotmats, body.camera.scale, body.camera.translation)
        state = digest_of_tensors(*arrays, *stands)
        key = self.cache.key(_OWN, settings={"quality": self.quality, "state": state})
        known = self.cache.load(key)
        if known is None:
            opacities = torch.cat([to_tensor(opacity[..., None]) for opacity in mattes])
            bodies = torch.cat([to_tensor(body[..., None]) for body in silhouettes])
            images = torch.cat([to_tensor(picture) for picture in pictures])
            kept = None if photos.others is None else to_tensor(photos.others[..., None])
            completed = complete_background(images, opacities, bodies, quality=self.quality, others=kept)[0]
            hole = background_hole(opacities[:1], bodies[:1])[0, 0].numpy()
            shadow = find_shadow(images[0].permute(1, 2, 0).numpy(), hole)
            shade = self._shade(body, images[0], completed, opacities[0, 0], torch.from_numpy(hole > 0))
            if shade is None:
                shade = SHADE if shadow is None else float(np.clip(shadow.strength, *_SHADES))
            pixels = (completed * 255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous()
            known = {"background": pixels}, {"shade": str(shade)}
            self.cache.save(key, *known)
        return Still(known[0]["background"].numpy(), float(known[1]["shade"]))

    def _shade(
        self,
        body: BodyParams,
        photo: Float[Tensor, "3 H W"],
        place: Float[Tensor, "3 H W"],
        opacity: Float[Tensor, "H W"],
        hole: Bool[Tensor, "H W"],
    ) -> float | None:
        """How dark the ground is at the feet in the first photo; None: that cannot be told."""
        posed = self.model.pose(self.model.rest(body.betas[None]), body.rel_rotmats)
        lowest = body.camera.project(posed.vertices)[..., 1].amax(1)
        height, width = opacity.shape
        light = contact_light(self.model, body, lowest, (width, height), 1.0)[0]
        occupied = torch.from_numpy(self.photos.occupied(0) > 0)
        person = ((opacity > 0) | occupied)[None, None].float()
        beside = dilate(person, max(1, round(_BESIDE * height)))[0, 0] > 0
        return measured_shade(photo, place, light, hole & ~beside)


def fit_picture(picture: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """Scale and centre-crop a picture to fill ``size`` (width, height)."""
    if picture.shape[1::-1] == tuple(size):
        return picture
    return np.array(ImageOps.fit(Image.fromarray(picture), size, Image.Resampling.LANCZOS))
