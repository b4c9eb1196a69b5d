"""Real videos held apart: some frames are the photos, others are what must be synthesized, in pairs of neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.cache import Cache
from liquidwarp.config import DetectConfig, FitConfig
from liquidwarp.errors import SettingError
from liquidwarp.evaluation_config import SelfEvaluation
from liquidwarp.geometry.crop import Crop, crop_around
from liquidwarp.geometry.pictures import to_tensor
from liquidwarp.learn.scores import Pictures
from liquidwarp.metrics import box_region, temporal_error
from liquidwarp.recover.detection.choice import PersonChoice
from liquidwarp.recover.detection.detections import EYES_AND_NOSE, LEAST_EYE_SPAN
from liquidwarp.recover.digitize import recover_video
from liquidwarp.recover.photos import SourcePhotos, photos_of_video, scenery_of_photos
from liquidwarp.recover.views import views_of_video
from liquidwarp.renderers import DrawnFrame, NetworkRenderer
from liquidwarp.synthesizer import SourceBank

__all__ = ["HeldOutVideo", "Truth", "detail_boxes", "held_out_pairs", "hold_out"]

_MARGIN = 0.1
"""Free space on each side of the person in a window, in the person's larger extent."""
_FACE_HALF, _HAND_HALF = 0.15, 0.13
"""Half the sides of the enlarged squares [m]."""
_HANDS = ((15, 17, 19, 21), (16, 18, 20, 22))
"""(left, right) wrist, little finger, index and thumb among the landmarks."""


@dataclass(frozen=True)
class HeldOutVideo:
    """A video, its photos, and the truth that they are compared with."""

    path: Path
    """Of the video, or of the prepared clip."""
    frames: int
    sources: tuple[int, ...]
    """Frame numbers of the photos."""
    targets: tuple[int, ...]
    """Frame numbers of the truth."""
    photos: SourcePhotos
    truth: "Truth"
    background: UInt8[np.ndarray, "H W 3"] | None = None
    """What the photos show of the place behind the person, completed; None: what the first of them shows."""


def hold_out(
    path: Path,
    settings: SelfEvaluation,
    model: BodyModel,
    cache: Cache,
    max_frames: int | None = None,
    person: PersonChoice = None,
    device: torch.device | str = "cpu",
) -> HeldOutVideo:
    """Recover a video and hold frames of it apart.

    Args:
        path: The video.
        settings: Numbers of sources and targets, size, whether frames are aligned by their colours.
        model: The body.
        cache: Where what is found is kept.
        max_frames: Only the first frames.
        person: Who, if several people are in view.
        device: Where the truth is wanted.

    Raises:
        SettingError: the video is too short for these numbers.
        MediaError: it cannot be read.
        NoPersonFoundError: nobody in it.
    """
    fit = (DetectConfig(), FitConfig(photometric=settings.photometric))
    recovery = recover_video(path, max_frames=max_frames, model=model, person=person, cache=cache, settings=fit)
    chosen = views_of_video(path, recovery, settings.sources, model, cache)
    try:
        pairs = held_out_pairs(recovery.of_person, chosen, settings.targets // 2, settings.gap).flatten()
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from error
    photos, targets = (photos_of_video(path, recovery, frames, model, cache) for frames in (chosen, pairs))
    photos = replace(photos, scenery=scenery_of_photos(photos))  # the film's other frames are not known
    truth = Truth.of(model, targets, settings.size, device)
    return HeldOutVideo(path, len(recovery), tuple(chosen.tolist()), tuple(pairs.tolist()), photos, truth)


def held_out_pairs(
    observed: Bool[Tensor, "T"],
    sources: Int64[Tensor, "S"],
    count: int,
    gap: int,
    numbers: Int64[Tensor, "T"] | None = None,
) -> Int64[Tensor, "P 2"]:
    """Pairs of neighbouring frames, evenly spread over the video and away from the sources.

    Args:
        observed: Frames in which the person was found; others are no targets.
        sources: Places of the sources among the frames.
        count: How many pairs are wanted; fewer if the video has no more.
        gap: Least distance of both frames from every source [frames].
        numbers: Of the frames in the video, where not all of them are there.

    Raises:
        SettingError: no frame is left.

    Example:
        >>> held_out_pairs(torch.ones(12, dtype=torch.bool), torch.tensor([0, 6]), 3, 2).tolist()
        [[2, 3], [8, 9], [10, 11]]
    """
    frame = torch.arange(len(observed)) if numbers is None else numbers
    usable = observed & ((frame[:, None] - frame[sources][None]).abs().amin(1) >= gap)
    starts: list[int] = []
    for start in (usable[:-1] & usable[1:]).nonzero()[:, 0].tolist():
        if not starts or start - starts[-1] >= 2:
            starts.append(start)
    if not starts:
        raise SettingError(
            f"expected frames at least {gap} away from all {len(sources)} sources, found none among {len(observed)}. "
            "Take fewer sources, a smaller gap or more frames."
        )
    spread = torch.linspace(0, len(starts) - 1, min(count, len(starts))).round().long()
    first = torch.tensor(starts)[spread]
    return torch.stack([first, first + 1], 1)


@dataclass(frozen=True)
class Truth:
    """2 P true frames in windows around the person; the frames of a pair share one window."""

    pictures: Pictures
    boxes: Float[Tensor, "N 1 H W"]
    """The person's box in each."""
    shown: Float[Tensor, "N 1 H W"]
    """0 where the windows leave the picture."""
    crops: tuple[Crop, ...]
    bodies: BodyParams
    """Cameras in the pixels of the windows."""
    landmarks: Float[Tensor, "N 5 2"]
    """Of the faces [px]."""
    seen: Float[Tensor, "N"]
    """1 where the face looks at the camera."""
    details: Float[Tensor, "N 2 4"]
    """Boxes around the face and around the hand that is seen better [px]."""

    @staticmethod
    def of(
        model: BodyModel,
        targets: SourcePhotos,
        size: int,
        device: torch.device | str,
        known: Sequence[Bool[np.ndarray, "_ _"]] | None = None,
    ) -> "Truth":
        """Cut the windows out of true frames; see :class:`Truth`.

        Args:
            model: The body.
            targets: The frames.
            size: Side of the windows [px].
            device: Where they are wanted.
            known: Where each frame shows anything; None: everywhere.
        """
        body = targets.recovery.body
        vertices = body.camera.project(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices)[..., :2]
        pairs = vertices.view(len(vertices) // 2, -1, 2)
        side = max(8, round(float((pairs.amax(1) - pairs.amin(1)).max()) * (1 + 2 * _MARGIN)))
        crops = tuple(crop_around(pair, size, side=side) for pair in pairs for _ in range(2))
        images = [c.take(to_tensor(p), outside="zero") for c, p in zip(crops, targets.pictures, strict=True)]
        mattes = [c.take(to_tensor(m[..., None]), outside="zero") for c, m in zip(crops, targets.mattes, strict=True)]
        everywhere = [np.ones(picture.shape[:2], bool) for picture in targets.pictures] if known is None else known
        shown = [
            c.take(to_tensor(np.uint8(255) * k[..., None]), "zero") for c, k in zip(crops, everywhere, strict=True)
        ]
        pictures = Pictures(torch.cat(images).to(device), torch.cat(mattes).to(device))
        found = [targets.recovery.detection(index) for index in range(len(crops))]
        corner = torch.tensor([[crop.left, crop.top] for crop in crops], dtype=torch.float32)[:, None]
        factor = size / side
        camera = body.camera
        local = type(camera)(camera.scale * factor, (camera.translation - corner[:, 0]) * factor)
        faces = (torch.cat([f.face_xy[:, EYES_AND_NOSE] for f in found]) - corner) * factor
        span = (faces[:, 0] - faces[:, 2]).norm(dim=-1)
        seen = (torch.cat([f.face_score for f in found]) > 0.5) & (span > LEAST_EYE_SPAN * local.scale)
        points = (torch.cat([f.xy for f in found]) - corner) * factor
        details = detail_boxes(points, torch.cat([f.visibility for f in found]), local.scale)
        return Truth(
            pictures,
            box_region(pictures.mattes),
            torch.cat(shown).to(device),
            crops,
            BodyParams(body.betas, body.rel_rotmats, local).to(device),
            faces.to(device),
            seen.float().to(device),
            details.to(device),
        )

    def synthesized(self, bank: SourceBank, temporal: bool = False) -> Pictures:
        """The same windows, made from the sources; black where they leave the picture, as in the truth.

        As in use the body's shape is the prepared person's, who may wear shoes.

        Args:
            bank: The person.
            temporal: The second frame of each pair attends to the first as it was drawn; needs a network.
        """
        bodies = replace(self.bodies, betas=bank.bodies.betas.to(self.bodies.betas.device))
        scenery = to_tensor(bank.background)
        images, mattes = [], []
        before: DrawnFrame | None = None
        for index, crop in enumerate(self.crops):
            with torch.inference_mode():
                body = bodies[slice(index, index + 1)]
                if temporal and before and index % 2 and isinstance(bank.renderer, NetworkRenderer):
                    colour, opacity = bank.renderer.render_after(before, body, (crop.size, crop.size))
                else:
                    colour, opacity = bank.renderer.render(body, (crop.size, crop.size))
                before = DrawnFrame(body, colour, opacity)
                behind, shown = crop.take(scenery).to(colour.device), self.shown[index : index + 1]
                images.append((colour * opacity + behind * (1 - opacity)) * shown)
                mattes.append(opacity * shown)
        return Pictures(torch.cat(images).clone(), torch.cat(mattes).clone())

    def temporal_error(self, images: Float[Tensor, "N 3 H W"]) -> float:
        """Mean over the pairs, in what both boxes hold together."""
        errors = []
        for first in range(0, len(images), 2):
            pair = slice(first, first + 2)
            inside = self.boxes[pair].amax((0, 1)) > 0
            rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
            if len(rows) == 0:
                continue
            part = (..., slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
            errors.append(float(temporal_error(images[pair][part], self.pictures.images[pair][part])))
        return float(np.mean(errors)) if errors else 0.0


def detail_boxes(
    points: Float[Tensor, "N 33 2"], visibility: Float[Tensor, "N 33"], scale: Float[Tensor, "N"]
) -> Float[Tensor, "N 2 4"]:
    """Boxes around the face and the hand that is seen better, (left, top, right, bottom) [px].

    Args:
        points: The body's landmarks [px].
        visibility: Of each [0, 1].
        scale: Of the body's camera [px/m].
    """
    hands = torch.stack([points[:, list(hand)].mean(1) for hand in _HANDS], 1)
    better = torch.stack([visibility[:, list(hand)].mean(1) for hand in _HANDS], 1).argmax(1)
    centres = torch.stack([points[:, :11].mean(1), hands[torch.arange(len(points)), better]], 1)
    half = scale[:, None, None] * torch.tensor([_FACE_HALF, _HAND_HALF])[:, None]
    return torch.cat([centres - half, centres + half], 2)
