"""Self-synthesis: some frames of a real video are the photos, others are synthesized and compared with themselves.

Each target has the pose and camera recovered from its own frame, so nothing is retargeted, and what stands behind the
person is the sources' completed background: the figures hold everything between photos and result, the errors of the
recovered bodies and mattes included. The one thing that targets lend is their share in the video's common body shape.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.cache import Cache
from liquidwarp.config import SelfEvaluation, SynthesisConfig
from liquidwarp.errors import SettingError
from liquidwarp.evaluate.contenders import load_contenders
from liquidwarp.evaluate.sheets import contact_sheet, to_pixels
from liquidwarp.evaluate.table import Row, format_table, sorted_rows
from liquidwarp.gan.crops import crop_boxes
from liquidwarp.geometry.crop import Crop, crop_around
from liquidwarp.learn.scores import Pictures, Scorer, mean_scores
from liquidwarp.media import save_image
from liquidwarp.metrics import box_region, temporal_error
from liquidwarp.recover.choice import PersonChoice
from liquidwarp.recover.digitize import recover_video
from liquidwarp.recover.photos import SourcePhotos, photos_of_video, views_of_video
from liquidwarp.synthesizer import SourceBank, prepare_bank

__all__ = ["SelfReport", "VideoFacts", "evaluate_self", "held_out_pairs", "over_all"]

logger = logging.getLogger(__name__)

_EYES_AND_NOSE = (263, 362, 133, 33, 2)
"""Of the face mesh: the person's left eye's outer and inner corner, the right eye's inner and outer, below the nose."""
_LEAST_EYE_SPAN = 0.055
"""Eyes that are nearer together in the picture [m] belong to a face that is turned away."""
_MARGIN = 0.1
_SHEET_ROWS = 5
_SHEET_SIZE = 320
_FACE_HALF, _HAND_HALF = 0.15, 0.13
"""Half the sides of the enlarged squares [m]."""
_HANDS = ((15, 17, 19, 21), (16, 18, 20, 22))


@dataclass(frozen=True)
class VideoFacts:
    """Which frames of a video were used."""

    name: str
    frames: int
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    """In pairs of neighbours."""
    still: float
    """Mean difference of neighbouring true frames in the box: the temporal error of a picture that never moves."""


@dataclass(frozen=True)
class SelfReport:
    """Mean figures of several videos; ``str()`` makes a table."""

    settings: SelfEvaluation
    videos: tuple[VideoFacts, ...]
    rows: tuple[Row, ...]
    """Grouped by video; ``more`` are the temporal error and the video's ``still``."""

    def __str__(self) -> str:
        return format_table("video", self.rows, more=("temporal", "still"))

    def of(self, model: str, video: str) -> Row:
        """The figures of one model on one video, or on "all"."""
        return next(row for row in self.rows if (row.model, row.group) == (model, video))


def evaluate_self(
    paths: Sequence[str | Path],
    settings: SelfEvaluation | None = None,
    out: str | Path | None = None,
    max_frames: int | None = None,
    person: PersonChoice = None,
    device: torch.device | str = "cpu",
    cache: Cache | None = None,
) -> SelfReport:
    """Measure on real videos.

    Args:
        paths: Videos of one person each.
        settings: Models, numbers of sources and targets.
        out: A folder for ``self.json`` and a contact sheet per video.
        max_frames: Only the first frames of each video.
        person: Who, if several people are in view.
        device: Where to synthesize.
        cache: Where what is found in the videos is kept.

    Raises:
        SettingError: a model is not known, or the video is too short for these numbers of sources and targets.
        MediaError: a video cannot be read.
        NoPersonFoundError: nobody in it.
        WeightsNotFoundError: a model's weights are missing.
    """
    settings = settings or SelfEvaluation()
    contenders = load_contenders(settings.models, device)
    model, scorer, cache = AnnyBody.load(), Scorer.load(device), cache or Cache(enabled=False)
    videos, rows = [], []
    for path in map(Path, paths):
        recovery = recover_video(path, max_frames=max_frames, model=model, person=person, cache=cache)
        chosen = views_of_video(path, recovery, settings.sources, model, cache)
        try:
            pairs = held_out_pairs(recovery.observed, chosen, settings.targets // 2, settings.gap)
        except SettingError as error:
            raise SettingError(f"{path}: {error}") from error
        photos = photos_of_video(path, recovery, chosen, model, cache)
        targets = photos_of_video(path, recovery, pairs.flatten(), model, cache)
        truth = _Truth.of(model, targets, settings.size, device)
        banks = [
            (c, prepare_bank(photos, model, SynthesisConfig(settings.size), c.generator, device=device, cache=cache))
            for c in contenders
        ]
        logger.info("%s: sources %s, targets %s", path.name, chosen.tolist(), pairs[:, 0].tolist())
        results = {contender.name: truth.synthesized(bank) for contender, bank in banks}
        still = truth.temporal_error(torch.zeros_like(truth.pictures.images))
        for name, made in results.items():
            scores = mean_scores(scorer(made, truth.pictures, truth.landmarks, truth.seen))
            rows.append(Row(path.name, name, scores, more=(truth.temporal_error(made.images), still)))
        frames = tuple(chosen.tolist()), tuple(pairs.flatten().tolist())
        videos.append(VideoFacts(path.name, len(recovery), *frames, still))
        if out is not None:
            sheet = _contact_sheet(banks[0][1], photos, truth, results)
            save_image(Path(out) / f"{path.stem}.png", sheet)
    report = SelfReport(settings, tuple(videos), tuple(sorted_rows([*rows, *over_all(rows)])))
    if out is not None:
        _write(Path(out) / "self.json", report)
    return report


def held_out_pairs(
    observed: Bool[Tensor, "T"], sources: Int64[Tensor, "S"], count: int, gap: int
) -> Int64[Tensor, "P 2"]:
    """Pairs of neighbouring frames, evenly spread over the video and away from the sources.

    Args:
        observed: Frames in which the person was found; others are no targets.
        sources: Frame numbers of the sources.
        count: How many pairs are wanted; fewer if the video has no more.
        gap: Least distance of both frames from every source [frames].

    Raises:
        SettingError: no frame is left.

    Example:
        >>> held_out_pairs(torch.ones(12, dtype=torch.bool), torch.tensor([0, 6]), 3, 2).tolist()
        [[2, 3], [8, 9], [10, 11]]
    """
    frame = torch.arange(len(observed))
    usable = observed & ((frame[:, None] - sources[None]).abs().amin(1) >= gap)
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
class _Truth:
    """2 P true frames in windows around the person; the frames of a pair share one window."""

    pictures: Pictures
    boxes: Float[Tensor, "N 1 H W"]
    """The person's box in each."""
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
    def of(model: BodyModel, targets: SourcePhotos, size: int, device: torch.device | str) -> "_Truth":
        body = targets.recovery.body
        vertices = body.camera.project(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices)[..., :2]
        pairs = vertices.view(len(vertices) // 2, -1, 2)
        side = max(8, round(float((pairs.amax(1) - pairs.amin(1)).max()) * (1 + 2 * _MARGIN)))
        crops = tuple(crop_around(pair, size, side=side) for pair in pairs for _ in range(2))
        images = [c.take(_to_tensor(p), outside="zero") for c, p in zip(crops, targets.pictures, strict=True)]
        mattes = [c.take(_to_tensor(m[..., None]), outside="zero") for c, m in zip(crops, targets.mattes, strict=True)]
        pictures = Pictures(torch.cat(images).to(device), torch.cat(mattes).to(device))
        found = [targets.recovery.detection(index) for index in range(len(crops))]
        corner = torch.tensor([[crop.left, crop.top] for crop in crops], dtype=torch.float32)[:, None]
        factor = size / side
        camera = body.camera
        local = type(camera)(camera.scale * factor, (camera.translation - corner[:, 0]) * factor)
        faces = (torch.cat([f.face_xy[:, _EYES_AND_NOSE] for f in found]) - corner) * factor
        span = (faces[:, 0] - faces[:, 3]).norm(dim=-1)
        seen = (torch.cat([f.face_score for f in found]) > 0.5) & (span > _LEAST_EYE_SPAN * local.scale)
        points = (torch.cat([f.xy for f in found]) - corner) * factor
        details = _details(points, torch.cat([f.visibility for f in found]), local.scale)
        return _Truth(
            pictures,
            box_region(pictures.mattes),
            crops,
            BodyParams(body.betas, body.rel_rotmats, local).to(device),
            faces.to(device),
            seen.float().to(device),
            details.to(device),
        )

    def synthesized(self, bank: SourceBank) -> Pictures:
        """The same windows, made from the sources; black where they leave the picture, as in the truth."""
        scenery = _to_tensor(bank.background)
        inside = torch.ones_like(scenery[:, :1])
        images, mattes = [], []
        for index, crop in enumerate(self.crops):
            with torch.inference_mode():
                body = self.bodies[slice(index, index + 1)]
                colour, opacity = bank.renderer.render(body, (crop.size, crop.size))
                behind, shown = (crop.take(part, outside="zero").to(colour.device) for part in (scenery, inside))
                images.append(colour * opacity * shown + behind * (1 - opacity))
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


def _to_tensor(picture: UInt8[np.ndarray, "H W C"]) -> Float[Tensor, "1 C H W"]:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255


def _details(
    points: Float[Tensor, "N 33 2"], visibility: Float[Tensor, "N 33"], scale: Float[Tensor, "N"]
) -> Float[Tensor, "N 2 4"]:
    """Boxes around the face and the hand that is seen better."""
    hands = torch.stack([points[:, list(hand)].mean(1) for hand in _HANDS], 1)
    better = torch.stack([visibility[:, list(hand)].mean(1) for hand in _HANDS], 1).argmax(1)
    centres = torch.stack([points[:, :11].mean(1), hands[torch.arange(len(points)), better]], 1)
    half = scale[:, None, None] * torch.tensor([_FACE_HALF, _HAND_HALF])[:, None]
    return torch.cat([centres - half, centres + half], 2)


def _contact_sheet(
    bank: SourceBank, photos: SourcePhotos, truth: _Truth, results: dict[str, Pictures]
) -> UInt8[np.ndarray, "H W 3"]:
    """Per row one target: the source most like it, every result, the truth; each with its face and a hand enlarged."""
    found = [photos.recovery.detection(index) for index in range(len(photos))]
    camera, bodies = photos.recovery.body.camera, bank.bodies.to("cpu")
    factor = (bodies.camera.scale / camera.scale)[:, None, None]
    points = (torch.cat([f.xy for f in found]) - camera.translation[:, None]) * factor
    points = points + bodies.camera.translation[:, None]
    details = _details(points, torch.cat([f.visibility for f in found]), bodies.camera.scale).to(bank.device)
    rows = []
    pairs = len(truth.crops) // 2
    for pair in torch.linspace(0, pairs - 1, min(_SHEET_ROWS, pairs)).round().long().tolist():
        index = 2 * pair
        turned = bodies.rel_rotmats[:, 0] * truth.bodies.rel_rotmats[index, 0].cpu()
        source = int(turned.sum((1, 2)).argmax())
        boxes = truth.details[index]
        row = [_panel(bank.images[source], details[source])]
        row += [_panel(made.images[index], boxes) for made in results.values()]
        rows.append([*row, _panel(truth.pictures.images[index], boxes)])
    return contact_sheet(["source", *results, "truth"], rows)


def _panel(image: Float[Tensor, "3 H W"], details: Float[Tensor, "2 4"]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture, below it the enlarged details."""
    half = _SHEET_SIZE // 2
    enlarged = crop_boxes(image.float().expand(2, -1, -1, -1), details, half, half)
    below = np.concatenate([to_pixels(part) for part in enlarged], 1)
    return np.concatenate([to_pixels(image.float(), _SHEET_SIZE), below])


def over_all(rows: Sequence[Row]) -> list[Row]:
    """One row per model with the means over the videos, if there are several."""
    if len({row.group for row in rows}) < 2:
        return []
    means = []
    for model in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == model]
        more = tuple(float(np.mean([row.more[place] for row in own])) for place in range(2))
        means.append(Row("all", model, mean_scores([row.scores for row in own]), more=more))
    return means


def _write(path: Path, report: SelfReport) -> None:
    facts = {video.name: asdict(video) for video in report.videos}
    rows = [
        {"video": row.group, "model": row.model, **asdict(row.scores), "temporal": row.more[0], "still": row.more[1]}
        for row in report.rows
    ]
    text = json.dumps({"settings": asdict(report.settings), "videos": facts, "rows": rows}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
