"""Make the pictures of docs/tasks.md from the demo's person: views, transfer, effects, shapes, several people.

Usage: python scripts/task_images.py [--size 512] [--renderer auto] [--only view transfer effects shape company]

The second person is the first one recoloured.
"""

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from liquidwarp import LiquidWarper
from liquidwarp.effects import Effects
from liquidwarp.media import read_image, save_image
from liquidwarp.synthesizer import SourceBank
from liquidwarp.weights import asset

FOLDER = Path(__file__).parents[1] / "docs" / "images"
HEIGHT = 300
GAP = 6
PHOTOS = ("demo/front.jpg", "demo/back.jpg")
MATTES = ("demo/front_matte.png", "demo/back_matte.png")


def row(pictures: Iterable[UInt8[np.ndarray, "H W 3"]]) -> UInt8[np.ndarray, "h w 3"]:
    """Pictures next to each other, with white gaps."""
    panels = []
    for rgb in pictures:
        width = round(rgb.shape[1] * HEIGHT / rgb.shape[0])
        small = np.asarray(Image.fromarray(rgb).resize((width, HEIGHT), Image.Resampling.LANCZOS))
        panels.append(np.pad(small, ((0, 0), (0, GAP), (0, 0)), constant_values=255))
    return np.concatenate(panels, 1)[:, :-GAP]


def stack(rows: Iterable[UInt8[np.ndarray, "h w 3"]]) -> UInt8[np.ndarray, "H W 3"]:
    """Rows below each other, with white gaps."""
    rows = list(rows)
    widest = max(one.shape[1] for one in rows)
    padded = [np.pad(one, ((0, GAP), (0, widest - one.shape[1]), (0, 0)), constant_values=255) for one in rows]
    return np.concatenate(padded)[:-GAP]


def matte(index: int) -> Float[np.ndarray, "H W 1"]:
    """Opacity of the demo's person in one of the photos."""
    return np.asarray(Image.open(asset(MATTES[index])).convert("L"), np.float32)[..., None] / 255


def recoloured(rgb: UInt8[np.ndarray, "H W 3"], opacity: Float[np.ndarray, "H W 1"]) -> UInt8[np.ndarray, "H W 3"]:
    """The person in other colours: what is blue turns red; skin stays."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    blue = cv2.GaussianBlur(((hsv[..., 0] > 90) & (hsv[..., 0] < 140)).astype(np.float32), (0, 0), 1.5)[..., None]
    other = rgb[..., [2, 0, 1]]
    share = opacity * blue
    return np.rint(share * other + (1 - share) * rgb).astype(np.uint8)


def middle(rgb: UInt8[np.ndarray, "H W 3"], share: float = 0.62) -> UInt8[np.ndarray, "H w 3"]:
    """The middle columns."""
    cut = round(rgb.shape[1] * (1 - share) / 2)
    return rgb[:, cut : rgb.shape[1] - cut]


class Pictures:
    """The person, prepared once, and a method for each picture."""

    def __init__(self, warper: LiquidWarper, folder: Path) -> None:
        self.warper = warper
        self.folder = folder
        self.person: SourceBank = warper.prepare([asset(name) for name in PHOTOS])

    def twin(self) -> SourceBank:
        """The person in other colours."""
        paths = []
        for index, name in enumerate(PHOTOS):
            paths.append(self.folder / Path(name).name)
            save_image(paths[-1], recoloured(read_image(asset(name)).rgb, matte(index)))
        return self.warper.prepare(paths)

    def view(self) -> UInt8[np.ndarray, "H W 3"]:
        """From several sides, and with lowered arms."""
        stills = [self.warper.view(self.person, angle=angle) for angle in (0, 45, -45, 90, 180)]
        stills.append(self.warper.view(self.person, angle=30, pose="a"))
        return row(middle(next(iter(still))) for still in stills)

    def transfer(self) -> UInt8[np.ndarray, "H W 3"]:
        """Both people, and the first with parts of the second."""
        twin = self.twin()
        wears = ({"upper": twin}, {"lower": twin}, {"left_arm": twin, "right_leg": twin})
        dressed = [next(iter(self.warper.transfer(self.person, wear))) for wear in wears]
        return row(middle(one) for one in (self.person.picture, twin.picture, *dressed))

    def effects(self) -> UInt8[np.ndarray, "H W 3"]:
        """Above: four views side by side. Below: frames of a bullet time."""
        motion, frame = asset("demo/motion.bvh"), 20
        views = self.warper.imitate(self.person, motion, effects=Effects(views=(0, 90, 180, 270)))
        bullet = self.warper.imitate(self.person, motion, effects=Effects(bullet_time=((frame, 24),)))
        around = [middle(next(bullet.frames(frame + step)), 0.86) for step in (0, 5, 10, 14, 19)]
        return stack([row([next(views.frames(frame))]), row(around)])

    def shape(self) -> UInt8[np.ndarray, "H W 3"]:
        """As in the photo, taller, smaller, heavier, lighter, with longer legs."""
        edits = ("height=+10cm", "height=-10cm", "weight=+20%", "weight=-15%", "upperleg-length=+5cm")
        people = [self.person, *(self.warper.reshape(self.person, edit) for edit in edits)]
        return row(middle(next(iter(self.warper.view(person, angle=0)))) for person in people)

    def company(self) -> UInt8[np.ndarray, "H W 3"]:
        """Two people in one photo: the photo, then each of them moved while the other stays."""
        opacity, photo = matte(0), read_image(asset(PHOTOS[0])).rgb
        other = recoloured(photo, opacity)
        place = read_image(asset("demo/background.jpg")).rgb
        place = np.asarray(Image.fromarray(place).resize((photo.shape[1], photo.shape[0]), Image.Resampling.LANCZOS))
        reach = round(0.17 * photo.shape[1])
        picture = place.astype(np.float32)
        for rgb, shift in ((photo, reach), (other, -reach)):
            share, colours = np.roll(opacity, shift, 1), np.roll(rgb, shift, 1)
            picture = share * colours + (1 - share) * picture
        path = self.folder / "two.png"
        save_image(path, np.rint(picture).astype(np.uint8))
        pictures = [read_image(path).rgb]
        for x in (0.5 + 0.17, 0.5 - 0.17):
            person = self.warper.prepare(path, person=(x * photo.shape[1], 0.5 * photo.shape[0]))
            moved = self.warper.imitate(person, asset("demo/motion.bvh"))
            pictures += [next(moved.frames(frame)) for frame in (20, 90)]
        return row(pictures)


def main() -> None:
    """Render and write."""
    names = ("view", "transfer", "effects", "shape", "company")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--renderer", default="auto")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = Pictures(LiquidWarper.from_pretrained(size=options.size, renderer=options.renderer), Path(folder))
        for name in options.only:
            Image.fromarray(getattr(pictures, name)()).save(FOLDER / f"{name}.jpg", quality=88)
            print(f"Written: {FOLDER / name}.jpg")


if __name__ == "__main__":
    main()
