"""Self-synthesis: some frames of a real video are the photos, others are synthesized and compared with themselves.

The video is a file, or a clip of a prepared dataset (:mod:`liquidwarp.evaluate.prepared`). Each target has the pose and
camera recovered from its own frame, so nothing is retargeted, and what stands behind the person is the sources'
completed background: the figures hold everything between photos and result, the errors of the recovered bodies and
mattes included. The one thing that targets lend is their share in the video's common body shape.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from liquidwarp.body.anny import AnnyBody
from liquidwarp.cache import Cache
from liquidwarp.config import SynthesisConfig
from liquidwarp.errors import LiquidWarpError
from liquidwarp.evaluate.bounds import TRUE_PERSON, bounds_of, true_person
from liquidwarp.evaluate.contenders import Contender, load_contenders
from liquidwarp.evaluate.held_out import HeldOutVideo, detail_boxes, hold_out
from liquidwarp.evaluate.plain_warp import PlainWarp
from liquidwarp.evaluate.prepared import hold_out_clip
from liquidwarp.evaluate.sheets import contact_sheet, to_pixels
from liquidwarp.evaluate.subjects import Subject, find_subjects
from liquidwarp.evaluate.table import Row, format_table, sorted_rows
from liquidwarp.evaluation_config import SelfEvaluation
from liquidwarp.files import check_target
from liquidwarp.gan.crops import crop_boxes
from liquidwarp.learn.scores import Pictures, Scorer, mean_scores
from liquidwarp.media import save_image
from liquidwarp.personal.person import personalise_banks
from liquidwarp.personal_config import PersonalizeConfig
from liquidwarp.recover.detection.choice import PersonChoice
from liquidwarp.renderers import NetworkRenderer
from liquidwarp.synthesizer import SourceBank, prepare_bank, with_network

__all__ = ["SelfReport", "VideoFacts", "contact_sheet_of", "evaluate_self", "over_all"]

logger = logging.getLogger(__name__)

_SHEET_ROWS = 5
_SHEET_SIZE = 320
"""Side of each picture in a sheet, without the details below it [px]."""


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
    left_out: tuple[str, ...] = ()
    """Why clips of a dataset are not in the table, one line each."""

    def __str__(self) -> str:
        table = format_table("video", self.rows, more=("temporal", "still"))
        return "\n".join([table, *(f"Left out: {reason}" for reason in self.left_out)])

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
        paths: Videos of one person each, and datasets of such; see
            :func:`liquidwarp.evaluate.subjects.find_subjects`. A dataset's clip that cannot be used is left out.
        settings: Models, numbers of sources and targets, which part of datasets.
        out: A folder for ``self.json`` and a contact sheet per video.
        max_frames: Only the first frames of each video.
        person: Who, if several people are in view; a prepared clip has one.
        device: Where to synthesize.
        cache: Where what is found in the videos is kept.

    Raises:
        SettingError: a model is not known, or the video is too short for these numbers of sources and targets.
        MediaError: a video cannot be read.
        NoPersonFoundError: nobody in it.
        WeightsNotFoundError: a model's weights are missing.
    """
    settings = settings or SelfEvaluation()
    if out is not None:
        check_target(Path(out) / "self.json")
    contenders = tuple(load_contenders(settings.models, device))
    subjects = find_subjects([Path(path) for path in paths], settings.split)
    bench = _Bench(settings, contenders, device, cache or Cache(enabled=False), AnnyBody.load(), Scorer.load(device))
    videos, rows, left_out = [], [], []
    for subject in subjects:
        try:
            video = bench.held_apart(subject, max_frames, person)
        except LiquidWarpError as error:
            left_out.append(str(error))
            if not subject.found or len(left_out) == len(subjects):
                raise
            logger.warning("Left out: %s", error)
            continue
        facts, own, sheet = bench.measured(subject.name, video)
        videos.append(facts)
        rows += own
        if out is not None:
            save_image(Path(out) / f"{subject.name.removesuffix(subject.path.suffix)}.png", sheet)
    report = SelfReport(settings, tuple(videos), tuple(sorted_rows([*rows, *over_all(rows)])), tuple(left_out))
    if out is not None:
        _write(Path(out) / "self.json", report)
    return report


@dataclass(frozen=True)
class _Bench:
    """What all videos are measured with."""

    settings: SelfEvaluation
    contenders: tuple[Contender, ...]
    device: torch.device | str
    cache: Cache
    model: AnnyBody
    scorer: Scorer

    def held_apart(self, subject: Subject, max_frames: int | None, person: PersonChoice) -> HeldOutVideo:
        """Photos and truth."""
        settings, model, device = self.settings, self.model, self.device
        if subject.prepared:
            quality = SynthesisConfig(settings.size).background
            return hold_out_clip(subject.path, settings, model, max_frames, device, quality)
        return hold_out(subject.path, settings, model, self.cache, max_frames, person, device)

    def measured(self, name: str, video: HeldOutVideo) -> tuple[VideoFacts, list[Row], UInt8[np.ndarray, "H W 3"]]:
        """Synthesize, compare, and draw a sheet."""
        settings, cache, truth = self.settings, self.cache, video.truth
        logger.info("%s: sources %s, targets %s", name, list(video.sources), list(video.targets[::2]))
        synthesis, place = SynthesisConfig(settings.size), video.background
        bank = prepare_bank(video.photos, self.model, synthesis, background=place, device=self.device, cache=cache)
        banks = [(c.name, _with_renderer(bank, c, synthesis)) for c in self.contenders]
        if settings.personalize:
            banks += _personal(self.contenders, banks, settings, synthesis, cache)
        results = {contender: truth.synthesized(bank) for contender, bank in banks}
        if settings.temporal:
            networks = [(name, bank) for name, bank in banks if isinstance(bank.renderer, NetworkRenderer)]
            results |= {f"{name}, temporal": truth.synthesized(bank, temporal=True) for name, bank in networks}
        shown = dict(results)
        if settings.bounds:
            results |= _with_bounds(results, truth.pictures)
        still = truth.temporal_error(torch.zeros_like(truth.pictures.images))
        rows = []
        for contender, made in results.items():
            scores = mean_scores(self.scorer(made, truth.pictures, truth.landmarks, truth.seen))
            rows.append(Row(name, contender, scores, more=(truth.temporal_error(made.images), still)))
        facts = VideoFacts(name, video.frames, video.sources, video.targets, still)
        return facts, rows, contact_sheet_of(banks[0][1], video, shown)


def _with_bounds(results: Mapping[str, Pictures], truth: Pictures) -> dict[str, Pictures]:
    """What each result would be with one thing that is true, and the true person before the background."""
    rows = {TRUE_PERSON: true_person(next(iter(results.values())), truth)}
    for name, made in results.items():
        rows |= {f"{name}, {change}": pictures for change, pictures in bounds_of(made, truth).items()}
    return rows


def _with_renderer(bank: SourceBank, contender: Contender, synthesis: SynthesisConfig) -> SourceBank:
    """The person, drawn by the contender; ``bank`` is rendered by texture warping."""
    if contender.generator is not None:
        return with_network(bank, synthesis, contender.generator)
    if not contender.plain:
        return bank
    bodies, images, mattes = bank.bodies.to("cpu"), bank.images.cpu(), bank.sources.mattes[0].cpu()
    return replace(bank, renderer=PlainWarp.of(bank.model, bodies, images, mattes).to(bank.device))


def _personal(
    contenders: Sequence[Contender],
    banks: Sequence[tuple[str, SourceBank]],
    settings: SelfEvaluation,
    synthesis: SynthesisConfig,
    cache: Cache,
) -> list[tuple[str, SourceBank]]:
    """The same people, each network tuned to them by the photos alone."""
    tuned: list[tuple[str, SourceBank]] = []
    for contender, (name, bank) in zip(contenders, banks, strict=True):
        if contender.generator is not None:
            config = PersonalizeConfig(quality=settings.quality, allow_mixed=True)
            (person,) = personalise_banks([bank], contender.generator, name, synthesis, config, cache)
            tuned.append((f"{name} personal", person))
    return tuned


def contact_sheet_of(bank: SourceBank, video: HeldOutVideo, results: dict[str, Pictures]) -> UInt8[np.ndarray, "H W 3"]:
    """Per row one target: the source most like it, every result, the truth; each with its face and a hand enlarged.

    Args:
        bank: The person.
        video: Photos and truth.
        results: What was synthesized, by name.
    """
    photos, truth = video.photos, video.truth
    found = [photos.recovery.detection(index) for index in range(len(photos))]
    camera, bodies = photos.recovery.body.camera, bank.bodies.to("cpu")
    factor = (bodies.camera.scale / camera.scale)[:, None, None]
    points = (torch.cat([f.xy for f in found]) - camera.translation[:, None]) * factor
    points = points + bodies.camera.translation[:, None]
    details = detail_boxes(points, torch.cat([f.visibility for f in found]), bodies.camera.scale).to(bank.device)
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
    whole = {"settings": asdict(report.settings), "videos": facts, "rows": rows, "left_out": report.left_out}
    text = json.dumps(whole, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
