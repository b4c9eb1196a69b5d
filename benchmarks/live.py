"""What a live frame costs, stage by stage, on one CPU thread.

Run ``python benchmarks/live.py CLIP [--frames 12] [--size 256]``. Columns: CPU milliseconds of finding the person and
fitting the body (the first frame apart), of rendering the demo's person with texture warping, and the frame rate of
both one after the other, if nothing else runs.
"""

import argparse
from itertools import islice
from pathlib import Path
from time import process_time

import numpy as np
import torch

from liquidwarp import LiquidWarper
from liquidwarp.body.motion import motion_of
from liquidwarp.body.retarget import retarget
from liquidwarp.config import DetectConfig
from liquidwarp.media import open_frames
from liquidwarp.recover.live import LiveBody
from liquidwarp.recover.tracking.tracker import PersonDetector
from liquidwarp.synthesizer import render_frames
from liquidwarp.weights import asset


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warper = LiquidWarper.from_pretrained("cpu", options.size, "texture", progress=False)
    person = warper.prepare([asset("demo/front.jpg"), asset("demo/back.jpg")], background=(255, 255, 255))
    body = LiveBody(warper.model, detector=PersonDetector(DetectConfig(threads=1)))
    frames = open_frames(options.clip)
    recovery, rendering = [], []
    for index, frame in enumerate(islice(iter(frames), options.frames)):
        begin = process_time()
        seen = body.step(frame, index / frames.fps)
        recovery.append(process_time() - begin)
        if seen is None:
            continue
        begin = process_time()
        motion = motion_of(seen, warper.model, frames.fps)
        target = retarget(motion, person.body, warper.model, "fixed", image_size=person.size)
        next(render_frames(person, target, warper.config))
        rendering.append(process_time() - begin)
    first, later, drawn = recovery[0], float(np.median(recovery[1:])), float(np.median(rendering[1:]))
    print("| first frame ms | person and body ms | rendering ms | frames/s |")
    print("|---------------:|-------------------:|-------------:|---------:|")
    print(f"| {1000 * first:14.0f} | {1000 * later:18.0f} | {1000 * drawn:12.0f} | {1 / (later + drawn):8.1f} |")


if __name__ == "__main__":
    main()
