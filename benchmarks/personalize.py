"""Cost of personalisation: preparation, one step, one exam, and what a quality costs altogether; peak memory.

Usage: python benchmarks/personalize.py [--presets lite] [--sizes 256] [--tuned transfer] [--device cpu] [--threads 2]

The demo's two photos, with known bodies, and untrained networks of the preset: time does not depend on the weights.
"prepare" is the time until the first lesson is drawn, "lessons" until all source sets are there, which other threads or
processes may prepare meanwhile. "s" is wall time and "cpu" the process's time over all threads; memory is the process's
peak on a CPU and the peak of allocated memory on CUDA. "step s" is a step with its share of the drawing of its lesson,
which comes again on CUDA; "usual step s" is one that is not played from a recording, with all of the drawing (the same
on a CPU). For a GPU as many processes prepare as there are threads, at most eight. --whole does everything first, from
the photos to the change: "whole s". The reference takes 100 steps of 69 ms at 512 px on an H100, with VGG19.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from PIL import Image

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.config import GeneratorConfig, SynthesisConfig
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.losses import PerceptualDistance
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.learn.players import Judges
from liquidwarp.personal.curriculum import repeats_on
from liquidwarp.personal.exam import Exam
from liquidwarp.personal.lessons import chance_of_step, draw_lesson
from liquidwarp.personal.material import PLANS, Material, prepare_material
from liquidwarp.personal.personalize import estimate_seconds, personalise
from liquidwarp.personal.tuner import Tuner
from liquidwarp.personal_config import PersonalizeConfig
from liquidwarp.recover.digitize import Recovery
from liquidwarp.recover.photos import SourcePhotos, silhouette
from liquidwarp.weights import asset, load_tensors

T = TypeVar("T")


def demo_photos(model: AnnyBody, count: int = 2) -> SourcePhotos:
    """The demo's front and back in turn, with true bodies and mattes."""
    which = [number % 2 for number in range(count)]
    pictures = tuple(np.array(Image.open(asset(f"demo/{side}.jpg"))) for side in ("front", "back"))
    mattes = tuple(np.array(Image.open(asset(f"demo/{side}_matte.png"))) for side in ("front", "back"))
    truth, _ = load_tensors(asset("demo/truth.safetensors"))
    camera = WeakPerspective(truth["scale"], truth["translation"])
    body = BodyParams(truth["betas"], truth["rel_rotmats"], camera)[torch.tensor(which)]
    everything = torch.ones(count, dtype=torch.bool)
    recovery = Recovery(body, (), everything, everything[:, None].expand(count, len(model.parents)), 0.0, ())
    size = pictures[0].shape[:2]
    shapes = tuple(silhouette(model, body[slice(i, i + 1)], (size[0], size[1])) for i in range(count))
    shown, soft = tuple(pictures[i] for i in which), tuple(mattes[i] for i in which)
    return SourcePhotos("demo", shown, (None,) * count, recovery, soft, shapes)


def timed(work: Callable[[], T], device: str) -> tuple[T, float, float]:
    """What it returns, wall time and the process's time [s]."""
    wall, own = time.monotonic(), time.process_time()
    result = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return result, time.monotonic() - wall, time.process_time() - own


def learn(
    photos: SourcePhotos, generator: LiquidWarpingGenerator, synthesis: SynthesisConfig, config: PersonalizeConfig
) -> None:
    """All that ``liquidwarp personalize`` does after the recovery."""
    device = next(generator.parameters()).device
    people = [prepare_material(photos, AnnyBody.load(), synthesis, config, device=device)]
    estimate_seconds(people, generator, synthesis.size, config)
    personalise(people, generator, synthesis.size, config)


def measure(preset: str, size: int, args: argparse.Namespace) -> dict[str, object]:
    """One row."""
    device, config = args.device, PersonalizeConfig(quality=args.quality, tuned=args.tuned)
    generator = LiquidWarpingGenerator(GeneratorConfig.preset(preset)).to(device).eval()
    model, plan = AnnyBody.load(), PLANS[args.quality]
    synthesis = SynthesisConfig(size=size)
    photos = demo_photos(model, args.photos)
    window = 8 * round(plan.window * size / 8)

    row: dict[str, object] = {
        "preset": preset,
        "size": size,
        "photos": args.photos,
        "tuned": args.tuned,
        "quality": args.quality,
    }
    if args.whole:
        row["whole s"] = round(timed(lambda: learn(photos, generator, synthesis, config), device)[1], 1)

    def begin() -> Material:
        made = prepare_material(photos, model, synthesis, config, device=device)
        draw_lesson(made.sets, made.views, size, window, chance_of_step(config.seed, 0), first=True)
        return made

    person, wall, own = timed(begin, device)
    row |= {"prepare s": round(wall, 2)}
    _, wait, rest = timed(lambda: [each.get() for each in person.sets], device)
    row |= {"lessons s": round(wall + wait, 2), "prepare cpu": round(own + rest, 2)}
    judges = Judges(config.loss, torch.device(device), mixed_precision=True)
    lessons = [
        draw_lesson(person.sets, person.views, size, window, torch.Generator().manual_seed(number))
        for number in range(args.repeat)
    ]
    _, drawing, drawing_own = timed(
        lambda: draw_lesson(person.sets, person.views, size, window, torch.Generator().manual_seed(1)), device
    )

    def step_cost(record: bool) -> tuple[float, float]:
        tuner = Tuner(generator, config, judges, 1, record)

        def steps() -> None:
            for number, lesson in enumerate(lessons):
                tuner.step(lesson, number)

        for _ in range(2):  # the second time each kind of lesson is recorded
            steps()
        wall, own = timed(steps, device)[1:]
        return wall / args.repeat, own / args.repeat

    wall, own = step_cost(record=True)
    usual = step_cost(record=False)[0] if device == "cuda" else wall
    row |= {"draw s": round(drawing, 3), "usual step s": round(usual + drawing, 3)}
    repeats = repeats_on(torch.device(device), config)
    wall, own = wall + drawing / repeats, own + drawing_own / repeats
    exam = Exam(person.planned_exam, PerceptualDistance.load(config.loss).to(device), True, person.photos)
    exam.both_marks(generator)
    _, exam_wall, exam_own = timed(lambda: exam.both_marks(generator), device)
    steps, checks = plan.steps_on(torch.device(device)), plan.steps // plan.check_every
    row |= {"step s": round(wall, 3), "step cpu": round(own, 3), "exam s": round(exam_wall, 2), "steps": steps}
    prepare = float(str(row["prepare s"]))
    row["altogether s"] = round(prepare + steps * wall + checks * exam_wall)
    row["altogether cpu"] = round(float(str(row["prepare cpu"])) + steps * own + checks * exam_own)
    cuda = device == "cuda"
    peak = (
        torch.cuda.max_memory_allocated() / 2**20 if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    row["peak MiB"] = round(peak)
    return row


def main() -> None:
    """Print one row per preset and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["lite"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[256])
    parser.add_argument("--tuned", default=PersonalizeConfig.tuned)
    parser.add_argument("--quality", default="draft")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch takes, which is one a core")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--photos", type=int, default=2, help="the demo's two pictures in turn")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.alone:
        print(json.dumps(measure(args.presets[0], args.sizes[0], args)))
        return
    more = ["--whole"] if args.whole else []
    rest = [f"--{name}={getattr(args, name)}" for name in ("photos", "tuned", "quality", "device", "threads", "repeat")]
    for preset in args.presets:
        for size in args.sizes:  # each in a process of its own, for its peak of memory
            own = ["--alone", "--presets", preset, "--sizes", str(size), *rest, *more]
            # As the command does; it must be said before torch is imported.
            environment = {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ
            subprocess.run([sys.executable, __file__, *own], check=True, env=environment)


if __name__ == "__main__":
    main()
