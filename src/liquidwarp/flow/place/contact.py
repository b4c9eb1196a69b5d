"""The soft dark patches where feet touch the ground: without them a person seems to float."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS

__all__ = ["contact_light", "ground_lines", "measured_shade"]

_SIDES = (PARTS.index("left_foot"), PARTS.index("right_foot"))
_SOLE = 0.03
"""What is this little above a foot's lowest point stands on the ground [m]."""
_AROUND = (0.035, 0.02)
"""How far the patch goes beyond the sole, sideways and up or down the picture [m]."""
_FLAT = 0.3
"""The ground is seen from the side: a patch is at least this high in its widths."""
_WIDE, _WIDE_SHARE = (0.24, 0.06), 0.35
"""The shade of the whole body around both feet: half its width and height [m], and its share of the strength."""
_LIFTED = 0.05
"""At this height above the ground a foot's patch has lost two thirds [m]."""
_DARK, _ENOUGH = 0.3, 100
"""Where patches have this share of their strength, and in so many pixels, a photo tells how strong they are."""
_BLACK = 0.02
_UNSURE = 0.3
"""If half of the pixels differ by more, it is the ground that is uneven."""
_WINDOW = 15
"""The ground is as low as the body's lowest point within so many frames before and after."""


def ground_lines(lowest: Float[Tensor, "T"]) -> Float[Tensor, "T"]:
    """How low the ground is in each frame [px]: who jumps leaves it, and takes no shadow along.

    Args:
        lowest: The lowest point of the body in each frame [px, downwards].
    """
    return F.max_pool1d(lowest[None], 2 * _WINDOW + 1, 1, _WINDOW)[0]


def contact_light(
    model: BodyModel,
    bodies: BodyParams,
    ground: Float[Tensor, "T"],
    size: tuple[int, int],
    strength: float,
) -> Float[Tensor, "T 1 H W"]:
    """The share of light that reaches the ground around the feet; what lies behind the person is multiplied by it.

    Args:
        model: The body.
        bodies: T bodies, cameras in the picture's pixels.
        ground: From :func:`ground_lines` [px].
        size: (width, height) of the picture [px].
        strength: How much light is taken away where a sole touches the ground, 0..1.
    """
    points = bodies.camera.project(model.pose(model.rest(bodies.betas[None]), bodies.rel_rotmats).vertices)[..., :2]
    columns = torch.arange(size[0], device=points.device) + 0.5
    rows = torch.arange(size[1], device=points.device) + 0.5
    light = points.new_ones(len(bodies), 1, size[1], size[0])
    for frame in range(len(bodies)):
        scale = float(bodies.camera.scale[frame])
        touching = []
        for side in _SIDES:
            foot = points[frame, model.vertex_part == side]
            if len(foot) == 0:
                continue
            low = foot[:, 1].max()
            sole = foot[foot[:, 1] > low - _SOLE * scale, 0]
            left, right = sole.min(), sole.max()
            height = (ground[frame] - low) / (_LIFTED * scale)
            share = torch.exp(-height.clamp(min=0).square())
            middle = torch.stack([(left + right) / 2, low - _SOLE * scale / 2])
            half = (right - left) / 2 + _AROUND[0] * scale
            flat = torch.maximum(_FLAT * half, half.new_tensor(_AROUND[1] * scale))
            light[frame, 0] *= 1 - strength * share * _patch(middle, torch.stack([half, flat]), rows, columns)
            touching.append((middle, share))
        if touching:
            middle = torch.stack([place for place, _ in touching]).mean(0)
            share = torch.stack([share for _, share in touching]).amax()
            half = (touching[0][0] - touching[-1][0]).abs() / 2 + points.new_tensor(_WIDE) * scale
            light[frame, 0] *= 1 - _WIDE_SHARE * strength * share * _patch(middle, half, rows, columns)
    return light


def measured_shade(
    photo: Float[Tensor, "3 H W"],
    place: Float[Tensor, "3 H W"],
    light: Float[Tensor, "1 H W"],
    open_ground: Bool[Tensor, "H W"],
) -> float | None:
    """How strong the patches are in a photo, by what they take from the place behind the person.

    Args:
        photo: With the person, RGB in [0, 1].
        place: The same without.
        light: Of :func:`contact_light` at strength 1.
        open_ground: Where the place was completed and the photo shows neither the person nor its edge.

    Returns:
        The median over the patches, 0..1; None if the photo does not show it, or says different things.
    """
    dark = 1 - light[0]
    told = open_ground & (dark > _DARK)
    if int(told.sum()) < _ENOUGH:
        return None
    brightness = (picture[:, told].mean(0).clamp(min=_BLACK) for picture in (photo, place))
    taken = 1 - torch.div(*brightness)
    low, middle, high = torch.quantile(taken / dark[told], taken.new_tensor([0.25, 0.5, 0.75])).tolist()
    return None if high - low > _UNSURE else min(max(middle, 0.0), 1.0)


def _patch(
    middle: Float[Tensor, "2"], half: Float[Tensor, "2"], rows: Float[Tensor, "H"], columns: Float[Tensor, "W"]
) -> Float[Tensor, "H W"]:
    """1 in the middle, falling smoothly to about a third at the ellipse of these half axes."""
    across, along = (columns - middle[0]) / half[0], (rows - middle[1]) / half[1]
    return torch.exp(-along.square())[:, None] * torch.exp(-across.square())[None]
