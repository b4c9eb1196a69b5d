"""Which lesson each step of personalisation learns, and whose.

A GPU plays a recorded step in a third of the time in which Python draws a lesson, so there each lesson comes several
times, not at once but in rounds. What comes again is kept.
"""

from collections.abc import Sequence

import torch

from liquidwarp.personal.lessons import Lesson, chance_of_step, draw_lesson
from liquidwarp.personal.material import FIRST_LESSONS, PLANS, Material
from liquidwarp.personal_config import PersonalizeConfig

__all__ = ["Curriculum", "repeats_on", "window_of"]

_ROUND = 64
"""Lessons that are learned in turn before they come again: 1.3 GB at 512 px with four photos."""
_ON_GPU = 4
"""How often a lesson is learned on CUDA, where steps are recorded."""


def repeats_on(device: torch.device, config: PersonalizeConfig) -> int:
    """How often each lesson is learned there.

    Args:
        device: Where it is learned.
        config: May demand a number.
    """
    return config.repeats or (_ON_GPU if device.type == "cuda" else 1)


def window_of(quality: str, size: int) -> int:
    """Side of the pictures that are drawn in a step [px].

    Args:
        quality: A name of :data:`~liquidwarp.personal.material.PLANS`.
        size: The working size [px].
    """
    return max(32, 8 * round(PLANS[quality].window * size / 8))


class Curriculum:
    """The lessons of all steps, for one person or several in turn.

    Step by step the same lessons come from the same settings, wherever a run begins: what is not there any more is
    drawn again.
    """

    def __init__(self, people: Sequence[Material], size: int, config: PersonalizeConfig, repeats: int) -> None:
        """Nothing is drawn yet.

        Args:
            people: Who is learned, in turn.
            size: The working size [px].
            config: Quality, seed, whether lessons are made harder.
            repeats: How often each lesson is learned.
        """
        self._people, self._size, self._config, self._repeats = people, size, config, repeats
        self._window = window_of(config.quality, size)
        self._kept: dict[int, Lesson] = {}

    def number(self, step: int) -> int:
        """Which lesson a step learns."""
        done, within = divmod(step, _ROUND * self._repeats)
        return done * _ROUND + within % _ROUND

    def person(self, step: int) -> int:
        """Whose lesson it is."""
        return self.number(step) % len(self._people)

    def lesson(self, step: int) -> Lesson:
        """What a step learns."""
        number = self.number(step)
        if number not in self._kept:
            if number % _ROUND == 0:
                self._kept.clear()
            made = self._draw(number)
            if self._repeats == 1:
                return made
            self._kept[number] = made
        return self._kept[number]

    def _draw(self, number: int) -> Lesson:
        person, chance = self._people[number % len(self._people)], chance_of_step(self._config.seed, number)
        first = number < FIRST_LESSONS
        return draw_lesson(person.sets, person.views, self._size, self._window, chance, self._config.harder, first)
