"""Make the feature networks of ``assets/perceptual`` and ``assets/face``: only the layers that the losses use, in fp16.

The inputs are safetensors files with the tensors of the published networks under the names that
``liquidwarp/gan/features.py`` uses; batch normalisation is folded into the convolutions.

Usage: python scripts/build_features.py EFFICIENTNET.safetensors HED.safetensors FACE.safetensors
"""

import argparse
from pathlib import Path

import torch

from liquidwarp.gan.features import EfficientNetFeatures, FaceIdentityNet, HedFeatures
from liquidwarp.weights import ASSETS, load_tensors, save_tensors


def main() -> None:
    """Convert the three files."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("efficientnet", "hed", "face"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args()
    with torch.device("meta"):
        networks = {
            "efficientnet": EfficientNetFeatures(),
            "hed": HedFeatures(),
            "face": FaceIdentityNet(),
        }
    for name, network in networks.items():
        tensors, metadata = load_tensors(getattr(args, name))
        kept = {key: tensors[key].half() for key in network.state_dict()}
        save_tensors(ASSETS / network.asset, kept, metadata)


if __name__ == "__main__":
    main()
