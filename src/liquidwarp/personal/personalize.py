"""Personalisation: a few dozen to a few hundred steps on one person's own pictures.

Paper:
    Liu et al. 2021, Sec. 3.5 (Personalization): few-shot adversarial learning before synthesis.

The network that comes out is the newest of those that did about best in the exam, the pretrained one included: it
never ends worse than it began, as far as held-out pictures and patches can tell.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.errors import LiquidWarpError, WeightsCorruptError
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.losses import PerceptualDistance
from liquidwarp.learn.players import Judges
from liquidwarp.personal.changes import Change, changed_copy
from liquidwarp.personal.curriculum import Curriculum, repeats_on, window_of
from liquidwarp.personal.exam import Exam, Marks
from liquidwarp.personal.lessons import blank_lesson, chance_of_step, draw_lesson
from liquidwarp.personal.material import PLANS, Material
from liquidwarp.personal.progress import load_progress, save_progress
from liquidwarp.personal.tuner import Tuner
from liquidwarp.personal_config import PersonalizeConfig

__all__ = ["Moment", "Personalisation", "Watcher", "estimate_seconds", "personalise"]

_log = logging.getLogger(__name__)

_GAIN = 0.002
"""A relative gain smaller than this is none."""
_SHARE = 0.1
"""A network that gains this share of the most that was gained in the exam is kept if it learned longer: frames that
nobody has seen prefer it."""
_RUINED = 0.05
"""A network that is so much worse than the pretrained one in several exams in a row will not recover."""
_LONE_SHARE = 0.5
"""Of what was learned from one photo alone, this share is kept: half of it is in other poses as good or better, and
what such a network has learned wrongly is halved."""


@dataclass(frozen=True)
class Moment:
    """How far personalisation has come."""

    step: int
    steps: int
    score: float
    """Error in the exam, relative to the pretrained network's: 0.9 is a tenth better."""
    best: float
    preview: Float[Tensor, "3 H W"] | None = None
    """Rows of source, before, now, truth."""


class Watcher:
    """Is told how it goes; this one tells nobody."""

    def prepare(self, text: str, done: int, total: int) -> None:
        """What is being prepared, how much of it is done, and how much there is."""

    def notes(self, texts: Sequence[str]) -> None:
        """What the user should know, in whole sentences."""

    def expect(self, seconds: Mapping[str, float]) -> None:
        """How long each quality would take [s]."""

    def see(self, moment: Moment) -> None:
        """After each step."""


@dataclass(frozen=True)
class Personalisation:
    """What came out."""

    change: Change
    """Empty if nothing helped."""
    keeps_photos: bool
    """Whether the photos' colours are mixed into the network's as before tuning; else see
    :attr:`liquidwarp.renderers.NetworkRenderer.knows_person`."""
    score: float
    """Error in the exam, relative to the pretrained network's: at most 1."""
    steps: int
    best_step: int
    finished: bool
    """False: it was cancelled, and this is the best so far."""
    history: tuple[tuple[int, float], ...] = ()
    """(step, score)."""


@dataclass
class _State:
    """What the loop carries from exam to exam."""

    step: int = 0
    lowest: float = 1.0
    """Of all exams."""
    best: float = 1.0
    """Of what is kept."""
    best_step: int = 0
    keeps_photos: bool = True
    change: Change = field(default_factory=lambda: Change({}))
    history: list[tuple[int, float]] = field(default_factory=list)

    def result(self, finished: bool) -> Personalisation:
        return Personalisation(
            self.change, self.keeps_photos, self.best, self.step, self.best_step, finished, tuple(self.history)
        )


def personalise(
    people: Sequence[Material],
    pretrained: LiquidWarpingGenerator,
    size: int,
    config: PersonalizeConfig | None = None,
    keeps_photos: bool = True,
    checkpoint: Path | None = None,
    watch: Callable[[Moment], None] | None = None,
) -> Personalisation:
    """Tune a network to one person, or to several together.

    Ctrl-C ends it early with the best so far.

    Args:
        people: Whose pictures to learn.
        pretrained: The network to begin from; it is not changed.
        size: The working size [px].
        config: Quality, what is tuned, losses, seed.
        keeps_photos: How the pretrained network's pictures are used now, which is what must be surpassed.
        checkpoint: A file with everything that the next step depends on: the same call goes on from there.
        watch: Told of each step and each exam.

    Returns:
        The change of the weights that did best in the exam.

    Raises:
        WeightsCorruptError: the checkpoint is of other settings.
    """
    config = config or PersonalizeConfig()
    plan, device = PLANS[config.quality], next(pretrained.parameters()).device
    repeats = repeats_on(device, config)
    steps = config.steps or plan.steps_on(device) * min(2, max(1, len(people)))
    check_every = plan.check_every_on(device)
    judges = Judges(config.loss, device, mixed_precision=True)
    exam = _Board(people, PerceptualDistance.load(config.loss).to(device), config.tuned != "all")
    tuner = Tuner(pretrained, config, judges, steps)
    state = _State(keeps_photos=keeps_photos)
    if checkpoint is not None and checkpoint.is_file():
        _resume(checkpoint, tuner, state)
    learned = Curriculum(people, size, config, repeats)
    try:
        while state.step < steps and not _ruined(state, config.patience):
            terms = tuner.step(learned.lesson(state.step), state.step, learned.person(state.step))
            if not all(math.isfinite(value) for value in terms.values()):
                _log.warning("The losses left the finite numbers at step %d; the best so far is kept.", state.step)
                break
            state.step += 1
            preview = None
            if state.step % check_every == 0 or state.step == steps:
                _check(state, tuner, pretrained, exam, keeps_photos)
                if watch is not None:
                    preview = exam.preview(pretrained, keeps_photos, changed_copy(pretrained, state.change), state)
                if checkpoint is not None:
                    _keep(checkpoint, tuner, state)
            if watch is not None:
                score = state.history[-1][1] if state.history else 1.0
                watch(Moment(state.step, steps, score, state.best, preview))
    except KeyboardInterrupt:
        _log.info("Cancelled at step %d; the best so far is kept.", state.step)
        return state.result(finished=False)
    return state.result(finished=True)


def _check(
    state: _State,
    tuner: Tuner,
    pretrained: LiquidWarpingGenerator,
    exam: "_Board",
    keeps_photos: bool,
) -> None:
    """Sit the exam with what would be kept; keep it if it is the best, or as good and newer."""
    start = exam.start(pretrained)[keeps_photos]
    change = tuner.change(pretrained).scaled(exam.share)
    own, mixed = (mark.relative_to(start) for mark in exam.marks(changed_copy(pretrained, change)))
    # Frames that nobody has seen prefer the network's own drawing, even where the exam prefers the mixture.
    keeps = mixed < own and own > 1 - _GAIN
    score = mixed if keeps else own
    state.history.append((state.step, round(score, 5)))
    state.lowest = min(state.lowest, score)
    if 1 - score > max(_GAIN, _SHARE * (1 - state.lowest)):
        state.best, state.best_step, state.change, state.keeps_photos = score, state.step, change, keeps


def _ruined(state: _State, patience: int) -> bool:
    """Whether nothing good can come any more.

    A little worse than before is no reason to stop: the most is gained in the end, when the steps get smaller.
    """
    last = state.history[-patience:]
    return len(last) == patience and min(score for _, score in last) > 1 + _RUINED


class _Board:
    """The exams of all people together."""

    def __init__(self, people: Sequence[Material], perceptual: PerceptualDistance, frozen_sources: bool) -> None:
        self._exams = [Exam(person.planned_exam, perceptual, frozen_sources, person.photos) for person in people]
        self.share = _LONE_SHARE if all(len(person.views) == 1 for person in people) else 1.0
        """Of what is learned, how much is kept."""
        self._start: tuple[Marks, Marks] | None = None

    def start(self, pretrained: LiquidWarpingGenerator) -> tuple[Marks, Marks]:
        """The marks before learning; found when they are first needed, as the exam may still be in preparation."""
        self._start = self._start or self.marks(pretrained)
        return self._start

    def marks(self, generator: LiquidWarpingGenerator) -> tuple[Marks, Marks]:
        """Means over the people: as a network that knows them draws, and with the photos mixed in."""
        all_marks = [exam.both_marks(generator) for exam in self._exams]
        first, second = (
            Marks(
                sum(marks[keeps].perceptual for marks in all_marks) / len(all_marks),
                sum(marks[keeps].colour for marks in all_marks) / len(all_marks),
            )
            for keeps in (0, 1)
        )
        return first, second

    def preview(
        self, before: LiquidWarpingGenerator, kept_before: bool, now: LiquidWarpingGenerator, state: _State
    ) -> Float[Tensor, "3 H W"]:
        """Rows of source, before, the best so far, truth."""
        rows = []
        for exam in self._exams:
            made = zip(exam.preview(before, kept_before), exam.preview(now, state.keeps_photos), strict=True)
            for number, (old, new) in enumerate(made):
                lesson = exam.lessons[number].get()
                rows.append(torch.cat([lesson.sources.images[0, 0].cpu(), old, new, lesson.images[0, 0].cpu()], 2))
        return torch.cat(rows, 1).clamp(0, 1)


def _resume(checkpoint: Path, tuner: Tuner, state: _State) -> None:
    tensors, facts = load_progress(checkpoint, tuner)
    try:
        state.step, state.best, state.best_step = int(facts["step"]), float(facts["best"]), int(facts["best_step"])
        state.lowest = float(facts["lowest"])
        state.keeps_photos = bool(facts["keeps_photos"])
        state.history = [(int(step), float(score)) for step, score in facts["history"]]
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsCorruptError(f"{checkpoint}: the progress of a personalisation is damaged ({error}).") from error
    state.change = Change(tensors)
    _log.info("Going on at step %d.", state.step)


def _keep(checkpoint: Path, tuner: Tuner, state: _State) -> None:
    facts = {
        "step": state.step,
        "best": state.best,
        "lowest": state.lowest,
        "best_step": state.best_step,
        "keeps_photos": state.keeps_photos,
        "history": state.history,
    }
    try:
        save_progress(checkpoint, tuner, state.change.tensors, facts)
    except LiquidWarpError as error:
        _log.warning("The progress is not kept, so a killed run would begin anew: %s", error)


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    started = time.monotonic()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic() - started


def estimate_seconds(
    people: Sequence[Material], pretrained: LiquidWarpingGenerator, size: int, config: PersonalizeConfig
) -> dict[str, float]:
    """How long each quality would take here [s], by the time of one step and its lesson; without preparation.

    The step is measured while the first source sets are still being prepared, and optimisers are imported meanwhile.

    Args:
        people: Whose pictures to learn.
        pretrained: The network.
        size: The working size [px].
        config: What is tuned.
    """
    device = next(pretrained.parameters()).device
    # It waits for the disk, the rehearsal for the GPU, which loads its kernels.
    threading.Thread(target=torch.optim.Adam, args=([torch.nn.Parameter(torch.zeros(()))],), daemon=True).start()
    tuner = Tuner(pretrained, config, Judges(config.loss, device, mixed_precision=True), 1)
    window, repeats = window_of("draft", size), repeats_on(device, config)
    lesson = blank_lesson(people[0].photos, size, window, device)

    def draw() -> None:
        chance = chance_of_step(config.seed, 0)
        draw_lesson(people[0].sets, people[0].views, size, window, chance, harder=False, first=True)

    # The first one prepares the device, the second one is recorded on a GPU.
    step = [_seconds(lambda: tuner.rehearse(lesson), device) for _ in range(3 if device.type == "cuda" else 2)][-1]
    seconds = step + [_seconds(draw, device) for _ in range(2)][-1] / repeats
    exams = sum(len(person.planned_exam) for person in people) * 0.5 * (size / window) ** 2
    return {
        name: plan.steps_on(device) * (seconds * (plan.window * size / window) ** 2 + step * exams / checks)
        for name, plan, checks in ((name, plan, plan.check_every_on(device)) for name, plan in PLANS.items())
    }
