"""Train the generator: ``liquidwarp train``, or ``python -m liquidwarp.learn.train`` where tyro and PyAV are missing.

A run is bounded by time (or steps), writes a log of JSON lines, every few minutes a checkpoint, a contact sheet and the
averaged weights and, at its end, scores on held-out people. The same command in the same folder goes on where it was
left.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property, partial
from pathlib import Path

import torch

from liquidwarp.config import GeneratorConfig, TrainConfig
from liquidwarp.errors import SettingError
from liquidwarp.gan.generator import LiquidWarpingGenerator, reset_gate
from liquidwarp.gan.pretrained import load_discriminators, load_generator, save_discriminators, save_generator
from liquidwarp.learn import distributed
from liquidwarp.learn.checkpoint import Position, load_checkpoint, save_checkpoint
from liquidwarp.learn.datasets import TrainingData, TrainingSample
from liquidwarp.learn.feed import Feed, Places
from liquidwarp.learn.gate import measure_gate
from liquidwarp.learn.log import TrainingLog
from liquidwarp.learn.mixture import load_data
from liquidwarp.learn.players import Judges, Pace, Players
from liquidwarp.learn.report import contact_sheet, evaluate_generator, write_png
from liquidwarp.learn.scores import Scorer, Scores
from liquidwarp.learn.settings import read_overrides

__all__ = ["TrainResult", "main", "train"]

_log = logging.getLogger(__name__)

MakeData = Callable[[str], TrainingData]
"""From "train" or "test" to people; those of "test" are never trained on."""


@dataclass(frozen=True)
class TrainResult:
    """How a run, or a part of it, ended."""

    folder: Path
    """The output folder; ``weights/`` in it is a generator for :func:`load_generator`."""
    position: Position
    finished: bool
    """False: the part's time is over, the same command goes on."""
    losses: tuple[float, ...]
    """The total loss at the logged steps of this part."""
    scores: dict[str, Scores]
    """Of the "network" and of "texture" warping, on held-out people; empty before the run has finished."""


@dataclass
class _Clock:
    """Training time of all parts together, and of this one; it starts after a part's first step.

    Loading and the first step, in which the device prepares its kernels, do not count.
    """

    config: TrainConfig
    before: float
    entered: float
    """When this part began, loading included."""
    started: float | None = None
    waited: float = 0.0
    """Spent on waiting for samples [s]."""

    def start(self, device: torch.device) -> None:
        """Start after the first step, the later ones go on."""
        if self.started is None:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            self.started, self.waited = time.monotonic(), 0.0

    def waiting_for(self, feed: Feed) -> TrainingSample:
        """The feed's next sample."""
        start = time.monotonic()
        sample = next(feed)
        self.waited += time.monotonic() - start
        return sample

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is done meanwhile is no training."""
        entered = time.monotonic()
        yield
        if self.started is not None:
            self.started += time.monotonic() - entered

    @property
    def part(self) -> float:
        """Seconds of this part."""
        return 0.0 if self.started is None else time.monotonic() - self.started

    @property
    def seconds(self) -> float:
        return self.before + self.part

    def progress(self, step: int) -> float:
        if self.config.steps:
            return min(step / self.config.steps, 1.0)
        return min(self.seconds / (60 * self.config.minutes), 1.0)

    def part_is_over(self) -> bool:
        """After at least one step; this limit counts everything, as machines are lent by the minute."""
        passed = time.monotonic() - self.entered
        return self.started is not None and 0 < 60 * self.config.part_minutes < passed


def train(config: TrainConfig, make_data: MakeData | None = None) -> TrainResult:
    """Run, or go on with, a training.

    Args:
        config: All settings.
        make_data: Other people than ``config.data`` names.

    Raises:
        SettingError: a setting cannot be met here.
        MediaError: the output folder cannot be written.
        WeightsCorruptError: the folder's checkpoint belongs to another run.
    """
    entered = time.monotonic()
    device = distributed.join(config.device)
    torch.manual_seed(config.seed)
    make_data = make_data or partial(load_data, config, device)
    judges = Judges(config.loss, device, config.mixed_precision)
    players = Players(config.generator_config(), config.discriminator, judges, device, config.mixed_precision)
    position = _begin(config, players)
    millions = sum(parameter.numel() for parameter in players.generator.parameters()) / 1e6
    _log.info("%s, %.1f M parameters, %d px, %s, people: %s", config.preset, millions, config.size, device, config.data)
    is_first = distributed.rank() == 0
    with TrainingLog(config, position.step, is_first) as log:
        showcase = _Showcase(config, players, partial(make_data, "test"), log)
        clock = _Clock(config, position.seconds, entered)
        position, losses, finished = _run(config, showcase, partial(make_data, "train"), position, clock)
        scores: dict[str, Scores] = {}
        if is_first:
            showcase.save(position, draw=not finished)
            scores = _report(config, showcase, position, finished)
    distributed.finish()
    return TrainResult(config.output, position, finished, tuple(losses), scores)


def _begin(config: TrainConfig, players: Players) -> Position:
    """Go on from the folder's checkpoint, start from other weights, or from nothing."""
    path = config.output / "checkpoint.safetensors"
    if path.is_file():
        position = load_checkpoint(path, players)
        _log.info("going on at step %d after %.0f s", position.step, position.seconds)
        return position
    if config.init is not None:
        known = load_generator(str(config.init))  # a str may also name bundled weights
        try:
            players.generator.load_state_dict(known.state_dict())
        except RuntimeError as error:
            others = _differences(known.config, config.generator_config())
            raise SettingError(
                f"train.init: {config.init} holds a generator of another shape ({others}). Choose its own --preset."
            ) from error
        if config.reset_gate and config.generator_config().copy_gate:
            reset_gate(players.generator.transfer_net)
        for name, tensor in players.averaged.items():
            tensor.copy_(players.generator.state_dict()[name])
        if load_discriminators(str(config.init), players.discriminators):
            _log.info("the discriminators go on too")
    return Position()


class _Showcase:
    """What can be seen of the averaged generator while a run goes on: its weights, and how it draws held-out people."""

    def __init__(
        self, config: TrainConfig, players: Players, make_test: Callable[[], TrainingData], log: TrainingLog
    ) -> None:
        self.config, self.players, self.log = config, players, log
        self._make_test = make_test

    @cached_property
    def data(self) -> TrainingData:
        """Held-out people."""
        return self._make_test()

    @cached_property
    def first(self) -> TrainingSample:
        """The same people on every sheet."""
        return self.data.samples(0)[0]

    def generator(self) -> LiquidWarpingGenerator:
        """With the averaged weights, a share of which may be the starting ones."""
        averaged = LiquidWarpingGenerator(self.config.generator_config())
        averaged.load_state_dict(self.players.averaged)
        if self.config.keep_init > 0:
            start = load_generator(str(self.config.init)).state_dict()
            mixed = {k: torch.lerp(v, start[k], self.config.keep_init) for k, v in averaged.state_dict().items()}
            averaged.load_state_dict(mixed)
        averaged.eval().to(self.players.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return averaged

    def save(self, position: Position, draw: bool = True) -> None:
        """Checkpoint, weights and a sheet; the chance of later steps does not depend on it."""
        config, players = self.config, self.players
        devices = [players.device] if players.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            save_checkpoint(config.output / "checkpoint.safetensors", players, position)
            averaged = self.generator()
            notes = {"steps": str(position.step), "seconds": f"{position.seconds:.0f}", "data": config.data}
            save_generator(config.output / "weights", averaged, notes=notes)
            save_discriminators(config.output / "weights", players.discriminators)
            if draw:
                self.draw(averaged, [self.first], position.step)

    def draw(self, averaged: LiquidWarpingGenerator, samples: Sequence[TrainingSample], step: int) -> None:
        """A sheet as a file, and in TensorBoard."""
        sheet = contact_sheet(averaged, samples, mixed_precision=self.config.mixed_precision)
        write_png(self.config.output / f"people_{step:07d}.png", sheet)
        self.log.picture(sheet, step)


def _differences(found: GeneratorConfig, wanted: GeneratorConfig) -> str:
    """Which settings differ, for a message."""
    pairs = ((field.name, getattr(found, field.name), getattr(wanted, field.name)) for field in fields(GeneratorConfig))
    return ", ".join(f"{name} {one} instead of {other}" for name, one, other in pairs if one != other)


def _run(
    config: TrainConfig,
    showcase: _Showcase,
    make_data: Callable[[], TrainingData],
    position: Position,
    clock: _Clock,
) -> tuple[Position, list[float], bool]:
    """Train until the run or this part of it is over."""
    losses: list[float] = []
    players, log, is_first = showcase.players, showcase.log, distributed.rank() == 0
    step = position.step
    places = Places(config.reuse, step, distributed.world_size(), distributed.rank())
    with Feed(make_data, places, players.device, config.render_processes) as feed:
        saved_at = clock.seconds
        try:
            while (progress := distributed.from_first(clock.progress(step), players.device)) < 1:
                if distributed.from_first(float(clock.part_is_over()), players.device):
                    break
                sample = clock.waiting_for(feed)
                terms = players.step(sample, _pace(config, step, progress))
                step += 1
                clock.start(players.device)
                if step == config.steps or log.is_due(step, clock.part):
                    times = (clock.part, clock.seconds, clock.waited)
                    losses.append(log.write(step, times, clock.progress(step), terms))
                if is_first and clock.seconds - saved_at > 60 * config.save_every_minutes:
                    saved_at = clock.seconds
                    with clock.stopped():
                        showcase.save(Position(step, saved_at))
        except KeyboardInterrupt:
            _log.info("stopped at step %d; the same command goes on from there", step)
    return Position(step, clock.seconds), losses, clock.progress(step) >= 1


def _pace(config: TrainConfig, step: int, progress: float) -> Pace:
    return Pace(
        step,
        progress,
        config.learning_rate,
        config.warmup_steps,
        config.adversarial_start,
        config.clip_norm,
        config.ema_decay,
    )


def _report(config: TrainConfig, showcase: _Showcase, position: Position, finished: bool) -> dict[str, Scores]:
    """``report.json`` and, at the run's end, scores of the averaged generator."""
    scores: dict[str, Scores] = {}
    gate = []
    if finished:
        averaged, data = showcase.generator(), showcase.data
        samples = [data.samples(index)[0] for index in range(max(config.eval_batches, 1))]
        scorer = Scorer(showcase.players.judges.perceptual)
        scores = evaluate_generator(averaged, samples, scorer, config.mixed_precision)
        gate = [asdict(row) for row in measure_gate(averaged, samples)]
        showcase.draw(averaged, samples, position.step)
    facts = {
        "position": asdict(position),
        "finished": finished,
        "scores": {name: asdict(score) for name, score in scores.items()},
        "gate": gate,
        "config": asdict(config),
    }
    text = json.dumps(facts, indent=2, default=str) + "\n"
    (config.output / "report.json").write_text(text, encoding="utf-8")
    return scores


def main(arguments: Sequence[str] | None = None) -> None:
    """Settings as ``name=value``: ``preset=base minutes=25 loss.perceptual=2 output=runs/base``."""
    config = read_overrides(TrainConfig(), sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    result = train(config)
    for name, score in result.scores.items():
        _log.info("%s: %s", name, json.dumps(asdict(score)))
    _log.info(
        "%s after %d steps: %s", "finished" if result.finished else "to go on", result.position.step, result.folder
    )


if __name__ == "__main__":
    main()
