import pytest
import torch

from liquidwarp.config import DiscriminatorConfig
from liquidwarp.errors import SettingError
from liquidwarp.gan.crops import align_faces, crop_boxes, matte_boxes
from liquidwarp.gan.discriminator import Discriminators


@pytest.mark.parametrize("norm", ["instance", "spectral"])
def test_each_critic_judges_patches_and_reaches_the_picture(norm):
    torch.manual_seed(0)
    critics = Discriminators(DiscriminatorConfig(channels=8, norm=norm))
    image = torch.rand(2, 3, 64, 64, requires_grad=True)
    matte = torch.zeros(2, 1, 64, 64)
    matte[..., 16:48, 24:40] = 1
    boxes = torch.tensor([[20.0, 8, 40, 28]]).expand(2, -1)
    scores = critics(image, torch.rand(2, 8, 64, 64), matte, boxes)
    assert list(scores) == ["global", "body", "face"]
    for score in scores.values():
        assert score.shape[:2] == (2, 1)
        assert score.numel() > 2
        (gradient,) = torch.autograd.grad(score.square().sum(), image, retain_graph=True)
        assert gradient.abs().sum() > 0


def test_features_of_all_layers_stand_beside_the_scores():
    critics = Discriminators(DiscriminatorConfig(channels=8, num_layers=3, crops=("global", "face")))
    image, matte, boxes = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64), torch.tensor([[8.0, 8, 40, 40]])
    condition = torch.rand(1, 8, 64, 64)
    scores, features = critics.judge(image, condition, matte, boxes)
    assert {name: [f.shape[1] for f in maps] for name, maps in features.items()} == {
        "global": [8, 16, 32],
        "face": [8, 16, 32],
    }
    for name, score in critics(image, condition, matte, boxes).items():
        torch.testing.assert_close(score, scores[name])


def test_critics_look_at_the_condition():
    torch.manual_seed(0)
    critics = Discriminators(DiscriminatorConfig(channels=8, crops=("global",)))
    image, matte, boxes = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32), torch.zeros(1, 4)
    scores = [critics(image, torch.rand(1, 8, 32, 32), matte, boxes)["global"] for _ in range(2)]
    assert (scores[0] - scores[1]).abs().max() > 1e-3


def test_crop_returns_the_pixels_of_its_box():
    image = torch.rand(2, 3, 16, 16)
    crops = crop_boxes(image, torch.tensor([[4.0, 2, 12, 6], [0, 0, 8, 4]]), 4, 8)
    torch.testing.assert_close(crops[0], image[0, :, 2:6, 4:12])
    torch.testing.assert_close(crops[1], image[1, :, 0:4, 0:8])


def test_boxes_around_mattes():
    matte = torch.zeros(2, 1, 20, 30)
    matte[0, :, 5:15, 10:20] = 1
    assert matte_boxes(matte, margin=0.1).tolist() == [[9.0, 4.0, 21.0, 16.0], [0.0, 0.0, 30.0, 20.0]]


def test_aligned_face_is_upright_and_of_known_size():
    """A face turned by 90 degrees and three times as small as a chip: its eyes land where dlib expects them."""
    mean = torch.tensor([[0.8596, 0.2135], [0.6461, 0.2290], [0.1206, 0.2137], [0.3341, 0.2291], [0.4901, 0.6278]])
    target = (mean + 0.25) / 1.5 * 150
    landmarks = torch.stack([80 - target[:, 1] / 3, 10 + target[:, 0] / 3], 1)[None]
    image = torch.zeros(1, 3, 80, 80)
    x, y = landmarks[0, 0].floor().int().tolist()
    image[0, :, y, x] = 1
    chip = align_faces(image, landmarks)[0, 0]
    peak = torch.tensor([(chip.sum(0) * torch.arange(150)).sum(), (chip.sum(1) * torch.arange(150)).sum()]) / chip.sum()
    torch.testing.assert_close(peak, target[0], atol=2.5, rtol=0)


def test_wrong_settings_are_named():
    with pytest.raises(SettingError, match="crops"):
        DiscriminatorConfig(crops=())
