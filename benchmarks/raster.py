"""The rasteriser's speed against a plain loop and against what else is installed, as ratios of one run.

The loop (``rasterize_reference``) is timed on a small ball, since on the body it takes minutes. OpenCV's painter fills
sorted triangles one by one (face numbers only, no depth or barycentric weights). Embree, if trimesh and ``embreex`` are
installed, casts a ray per pixel through trimesh. On CUDA neither is needed.

Run ``python benchmarks/raster.py [--device cuda]``. CPU figures are one thread's CPU time, CUDA figures wall time.
"""

import argparse
import importlib.util
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.anny import AnnyBody
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize, rasterize_reference
from liquidwarp.geometry.rotations import rotvec_to_matrix


def seconds(run: Callable[[], object], device: str, repeats: int = 3) -> float:
    """The shortest of some runs after one to warm up: CPU time, or wall time on CUDA."""
    run()
    best = math.inf
    for _ in range(repeats):
        if device == "cuda":
            torch.cuda.synchronize()
        clock = time.process_time if device == "cpu" else time.perf_counter
        start = clock()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, clock() - start)
    return best


def peak_megabytes(run: Callable[[], object], device: str) -> float:
    """Memory that a run adds at its peak; NaN on a CPU where the system (not Linux) cannot say."""
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
        before = _resident("VmRSS")
        run()
        return (_resident("VmHWM") - before) / 2**10
    except OSError:
        return math.nan


def _resident(field: str) -> int:
    """A line of /proc/self/status [kB]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def bodies(batch: int, size: int) -> tuple[Float[Tensor, "B V 3"], Int64[Tensor, "F 3"]]:
    """The body in random poses, filling most of the picture."""
    model = AnnyBody.load()
    generator = torch.Generator().manual_seed(0)
    rotvec = torch.zeros(batch, len(model.joint_names), 3)
    rotvec[:, list(model.roles.movable())] = 0.2 * torch.randn(
        batch, len(model.roles.movable()), 3, generator=generator
    )
    rotvec[:, model.roles.root] = torch.tensor([0.0, 1.0, 0.0]) * torch.arange(batch)[:, None]
    vertices = model.pose(model.rest(torch.zeros(1, len(model.beta_names))), rotvec_to_matrix(rotvec)).vertices
    camera = WeakPerspective(torch.full((batch,), size / 2.1), torch.full((batch, 2), size / 2.0))
    return camera.project(vertices), model.faces


def ball(size: int, rings: int = 20) -> tuple[Float[Tensor, "1 V 3"], Int64[Tensor, "F 3"]]:
    """A sphere of 1 520 triangles between circles of latitude."""
    around = 2 * rings
    latitude = torch.linspace(0, math.pi, rings + 1)[:, None]
    longitude = (torch.arange(around) * 2 * math.pi / around)[None]
    circles = latitude.sin() * longitude.cos(), latitude.cos() + 0 * longitude, latitude.sin() * longitude.sin()
    vertices = torch.stack(circles, -1).view(-1, 3) * torch.tensor([0.45 * size, 0.45 * size, 1.0])
    row, column = torch.meshgrid(torch.arange(rings), torch.arange(around), indexing="ij")
    a, b = row * around + column, row * around + (column + 1) % around
    upper, lower = torch.stack([a, b, b + around], -1), torch.stack([a, b + around, a + around], -1)
    faces = torch.cat([upper[1:].reshape(-1, 3), lower[:-1].reshape(-1, 3)])
    return (vertices + torch.tensor([size / 2, size / 2, 0.0]))[None], faces


def paint(vertices: np.ndarray, faces: np.ndarray, size: int) -> np.ndarray:
    """OpenCV: fill triangles from back to front with their number."""
    import cv2

    triangles = vertices[faces]
    first, second = (triangles[:, k, :2] - triangles[:, 0, :2] for k in (1, 2))
    ahead = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] < 0
    order = np.argsort(-triangles[..., 2].mean(1))
    corners = np.round((triangles[..., :2] - 0.5) * 16).astype(np.int32)
    image = np.full((size, size), -1, np.int32)
    for face in order[ahead[order]]:
        cv2.fillConvexPoly(image, corners[face], int(face), shift=4)
    return image


def cast(mesh: Any, size: int) -> np.ndarray:
    """Embree: one parallel ray through each pixel's centre."""
    y, x = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5, indexing="ij")
    origins = np.stack([x.ravel(), y.ravel(), np.full(size * size, -1e4)], 1)
    return mesh.ray.intersects_first(origins, np.tile([0.0, 0, 1], (size * size, 1))).reshape(size, size)


def agreement(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Share of pixels with the same face, and of pixels that both or neither cover."""
    return f"same face {np.mean(ours == theirs):.4f}, same outline {np.mean((ours >= 0) == (theirs >= 0)):.4f}"


def against_the_loop(device: str) -> None:
    """The ball, where the plain loop is bearable."""
    vertices, faces = (tensor.to(device) for tensor in ball(256))
    fast = seconds(lambda: rasterize(vertices, faces, 256, 256), device)
    vertices, faces = vertices.cpu(), faces.cpu()
    start = time.process_time()
    expected = rasterize_reference(vertices, faces, 256, 256)
    slow = time.process_time() - start
    found = rasterize(vertices, faces, 256, 256)
    same = agreement(found.pix_to_face[0].numpy(), expected.pix_to_face[0].numpy())
    print(f"ball, {len(faces)} faces, 256 px: {fast * 1e3:.2f} ms; plain loop {slow / fast:.0f} times slower; {same}")


def against_libraries(size: int) -> None:
    """The body, one image, beside other software on the CPU."""
    vertices, faces = bodies(1, size)
    ours = seconds(lambda: rasterize(vertices, faces, size, size), "cpu")
    face = rasterize(vertices, faces, size, size).pix_to_face[0].numpy()
    points, triangles = vertices[0].numpy(), faces.numpy()
    painted = seconds(lambda: paint(points, triangles, size), "cpu")
    line = f"  OpenCV's painter {painted / ours:.2f} times ours ({agreement(face, paint(points, triangles, size))})"
    if importlib.util.find_spec("trimesh") and importlib.util.find_spec("embreex"):
        import trimesh

        mesh = trimesh.Trimesh(points, triangles, process=False)
        rays = seconds(lambda: cast(mesh, size), "cpu", 1)
        line += f"\n  Embree {rays / ours:.2f} times ours ({agreement(face, cast(mesh, size))})"
    print(line)


def main() -> None:
    """Print one line per size and batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    device = parser.parse_args().device
    torch.set_num_threads(1)
    print(f"{torch.cuda.get_device_name() if device == 'cuda' else 'CPU, one thread'}, torch {torch.__version__}")
    against_the_loop(device)
    base = math.nan
    for batch in (1, 8):
        for size in (256, 512, 1024):
            vertices, faces = (tensor.to(device) for tensor in bodies(batch, size))

            def run(vertices: Tensor = vertices, faces: Tensor = faces, size: int = size) -> object:
                return rasterize(vertices, faces, size, size)

            memory = peak_megabytes(run, device)
            taken = seconds(run, device)
            base = taken if math.isnan(base) else base
            both = seconds(lambda v=vertices, f=faces, s=size: rasterize(v, f, s, s, cull_backfaces=False), device)
            print(
                f"body, {len(faces)} faces, {size} px, batch {batch}: {taken * 1e3:.1f} ms = {taken / base:.2f} times "
                f"the first, {taken / base / batch:.2f} an image; both sides {both / taken:.2f}; peak +{memory:.0f} MB"
            )
            if batch == 1 and device == "cpu":
                against_libraries(size)


if __name__ == "__main__":
    main()
