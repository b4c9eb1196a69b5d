"""The command that tunes a network to a person. Reading this imports neither torch nor a network."""

import time
from dataclasses import dataclass
from pathlib import Path

from liquidwarp.errors import SettingError
from liquidwarp.given import check_inputs, parse_background
from liquidwarp.options import Device, Quality, Size, parse_people
from liquidwarp.personal_config import PersonalizeConfig

__all__ = ["Personalize"]


@dataclass(frozen=True)
class Personalize:
    """Tune the network to one person: face, prints and textures that it blurs come back."""

    source: tuple[Path, ...]
    """Photos of one person, 1 to 8, a folder of photos, or a short video."""
    out: Path
    """The file to make (.liquid); imitate, transfer and view take it as --source."""
    quality: Quality = "good"
    """draft: minutes on a laptop. good: the usual. best: until nothing gets better."""
    size: Size = 512
    """Side of the square in which the person is rendered [px]; smaller is faster."""
    renderer: str = "auto"
    """lite or base: a bundled network. Or a folder with a trained network's weights. auto: the bundled network that
    suits the device."""
    person: tuple[str, ...] = ("largest",)
    """Who, if there are several people in the sources: 1, 2, 3... from large to small, or a point "x,y" [px];
    one choice for all photos, or one for each."""
    background: str | None = None
    """Another background: an image, or a colour like "#00b140"."""
    preview: bool = True
    """Paint a picture beside the file while it learns: rows of source, before, now, truth."""
    allow_mixed: bool = False
    """Go on although the faces of the photos seem to be those of different persons."""
    seed: int = 0
    """The same seed gives the same result on the same CPU; a GPU's runs differ a little."""
    settings: tuple[str, ...] = ()
    """Any other setting as NAME=VALUE, such as tuned=low-rank or loss.face=1: those of
    liquidwarp.personal_config.PersonalizeConfig."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    cache: bool = True
    """Keep what was found in the photos and what was learned, so that a killed run goes on."""

    def config(self) -> PersonalizeConfig:
        """All settings together.

        Raises:
            SettingError: an unknown name or a forbidden value.
        """
        from liquidwarp.learn.settings import read_overrides

        plain = PersonalizeConfig(quality=self.quality, allow_mixed=self.allow_mixed, seed=self.seed)
        return read_overrides(plain, self.settings)

    def run(self) -> None:
        """Learn and write the file."""
        person = parse_people(self.person)
        background = parse_background(self.background)
        check_inputs("source", self.source)
        if self.out.suffix != ".liquid":
            raise SettingError(f"out: expected a name that ends in .liquid, got {self.out.name}.")
        if self.renderer == "texture":
            raise SettingError("renderer: expected auto, lite, base or a folder, got texture, which has no network.")
        if any(path.suffix == ".liquid" for path in self.source):
            raise SettingError("source: expected photos or a video, got a .liquid file, which is personalised already.")
        config = self.config()
        from liquidwarp.arguments import check_source
        from liquidwarp.files import prepare_target

        prepare_target(self.out)
        check_source("source", self.source)
        from liquidwarp.api import LiquidWarper
        from liquidwarp.personal.watch import ProgressBar, in_words

        warper = LiquidWarper.from_pretrained(
            device=self.device, size=self.size, renderer=self.renderer, cache=self.cache
        )
        prepared = warper.prepare(list(self.source), person=person, background=background, further=config.further)
        preview = self.out.with_suffix(".preview.png") if self.preview else None
        started = time.monotonic()
        personal = warper.personalize(prepared, config, ProgressBar(preview, print))
        took = in_words(time.monotonic() - started)
        personal.save(self.out)
        tuning = personal.tuning
        kept = "the best so far" if not tuning.finished else f"{tuning.steps} steps in {took}"
        gain = f"error {tuning.score:.0%} of before in what was held out"
        print(f"Written: {self.out} ({self.out.stat().st_size / 2**20:.1f} MB; {kept}; {gain})")
