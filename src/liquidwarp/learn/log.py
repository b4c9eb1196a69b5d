"""What a training run writes while it goes: JSON lines for programs, short lines for people, TensorBoard events."""

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.config import TrainConfig
from liquidwarp.errors import SettingError
from liquidwarp.files import atomic_path

__all__ = ["TrainingLog"]

_SECONDS = 10.0
"""Most time between two lines."""
_SHOWN = ("total", "person", "perceptual", "outline", "adversarial")
"""Losses of the short lines; all of them are in the file."""

logger = logging.getLogger(__name__)


class TrainingLog:
    """Losses, speed and progress in ``log.jsonl``, on the terminal, and in TensorBoard where wanted."""

    def __init__(self, config: TrainConfig, step: int, is_first: bool) -> None:
        """Go on behind ``step``; what a killed part wrote beyond its last checkpoint is taken back.

        Args:
            config: All settings.
            step: How many steps are done.
            is_first: Of several processes only the first one writes.
        """
        self._path = config.output / "log.jsonl" if is_first else None
        self._board: Any = None
        self._last: tuple[int, float, float] | None = None
        self._every, self._written = config.log_every, -math.inf
        if self._path is not None:
            config.output.mkdir(parents=True, exist_ok=True)
            _keep_until(self._path, step)
            self._board = _open_board(config, step + 1)

    def is_due(self, step: int, seconds: float) -> bool:
        """At a part's first step, then every so many steps and at least every ten seconds."""
        return step % self._every == 0 or seconds - self._written > _SECONDS

    def write(
        self, step: int, times: tuple[float, float, float], progress: float, terms: Mapping[str, Float[Tensor, ""]]
    ) -> float:
        """Note one step.

        Args:
            step: How many steps are done.
            times: Seconds of this part, of all parts, and waited for samples in this part.
            progress: Share of the run that is over.
            terms: The losses.

        Returns:
            The total loss.

        Raises:
            FloatingPointError: a loss is no finite number.
        """
        numbers: list[float] = torch.stack(list(terms.values())).tolist()
        values = dict(zip(terms, numbers, strict=True))
        if not all(value == value and abs(value) < 1e6 for value in values.values()):
            raise FloatingPointError(f"the losses left the finite numbers at step {step}: {values}")
        self._written, seconds, waited = times
        row: dict[str, float | int] = {"step": step, "seconds": round(seconds, 2), "progress": round(progress, 4)}
        if self._last is not None:
            passed = max(seconds - self._last[1], 1e-6)
            row["steps_per_second"] = round((step - self._last[0]) / passed, 2)
            row["waiting"] = round((waited - self._last[2]) / passed, 3)
        self._last = (step, seconds, waited)
        if torch.cuda.is_available():
            row["gigabytes"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        row |= {name: round(value, 6) for name, value in values.items()}
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            logger.info("%s", _short_line(row))
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
            self._board.flush()
        return values["total"]

    def picture(self, sheet: Float[Tensor, "3 H W"], step: int) -> None:
        """Show a contact sheet in TensorBoard."""
        if self._board is not None:
            self._board.add_image("people", sheet.clamp(0, 1).cpu(), step)
            self._board.flush()

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()


def _open_board(config: TrainConfig, step: int) -> Any:
    """TensorBoard's writer from a step on, or None where it is not wanted.

    Raises:
        SettingError: TensorBoard is wanted and not installed.
    """
    if not config.tensorboard:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SettingError("train.tensorboard: TensorBoard is missing; run 'pip install tensorboard'.") from error
    return SummaryWriter(str(config.output / "tensorboard"), purge_step=step)


def _keep_until(path: Path, step: int) -> None:
    """Drop the lines of steps that will be done again, and a line that was cut short."""
    if not path.is_file():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
    with atomic_path(path) as partial:
        partial.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _short_line(row: Mapping[str, float | int]) -> str:
    """For example ``step 350  42 %  14 min left  3.1 steps/s  total 1.52  person 0.07  perceptual 0.21``."""
    parts = [f"step {row['step']}", f"{100 * row['progress']:.0f} %"]
    if row["progress"] > 0:
        parts.append(f"{_duration(row['seconds'] * (1 / row['progress'] - 1))} left")
    if "steps_per_second" in row:
        parts.append(f"{row['steps_per_second']:.3g} steps/s")
        if row["waiting"] >= 0.1:
            parts.append(f"waiting for people {100 * row['waiting']:.0f} %")
    parts += [f"{name} {row[name]:.3g}" for name in _SHOWN if name in row]
    return "  ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
