"""Train the generator: ``liquidwarp train``, or ``python -m liquidwarp.learn.train`` where only torch is installed.

A run is bounded by time (or steps), writes a log of JSON lines, checkpoints, contact sheets and, at its end, scores
on held-out people and the averaged weights. The same command in the same folder goes on where it was left.
"""

import json
import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from liquidwarp.config import TrainConfig
from liquidwarp.errors import SettingError
from liquidwarp.gan.generator import LiquidWarpingGenerator, reset_gate
from liquidwarp.gan.pretrained import load_discriminators, load_generator, save_discriminators, save_generator
from liquidwarp.learn import distributed
from liquidwarp.learn.checkpoint import Position, load_checkpoint, save_checkpoint
from liquidwarp.learn.datasets import TrainingData, TrainingSample
from liquidwarp.learn.feed import Feed, Places
from liquidwarp.learn.gate import measure_gate
from liquidwarp.learn.mixture import load_data
from liquidwarp.learn.players import Judges, Pace, Players
from liquidwarp.learn.report import contact_sheet, evaluate_generator, write_png
from liquidwarp.learn.scores import Scorer, Scores
from liquidwarp.learn.settings import read_overrides

__all__ = ["TrainResult", "main", "train"]

_log = logging.getLogger(__name__)

_LOG_SECONDS = 10.0

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
    is_first = distributed.rank() == 0
    position, losses, finished = _run(config, players, partial(make_data, "train"), position, entered)
    scores: dict[str, Scores] = {}
    if is_first:
        save_checkpoint(config.output / "checkpoint.safetensors", players, position)
        scores = _report(config, players, make_data("test"), position, finished)
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
        state = load_generator(str(config.init)).state_dict()  # a str may also name bundled weights
        try:
            players.generator.load_state_dict(state)
        except RuntimeError as error:
            raise SettingError(f"train.init: {config.init} holds a generator of another shape ({error}).") from error
        if config.reset_gate and config.generator_config().copy_gate:
            reset_gate(players.generator.transfer_net)
        for name, tensor in players.averaged.items():
            tensor.copy_(players.generator.state_dict()[name])
        if load_discriminators(str(config.init), players.discriminators):
            _log.info("the discriminators go on too")
    return Position()


def _run(
    config: TrainConfig,
    players: Players,
    make_data: Callable[[], TrainingData],
    position: Position,
    entered: float,
) -> tuple[Position, list[float], bool]:
    """Train until the run or this part of it is over."""
    losses: list[float] = []
    is_first = distributed.rank() == 0
    log = _Log(config, is_first)
    step = position.step
    places = Places(config.reuse, step, distributed.world_size(), distributed.rank())
    with Feed(make_data, places, players.device, config.render_processes) as feed:
        clock = _Clock(config, position.seconds, entered)
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
                    losses.append(log.write(step, clock, progress, terms))
                if is_first and clock.seconds - saved_at > 60 * config.save_every_minutes:
                    saved_at = clock.seconds
                    save_checkpoint(config.output / "checkpoint.safetensors", players, Position(step, clock.seconds))
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


def _open_board(config: TrainConfig) -> Any:
    """TensorBoard's writer, or None where it is not wanted."""
    if not config.tensorboard:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SettingError("train.tensorboard: TensorBoard is missing; run 'pip install tensorboard'.") from error
    return SummaryWriter(str(config.output / "tensorboard"))


class _Log:
    """JSON lines in ``log.jsonl``, and TensorBoard events where wanted."""

    def __init__(self, config: TrainConfig, is_first: bool) -> None:
        self._path = config.output / "log.jsonl" if is_first else None
        self._board: Any = None
        self._last: tuple[int, float, float] | None = None
        self._every, self._written = config.log_every, -math.inf
        if is_first:
            config.output.mkdir(parents=True, exist_ok=True)
            self._board = _open_board(config)

    def is_due(self, step: int, seconds: float) -> bool:
        """At a part's first step, then every so many steps and at least every ten seconds."""
        return step % self._every == 0 or seconds - self._written > _LOG_SECONDS

    def write(self, step: int, clock: _Clock, progress: float, terms: dict[str, Tensor]) -> float:
        """Note one step; returns the total loss."""
        numbers: list[float] = torch.stack(list(terms.values())).tolist()
        values = dict(zip(terms, numbers, strict=True))
        if not all(value == value and abs(value) < 1e6 for value in values.values()):
            raise FloatingPointError(f"the losses left the finite numbers at step {step}: {values}")
        self._written = clock.part
        seconds = clock.seconds
        row: dict[str, float] = {"step": step, "seconds": round(seconds, 2), "progress": round(progress, 4)}
        if self._last is not None:
            passed = max(seconds - self._last[1], 1e-6)
            row["steps_per_second"] = round((step - self._last[0]) / passed, 2)
            row["waiting"] = round((clock.waited - self._last[2]) / passed, 3)
        self._last = (step, seconds, clock.waited)
        if torch.cuda.is_available():
            row["gigabytes"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        row |= {name: round(value, 6) for name, value in values.items()}
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            _log.info("%s", json.dumps(row))
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
            self._board.flush()
        return values["total"]


def _report(
    config: TrainConfig, players: Players, data: TrainingData, position: Position, finished: bool
) -> dict[str, Scores]:
    """Weights, contact sheet and, at the run's end, scores of the averaged generator."""
    averaged = LiquidWarpingGenerator(config.generator_config())
    averaged.load_state_dict(players.averaged)
    averaged.eval().to(players.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    notes = {"steps": str(position.step), "seconds": f"{position.seconds:.0f}", "data": config.data}
    save_generator(config.output / "weights", averaged, notes=notes)
    save_discriminators(config.output / "weights", players.discriminators)
    count = config.eval_batches if finished else 1
    samples = [data.samples(index)[0] for index in range(max(count, 1))]
    sheet = contact_sheet(averaged, samples, mixed_precision=config.mixed_precision)
    write_png(config.output / f"people_{position.step:07d}.png", sheet)
    if (board := _open_board(config)) is not None:
        board.add_image("people", sheet.clamp(0, 1).cpu(), position.step)
        board.close()
    scores: dict[str, Scores] = {}
    if finished:
        scores = evaluate_generator(averaged, samples, Scorer(players.judges.perceptual), config.mixed_precision)
    facts = {
        "position": asdict(position),
        "finished": finished,
        "scores": {name: asdict(score) for name, score in scores.items()},
        "gate": [asdict(row) for row in measure_gate(averaged, samples)] if finished else [],
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
