"""A tiny generator and random people, 32 px."""

from collections.abc import Callable

import pytest
import torch

from liquidwarp.config import GeneratorConfig
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.inputs import SourceBatch, TargetBatch
from liquidwarp.geometry.warp import Flow

TINY = {
    "stem_channels": 8,
    "channels": (16, 16, 16),
    "num_blocks": 2,
    "value_channels": 16,
    "modulation_channels": 16,
    "background_channels": (8, 8, 16, 16),
    "background_blocks": 1,
    "decoder_convs": 1,
}


@pytest.fixture
def make_generator() -> Callable[..., LiquidWarpingGenerator]:
    def make(**changes: object) -> LiquidWarpingGenerator:
        torch.manual_seed(0)
        generator = LiquidWarpingGenerator(GeneratorConfig(**(TINY | changes))).eval()
        for parameter in generator.parameters():  # no parameter may be 0, or a test would not see its influence
            with torch.no_grad():
                parameter.add_(torch.randn_like(parameter) * 0.02)
        return generator

    return make


@pytest.fixture
def make_people() -> Callable[..., tuple[SourceBatch, TargetBatch]]:
    def make(people: int = 1, sources: int = 2, targets: int = 1, size: int = 32) -> tuple[SourceBatch, TargetBatch]:
        generator = torch.Generator().manual_seed(people + 10 * sources + 100 * targets)

        def uniform(*shape: int) -> torch.Tensor:
            return torch.rand(*shape, size, size, generator=generator)

        grid = Flow.identity(size, size).grid + (uniform(people, targets, sources, 2).movedim(3, -1) - 0.5) * 0.3
        valid = torch.ones(people, targets, 1, size, size, dtype=torch.bool)
        valid[..., : size // 4] = False
        seen = uniform(people, targets, sources).clamp(min=0.1) * valid
        return (
            SourceBatch(uniform(people, sources, 3), uniform(people, sources, 1), uniform(people, sources, 8) * 2 - 1),
            TargetBatch(
                grid * valid[:, :, :, :, :, None],
                valid,
                seen,
                uniform(people, targets, 8) * 2 - 1,
                uniform(people, targets, 3) * valid,
                uniform(people, targets, 1) * valid,
            ),
        )

    return make
