"""Make the picture of docs/backgrounds.md from the demo's person before five backgrounds.

Usage: python scripts/backdrop_image.py [--size 512] [--renderer auto]

From left to right: the photo; its own place with the person gone; moved there, with the shade of the feet; before a
film's frame; transparent, laid over a chequerboard.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from liquidwarp import LiquidWarper
from liquidwarp.backdrop import SHADE, Nothing, Still
from liquidwarp.synthesizer import SourceBank
from liquidwarp.weights import asset

OUT = Path(__file__).parents[1] / "docs" / "images" / "backgrounds.jpg"
HEIGHT, GAP, SQUARE = 340, 6, 32
FRAME = 20


def chequerboard(size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """Light and dark grey squares."""
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]] // SQUARE
    return np.where(((rows + columns) % 2 == 0)[..., None], np.uint8([235] * 3), np.uint8([200] * 3))


def dusk(size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """A made-up frame of a film: a sky over a plain."""
    height = np.linspace(0, 1, size[1])[:, None, None]
    sky = (1 - height) * np.array([40, 50, 110]) + height * np.array([250, 160, 90])
    plain = np.array([120, 96, 80]) * (0.6 + 0.5 * height)
    picture = np.where(height < 0.62, sky, plain)
    return np.rint(np.broadcast_to(picture, (size[1], size[0], 3))).astype(np.uint8)


def moved(warper: LiquidWarper, person: SourceBank) -> UInt8[np.ndarray, "H W C"]:
    """One frame of the demo's motion."""
    return next(warper.imitate(person, asset("demo/motion.bvh")).frames(FRAME))


def main() -> None:
    """Render and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--renderer", default="auto")
    options = parser.parse_args()
    warper = LiquidWarper.from_pretrained(size=options.size, renderer=options.renderer)
    person = warper.prepare([asset("demo/front.jpg"), asset("demo/back.jpg")])
    film = moved(warper, replace(person, backdrop=Still(dusk(person.size), SHADE)))
    alone = moved(warper, replace(person, backdrop=Nothing(person.size)))
    share = alone[..., 3:] / 255
    over = np.rint(share * alone[..., :3] + (1 - share) * chequerboard(person.size)).astype(np.uint8)
    panels = []
    for picture in (person.picture, person.background, moved(warper, person), film, over):
        width = round(picture.shape[1] * HEIGHT / picture.shape[0])
        small = np.asarray(Image.fromarray(picture).resize((width, HEIGHT), Image.Resampling.LANCZOS))
        panels.append(np.pad(small, ((0, 0), (0, GAP), (0, 0)), constant_values=255))
    Image.fromarray(np.concatenate(panels, 1)[:, :-GAP]).save(OUT, quality=88)
    print(f"Written: {OUT}")


if __name__ == "__main__":
    main()
