"""Print how well the copy gate of trained networks chooses, on held-out synthetic people (docs/training.md).

python scripts/gate_table.py .lab/wardrobe --models base lite runs/base/weights --people 8 --size 256
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from liquidwarp.config import SyntheticConfig, TrainConfig
from liquidwarp.gan.pretrained import load_generator
from liquidwarp.learn.gate import format_gates, measure_gate
from liquidwarp.learn.synthetic import SyntheticData


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wardrobe", type=Path, help="what scripts/build_wardrobe.py wrote")
    parser.add_argument("--models", nargs="+", default=["base", "lite"], help="base, lite, or folders of weights")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--size", type=int, default=256, help="side of the pictures [px]")
    parser.add_argument("--similar", type=float, default=0.0, help="share of people seen from one side (0 to 1)")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    config = TrainConfig(
        data_folder=args.wardrobe,
        size=args.size,
        people=1,
        reuse=1,
        single_source_share=0.0,
        synthetic=replace(SyntheticConfig(), degrade=0.0, similar_views=args.similar),
    )
    data = SyntheticData.load(config, torch.device(args.device), "test")
    samples = [data.samples(index)[0] for index in range(args.people)]
    gates = [(model, measure_gate(load_generator(model, args.device), samples)) for model in args.models]
    print(format_gates(gates))


if __name__ == "__main__":
    main()
