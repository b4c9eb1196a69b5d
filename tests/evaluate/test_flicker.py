"""A textured card that moves: how much it flickers is known."""

import json

import cv2
import numpy as np
import pytest

from liquidwarp.cli import main
from liquidwarp.errors import MediaError
from liquidwarp.evaluate.flicker import evaluate_flicker, flicker_of
from liquidwarp.media import open_writer

SIZE = 128


def film(folder, change, shift=2.0, frames=8):
    """Frames as PNG files: a soft texture moves over another by ``shift`` px a frame; ``change`` is added to it."""
    random = np.random.default_rng(0)
    place, card = (cv2.GaussianBlur(random.random((256, 256, 3)), (0, 0), 2.5) for _ in range(2))
    place, card = ((picture - 0.5) * 500 + 128 for picture in (place, card))
    with open_writer(folder, 25, (SIZE, SIZE)) as writer:
        for t in range(frames):
            picture = place[:SIZE, :SIZE].copy()
            movement = np.array([[1, 0, 10 + shift * t], [0, 1, 30.0]])
            inside = cv2.warpAffine(np.ones((64, 64)), movement, (SIZE, SIZE), flags=cv2.INTER_NEAREST) > 0
            moved = cv2.warpAffine(card[:64, :64], movement, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT)
            picture[inside] = moved[inside] + change(t)
            writer.write(picture.clip(0, 255).astype(np.uint8))
    return folder


def still(t):
    return 0.0


def blinking(t):
    return 10.0 * (t % 2)


def test_what_only_moves_does_not_flicker(tmp_path):
    found = flicker_of(film(tmp_path / "still", still))
    assert found.frames == 8
    assert found.error < 1.5
    assert found.moving < 3
    assert found.lost < 0.15


def test_known_flicker_is_measured(tmp_path):
    """The card, a quarter of the picture, jumps by 10 grey levels in every frame."""
    calm, restless = flicker_of(film(tmp_path / "calm", still)), flicker_of(film(tmp_path / "restless", blinking))
    assert restless.moving - calm.moving == pytest.approx(10 * 0.7, abs=3)
    assert restless.error - calm.error == pytest.approx(10 * 0.25, abs=1)


def test_a_picture_that_never_moves(tmp_path):
    calm = flicker_of(film(tmp_path / "calm", still, shift=0.0))
    assert calm.error < 0.01
    assert calm.moving is None
    blinks = flicker_of(film(tmp_path / "blinks", blinking, shift=0.0))
    assert blinks.error == pytest.approx(2.5, abs=0.4)


def test_one_jump_shows_in_the_percentile(tmp_path):
    jump = flicker_of(film(tmp_path / "jump", lambda t: 40.0 * (t == 5), frames=24))
    assert jump.high > 3 * jump.error / 2


def test_report_and_command(tmp_path, capsys):
    paths = [film(tmp_path / "result", blinking), film(tmp_path / "driving", still)]
    report = evaluate_flicker(paths, tmp_path / "out", 5)
    assert [row.frames for row in report.rows] == [5, 5]
    assert report.rows[0].error > report.rows[1].error
    assert len({len(line) for line in str(report).splitlines()}) == 1
    assert [row["name"] for row in json.loads((tmp_path / "out" / "flicker.json").read_text())] == ["result", "driving"]
    main(["evaluate", "flicker", str(paths[0]), str(paths[1]), "--frames", "3"])
    assert "| result" in capsys.readouterr().out


def test_a_single_frame_has_no_neighbour(tmp_path):
    with pytest.raises(MediaError, match="two frames"):
        flicker_of(film(tmp_path / "one", still, frames=1))
