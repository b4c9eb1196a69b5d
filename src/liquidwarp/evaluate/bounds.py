"""What each kind of error costs: the figures that a result would have if one thing about it were as in the truth.

No method can reach these rows, as they look at the truth. They tell where work pays: a row that is hardly better than
the result itself names an error that hardly counts.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from liquidwarp.learn.scores import Pictures

__all__ = ["TRUE_PERSON", "bounds_of", "true_person"]

TRUE_PERSON = "true person"
"""Name of the row of :func:`true_person`."""
_RIM = 8 / 512
"""How far around the true silhouette a picture is the person's, as a share of its height."""
_LIGHT = 20 / 512
"""Standard deviation, as a share of the height: what changes more slowly than this is light, not detail."""
_STRONGEST = 0.6
"""Light makes no greater difference [natural logarithm of the gain]."""
_DARK = 0.03
"""Darker values count as this one, as their ratios are noise."""


def bounds_of(made: Pictures, truth: Pictures) -> dict[str, Pictures]:
    """One result, each time with one thing that is true.

    Args:
        made: What was synthesized.
        truth: The true pictures.

    Returns:
        "true surroundings": the truth wherever the person is not. "true outline": made colours where both show the
        person, else the truth. "true places": the result moved onto the truth by optical flow. "true light": the made
        person's slow changes of brightness and colour are those of the truth.
    """
    there = F.max_pool2d(truth.mattes, *_window(truth.mattes, _RIM)) > 0
    both = (made.mattes > 0.5) & (truth.mattes > 0.5)
    return {
        "true surroundings": Pictures(torch.where(there, made.images, truth.images), made.mattes),
        "true outline": Pictures(torch.where(both, made.images, truth.images), truth.mattes),
        "true places": _moved(made, truth),
        "true light": Pictures(_in_true_light(made.images, truth.images, both.float()), made.mattes),
    }


def true_person(made: Pictures, truth: Pictures) -> Pictures:
    """The true person before a made background: what the place and the edges alone cost.

    Args:
        made: Any result; where it draws its own person the background is hidden, but so it is in the truth, nearly.
        truth: The true pictures.
    """
    return Pictures(truth.images * truth.mattes + made.images * (1 - truth.mattes), truth.mattes)


def _window(picture: Float[Tensor, "N C H W"], share: float) -> tuple[int, int, int]:
    radius = max(1, round(share * picture.shape[-2]))
    return 2 * radius + 1, 1, radius


def _in_true_light(
    images: Float[Tensor, "N 3 H W"], truth: Float[Tensor, "N 3 H W"], inside: Float[Tensor, "N 1 H W"]
) -> Float[Tensor, "N 3 H W"]:
    """Both pictures' ratio, smoothed within the person, is taken out."""
    ratio = (truth.clamp(min=_DARK).log() - images.clamp(min=_DARK).log()) * inside
    gain = (_smooth(ratio) / _smooth(inside).clamp(min=1e-3)).clamp(-_STRONGEST, _STRONGEST).exp()
    return torch.where(inside > 0, (images * gain).clamp(0, 1), images)


def _smooth(picture: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
    width = _LIGHT * picture.shape[-2]
    return _to_tensor([cv2.GaussianBlur(_to_numpy(one), (0, 0), width) for one in picture]).to(picture.device)


def _moved(made: Pictures, truth: Pictures) -> Pictures:
    """Each made picture with its opacity, taken from where optical flow finds what the truth shows."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    moved = []
    for image, matte, true in zip(made.images, made.mattes, truth.images, strict=True):
        apart = flow.calc(_grey(true), _grey(image), None)  # type: ignore[call-overload]
        row, column = np.mgrid[: image.shape[-2], : image.shape[-1]].astype(np.float32)
        place = (column + apart[..., 0], row + apart[..., 1])
        whole = _to_numpy(torch.cat([image, matte]))
        moved.append(cv2.remap(whole, *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    result = _to_tensor(moved).to(made.images.device)
    return Pictures(result[:, :3], result[:, 3:])


def _grey(image: Float[Tensor, "3 H W"]) -> UInt8[np.ndarray, "H W"]:
    return np.asarray(cv2.cvtColor((255 * _to_numpy(image.clamp(0, 1))).astype(np.uint8), cv2.COLOR_RGB2GRAY))


def _to_numpy(picture: Float[Tensor, "C H W"]) -> Float32[np.ndarray, "H W C"]:
    return np.ascontiguousarray(picture.float().permute(1, 2, 0).cpu().numpy())


def _to_tensor(pictures: list[Float32[np.ndarray, "H W *C"]]) -> Float[Tensor, "N C H W"]:
    return torch.stack([torch.from_numpy(p.reshape(*p.shape[:2], -1)).permute(2, 0, 1) for p in pictures])
