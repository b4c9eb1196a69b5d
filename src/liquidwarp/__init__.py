"""Liquidwarp: human image synthesis from a few photos (Liquid Warping GAN with Attention)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from liquidwarp.api import LiquidWarper
    from liquidwarp.effects import Effects

__all__ = ["Effects", "LiquidWarper"]

_HOMES = {"Effects": "liquidwarp.effects", "LiquidWarper": "liquidwarp.api"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that the command line answers without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'liquidwarp' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
