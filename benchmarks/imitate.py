"""Motion imitation from photos to video: seconds of each stage, frames per second, peak memory.

Run ``python benchmarks/imitate.py``: the demo's two photos and motion, every case in a process of its own, nothing
from the cache. ``--streaming`` shows that memory does not grow with the length: 100 against 1000 frames.
"""

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from liquidwarp.api import LiquidWarper
from liquidwarp.body.motion import load_motion
from liquidwarp.config import GeneratorConfig
from liquidwarp.errors import WeightsNotFoundError
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.pretrained import save_generator
from liquidwarp.recover.photos import load_sources
from liquidwarp.synthesizer import prepare_bank
from liquidwarp.weights import asset


class Clock:
    """Seconds since the last look: on the wall and of this process's CPU time."""

    def __init__(self) -> None:
        self.last = (time.perf_counter(), time.process_time())

    def lap(self) -> tuple[float, float]:
        """Both, and begin anew."""
        now = (time.perf_counter(), time.process_time())
        past, self.last = self.last, now
        return now[0] - past[0], now[1] - past[1]


def peak_memory() -> float:
    """Largest resident memory of this process so far [MB]."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(case: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One whole run: each stage as (wall seconds, CPU seconds)."""
    if case.threads:
        torch.set_num_threads(case.threads)
    clock = Clock()
    warper = LiquidWarper.from_pretrained(
        case.device, case.size, network(case.renderer, folder), cache=False, progress=False
    )
    photos = [shrunk(name, case.shrink, folder) for name in ("front.jpg", "back.jpg")]
    start = clock.lap()
    found = load_sources(photos, warper.model, cache=warper.cache, progress=False)
    recover = clock.lap()
    generator = warper.generator
    person = prepare_bank(found, warper.model, warper.config, generator, device=warper.device, cache=warper.cache)
    prepare = clock.lap()
    motion = load_motion(asset("demo/motion.bvh"), warper.model)
    fps = motion.fps * case.frames / len(motion)
    result = warper.imitate(person, asset("demo/motion.bvh"), fps=float(fps), frames=case.frames)
    drive = clock.lap()
    result.save(folder / "out.mp4", progress=False)
    render = clock.lap()
    return {
        "start": start,
        "recover": recover,
        "prepare": prepare,
        "drive": drive,
        "render": render,
        "frames": len(result),
        "memory": peak_memory(),
        "gpu_memory": torch.cuda.max_memory_allocated() / 1e6 if warper.device.type == "cuda" else 0.0,
    }


def network(name: str, folder: Path) -> str:
    """The renderer of that name; while it is not bundled, the same network with random weights: as fast."""
    try:
        LiquidWarper.from_pretrained(renderer=name)
    except WeightsNotFoundError:
        generator = LiquidWarpingGenerator(GeneratorConfig.preset(name))
        return str(save_generator(folder / name, generator))
    return name


def shrunk(name: str, factor: int, folder: Path) -> Path:
    """A photo of the demo at a fraction of its size."""
    if factor == 1:
        return asset(f"demo/{name}")
    Image.open(asset(f"demo/{name}")).reduce(factor).save(folder / name, quality=95)
    return folder / name


def in_process(case: argparse.Namespace, **changes: object) -> dict[str, Any]:
    """Measure in a fresh process, so that its peak memory is its own."""
    options = {**vars(case), **changes, "streaming": False, "renderers": None, "sizes": None}
    done = subprocess.run(
        [sys.executable, __file__, "--case", json.dumps(options)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="0: torch's own choice")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--renderers", nargs="+", default=["texture", "lite", "base"])
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--shrink", type=int, default=1, help="the photos' size is divided by this")
    parser.add_argument("--streaming", action="store_true")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    case = parser.parse_args()
    if case.case:
        logging.disable()
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(argparse.Namespace(**json.loads(case.case)), Path(folder))))
        return
    if case.streaming:
        for frames in (100, 1000):
            found = in_process(case, frames=frames, size=256, renderer="texture", shrink=4)
            print(
                f"{found['frames']:5} frames: peak memory {found['memory']:.0f} MB, render {found['render'][0]:.1f} s"
            )
        return
    print("CPU seconds of each stage; frames per second by CPU time and by the clock on the wall; peak memory")
    print(f"{'':14}{'recover':>9}{'prepare':>9}{'drive':>9}{'CPU-s/frame':>13}{'frames/s':>10}{'MB':>7}{'GPU MB':>8}")
    for renderer in case.renderers:
        for size in case.sizes:
            found = in_process(case, size=size, renderer=renderer)
            stages = "".join(f"{found[name][1]:9.2f}" for name in ("recover", "prepare", "drive"))
            wall, cpu = (seconds / found["frames"] for seconds in found["render"])
            memory = f"{found['memory']:7.0f}{found['gpu_memory']:8.0f}"
            print(f"{renderer:9}{size:5}{stages}{cpu:13.3f}{1 / wall:10.2f}{memory}", flush=True)


if __name__ == "__main__":
    main()
