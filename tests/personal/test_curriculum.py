"""Lessons come again in rounds, and the same ones wherever a run begins."""

from dataclasses import replace

import pytest
import torch

from liquidwarp.personal import curriculum
from liquidwarp.personal.curriculum import Curriculum, repeats_on

from .conftest import CONFIG

SIZE = 256


@pytest.fixture
def drawn(monkeypatch):
    """Numbers of the lessons that were drawn, in their order; rounds of three."""
    numbers = []
    usual = Curriculum._draw

    def noted(self, number):
        numbers.append(number)
        return usual(self, number)

    monkeypatch.setattr(Curriculum, "_draw", noted)
    monkeypatch.setattr(curriculum, "_ROUND", 3)
    return numbers


def test_each_lesson_is_drawn_once_and_learned_in_rounds(person, drawn):
    learned = Curriculum([person], SIZE, CONFIG, repeats=2)
    lessons = [learned.lesson(step) for step in range(8)]
    assert drawn == [0, 1, 2, 3, 4]
    assert [learned.number(step) for step in range(8)] == [0, 1, 2, 0, 1, 2, 3, 4]
    assert lessons[3] is lessons[0]
    assert lessons[5] is lessons[2]
    assert not torch.equal(lessons[6].images, lessons[0].images)


def test_once_is_a_new_lesson_for_each_step(person, drawn):
    learned = Curriculum([person], SIZE, CONFIG, repeats=1)
    for step in range(5):
        learned.lesson(step)
    assert drawn == [0, 1, 2, 3, 4]
    assert not learned._kept, "what does not come again is not kept"


def test_a_run_that_goes_on_learns_the_same(person, drawn):
    usual = Curriculum([person], SIZE, CONFIG, repeats=2)
    expected = [usual.lesson(step).images for step in range(8)]
    resumed = Curriculum([person], SIZE, CONFIG, repeats=2)
    for step in range(4, 8):
        assert torch.equal(resumed.lesson(step).images, expected[step])


def test_people_come_in_turn(person, drawn):
    learned = Curriculum([person, person], SIZE, CONFIG, repeats=2)
    assert [learned.person(step) for step in range(8)] == [0, 1, 0, 0, 1, 0, 1, 0]


def test_only_a_gpu_repeats_unless_it_is_demanded():
    assert repeats_on(torch.device("cpu"), CONFIG) == 1
    assert repeats_on(torch.device("cuda"), CONFIG) == 4
    assert repeats_on(torch.device("cpu"), replace(CONFIG, repeats=2)) == 2
