"""Draw a sheet of the rendered people that training shows, to be looked at: would you take them for people?

python scripts/people_sheet.py .lab/wardrobe --people 64 --out people.png
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from liquidwarp.config import SyntheticConfig
from liquidwarp.evaluate.sheets import to_pixels
from liquidwarp.media import save_image
from liquidwarp.synthetic.dataset import SyntheticPeople


def main() -> None:
    """Read the arguments, render and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wardrobe", type=Path, help="what scripts/build_wardrobe.py wrote")
    parser.add_argument("--out", type=Path, default=Path("people.png"))
    parser.add_argument("--people", type=int, default=64)
    parser.add_argument("--views", type=int, default=1, help="pictures of each: front, back, any side")
    parser.add_argument("--size", type=int, default=512, help="side of the rendered pictures [px]")
    parser.add_argument("--tile", type=int, default=256, help="side of a picture on the sheet [px]")
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--split", choices=("train", "held_out", "all"), default="train")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--photos", action="store_true", help="as a camera and a codec leave them, not clean")
    parser.add_argument("--similar", type=float, default=0.0, help="share of people seen from one side (0 to 1)")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    config = replace(SyntheticConfig(), similar_views=args.similar)
    people = SyntheticPeople.load(args.wardrobe, args.device, args.split, args.seed, config)
    tiles = []
    for index in range(args.people):
        batch = people.sample(1, args.views, args.size, index)
        for picture in (batch.photos if args.photos else batch.images)[0]:
            tile = np.ascontiguousarray(to_pixels(picture, args.tile))
            cv2.putText(tile, str(index), (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
            tiles.append(tile)
        print(f"\r{index + 1} of {args.people}", end="", flush=True)
    print()
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % args.columns)
    rows = [np.concatenate(tiles[first : first + args.columns], 1) for first in range(0, len(tiles), args.columns)]
    save_image(args.out, np.concatenate(rows))
    print(args.out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
