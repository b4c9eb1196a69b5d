import pytest
import torch

from liquidwarp.errors import WeightsCorruptError, WeightsNotFoundError
from liquidwarp.gan.features import EfficientNetFeatures, FaceIdentityNet, HedFeatures, Vgg19Features


def pattern(size: int) -> torch.Tensor:
    unit = torch.arange(size) / size
    y, x = torch.meshgrid(unit, unit, indexing="ij")
    return torch.stack([x, y, (x * 9).sin() * (y * 7).cos() * 0.5 + 0.5])[None]


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (EfficientNetFeatures, [0.52986, 1.14812, 0.95792, 0.32832, 0.19716]),
        (HedFeatures, [25.3816, 27.3561, 18.9942, 10.5333]),
    ],
)
def test_maps_are_those_of_the_published_networks(network, expected):
    """Mean activations of an independent implementation with the unreduced weight files."""
    maps = network.load()(pattern(64))
    assert [m.abs().mean().item() for m in maps] == pytest.approx(expected, rel=1e-4)
    assert len(network.typical) == len(maps)


def test_face_embedding_is_dlibs():
    """An independent implementation, which agrees with dlib to 2e-6, gave these numbers."""
    embedding = FaceIdentityNet.load()(pattern(150))[-1][0, :, 0, 0]
    assert embedding.norm().item() == pytest.approx(1.302038, rel=1e-5)
    expected = [-0.0365933, 0.1255713, 0.0536872, 0.0107681, -0.0557137, -0.0428284]
    torch.testing.assert_close(embedding[:6], torch.tensor(expected), atol=1e-5, rtol=0)


def test_networks_are_frozen():
    assert not any(p.requires_grad for p in HedFeatures.load().parameters())


def test_vgg19_reads_torchvisions_layout(tmp_path):
    torch.manual_seed(0)
    network = Vgg19Features()
    state = {
        f"features.{index}.{kind}": getattr(network.convs[i], kind).detach().clone()
        for i, index in enumerate((0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28))
        for kind in ("weight", "bias")
    }
    torch.save(state, tmp_path / "vgg19.pth")
    read = Vgg19Features.from_torchvision(str(tmp_path / "vgg19.pth"))
    image = pattern(32)
    for found, expected in zip(read(image), network(image), strict=True):
        torch.testing.assert_close(found, expected)
    del state["features.28.bias"]
    torch.save(state, tmp_path / "broken.pth")
    with pytest.raises(WeightsCorruptError, match=r"features\.28\.bias"):
        Vgg19Features.from_torchvision(str(tmp_path / "broken.pth"))


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 cut off"])
def test_what_is_not_vgg19_is_told(tmp_path, content):
    path = tmp_path / "vgg19.pth"
    with pytest.raises(WeightsNotFoundError, match="found no file"):
        Vgg19Features.from_torchvision(str(path))
    path.write_bytes(content)
    with pytest.raises(WeightsCorruptError, match="expected torchvision's"):
        Vgg19Features.from_torchvision(str(path))
    torch.save([1, 2], path)
    with pytest.raises(WeightsCorruptError, match="expected torchvision's"):
        Vgg19Features.from_torchvision(str(path))
