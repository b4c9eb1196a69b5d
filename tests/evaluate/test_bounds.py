import pytest
import torch

from liquidwarp.evaluate.bounds import bounds_of, true_person
from liquidwarp.learn.scores import Pictures, Scorer, mean_scores

SIZE = 128


def pictures(left: int, tint: float = 0.0, place: float = 0.2) -> Pictures:
    """A square person with a fine print before a plain background."""
    matte = torch.zeros(1, 1, SIZE, SIZE)
    matte[..., 32:96, left : left + 64] = 1
    printed = torch.nn.functional.interpolate(
        torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)), scale_factor=4, mode="bilinear"
    )
    image = (0.3 + 0.5 * printed.roll(left, -1)) * (1 + tint)
    return Pictures(image * matte + place * (1 - matte), matte)


def error(made: Pictures, truth: Pictures) -> float:
    return mean_scores(Scorer()(made, truth)).psnr_person


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        (pictures(36), "true places"),
        (pictures(32, tint=0.2), "true light"),
    ],
)
def test_what_is_wrong_is_what_a_true_one_mends(made, wrong):
    """The right row wins several decibels, and the others hardly any."""
    truth = pictures(32)
    gain = {name: error(better, truth) - error(made, truth) for name, better in bounds_of(made, truth).items()}
    assert gain[wrong] > 6
    assert gain["true surroundings"] < 1
    assert max(gain, key=gain.__getitem__) == wrong


def test_outline_and_surroundings_are_those_of_the_truth():
    truth, made = pictures(32), pictures(40, place=0.4)
    rows = bounds_of(made, truth)
    outline, around = rows["true outline"], rows["true surroundings"]
    torch.testing.assert_close(outline.mattes, truth.mattes)
    torch.testing.assert_close(outline.images[..., 32:40], truth.images[..., 32:40])
    torch.testing.assert_close(outline.images[..., 32:96, 40:96], made.images[..., 32:96, 40:96])
    torch.testing.assert_close(around.mattes, made.mattes)
    torch.testing.assert_close(around.images[..., :16], truth.images[..., :16])
    torch.testing.assert_close(around.images[..., 32:96, 32:96], made.images[..., 32:96, 32:96])


def test_the_true_person_stands_before_the_made_place():
    truth, made = pictures(32), pictures(40, place=0.4)
    both = true_person(made, truth)
    torch.testing.assert_close(both.images[..., 32:96, 32:96], truth.images[..., 32:96, 32:96])
    torch.testing.assert_close(both.images[..., :16], made.images[..., :16])
