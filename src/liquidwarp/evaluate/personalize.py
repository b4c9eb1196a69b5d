"""What carries personalisation: the same videos, photos and truth with one thing changed at a time."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.cache import Cache
from liquidwarp.config import SynthesisConfig
from liquidwarp.errors import SettingError
from liquidwarp.evaluate.held_out import HeldOutVideo, hold_out
from liquidwarp.evaluate.self_synthesis import contact_sheet_of
from liquidwarp.evaluate.table import Row, format_table
from liquidwarp.evaluation_config import SelfEvaluation
from liquidwarp.learn.scores import Pictures, Scorer, mean_scores
from liquidwarp.learn.settings import read_overrides
from liquidwarp.media import save_image
from liquidwarp.personal.material import Material, prepare_material
from liquidwarp.personal.person import Tuning, network_digest, with_tuning
from liquidwarp.personal.personalize import personalise
from liquidwarp.personal_config import PersonalizeConfig
from liquidwarp.renderers import load_network
from liquidwarp.synthesizer import prepare_bank

__all__ = ["BEFORE", "VARIANTS", "PersonalReport", "evaluate_personalize", "read_variant"]

logger = logging.getLogger(__name__)

BEFORE = "before"
"""The row of the pretrained network."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    "as-reference": ("leave_one_out=false", "harder=false", "tuned=all"),
    "own-sources": ("leave_one_out=false",),
    "not-harder": ("harder=false",),
    "no-discriminator": ("loss.adversarial=0",),
    "no-face": ("loss.face=0", "loss.face_detail=0"),
    "all-weights": ("tuned=all",),
    "decoder": ("tuned=decoder",),
    "transfer": ("tuned=transfer",),
    "whole-change": ("tuned=transfer", "rank=0"),
}
"""Name: settings that differ from the default ones."""


@dataclass(frozen=True)
class PersonalReport:
    """Mean figures of each variant; ``str()`` makes a table."""

    settings: SelfEvaluation
    rows: tuple[Row, ...]
    """Grouped by video; the facts are best step, kept size and seconds, ``more`` is the error in what was held out
    while learning, relative to before."""

    def __str__(self) -> str:
        return format_table("video", self.rows, ("best step", "kB", "s"), ("exam",))


def read_variant(text: str) -> tuple[str, tuple[str, ...]]:
    """Name and settings of a variant.

    Args:
        text: A name of :data:`VARIANTS`, or settings such as "steps=120,loss.face=1".

    Raises:
        SettingError: neither.

    Example:
        >>> read_variant("steps=120,rank=0")
        ('steps=120,rank=0', ('steps=120', 'rank=0'))
    """
    if text in VARIANTS:
        return text, VARIANTS[text]
    if "=" not in text:
        raise SettingError(f"variants: expected {', '.join(VARIANTS)} or NAME=VALUE,..., got {text!r}.")
    return text, tuple(text.split(","))


def evaluate_personalize(
    paths: Sequence[str | Path],
    settings: SelfEvaluation,
    variants: Sequence[str] = tuple(VARIANTS),
    out: str | Path | None = None,
    max_frames: int | None = None,
    device: torch.device | str = "cpu",
    cache: Cache | None = None,
) -> PersonalReport:
    """Personalise each video's person in several ways, from the same photos, and compare with held-out frames.

    Args:
        paths: Videos of one person each.
        settings: One model, numbers of sources and targets, size, quality.
        variants: See :func:`read_variant`.
        out: A folder for ``personalize.json`` and a contact sheet per video.
        max_frames: Only the first frames of each video.
        device: Where to work.
        cache: Where what is found in the videos is kept; what is learned is not kept.

    Raises:
        SettingError: several models, texture warping, or an unknown variant.
        MediaError: a video cannot be read.
        NoPersonFoundError: nobody in it.
    """
    if len(settings.models) != 1 or settings.models[0] == "texture":
        raise SettingError(f"models: expected one network to tune, got {', '.join(settings.models)}.")
    plain = PersonalizeConfig(quality=settings.quality, allow_mixed=True)
    configs = {name: read_overrides(plain, changes) for name, changes in map(read_variant, variants)}
    name, generator = load_network(settings.models[0], device)
    if generator is None:
        raise SettingError("models: expected a network to tune, got texture warping.")
    model, scorer, cache = AnnyBody.load(), Scorer.load(device), cache or Cache(enabled=False)
    synthesis, digest = SynthesisConfig(settings.size), network_digest(generator)
    rows: list[Row] = []
    for path in map(Path, paths):
        video = hold_out(path, settings, model, cache, max_frames, device=device)
        bank = prepare_bank(video.photos, model, synthesis, generator, device=device, cache=cache)
        results = {BEFORE: video.truth.synthesized(bank)}
        rows.append(_row(video, BEFORE, results[BEFORE], scorer, ("-", "0", "0"), 1.0))
        materials: dict[tuple[bool, bool, str], Material] = {}
        for variant, config in configs.items():
            logger.info("%s: %s", path.name, variant)
            kind = (config.leave_one_out, config.harder, config.quality)
            if kind not in materials:
                materials[kind] = prepare_material(bank.photos or video.photos, model, synthesis, config, device=device)
            started = time.monotonic()
            result = personalise([materials[kind]], generator, settings.size, config)
            seconds = time.monotonic() - started
            tuning = Tuning.of(result, name, digest, config, synthesis)
            person = with_tuning(bank, tuning, generator)
            results[variant] = video.truth.synthesized(person)
            facts = (str(result.best_step), str(result.change.size // 1024), f"{seconds:.0f}")
            rows.append(_row(video, variant, results[variant], scorer, facts, result.score))
        if out is not None:
            save_image(Path(out) / f"{path.stem}.png", contact_sheet_of(bank, video, results))
    report = PersonalReport(settings, (*rows, *_means(rows)))
    if out is not None:
        _write(Path(out) / "personalize.json", report)
    return report


def _row(
    video: HeldOutVideo, variant: str, made: Pictures, scorer: Scorer, facts: tuple[str, ...], score: float
) -> Row:
    truth = video.truth
    scores = mean_scores(scorer(made, truth.pictures, truth.landmarks, truth.seen))
    return Row(video.path.name, variant, scores, facts, (score,))


def _means(rows: Sequence[Row]) -> list[Row]:
    """One row per variant with the means over the videos, if there are several."""
    if len({row.group for row in rows}) < 2:
        return []
    means = []
    for variant in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == variant]
        score = sum(float(row.more[0] or 0.0) for row in own) / len(own)
        means.append(replace(own[0], group="all", scores=mean_scores([row.scores for row in own]), more=(score,)))
    return means


def _write(path: Path, report: PersonalReport) -> None:
    rows = [
        {"video": row.group, "variant": row.model, **asdict(row.scores), "exam": row.more[0]}
        | dict(zip(("best_step", "kilobytes", "seconds"), row.facts, strict=True))
        for row in report.rows
    ]
    text = json.dumps({"settings": asdict(report.settings), "rows": rows}, indent=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
