"""Networks and texture warping on rendered people with clothes, skins, places and motions that training never showed.

Everything is known exactly, so this measures the networks alone: the bodies have the errors of a fit and the mattes
those of a segmentation, but the background is the true one.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.config import SyntheticConfig, SyntheticEvaluation, TrainConfig
from liquidwarp.evaluate.contenders import Contender, load_contenders
from liquidwarp.evaluate.table import Row, format_table, sorted_rows
from liquidwarp.learn.datasets import TrainingSample
from liquidwarp.learn.report import score_sample, synthesize_sample, texture_warped
from liquidwarp.learn.scores import Scorer, Scores, mean_scores

__all__ = ["GrowingSamples", "SyntheticReport", "evaluate_synthetic"]

logger = logging.getLogger(__name__)

_SHEET_PEOPLE = 6


@runtime_checkable
class GrowingSamples(Protocol):
    """Where the people come from: :class:`liquidwarp.learn.synthetic.SyntheticData`."""

    def growing(self, index: int, num_sources: Sequence[int]) -> Sequence[TrainingSample]:
        """The same people and targets with other numbers of sources."""
        ...


@dataclass(frozen=True)
class SyntheticReport:
    """Mean figures; ``str()`` makes a table."""

    settings: SyntheticEvaluation
    rows: tuple[Row, ...]
    """Grouped by the number of sources; the facts are fusion and parameters [millions]."""

    def __str__(self) -> str:
        return format_table("sources", self.rows, ("fusion", "M"))

    def of(self, model: str, sources: int) -> Scores:
        """The figures of one model."""
        return next(r.scores for r in self.rows if (r.model, r.group) == (model, str(sources)))


def evaluate_synthetic(
    folder: str | Path,
    settings: SyntheticEvaluation | None = None,
    out: str | Path | None = None,
    device: torch.device | str = "cpu",
    data: GrowingSamples | None = None,
) -> SyntheticReport:
    """Measure on held-out people.

    Args:
        folder: What ``scripts/build_wardrobe.py`` wrote.
        settings: Models, numbers of sources, people.
        out: A folder for ``synthetic.json`` and a contact sheet per number of sources.
        device: Where to render and synthesize.
        data: Other people than the folder's.

    Raises:
        SettingError: a model is not known.
        MediaError: the folder lacks a file.
        WeightsNotFoundError: a model's weights are missing.
    """
    settings = settings or SyntheticEvaluation()
    contenders = load_contenders(settings.models, device)
    data = data or _held_out_people(Path(folder), settings, torch.device(device))
    scorer = Scorer.load(device)
    found: dict[tuple[str, int], list[Scores]] = {(c.name, n): [] for n in settings.sources for c in contenders}
    sheets: dict[int, list[list[Float[Tensor, "3 H W"]]]] = {count: [] for count in settings.sources}
    for person in range(settings.people):
        logger.info("person %d of %d", person + 1, settings.people)
        for count, sample in zip(settings.sources, data.growing(person, settings.sources), strict=True):
            pictures = []
            for contender in contenders:
                made = _synthesize(contender, sample)
                found[contender.name, count] += score_sample(scorer, sample, made)
                pictures.append(made[0][0, 0].float())
            if len(sheets[count]) < _SHEET_PEOPLE:
                sheets[count].append([*sample.sources.images[0], *pictures, sample.images[0, 0]])
    rows = [
        Row(str(count), c.name, mean_scores(found[c.name, count]), (c.fusion, f"{c.millions:.1f}"))
        for count in settings.sources
        for c in contenders
    ]
    report = SyntheticReport(settings, tuple(sorted_rows(rows)))
    if out is not None:
        _write(Path(out), report, sheets, [c.name for c in contenders])
    return report


def _held_out_people(folder: Path, settings: SyntheticEvaluation, device: torch.device) -> GrowingSamples:
    """People of the split "test", with clean pictures: noise in the truth is nobody's error."""
    from liquidwarp.learn.synthetic import SyntheticData

    config = TrainConfig(
        data_folder=folder,
        size=settings.size,
        people=1,
        num_targets=settings.targets,
        seed=settings.seed,
        synthetic=replace(SyntheticConfig(), degrade=0.0, similar_views=0.0),
    )
    return SyntheticData.load(config, device, "test")


def _synthesize(
    contender: Contender, sample: TrainingSample
) -> tuple[Float[Tensor, "B T 3 H W"], Float[Tensor, "B T 1 H W"]]:
    if contender.generator is None:
        return texture_warped(sample)
    return synthesize_sample(contender.generator, sample)


def _write(out: Path, report: SyntheticReport, sheets: dict[int, list[list[Tensor]]], models: Sequence[str]) -> None:
    # Only here, as training machines may lack image libraries.
    from liquidwarp.evaluate.sheets import contact_sheet, to_pixels
    from liquidwarp.media import save_image

    for count, people in sheets.items():
        titles = [*(f"source {index + 1}" for index in range(count)), *models, "truth"]
        sheet = contact_sheet(titles, [[to_pixels(picture) for picture in person] for person in people])
        save_image(out / f"synthetic_{count}_sources.png", sheet)
    rows = [
        {"sources": int(row.group), "model": row.model, "fusion": row.facts[0], "millions": float(row.facts[1])}
        | asdict(row.scores)
        for row in report.rows
    ]
    text = json.dumps({"settings": asdict(report.settings), "rows": rows}, indent=2)
    (out / "synthetic.json").write_text(text + "\n", encoding="utf-8")
