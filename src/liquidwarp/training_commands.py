"""The commands around training."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import tyro

from liquidwarp.config import TrainConfig
from liquidwarp.dataset_config import PrepareConfig
from liquidwarp.errors import LiquidWarpError, SettingError
from liquidwarp.given import check_inputs
from liquidwarp.options import Device

__all__ = ["Prepare", "Train"]


@dataclass(frozen=True)
class Prepare:
    """Make training data of your own videos and photos. The same command goes on where it was stopped."""

    path: tyro.conf.Positional[tuple[Path, ...]]
    """Videos of one person each, folders of photos of one person, folders of frames, folders of all these, or datasets
    with a folder of frames per clip and lists train.txt and val.txt (iPER)."""
    out: Path
    """The dataset's folder; clips are added to what is in it."""
    settings: PrepareConfig = field(default_factory=PrepareConfig)
    cache: bool = True
    """Keep what was found in the videos for the next run."""

    def run(self) -> None:
        """Prepare and say what became of each clip."""
        check_inputs("path", self.path)
        from liquidwarp.cache import Cache
        from liquidwarp.learn.prepare import prepare_clips

        found = prepare_clips(self.path, self.out, self.settings, Cache(enabled=self.cache))
        for name in found.made:
            print(f"Prepared: {found.folder / name}")
        if found.made:
            print("Look at the sheet.jpg of each, and delete the folders of clips whose bodies or mattes are wrong.")
        if found.kept:
            print(f"There already: {len(found.kept)}")
        if found.failures:
            raise LiquidWarpError(
                f"{len(found.failures)} of {len(found.made) + len(found.kept) + len(found.failures)} clips could not "
                f"be prepared; the first: {found.failures[0]}"
            )


@dataclass(frozen=True)
class Train:
    """Train the generator on rendered people, on your own videos, or both. The same command goes on where it was."""

    wardrobe: tyro.conf.Positional[Path | None] = None
    """The folder that scripts/build_wardrobe.py made: rendered people."""
    videos: Path | None = None
    """The folder that "liquidwarp prepare" made: your own people, alone or besides the rendered ones."""
    out: Path = TrainConfig.output
    """Folder for checkpoints, log, contact sheets, scores and the weights."""
    config: Path | None = None
    """A file with settings, such as configs/h100_25min.toml; options that are given here besides win."""
    preset: Literal["lite", "base", "paper", "custom"] = TrainConfig.preset
    """Size of the generator. lite: for CPUs. paper: the published widths. custom: see --settings generator.*."""
    minutes: float = TrainConfig.minutes
    """Training time over all resumed parts [min]; loading does not count."""
    part_minutes: float = TrainConfig.part_minutes
    """Leave with a checkpoint after this time [min]; 0: stay to the end."""
    size: int = TrainConfig.size
    """Side of the training pictures [px], a multiple of 8. A resumed part may have another one."""
    people: int = TrainConfig.people
    """People per step; what fits into the GPU's memory and keeps it busy."""
    init: Path | None = None
    """Weights to start from: the weights/ folder of another run, or the name of bundled ones."""
    device: Device = TrainConfig.device
    """auto, cpu, cuda."""
    settings: tuple[str, ...] = ()
    """Any other setting as NAME=VALUE, such as loss.face=0.3 or learning_rate=1e-4: those of
    liquidwarp.config.TrainConfig, listed in docs/training.md."""

    def all_settings(self) -> TrainConfig:
        """The file's, then those given as options, then those given by name.

        Raises:
            SettingError: an unknown name or a forbidden value, or no people to train on.
        """
        from liquidwarp.learn.settings import read_file, read_overrides

        plain = TrainConfig()
        config = plain if self.config is None else read_file(plain, self.config)
        own = ("preset", "minutes", "part_minutes", "size", "people", "init", "device")
        given: dict[str, Any] = {name: getattr(self, name) for name in own}
        given |= {"output": self.out, "data_folder": self.wardrobe, "video_folder": self.videos}
        changed = {name: value for name, value in given.items() if value != getattr(plain, name)}
        if self.wardrobe is not None or self.videos is not None:
            people = {"synthetic": self.wardrobe, "videos": self.videos}
            changed["data"] = "+".join(name for name, folder in people.items() if folder is not None)
        config = read_overrides(replace(config, **changed), self.settings)
        if config.data_folder is None and config.video_folder is None and config.data != "boxes":
            raise SettingError(
                "train: expected the folder of scripts/build_wardrobe.py, or --videos with the one of "
                "'liquidwarp prepare', got neither."
            )
        return config

    def run(self) -> None:
        """Train, then print the scores."""
        config = self.all_settings()
        for name, folder in (("wardrobe", config.data_folder), ("videos", config.video_folder)):
            if folder is not None:
                check_inputs(name, [folder])
        from liquidwarp.learn.train import train

        result = train(config)
        for name, scores in result.scores.items():
            figures = {key: value for key, value in asdict(scores).items() if value is not None}
            print(f"{name:8}", "  ".join(f"{key} {value:.3f}" for key, value in figures.items()))
        if result.finished:
            print(f"Finished after {result.position.step} steps. To use it: --renderer {result.folder / 'weights'}")
        else:
            print(f"Stopped after {result.position.step} steps. The same command goes on: {result.folder}")
