"""Clips that ``liquidwarp prepare`` wrote, held apart as videos are: see :mod:`liquidwarp.evaluate.held_out`.

A clip has some frames of its video, and of each the square around the person. The squares are laid back to where they
were in the frames, so that everything else goes the way of a video. What no photo's square shows is not known: behind
the person it is made up, and beyond a target's square nothing is compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, UInt8
from scipy import ndimage
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.errors import SettingError, WeightsCorruptError
from liquidwarp.evaluate.held_out import HeldOutVideo, Truth, held_out_pairs
from liquidwarp.evaluation_config import SelfEvaluation
from liquidwarp.flow.place.background import complete_background
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.crop import Crop
from liquidwarp.geometry.pictures import to_picture, to_tensor
from liquidwarp.learn.clips import Clip
from liquidwarp.recover.detection.detections import EYES_AND_NOSE, Detections, PackedMasks
from liquidwarp.recover.digitize import Recovery
from liquidwarp.recover.films.scenery import lay_over
from liquidwarp.recover.photos import SourcePhotos, hidden_places, silhouette
from liquidwarp.recover.views import choose_views

__all__ = ["hold_out_clip"]

_MASK = 384
"""Longer side of the masks that detections keep [px]."""


def hold_out_clip(
    folder: Path,
    settings: SelfEvaluation,
    model: BodyModel,
    max_frames: int | None = None,
    device: torch.device | str = "cpu",
    quality: str = "good",
) -> HeldOutVideo:
    """Read a prepared clip and hold frames of it apart.

    Args:
        folder: The clip's.
        settings: Numbers of sources and targets, size.
        model: The body.
        max_frames: Only what was kept of the video's first frames.
        device: Where the truth is wanted.
        quality: Of the completed background; see :func:`liquidwarp.flow.place.background.complete_background`.

    Raises:
        SettingError: too few frames were kept for these numbers, or the clip is of photos or of the first version.
        WeightsCorruptError: a file is missing or damaged, or belongs to another body.
    """
    footage = _Footage.of(Clip.load(folder), model)
    numbers = torch.tensor(footage.clip.facts.frames)
    usable = torch.ones(len(numbers), dtype=torch.bool) if max_frames is None else numbers < max_frames
    candidates = usable.nonzero()[:, 0]
    if len(candidates) <= settings.sources:
        raise SettingError(
            f"{folder}: expected more frames than the {settings.sources} sources, found {len(candidates)}. "
            "Take fewer sources, or prepare it with more frames."
        )
    sharpness = torch.zeros(len(numbers))
    for place in candidates.tolist():
        sharpness[place] = footage.sharpness(place)
    chosen = choose_views(model, footage.bodies, candidates, sharpness, settings.sources)
    try:
        pairs = held_out_pairs(usable, chosen, settings.targets // 2, settings.gap, numbers).flatten()
    except SettingError as error:
        raise SettingError(f"{folder}: {error}") from error
    photos, targets = footage.photos(chosen), footage.photos(pairs)
    known = [footage.known(place) for place in pairs.tolist()]
    black = tuple(picture * k[..., None] for picture, k in zip(targets.pictures, known, strict=True))
    truth = Truth.of(model, replace(targets, pictures=black), settings.size, device, known)
    background = footage.background(photos, chosen, quality)
    sources, wanted = (tuple(numbers[places].tolist()) for places in (chosen, pairs))
    return HeldOutVideo(folder, len(candidates), sources, wanted, photos, truth, background)


@dataclass(frozen=True)
class _Footage:
    """A clip's squares, seen as whole frames."""

    clip: Clip
    model: BodyModel
    crops: tuple[Crop, ...]
    sizes: tuple[tuple[int, int], ...]
    """(width, height) of the frames [px]."""
    bodies: BodyParams
    """Cameras in the frames' pixels."""
    landmarks: Float[Tensor, "T 33 2"]
    """In the frames' pixels."""
    visibility: Float[Tensor, "T 33"]
    faces: Float[Tensor, "T 5 2"]
    """In the frames' pixels."""

    @staticmethod
    def of(clip: Clip, model: BodyModel) -> "_Footage":
        """Bring everything from the squares to the frames."""
        folder, size = clip.folder, clip.facts.size
        if clip.facts.kind != "video":
            raise SettingError(f"{folder}: expected the frames of a video, got photos, which need not share a place.")
        if clip.squares is None or clip.frame_sizes is None or clip.landmarks is None or clip.visibility is None:
            raise SettingError(
                f"{folder}: was prepared by an earlier version, which did not keep where the squares are in the "
                "frames. It still serves for training; to evaluate, delete this folder and prepare the clip again."
            )
        if clip.betas.shape[0] != len(model.beta_names) or clip.rel_rotmats.shape[1] != len(model.parents):
            raise WeightsCorruptError(f"{folder}: was prepared with another body. Prepare it again.")
        crops = tuple(Crop(left, top, side, size) for left, top, side in clip.squares.tolist())
        places = [slice(place, place + 1) for place in range(len(clip))]
        local = [WeakPerspective(clip.scale[place], clip.translation[place]) for place in places]
        camera = WeakPerspective.joined(crop.uncrop_camera(c) for crop, c in zip(crops, local, strict=True))
        corners, sides = clip.squares[:, None, :2].float(), clip.squares[:, None, 2:].float()
        return _Footage(
            clip,
            model,
            crops,
            tuple((width, height) for width, height in clip.frame_sizes.tolist()),
            BodyParams(clip.betas, clip.rel_rotmats, camera),
            clip.landmarks * sides / size + corners,
            clip.visibility,
            clip.face_landmarks * sides / size + corners,
        )

    def sharpness(self, place: int) -> float:
        """Of the person in the stored square; see :func:`liquidwarp.recover.views.choose_views`."""
        size = self.clip.facts.size
        image, matte = (self.clip.picture(kind, place, size) for kind in ("images", "mattes"))
        edges = cv2.Laplacian(image.mean(0).numpy() * 255, cv2.CV_32F)
        person = matte[0].numpy() > 0.5
        return float(np.log((edges[person].var() if person.any() else 0.0) + 1e-6))

    def known(self, place: int) -> Bool[np.ndarray, "H W"]:
        """Where the square shows the frame."""
        rows, columns = self._window(place)
        side = self.crops[place].side
        down, across = ((axis >= 0) & (axis < side) for axis in (rows, columns))
        return np.asarray((down[:, None] & across[None]).numpy())

    def photos(self, places: Int64[Tensor, "S"]) -> SourcePhotos:
        """Some frames, as if they were photos; beyond the square its border is repeated."""
        indices = places.tolist()
        pictures = tuple(self._frame("images", place) for place in indices)
        mattes = tuple(self._frame("mattes", place)[..., 0] * self.known(place) for place in indices)
        parts = tuple(self._detections(place, matte) for place, matte in zip(indices, mattes, strict=True))
        body = self.bodies[places]
        everything = torch.ones(len(places), dtype=torch.bool)
        seen = everything[:, None].expand(-1, body.rel_rotmats.shape[1])
        recovery = Recovery(body, parts, everything, seen, 0.0, self.clip.facts.notes)
        silhouettes = tuple(
            silhouette(self.model, body[slice(i, i + 1)], picture.shape[:2]) for i, picture in enumerate(pictures)
        )
        alphas = (None,) * len(places)
        return SourcePhotos(self.clip.facts.name, pictures, alphas, recovery, mattes, silhouettes)

    def background(self, photos: SourcePhotos, places: Int64[Tensor, "S"], quality: str) -> UInt8[np.ndarray, "H W 3"]:
        """The place without the person, as far as the photos show it, in the first one's frame.

        Args:
            photos: The sources.
            places: Which frames they are.
            quality: "good" or "draft".
        """
        first, *others = photos.pictures
        known = [self.known(place) for place in places.tolist()]
        hidden = [~k | place for k, place in zip(known, hidden_places(photos), strict=True)]
        moved = [lay_over(first, hidden[0], picture, h) for picture, h in zip(others, hidden[1:], strict=True)]
        shown = [pair for pair in moved if pair is not None]
        crop = self.crops[int(places[0])]
        completed = self._completed(crop, photos, shown, quality)
        whole, filled = self._laid_back(completed, int(places[0])), known[0].copy()
        for picture, h in shown:
            new = ~filled & ~h
            whole[new] = picture[new]
            filled |= new
        if filled.all():
            return whole
        nearest = ndimage.distance_transform_edt(~filled, return_distances=False, return_indices=True)
        return np.asarray(whole[tuple(nearest)])

    def _completed(
        self,
        crop: Crop,
        photos: SourcePhotos,
        others: Sequence[tuple[UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"]]],
        quality: str,
    ) -> Float[Tensor, "1 3 S S"]:
        """The first photo's square without the person."""
        hidden = [np.uint8(255) * h for _, h in others]
        images = torch.cat([crop.take(to_tensor(p)) for p in (photos.pictures[0], *(p for p, _ in others))])
        mattes, bodies = (
            torch.cat([crop.take(to_tensor(layer[..., None]), outside="zero") for layer in (own, *hidden)]).clamp(0, 1)
            for own in (photos.mattes[0], np.uint8(255) * photos.silhouettes[0])
        )
        inside = crop.take(torch.ones(1, 1, *photos.mattes[0].shape), outside="zero").clamp(0, 1)
        inside = inside.expand(len(images), -1, -1, -1)
        return complete_background(images.clamp(0, 1), mattes, bodies, inside, quality=quality)

    def _detections(self, place: int, matte: UInt8[np.ndarray, "H W"]) -> Detections:
        """What the clip keeps of them: landmarks of the body and the five of a face."""
        width, height = self.sizes[place]
        face = torch.zeros(1, 468, 2)
        face[0, list(EYES_AND_NOSE)] = self.faces[place]
        shrunk = min(1.0, _MASK / max(width, height))
        size = max(1, round(width * shrunk)), max(1, round(height * shrunk))
        mask = cv2.resize(matte, size, interpolation=cv2.INTER_AREA) > 127
        return Detections(
            found=torch.ones(1, dtype=torch.bool),
            xy=self.landmarks[place][None],
            world=torch.zeros(1, 33, 3),
            visibility=self.visibility[place][None],
            hands_xy=torch.zeros(1, 2, 21, 2),
            hands_world=torch.zeros(1, 2, 21, 3),
            hands_score=torch.zeros(1, 2),
            face_xy=face,
            face_score=self.clip.face_seen[place][None],
            masks=PackedMasks.pack(np.asarray(mask)[None]),
            image_size=(width, height),
            fps=0.0,
        )

    def _window(self, place: int) -> tuple[Int64[Tensor, "H"], Int64[Tensor, "W"]]:
        """Where the frame's rows and columns are in the square, in the frame's pixels."""
        crop, (width, height) = self.crops[place], self.sizes[place]
        return torch.arange(height) - crop.top, torch.arange(width) - crop.left

    def _frame(self, kind: str, place: int) -> UInt8[np.ndarray, "H W C"]:
        return self._laid_back(self.clip.picture(kind, place, self.clip.facts.size)[None], place)

    def _laid_back(self, square: Float[Tensor, "1 C S S"], place: int) -> UInt8[np.ndarray, "H W C"]:
        """A frame with the square in its place, whose border is repeated around it."""
        side = self.crops[place].side
        rows, columns = (axis.clamp(0, side - 1) for axis in self._window(place))
        # antialias picks the cubic kernel that reproduces gradients exactly (a = -0.5), also when enlarging
        enlarged = F.interpolate(square, (side, side), mode="bicubic", align_corners=False, antialias=True)
        return to_picture(enlarged[0][:, rows][:, :, columns])
