"""Networks and texture warping on rendered people with clothes, skins, places and motions that training never showed.

Everything is known exactly, so this measures the networks alone: the bodies have the errors of a fit and the mattes
those of a segmentation, but the background is the true one.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyParams
from liquidwarp.config import SyntheticConfig, TrainConfig
from liquidwarp.evaluate.contenders import Contender, load_contenders
from liquidwarp.evaluate.plain_warp import PlainWarp, blend_by_visibility
from liquidwarp.evaluate.table import Row, format_table, sorted_rows
from liquidwarp.evaluation_config import SyntheticEvaluation
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.learn.datasets import TrainingSample
from liquidwarp.learn.report import score_sample, synthesize_sample, texture_warped
from liquidwarp.learn.scores import Scorer, Scores, mean_scores
from liquidwarp.learn.synthetic import SyntheticData
from liquidwarp.synthetic.dataset import Bodies, SyntheticBatch

__all__ = ["GrowingSamples", "KnownBodies", "SyntheticReport", "evaluate_synthetic", "plain_warped"]

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
    people: KnownBodies | None = None
    if data is None:
        data = people = _held_out_people(Path(folder), settings, torch.device(device))
    scorer = Scorer.load(device)
    facts = _facts(contenders, settings.personalize and people is not None)
    found: dict[tuple[str, int], list[Scores]] = {(name, n): [] for n in settings.sources for name in facts}
    sheets: dict[int, list[list[Float[Tensor, "3 H W"]]]] = {count: [] for count in settings.sources}
    for person in range(settings.people):
        logger.info("person %d of %d", person + 1, settings.people)
        for count, sample in zip(settings.sources, data.growing(person, settings.sources), strict=True):
            pictures = {}
            for contender in contenders:
                for name, made in _all_ways(contender, sample, people, settings).items():
                    found[name, count] += score_sample(scorer, sample, made)
                    pictures[name] = made[0][0, 0].float()
            if len(sheets[count]) < _SHEET_PEOPLE:
                row = [pictures[name] for name in facts]
                sheets[count].append([*sample.sources.images[0], *row, sample.images[0, 0]])
    rows = [
        Row(str(count), name, mean_scores(found[name, count]), columns)
        for count in settings.sources
        for name, columns in facts.items()
    ]
    report = SyntheticReport(settings, tuple(sorted_rows(rows)))
    if out is not None:
        _write(Path(out), report, sheets, list(facts))
    return report


def _facts(contenders: Sequence[Contender], personalize: bool) -> dict[str, tuple[str, str]]:
    """All rows of the table, with fusion and parameters [millions]."""
    facts: dict[str, tuple[str, str]] = {}
    for contender in contenders:
        tuned = personalize and contender.generator is not None
        names = [contender.name, *(f"{contender.name} {way}" for way in (("in use", "personal") if tuned else ()))]
        facts |= dict.fromkeys(names, (contender.fusion, f"{contender.millions:.1f}"))
    return facts


def _all_ways(
    contender: Contender, sample: TrainingSample, people: "KnownBodies | None", settings: SyntheticEvaluation
) -> dict[str, tuple[Float[Tensor, "B T 3 H W"], Float[Tensor, "B T 1 H W"]]]:
    """What a contender makes of a sample, by name; with ``personalize`` also as the product uses it, and tuned."""
    made = {contender.name: _synthesize(contender, sample, people)}
    if settings.personalize and people is not None and contender.generator is not None:
        # Only here, as training machines may lack PyAV.
        from liquidwarp.evaluate.synthetic_personal import in_use_and_personal

        made |= in_use_and_personal(contender, sample, people.model, people.fitted(), settings)
    return made


def _held_out_people(folder: Path, settings: SyntheticEvaluation, device: torch.device) -> "KnownBodies":
    """People of the split "test", with clean pictures: noise in the truth is nobody's error."""
    config = TrainConfig(
        data_folder=folder,
        size=settings.size,
        people=1,
        num_targets=settings.targets,
        seed=settings.seed,
        synthetic=replace(SyntheticConfig(), degrade=0.0, similar_views=0.0),
    )
    return cast("KnownBodies", KnownBodies.load(config, device, "test"))


class KnownBodies(SyntheticData):
    """Remembers the bodies of the last batch, as samples only hold the flows that were made of them."""

    _last: Bodies | None = None

    def _fitted(self, rendered: SyntheticBatch, found: Float[Tensor, "B V 1 S S"]) -> Bodies:
        self._last = super()._fitted(rendered, found)
        return self._last

    def fitted(self) -> BodyParams:
        """The last batch's first person as fitted, in all views: those that may be sources, then the targets."""
        if self._last is None:
            raise RuntimeError("people: ask for a sample first.")
        camera = WeakPerspective(self._last.scale[0], self._last.translation[0])
        return BodyParams(self._last.betas[0], self._last.rel_rotmats[0], camera)


def _synthesize(
    contender: Contender, sample: TrainingSample, people: KnownBodies | None
) -> tuple[Float[Tensor, "B T 3 H W"], Float[Tensor, "B T 1 H W"]]:
    if contender.generator is not None:
        return synthesize_sample(contender.generator, sample)
    if not contender.plain:
        return texture_warped(sample)
    colours, opacity = plain_warped(sample, people)
    return colours * opacity + sample.backgrounds * (1 - opacity), opacity


def plain_warped(
    sample: TrainingSample, people: KnownBodies | None
) -> tuple[Float[Tensor, "B T 3 H W"], Float[Tensor, "B T 1 H W"]]:
    """What :class:`PlainWarp` makes of the sample's sources.

    Args:
        sample: Of one person.
        people: Know the bodies; None: the sample's flows are those of the body alone.
    """
    sources, targets = sample.sources, sample.targets
    if people is None:
        return blend_by_visibility(sources.images, targets.grid, targets.visible)
    bodies, photos, made = people.fitted(), sources.images.shape[1], sample.images.shape[1]
    warp = PlainWarp.of(people.model, bodies[slice(0, photos)], sources.images[0], sources.mattes[0])
    size = (sample.images.shape[-2], sample.images.shape[-1])
    colours, opacity = warp.render(bodies[slice(len(bodies) - made, len(bodies))], size)
    return colours[None], opacity[None]


def _write(out: Path, report: SyntheticReport, sheets: dict[int, list[list[Tensor]]], models: Sequence[str]) -> None:
    # Only here, as training machines may lack PyAV.
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
