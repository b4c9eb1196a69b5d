"""How a network's drawing and the warp's come together: colours, and outlines that leave no ghost."""

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.flow.draw import seen_weight
from liquidwarp.flow.mesh.texture import grow_colours
from liquidwarp.geometry.masks import dilate, erode, soften
from liquidwarp.types import TargetFlow

__all__ = ["as_known", "common_outline", "keep_colours", "keep_photos", "learned_outline", "likely_colours"]

_FAINT = 0.3
"""Below this opacity the warp's colour counts less."""
_SOLID = 0.6
"""Opacity above which the person is solid: beside it lies the rim."""
_RIM = 10 / 512
"""How far the warp's colours go on beyond its outline, relative to the picture's height."""
_WITHIN, _BEYOND = 8 / 512, 14 / 512
"""How far within and beyond the network's outline the warp's still counts, relative to the picture's height; fingers
that the network rounded off stay."""
_DECISION = 1.6
"""How much steeper than their mean the common outline is."""
_UNLIKELY = 0.15, 0.3
"""From the first to the second difference from the drawn texture (of one channel) a network's colour loses its say.
99 % of all differences are smaller than 0.14."""
_AGREE = 2.0
"""Outlines that are farther apart than this [px] have no mean that is not a ghost: one edge is drawn between."""
_FINE = 384
"""From this height on [px] the outline of a network that learned from several photos is better than the common one; at
256 px it is worse, and so is that of one photo's network."""
_WARPED = 0.3
"""The warp's share in the outline of a network that learned from several photos."""
_EDGE = 0.6
"""How soft outlines are, as in photos [standard deviation, px]: sharper ones are farther from the truth. Small films,
which were measured, would bear twice as much at 512 px (docs/personalize_findings.md), but sharp photos show every
pixel."""


def keep_photos(
    flow: TargetFlow, colour: Float[Tensor, "T 3 H W"], opacity: Float[Tensor, "T 1 H W"]
) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
    """Mix half of what texture warping draws, the photos' own pixels and what it makes up, into the network's picture.

    Args:
        flow: From :func:`liquidwarp.renderers.drawn_flow`.
        colour: The network's.
        opacity: The network's.
    """
    shown, outline = flow.texture, flow.texture_matte
    # Colours and outlines err in different ways: the mean is nearer to the truth than either (docs/results.md).
    # What no photo shows is cloth that goes on in the warp and now and then stains in a network: the mean is calmer.
    colour = _halfway(flow, likely_colours(flow, colour))
    solid = (outline > _SOLID).to(colour.dtype)
    rim = dilate(solid, round(_RIM * outline.shape[-2])) - solid
    # Just beyond the warp's outline cloth goes on; the network's own colours stray there.
    colour = colour + rim * (grow_colours(shown, solid) - colour)
    return colour, soften(common_outline(opacity, outline), _EDGE)


def likely_colours(flow: TargetFlow, colour: Float[Tensor, "T 3 H W"]) -> Float[Tensor, "T 3 H W"]:
    """A network's colours where they are not far from those that texture warping draws; else the latter.

    In narrow strips that no photo shows, between an arm and the trunk say, a network that has not learned the person
    now and then takes the strip for the background, of which it knows no colours, and draws bright and black blocks.

    Args:
        flow: From :func:`liquidwarp.renderers.drawn_flow`.
        colour: The network's.
    """
    apart = (colour - flow.texture).abs().amax(1, keepdim=True)
    nearest, farthest = _UNLIKELY
    doubt = ((apart - nearest) / (farthest - nearest)).clamp(0, 1) * (flow.texture_matte / _FAINT).clamp(0, 1)
    return colour + doubt * (flow.texture - colour)


def common_outline(own: Float[Tensor, "T 1 H W"], warped: Float[Tensor, "T 1 H W"]) -> Float[Tensor, "T 1 H W"]:
    """The mean of both outlines near the network's, which alone decides what is farther inside or outside.

    At the outline both are wrong by a pixel or two in ways of their own, so their mean is nearer to the truth. But
    holes in the warped hair and tatters of cloth are the warp's alone.

    Args:
        own: The network's opacity.
        warped: Of what texture warping draws.
    """
    mean = (((own + warped) / 2 - 0.5) * _DECISION + 0.5).clamp(0, 1)  # a plain mean would be a ghost
    return _near(own, _without_ghost(mean, own, warped, 0.5))


def learned_outline(own: Float[Tensor, "T 1 H W"], warped: Float[Tensor, "T 1 H W"]) -> Float[Tensor, "T 1 H W"]:
    """The outline of a network that knows the person well, with a little of the warp's; see :func:`common_outline`."""
    mean = torch.lerp(own, warped, _WARPED)
    return _near(own, _without_ghost(mean, own, warped, _WARPED))


def _without_ghost(
    mean: Float[Tensor, "T 1 H W"], own: Float[Tensor, "T 1 H W"], warped: Float[Tensor, "T 1 H W"], share: float
) -> Float[Tensor, "T 1 H W"]:
    """The mean of two outlines; where they are far apart, one edge between them, at ``share`` of the way."""
    ours, theirs = _to_edge(own), _to_edge(warped)
    between = (torch.lerp(ours, theirs, share) + 0.5).clamp(0, 1)
    apart = (((ours - theirs).abs() - _AGREE) / _AGREE).clamp(0, 1)
    return torch.lerp(mean, between, apart)


def _to_edge(outline: Float[Tensor, "T 1 H W"]) -> Float[Tensor, "T 1 H W"]:
    """How far inside of an outline each pixel is [px]; negative outside."""
    solid = (outline[:, 0] > 0.5).cpu().numpy().astype(np.uint8)
    distance = [cv2.distanceTransform(s, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - s, cv2.DIST_L2, 3) for s in solid]
    return torch.as_tensor(np.stack(distance), dtype=outline.dtype, device=outline.device)[:, None]


def as_known(
    flow: TargetFlow,
    colour: Float[Tensor, "T 3 H W"],
    opacity: Float[Tensor, "T 1 H W"],
    photos: int,
    hands: Float[Tensor, "T 1 H W"] | None = None,
) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
    """The picture of a network that knows the person: its colours hold where it sees the person, near the edge too.

    Args:
        flow: From :func:`liquidwarp.renderers.drawn_flow`.
        colour: The network's.
        opacity: The network's.
        photos: How many the network has learned from.
        hands: 1 where the outline is the common one: a hand that the fit turns wrongly in the photos is learned as
            tatters.
    """
    likely = torch.lerp(likely_colours(flow, colour), colour, opacity)  # what it takes for the background it guesses
    outline = common_outline(opacity, flow.texture_matte)
    if photos > 1 and opacity.shape[-2] >= _FINE:
        learned = learned_outline(opacity, flow.texture_matte)
        outline = learned if hands is None else torch.lerp(learned, outline, hands)
    return keep_colours(flow, likely), soften(outline, _EDGE)


def _near(own: Float[Tensor, "T 1 H W"], mean: Float[Tensor, "T 1 H W"]) -> Float[Tensor, "T 1 H W"]:
    """A mean near the network's outline; farther inside and outside the network's own decision."""
    within, beyond = (max(1, round(margin * own.shape[-2])) for margin in (_WITHIN, _BEYOND))
    person = (own > 0.5).to(own.dtype)
    inside, around = erode(person, within), dilate(person, beyond)
    return torch.minimum(torch.maximum(mean, torch.minimum(own, inside)), around)


def keep_colours(flow: TargetFlow, colour: Float[Tensor, "T 3 H W"]) -> Float[Tensor, "T 3 H W"]:
    """The mean of the photos' own colours, as texture warping draws them, and the network's where one shows the place.

    Args:
        flow: From :func:`liquidwarp.renderers.drawn_flow`.
        colour: The network's.
    """
    return torch.lerp(colour, _halfway(flow, colour), seen_weight(flow.visible.amax(1, keepdim=True)))


def _halfway(flow: TargetFlow, colour: Float[Tensor, "T 3 H W"]) -> Float[Tensor, "T 3 H W"]:
    return colour + (flow.texture_matte / _FAINT).clamp(0, 1) / 2 * (flow.texture - colour)
