"""Pictures in memory (numpy, eight bits, channels last) and as networks take them (torch, [0, 1], channels first)."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

__all__ = ["to_picture", "to_tensor"]


def to_tensor(picture: UInt8[np.ndarray, "H W C"]) -> Float[Tensor, "1 C H W"]:
    """A picture with values in [0, 1], float32, on the CPU."""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255


def to_picture(image: Float[Tensor, "C H W"]) -> UInt8[np.ndarray, "H W C"]:
    """The inverse of :func:`to_tensor` for one image on any device, rounded; values beyond [0, 1] are cut off.

    Example:
        >>> to_picture(torch.tensor([[[0.0, 0.5, 1.2]]])).tolist()
        [[[0], [128], [255]]]
    """
    pixels: Tensor = (image.detach() * 255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous()
    return np.asarray(pixels.cpu().numpy())
