from dataclasses import replace

import pytest
import torch

from liquidwarp.config import GeneratorConfig
from liquidwarp.gan.generator import LiquidWarpingGenerator, reset_gate
from liquidwarp.learn.boxes import MovingBoxes
from liquidwarp.learn.gate import GateRow, format_gates, measure_gate

TINY = GeneratorConfig(
    stem_channels=8,
    channels=(16, 16, 16),
    num_blocks=1,
    value_channels=16,
    modulation_channels=16,
    decoder_convs=1,
    background_channels=(8, 8, 8, 8),
    background_blocks=1,
)


def test_a_gate_that_copies_everywhere_shows_the_texture():
    sample = MovingBoxes(2, 2, 1, 64).samples(0)[0]
    half_wrong = sample.images.clone()
    half_wrong[..., 32:] = (half_wrong[..., 32:] + 0.5) % 1
    targets = replace(sample.targets, texture=half_wrong, texture_matte=torch.ones_like(sample.targets.texture_matte))
    sample = replace(sample, targets=targets)
    generator = LiquidWarpingGenerator(TINY).eval()
    reset_gate(generator.transfer_net, 0.999)
    right, wrong, everything = measure_gate(generator, [sample])
    for row in (right, wrong, everything):
        assert row.gate == pytest.approx(0.999, abs=1e-3)
        assert row.mixture == pytest.approx(row.texture, abs=2e-3)
    person = sample.mattes > 0.9
    assert right.texture == 0
    assert wrong.texture == pytest.approx(0.5, abs=0.01)
    assert right.share == pytest.approx(float(person[..., :32].sum() / person.sum()), abs=1e-3)
    assert right.share + wrong.share == pytest.approx(1)
    assert everything.texture == pytest.approx(wrong.share * wrong.texture, abs=1e-3)


def test_networks_without_a_gate_have_no_rows():
    sample = MovingBoxes(1, 2, 1, 32).samples(0)[0]
    assert measure_gate(LiquidWarpingGenerator(replace(TINY, copy_gate=False)), [sample]) == []


def test_the_table_has_a_line_for_each_row():
    row = GateRow("right", 0.5, 0.9, 0.01, 0.07, 0.02)
    lines = format_gates([("base", [row]), ("lite", [row, row])]).splitlines()
    assert len(lines) == 5
    assert lines[2] == "| base | right | 0.50 | 0.90 | 0.010 | 0.070 | 0.020 |"
