"""What several commands take: people, effects and who wears what, as they are typed. Imports nothing heavy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from liquidwarp.effects import Effects
from liquidwarp.errors import SettingError
from liquidwarp.recover.detection.choice import PersonChoice, parse_choice

__all__ = [
    "Device",
    "Ending",
    "Giver",
    "Making",
    "Quality",
    "Size",
    "parse_effects",
    "parse_people",
    "parse_wear",
]

Device = str
Size = Literal[256, 512, 1024]
Ending = Literal["loop", "hold"]
Quality = Literal["draft", "good", "best"]


@dataclass(frozen=True, kw_only=True)
class Making:
    """What the commands that make pictures of a person have in common."""

    shape: str | None = None
    """Another body: height=+5cm,weight=+10%. "help" lists what can be changed."""
    size: Size = 512
    """Side of the square in which the person is rendered [px]; smaller is faster."""
    renderer: str = "auto"
    """lite or base: a bundled network. texture: the photos, warped. Or a folder with a trained network's weights.
    auto: the bundled network that suits the device, or texture if none is bundled."""
    person: tuple[str, ...] = ("largest",)
    """Who, if there are several people in the sources: 1, 2, 3... from large to small, or a point "x,y" [px];
    one choice for all photos, or one for each."""
    background: str | None = None
    """What stands behind the person instead: an image, a video, a colour (white, "#00b140"), or transparent (then --out
    is a .mov, a .webm, a folder, or a .png of one picture)."""
    background_end: Ending = "loop"
    """A video as background begins again at its end (loop), or stands still (hold)."""
    shadow: bool = True
    """Paint a soft shadow where the feet touch the ground."""
    temporal: bool = False
    """Let the network attend to the frame before as well (the paper's temporal attention). Twice as slow, for a few
    per cent less flicker."""
    personalize: bool = False
    """Tune the network to the person first (minutes; kept for the next run). See `liquidwarp personalize`."""
    quality: Quality = "good"
    """With --personalize: draft, good or best."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    resume: bool = True
    """Go on where an interrupted run with the same inputs and settings stopped."""
    cache: bool = True
    """Keep what was found in photos and videos for the next run (see `liquidwarp doctor` for the folder)."""


def parse_people(texts: Sequence[str]) -> list[PersonChoice]:
    """Who is meant, in each photo or in all.

    Raises:
        SettingError: not understood.
    """
    if not texts:
        raise SettingError('person: expected "largest", a number from 1 on, or "x,y" in pixels; got nothing.')
    return [parse_choice(text) for text in texts]


def parse_effects(views: str | None, bullet_time: Sequence[str]) -> Effects:
    """Sides to be seen from, and where time stands still.

    Example:
        >>> parse_effects("0,90", ["30:180"])
        Effects(views=(0.0, 90.0), bullet_time=((30, 180),))

    Raises:
        SettingError: not understood.
    """
    try:
        sides = () if views is None else tuple(float(angle) for angle in views.split(","))
    except ValueError:
        raise SettingError(f"views: expected degrees such as 0,90,180,270, got {views!r}.") from None
    stops = []
    for text in bullet_time:
        if not re.fullmatch(r"\d+:\d+", text, re.ASCII):
            raise SettingError(f"bullet_time: expected FRAME:FRAMES such as 30:180, got {text!r}.")
        frame, frames = text.split(":")
        stops.append((int(frame), int(frames)))
    return Effects(sides, tuple(stops))


@dataclass(frozen=True)
class Giver:
    """Somebody who gives parts."""

    paths: tuple[Path, ...]
    """Their photos."""
    person: PersonChoice = None
    """Who in them."""


def parse_wear(texts: Sequence[str]) -> list[tuple[Giver, str]]:
    """Who gives what: a giver for each part.

    Example:
        >>> parse_wear(["bob.jpg:upper", "carol.jpg#2:lower,feet"])[2]
        (Giver(paths=(PosixPath('carol.jpg'),), person=2), 'feet')

    Raises:
        SettingError: not FILE:PARTS.
        MediaError: no such file.
    """
    pairs = []
    for text in texts:
        file, _, parts = text.rpartition(":")
        names = [name.strip() for name in parts.split(",")]
        if not file or not all(names):
            raise SettingError(f"wear: expected FILE:PARTS such as bob.jpg:upper,feet, got {text!r}.")
        file, person = (file, None) if Path(file).exists() else _person_in(file)
        paths = (Path(file),) if Path(file).exists() else tuple(Path(one) for one in file.split(","))
        pairs += [(Giver(paths, person), name) for name in names]
    return pairs


def _person_in(file: str) -> tuple[str, PersonChoice]:
    """FILE#2 or FILE#640,360: the second largest person, or the one at that place [px]."""
    name, mark, who = file.rpartition("#")
    return (name, parse_choice(who, "wear")) if mark and re.match(r"[\d.,]", who) else (file, None)
