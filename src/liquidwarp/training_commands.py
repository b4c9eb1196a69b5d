"""The commands that make training data."""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from liquidwarp.dataset_config import PrepareConfig
from liquidwarp.errors import LiquidWarpError
from liquidwarp.options import check_inputs

__all__ = ["Prepare"]


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
        if found.kept:
            print(f"There already: {len(found.kept)}")
        if found.failures:
            raise LiquidWarpError(
                f"{len(found.failures)} of {len(found.made) + len(found.kept) + len(found.failures)} clips could not "
                f"be prepared; the first: {found.failures[0]}"
            )
