"""Cost of the generator by preset and size: time, arithmetic, parameters, memory.

Usage: python benchmarks/generator.py [--presets lite base] [--sizes 256 512] [--sources 2] [--device cpu] [--repeat 5]

Times are medians. "frame" is one target with encoded sources, "sources" the encoding of all of them, "background"
one completion. Memory is the growth of the process's peak on a CPU (each case in a process of its own) and the peak
of allocated memory on CUDA. GFLOP count 2 per multiply-add.
"""

import argparse
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


def random_inputs(sources: int, size: int, device: str) -> tuple[SourceBatch, TargetBatch]:
    """One person, one target, a smooth flow."""
    grid = Flow.identity(size, size, sources, device).grid[None, None] * 0.8

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, size, size, device=device)

    return (
        SourceBatch(uniform(1, sources, 3), uniform(1, sources, 1), uniform(1, sources, 8)),
        TargetBatch(
            grid,
            uniform(1, 1, 1) > 0.3,
            uniform(1, 1, sources),
            uniform(1, 1, 8),
            uniform(1, 1, 3),
            uniform(1, 1, 1),
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
def measure(preset: str, size: int, args: argparse.Namespace) -> dict[str, float | str]:
    """One row of the table."""
    device, cuda = args.device, args.device == "cuda"
    generator = LiquidWarpingGenerator(GeneratorConfig.preset(preset)).eval()
    generator.to(device, memory_format=torch.channels_last)
    sources, target = random_inputs(args.sources, size, device)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    features = generator.encode(sources)
    image, hole = sources.images[:, 0], sources.mattes[:, 0].round()
    works: dict[str, Callable[[], object]] = {
        "frame": lambda: generator.transfer(features, target),
        "sources": lambda: generator.encode(sources),
        "background": lambda: generator.complete_background(image, hole),
    }
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    row: dict[str, float | str] = {"preset": preset, "size": size}
    for name, work in works.items():
        row[f"{name} ms"] = round(median_ms(work, args.repeat, device), 1)
        row[f"{name} GFLOP"] = round(gflop(work), 1)
    peak = (
        torch.cuda.max_memory_allocated() / 2**20
        if cuda
        else (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024
    )
    row["memory MiB"] = round(peak)
    row["parameters M"] = round(sum(p.numel() for p in generator.parameters()) / 1e6, 2)
    return row


def main() -> None:
    """Print one row per preset and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["lite", "base", "paper"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 512])
    parser.add_argument("--sources", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if len(args.presets) * len(args.sizes) == 1:
        print(json.dumps(measure(args.presets[0], args.sizes[0], args)))
        return
    for preset in args.presets:
        for size in args.sizes:
            rest = ["--sources", str(args.sources), "--device", args.device, "--threads", str(args.threads)]
            command = [sys.executable, __file__, "--presets", preset, "--sizes", str(size), *rest]
            subprocess.run([*command, "--repeat", str(args.repeat)], check=True)


if __name__ == "__main__":
    main()
