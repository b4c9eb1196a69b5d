"""Settings of ``liquidwarp evaluate``."""

from dataclasses import dataclass
from typing import Literal

from liquidwarp.errors import SettingError

__all__ = ["SelfEvaluation", "SyntheticEvaluation", "UnseenEvaluation"]


@dataclass(frozen=True)
class SyntheticEvaluation:
    """Networks and texture warping on synthetic people whom training never showed."""

    models: tuple[str, ...] = ("warp", "texture", "base", "lite")
    """warp: the paper's texture warping, nothing made up. texture: the product's. base, lite: the bundled networks. Or
    folders of trained weights."""
    sources: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of source pictures, each measured on the same people and targets."""
    people: int = 16
    """How many people."""
    targets: int = 2
    """Pictures of each that are synthesized."""
    size: int = 256
    """Side of the pictures [px], a multiple of 8."""
    seed: int = 0
    """Of the people."""
    personalize: bool = False
    """Also draw them as the product does, before and after each network is tuned to the person by the sources."""
    quality: Literal["draft", "good", "best"] = "draft"
    """Of personalisation."""

    def __post_init__(self) -> None:
        _check_models(self.models)
        if not self.sources or min(self.sources) < 1:
            raise SettingError(f"sources: expected numbers of at least 1, got {self.sources}.")
        for name in ("people", "targets"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name}: expected at least 1, got {getattr(self, name)}.")
        if self.personalize and self.size not in (256, 512, 1024):
            raise SettingError(f"size: expected 256, 512 or 1024 with personalize, got {self.size}.")
        if self.quality not in ("draft", "good", "best"):
            raise SettingError(f"quality: expected draft, good or best, got {self.quality!r}.")
        if self.size < 64 or self.size % 8:
            raise SettingError(f"size: expected a multiple of 8, at least 64, got {self.size}.")


@dataclass(frozen=True)
class UnseenEvaluation:
    """Sides that no photo shows: rendered people from one photo of their front."""

    models: tuple[str, ...] = ("texture",)
    """texture: the product's texture warping. base, lite: the bundled networks, which refine that. Or folders of
    trained weights."""
    people: int = 6
    """In plain clothes, and as many with a print on the chest, and in patterned clothes."""
    size: Literal[256, 512, 1024] = 256
    """Side of the pictures [px]."""
    seed: int = 0
    """Of the people."""

    def __post_init__(self) -> None:
        _check_models(self.models)
        if "warp" in self.models:
            raise SettingError(f"models: expected texture, base, lite or folders of weights, got {self.models}.")
        if self.people < 1:
            raise SettingError(f"people: expected at least 1, got {self.people}.")
        if self.size not in (256, 512, 1024):
            raise SettingError(f"size: expected 256, 512 or 1024, got {self.size}.")


@dataclass(frozen=True)
class SelfEvaluation:
    """Frames of a real video synthesized from other frames of it."""

    models: tuple[str, ...] = ("warp", "texture", "base", "lite")
    """warp: the paper's texture warping, nothing made up. texture: the product's. base, lite: the bundled networks. Or
    folders of trained weights."""
    sources: int = 4
    """Frames that serve as photos."""
    targets: int = 16
    """Frames that are synthesized, in pairs of neighbours, so that flicker can be measured."""
    gap: int = 2
    """Least distance between a target and every source [frames]; 2 leaves out the sources' neighbours."""
    size: Literal[256, 512, 1024] = 512
    """Side of the square around the person that is synthesized and compared [px]."""
    personalize: bool = False
    """Also tune each network to the person by the photos alone, and compare."""
    quality: Literal["draft", "good", "best"] = "good"
    """Of personalisation."""
    split: Literal["auto", "test", "train", "all"] = "auto"
    """Which clips of datasets. auto: those held out, or all if none are."""
    photometric: bool = True
    """Align the frames of a video by the colours of skin and clothes, as all commands do."""
    bounds: bool = False
    """Also tell what each kind of error costs: the figures of each model if its outline, its colours' places, its light
    or what stands around the person were true."""
    temporal: bool = False
    """Also draw with each network what attends to the frame before: of each pair, the second frame after the first."""

    def __post_init__(self) -> None:
        _check_models(self.models)
        if self.split not in ("auto", "test", "train", "all"):
            raise SettingError(f"split: expected auto, test, train or all, got {self.split!r}.")
        for name, least in (("sources", 1), ("targets", 2), ("gap", 1)):
            if getattr(self, name) < least:
                raise SettingError(f"{name}: expected at least {least}, got {getattr(self, name)}.")
        if self.size not in (256, 512, 1024):
            raise SettingError(f"size: expected 256, 512 or 1024, got {self.size}.")
        if self.quality not in ("draft", "good", "best"):
            raise SettingError(f"quality: expected draft, good or best, got {self.quality!r}.")


def _check_models(models: tuple[str, ...]) -> None:
    if not models or len(set(models)) != len(models):
        raise SettingError(f"models: expected different names, got {', '.join(models) or 'none'}.")
