"""A prepared clip at a glance: is the body where the person is, is the matte clean, is the background empty?"""

import numpy as np
import torch
from jaxtyping import UInt8

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.learn.clips import Clip
from liquidwarp.recover.overlay import draw_body

__all__ = ["clip_sheet"]

_COLUMNS = 8
_SIZE = 224
"""Side of each picture [px]."""


def clip_sheet(clip: Clip, model: BodyModel) -> UInt8[np.ndarray, "H W 3"]:
    """Up to eight frames as columns: the body over the picture, the person cut out on green, the background.

    Args:
        clip: The clip, with its pictures on the disk.
        model: The body, on the CPU.
    """
    columns = []
    for index in sorted(set(np.linspace(0, len(clip) - 1, min(_COLUMNS, len(clip))).round().astype(int).tolist())):
        image, opacity, behind = (clip.picture(kind, index, _SIZE) for kind in ("images", "mattes", "backgrounds"))
        green = torch.tensor([0.0, 0.7, 0.25])[:, None, None]
        cut = opacity * image + (1 - opacity) * green
        factor = _SIZE / clip.facts.size
        one = slice(index, index + 1)
        camera = WeakPerspective(clip.scale[one] * factor, clip.translation[one] * factor)
        picture, *others = ((part * 255).round().byte().permute(1, 2, 0).numpy() for part in (image, cut, behind))
        drawn = draw_body(picture, BodyParams(clip.betas, clip.rel_rotmats[one], camera), model)
        columns.append(np.concatenate([drawn, *others]))
    return np.concatenate(columns, 1)
