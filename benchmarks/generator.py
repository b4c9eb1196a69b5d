"""Cost of the generator by preset and size: time, arithmetic, parameters, memory.

Usage: python benchmarks/generator.py [--presets lite base] [--sizes 256 512] [--sources 2] [--batches 1 8]
    [--device cuda] [--half] [--repeat 5]

Times are medians. "frame" is one target with encoded sources, of several drawn at once ("batch"); "sources" the
encoding of all of them, "background" one completion. Memory is the growth of the process's peak on a CPU (each case in
a process of its own) and the peak of allocated memory on CUDA. GFLOP count 2 per multiply-add. ``--half`` is bfloat16
by autocast, as the product renders on CUDA.
"""

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from liquidwarp.config import GeneratorConfig
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.inputs import SourceBatch, TargetBatch
from liquidwarp.geometry.warp import Flow


def random_inputs(sources: int, targets: int, size: int, device: str) -> tuple[SourceBatch, TargetBatch]:
    """One person, a smooth flow."""
    grid = Flow.identity(size, size, targets * sources, device).grid.view(1, targets, sources, size, size, 2) * 0.8

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, size, size, device=device)

    return (
        SourceBatch(uniform(1, sources, 3), uniform(1, sources, 1), uniform(1, sources, 8)),
        TargetBatch(
            grid,
            uniform(1, targets, 1) > 0.3,
            uniform(1, targets, sources),
            uniform(1, targets, 8),
            uniform(1, targets, 3),
            uniform(1, targets, 1),
        ),
    )


def median_ms(work: Callable[[], object], repeat: int, device: str) -> float:
    """Median time of ``work`` [ms]."""
    times = []
    for _ in range(repeat + 2):
        start = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:]) * 1e3


def gflop(work: Callable[[], object]) -> float:
    """Arithmetic of ``work``."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


@torch.no_grad()
def measure(preset: str, size: int, batch: int, args: argparse.Namespace) -> dict[str, float | str]:
    """One row of the table."""
    device, cuda = args.device, args.device == "cuda"
    generator = LiquidWarpingGenerator(GeneratorConfig.preset(preset)).eval()
    generator.to(device, memory_format=torch.channels_last)
    sources, target = random_inputs(args.sources, batch, size, device)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    row: dict[str, float | str] = {"preset": preset, "size": size, "batch": batch}
    with torch.autocast(device, torch.bfloat16, enabled=args.half):
        features = generator.encode(sources)
        image, hole = sources.images[:, 0], sources.mattes[:, 0].round()
        works: dict[str, tuple[Callable[[], object], int]] = {
            "frame": (lambda: generator.transfer(features, target), batch),
            "sources": (lambda: generator.encode(sources), 1),
            "background": (lambda: generator.complete_background(image, hole), 1),
        }
        for name, (work, count) in works.items():
            row[f"{name} ms"] = round(median_ms(work, args.repeat, device) / count, 2)
            row[f"{name} GFLOP"] = round(gflop(work) / count, 1)
    peak = (
        torch.cuda.max_memory_allocated() / 2**20
        if cuda
        else (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024
    )
    row["memory MiB"] = round(peak)
    row["parameters M"] = round(sum(p.numel() for p in generator.parameters()) / 1e6, 2)
    return row


def in_process(preset: str, size: int, batch: int, args: argparse.Namespace) -> None:
    """Measure in a process of its own, so that its peak memory is its own."""
    options = [f"--{name}={getattr(args, name)}" for name in ("sources", "device", "threads", "repeat")]
    options += ["--half"] if args.half else []
    case = [f"--presets={preset}", f"--sizes={size}", f"--batches={batch}"]
    subprocess.run([sys.executable, __file__, *case, *options], check=True)


def main() -> None:
    """Print one row per preset, size and batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["lite", "base", "paper"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 512])
    parser.add_argument("--batches", nargs="+", type=int, default=[1], help="targets that are drawn at once")
    parser.add_argument("--sources", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--half", action="store_true", help="bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cases = list(itertools.product(args.presets, args.sizes, args.batches))
    for case in cases:
        if args.device == "cuda" or len(cases) == 1:
            print(json.dumps(measure(*case, args)), flush=True)
        else:
            in_process(*case, args)


if __name__ == "__main__":
    main()
