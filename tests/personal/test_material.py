"""Lessons that are prepared while learning goes on are those that are prepared before it."""

import os
import signal
import threading
from dataclasses import fields

import pytest
import torch

from liquidwarp.personal.background_work import Later, begin, begin_in_processes, can_fork, spare_threads
from liquidwarp.personal.lessons import PlannedSet, chance_of_step, choose_set, draw_lesson
from liquidwarp.personal.material import _by_first_use, prepare_material

from .conftest import CONFIG, SYNTHESIS, shorten


def tensors(value):
    """All tensors of a dataclass, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif hasattr(value, "__dataclass_fields__"):
        for field in fields(value):
            yield from tensors(getattr(value, field.name))


@pytest.fixture(scope="module")
def both_ways(demo_photos, anny):
    """The demo's two photos, prepared by three threads and before; sums of many threads have another order."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        allowed = torch.get_num_threads()
        torch.set_num_threads(1)
        yield tuple(prepare_material(demo_photos, anny, SYNTHESIS, CONFIG, threads=count) for count in (3, 0))
        torch.set_num_threads(allowed)


def test_threads_prepare_the_same_sets(both_ways):
    meanwhile, person = both_ways
    assert len(meanwhile.sets) == len(person.sets) == 4, "two left out, one disturbed, one turned; all is for the rest"
    for late, plain in zip(meanwhile.sets, person.sets, strict=True):
        assert isinstance(late, PlannedSet)
        assert (late.targets, late.weight) == (plain.targets, plain.weight)
        found, expected = list(tensors(late.get())), list(tensors(plain))
        assert len(found) == len(expected) > 10
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_exam_and_the_lessons_are_the_same(both_ways):
    meanwhile, person = both_ways

    def drawn(each, seed):
        return draw_lesson(each.sets, each.views, 256, 96, torch.Generator().manual_seed(seed))

    pairs = [(meanwhile.exam[0], person.exam[0])]
    pairs += [(drawn(meanwhile, seed), drawn(person, seed)) for seed in range(4)]
    for a, b in pairs:
        assert all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))


def test_values_may_ask_for_earlier_ones_and_are_made_once():
    made = []

    def make(number, needed=None):
        made.append(number)
        return number + (needed.get() if needed else 0)

    first = Later(lambda: make(1))
    rest = [Later(lambda n=n: make(10 * n, first)) for n in range(1, 6)]
    begin([first, *rest], 4)
    assert [each.get() for each in (first, *rest)] == [1, 11, 21, 31, 41, 51]
    assert sorted(made) == [1, 10, 20, 30, 40, 50]
    alone = Later(lambda: make(7))
    begin([alone], 0)
    assert 7 not in made
    assert (alone.get(), alone.get(), made.count(7)) == (7, 7, 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_values_may_ask_for_later_ones(threads):
    made, found = [], []
    last = Later(lambda: made.append("last") or 5)
    first = [Later(lambda n=n: last.get() + n) for n in range(3)]
    begin([*first, last], threads)
    asking = threading.Thread(target=lambda: found.extend(each.get() for each in (*first, last)), daemon=True)
    asking.start()
    asking.join(10)
    assert found == [5, 6, 7, 5], "they must not wait for each other for ever"
    assert made == ["last"]


def test_an_error_comes_to_whoever_asks():
    def fail():
        raise ValueError("no")

    failing = Later(fail)
    begin([failing], 1)
    with pytest.raises(ValueError, match="no"):
        failing.get()


def test_threads_of_the_learning_stay_as_they_were(monkeypatch):
    before, seen = torch.get_num_threads(), []
    value = Later(lambda: seen.append((torch.get_num_threads(), threading.current_thread().name)))
    begin([value], 1)
    value.get()
    assert seen[0][0] == 1
    assert seen[0][1].startswith("lessons")
    assert torch.get_num_threads() == before
    for allowed, spare in ((1, (0, 0)), (2, (0, 2)), (16, (8, 8))):
        monkeypatch.setattr(torch, "get_num_threads", lambda allowed=allowed: allowed)
        assert (spare_threads("cpu"), spare_threads("cuda")) == spare


def test_sets_that_learning_needs_first_are_prepared_first():
    planned = [PlannedSet(Later(lambda: None), (), weight) for weight in (1.0, 0.0, 4.0, 2.0, 1e-9)]
    ordered = _by_first_use(planned, seed=5)
    assert sorted(map(id, ordered)) == sorted(map(id, planned))
    used = [each for each in planned if each.weight > 0]
    first = [used[choose_set(used, chance_of_step(5, step))] for step in range(20)]
    assert ordered[0] is first[0]
    assert [id(each) for each in ordered[:3]] == list(dict.fromkeys(map(id, first)))
    assert ordered[3] is planned[1], "what nothing is drawn from by then stays in order"


def test_learning_begins_without_sets_that_wait_for_others():
    planned = [PlannedSet(Later(lambda: None), (), weight, late) for weight, late in ((1.0, False), (50.0, True))]
    chances = [torch.Generator().manual_seed(number) for number in range(20)]
    assert {choose_set(planned, each, first=True) for each in chances} == {0}
    assert 1 in {choose_set(planned, each) for each in chances}
    assert choose_set(planned[1:], chances[0], first=True) == 0, "where there is nothing else"


def test_the_turned_sets_are_the_late_ones(person):
    late = {number for number, each in enumerate(person.sets) if each.later_than_others}
    assert late == {len(person.sets) - 1}
    begun = {choose_set(person.sets, chance_of_step(0, number), first=True) for number in range(40)}
    assert begun == set(range(len(person.sets))) - late


def test_it_is_told_that_one_photo_teaches_little(lone_person, person):
    assert any("One photo" in note for note in lone_person.notes)
    assert not any("One photo" in note for note in person.notes)


def test_the_exam_of_one_photo_asks_for_it_from_both_sides(lone_person):
    """From itself it could be copied, by chance with hidden parts that are all that counts."""
    first, second = lone_person.exam
    assert torch.equal(first.judged, second.judged)
    assert 0 < float(first.judged.mean()) < 0.2
    sides = []
    for lesson in (first, second):
        names, shown = lesson.sources.conditions[0, 0, :3], lesson.sources.conditions[0, 0, 6] > 0
        sides.append(float(names[0][shown].mean()))  # of the points that are seen, to the person's left
        apart = (lesson.targets.texture - lesson.images).abs().mean(2, keepdim=True)
        assert float(apart[lesson.judged > 0.5].mean()) > 0.02, "not the photo itself"
    assert min(sides) < -0.02 < 0.02 < max(sides)


@pytest.mark.skipif(not can_fork(), reason="processes are forked on Linux only")
class TestProcesses:
    """What prepares for a GPU. There is none here: where values arrive is counted instead."""

    def test_they_prepare_the_same_sets(self, demo_photos, anny, monkeypatch, both_ways):
        shorten(monkeypatch)

        def forked(values, threads):
            begin_in_processes(values, threads, shared=(anny,))

        monkeypatch.setattr("liquidwarp.personal.material.begin", forked)
        meanwhile = prepare_material(demo_photos, anny, SYNTHESIS, CONFIG, threads=2)
        for late, plain in zip(meanwhile.sets, both_ways[1].sets, strict=True):
            assert isinstance(late, PlannedSet)
            found, expected = list(tensors(late.get())), list(tensors(plain))
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
            body = late.get().sources.model
            assert body.lbs_weights.data_ptr() == anny.lbs_weights.data_ptr(), "the body is not sent back"

    def test_values_are_made_elsewhere_and_arrive_here_once(self):
        arrived, here = [], os.getpid()

        def arrive(value):
            assert os.getpid() == here, "there is no GPU in the other process"
            arrived.append(value)
            return value

        first = Later(lambda: (os.getpid(), torch.get_num_threads()), arrive)
        second = Later(lambda: (*first.get(), "asked"), arrive)
        begin_in_processes([first, second], 2)
        process, threads = first.get()
        assert process != here
        assert threads == 1
        assert second.get()[0] != here
        assert second.get()[-1] == "asked"
        assert arrived == [first.get(), second.get()]

    def test_an_error_comes_to_whoever_asks(self):
        def fail():
            raise ValueError("no")

        failing = Later(fail)
        begin_in_processes([failing], 1)
        with pytest.raises(ValueError, match="no"):
            failing.get()

    def test_a_killed_process_is_told_and_its_work_done_here(self, caplog):
        here = os.getpid()
        killed = Later(lambda: os.getpid() if os.getpid() == here else os.kill(os.getpid(), signal.SIGKILL))
        begin_in_processes([killed], 1)
        assert killed.get() == here
        assert "ended" in caplog.text
