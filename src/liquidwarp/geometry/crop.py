"""Square crops: the networks work on the person alone, the result goes back into the whole picture."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.warp import resize

__all__ = ["Crop", "crop_around"]


@dataclass(frozen=True)
class Crop:
    """A square window in a picture and the size at which it is worked on.

    Convention:
        A picture position p [px] is at ``(p - (left, top)) * size / side`` in the crop (pixel centres at +0.5).
        The window may reach beyond the picture.
    """

    left: int
    top: int
    side: int
    """Side of the window in the picture [px]."""
    size: int
    """Side of the crop [px]."""

    @property
    def factor(self) -> float:
        """Crop pixels per picture pixel."""
        return self.size / self.side

    def camera(self, camera: WeakPerspective) -> WeakPerspective:
        """The picture's cameras, seen in the crop."""
        return camera.resized(self.factor, (float(self.left), float(self.top)))

    def uncrop_camera(self, camera: WeakPerspective) -> WeakPerspective:
        """The crop's cameras, seen in the picture: the inverse of :meth:`camera`."""
        shift = camera.translation.new_tensor([self.left, self.top])
        return WeakPerspective(camera.scale / self.factor, camera.translation / self.factor + shift)

    def take(self, image: Float[Tensor, "B C H W"], outside: str = "edge") -> Float[Tensor, "B C S S"]:
        """Cut the window out and bring it to ``size`` (antialiased).

        Args:
            image: The picture.
            outside: What stands where the window leaves the picture: "edge" repeats the border, "zero" is 0.

        Returns:
            The crop.
        """
        height, width = image.shape[-2:]
        rows = torch.arange(self.top, self.top + self.side, device=image.device)
        columns = torch.arange(self.left, self.left + self.side, device=image.device)
        window = image.index_select(2, rows.clamp(0, height - 1)).index_select(3, columns.clamp(0, width - 1))
        if outside == "zero":
            inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None]
            window = window * inside
        return resize(window, self.size, self.size)

    def paste(
        self,
        picture: Float[Tensor, "C H W"],
        colour: Float[Tensor, "C S S"],
        opacity: Float[Tensor, "1 S S"],
    ) -> Float[Tensor, "C H W"]:
        """Lay the crop over the picture.

        Args:
            picture: What lies behind; not changed.
            colour: The crop's colours times their opacity (premultiplied, as if drawn over black).
            opacity: [0, 1] per crop pixel.

        Returns:
            ``colour + (1 - opacity) * picture`` inside of the window, the picture outside.
        """
        height, width = picture.shape[-2:]
        layer = torch.cat([colour, opacity])[None]
        if self.side != self.size:
            # antialias picks the cubic kernel that reproduces gradients exactly (a = -0.5), also when enlarging
            layer = F.interpolate(layer, (self.side, self.side), mode="bicubic", align_corners=False, antialias=True)
        x0, x1 = max(self.left, 0), min(self.left + self.side, width)
        y0, y1 = max(self.top, 0), min(self.top + self.side, height)
        if x0 >= x1 or y0 >= y1:
            return picture
        part = layer[0, :, y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left]
        alpha = part[-1:].clamp(0, 1)
        result = picture.clone()
        result[:, y0:y1, x0:x1] = (part[:-1] + (1 - alpha) * picture[:, y0:y1, x0:x1]).clamp(0, 1)
        return result


def crop_around(points: Float[Tensor, "N 2"], size: int, margin: float = 0.12, side: int | None = None) -> Crop:
    """The square window around points.

    Args:
        points: Positions [px].
        size: The crop's size [px].
        margin: Free space on each side, as a share of the points' larger extent.
        side: A fixed window size [px] instead.

    Returns:
        A window centred on the points' bounding box.
    """
    low, high = points.amin(0), points.amax(0)
    if side is None:
        side = max(8, round(float((high - low).max()) * (1 + 2 * margin)))
    centre = (low + high) / 2
    return Crop(round(float(centre[0]) - side / 2), round(float(centre[1]) - side / 2), side, size)
