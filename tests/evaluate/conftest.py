import pytest
import torch

from liquidwarp.config import GeneratorConfig
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.pretrained import save_generator

TINY = {
    "stem_channels": 8,
    "channels": (8, 8, 8),
    "num_blocks": 1,
    "value_channels": 8,
    "modulation_channels": 8,
    "decoder_convs": 1,
    "background_channels": (8, 8, 8, 8),
    "background_blocks": 1,
}


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Folders of untrained networks: one fuses by attention, one hands the warped texture on."""
    folder = tmp_path_factory.mktemp("runs")
    for name, fusion in (("attention", "attention"), ("passing", "texture")):
        torch.manual_seed(0)
        generator = LiquidWarpingGenerator(GeneratorConfig(fusion=fusion, **TINY))
        save_generator(folder / name / "weights", generator)
    return folder
