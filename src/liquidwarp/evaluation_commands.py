"""The commands that measure. Reading this imports neither torch nor a network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from liquidwarp.config import FitConfig
from liquidwarp.errors import SettingError
from liquidwarp.evaluation_config import SelfEvaluation, SyntheticEvaluation, UnseenEvaluation
from liquidwarp.given import check_inputs, check_numbers
from liquidwarp.options import Device
from liquidwarp.recover.detection.choice import parse_choice

__all__ = [
    "PROTOCOLS",
    "Evaluate",
    "EvaluateFilms",
    "EvaluateFlicker",
    "EvaluatePersonalize",
    "EvaluateRecover",
    "EvaluateSelf",
    "EvaluateSynthetic",
    "EvaluateTransfer",
    "EvaluateTruth",
    "EvaluateUnseen",
]


@dataclass(frozen=True)
class EvaluateRecover:
    """Body Mesh Recovery on your own files: landmark error, outline overlap, jitter, speed."""

    path: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Videos and photos."""
    out: Path | None = None
    """A folder for contact sheets and the figures as JSON."""
    frames: int | None = None
    """Only the first frames of each video."""
    photometric: bool = True
    """Align the frames of a video by the colours of skin and clothes, as all commands do."""
    empty: Path | None = None
    """Instead of the rest: a folder of pictures without people; says in how many of them a person is claimed."""

    def run(self) -> None:
        """Evaluate and print a table."""
        check_numbers(None, self.frames)
        if self.empty is not None:
            check_inputs("empty", [self.empty])
            from liquidwarp.evaluate.empty import evaluate_empty

            print(evaluate_empty(self.empty, self.frames))
            return
        check_inputs("path", self.path)
        from liquidwarp.evaluate.recover import evaluate_recover

        print(evaluate_recover(list(self.path), self.out, self.frames, FitConfig(photometric=self.photometric)))


@dataclass(frozen=True)
class EvaluateTruth:
    """Body Mesh Recovery on rendered people whose body is known, beside the disturbed bodies of the training."""

    wardrobe: tyro.conf.Positional[Path]
    """The folder that scripts/build_wardrobe.py made."""
    people: int = 24
    """How many."""
    views: int = 3
    """Pictures of each."""
    out: Path | None = None
    """A folder for the figures as JSON."""

    def run(self) -> None:
        """Evaluate and print tables."""
        check_inputs("wardrobe", [self.wardrobe])
        for name in ("people", "views"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name}: expected at least 1, got {getattr(self, name)}.")
        from liquidwarp.evaluate.truth import evaluate_truth

        print(evaluate_truth(self.wardrobe, self.people, self.views, out=self.out))


@dataclass(frozen=True)
class EvaluateSynthetic:
    """Networks and texture warping on rendered people whom training never showed."""

    wardrobe: tyro.conf.Positional[Path]
    """The folder that scripts/build_wardrobe.py made."""
    settings: SyntheticEvaluation = field(default_factory=SyntheticEvaluation)
    out: Path | None = None
    """A folder for contact sheets and the figures as JSON."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:1, mps."""

    def run(self) -> None:
        """Evaluate and print a table."""
        check_inputs("wardrobe", [self.wardrobe])
        from liquidwarp.api import choose_device
        from liquidwarp.evaluate.synthetic import evaluate_synthetic

        print(evaluate_synthetic(self.wardrobe, self.settings, self.out, choose_device(self.device)))


@dataclass(frozen=True)
class EvaluateUnseen:
    """Backs and sides that no photo shows: rendered people from one photo of their front."""

    wardrobe: tyro.conf.Positional[Path]
    """The folder that scripts/build_wardrobe.py made."""
    settings: UnseenEvaluation = field(default_factory=UnseenEvaluation)
    out: Path | None = None
    """A folder for contact sheets and the figures as JSON."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:1, mps."""

    def run(self) -> None:
        """Evaluate and print a table."""
        check_inputs("wardrobe", [self.wardrobe])
        from liquidwarp.api import choose_device
        from liquidwarp.evaluate.unseen import evaluate_unseen

        print(evaluate_unseen(self.wardrobe, self.settings, self.out, choose_device(self.device)))


@dataclass(frozen=True)
class EvaluateTransfer:
    """Appearance transfer between rendered people, beside the wearer really dressed in the giver's clothes."""

    wardrobe: tyro.conf.Positional[Path]
    """The folder that scripts/build_wardrobe.py made."""
    models: tuple[str, ...] = ("texture", "lite")
    """texture, base, lite, or folders of trained weights."""
    people: int = 8
    """Pairs for each of upper, lower and body."""
    size: Literal[256, 512, 1024] = 256
    """Side of the pictures [px]."""
    out: Path | None = None
    """A folder for contact sheets and the figures as JSON."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:1, mps."""

    def run(self) -> None:
        """Evaluate and print a table."""
        check_inputs("wardrobe", [self.wardrobe])
        if self.people < 1:
            raise SettingError(f"people: expected at least 1, got {self.people}.")
        if not self.models or "warp" in self.models:
            raise SettingError(f"models: expected texture, base, lite or folders of weights, got {self.models}.")
        from liquidwarp.api import choose_device
        from liquidwarp.evaluate.transfer import evaluate_transfer

        device = choose_device(self.device)
        print(evaluate_transfer(self.wardrobe, self.models, self.people, self.size, self.out, device))


@dataclass(frozen=True)
class EvaluateFlicker:
    """How much results change beyond their motion, beside the driving video's own figure."""

    path: tyro.conf.Positional[tuple[Path, ...]]
    """The result, and what to compare it with: the driving video, other results. All are read at its frame rate."""
    out: Path | None = None
    """A folder for the figures as JSON."""
    frames: int | None = None
    """Only the first frames of each video."""

    def run(self) -> None:
        """Evaluate and print a table."""
        check_inputs("path", self.path)
        check_numbers(None, self.frames)
        from liquidwarp.evaluate.flicker import evaluate_flicker

        print(evaluate_flicker(self.path, self.out, self.frames))


@dataclass(frozen=True)
class EvaluateFilms:
    """Cuts of films and people in close-up: films with known cuts are made of your own videos, and searched."""

    path: tyro.conf.Positional[tuple[Path, ...]]
    """Two videos or more, of one person each and without cuts."""
    out: Path | None = None
    """A folder for contact sheets and the figures as JSON."""
    frames: int = 96
    """Only the first frames of each video; at least 48."""
    close_ups: bool = True
    """Also cut faces, heads and chests out of the videos, and look for the person there."""

    def run(self) -> None:
        """Evaluate and print tables."""
        check_inputs("path", self.path)
        from liquidwarp.evaluate.films import evaluate_films

        print(evaluate_films(self.path, self.out, self.frames, self.close_ups))


@dataclass(frozen=True)
class EvaluateSelf:
    """Everything together: frames of your own videos, synthesized from other frames of the same video."""

    path: tyro.conf.Positional[tuple[Path, ...]]
    """Videos of one person each, folders of videos, folders that "liquidwarp prepare" made, or datasets with a folder
    of frames per clip and lists train.txt and val.txt (iPER)."""
    settings: SelfEvaluation = field(default_factory=SelfEvaluation)
    out: Path | None = None
    """A folder for contact sheets and the figures as JSON."""
    frames: int | None = None
    """Only the first frames of each video."""
    person: str = "largest"
    """Who, if there are several people: 1, 2, 3... from large to small, or a point "x,y" [px]."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    cache: bool = True
    """Keep what was found in the videos for the next run."""

    def run(self) -> None:
        """Evaluate and print a table."""
        check_inputs("path", self.path)
        check_numbers(None, self.frames)
        person = parse_choice(self.person)
        from liquidwarp.api import choose_device
        from liquidwarp.cache import Cache
        from liquidwarp.evaluate.self_synthesis import evaluate_self

        device, cache = choose_device(self.device), Cache(enabled=self.cache)
        print(evaluate_self(list(self.path), self.settings, self.out, self.frames, person, device, cache))


@dataclass(frozen=True)
class EvaluatePersonalize:
    """What carries personalisation: one thing changed at a time, on frames of your own videos."""

    path: tyro.conf.Positional[tuple[Path, ...]]
    """Videos of one person each."""
    settings: SelfEvaluation = field(default_factory=lambda: SelfEvaluation(models=("lite",)))
    variants: tuple[str, ...] = ()
    """default, as-reference, own-sources, not-harder, no-discriminator, no-face, all-weights, decoder, transfer,
    whole-change, or settings such as steps=120,loss.face=1; all of the named ones if none is given."""
    out: Path | None = None
    """A folder for contact sheets and the figures as JSON."""
    frames: int | None = None
    """Only the first frames of each video."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    cache: bool = True
    """Keep what was found in the videos for the next run."""

    def run(self) -> None:
        """Evaluate and print a table."""
        check_inputs("path", self.path)
        check_numbers(None, self.frames)
        from liquidwarp.api import choose_device
        from liquidwarp.cache import Cache
        from liquidwarp.evaluate.personalize import VARIANTS, evaluate_personalize

        device, cache = choose_device(self.device), Cache(enabled=self.cache)
        variants = self.variants or tuple(VARIANTS)
        print(evaluate_personalize(list(self.path), self.settings, variants, self.out, self.frames, device, cache))


Measurement = (
    EvaluateRecover
    | EvaluateTruth
    | EvaluateSynthetic
    | EvaluateUnseen
    | EvaluateTransfer
    | EvaluateFlicker
    | EvaluateFilms
    | EvaluateSelf
    | EvaluatePersonalize
)
PROTOCOLS: Mapping[str, tuple[type[Measurement], str]] = {
    "recover": (
        EvaluateRecover,
        """
  liquidwarp evaluate recover clip.mp4 photo.jpg --out evaluation
  liquidwarp evaluate recover --empty landscapes

docs/recover.md explains the columns.""",
    ),
    "truth": (
        EvaluateTruth,
        """
  liquidwarp evaluate truth .lab/wardrobe --people 24

docs/recover.md explains the tables.""",
    ),
    "synthetic": (
        EvaluateSynthetic,
        """
  liquidwarp evaluate synthetic .lab/wardrobe --out evaluation
  liquidwarp evaluate synthetic .lab/wardrobe --models texture base runs/mine/weights --sources 1 4 --people 32
  liquidwarp evaluate synthetic .lab/wardrobe --models lite --personalize --people 4

Everything about these people is known and the background is the true one: the figures are the network's alone.
In the perceptual distance, which tells most, lower is better; docs/results.md explains the columns. With --out it
writes synthetic.json and, per number of sources, a sheet: look at it before you believe a figure.""",
    ),
    "unseen": (
        EvaluateUnseen,
        """
  liquidwarp evaluate unseen .lab/wardrobe --out evaluation
  liquidwarp evaluate unseen .lab/wardrobe --models texture lite --people 12 --size 512

One photo shows the front, the targets show front, sides and back in another pose. The people are prepared as yours are,
but for the body, which is the true one with errors of a fit. In the perceptual distance, which tells most, lower is
better. With --out it writes unseen.json and a sheet per model: look at it before you believe a figure.""",
    ),
    "transfer": (
        EvaluateTransfer,
        """
  liquidwarp evaluate transfer .lab/wardrobe --people 6 --out evaluation

The truth is the wearer rendered in the giver's garments, in the same place and light: in the wearer's own pose and in
another one, from one picture of each. Lower is better in the perceptual distance. With --out it writes transfer.json
and a sheet for upper, lower and body: look at it before you believe a figure.""",
    ),
    "flicker": (
        EvaluateFlicker,
        """
  liquidwarp evaluate flicker out.mp4 dance.mp4

The driving video has a figure too: noise and blur. Compare with it. docs/results.md explains the columns.""",
    ),
    "films": (
        EvaluateFilms,
        """
  liquidwarp evaluate films dance.mp4 walk.mp4
  liquidwarp evaluate films dance.mp4 walk.mp4 squats.mp4 --out evaluation

The videos are joined by cuts, dissolves and fades, and flashes, pans and zooms are made that are no cuts. "found"
should be "cuts", and "false" 0; below the table stands what is wrong. Nothing is written but, with --out, films.json
and two sheets: look at them before you believe a figure. docs/results.md explains the kinds.""",
    ),
    "self": (
        EvaluateSelf,
        """
  liquidwarp evaluate self dance.mp4 --frames 64 --targets 6 --size 256 --models texture lite
  liquidwarp evaluate self dance.mp4 walk.mp4 --out evaluation
  liquidwarp evaluate self people --models texture lite runs/mine/weights --out evaluation
  liquidwarp evaluate self dance.mp4 --models lite --personalize

Begin with the first line: a minute or two. "people" is what liquidwarp prepare made. In the perceptual distance, which
tells most, lower is better; "temporal" above "still" is flicker; docs/results.md explains the columns. With --out it
writes self.json and a sheet per video: look at it before you believe a figure. docs/evaluate.md tells more.""",
    ),
    "personalize": (
        EvaluatePersonalize,
        """
  liquidwarp evaluate personalize clip.mp4 --models lite --variants default transfer steps=200

docs/personalize_findings.md says what was found.""",
    ),
}
"""Name: class, examples."""


@dataclass(frozen=True)
class Evaluate:
    """Measure how good the result is, or one stage of it."""

    protocol: (
        Annotated[EvaluateRecover, tyro.conf.subcommand("recover", prefix_name=False)]
        | Annotated[EvaluateTruth, tyro.conf.subcommand("truth", prefix_name=False)]
        | Annotated[EvaluateSynthetic, tyro.conf.subcommand("synthetic", prefix_name=False)]
        | Annotated[EvaluateUnseen, tyro.conf.subcommand("unseen", prefix_name=False)]
        | Annotated[EvaluateTransfer, tyro.conf.subcommand("transfer", prefix_name=False)]
        | Annotated[EvaluateFlicker, tyro.conf.subcommand("flicker", prefix_name=False)]
        | Annotated[EvaluateFilms, tyro.conf.subcommand("films", prefix_name=False)]
        | Annotated[EvaluateSelf, tyro.conf.subcommand("self", prefix_name=False)]
        | Annotated[EvaluatePersonalize, tyro.conf.subcommand("personalize", prefix_name=False)]
    )

    def run(self) -> None:
        """Evaluate and print a table."""
        self.protocol.run()
