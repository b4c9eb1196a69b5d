"""Which of the colours beside the border of what is seen go on around a tube: those that its cloth mostly has.

At the rim of what a photo shows the sun may fall on a few degrees of a sleeve, or a neighbour's hand may lie there.
What nobody sees has no reason to look like that: where the two borders of a ring differ, or a limb's border differs
from most of what is seen of both limbs at its height, the more usual colour goes on.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int

__all__ = ["Common", "in_other_light", "usual_tones"]

FloatArray = npt.NDArray[np.float32]

_ALIKE = 0.15
"""Colours that differ by this [RGB, 0..1] support each other by 1 / e."""
_TRUSTED, _OTHER_CLOTH = (0.4, 0.8), (0.08, 0.2)
"""With less than the first share of the best one's support a colour does not go on, from the second on as it is; of
another cloth, which may end there, less is enough."""
_HUE, _GREY, _DARK = 0.8, 0.06, 0.12
"""Colours in other light have hues at least so near [cosine]; below the second hardly any [standard deviation, RGB];
what is darker than the third [RGB, 0..1] may have any, but in the sun little of it,"""
_DULL = 0.15
"""relative to its light at most this: black cloth in the sun is no skin."""
_BAND = 8
"""Rows above and below that are asked."""
_SAMPLES, _FEWEST = 160, 8
"""Of a height about so many colours are asked; fewer than these say nothing."""
_BRIGHT = 0.85
"""From here on in one channel a colour may be pale from light alone."""
_CLIPPED, _LITTLE = 0.95, 0.3
"""A channel from here on is overexposed, and such a colour says this much of its cloth."""
_TWIN = 0.5
"""How much a place of the other limb says, as its sleeve may end elsewhere."""
_BESIDE = 0.5
"""How much what is worn beside a limb has to say of its tone, relative to the limb itself."""


@dataclass(frozen=True)
class Common:
    """What is seen of a tube's cloth."""

    row: Float[np.ndarray, "N"]
    """Of places of the part, or of it and its mirror image."""
    colours: Float[np.ndarray, "N 3"]
    """Theirs, RGB in [0, 1]."""
    twin: Bool[np.ndarray, "N"]
    """Which of them are the mirror image's."""
    beside: Float[np.ndarray, "M 3"]
    """Colours of parts beside it, which may have the same cloth: of its own colours they support those alike."""
    limb: bool
    """Whether any colour that is seen may go on; else only one that is at a border of the same ring, as what is seen
    in the middle of a trunk may be worn below something open."""

    @staticmethod
    def of_trunk(
        row: Float[np.ndarray, "N"], colours: Float[np.ndarray, "N 3"], beside: Float[np.ndarray, "M 3"] | None = None
    ) -> "Common":
        """What is seen of a part that has no mirror image."""
        none = colours[:0] if beside is None else beside
        return Common(row, colours, np.zeros(len(row), bool), none, limb=False)


def usual_tones(
    proposed: Float[np.ndarray, "K 3"], row: Int[np.ndarray, "K"], common: Common
) -> Float[np.ndarray, "K 3"]:
    """What goes on instead of colours that little of the cloth at their height has; else these.

    Args:
        proposed: At the borders of the rings, RGB in [0, 1].
        row: Whose rings' those are.
        common: What is seen of the cloth.
    """
    order = np.argsort(common.row, kind="stable")
    heights, colours, twin = common.row[order], common.colours[order], common.twin[order]
    weight = np.where(twin, _TWIN, 1.0) * np.where(colours.max(1) >= _CLIPPED, _LITTLE, 1.0)
    beside = common.beside[:: max(1, len(common.beside) // _SAMPLES)]
    result = proposed.astype(np.float32, copy=True)
    for height in np.unique(row):
        first, last = np.searchsorted(heights, (height - _BAND, height + _BAND + 1))
        some, own = slice(first, last, max(1, (last - first) // _SAMPLES)), row == height
        if len(colours[some]) >= _FEWEST:
            result[own] = _supported(proposed[own], colours[some], weight[some], twin[some], beside, common.limb)
    return result


def _supported(
    proposed: Float[np.ndarray, "P 3"],
    seen: Float[np.ndarray, "S 3"],
    weight: Float[np.ndarray, "S"],
    twin: Bool[np.ndarray, "S"],
    beside: Float[np.ndarray, "M 3"],
    limb: bool,
) -> FloatArray:
    candidates = np.concatenate([proposed, seen]) if limb else proposed
    near = _likeness(candidates, seen) * weight
    support = near.sum(1)
    if len(beside):
        support += _BESIDE * weight.sum() * _likeness(candidates, beside).mean(1)
    best = int(support.argmax())
    usual = near[best] @ seen / max(float(near[best].sum()), 1e-6) if limb else candidates[best]
    trust = _trust(support, _TRUSTED)
    # A bent leg's hem lies elsewhere than its twin's: of another cloth only the limb itself tells.
    alone = near[:, ~twin].sum(1) if (~twin).sum() >= _FEWEST else support
    trust = np.where(
        in_other_light(proposed, usual), trust[: len(proposed)], _trust(alone, _OTHER_CLOTH)[: len(proposed)]
    )
    return np.asarray(usual + trust[:, None] * (proposed - usual), np.float32)


def _trust(support: Float[np.ndarray, "C"], limits: tuple[float, float]) -> FloatArray:
    """How far colours go on as they are, by their support relative to the best one's."""
    low, high = limits
    return np.asarray(((support / max(float(support.max()), 1e-6) - low) / (high - low)).clip(0, 1), np.float32)


def in_other_light(some: Float[np.ndarray, "P 3"], usual: Float[np.ndarray, "*K 3"]) -> Bool[np.ndarray, "P"]:
    """Which colours may be the usual one in sun or shade; overexposed ones have lost their hue.

    Args:
        some: RGB in [0, 1].
        usual: One colour for all of them, or one for each.
    """
    chroma, own = (colour - colour.mean(-1, keepdims=True) for colour in (some, usual))
    size, own_size = chroma.std(-1), own.std(-1)
    hue = (chroma * own).sum(-1) / (3 * size * own_size).clip(1e-6) > _HUE
    hue &= np.minimum(size, own_size) > _GREY / 2
    grey = (size < _GREY) & (own_size < _GREY)
    brighter = some.sum(-1) > usual.sum(-1)
    light, vivid = np.maximum(some.mean(-1), usual.mean(-1)), np.where(brighter, size, own_size)
    dark = (np.minimum(some.mean(-1), usual.mean(-1)) < _DARK) & (vivid < np.minimum(2 * _GREY, _DULL * light))
    lost = np.where(brighter, some.max(-1) > _BRIGHT, usual.max(-1) > _BRIGHT)
    paler = np.where(brighter, size < own_size, own_size < size)
    return np.asarray(hue | grey | dark | (lost & paler))


def _likeness(a: Float[np.ndarray, "M 3"], b: Float[np.ndarray, "S 3"]) -> Float[np.ndarray, "M S"]:
    squared = sum(np.square(a[:, None, k] - b[:, k]) for k in range(3))
    return np.asarray(np.exp(-np.asarray(squared) / _ALIKE**2))
