"""Settings of personalisation; no torch here."""

from dataclasses import dataclass, field
from typing import Literal

from liquidwarp.config import DiscriminatorConfig, LossConfig
from liquidwarp.errors import SettingError

__all__ = ["PersonalizeConfig"]


@dataclass(frozen=True)
class PersonalizeConfig:
    """How a network is tuned to one person, or to several who shall wear parts of one another."""

    quality: Literal["draft", "good", "best"] = "good"
    """How long it may take. draft: minutes on a laptop. good: the usual. best: until nothing gets better."""
    steps: int = 0
    """Most steps; 0: by quality."""
    repeats: int = 0
    """How often each lesson is learned; 0: 4 on a GPU, which learns from one faster than it is drawn, 1 on a CPU."""
    tuned: Literal["low-rank", "transfer", "all", "decoder"] = "low-rank"
    """Which weights change. low-rank: a thin addition to each convolution that draws. transfer: the network that draws.
    all: also the one that looks at the photos. decoder: only what draws its last layers."""
    rank: int = 16
    """Rank of what is kept of each layer's change, and of low-rank tuning; 0 keeps the whole change."""
    learning_rate: float = 6e-4
    """Adam's; low-rank additions learn five times as fast."""
    leave_one_out: bool = True
    """Draw each photo from the other ones alone. Otherwise it is also one of its own sources, as in the paper's
    reference, and the network may learn to copy."""
    harder: bool = True
    """Also disturb the bodies, hide parts, mirror, and take the person from a warped picture of another pose."""
    loss: LossConfig = field(default_factory=lambda: LossConfig(adversarial=0.2, source=0.0, background=0.0))
    """Weights of the losses."""
    discriminator: DiscriminatorConfig = field(
        default_factory=lambda: DiscriminatorConfig(crops=("global",), channels=32, num_layers=3)
    )
    """Learns from nothing, beside the generator."""
    further: int = 12
    """How many frames of a source video are learned from or held out, beside those that are sources."""
    patience: int = 5
    """Exams in a row that are by far worse than before learning, before it stops."""
    allow_mixed: bool = False
    """Go on although the faces of the photos seem to be those of different persons."""
    seed: int = 0
    """Of everything that is drawn by chance: the same seed gives the same weights on the same CPU. A GPU sums in no
    fixed order, so its runs differ a little."""

    def __post_init__(self) -> None:
        for name, choices in (
            ("quality", ("draft", "good", "best")),
            ("tuned", ("transfer", "all", "decoder", "low-rank")),
        ):
            if getattr(self, name) not in choices:
                raise SettingError(f"{name}: expected one of {', '.join(choices)}, got {getattr(self, name)!r}.")
        for name, least in (("steps", 0), ("repeats", 0), ("rank", 0), ("further", 0), ("patience", 1)):
            if getattr(self, name) < least:
                raise SettingError(f"{name}: expected at least {least}, got {getattr(self, name)}.")
        if self.tuned == "low-rank" and self.rank < 1:
            raise SettingError("rank: expected at least 1 for low-rank tuning, got 0.")
        if self.learning_rate <= 0:
            raise SettingError(f"learning_rate: expected more than 0, got {self.learning_rate}.")
