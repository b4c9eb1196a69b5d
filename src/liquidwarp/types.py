"""The values that pass between the three stages. Frozen: a stage makes a new one, it never adds a key."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["CONDITION_CHANNELS", "SourceViews", "TargetFlow"]

CONDITION_CHANNELS = 8
"""Channels of a correspondence map: 3 rest coordinates in [-1, 1], 3 components of the unit normal in the camera's
frame, 1 where the body itself is seen, 1 where only its outward extension is."""


@dataclass(frozen=True)
class SourceViews:
    """S photos of one person (paper: I_s), cropped to the person at the working size, and their bodies' maps."""

    images: Float[Tensor, "S 3 H W"]
    """RGB in [0, 1]."""
    mattes: Float[Tensor, "S 1 H W"]
    """Opacity of the person, 1 = person."""
    conditions: Float[Tensor, "S 8 H W"]
    """Correspondence maps C_s of the fitted bodies."""


@dataclass(frozen=True)
class TargetFlow:
    """What Flow Composition says of T targets and S sources (paper Sec. 3.2: T_{s->t} and C_t).

    The person's mesh is the body and its outward extension (hair, clothes), so a flow also covers what lies outside
    of the naked body.
    """

    grid: Float[Tensor, "T S H W 2"]
    """Backward flow into each source, NDC, float32; 0 where not valid."""
    valid: Bool[Tensor, "T 1 H W"]
    """Where the target's mesh (body or extension) is: only there a flow has a meaning."""
    visible: Float[Tensor, "T S H W"]
    """How well each source saw this surface point [0, 1]: 0 hidden or outside of the photo, lower at grazing angles."""
    condition: Float[Tensor, "T 8 H W"]
    """Correspondence map C_t."""
    texture: Float[Tensor, "T 3 H W"]
    """The person's colours, RGB in [0, 1]: as composed, the sources' colours merged by visibility, 0 where no source
    sees; as drawn for a network (:func:`liquidwarp.flow.draw.draw_flow`), made-up colours there."""
    texture_matte: Float[Tensor, "T 1 H W"]
    """Opacity of ``texture``: the sources' mattes warped and merged; where no source sees the body 0, drawn 1."""
