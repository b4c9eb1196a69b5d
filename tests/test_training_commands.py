"""Settings of a training: the checked-in files, and what wins over what."""

from dataclasses import replace
from pathlib import Path

import pytest

from liquidwarp.cli import parse
from liquidwarp.config import TrainConfig
from liquidwarp.errors import SettingError
from liquidwarp.learn.settings import read_file, read_overrides
from liquidwarp.training_commands import Train

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_checked_in_file_is_valid(path: Path) -> None:
    config = read_file(TrainConfig(), path)
    assert config != TrainConfig()
    config.generator_config()
    lines = [line.removeprefix("#").strip() for line in path.read_text().splitlines() if line.startswith("#     ")]
    commands = " ".join(lines).replace("\\", " ").split("liquidwarp")
    assert any(path.name in command for command in commands), "its head says how to use it"


def test_there_is_a_file_for_each_purpose() -> None:
    names = {path.stem for path in CONFIGS}
    assert names >= {"h100_25min", "finetune_512", "multi_gpu", "overfit_one", "videos"}
    files = {path.stem: read_file(TrainConfig(), path) for path in CONFIGS}
    assert (files["h100_25min"].minutes, files["h100_25min"].size) == (25, 256)
    assert (files["finetune_512"].size, files["finetune_512"].init) == (512, Path("base"))
    assert files["overfit_one"].synthetic.num_identities == 1
    assert files["overfit_one"].loss.adversarial == 0


def test_options_win_over_the_file_and_names_over_options(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('preset = "lite"\nminutes = 3\nsize = 128\n[synthetic.noise]\nbetas = 0.5\n')
    words = ["train", "wardrobe", "--config", str(file), "--size", "512", "--settings", "size=64", "reuse=1"]
    given = parse(words)
    assert isinstance(given, Train)
    config = given.all_settings()
    assert (config.preset, config.minutes, config.size, config.reuse) == ("lite", 3.0, 64, 1)
    assert config.synthetic.noise.betas == 0.5
    assert config.data_folder == Path("wardrobe")
    assert replace(given, settings=()).all_settings().size == 512
    assert read_overrides(TrainConfig(), [f"config={file}", "minutes=7"]).minutes == 7


def test_folders_say_who_is_shown() -> None:
    assert Train(Path("w")).all_settings().data == "synthetic"
    assert Train(videos=Path("v")).all_settings().data == "videos"
    assert Train(Path("w"), Path("v")).all_settings().data == "synthetic+videos"
    with pytest.raises(SettingError, match="got neither"):
        Train().all_settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("minutes = ", "expected TOML"),
        ("speed = 3", "'speed' is not known"),
        ("minutes = 'fast'", "minutes: expected float"),
        ("[loss]\nface = -1.0", "loss.face"),
        ("[loss.deep]\nface = 1.0", "deep"),
        ('data = "other"', "data"),
    ],
)
def test_mistakes_name_the_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "my.toml"
    file.write_text(text)
    with pytest.raises(SettingError, match=rf"my\.toml: .*{message}"):
        read_file(TrainConfig(), file)
    with pytest.raises(SettingError, match="cannot be read"):
        read_file(TrainConfig(), tmp_path / "nothing.toml")
