import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from liquidwarp import cli
from liquidwarp.cli import COMMANDS, Evaluate, Imitate, Train, Transfer, View, main, parse
from liquidwarp.config import TrainConfig
from liquidwarp.errors import MediaError, SettingError
from liquidwarp.evaluation_commands import PROTOCOLS, EvaluateRecover, EvaluateSelf, EvaluateSynthetic
from liquidwarp.evaluation_config import SelfEvaluation, SyntheticEvaluation
from liquidwarp.given import parse_background
from liquidwarp.options import Giver, parse_wear
from liquidwarp.weights import asset


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_teaches(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"] if name else ["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"liquidwarp {name or 'imitate'}" in shown
    assert "examples:" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_in_the_help_can_be_parsed(name):
    import shlex

    lines = [line.strip() for line in COMMANDS[name][1].splitlines() if line.strip().startswith("liquidwarp ")]
    assert lines
    for line in lines:
        words = shlex.split(line.split("    ")[0])
        assert isinstance(parse(words[1:]), COMMANDS[name][0])


def test_help_of_the_program_fits_on_a_screen(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) < 50
    assert "liquidwarp demo" in shown


def test_help_is_set_as_paragraphs(capsys, monkeypatch):
    """No line of a longer text ends early, and no placeholder or default shows Python's None."""
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main(["imitate", "--help"])
    shown = capsys.readouterr().out
    lines = [line.strip("\u2502 |") for line in shown.splitlines()]
    begin = next(n for n, line in enumerate(lines) if line.startswith("FRAME:FRAMES"))
    assert all(len(line) > 55 for line in lines[begin : begin + 2])
    assert "--fps FLOAT" in shown
    assert "None" not in shown
    assert shown.index("--layout") < shown.index("--size {"), "a command's own options come before the shared ones"


def test_version(capsys):
    from importlib.metadata import version

    main(["--version"])
    assert capsys.readouterr().out == f"liquidwarp {version('liquidwarp')}\n"


def test_waiting_threads_leave_the_cores_to_others(monkeypatch, capsys):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    main(["--version"])
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE", "the user's own choice stays"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    main(["--version"])
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_do_not_fill_logs(monkeypatch, terminal):
    """tqdm reads its defaults from the environment."""
    monkeypatch.setenv("TQDM_MININTERVAL", "")
    monkeypatch.delenv("TQDM_MININTERVAL")
    monkeypatch.setattr("sys.stderr", SimpleNamespace(isatty=lambda: terminal, write=len, flush=str))
    main(["--version"])
    assert ("TQDM_MININTERVAL" in os.environ) != terminal
    assert os.environ.get("TQDM_MININTERVAL", "10") == "10"


def test_options_of_imitate():
    line = "imitate --source a.jpg b.jpg --driving d.mp4 --out o.mp4 --size 256 --no-cache --camera follow"
    given = parse(line.split())
    assert isinstance(given, Imitate)
    assert [path.name for path in given.source] == ["a.jpg", "b.jpg"]
    assert (given.size, given.cache, given.resume, given.camera, given.layout) == (256, False, True, "follow", "clean")


def test_several_people_give_parts(tmp_path):
    """Once --wear each; photos of one person are separated by commas, unless a file is really called so."""
    given = parse(
        ["transfer", "--source", "a.jpg", "--wear", "b.jpg,c.jpg:upper", "--wear", "d.jpg:lower,feet", "--out", "o.png"]
    )
    assert isinstance(given, Transfer)
    pairs = parse_wear(given.wear)
    assert pairs == [
        (Giver((Path("b.jpg"), Path("c.jpg"))), "upper"),
        (Giver((Path("d.jpg"),)), "lower"),
        (Giver((Path("d.jpg"),)), "feet"),
    ]
    (tmp_path / "x,y:z#2.jpg").touch()
    assert parse_wear([f"{tmp_path}/x,y:z#2.jpg:face"]) == [(Giver((tmp_path / "x,y:z#2.jpg",)), "face")]


def test_one_of_several_people_gives_parts():
    """By number or by place; two people of one photo are two givers."""
    pairs = parse_wear(["b.jpg#2:upper", "b.jpg#640,360:feet", "c.jpg,d.jpg#3:hips", "e#x.jpg:face"])
    assert [giver for giver, _ in pairs] == [
        Giver((Path("b.jpg"),), 2),
        Giver((Path("b.jpg"),), (640.0, 360.0)),
        Giver((Path("c.jpg"), Path("d.jpg")), 3),
        Giver((Path("e#x.jpg"),)),
    ]
    with pytest.raises(SettingError, match=r"wear: .*number from 1 on"):
        parse_wear(["b.jpg#0:upper"])


def test_options_of_view():
    given = parse(["view", "--source", "a.jpg", "--angle", "-45", "--pose", "t", "--elevation", "0", "--out", "o.png"])
    assert isinstance(given, View)
    assert (given.angle, given.pose, given.elevation, given.turn) == (-45, "t", 0, 360)


def test_protocols_of_evaluate():
    given = parse(["evaluate", "recover", "a.mp4"])
    assert isinstance(given, Evaluate)
    assert isinstance(given.protocol, EvaluateRecover)
    assert [path.name for path in given.protocol.path] == ["a.mp4"]
    line = "evaluate synthetic folder --sources 1 3 --models texture runs/a/weights --people 2"
    given = parse(line.split())
    assert isinstance(given, Evaluate)
    assert isinstance(given.protocol, EvaluateSynthetic)
    assert given.protocol.settings == SyntheticEvaluation(("texture", "runs/a/weights"), (1, 3), people=2)
    line = "evaluate self a.mp4 b.mp4 --sources 2 --models lite --frames 9 --no-cache --no-photometric"
    given = parse(line.split())
    assert isinstance(given, Evaluate)
    assert isinstance(given.protocol, EvaluateSelf)
    assert given.protocol.settings == SelfEvaluation(("lite",), 2, photometric=False)
    assert (len(given.protocol.path), given.protocol.frames, given.protocol.cache) == (2, 9, False)


def test_options_of_train():
    given = parse(["train", "folder", "--size", "512", "--people", "2", "--settings", "loss.face=0", "reuse=2"])
    assert isinstance(given, Train)
    config = given.all_settings()
    assert (config.data_folder, config.size, config.people, config.reuse) == (Path("folder"), 512, 2, 2)
    assert config.loss.face == 0
    assert config.minutes == TrainConfig().minutes
    with pytest.raises(SettingError, match="speed"):
        Train(Path("folder"), settings=("speed=3",)).all_settings()


@pytest.mark.parametrize("protocol", ["recover", "synthetic", "self"])
def test_help_of_a_protocol(protocol, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", protocol, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"liquidwarp evaluate {protocol}" in shown
    assert "examples:" in shown
    assert "--out" in shown
    assert ("--models" in shown) == (protocol != "recover")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_examples_of_protocols_can_be_parsed(protocol):
    kind, examples = PROTOCOLS[protocol]
    lines = [line.split() for line in examples.splitlines() if line.startswith("  liquidwarp")]
    assert lines
    for _, *arguments in lines:
        command = parse(arguments)
        assert isinstance(command, Evaluate)
        assert isinstance(command.protocol, kind)


def test_unknown_protocol_is_explained(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "typo", "x.mp4"])
    assert stop.value.code == 2
    assert "synthetic" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("imitate --source no.jpg --driving no.mp4 --out o.mp4", "source: no.jpg: no such file"),
        ("imitate --source --driving no.mp4 --out o.mp4", "source: expected at least one file"),
        ("recover", "path: expected at least one file"),
        ("evaluate synthetic nowhere", "wardrobe: nowhere: no such file"),
        ("evaluate self no.mp4", "path: no.mp4: no such file"),
        ("evaluate transfer no", "wardrobe: no: no such file"),
        ("evaluate transfer . --people 0", "people: expected at least 1, got 0"),
        ("evaluate transfer . --models warp", "models: expected texture, base, lite or folders of weights"),
        ("evaluate self . --frames 0", "frames: expected at least 1"),
        ("evaluate self . --models typo", "models: expected warp, texture, base, lite or a folder"),
        ("imitate --source a --driving b --out o.mp4 --frames 0", "frames: expected at least 1"),
        ("recover . --fps 0", "fps: expected more than 0"),
        ("view --source no.jpg --out o.mp4", "source: no.jpg: no such file"),
        ("view --source . --out o.mp4 --frames 0", "frames: expected at least 1"),
        ("view --source . --out o.png --angle 40 --turn 90", "angle: expected neither turn nor frames beside it"),
        ("view --source . --out o.mp4 --elevation 90", "elevation: expected -60 to 60 degrees, got 90"),
        ("view --source . --out o.mp4 --pose star", "pose: expected own, t, a, or a file that moves, got 'star'"),
        ("view --source . --out o.png", "o.png: expected a video's name"),
        ("view --source . --out o.xyz --angle 45", "o.xyz: expected"),
        ("transfer --source . --wear bob.jpg --out o.png", "wear: expected FILE:PARTS such as bob.jpg:upper,feet"),
        ("transfer --source . --wear bob.jpg:feet --out o.png", "wear: bob.jpg: no such file"),
        ("transfer --source . --wear .:shoes --out o.png", "'shoes' is not known. A shirt"),
        ("transfer --source . --wear .:upper,torso --out o.png", "torso is given twice"),
        ("transfer --source . --out o.png", "wear"),
        ("transfer --source . --wear .:feet --driving . --out o.png", "o.png: expected a video's name"),
    ],
)
def test_users_mistake_is_one_line_and_exit_2(line, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("liquidwarp: ")
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_output_is_checked_before_the_work(tmp_path, capsys):
    (tmp_path / "a.jpg").write_text("")
    photo = str(tmp_path / "a.jpg")
    with pytest.raises(SystemExit) as stop:
        main(["imitate", "--source", photo, "--driving", photo, "--out", str(tmp_path / "o.avi")])
    assert stop.value.code == 2
    assert "expected a video name" in capsys.readouterr().err


def test_broken_driving_is_refused_before_the_work(tmp_path, capsys):
    photo, driving = tmp_path / "a.jpg", tmp_path / "d.mp4"
    photo.write_text("")
    driving.write_text("text")
    with pytest.raises(SystemExit) as stop:
        main(["imitate", "--source", str(photo), "--driving", str(driving), "--out", str(tmp_path / "o.mp4")])
    assert stop.value.code == 2
    assert "d.mp4: expected a video" in capsys.readouterr().err


def test_wrong_option_is_explained(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["imitate", "--source", "a.jpg", "--driving", "d.mp4", "--out", "o.mp4", "--sise", "256"])
    assert stop.value.code == 2
    assert "--size" in capsys.readouterr().err


def raise_in(monkeypatch, error):
    def run(self):
        raise error

    monkeypatch.setattr(cli.Doctor, "run", run)


def test_interruption_says_how_to_go_on(monkeypatch, capsys):
    raise_in(monkeypatch, KeyboardInterrupt())
    with pytest.raises(SystemExit) as stop:
        main(["doctor"])
    assert stop.value.code == 130
    assert "goes on from the last finished part" in capsys.readouterr().err


def test_a_reader_who_had_enough_is_no_bug():
    """As in ``liquidwarp imitate --help | head -1``."""
    reader, writer = os.pipe()
    os.close(reader)
    code = "from liquidwarp.cli import main; main(['imitate', '--help'])"
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_bug_keeps_its_traceback(monkeypatch):
    raise_in(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["doctor"])


def test_backgrounds(tmp_path):
    assert parse_background(None) is None
    assert parse_background("#00B140") == (0, 177, 64)
    (tmp_path / "a.png").touch()
    assert parse_background(str(tmp_path / "a.png")) == tmp_path / "a.png"
    with pytest.raises(SettingError, match="background: expected"):
        parse_background("#00b1")
    assert parse_background("navy") == (0, 0, 128)
    assert parse_background("transparent") == "transparent"
    with pytest.raises(SettingError, match="background: expected a file, transparent, or a colour"):
        parse_background("greenish")
    with pytest.raises(MediaError, match="no such file"):
        parse_background("beach.jpg")


def test_transparent_results_need_a_format_that_holds_them(tmp_path, capsys):
    photo = ["--source", str(asset("demo/front.jpg"))]
    nowhere = ["--background", "transparent", "--out", str(tmp_path / "out.mp4")]
    for command in (["imitate", "--driving", str(asset("demo/motion.bvh"))], ["view"]):
        with pytest.raises(SystemExit) as stop:
            main([*command, *photo, *nowhere])
        assert stop.value.code == 2
        shown = capsys.readouterr().err
        assert "cannot hold transparency. Choose .mov (ProRes 4444), .webm (VP9), or a folder" in shown
    with pytest.raises(SystemExit):
        main(["view", *photo, "--angle", "0", "--background", "transparent", "--out", str(tmp_path / "out.jpg")])
    assert "Choose .png" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["view", *photo, "--background", "navy", "--background-end", "hold", "--out", str(tmp_path / "out.mp4")])
    assert "background_end" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_doctor(capsys):
    main(["doctor"])
    shown = capsys.readouterr().out
    for word in ("torch", "cpu:", "whole, Apache-2.0", "writes with", "cache:"):
        assert word in shown


def test_doctor_finishes_and_fails_when_something_is_broken(monkeypatch, capsys):
    from liquidwarp import doctor

    def broken():
        raise OSError("no codec")

    monkeypatch.setattr(doctor, "_codecs", broken)
    with pytest.raises(SystemExit) as stop:
        main(["doctor"])
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert "BROKEN: OSError: no codec" in shown.out
    assert "cache:" in shown.out
    assert "codecs" in shown.err


def test_reading_the_command_line_needs_no_torch():
    code = (
        "import sys, liquidwarp.cli as c; c.parse(['doctor']); sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_a_single_pose_may_become_a_picture(tmp_path):
    """A driving photo, or one frame of a motion: the result may be an image; a motion may not."""
    from liquidwarp.arguments import check_driving
    from liquidwarp.effects import Effects

    motion = asset("demo/motion.bvh")
    assert check_driving(asset("demo/front.jpg")) == 1
    assert check_driving(motion, frames=1) == 1
    assert check_driving(motion, frames=7, effects=Effects(bullet_time=((6, 10),))) == 7 + 9
    with pytest.raises(SettingError, match="from 0 to 6"):
        check_driving(motion, frames=7, effects=Effects(bullet_time=((7, 10),)))
    line = f"imitate --source {asset('demo/front.jpg')} --driving {motion} --out {tmp_path}/out.png"
    with pytest.raises(MediaError, match="several frames"):
        parse(line.split()).run()
    assert not list(tmp_path.iterdir())
