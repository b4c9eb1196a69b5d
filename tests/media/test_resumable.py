from pathlib import Path

import numpy as np
import pytest

from liquidwarp.errors import MediaError
from liquidwarp.media import open_frames, resumable
from liquidwarp.media.resumable import ResumableWriter


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "_SEGMENT", 4)


def frame(index: int) -> np.ndarray:
    return np.full((48, 64, 3), 10 * index, np.uint8)


def write(path: Path, start: int, stop: int, key: str = "a") -> int:
    """Write frames start..stop of 10; fewer than 10 is an interruption. Gives the frames that were there before."""
    with ResumableWriter(path, fps=30000 / 1001, size=(64, 48), key=key) as video:
        done = video.done
        for index in range(max(start, done), 10):
            if index == stop:
                raise KeyboardInterrupt
            video.write(frame(index))
    return done


def levels(path: Path) -> list[int]:
    return [int(f.mean().round()) for f in open_frames(path)]


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out"])
def test_goes_on_after_an_interruption(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(KeyboardInterrupt):
        write(path, 0, 6)
    assert not path.exists()
    done = write(path, 0, 10)
    assert done == (6 if name == "out" else 4)
    assert np.abs(np.array(levels(path)) - 10 * np.arange(10)).max() <= 1
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_joined_video_has_the_right_rate(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    write(path, 0, 10)
    frames = open_frames(path)
    assert len(frames) == 10
    assert frames.fps == pytest.approx(30000 / 1001, abs=1e-3)


def test_another_key_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        write(path, 0, 6)
    assert write(path, 0, 10, key="b") == 0
    assert len(levels(path)) == 10


def test_resume_can_be_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        write(path, 0, 6)
    assert ResumableWriter(path, fps=30000 / 1001, size=(64, 48), key="a", resume=False).done == 0


def test_an_early_interruption_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out.mp4", 0, 2)
    assert list(tmp_path.iterdir()) == []


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="expected a video name"):
        ResumableWriter(tmp_path / "out.xyz", fps=25, size=(64, 48), key="a")


def test_slow_frames_are_kept_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the run is interrupted, the file is the same to the last byte."""
    write(tmp_path / "whole.mp4", 0, 10)
    monkeypatch.setattr(resumable, "_SLOW", 0.0)
    path = tmp_path / "out.mp4"
    known = 0
    for stop in (2, 3, 7):
        with pytest.raises(KeyboardInterrupt):
            write(path, 0, stop)
        known = stop
    assert sorted(p.name for p in (tmp_path / ".out.mp4.parts").iterdir()) == [
        "00000.mp4",
        *(f"frame{index:06d}.png" for index in (4, 5, 6)),
        "key.json",
    ]
    assert write(path, 0, 10) == known
    assert path.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "whole.mp4"]


def test_one_slow_frame_among_fast_ones_breaks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "whole.mp4", 0, 10)
    path, now = tmp_path / "out.mp4", iter([0.0, 9.0, 0.0, 9.0, *[0.0] * 30])  # entered, frames 0, 1, 2...
    monkeypatch.setattr(resumable, "monotonic", lambda: next(now))
    with pytest.raises(KeyboardInterrupt):
        write(path, 0, 3)
    assert [p.name for p in (tmp_path / ".out.mp4.parts").glob("frame*")] == ["frame000000.png"]
    assert write(path, 0, 10) == 1
    assert path.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
