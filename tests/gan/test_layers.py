import torch

from liquidwarp.gan.layers import DecoderStage, Encoder, instance_norm


def test_instance_norm_is_that_of_each_channel():
    torch.manual_seed(0)
    features = (torch.randn(2, 3, 8, 10) * 4 + 7).to(memory_format=torch.channels_last)
    normal = instance_norm(features)
    mean, deviation = features.mean((2, 3), keepdim=True), features.std((2, 3), keepdim=True, unbiased=False)
    torch.testing.assert_close(normal, (features - mean) / deviation, atol=1e-4, rtol=0)
    assert instance_norm(features.bfloat16()).dtype == torch.bfloat16


def test_encoder_halves_without_a_shift():
    """A constant ramp stays a ramp whose pixel centres lie where they were."""
    encoder = Encoder(1, 1, (1, 1, 1))
    with torch.no_grad():
        for layer in (encoder.stem, *encoder.downs):
            layer.weight.fill_(1 / layer.weight[0].numel())
            layer.bias.zero_()
    ramp = (torch.arange(64) + 0.5).expand(1, 1, 64, 64)
    for level, features in enumerate(encoder(ramp)):
        step = 2**level
        expected = (torch.arange(64 // step) + 0.5) * step
        middle = slice(24 // step, 40 // step)
        torch.testing.assert_close(features[0, 0, 32 // step, middle], expected[middle])


def test_decoder_stage_doubles_and_uses_its_skip():
    torch.manual_seed(0)
    stage = DecoderStage(4, 3, 5, 2)
    coarse, skip = torch.randn(1, 4, 4, 4), torch.randn(1, 3, 8, 8)
    found = stage(coarse, skip)
    assert found.shape == (1, 5, 8, 8)
    assert (stage(coarse, skip * 0) - found).abs().max() > 0.01
    assert (stage(coarse * 0, skip) - found).abs().max() > 0.01
