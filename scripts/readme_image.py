"""Make docs/images/demo.png: the demo's photos and some frames of what is made of them.

Usage: python scripts/readme_image.py [--size 512] [--frames 5]
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from liquidwarp import LiquidWarper
from liquidwarp.media import read_image, save_image
from liquidwarp.weights import asset

HEIGHT = 320
GAP = 6
TARGET = Path(__file__).parents[1] / "docs" / "images" / "demo.png"


def panel(rgb: np.ndarray) -> np.ndarray:
    """A picture at the strip's height with a white gap to its right."""
    width = round(rgb.shape[1] * HEIGHT / rgb.shape[0])
    small = np.asarray(Image.fromarray(rgb).resize((width, HEIGHT), Image.Resampling.LANCZOS))
    return np.pad(small, ((0, 0), (0, GAP), (0, 0)), constant_values=255)


def main() -> None:
    """Render and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=5)
    options = parser.parse_args()
    photos = [asset("demo/front.jpg"), asset("demo/back.jpg")]
    warper = LiquidWarper.from_pretrained(size=options.size)
    result = warper.imitate(warper.prepare(photos), driving=asset("demo/motion.bvh"))
    chosen = np.linspace(0, len(result) - 1, options.frames + 2).round().astype(int)[1:-1]
    panels = [panel(read_image(path).rgb) for path in photos]
    panels.append(np.full((HEIGHT, 3 * GAP, 3), 255, np.uint8))
    panels += [panel(next(result.frames(int(index)))) for index in chosen]
    save_image(TARGET, np.concatenate(panels, 1)[:, :-GAP])


if __name__ == "__main__":
    main()
