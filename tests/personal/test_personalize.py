"""Learning helps, never harms, can be repeated, stopped and gone on with."""

import copy
from dataclasses import replace

import pytest
import torch

from liquidwarp.errors import WeightsCorruptError
from liquidwarp.geometry.crop import Crop
from liquidwarp.learn.players import Judges
from liquidwarp.personal.exam import Marks
from liquidwarp.personal.lessons import make_lesson, prepare_set
from liquidwarp.personal.personalize import Moment, estimate_seconds, personalise
from liquidwarp.personal.tuner import Tuner

from .conftest import CONFIG, SYNTHESIS

SIZE = 256


def same(first, second):
    return set(first.change.tensors) == set(second.change.tensors) and all(
        torch.equal(tensor, second.change.tensors[name]) for name, tensor in first.change.tensors.items()
    )


def test_the_loss_of_a_lesson_falls(person, plain_network):
    config = replace(CONFIG, learning_rate=3e-3)
    tuner = Tuner(plain_network, config, Judges(config.loss, torch.device("cpu")), steps=30)
    lesson = make_lesson(person.sets[2], person.views[0], Crop(64, 64, 128, 128))

    def loss():
        with torch.no_grad():
            return float(tuner.judge(lesson, 0, listens=False)[0])

    before = loss()
    for number in range(25):
        tuner.step(lesson, number)
    assert loss() < 0.9 * before


@pytest.mark.parametrize("tuned", ["transfer", "all", "decoder", "low-rank"])
def test_the_exam_gets_better(person, plain_network, tuned):
    result = personalise([person], plain_network, SIZE, replace(CONFIG, steps=12, patience=9, tuned=tuned))
    assert result.score < 0.99
    assert result.change.tensors


def test_it_never_ends_worse_than_it_began(person, plain_network):
    result = personalise([person], plain_network, SIZE, replace(CONFIG, learning_rate=3.0))
    assert min(score for _, score in result.history) > 1, "such steps ruin the network"
    assert result.score == 1
    assert result.change.tensors == {}
    assert result.keeps_photos


def test_the_same_seed_gives_the_same_weights(person, plain_network, whole_run):
    again = personalise([person], plain_network, SIZE, CONFIG)
    assert again.history == whole_run.history
    assert same(again, whole_run)
    other = personalise([person], plain_network, SIZE, replace(CONFIG, seed=1))
    assert not same(other, whole_run)


class KilledError(Exception):
    pass


def test_killed_and_resumed_equals_uninterrupted(person, plain_network, whole_run, tmp_path):
    def kill(moment: Moment) -> None:
        if moment.step == 3:
            raise KilledError

    path = tmp_path / "progress.safetensors"
    with pytest.raises(KilledError):
        personalise([person], plain_network, SIZE, CONFIG, checkpoint=path, watch=kill)
    seen = []
    resumed = personalise([person], plain_network, SIZE, CONFIG, checkpoint=path, watch=lambda m: seen.append(m.step))
    assert seen[0] == 3, "step 2 was the last that was kept"
    assert resumed.history == whole_run.history
    assert same(resumed, whole_run)


def test_progress_of_other_settings_is_refused(person, plain_network, tmp_path):
    path = tmp_path / "progress.safetensors"
    personalise([person], plain_network, SIZE, replace(CONFIG, steps=2), checkpoint=path)
    with pytest.raises(WeightsCorruptError, match="other settings"):
        personalise([person], plain_network, SIZE, replace(CONFIG, tuned="decoder"), checkpoint=path)


def test_cancel_keeps_the_best_so_far(person, plain_network):
    def cancel(moment: Moment) -> None:
        if moment.step == 3:
            raise KeyboardInterrupt

    result = personalise([person], plain_network, SIZE, CONFIG, watch=cancel)
    assert not result.finished
    assert result.steps == 3
    assert 1 - result.score >= 0.7 * (1 - min(1.0, *(score for _, score in result.history)))


def test_it_stops_when_the_network_is_ruined(person, plain_network):
    result = personalise([person], plain_network, SIZE, replace(CONFIG, steps=40, learning_rate=3.0, patience=2))
    assert result.finished
    assert result.steps == 4


def test_what_is_a_little_worse_at_first_learns_on(person, plain_network, monkeypatch):
    marks = iter([1.0, 1.03, 1.02, 1.04, 0.97])
    monkeypatch.setattr("liquidwarp.personal.personalize._Board.marks", lambda *_: (Marks(next(marks), 1.0),) * 2)
    monkeypatch.setattr(Marks, "relative_to", lambda self, start: self.perceptual / start.perceptual)
    result = personalise([person], plain_network, SIZE, replace(CONFIG, steps=8, patience=2))
    assert (result.best_step, result.score) == (8, 0.97)


def test_of_networks_about_as_good_the_one_that_learned_longest_is_kept(person, plain_network, monkeypatch):
    marks = iter([1.0, 0.90, 0.92, 0.99, 0.925])
    monkeypatch.setattr("liquidwarp.personal.personalize._Board.marks", lambda *_: (Marks(next(marks), 1.0),) * 2)
    monkeypatch.setattr(Marks, "relative_to", lambda self, start: self.perceptual / start.perceptual)
    result = personalise([person], plain_network, SIZE, replace(CONFIG, steps=8))
    assert [score for _, score in result.history] == [0.90, 0.92, 0.99, 0.925]
    assert (result.best_step, result.score) == (8, 0.925)


def test_half_of_what_one_photo_taught_is_kept(lone_person, plain_network, monkeypatch):
    def learned():
        marks = iter([1.0, 0.9, 0.8])
        monkeypatch.setattr("liquidwarp.personal.personalize._Board.marks", lambda *_: (Marks(next(marks), 1.0),) * 2)
        result = personalise([lone_person], plain_network, SIZE, CONFIG)
        assert (result.best_step, result.keeps_photos) == (4, False)
        return result.change.dense()

    kept = learned()
    monkeypatch.setattr("liquidwarp.personal.personalize._LONE_SHARE", 1.0)
    whole = learned()
    assert set(kept) == set(whole)
    for name, change in whole.items():
        torch.testing.assert_close(kept[name], change / 2, atol=2e-6, rtol=2e-3)


def test_all_is_kept_of_what_several_photos_taught(person, whole_run, plain_network, monkeypatch):
    monkeypatch.setattr("liquidwarp.personal.personalize._LONE_SHARE", 0.1)
    assert same(personalise([person], plain_network, SIZE, CONFIG), whole_run)


@pytest.mark.parametrize(("drawn", "mixed", "keeps"), [(0.9, 0.5, False), (1.1, 0.5, True)])
def test_a_tuned_network_is_mixed_as_before_only_if_else_it_is_no_better(
    person, plain_network, monkeypatch, drawn, mixed, keeps
):
    """The exam's patches prefer the mixture now and then; frames that were never seen never did."""
    marks = iter([(1.0, 1.0), (drawn, mixed), (drawn, mixed)])
    monkeypatch.setattr(
        "liquidwarp.personal.personalize._Board.marks", lambda *_: tuple(Marks(mark, 1.0) for mark in next(marks))
    )
    result = personalise([person], plain_network, SIZE, CONFIG)
    assert result.keeps_photos == keeps
    assert result.score == pytest.approx(0.9 * (mixed if keeps else drawn) + 0.1)


def test_previews_show_source_before_now_and_truth(person, plain_network):
    pictures = []
    personalise([person], plain_network, SIZE, replace(CONFIG, steps=2), watch=lambda m: pictures.append(m.preview))
    assert pictures[0] is None
    assert pictures[1].shape == (3, 2 * SIZE, 4 * SIZE)
    torch.testing.assert_close(pictures[1][:, :SIZE, 3 * SIZE :], person.exam[0].images[0, 0])


def test_several_people_share_one_network(person, plain_network):
    result = personalise([person, person], plain_network, SIZE, replace(CONFIG, steps=4))
    assert result.change.tensors


def test_times_are_told_for_every_quality(person, plain_network):
    times = estimate_seconds([person], plain_network, SIZE, CONFIG)
    assert set(times) == {"draft", "good", "best"}
    assert all(time > 0 for time in times.values())


def test_a_print_that_the_network_blurs_comes_back(person, plain_network, anny):
    """Red beside blue on the chest, and a network that takes nothing over from the warped photo: before, it is grey."""
    view = person.views[0]
    middle, top = int(view.head[[0, 2]].mean()), int(view.head[3]) + 12
    image = view.image.clone()
    image[:, top : top + 30, middle - 18 : middle] = torch.tensor([0.9, 0.1, 0.1])[:, None, None]
    image[:, top : top + 30, middle : middle + 18] = torch.tensor([0.1, 0.1, 0.9])[:, None, None]
    printed = replace(view, image=image, judged=torch.ones_like(view.judged))
    sources = prepare_set([printed], anny, SYNTHESIS, [0], torch.Generator().manual_seed(2))
    lesson = make_lesson(sources, printed, Crop(middle - 48, top - 32, 96, 96))
    blurring = copy.deepcopy(plain_network)
    blurring.transfer_net.heads.bias[4] = -12.0  # the gate to the warped texture is shut

    def redness(picture):
        """How much redder the left half is than the right one, on the front of the chest."""
        red = (picture[0, 0] - picture[0, 2])[36:58]
        return float(red[:, 32:46].mean() - red[:, 50:64].mean())

    tuner = Tuner(blurring, replace(CONFIG, learning_rate=5e-3), Judges(CONFIG.loss, torch.device("cpu")), steps=60)

    def drawn():
        with torch.no_grad():
            return redness(tuner.judge(lesson, 0, listens=False)[2])

    true, before = redness(lesson.images[0]), drawn()
    assert true > 1.2
    assert before < 0.2 * true
    for number in range(60):
        tuner.step(lesson, number)
    assert drawn() > 0.6 * true
