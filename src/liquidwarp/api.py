"""The public door: :class:`LiquidWarper`."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from tqdm import tqdm

from liquidwarp.backdrop import SHADE, Backdrop, Film, Nothing, Still, fit_picture
from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel
from liquidwarp.body.retarget import CameraStrategy
from liquidwarp.cache import Cache
from liquidwarp.config import ImitateConfig, SynthesisConfig, ViewConfig
from liquidwarp.effects import Effects
from liquidwarp.errors import SettingError
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.pretrained import BUNDLED
from liquidwarp.given import check_background, check_inputs, check_numbers, check_picture
from liquidwarp.media import IMAGE_SUFFIXES, find_images, open_frames, read_image
from liquidwarp.media.newest import NewestFrames
from liquidwarp.media.writer import save_picture
from liquidwarp.personal.person import PersonalBank, personalise_banks
from liquidwarp.personal.person_file import PERSON_SUFFIX, load_person
from liquidwarp.personal.personalize import Watcher
from liquidwarp.personal.watch import ProgressBar
from liquidwarp.personal_config import PersonalizeConfig
from liquidwarp.recover.detection.choice import PersonChoice, check_choice
from liquidwarp.recover.detection.upright import lying_notes
from liquidwarp.recover.live import LiveBody
from liquidwarp.recover.photos import load_sources
from liquidwarp.renderers import load_network
from liquidwarp.synthesizer import SourceBank, prepare_bank
from liquidwarp.tasks.imitate import Driving, Imitation, imitate, load_driving
from liquidwarp.tasks.live import LiveResult, imitate_live
from liquidwarp.tasks.rendering import Rendering
from liquidwarp.tasks.shape import reshape
from liquidwarp.tasks.transfer import check_wear, transfer
from liquidwarp.tasks.view import STANDING, view

__all__ = ["LiquidWarper", "choose_device"]

_log = logging.getLogger(__name__)

Source = str | Path
Picture = UInt8[np.ndarray, "_ _ _"]
"""RGB, or RGBA with the person cut out."""
Background = Source | tuple[int, int, int] | UInt8[np.ndarray, "H W 3"]


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """The device of a name; "auto" takes CUDA if there is one, else the CPU.

    Raises:
        SettingError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise SettingError(f"device: expected auto, cpu, cuda, cuda:1 or mps, got {name!r}.") from error
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].split(". ")[0]
        raise SettingError(f"device: '{name}' cannot be used here ({reason}). Use auto or cpu.") from error
    return device


class LiquidWarper:
    """From a few photos of a person to that person in new motion.

    Example:
        from liquidwarp import LiquidWarper

        warper = LiquidWarper.from_pretrained()
        person = warper.prepare(["front.jpg", "back.jpg"])
        warper.imitate(person, driving="dance.mp4").save("out.mp4")
    """

    def __init__(
        self,
        model: BodyModel,
        config: SynthesisConfig,
        generator: LiquidWarpingGenerator | None,
        device: torch.device,
        cache: Cache,
        progress: bool = True,
        network: str = "",
    ) -> None:
        """Prefer :meth:`from_pretrained`.

        Args:
            model: The body, on the CPU.
            config: How frames are made.
            generator: The network that makes them, on ``device``; None: texture warping.
            device: Where.
            cache: What is kept between runs.
            progress: Show progress bars.
            network: Name or folder of the network's weights.
        """
        self.model = model
        self.config = config
        self.generator = generator
        self.device = device
        self.cache = cache
        self.progress = progress
        self.network = network

    @staticmethod
    def from_pretrained(
        device: str | torch.device = "auto",
        size: int | None = None,
        renderer: str | Path | None = None,
        cache: bool | str | Path = True,
        config: SynthesisConfig | None = None,
        progress: bool = True,
    ) -> "LiquidWarper":
        """Load what is bundled with the package.

        Args:
            device: "auto", "cpu", "cuda", "cuda:1", "mps".
            size: Side of the square in which the person is rendered [px]: 256, 512 or 1024; None takes config's.
            renderer: "texture", "lite", "base", a folder of weights, or "auto"; None takes config's.
            cache: Whether recovered photos and videos are kept for the next run, or the folder to keep them in.
            config: Further settings.
            progress: Show progress bars.

        Raises:
            SettingError: no such device, size or renderer.
            WeightsNotFoundError: the package is incomplete, or it has no such renderer.
        """
        config = config or SynthesisConfig()
        if size is not None:
            config = replace(config, size=size)
        if renderer is not None:
            config = replace(config, renderer=str(renderer))
        known = ("auto", "texture", *BUNDLED)
        if config.renderer not in known and not Path(config.renderer).exists():
            raise SettingError(
                f"renderer: expected {', '.join(known)} or a folder of weights, got {config.renderer!r}."
            )
        place = choose_device(device)
        name, generator = load_network(config.renderer, place)
        if config.temporal and generator is None:
            raise SettingError("temporal: only networks attend to the frame before, and the renderer is texture.")
        _log.info("Renderer: %s on %s, %d px.", name, place, config.size)
        kept = Cache(None if isinstance(cache, bool) else cache, cache is not False)
        return LiquidWarper(AnnyBody.load(), config, generator, place, kept, progress, name)

    def prepare(
        self,
        source: Source | Picture | Sequence[Source | Picture],
        person: PersonChoice | list[PersonChoice] = None,
        background: Background | None = None,
        further: int = 0,
        background_end: Literal["loop", "hold"] = "loop",
    ) -> SourceBank:
        """Recover a person from photos or a video, or read a personalised one.

        Args:
            source: Photos, a folder of photos, or a video of one person. The result is in the first photo's frame.
                Photos are files, or arrays (H, W, 3 or 4): RGB, uint8, upright. Or a ``.liquid`` file, which knows its
                own size and network.
            person: Who, if several people are in view: the N-th by size from 1 on, or a point (x, y) [px] on them; a
                list has an entry for each photo.
            background: What to put behind the person instead of the photo's own place: an image, a video, a colour
                (RGB, 0..255, or "white", "#00b140"), or "transparent".
            further: How many more frames of a video to keep for :meth:`personalize`.
            background_end: At its end a video as background begins again ("loop"), or stands still ("hold").

        Returns:
            The prepared person.

        Raises:
            MediaError: a file cannot be read.
            NoPersonFoundError: nobody there, or not the person that was asked for.
            SettingError: an argument that makes no sense.
            ShapeError: an array that is no picture.
            WeightsCorruptError: a ``.liquid`` file is damaged, of another version or of another network.
        """
        given = _listed(source)
        for choice in person if isinstance(person, list) else [person]:
            check_choice(choice)
        if background_end not in ("loop", "hold"):
            raise SettingError(f"background_end: expected loop or hold, got {background_end!r}.")
        if further < 0:
            raise SettingError(f"further: expected at least 0, got {further}.")
        background = check_background(background)
        arrays = any(isinstance(photo, np.ndarray) for photo in given)
        with TemporaryDirectory(prefix="liquidwarp-") if arrays else nullcontext("") as folder:
            paths = _as_files(given, Path(folder))
            bank = self._prepare(paths, person, background, further, background_end)
        return replace(bank, origins=_files_of(*given, background))

    def _prepare(
        self,
        paths: Sequence[Path],
        person: PersonChoice | list[PersonChoice],
        background: Background | None,
        further: int,
        background_end: Literal["loop", "hold"],
    ) -> SourceBank:
        if any(path.suffix == PERSON_SUFFIX for path in paths):
            return self._read_person(paths, background, background_end)
        photos = load_sources(paths, self.model, self.config.num_sources, person, self.cache, self.progress, further)
        for note in (*photos.recovery.notes, *lying_notes(photos.recovery.body, self.model)):
            _log.info("Source %s: %s", photos.name, note)
        height, width = photos.pictures[0].shape[:2]
        backdrop = self._backdrop(background, (width, height), background_end)
        with tqdm(total=1, desc="Preparing", disable=not self.progress, leave=False) as bar:

            def show(text: str, done: int, total: int) -> None:
                bar.set_description(text)
                bar.total, bar.n = total, done
                bar.refresh()

            return prepare_bank(
                photos, self.model, self.config, self.generator, backdrop, self.device, self.cache, show
            )

    def _read_person(
        self,
        paths: Sequence[Path],
        background: Background | None,
        ending: Literal["loop", "hold"],
    ) -> SourceBank:
        if len(paths) > 1:
            raise SettingError(f"source: {PERSON_SUFFIX} files stand alone, got {len(paths)} inputs.")
        person = load_person(paths[0], self.model, self.config, self.device)
        size = person.images.shape[-1]
        if size != self.config.size:
            _log.info("Size: %d px, with which %s was made.", size, paths[0].name)
        backdrop = self._backdrop(background, person.size, ending)
        return person if backdrop is None else replace(person, backdrop=backdrop)

    def personalize(
        self, person: SourceBank, config: PersonalizeConfig | None = None, watcher: Watcher | None = None
    ) -> PersonalBank:
        """Tune the network to one person: face, prints and textures that the pretrained one blurs come back.

        Args:
            person: From :meth:`prepare`, of photos or a video.
            config: Quality, what is tuned, seed.
            watcher: Is told how it goes; None shows a progress bar, if the warper shows any.

        Returns:
            The person with a network of its own; ``save("alice.liquid")`` keeps it.

        Raises:
            SettingError: there is no network to tune, or the photos are of different persons.
        """
        return self.personalize_together([person], config, watcher)[0]

    def personalize_together(
        self, people: Sequence[SourceBank], config: PersonalizeConfig | None = None, watcher: Watcher | None = None
    ) -> list[PersonalBank]:
        """Tune one network to several people who shall wear parts of one another."""
        if self.generator is None:
            raise SettingError("personalize: texture warping has no network to tune. Choose lite or base as renderer.")
        watcher = watcher or (ProgressBar() if self.progress else None)
        return personalise_banks(
            people, self.generator, self.network, self.config, config or PersonalizeConfig(), self.cache, watcher
        )

    def _synthesis(self, person: SourceBank) -> SynthesisConfig:
        """The settings, at the size with which the person was prepared."""
        _check_person("person", person)
        return replace(self.config, size=int(person.images.shape[-1]))

    @staticmethod
    def _backdrop(given: Background | None, size: tuple[int, int], ending: Literal["loop", "hold"]) -> Backdrop | None:
        """What stands behind a person in a picture of ``size`` (width, height); None: the photo's own place."""
        if given is None:
            return given
        if isinstance(given, tuple):
            return Still(np.broadcast_to(np.array(given, np.uint8), (size[1], size[0], 3)).copy())
        if isinstance(given, np.ndarray):
            return Still(fit_picture(given, size), SHADE)
        if str(given) == "transparent":
            return Nothing(size)
        path = Path(given)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return Still(fit_picture(read_image(path).rgb, size), SHADE)
        open_frames(path)  # refused now rather than after the work
        return Film(path, size, ending)

    def imitate(
        self,
        person: SourceBank,
        driving: Source,
        camera: CameraStrategy = "natural",
        layout: Literal["clean", "strip"] = "clean",
        fps: float | None = None,
        frames: int | None = None,
        driving_person: PersonChoice = None,
        effects: Effects | None = None,
    ) -> Imitation:
        """Motion imitation: let the person move like the driving.

        Args:
            person: From :meth:`prepare`.
            driving: A video, a folder of frames, a photo, or a motion file (.bvh, .npz).
            camera: "natural", "follow" or "fixed"; see :func:`liquidwarp.body.retarget.retarget`.
            layout: "clean" for the result alone, "strip" for source, driving and result side by side.
            fps: Frames per second; None keeps the driving's.
            frames: Only the first frames.
            driving_person: Who moves, if several people are in the driving.
            effects: Several views side by side; bullet time.

        Returns:
            The result; ``save`` or iterate it to render.
        """
        synthesis, config = self._synthesis(person), ImitateConfig(camera=camera, layout=layout)
        motion = self._driving(driving, fps, frames, driving_person)
        result = imitate(person, motion, config, synthesis, effects)
        return replace(result, inputs=_files_of(driving), progress=self.progress)

    def transfer(
        self,
        person: SourceBank,
        wear: Mapping[str, SourceBank],
        driving: Source | None = None,
        camera: CameraStrategy = "natural",
        fps: float | None = None,
        frames: int | None = None,
        driving_person: PersonChoice = None,
        effects: Effects | None = None,
    ) -> Rendering:
        """Appearance transfer: let the person wear parts of other people.

        Args:
            person: Who wears them, from :meth:`prepare`; also gives all other parts, the body and the background.
            wear: Parts or groups ("upper", "lower,feet", "whole_head", "left_arm"...) to the person who gives them.
            driving: What moves the person, as for :meth:`imitate`; None: a single picture in the photo's own pose.
            camera: "natural", "follow" or "fixed", with a driving.
            fps: Frames per second; None keeps the driving's.
            frames: Only the first frames.
            driving_person: Who moves, if several people are in the driving.
            effects: Several views side by side; bullet time.

        Returns:
            The result; ``save`` or iterate it to render.

        Raises:
            SettingError: no part, an unknown one, one that two people give or that its giver does not show.

        Example:
            warper.transfer(alice, wear={"upper": bob, "lower": carol}).save("out.png")
        """
        synthesis = self._synthesis(person)
        given = [(part.strip(), giver) for parts, giver in wear.items() for part in parts.split(",")]
        check_wear([part for part, _ in given])
        for part, giver in given:
            _check_person(f"wear[{part!r}]", giver)
        motion = None if driving is None else self._driving(driving, fps, frames, driving_person)
        result = transfer(person, dict(given), motion, ImitateConfig(camera=camera), synthesis, effects)
        worn_from = [origin for _, giver in given for origin in giver.origins]
        return replace(result, inputs=_files_of(driving, *worn_from), progress=self.progress)

    def reshape(self, person: SourceBank, shape: str) -> SourceBank:
        """The person with another body, for :meth:`imitate`, :meth:`transfer` and :meth:`view`.

        Args:
            person: From :meth:`prepare`.
            shape: Such as "height=+5cm,weight=+10%"; docs/tasks.md lists the names.

        Raises:
            SettingError: not understood, an unknown name, or too far.

        Example:
            warper.imitate(warper.reshape(alice, "height=+5cm"), "dance.mp4").save("out.mp4")
        """
        _check_person("person", person)
        return reshape(person, shape)

    def view(
        self,
        person: SourceBank,
        turn: float | int = 360.0,
        frames: int | None = None,
        elevation: float | int = ViewConfig.elevation,
        pose: Source = "own",
        angle: float | int | None = None,
    ) -> Rendering:
        """Novel view: let the camera walk around the person.

        Args:
            person: From :meth:`prepare`.
            turn: How far [degrees]; positive towards the person's left.
            frames: How many; None: 180, or all of a moving pose.
            elevation: How far the camera is raised, looking down [degrees].
            pose: "own" for that of the first photo, "t", "a", or what :meth:`imitate` takes as driving.
            angle: A single picture from this side instead [degrees].

        Returns:
            The result; ``save`` or iterate it to render.
        """
        config = ViewConfig(turn, frames, angle, elevation)
        synthesis = self._synthesis(person)
        if pose == "own" or pose in STANDING:
            return replace(view(person, str(pose), config, synthesis), progress=self.progress)
        motion = self._driving(pose, None, 1 if angle is not None else frames)
        result = view(person, motion.motion, config, synthesis)
        return replace(result, inputs=_files_of(pose), progress=self.progress)

    def live(
        self,
        person: SourceBank,
        frames: NewestFrames,
        camera: Literal["fixed", "follow"] = "fixed",
        driving_person: PersonChoice = None,
    ) -> Iterator[LiveResult]:
        """Live imitation: let the person do what a camera sees, newest frame first.

        Args:
            person: From :meth:`prepare`; a small size and texture warping are the fastest.
            frames: The camera, or a video played at its own speed, opened by ``with``.
            camera: "fixed" keeps the person in place; "follow" takes size and place from the camera.
            driving_person: Who moves, if several people are in view.

        Returns:
            Pictures as they are made, with the frame rate.

        Example:
            with NewestFrames("0") as camera:
                for result in warper.live(person, camera):
                    show(result.picture)
        """
        return imitate_live(person, frames, LiveBody(self.model, driving_person), camera, self._synthesis(person))

    def _driving(self, path: Source, fps: float | None, frames: int | None, person: PersonChoice = None) -> Driving:
        check_numbers(fps, frames)
        check_choice(person, "driving_person")
        driving = load_driving(path, self.model, fps, frames, person, self.cache, self.progress)
        for note in driving.notes:
            _log.info("Driving: %s", note)
        return driving


def _listed(source: Any) -> list[Any]:
    """The photos one by one, whether one was given or several."""
    single = isinstance(source, (str, bytes, Path, np.ndarray)) or not isinstance(source, Iterable)
    return [source] if single else list(source)


def _as_files(given: Sequence[Source | Picture], folder: Path) -> list[Path]:
    """The photos as files that exist: arrays are written to ``folder``."""
    paths = []
    for number, photo in enumerate(given, 1):
        if isinstance(photo, np.ndarray):
            check_picture(f"source {number}", photo, (3, 4))
            paths.append(folder / f"photo{number}.png")
            save_picture(paths[-1], photo)
        elif isinstance(photo, (str, Path)):
            paths.append(Path(photo))
        else:
            raise SettingError(f"source: expected files or uint8 arrays (H, W, 3), got {type(photo).__name__}.")
    check_inputs("source", paths)
    return paths


def _check_person(name: str, person: object) -> None:
    if not isinstance(person, SourceBank):
        raise SettingError(f"{name}: expected what prepare() returns, got {type(person).__name__}.")


def _files_of(*inputs: Background | Picture | None) -> tuple[Path, ...]:
    """The files among the inputs, with those in folders of pictures; no result may take their place."""
    paths = [Path(given) for given in inputs if isinstance(given, (str, Path))]
    pictures = [find_images(path) for path in paths if path.is_dir()]
    return (*(path for path in paths if path.exists()), *(picture for found in pictures for picture in found))
