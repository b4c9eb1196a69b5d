"""How long the fit of the body takes, stage by stage, against its plain alternative.

python benchmarks/recover.py                 # a synthetic person, 300 frames
python benchmarks/recover.py dance.mp4       # a real video, detection included
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.config import FitConfig
from liquidwarp.recover import fit as stages
from liquidwarp.recover.bundle import FitState, View
from liquidwarp.recover.observation import observe
from liquidwarp.recover.skeleton import Skeleton
from liquidwarp.recover.terms import PosePrior

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


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.video is not None:
        from liquidwarp.evaluate.recover import evaluate_recover

        print(evaluate_recover([options.video], max_frames=options.frames))
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
