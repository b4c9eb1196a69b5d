import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from liquidwarp.config import DiscriminatorConfig, GeneratorConfig, LossConfig, TrainConfig
from liquidwarp.errors import SettingError, WeightsCorruptError, WeightsNotFoundError
from liquidwarp.gan.features import Vgg19Features
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.losses import continued
from liquidwarp.gan.pretrained import load_discriminators, load_generator
from liquidwarp.geometry.warp import Flow
from liquidwarp.learn.boxes import MovingBoxes
from liquidwarp.learn.checkpoint import Position, load_checkpoint
from liquidwarp.learn.datasets import TrainingSample
from liquidwarp.learn.log import TrainingLog
from liquidwarp.learn.players import Judges, Pace, Players
from liquidwarp.learn.report import write_png
from liquidwarp.learn.settings import read_overrides
from liquidwarp.learn.train import train
from liquidwarp.weights import load_tensors

TINY = GeneratorConfig(
    stem_channels=8,
    channels=(16, 16, 16),
    num_blocks=1,
    value_channels=16,
    modulation_channels=16,
    decoder_convs=1,
    background_channels=(8, 8, 8, 8),
    background_blocks=1,
)
PLAIN = LossConfig(perceptual=0.0, face=0.0, face_detail=0.0)


def tiny_run(output: Path, **changes: object) -> TrainConfig:
    config = TrainConfig(
        output=output,
        preset="custom",
        generator=TINY,
        discriminator=DiscriminatorConfig(channels=8, num_layers=2, face_size=32),
        loss=PLAIN,
        steps=8,
        size=32,
        people=2,
        reuse=2,
        warmup_steps=2,
        log_every=1,
        eval_batches=1,
        device="cpu",
        data="boxes",
    )
    return replace(config, **changes)


def test_loss_falls_on_one_sample():
    torch.manual_seed(0)
    players = Players(
        TINY, DiscriminatorConfig(channels=8, num_layers=2), Judges(PLAIN, torch.device("cpu")), torch.device("cpu")
    )
    sample = MovingBoxes(2, 2, 1, 32).samples(0)[0]
    totals = []
    for step in range(40):
        pace = Pace(step, 0.0, 2e-3, 5, 0.5, 2.0, 0.9)
        totals.append(players.step(sample, pace)["total"].item())
    assert sum(totals[-5:]) < 0.5 * sum(totals[:5])


def test_colours_are_judged_a_little_beyond_the_outline():
    """Garbage there costs, farther away it does not: only so far pictures are drawn with other outlines."""
    device = torch.device("cpu")
    players = Players(TINY, DiscriminatorConfig(channels=8, num_layers=2), Judges(PLAIN, device), device)
    sample = MovingBoxes(1, 2, 1, 64).samples(0)[0]
    with torch.no_grad():
        synthesis, _ = players.generator(sample.sources, sample.targets)
    colours, _ = continued(sample.images, sample.mattes)
    assert synthesis.invented is not None

    def cost(near: int, far: int) -> dict[str, float]:
        """With wrong colours from ``near`` to ``far`` pixels outside of the person."""
        inner, outer = (torch.nn.functional.max_pool2d(sample.mattes[0], 2 * r + 1, 1, r) > 0 for r in (near, far))
        wrong = torch.where(outer & ~inner, 1 - colours, colours)
        terms = players._judge(sample, replace(synthesis, image=wrong, invented=wrong), sample.images.flatten(0, 1))
        return {name: float(value) for name, value in terms}

    for name in ("person", "invented"):
        assert cost(0, 1)[name] > 0.02
        assert cost(4, 20)[name] == pytest.approx(0, abs=1e-6)


def test_a_run_may_start_from_bundled_weights(tmp_path, monkeypatch):
    asked: list[object] = []

    def load(name: object) -> LiquidWarpingGenerator:
        asked.append(name)
        return LiquidWarpingGenerator(TINY)

    monkeypatch.setattr("liquidwarp.learn.train.load_generator", load)
    train(tiny_run(tmp_path, steps=1, init=Path("base")))
    assert asked == ["base"]  # a name, not a path: only that finds what is bundled


def test_some_of_the_starting_weights_are_kept(tmp_path):
    """What is saved lies between the weights that a run began with and those that it learned."""
    first = train(tiny_run(tmp_path / "first", steps=2)).folder / "weights"
    changes = {"init": first, "steps": 4, "ema_decay": 0.0, "learning_rate": 1e-2}
    learned, mixed = (
        load_generator(train(tiny_run(tmp_path / name, **changes, keep_init=share)).folder / "weights").state_dict()
        for name, share in (("learned", 0.0), ("mixed", 0.25))
    )
    start = load_generator(first).state_dict()
    name = "transfer_net.heads.weight"
    assert (learned[name] - start[name]).abs().max() > 1e-3
    torch.testing.assert_close(mixed[name], torch.lerp(learned[name], start[name], 0.25), atol=1e-4, rtol=1e-2)
    with pytest.raises(SettingError, match="keep_init: there is nothing to keep"):
        tiny_run(tmp_path, keep_init=0.5)


def test_every_loss_takes_part_in_a_step():
    """With all judges on; gradients reach every parameter of both players."""
    config = LossConfig(feature_matching=1.0)
    players = Players(
        TINY, DiscriminatorConfig(channels=8, num_layers=2), Judges(config, torch.device("cpu")), torch.device("cpu")
    )
    before = [p.detach().clone() for p in players.discriminators.parameters()]
    terms = players.step(MovingBoxes(1, 2, 1, 64).samples(0)[0], Pace(4, 0.9, 1e-3, 1, 0.5, 2.0, 0.9))
    expected = {
        "total",
        "reconstruction",
        "person",
        "invented",
        "copied",
        "mask",
        "outline",
        "smooth_mask",
        "perceptual",
    }
    expected |= {"face", "face_detail", "source", "background", "adversarial", "feature_matching", "discriminator"}
    assert set(terms) == expected
    assert all(torch.isfinite(value) and value > 0 for value in terms.values())
    still = [n for n, p in players.generator.named_parameters() if p.grad is None]
    assert all(name.endswith("previous_bias") for name in still)
    assert all((p != q).any() for p, q in zip(players.discriminators.parameters(), before, strict=True) if p.ndim > 1)


def test_frames_before_teach_temporal_attention():
    """The other target, drawn first, is one more source: its loss takes part and its bias learns."""
    sample = MovingBoxes(1, 2, 2, 64).samples(0)[0]
    identity = Flow.identity(64, 64).grid[None, None].expand(1, 2, 2, -1, -1, -1)
    others = (1 - torch.eye(2))[None, :, :, None, None].expand(-1, -1, -1, 64, 64)
    unknown = torch.zeros_like(sample.targets.visible)  # no photo shows anything
    flow = replace(
        sample.targets,
        grid=torch.cat([sample.targets.grid, identity], 2),
        visible=torch.cat([unknown, others * sample.targets.valid], 2),
    )
    sample = replace(sample, targets=flow, frames=flow.condition)
    cpu = torch.device("cpu")
    players = Players(TINY, DiscriminatorConfig(channels=8, num_layers=2), Judges(PLAIN, cpu), cpu)
    terms = players.step(sample, Pace(4, 0.9, 1e-3, 1, 0.5, 2.0, 0.9))
    assert terms["consistency"] > 0
    biases = [p for n, p in players.generator.named_parameters() if n.endswith("previous_bias")]
    assert all(p.grad is not None and p.grad != 0 for p in biases)


def test_a_run_with_the_papers_vgg19(tmp_path):
    """From a file of torchvision's shapes and names, classifier included; its values are drawn."""
    torch.manual_seed(0)
    widths, indices = Vgg19Features._widths, Vgg19Features._file_indices
    state = {"classifier.6.bias": torch.zeros(1000)}
    for index, inputs, outputs in zip(indices, (3, *widths[:-1]), widths, strict=True):
        state[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5
        state[f"features.{index}.bias"] = torch.zeros(outputs)
    torch.save(state, tmp_path / "vgg19-dcbb9e9d.pth")
    pairs = (
        "loss.perceptual_features=vgg19",
        f"loss.vgg19_file={tmp_path / 'vgg19-dcbb9e9d.pth'}",
        "loss.perceptual=1",
    )
    for given in (pairs, pairs[::-1]):
        config = read_overrides(tiny_run(tmp_path / "run", steps=2, size=64), given)
    result = train(config)
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all(row["perceptual"] > 0 for row in rows)
    assert result.finished
    judges = Judges(config.loss, torch.device("cpu"))
    assert isinstance(judges.perceptual.networks[0], Vgg19Features)
    made = torch.rand(1, 3, 32, 32, requires_grad=True)
    judges.perceptual(made, torch.rand(1, 3, 32, 32)).sum().backward()
    assert made.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in judges.perceptual.parameters())


def test_resumed_run_repeats_an_uninterrupted_one(tmp_path):
    whole = train(tiny_run(tmp_path / "whole"))
    first = train(tiny_run(tmp_path / "parts", part_minutes=1e-9))  # a part without time does one step
    assert first.position == Position(1, first.position.seconds)
    assert first.position.seconds < 0.1  # loading and the first step do not count
    assert not first.finished
    stopped = train(tiny_run(tmp_path / "parts", people=2), make_data=Interrupted)
    assert stopped.position.step == 4
    assert not stopped.finished
    rest = train(tiny_run(tmp_path / "parts"))
    assert rest.finished
    assert rest.position.step == 8
    assert list(first.losses + stopped.losses + rest.losses) == list(whole.losses)
    for name, tensor in load_generator(whole.folder / "weights").state_dict().items():
        torch.testing.assert_close(load_generator(rest.folder / "weights").state_dict()[name], tensor, rtol=0, atol=0)


class Interrupted(MovingBoxes):
    """The same people; somebody presses Ctrl-C after two batches."""

    def __init__(self, split: str) -> None:
        super().__init__(2, 2, 2, 32, reuse=2, seed=0 if split == "train" else 10_007)
        self.training = split == "train"

    def samples(self, index: int) -> list[TrainingSample]:
        if self.training and index == 2:
            raise KeyboardInterrupt
        return super().samples(index)


def test_run_leaves_log_sheet_weights_and_scores(tmp_path):
    result = train(tiny_run(tmp_path))
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert "adversarial" not in rows[2]
    assert rows[-1]["adversarial"] > 0
    assert (tmp_path / "people_0000008.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["finished"]
    assert [row["where"] for row in report["gate"]] == ["right", "wrong", "all"]
    assert report["scores"]["network"]["psnr"] == result.scores["network"].psnr
    assert result.scores["texture"].mask_iou > 0.3
    generator = load_generator(tmp_path / "weights")
    assert generator.config == TINY


def test_a_run_can_be_watched_and_is_not_disturbed_by_it(tmp_path, monkeypatch):
    """Weights and sheets appear while it goes on; the losses are those of a run that nobody watches."""
    seen = []

    def look(path, image):
        seen.append((path.name, tuple(image.shape), load_generator(tmp_path / "watched" / "weights") is not None))

    unwatched = train(tiny_run(tmp_path / "whole"))
    monkeypatch.setattr("liquidwarp.learn.train.write_png", look)
    watched = train(tiny_run(tmp_path / "watched", save_every_minutes=1e-9))
    assert watched.losses == unwatched.losses
    assert {name for name, _, _ in seen} == {f"people_{step:07d}.png" for step in range(1, 9)}
    assert watched.position.seconds < 60


def test_the_log_forgets_what_is_done_again(tmp_path):
    """A killed part wrote steps beyond its checkpoint, and the last line is cut short."""
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"step": step, "total": 1.0}) + "\n" for step in (1, 3, 5)) + '{"step": 6, "to')
    with TrainingLog(tiny_run(tmp_path), 3, is_first=True) as log:
        log.write(4, (1.0, 9.0, 0.0), 0.5, {"total": torch.tensor(2.0)})
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 3, 4]
    assert rows[-1]["total"] == 2.0


def test_lines_on_the_terminal_are_short(tmp_path, caplog):
    caplog.set_level("INFO")
    with TrainingLog(tiny_run(tmp_path), 0, is_first=True) as log:
        terms = {name: torch.tensor(0.12345) for name in ("total", "person", "mask", "smooth_mask", "face")}
        log.write(1, (0.0, 0.0, 0.0), 0.0, terms)
        log.write(11, (20.0, 20.0, 5.0), 0.25, terms)
    assert caplog.messages == [
        "step 1  0 %  total 0.123  person 0.123",
        "step 11  25 %  60 s left  0.5 steps/s  waiting for people 25 %  total 0.123  person 0.123",
    ]


def test_start_from_saved_weights(tmp_path):
    train(tiny_run(tmp_path / "a"))
    config = tiny_run(tmp_path / "b", init=tmp_path / "a" / "weights", part_minutes=1e-9, learning_rate=0.0)
    expected = load_generator(tmp_path / "a" / "weights").state_dict()
    for name, tensor in load_generator(train(config).folder / "weights").state_dict().items():
        torch.testing.assert_close(tensor, expected[name])
    other = replace(config, generator=replace(TINY, num_blocks=2), output=tmp_path / "c")
    with pytest.raises(SettingError, match=r"^train\.init.*another shape \(num_blocks 1 instead of 2\).*--preset\.$"):
        train(other)


def test_discriminators_go_on_where_they_are_of_the_same_shape(tmp_path):
    train(tiny_run(tmp_path / "a", adversarial_start=0.0))
    judges = Judges(PLAIN, torch.device("cpu"))

    def begun(channels: int) -> tuple[Players, bool]:
        torch.manual_seed(1)
        shape = DiscriminatorConfig(channels=channels, num_layers=2, face_size=32)
        players = Players(TINY, shape, judges, torch.device("cpu"))
        return players, load_discriminators(tmp_path / "a" / "weights", players.discriminators)

    (same, taken), (_, refused) = begun(8), begun(4)
    assert (taken, refused) == (True, False)
    saved, _ = load_tensors(tmp_path / "a" / "weights" / "discriminators.safetensors", "liquidwarp-discriminators-1")
    for name, tensor in same.discriminators.state_dict().items():
        torch.testing.assert_close(tensor, saved[name].float())
    config = tiny_run(tmp_path / "b", init=tmp_path / "a" / "weights", steps=1, learning_rate=0.0)
    train(config)
    again, _ = load_tensors(tmp_path / "b" / "weights" / "discriminators.safetensors", "liquidwarp-discriminators-1")
    assert all(torch.equal(again[name], saved[name]) for name in saved)
    with pytest.raises(WeightsNotFoundError):
        load_tensors(tmp_path / "none.safetensors", "liquidwarp-discriminators-1")


def test_checkpoint_of_another_shape_is_refused(tmp_path):
    train(tiny_run(tmp_path))
    wider = Players(
        replace(TINY, stem_channels=12),
        DiscriminatorConfig(channels=8, num_layers=2),
        Judges(PLAIN, torch.device("cpu")),
        torch.device("cpu"),
    )
    with pytest.raises(WeightsCorruptError, match="other settings") as stop:
        load_checkpoint(tmp_path / "checkpoint.safetensors", wider)
    assert "\n" not in str(stop.value)
    assert len(str(stop.value)) < 600


def test_pace_warms_up_and_slows_down():
    pace = Pace(99, 0.0, 1.0, 100, 0.5, 1.0, 0.9)
    assert pace.current_rate() == 1
    assert replace(pace, step=9).current_rate() == pytest.approx(0.1)
    assert replace(pace, progress=1.0).current_rate() == pytest.approx(0.02)
    assert replace(pace, progress=0.85).current_rate() == pytest.approx(0.51)
    assert pace.adversarial_share() == 0
    assert 0 < replace(pace, progress=0.5).adversarial_share() < 0.1
    assert replace(pace, progress=0.9).adversarial_share() == 1


def test_png_holds_the_picture(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    picture = torch.rand(3, 5, 7)
    write_png(tmp_path / "a.png", picture)
    read = torch.tensor(list(image_module.open(tmp_path / "a.png").convert("RGB").tobytes())).view(5, 7, 3)
    torch.testing.assert_close(read, (picture * 255).round().long().permute(1, 2, 0))


def test_devices_are_checked(tmp_path):
    with pytest.raises(SettingError, match=r"train\.device"):
        train(tiny_run(tmp_path, device="tpu"))
    if not torch.cuda.is_available():
        with pytest.raises(SettingError, match="cuda is not available"):
            train(tiny_run(tmp_path, device="cuda"))


def test_settings_by_name():
    config = read_overrides(
        TrainConfig(),
        [
            "minutes=3",
            "preset=lite",
            "loss.face=0",
            "output=runs/x",
            "generator.channels=[8,16,24]",
            "mixed_precision=false",
        ],
    )
    assert (config.minutes, config.preset, config.loss.face) == (3.0, "lite", 0.0)
    assert config.output == Path("runs/x")
    assert config.generator.channels == (8, 16, 24)
    assert not config.mixed_precision
    for wrong in ("speed=3", "minutes=fast", "steps", "size.x=3"):
        with pytest.raises(SettingError):
            read_overrides(TrainConfig(), [wrong])


def test_hinge_loss_and_spectral_norm_learn_and_resume(tmp_path):
    changes = {
        "loss": replace(PLAIN, adversarial_kind="hinge", feature_matching=0.5),
        "discriminator": DiscriminatorConfig(channels=8, num_layers=2, face_size=32, norm="spectral"),
        "adversarial_start": 0.0,
        "steps": 6,
    }
    whole = train(tiny_run(tmp_path / "whole", **changes))
    rows = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert len(rows) == 6
    assert all(row["discriminator"] > 0 for row in rows)
    first = train(tiny_run(tmp_path / "parts", part_minutes=1e-9, **changes))
    rest = train(tiny_run(tmp_path / "parts", **changes))
    assert first.losses + rest.losses == whole.losses  # the norm's own vectors go on too


def test_tensorboard_gets_losses_and_pictures(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tiny_run(tmp_path, steps=3, tensorboard=True))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("total")] == [1, 2, 3]
    (picture,) = events.Images("people")
    assert picture.step == 3
    assert picture.encoded_image_string.startswith(b"\x89PNG")


def test_missing_tensorboard_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingError, match="pip install tensorboard"):
        train(tiny_run(tmp_path, tensorboard=True))
