from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from liquidwarp.config import GeneratorConfig
from liquidwarp.errors import SettingError, ShapeError
from liquidwarp.gan.generator import LiquidWarpingGenerator, reset_gate, target_inputs
from liquidwarp.gan.inputs import SourceBatch, TargetBatch
from liquidwarp.gan.lwb import ScaleGeometry
from liquidwarp.geometry.warp import Flow
from liquidwarp.types import SourceViews, TargetFlow

FUSIONS = ["attention", "attention-adain", "add", "average", "soft-gate", "concat", "texture"]


def permuted(sources: SourceBatch, target: TargetBatch, order: list[int]) -> tuple[SourceBatch, TargetBatch]:
    return (
        SourceBatch(sources.images[:, order], sources.mattes[:, order], sources.conditions[:, order]),
        replace(target, grid=target.grid[:, :, order], visible=target.visible[:, :, order]),
    )


@torch.no_grad()
def synthesize(generator, sources, target):
    return generator.transfer(generator.encode(sources), target)


@pytest.mark.parametrize(("sources", "targets"), [(1, 1), (2, 3), (8, 2)])
def test_any_number_of_sources_and_targets(make_generator, make_people, sources, targets):
    result = synthesize(make_generator(), *make_people(2, sources, targets))
    assert result.image.shape == (2, targets, 3, 32, 32)
    assert result.matte.shape == (2, targets, 1, 32, 32)
    for values in (result.image, result.matte, result.copied):
        assert values.min() >= 0
        assert values.max() <= 1


def test_sources_and_targets_may_have_different_sizes(make_generator, make_people):
    sources, _ = make_people(size=48)
    _, target = make_people(size=32)
    assert synthesize(make_generator(), sources, target).image.shape == (1, 1, 3, 32, 32)


@pytest.mark.parametrize("fusion", FUSIONS[:5])
def test_order_of_sources_does_not_matter(make_generator, make_people, fusion):
    generator, (sources, target) = make_generator(fusion=fusion), make_people(sources=3)
    expected = synthesize(generator, sources, target)
    found = synthesize(generator, *permuted(sources, target, [2, 0, 1]))
    torch.testing.assert_close(found.image, expected.image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("fusion", FUSIONS[:5])
def test_invisible_source_has_no_influence(make_generator, make_people, fusion):
    generator, (sources, target) = make_generator(fusion=fusion), make_people(sources=2)
    target.visible[:, :, 1] = 0
    expected = synthesize(generator, sources, target)
    sources.images[:, 1] = 1 - sources.images[:, 1]
    torch.testing.assert_close(synthesize(generator, sources, target).image, expected.image, atol=0, rtol=0)
    sources.images[:, 0] = 1 - sources.images[:, 0]
    assert (synthesize(generator, sources, target).image - expected.image).abs().max() > 1e-4


def test_a_person_is_alone_in_the_batch(make_generator, make_people):
    generator, (sources, target) = make_generator(), make_people(people=2, targets=2)
    together = synthesize(generator, sources, target)
    alone = synthesize(
        generator,
        SourceBatch(sources.images[1:], sources.mattes[1:], sources.conditions[1:]),
        TargetBatch(*(getattr(target, name)[1:] for name in target.__dataclass_fields__)),
    )
    torch.testing.assert_close(together.image[1:], alone.image, atol=1e-5, rtol=0)


def test_identity_flow_and_open_gate_return_the_texture(make_generator, make_people):
    generator, (sources, target) = make_generator(), make_people(sources=1)
    target = replace(
        target,
        grid=Flow.identity(32, 32).grid[None, None],
        texture=sources.images,
        texture_matte=torch.ones(1, 1, 1, 32, 32),
    )
    with torch.no_grad():
        generator.transfer_net.heads.bias[4] = 50.0
    result = synthesize(generator, sources, target)
    torch.testing.assert_close(result.image, sources.images, atol=1e-5, rtol=0)
    closed = synthesize(make_generator(copy_gate=False), sources, target)
    assert (closed.image - sources.images).abs().mean() > 0.05


def test_heads_correct_the_warp(make_generator, make_people):
    """With heads that say nothing the given texture and matte come out."""
    generator, (sources, target) = make_generator(), make_people(targets=2)
    with torch.no_grad():
        generator.transfer_net.heads.weight.zero_()
        generator.transfer_net.heads.bias.zero_()
    result = synthesize(generator, sources, target)
    matte = target.texture_matte.clamp(0.02, 0.98)
    torch.testing.assert_close(result.matte[target.valid], matte[target.valid])
    torch.testing.assert_close(result.copied, torch.sigmoid(torch.tensor(2.0)) * target.texture_matte)
    certain = replace(target, texture_matte=target.valid.float())
    matte = synthesize(generator, sources, certain).matte
    assert (matte[target.valid] > 0.97).all()
    assert (matte[~target.valid] < 0.03).all()


def test_a_reset_gate_copies_everywhere(make_generator, make_people):
    generator, (sources, target) = make_generator(), make_people()
    target = replace(target, texture_matte=torch.ones_like(target.texture_matte))
    reset_gate(generator.transfer_net, 0.8)
    result = synthesize(generator, sources, target)
    torch.testing.assert_close(result.copied, torch.full_like(result.copied, 0.8))


def test_each_fusion_differs(make_generator, make_people):
    people = make_people(sources=2)
    images = {fusion: synthesize(make_generator(fusion=fusion), *people).image for fusion in FUSIONS}
    for fusion, image in images.items():
        others = [other for name, other in images.items() if name != fusion]
        assert min((image - other).abs().max().item() for other in others) > 1e-4, fusion


def test_concat_ignores_sources_beyond_its_number(make_generator, make_people):
    generator, (sources, target) = make_generator(fusion="concat", concat_sources=2), make_people(sources=3)
    expected = synthesize(generator, sources, target).image
    sources.images[:, 2] = 0
    torch.testing.assert_close(synthesize(generator, sources, target).image, expected)


def test_previous_frame_joins_like_a_source(make_generator, make_people):
    generator, (sources, target) = make_generator(), make_people(sources=3)
    target.visible[:, :, 2] = target.visible[:, :, :2].amin(2)  # it sees nothing that no photo sees
    expected = synthesize(generator, sources, target)
    photos, last = (
        SourceBatch(sources.images[:, s], sources.mattes[:, s], sources.conditions[:, s])
        for s in (slice(0, 2), slice(2, 3))
    )
    with torch.no_grad():
        for fusion in generator.transfer_net.fusions:
            fusion.attention.previous_bias.zero_()
        features = generator.encode(photos).with_previous(generator.encode(last))
        torch.testing.assert_close(generator.transfer(features, target).image, expected.image, atol=1e-5, rtol=0)
        for fusion in generator.transfer_net.fusions:
            fusion.attention.previous_bias.fill_(4.0)
        assert (generator.transfer(features, target).image - expected.image).abs().max() > 1e-5


def test_a_previous_frame_is_no_photo_that_sees(make_people):
    """It shows what was invented too: of such places the network must know that no photo shows them."""
    _, target = make_people(sources=3)
    target.visible[:, :, :2] = 0
    seen = slice(4, 5)
    assert target_inputs(target)[:, seen].max() > 0.5
    assert target_inputs(target, 1)[:, seen].max() == 0
    assert ScaleGeometry.at(target, 16, 16).maps[:, 0].max() > 0.5
    assert ScaleGeometry.at(target, 16, 16, 1).maps[:, 0].max() == 0
    assert ScaleGeometry.at(target, 16, 16, 1).visible[:, :, 2].max() > 0.5  # yet the attention may look at it


def test_batches_are_made_of_the_contracts_values(make_generator, make_people):
    sources, target = make_people(people=2, targets=2)
    views = [SourceViews(sources.images[b], sources.mattes[b], sources.conditions[b]) for b in range(2)]
    flows = [TargetFlow(*(getattr(target, name)[b] for name in target.__dataclass_fields__)) for b in range(2)]
    generator = make_generator()
    expected = synthesize(generator, sources, target)
    found = synthesize(generator, SourceBatch.of(*views), TargetBatch.of(*flows))
    torch.testing.assert_close(found.image, expected.image)


def test_training_outputs_and_gradients(make_generator, make_people):
    generator = make_generator()
    synthesis, reconstruction = generator(*make_people(people=2, targets=2))
    assert reconstruction.image.shape == (2, 2, 3, 32, 32)
    background = generator.complete_background(torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32))
    total = synthesis.over(torch.rand(2, 1, 3, 32, 32)).sum() + reconstruction.image.sum() + background.sum()
    (total + reconstruction.matte_logits.sum()).backward()
    untouched = [n for n, p in generator.named_parameters() if p.grad is None and not n.endswith("previous_bias")]
    assert untouched == []


def test_background_outside_the_hole_stays(make_generator):
    image, hole = torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
    hole[..., 8:16, 8:16] = 1
    with torch.no_grad():
        generator = make_generator()
        completed = generator.complete_background(image, hole)
        other = generator.complete_background(torch.where(hole > 0, 1 - image, image), hole)
    torch.testing.assert_close(completed * (1 - hole), image * (1 - hole))
    torch.testing.assert_close(completed, other)


def test_composition_over_a_background(make_generator, make_people):
    result = synthesize(make_generator(), *make_people(targets=2))
    over = result.over(torch.zeros(1, 1, 3, 32, 32))
    torch.testing.assert_close(over, result.image * result.matte)


def test_sizes_and_numbers_are_checked(make_generator, make_people):
    generator = make_generator()
    with pytest.raises(ShapeError, match="multiples of 8"):
        generator.encode(make_people(size=36)[0])
    features = generator.encode(make_people(sources=2)[0])
    with pytest.raises(ShapeError, match="sources"):
        generator.transfer(features, make_people(sources=3)[1])


def test_wrong_settings_are_named():
    with pytest.raises(SettingError, match="preset"):
        GeneratorConfig.preset("huge")
    with pytest.raises(SettingError, match="num_blocks"):
        GeneratorConfig(num_blocks=0)


@pytest.mark.parametrize(
    ("preset", "most_gflop", "parameters"),
    [("lite", 6.0, (2.5e6, 4e6)), ("base", 25.0, (9e6, 11e6)), ("paper", 71.5, (31e6, 37e6))],
)
def test_budget_of_a_preset(preset, most_gflop, parameters):
    """GFLOP (2 per multiply-add) of one frame at 256 with two encoded sources, counted without computing."""
    with torch.device("meta"):
        generator = LiquidWarpingGenerator(GeneratorConfig.preset(preset))
        sources = SourceBatch(*(torch.rand(1, 2, c, 256, 256) for c in (3, 1, 8)))
        target = TargetBatch(
            torch.rand(1, 1, 2, 256, 256, 2),
            torch.ones(1, 1, 1, 256, 256, dtype=torch.bool),
            torch.rand(1, 1, 2, 256, 256),
            *(torch.rand(1, 1, c, 256, 256) for c in (8, 3, 1)),
        )
        features = generator.encode(sources)
        with FlopCounterMode(display=False) as counter:
            generator.transfer(features, target)
    assert counter.get_total_flops() / 1e9 <= most_gflop
    assert parameters[0] <= sum(p.numel() for p in generator.parameters()) <= parameters[1]


def test_lite_and_base_fit_into_the_wheel():
    with torch.device("meta"):
        count = sum(
            p.numel()
            for name in ("lite", "base")
            for p in LiquidWarpingGenerator(GeneratorConfig.preset(name)).parameters()
        )
    assert count * 2 <= 30e6
