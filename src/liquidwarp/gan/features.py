"""Frozen networks whose features judge a picture: perceptual features and face identity.

They only serve training, personalisation and evaluation; synthesis does not load them.
"""

from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from liquidwarp.errors import WeightsCorruptError, WeightsNotFoundError
from liquidwarp.weights import asset, load_tensors

__all__ = ["EfficientNetFeatures", "FaceIdentityNet", "FeatureNet", "HedFeatures", "Vgg19Features"]


class FeatureNet(nn.Module):
    """A frozen network: RGB in [0, 1] to a list of feature maps."""

    asset: str
    """Its file below ``assets/``."""
    typical: tuple[float, ...]
    """Mean absolute activation of each map on 16 photos (CC0); distances are divided by it, so that each map counts
    alike."""

    @classmethod
    def load(cls) -> "FeatureNet":
        """The network with its published weights, frozen."""
        network = cls()
        tensors, _ = load_tensors(asset(cls.asset))
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        return network.eval().requires_grad_(False)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _C _H _W"]]:
        """Feature maps, from fine to coarse."""
        raise NotImplementedError


class _SameConv(nn.Conv2d):
    """TensorFlow's "same" padding: the odd row and column go to the right and bottom."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in input.shape[-2:])
        symmetric = (height // 2, width // 2)
        if height % 2 or width % 2:  # padding apart from the convolution copies the whole map
            input = F.pad(input, (width // 2, width - width // 2, height // 2, height - height // 2))  # noqa: A001
            symmetric = (0, 0)
        return F.conv2d(input, self.weight, self.bias, self.stride, symmetric, 1, self.groups)


class _InvertedBottleneck(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, project: bool) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = _SameConv(inputs, middle, 1) if expansion != 1 else None
        self.dw = _SameConv(middle, middle, kernel, stride=stride, groups=middle)
        self.project = _SameConv(middle, outputs, 1) if project else None
        self.has_skip = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        wide = features if self.expand is None else F.relu6(self.expand(features))
        wide = F.relu6(self.dw(wide))
        if self.project is None:
            return wide, wide
        narrow = self.project(wide)
        return (features + narrow if self.has_skip else narrow), wide


class EfficientNetFeatures(FeatureNet):
    """EfficientNet-Lite0 (ImageNet; Apache-2.0): the expanded maps of blocks 1, 3, 5, 9 and 14, strides 4 to 32."""

    asset = "perceptual/effnet_lite0.fp16.safetensors"
    typical = (0.61, 1.05, 0.94, 0.31, 0.18)
    _blocks = (
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
    )
    """Repeats, kernel, stride, expansion, channels."""
    _taps = (1, 3, 5, 9, 14)

    def __init__(self) -> None:
        super().__init__()
        self.stem = _SameConv(3, 32, 3, stride=2)
        self.blocks = nn.ModuleList()
        inputs = 32
        for repeats, kernel, stride, expansion, outputs in self._blocks:
            for repeat in range(repeats):
                last = len(self.blocks) == self._taps[-1]
                step = stride if repeat == 0 else 1
                self.blocks.append(_InvertedBottleneck(inputs, outputs, kernel, step, expansion, not last))
                inputs = outputs

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _C _H _W"]]:
        """Five maps."""
        features = F.relu6(self.stem((image * 255 - 127) / 128))
        maps = []
        for index, block in enumerate(self.blocks):
            features, wide = block(features)
            if index in self._taps:
                maps.append(wide)
        return maps


_VGG_MEAN = (122.67892, 116.66877, 104.00699)


class HedFeatures(FeatureNet):
    """VGG16 up to conv4_1 as fine-tuned for edges in HED (MIT): fine detail. Its distances are not LPIPS."""

    asset = "perceptual/vgg16_hed.fp16.safetensors"
    typical = (11.8, 10.7, 6.9, 3.9)
    mean: Tensor
    _layers = (
        ("conv1_1", 3, 64),
        ("conv1_2", 64, 64),
        ("conv2_1", 64, 128),
        ("conv2_2", 128, 128),
        ("conv3_1", 128, 256),
        ("conv3_2", 256, 256),
        ("conv3_3", 256, 256),
        ("conv4_1", 256, 512),
    )

    def __init__(self) -> None:
        super().__init__()
        for name, inputs, outputs in self._layers:
            self.add_module(name, nn.Conv2d(inputs, outputs, 3, padding=1))
        self.register_buffer("mean", torch.tensor(_VGG_MEAN).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _C _H _W"]]:
        """Four maps: the first convolution of each of four scales, after its ReLU."""
        features, maps = image * 255 - self.mean, []
        for name, _, _ in self._layers:
            first = name.endswith("_1")
            if first and name != "conv1_1":
                features = F.max_pool2d(features, 2)
            features = F.relu(self.get_submodule(name)(features))
            if first:
                maps.append(features)
        return maps


class Vgg19Features(FeatureNet):
    """The paper's VGG19 (relu1_1 to relu5_1), from torchvision's file, which the user supplies.

    Its maps have the paper's weights 1/32, 1/16, 1/8, 1/4 and 1 in place of typical activations.
    """

    typical = (32.0, 16.0, 8.0, 4.0, 1.0)
    mean: Tensor
    deviation: Tensor
    _widths = (64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512)
    _firsts = (0, 2, 4, 8, 12)
    _file_indices = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *self._widths[:-1])
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in zip(inputs, self._widths, strict=True))
        self.register_buffer("mean", torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def from_torchvision(cls, path: str) -> "Vgg19Features":
        """Read ``vgg19-dcbb9e9d.pth``, as tensors only.

        Raises:
            WeightsNotFoundError: no such file.
            WeightsCorruptError: it is damaged, or another file.
        """
        if not Path(path).is_file():
            raise WeightsNotFoundError(f"{path}: expected torchvision's vgg19-dcbb9e9d.pth, found no file.")
        network = cls()
        try:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
            state = {
                f"convs.{i}.{kind}": tensors[f"features.{index}.{kind}"]
                for i, index in enumerate(cls._file_indices)
                for kind in ("weight", "bias")
            }
            network.load_state_dict(state)
        except (KeyError, RuntimeError, TypeError, EOFError, UnpicklingError) as error:
            reason = str(error).partition("\n")[0]
            raise WeightsCorruptError(f"{path}: expected torchvision's vgg19-dcbb9e9d.pth ({reason}).") from error
        return network.eval().requires_grad_(False)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _C _H _W"]]:
        """Five maps."""
        features, maps = (image - self.mean) / self.deviation, []
        for index, layer in enumerate(self.convs):
            if index in self._firsts[1:]:
                features = F.max_pool2d(features, 2)
            features = F.relu(layer(features))
            if index in self._firsts:
                maps.append(features)
        return maps


class _FaceBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=0 if stride == 2 else 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        update = self.conv2(F.relu(self.conv1(features)))
        if self.stride == 2:
            features = F.avg_pool2d(features, 2)
        shape = [max(a, b) for a, b in zip(features.shape[1:], update.shape[1:], strict=True)]
        return F.relu(_pad_end(features, shape) + _pad_end(update, shape))


def _pad_end(features: Tensor, shape: list[int]) -> Tensor:
    """Zeros at the end of the channels, rows and columns, as dlib adds maps of unequal size."""
    channels, height, width = (n - m for n, m in zip(shape, features.shape[1:], strict=True))
    if channels == height == width == 0:
        return features
    return F.pad(features, (0, width, 0, height, 0, channels))


class FaceIdentityNet(FeatureNet):
    """dlib's face recognition network (29 convolutions, public domain): who is it?

    The input must be chips of 150 x 150 px (:func:`liquidwarp.gan.crops.align_faces`); 112 px breaks it. The last of
    the returned "maps" is the embedding (B, 128, 1, 1): two chips show one person if its L2 distance is below 0.6.
    """

    mean: Tensor
    asset = "face/dlib_face.fp16.safetensors"
    typical = (1.1, 0.53, 0.81, 1.11, 0.089)
    _blocks = (
        *((32, 1),) * 3,
        *((64, 2), *((64, 1),) * 3),
        *((128, 2), *((128, 1),) * 2),
        *((256, 2), *((256, 1),) * 2),
        (256, 2),
    )
    _taps = (2, 6, 9, 12)

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 32, 7, stride=2)
        self.blocks = nn.ModuleList()
        inputs = 32
        for outputs, stride in self._blocks:
            self.blocks.append(_FaceBlock(inputs, outputs, stride))
            inputs = outputs
        self.fc = nn.Linear(256, 128, bias=False)
        mean = torch.tensor((122.782, 117.001, 104.298)).view(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)

    def forward(self, image: Float[Tensor, "B 3 150 150"]) -> list[Float[Tensor, "B _C _H _W"]]:
        """Four maps and the embedding."""
        features = F.max_pool2d(F.relu(self.conv0((image * 255 - self.mean) / 256)), 3, 2)
        maps = []
        for index, block in enumerate(self.blocks):
            features = block(features)
            if index in self._taps:
                maps.append(features)
        return [*maps, self.fc(features.mean((2, 3)))[..., None, None]]
