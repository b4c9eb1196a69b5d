"""Recorded steps: the same result and the same gradients as steps that Python runs."""

from dataclasses import dataclass, replace

import pytest
import torch

from liquidwarp.geometry.crop import Crop
from liquidwarp.learn.players import Judges
from liquidwarp.personal.lessons import make_lesson
from liquidwarp.personal.recording import Recordings, tensors_of, with_tensors
from liquidwarp.personal.tuner import Tuner

from .conftest import CONFIG

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@dataclass(frozen=True)
class _Inner:
    first: torch.Tensor
    name: str


@dataclass(frozen=True)
class _Outer:
    inner: _Inner
    pair: tuple[torch.Tensor, None]


def test_tensors_are_found_and_replaced_in_nested_values():
    value = _Outer(_Inner(torch.zeros(2), "a"), (torch.ones(3), None))
    assert [len(tensor) for tensor in tensors_of(value)] == [2, 3]
    other = with_tensors(value, [torch.full((2,), 5.0), torch.full((3,), 6.0)])
    assert float(other.inner.first[0]) == 5
    assert float(other.pair[0][0]) == 6
    assert (other.inner.name, other.pair[1]) == ("a", None)


def test_a_cpu_always_does_the_work():
    calls = []

    def work(value, kind):
        calls.append(kind)
        return value.inner.first.sum()

    played = Recordings(work, torch.device("cpu"))
    for number in range(3):
        value = _Outer(_Inner(torch.full((2,), float(number)), "a"), (torch.ones(3), None))
        assert float(played(value, "kind")) == 2 * number
    assert calls == ["kind"] * 3


def test_work_that_cannot_be_recorded_is_done_as_usual_and_told(monkeypatch, caplog):
    played = Recordings(lambda value, kind: value.sum(), torch.device("cpu"))
    played.plays = True

    def refuse(*_):
        raise RuntimeError("no graphs here")

    monkeypatch.setattr(played, "_record", refuse)
    assert [float(played(torch.full((2,), float(number)), "kind")) for number in range(4)] == [0, 2, 4, 6]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no graphs here" in caplog.text


@CUDA
def test_what_is_played_is_what_python_would_do():
    weight = torch.nn.Parameter(torch.tensor([2.0, 3.0], device="cuda"))
    weight.grad = torch.zeros_like(weight)
    calls = []

    def work(value, kind):
        calls.append(kind)
        weight.grad.zero_()
        loss = (value.inner.first * weight).square().sum() * (2 if kind == "double" else 1)
        loss.backward()
        return loss.detach()[None]

    played = Recordings(work, torch.device("cuda"))
    for number in range(1, 6):
        for kind, factor in (("single", 1), ("double", 2)):
            value = _Outer(_Inner(torch.full((2,), float(number), device="cuda"), "a"), (weight.detach(), None))
            assert float(played(value, kind)) == pytest.approx(13 * number**2 * factor)
            assert weight.grad.tolist() == pytest.approx([4 * number**2 * factor, 6 * number**2 * factor])
    assert len(calls) == 4, "once as usual and once recorded, of each kind"


@CUDA
@pytest.mark.parametrize("tuned", ["low-rank", "all"])
def test_a_tuner_learns_the_same_from_recorded_steps(person, plain_network, tuned):
    device = torch.device("cuda")
    loss = replace(CONFIG.loss, perceptual=1.0, face=0.5, face_detail=0.5)
    config = replace(CONFIG, tuned=tuned, loss=loss)
    network = type(plain_network)(plain_network.config).to(device)
    network.load_state_dict(plain_network.state_dict())
    windows = [Crop(64, 64, 128, 128), Crop(80, 32, 96, 128), Crop(60, 90, 112, 128)]
    chosen = person.sets[2].get().to(device)
    lessons = [replace(make_lesson(chosen, person.views[0].to(device), w), origin=(2, False)) for w in windows]

    def learned(plays):
        tuner = Tuner(network, config, Judges(config.loss, device, mixed_precision=True), 12, plays)
        history = [tuner.step(lessons[number % 3], number) for number in range(12)]
        if plays:
            assert tuner._played._recorded
        return history

    usual, played = learned(False), learned(True)
    for left, right in zip(usual, played, strict=True):
        assert left.keys() <= right.keys()
        for name, value in right.items():
            assert value == pytest.approx(left.get(name, 0.0), rel=0.05, abs=0.01), name
