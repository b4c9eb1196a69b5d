"""Training steps per second by preset and size, of the networks alone: people are coloured boxes that wait in memory.

Run ``python benchmarks/train.py [--device cuda] [--presets lite base paper] [--sizes 256 512] [--people 4]``. Two
sources and two targets a person, all losses, both players, as in the second half of a run. What the rendering of people
adds is in the log of every run ("waiting"), and in ``benchmarks/synthetic.py``.
"""

import argparse
import itertools
import statistics
import time
from dataclasses import fields, replace
from typing import Any

import torch

from liquidwarp.config import DiscriminatorConfig, GeneratorConfig, LossConfig
from liquidwarp.learn.boxes import MovingBoxes
from liquidwarp.learn.datasets import TrainingSample
from liquidwarp.learn.players import Judges, Pace, Players


def moved(values: Any, device: torch.device) -> Any:
    """A tensor, or a dataclass of such, on another device."""
    if isinstance(values, torch.Tensor):
        return values.to(device)
    return replace(values, **{field.name: moved(getattr(values, field.name), device) for field in fields(values)})


def seconds(players: Players, sample: TrainingSample, repeats: int, device: torch.device) -> float:
    """Median time of a step, after two to warm up."""
    times = []
    for step in range(repeats + 2):
        start = time.perf_counter()
        players.step(sample, Pace(1000 + step, 0.9, 1e-4, 100, 0.5, 2.0, 0.998))
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def main() -> None:
    """Print one line per preset and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--presets", nargs="+", default=["lite", "base", "paper"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 512])
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    judges = Judges(LossConfig(), device, mixed_precision=True)
    for preset, size in itertools.product(args.presets, args.sizes):
        (sample, *_) = MovingBoxes(args.people, 2, 2, size).samples(0)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        players = Players(GeneratorConfig.preset(preset), DiscriminatorConfig(), judges, device)
        taken = seconds(players, moved(sample, device), args.repeat, device)
        memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if device.type == "cuda" else ""
        print(f"{preset}, {size} px, {args.people} people: {1 / taken:.2f} steps/s{memory}", flush=True)


if __name__ == "__main__":
    main()
