"""Which of the people in a picture is meant. Imports no network, so that the command line can read choices."""

import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from liquidwarp.errors import NoPersonFoundError, SettingError

__all__ = ["PersonChoice", "check_choice", "choices_of_pictures", "choose_person", "parse_choice"]

PersonChoice = int | tuple[float, float] | None
"""Whom to take: None the largest person; N the N-th by size (1 = the largest); (x, y) the one at this place [px]."""


@runtime_checkable
class Placed(Protocol):
    """Somebody with a place in the picture."""

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom [px]."""
        ...

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the extent [px]."""
        ...

    @property
    def height(self) -> float:
        """The longer side of the extent [px]."""
        ...


_Placed = TypeVar("_Placed", bound=Placed)


def parse_choice(text: str, name: str = "person") -> PersonChoice:
    """Read a choice of person: "largest", a number from 1 on (by size), or "x,y" (a place on the person [px]).

    Args:
        text: What the user wrote.
        name: The option, for the message.

    Raises:
        SettingError: neither of these.

    Example:
        >>> parse_choice("2"), parse_choice("640,360")
        (2, (640.0, 360.0))
    """
    if text == "largest":
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 2 and all(map(math.isfinite, numbers)):
        return numbers[0], numbers[1]
    if len(numbers) == 1 and numbers[0] >= 1 and numbers[0].is_integer():
        return int(numbers[0])
    raise SettingError(f'{name}: expected "largest", a number from 1 on, or "x,y" in pixels; got {text!r}.')


def check_choice(choice: Any, name: str = "person") -> None:
    """Check who was chosen in Python.

    Args:
        choice: None, a number from 1 on, or a place (x, y) [px].
        name: The argument, for the message.

    Raises:
        SettingError: none of these.
    """
    number = isinstance(choice, int) and not isinstance(choice, bool) and choice >= 1
    place = isinstance(choice, tuple) and len(choice) == 2 and all(isinstance(part, (int, float)) for part in choice)
    if not (choice is None or number or (place and all(map(math.isfinite, choice)))):
        raise SettingError(f"{name}: expected None, a number from 1 on, or a place (x, y) in pixels; got {choice!r}.")


def choices_of_pictures(person: PersonChoice | list[PersonChoice], count: int) -> list[PersonChoice]:
    """One choice for each of ``count`` photos, or of one video.

    Args:
        person: One choice for all of them, or a list with one for each.
        count: How many.

    Raises:
        SettingError: a list of another length.
    """
    if not isinstance(person, list):
        return [person] * count
    if len(person) == 1:
        return person * count
    if len(person) != count:
        raise SettingError(
            f"person: expected one choice for all pictures, or {count} choices as there are {count} pictures; "
            f"got {len(person)}. Give them in the order of the pictures."
        )
    return person


def choose_person(people: Sequence[_Placed], choice: PersonChoice, min_height: float) -> _Placed:
    """Pick one of the people in a picture.

    Args:
        people: All of them, largest first.
        choice: Whom to take.
        min_height: Smaller people [px] cannot be recovered.

    Raises:
        NoPersonFoundError: nobody is there, not as many as asked for, nobody at the place, or the person is too small.
    """
    if not people:
        raise NoPersonFoundError(
            "expected a person, found nobody. The whole body should be in view, not too dark and not too small. If "
            "somebody is there all the same, give a place x,y on the person."
        )
    if choice is None:
        chosen = people[0]
    elif isinstance(choice, int):
        if choice > len(people):
            numbers = f"a number from 1 (the largest) to {len(people)}" if len(people) > 1 else "1"
            raise NoPersonFoundError(
                f"expected person {choice}, found {_people(len(people))}. Choose {numbers}, or give a place x,y on the "
                "person."
            )
        chosen = people[choice - 1]
    else:
        there = [person for person in people if _distance(person, choice) == 0]
        if not there:
            places = ", ".join(f"({x:.0f}, {y:.0f})" for x, y in (person.centre for person in people))
            raise NoPersonFoundError(
                f"expected a person at ({choice[0]:g}, {choice[1]:g}) px, found {_people(len(people))} at {places}. "
                "Give a place inside of the person."
            )
        chosen = min(there, key=lambda person: math.dist(person.centre, choice))
    if chosen.height < min_height:
        raise NoPersonFoundError(
            f"expected a person at least {min_height:g} px high, found one of {chosen.height:.0f} px. Use a picture or "
            "video with more pixels, or cut the person out and enlarge it."
        )
    return chosen


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _distance(person: Placed, place: tuple[float, float]) -> float:
    """From a place to the person's box, a little enlarged: the landmarks end at eyes and ankles [px]."""
    left, top, right, bottom = person.extent
    margin = 0.08 * person.height
    across = max(left - margin - place[0], 0.0, place[0] - right - margin)
    down = max(top - margin - place[1], 0.0, place[1] - bottom - margin)
    return math.hypot(across, down)
