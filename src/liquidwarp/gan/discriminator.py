"""Patch discriminators for the whole picture, the body and the face.

Paper: Liu et al. 2021, Sec. 3.4: D is conditioned on the correspondence map C_t; global and local (body, head) critics.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from liquidwarp.config import DiscriminatorConfig
from liquidwarp.gan.crops import crop_boxes, matte_boxes
from liquidwarp.gan.layers import instance_norm
from liquidwarp.types import CONDITION_CHANNELS

__all__ = ["Discriminators", "PatchDiscriminator"]


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches: is this what a photo of that pose looks like?"""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        widths = [config.channels * min(2**i, 4) for i in range(config.num_layers)]
        spectral = config.norm == "spectral"
        self.normalises = not spectral
        self.layers = nn.ModuleList()
        inputs = 3 + CONDITION_CHANNELS
        for index, outputs in enumerate(widths):
            stride = 1 if index == config.num_layers - 1 else 2
            layer = nn.Conv2d(inputs, outputs, 4, stride, 1)
            self.layers.append(nn.utils.parametrizations.spectral_norm(layer) if spectral else layer)
            inputs = outputs
        self.head = nn.Conv2d(inputs, 1, 4, 1, 1)

    def forward(
        self, image: Float[Tensor, "N 3 H W"], condition: Float[Tensor, "N 8 H W"]
    ) -> tuple[Float[Tensor, "N 1 _h _w"], list[Float[Tensor, "N _C _y _x"]]]:
        """Scores per patch, which have no range, and the features of each layer."""
        maps = []
        features = torch.cat([image * 2 - 1, condition], 1).contiguous(memory_format=torch.channels_last)
        for index, layer in enumerate(self.layers):
            features = layer(features)
            if index and self.normalises:
                features = instance_norm(features)
            features = F.leaky_relu(features, 0.2)
            maps.append(features)
        return self.head(features).float(), maps


class Discriminators(nn.Module):
    """One patch discriminator per crop of ``config.crops``."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.face_size = config.face_size
        self.critics = nn.ModuleDict({name: PatchDiscriminator(config) for name in config.crops})

    def forward(
        self,
        image: Float[Tensor, "N 3 H W"],
        condition: Float[Tensor, "N 8 H W"],
        matte: Float[Tensor, "N 1 H W"],
        head_boxes: Float[Tensor, "N 4"],
    ) -> dict[str, Float[Tensor, "N 1 _h _w"]]:
        """Scores of each critic; see :meth:`judge`."""
        return self.judge(image, condition, matte, head_boxes)[0]

    def judge(
        self,
        image: Float[Tensor, "N 3 H W"],
        condition: Float[Tensor, "N 8 H W"],
        matte: Float[Tensor, "N 1 H W"],
        head_boxes: Float[Tensor, "N 4"],
    ) -> tuple[dict[str, Float[Tensor, "N 1 _h _w"]], dict[str, list[Tensor]]]:
        """Scores and features of each critic.

        Args:
            image: Real or composed pictures, RGB in [0, 1].
            condition: Correspondence maps C_t.
            matte: True mattes, around which the body is cropped at half the resolution.
            head_boxes: Left, top, right, bottom [px].

        Returns:
            Scores per patch, and the features of each layer, by the names of ``config.crops``.
        """
        scores: dict[str, Tensor] = {}
        features: dict[str, list[Tensor]] = {}
        stacked = torch.cat([image, condition.to(image.dtype)], 1)
        for name, critic in self.critics.items():
            view = stacked
            if name == "body":
                height, width = image.shape[2] // 2, image.shape[3] // 2
                view = crop_boxes(stacked, matte_boxes(matte), height, width)
            elif name == "face":
                view = crop_boxes(stacked, head_boxes, self.face_size, self.face_size)
            scores[name], features[name] = critic(view[:, :3], view[:, 3:])
        return scores, features
