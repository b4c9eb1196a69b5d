"""Flow Composition's speed: CPU seconds of one thread, and how they grow with the picture.

Run ``python benchmarks/flow.py``; ``--device cuda`` times batches of 32 pairs at 256 px as in training, and a frame of
one person as in use, flow and drawing and network, by size and number of frames at once. It needs neither OpenCV nor
the detectors there. What the product does besides on the CPU is missing: specks, pasting, encoding.
"""

import argparse
import itertools
import math
import time
from collections.abc import Callable

import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.config import GeneratorConfig
from liquidwarp.flow.clothes.halo import halo
from liquidwarp.flow.compose import compose_flow, compose_layers, compose_views
from liquidwarp.flow.condition import surface_condition
from liquidwarp.flow.draw import draw_flow
from liquidwarp.flow.mesh.extension import inflated_shell, join_extensions
from liquidwarp.flow.mesh.surface import ProjectedSurface, concatenate, project_bodies
from liquidwarp.flow.sources import prepare_source_batch, prepare_sources
from liquidwarp.flow.unseen.fill import SurfaceFill
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.inputs import SourceBatch, TargetBatch
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix


def person(model: BodyModel, yaw: float, size: int) -> BodyParams:
    """A standing body that fills most of the picture."""
    rotvec = torch.zeros(1, len(model.joint_names), 3)
    rotvec[0, 0, 1] = yaw
    rotvec[0, model.roles.upper_arm[0], 2] = -0.5
    rotvec[0, model.roles.upper_arm[1], 2] = 0.4
    camera = WeakPerspective(torch.tensor([size / 2.1]), torch.full((1, 2), size / 2))
    return BodyParams(torch.zeros(len(model.beta_names)), rotvec_to_matrix(rotvec), camera)


def seconds(run: Callable[[], object], repeats: int = 3) -> float:
    """The shortest of some runs, in this process's CPU time."""
    best = math.inf
    for _ in range(repeats):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def on_cpu(size: int) -> dict[str, float]:
    """Each step at one size, with two sources."""
    from liquidwarp.flow.place.background import complete_background
    from liquidwarp.flow.render import render_warp
    from liquidwarp.flow.unseen.atlas import fill_atlas, merge_texture

    model = AnnyBody.load()
    bodies = [person(model, yaw, size) for yaw in (0.2, 2.9)]
    target = person(model, -0.6, size)
    images = torch.rand(2, 3, size, size)
    surface = project_bodies(model, inflated_shell(model), bodies)
    silhouettes = rasterize(surface.body, model.faces, size, size).covered[:, None].float()
    width = 2 * (size // 64) + 1
    mattes = torch.nn.functional.max_pool2d(silhouettes, width, 1, width // 2)
    shell = inflated_shell(model)
    both = join_extensions([shell, halo(model, bodies, mattes)])
    sources = prepare_sources(model, shell, bodies, images, mattes)
    with_halo = prepare_sources(model, both, bodies, images, mattes)
    atlas = fill_atlas(model, merge_texture(sources, size))
    picture = (size, size)
    return {
        "shell": seconds(lambda: inflated_shell(model)),
        "halo": seconds(lambda: halo(model, bodies, mattes)),
        "prepare": seconds(lambda: prepare_sources(model, both, bodies, images, mattes)),
        "atlas": seconds(lambda: fill_atlas(model, merge_texture(sources, size)), 1),
        "background draft": seconds(lambda: complete_background(images, mattes, quality="draft"), 1),
        "background good": seconds(lambda: complete_background(images, mattes), 1),
        "flow, shell": seconds(lambda: compose_flow(sources, target, picture)),
        "flow, shell and halo": seconds(lambda: compose_flow(with_halo, target, picture)),
        "frame": seconds(lambda: render_warp(with_halo, target, atlas, images[:1])),
    }


def wall(run: Callable[[], object], repeats: int = 10) -> float:
    """Mean of some runs after one to warm up, on CUDA [ms]."""
    run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats * 1e3


def on_gpu(people: int = 16, targets: int = 2, size: int = 256) -> dict[str, float]:
    """A training batch: flows of some people from two sources to two targets each, wall milliseconds."""
    model = AnnyBody.load().to("cuda")
    shell = inflated_shell(model)

    def surface(count: int) -> ProjectedSurface:
        bodies = [person(AnnyBody.load(), 0.3 * i, size).to("cuda") for i in range(count)]
        return project_bodies(model, shell, bodies)

    source, target = surface(people * 2), surface(people * targets)
    images = torch.rand(people, 2, 3, size, size, device="cuda")
    mattes = rasterize(source.body, model.faces, size, size).covered.view(people, 2, 1, size, size).float()

    sources = prepare_source_batch(model, shell, source, images, mattes)
    return {
        "prepare": wall(lambda: prepare_source_batch(model, shell, source, images, mattes)),
        "flow": wall(lambda: compose_views(sources, target, (size, size))),
    }


@torch.inference_mode()
def frames_on_gpu(preset: str, size: int, count: int) -> dict[str, float]:
    """Frames of one person from two sources, drawn ``count`` at once: wall milliseconds a frame."""
    plain = AnnyBody.load()
    model, generator = plain.to("cuda"), LiquidWarpingGenerator(GeneratorConfig.preset(preset)).eval()
    generator.to("cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
    shell, fill = inflated_shell(model), SurfaceFill.of(model)
    source = project_bodies(model, shell, [person(plain, yaw, size).to("cuda") for yaw in (0.2, 2.9)])
    images = torch.rand(1, 2, 3, size, size, device="cuda")
    mattes = rasterize(source.body, model.faces, size, size).covered.view(1, 2, 1, size, size).float()
    sources = prepare_source_batch(model, shell, source, images, mattes)
    colours = fill.colours(sources)
    conditions = surface_condition(model, shell, source, (size, size))[None]
    with torch.autocast("cuda", torch.bfloat16):
        features = generator.encode(SourceBatch(images, mattes, conditions))
    bodies = [person(plain, 0.1 * k, size).to("cuda") for k in range(count)]

    def flow() -> TargetBatch:
        surface = concatenate([project_bodies(model, shell, body) for body in bodies])
        composition = compose_layers(sources, surface, (size, size))
        return TargetBatch.of(draw_flow(composition, fill.at_pixels(colours, composition)))

    def network(target: TargetBatch) -> object:
        with torch.autocast("cuda", torch.bfloat16):
            return generator.transfer(features, target)

    ready = flow()
    works = {"flow": flow, "network": lambda: network(ready), "frame": lambda: network(flow())}
    return {name: wall(work) / count for name, work in works.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.device == "cuda":
        print("16 people, 256 px:", {name: f"{value:.1f} ms" for name, value in on_gpu().items()}, flush=True)
        for preset, size, count in itertools.product(("lite", "base"), arguments.sizes, (1, 8)):
            found = {name: f"{value:.1f} ms" for name, value in frames_on_gpu(preset, size, count).items()}
            print(f"{preset}, {size} px, {count} at once:", found, flush=True)
        return
    columns = [on_cpu(size) for size in arguments.sizes]
    print(f"{'CPU seconds':24}" + "".join(f"{size:>9}" for size in arguments.sizes))
    for name in columns[0]:
        print(f"{name:24}" + "".join(f"{column[name]:9.3f}" for column in columns))


if __name__ == "__main__":
    main()
