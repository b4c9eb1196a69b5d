import copy
import math

import pytest
import torch
import torch.nn.functional as F

from liquidwarp.config import LossConfig
from liquidwarp.errors import SettingError
from liquidwarp.gan.inputs import SourceBatch, Synthesis, TargetBatch
from liquidwarp.gan.losses import (
    FaceIdentityLoss,
    PerceptualDistance,
    consistency_loss,
    continued,
    copy_loss,
    discriminator_loss,
    feature_matching,
    generator_loss,
    masked_l1,
    matte_loss,
    mean_l1,
    outline_loss,
    tone_l1,
    total_variation,
)
from liquidwarp.geometry.warp import Flow


def checks(size: int = 96) -> torch.Tensor:
    """A picture with edges at several scales."""
    unit = torch.arange(size)
    board = ((unit[:, None] // 6 + unit // 9) % 2).float()
    waves = (unit[:, None] / 11).sin() * 0.3 + 0.5
    return torch.stack([board * 0.8 + 0.1, waves.expand(size, size), board.T * waves])[None]


def blurred(image: torch.Tensor, radius: int) -> torch.Tensor:
    return F.avg_pool2d(F.pad(image, (radius,) * 4, mode="replicate"), 2 * radius + 1, 1) if radius else image


@pytest.fixture(scope="module")
def perceptual() -> PerceptualDistance:
    return PerceptualDistance.load(LossConfig())


def test_perceptual_distance_orders_blur(perceptual):
    truth = checks()
    levels = torch.cat([blurred(truth, radius) for radius in (0, 1, 2, 4, 7)])
    distances = perceptual(levels, truth.expand_as(levels))
    assert distances[0] == 0
    assert (distances.diff() > 0).all()


def test_perceptual_distance_dislikes_blur_more_than_a_shift_of_colour(perceptual):
    """L1 says the opposite: this is what the loss is for."""
    truth = checks()
    soft, tinted = blurred(truth, 2), (truth + 0.15).clamp(max=1)
    assert (soft - truth).abs().mean() < (tinted - truth).abs().mean() * 1.6
    distances = perceptual(torch.cat([soft, tinted]), truth.expand(2, -1, -1, -1))
    assert distances[0] > 2 * distances[1]


def test_perceptual_distance_has_a_gradient_for_the_picture_only(perceptual):
    image, truth = blurred(checks(64), 2).requires_grad_(), checks(64).requires_grad_()
    perceptual(image, truth).sum().backward()
    assert image.grad.abs().sum() > 0
    assert truth.grad is None


def test_face_loss_weighs_by_size_and_visibility():
    loss = FaceIdentityLoss.load()
    truth, image = checks(160), blurred(checks(160), 3)
    large = torch.tensor([[[110.0, 60], [90, 62], [40, 60], [60, 62], [75, 105]]])
    assert loss(truth, truth, large, torch.ones(1)) == 0
    assert loss(image, truth, large, torch.ones(1)) > 0.1
    assert loss(image, truth, large, torch.zeros(1)) == 0
    small = (large - 75) * 0.1 + 75
    assert loss(image, truth, small, torch.ones(1)) < 0.5 * loss(image, truth, large, torch.ones(1))


def test_masked_l1_looks_inside_only():
    image, mask = torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    truth = torch.where(mask > 0, 0.25, 1.0).expand(1, 3, 4, 4)
    assert masked_l1(image, truth, mask).item() == pytest.approx(0.25)
    assert masked_l1(image, truth, mask * 0).item() == 0


def test_tone_forgives_displaced_detail_but_no_wrong_colour():
    """Pixel by pixel, a blurred picture is better than a sharp one that lies beside its place."""
    truth = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 1, 256, 256)
    soft, displaced, tinted = blurred(truth, 4), truth.roll(1, -1), truth + 0.1
    assert masked_l1(soft, truth, mask) < 0.8 * masked_l1(displaced, truth, mask)
    assert tone_l1(displaced, truth, mask) < 0.25 * masked_l1(displaced, truth, mask)
    torch.testing.assert_close(tone_l1(tinted, truth, mask), torch.tensor(0.1))
    half = mask.clone()
    half[..., 128:] = 0
    torch.testing.assert_close(tone_l1(torch.where(half > 0, truth, 0.0), truth, half), torch.tensor(0.0))


def test_the_persons_colours_go_on_beyond_the_outline():
    """A red and a green half: beside each its own colour, far away nothing; within, the picture itself."""
    image, mask = torch.rand(1, 1, 3, 256, 256), torch.zeros(1, 1, 1, 256, 256)
    mask[..., 64:192, 64:192] = 1
    red, green = torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0])
    image[..., 64:128, 64:192], image[..., 128:192, 64:192] = red[:, None, None], green[:, None, None]
    colours, wide = continued(image, mask)
    torch.testing.assert_close(colours[..., 64:192, 64:192], image[..., 64:192, 64:192])
    torch.testing.assert_close(colours[0, 0, :, 60, 128], red)
    torch.testing.assert_close(colours[0, 0, :, 195, 128], green)
    assert wide[0, 0, 0, 128, 57:59].tolist() == [0, 1]
    assert wide.sum() == 140**2
    drawn = torch.where(wide > 0, colours, 1 - colours)
    assert tone_l1(drawn, colours, wide) == 0
    assert tone_l1(torch.where(mask > 0, colours, 1 - colours), colours, wide) > 0.02


def test_consistency_looks_where_only_the_frame_before_shows_the_surface():
    """A frame moved by a quarter of the picture; the photo sees the upper half, the person is on the left half."""
    size = 16
    frame = torch.rand(1, 1, 3, size, size)
    shift = Flow.identity(size, size).grid + torch.tensor([0.5, 0.0])
    grid = torch.stack([Flow.identity(size, size).grid[0], shift[0]])[None, None]
    photo, before = torch.zeros(1, 1, 1, size, size), torch.ones(1, 1, 1, size, size)
    photo[..., : size // 2, :] = 1
    valid = torch.ones(1, 1, 1, size, size, dtype=torch.bool)
    nothing = torch.zeros(1, 1, 8, size, size)
    visible = torch.cat([photo, before], 2)
    targets = TargetBatch(grid, valid, visible, nothing, nothing[:, :, :3], nothing[:, :, :1])
    matte = torch.zeros(1, 1, 1, size, size)
    matte[..., : size // 2] = 1
    moved = torch.zeros(1, 1, 3, size, size)
    moved[..., : size - size // 4] = frame[..., size // 4 :]
    frames = SourceBatch(frame, torch.ones_like(photo), nothing)
    error = torch.zeros_like(moved)
    error[..., : size // 2, :] = 0.7  # where the photo sees, the truth decides
    error[..., size // 2 :] = 0.9  # nobody there

    def loss(image: torch.Tensor) -> float:
        return float(consistency_loss(Synthesis(image, matte, matte), frames, targets))

    assert loss(moved + error) == pytest.approx(0, abs=1e-6)
    error[..., size // 2 :, : size // 2] = 0.25
    assert loss(moved + error) == pytest.approx(0.25, abs=1e-5)


def test_copy_loss_wants_the_colour_that_is_right():
    """And the sharp one where both are; detail that lies a pixel off is right."""
    truth = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 1, 256, 256)
    displaced, soft, wrong = truth.roll(1, -1), blurred(truth, 4), truth + 0.3

    def learnt(texture: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        share = torch.full((1, 1, 256, 256), 0.6)
        for _ in range(60):
            logit = share.logit().requires_grad_()
            (gradient,) = torch.autograd.grad(copy_loss(logit.sigmoid(), texture, own, truth, mask), logit)
            share = (logit - 5e4 * gradient).sigmoid().detach()
        return share.mean()

    assert learnt(truth, wrong) > 0.95
    assert learnt(wrong, truth) < 0.05
    assert learnt(displaced, soft) > 0.6
    assert copy_loss(mask, wrong, truth, truth, 0 * mask) == 0


def test_matte_loss_is_cross_entropy_and_l1():
    matte, truth = torch.full((1, 1, 2, 2), 0.25), torch.ones(1, 1, 2, 2)
    assert matte_loss(matte, truth).item() == pytest.approx(math.log(4) + 0.75, rel=1e-4)


def test_total_variation_of_a_step():
    matte = torch.zeros(1, 1, 4, 4)
    matte[..., 2:] = 1
    assert total_variation(matte).item() == pytest.approx(1 / 3)


def test_outline_loss_is_one_minus_intersection_over_union():
    truth, found = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    truth[..., :4], found[..., 2:6] = 1, 1
    torch.testing.assert_close(outline_loss(found, truth), torch.tensor(1 - 2 / 6))
    soft = torch.rand(2, 3, 1, 8, 8)
    assert outline_loss(soft, soft) < 1e-6
    assert outline_loss(truth * 0, truth * 0) == 1  # nobody there at all: no person is shown in training


def test_feature_matching_is_the_mean_over_layers_and_critics():
    real = {"a": [torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 2, 2)], "b": [torch.zeros(1, 1, 2, 2)]}
    fake = {"a": [torch.ones(1, 2, 4, 4), torch.ones(1, 2, 2, 2)], "b": [torch.full((1, 1, 2, 2), 2.0)]}
    torch.testing.assert_close(feature_matching(real, fake), torch.tensor(1.0))


def test_adversarial_losses():
    real, fake = {"global": torch.full((1, 1, 2, 2), 0.5)}, {"global": torch.full((1, 1, 2, 2), -0.5)}
    assert generator_loss(fake, "lsgan").item() == pytest.approx(2.25)
    assert discriminator_loss(real, fake, "lsgan").item() == pytest.approx(0.25)
    assert generator_loss(fake, "hinge").item() == pytest.approx(0.5)
    assert discriminator_loss(real, fake, "hinge").item() == pytest.approx(0.5)


def test_wrong_weights_are_named():
    with pytest.raises(SettingError, match="perceptual"):
        LossConfig(perceptual=-1.0)
    with pytest.raises(SettingError, match="vgg19_file"):
        LossConfig(perceptual_features="vgg19")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mean_l1_of_maps_is_the_plain_one(dtype):
    generator = torch.Generator().manual_seed(0)
    found = torch.randn(2, 3, 8, 8, generator=generator).to(dtype).requires_grad_()
    expected = torch.randn(2, 3, 8, 8, generator=generator).to(dtype)
    weights = torch.tensor([1.0, 3.0])
    fast = mean_l1(found, expected)
    plain = (found.float() - expected.float()).abs().mean((1, 2, 3))
    torch.testing.assert_close(fast, plain, rtol=5e-3, atol=0)
    gradients = [torch.autograd.grad((value * weights).sum(), found, retain_graph=True)[0] for value in (fast, plain)]
    torch.testing.assert_close(*gradients, rtol=1e-2, atol=0)


def test_judges_in_half_precision_say_the_same(perceptual):
    half = copy.deepcopy(perceptual)
    for parameter in half.parameters():
        parameter.data = parameter.data.bfloat16()
    picture, truth = blurred(checks(), 2), checks()
    torch.testing.assert_close(half(picture, truth), perceptual(picture, truth), rtol=0.02, atol=0)
