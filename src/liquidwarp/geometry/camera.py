"""The weak-perspective camera: one scale and one shift per frame, in original pixels.

Paper: Liu et al. 2021, Sec. 3.1: the camera of Body Mesh Recovery is (s, t_x, t_y).

Convention:
    Body space is the camera's frame in metres with OpenCV axes (x right, y down, z forward) and the body's root
    joint at the origin. A point lands at ``scale * (x, y) + translation`` [px]; its depth stays z [m].
    Pixel centres are at +0.5, so the image spans [0, W] x [0, H].
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["WeakPerspective", "ndc_to_pixels", "pixels_to_ndc"]


@dataclass(frozen=True)
class WeakPerspective:
    """T weak-perspective cameras."""

    scale: Float[Tensor, "T"]
    """Pixels per metre [px/m]."""
    translation: Float[Tensor, "T 2"]
    """Where the body-space origin (the root joint) lands in the image [px]."""

    @staticmethod
    def joined(parts: Iterable["WeakPerspective"]) -> "WeakPerspective":
        """Cameras one after the other."""
        cameras = list(parts)
        return WeakPerspective(torch.cat([c.scale for c in cameras]), torch.cat([c.translation for c in cameras]))

    def __len__(self) -> int:
        return self.scale.shape[0]

    def __getitem__(self, frames: slice | Tensor) -> "WeakPerspective":
        return WeakPerspective(self.scale[frames], self.translation[frames])

    def project(self, points: Float[Tensor, "T N 3"]) -> Float[Tensor, "T N 3"]:
        """Body-space points [m] to (x [px], y [px], depth [m])."""
        xy = self.scale[:, None, None] * points[..., :2] + self.translation[:, None]
        return torch.cat([xy, points[..., 2:]], -1)

    def unproject(self, pixels: Float[Tensor, "T N 3"]) -> Float[Tensor, "T N 3"]:
        """The inverse of :meth:`project`."""
        xy = (pixels[..., :2] - self.translation[:, None]) / self.scale[:, None, None]
        return torch.cat([xy, pixels[..., 2:]], -1)

    def resized(self, factor: float, offset: tuple[float, float] = (0.0, 0.0)) -> "WeakPerspective":
        """The camera of the image cropped at ``offset`` (x, y) [px] and then scaled by ``factor``."""
        shift = torch.tensor(offset, dtype=self.translation.dtype, device=self.translation.device)
        return WeakPerspective(self.scale * factor, (self.translation - shift) * factor)

    def to(self, device: torch.device | str) -> "WeakPerspective":
        """The same cameras on another device."""
        return WeakPerspective(self.scale.to(device), self.translation.to(device))


def pixels_to_ndc(pixels: Float[Tensor, "*B 2"], height: int, width: int) -> Float[Tensor, "*B 2"]:
    """Pixel positions (centres at +0.5) to NDC, where -1/+1 are the image's outer edges."""
    return pixels * 2 / _size_like(pixels, height, width) - 1


def ndc_to_pixels(ndc: Float[Tensor, "*B 2"], height: int, width: int) -> Float[Tensor, "*B 2"]:
    """The inverse of :func:`pixels_to_ndc`."""
    return (ndc + 1) * _size_like(ndc, height, width) / 2


def _size_like(points: Tensor, height: int, width: int) -> Float[Tensor, "2"]:
    """Width and height, made on the points' device: a copy from the CPU would wait for a GPU."""
    return torch.stack([points.new_full((), width), points.new_full((), height)])
