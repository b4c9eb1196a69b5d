"""How long the fit of the body takes, stage by stage, against its plain alternative.

python benchmarks/recover.py                 # a synthetic person, 300 frames
python benchmarks/recover.py dance.mp4       # a real video, detection included, in processor time
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.config import DetectConfig, FitConfig
from liquidwarp.media import open_frames
from liquidwarp.recover.fitting import fit as stages
from liquidwarp.recover.fitting.bundle import FitState, View
from liquidwarp.recover.fitting.fit_task import FitTask, key_frames
from liquidwarp.recover.fitting.observation import observe
from liquidwarp.recover.fitting.photometric import PhotometricFit
from liquidwarp.recover.fitting.skeleton import Skeleton
from liquidwarp.recover.fitting.terms import PosePrior
from liquidwarp.recover.mattes.held import find_held
from liquidwarp.recover.tracking.tracker import PersonDetector

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.recover.people import Truth, make_person


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Processor time of the fastest of some calls [s]."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def compare_jacobians(model: AnnyBody, truth: Truth) -> None:
    """The analytic rows against autograd, for the landmarks of a few frames."""
    observation = observe(truth.detections).frames(slice(0, 8))
    skeleton = Skeleton.of(model)
    terms = stages.landmark_terms(observation, model, skeleton)
    turns = torch.eye(3).repeat(8, len(skeleton.parents), 1, 1)
    state = FitState(turns, torch.zeros(len(model.beta_names)), torch.tensor([[1.0, 0, 0]]).repeat(8, 1))

    def analytic() -> None:
        view = View.of(state, skeleton)
        for term in terms:
            term.rows(view, with_betas=True)

    def automatic() -> None:
        points = skeleton.landmark_points(model.landmarks["body"])
        torch.autograd.functional.jacobian(
            lambda r, b: skeleton.locate(skeleton.pose(r, b), points, b), (state.rel_rotmats, state.betas)
        )

    fast, slow = seconds(analytic), seconds(automatic, 1)
    print(f"Jacobian of 8 frames: analytic {1e3 * fast:.1f} ms, autograd {1e3 * slow:.0f} ms: {slow / fast:.0f} times")


def time_stages(video: Path, max_frames: int) -> None:
    """Processor time of every stage of a real video, and what 300 frames would take."""
    model, config = AnnyBody.load(), FitConfig()
    frames = open_frames(video, None, max_frames)
    marks = [time.process_time()]

    def done() -> None:
        marks.append(time.process_time())

    for _ in frames:
        pass
    done()
    detections = PersonDetector(DetectConfig(threads=1)).detect_frames(frames, frames.size, frames.fps)
    done()
    task = FitTask.of((detections,), model, config)
    done()
    state = stages.fit_landmarks(task, config)
    done()
    held = find_held(frames, detections, task.whole_body(state), model)
    done()
    fit = stages.fit_outlines(task if held is None else task.without(held.beyond), state, config)
    done()
    if config.photometric:
        masks = detections.masks if held is None else detections.masks.without(held.whole)
        PhotometricFit.of(model).align(fit.body, frames, masks, fit.fitted)
    done()
    count = len(detections)
    names = (
        "reading alone",
        "detection, reading included",
        "steadying",
        "shape and landmarks",
        "held things",
        "outlines",
        "colours of the skin",
    )
    for name, begin, end in zip(names, marks, marks[1:], strict=False):
        print(f"{name:<28} {end - begin:6.1f} s, {1e3 * (end - begin) / count:6.1f} ms a frame")
    keys = key_frames(task.observation, config.key_frames)
    once = seconds(lambda: stages.fit_shape(task.frames(keys), task.first_state().frames(keys), config), 1)
    rest = marks[-1] - marks[1] - once
    print(f"of these {once:.1f} s once for the shape; 300 frames: {once + 300 * rest / count:.0f} s of processor time")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.video is not None:
        time_stages(options.video, options.frames)
        return
    model = AnnyBody.load()
    truth = make_person(model, options.frames, image_noise=1.0, world_noise=0.02)
    compare_jacobians(model, truth)
    settings = {
        "landmarks only": FitConfig(outline_rounds=0, frame_outline_rounds=0, smoothing=0.0),
        "and smoothing": FitConfig(outline_rounds=0, frame_outline_rounds=0),
        "and outlines (default)": FitConfig(),
    }
    for name, config in settings.items():
        taken = seconds(partial(stages.fit_body, truth.detections, model, config), 1)
        print(f"{name:<24} {taken:6.1f} s for {options.frames} frames, {1e3 * taken / options.frames:6.1f} ms a frame")
    skeleton = Skeleton.of(model)
    print(f"reading the skeleton off the model {1e3 * seconds(lambda: Skeleton.of(model)):.0f} ms")
    print(f"the pose prior {1e3 * seconds(lambda: PosePrior.of(model, skeleton)):.0f} ms")


if __name__ == "__main__":
    main()
