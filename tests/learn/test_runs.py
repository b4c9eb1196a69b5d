"""Whole trainings in processes of their own: killed and continued, and two side by side."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

TINY = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from liquidwarp.config import DiscriminatorConfig, GeneratorConfig, LossConfig, TrainConfig
from liquidwarp.learn import train as training
from liquidwarp.learn.boxes import MovingBoxes
from liquidwarp.learn.datasets import TrainingSample

nothing = {name: 0.0 for name in ("perceptual", "face", "face_detail")}
config = dict(
    output=Path(sys.argv[1]), preset="custom", size=32, num_targets=1, log_every=1, eval_batches=1, device="cpu",
    generator=GeneratorConfig(stem_channels=8, channels=(8, 8, 8), num_blocks=1, value_channels=8,
        modulation_channels=8, decoder_convs=1, background_channels=(8, 8, 8, 8), background_blocks=1),
    discriminator=DiscriminatorConfig(channels=8, num_layers=2, face_size=32), data="boxes", warmup_steps=1)
"""
LONG = (
    TINY
    + """
training.train(TrainConfig(**config, people=1, reuse=2, steps=24, save_every_minutes=1e-9, loss=LossConfig(**nothing)))
"""
)
SHARED = (
    TINY
    + """
class Both:
    'In one process: the people of both processes side by side.'
    def samples(self, index):
        first, second = (MovingBoxes(1, 2, 1, 32).samples(2 * index + n)[0] for n in range(2))
        def joined(a, b):
            if isinstance(a, torch.Tensor):
                return torch.cat([a, b])
            if a is None:
                return None
            return type(a)(**{name: joined(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__})
        return [joined(first, second)]

kept = []
class Players(training.Players):
    def __init__(self, *rest):
        super().__init__(*rest)
        kept.append((self, {name: value.clone() for name, value in self.generator.state_dict().items()}))

training.Players = Players
single = sys.argv[2] == "single"
plain = {name: 0.0 for name in LossConfig.__dataclass_fields__ if isinstance(getattr(LossConfig, name), float)}
loss = LossConfig(**{**plain, "reconstruction": 1.0, "mask": 1.0})  # means over pictures of one size may be joined
settings = TrainConfig(**config, people=2 if single else 1, reuse=1, steps=4, loss=loss, single_source_share=0.0)
make = (lambda split: Both()) if single else (lambda split: MovingBoxes(1, 2, 1, 32))
training.train(settings, make_data=make)
players, before = kept[0]
torch.save({"after": players.generator.state_dict(), "before": before}, sys.argv[1] + "_" + sys.argv[2] + ".pt")
"""
)


def start(script: str, *arguments: object, **environment: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def losses(folder: Path) -> dict[int, dict[str, float]]:
    """What was logged of each step; a step that was done again must say the same."""
    found: dict[int, dict[str, float]] = {}
    for line in (folder / "log.jsonl").read_text().splitlines():
        row = json.loads(line)
        for name in ("seconds", "steps_per_second", "waiting", "gigabytes"):
            row.pop(name, None)
        assert found.get(row["step"], row) == row
        found[row["step"]] = row
    return found


def test_a_killed_run_comes_to_the_same_losses(tmp_path: Path) -> None:
    log = tmp_path / "killed" / "log.jsonl"
    for lines in (5, 14):
        process = start(LONG, tmp_path / "killed")
        while not log.exists() or len(log.read_text().splitlines()) < lines:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        process.kill()
        process.communicate()
    assert not (tmp_path / "killed" / "report.json").exists()
    for name in ("killed", "whole"):
        process = start(LONG, tmp_path / name)
        assert process.communicate()[1] is not None
        assert process.returncode == 0
    killed, whole = losses(tmp_path / "killed"), losses(tmp_path / "whole")
    assert sorted(whole) == list(range(1, 25))
    assert killed == whole
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("killed", "whole")]
    assert reports[0]["scores"] == reports[1]["scores"]


def test_two_processes_learn_what_one_learns_of_both_their_people(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    running = [start(SHARED, tmp_path / "run", rank, RANK=str(rank), LOCAL_RANK=str(rank), **shared) for rank in (0, 1)]
    running.append(start(SHARED, tmp_path / "run_alone", "single"))
    for process in running:
        message = process.communicate(timeout=300)[1]
        assert process.returncode == 0, message.decode()[-2000:]
    first, second, alone = (
        torch.load(tmp_path / name, weights_only=True) for name in ("run_0.pt", "run_1.pt", "run_alone_single.pt")
    )
    for name, value in first["after"].items():
        assert torch.equal(value, second["after"][name]), name
        assert torch.equal(first["before"][name], alone["before"][name])
    moved, apart = (
        sum(float((first["after"][name] - other[name]).abs().sum()) for name in other)
        for other in (first["before"], alone["after"])
    )
    assert moved > 0
    assert apart < 0.02 * moved
