"""Films whose cuts are known, of spots that move; close-ups of the demo's person."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from liquidwarp.cli import main
from liquidwarp.errors import MediaError, NoPersonFoundError, SettingError
from liquidwarp.evaluate.close_ups import CloseUp, CloseUps, cut_out, find_close_ups
from liquidwarp.evaluate.cut_films import LEAST_FRAMES, Clip, Film, make_films
from liquidwarp.evaluate.films import evaluate_films, read_clip
from liquidwarp.media import open_writer, read_image
from liquidwarp.recover.detection.detections import BODY_LANDMARKS
from liquidwarp.recover.films.shots import Shots
from liquidwarp.recover.tracking.tracker import PersonDetector
from liquidwarp.weights import asset


def clip(seed, size=(192, 108), frames=LEAST_FRAMES):
    """A disc goes through a place with many blurred spots."""
    rough = np.random.default_rng(seed).integers(0, 256, (size[1] // 6, size[0] // 6, 3), np.uint8)
    place = cv2.resize(rough, size, interpolation=cv2.INTER_CUBIC)
    moving = (cv2.circle(place.copy(), (20 + 3 * t, 50), 15, (90, 30 * seed, 0), -1) for t in range(frames))
    return Clip(f"clip {seed}", tuple(moving))


def saved(clip, folder):
    with open_writer(folder, 24, clip.frames[0].shape[1::-1]) as writer:
        for frame in clip.frames:
            writer.write(frame)
    return folder


@pytest.fixture(scope="module")
def films():
    return make_films([clip(1), clip(2, (120, 160))])


def only(films, kind, number=0):
    return [film for film in films if film.kind == kind][number]


def difference(one, two):
    return float(np.abs(one.astype(float) - two).mean())


def test_a_film_is_judged():
    film = Film("", "", 50, lambda _: np.zeros((8, 8, 3), np.uint8), ((10, 10), (20, 30)))
    assert film.judge((0, 10, 25)) == ((), ())
    assert film.judge((0, 11, 20, 30, 40)) == ((10,), (11, 30, 40))
    assert film.judge((0,)) == ((10, 25), ())
    assert replace(film, cuts=()).judge((0, 7)) == ((), (7,))
    assert len(list(film)) == len(film) == 50


def test_every_kind_of_film_has_frames_of_one_size(films):
    sizes = {(film.kind, film.name): {frame.shape for frame in film} for film in films}
    assert all(len(shapes) == 1 for shapes in sizes.values())
    assert {film.kind for film in films if film.cuts} == {
        "hard cuts",
        *(f"dissolve, {length} frames" for length in (6, 12, 24)),
        *(f"fade, {length} frames" for length in (6, 20)),
        "jump cut",
    }
    assert {film.kind for film in films if not film.cuts} == {
        *("as they are", "fade and back", "flashes", "fast pan", "shake", "zoom")
    }


def test_hard_cuts_are_where_the_film_says(films):
    film, (one, two) = only(films, "hard cuts"), (clip(1).frames, clip(2, (120, 160)).frames)
    assert film.cuts == ((12, 12), (24, 24), (36, 36))
    assert difference(film.picture(11), one[11]) == difference(film.picture(24), one[12]) == 0
    assert film.picture(12).shape == one[0].shape != two[0].shape
    jumps = [difference(film.picture(t - 1), film.picture(t)) for t in range(1, len(film))]
    assert sorted(np.argsort(jumps)[-3:] + 1) == [12, 24, 36]


@pytest.mark.parametrize("length", [6, 12, 24])
def test_a_dissolve_goes_over_evenly_within_the_cut(films, length):
    film = only(films, f"dissolve, {length} frames")
    ((first, last),) = film.cuts
    one, two = film.picture(first - 1), film.picture(last)
    assert last - first == length
    assert difference(film.picture(first - 1), clip(1).frames[first - 1]) == 0
    assert 0 < difference(film.picture(first), clip(1).frames[first]) < 2 * difference(one, two) / length
    middle = film.picture((first + last - 1) // 2)
    assert difference(middle, one) == pytest.approx(difference(middle, two), rel=0.3)


def test_fades_are_black_in_the_middle(films):
    for kind, number in (("fade, 20 frames", 0), ("fade and back", 0)):
        film = only(films, kind, number)
        light = [float(frame.mean()) for frame in film]
        darkest = int(np.argmin(light))
        assert light[darkest] < 0.15 * light[0]
        assert light[-1] > 0.8 * light[0]
        assert all(start < darkest < end for start, end in film.cuts)


def test_a_jump_leaves_frames_out(films):
    film = only(films, "jump cut")
    ((cut, _),) = film.cuts
    frames = clip(1).frames
    assert difference(film.picture(cut - 1), frames[15]) == difference(film.picture(cut), frames[16 + 8]) == 0
    assert difference(film.picture(len(film) - 1), frames[-1]) == 0


def test_the_search_is_right_about_spots(tmp_path):
    paths = [saved(clip(seed), tmp_path / f"{seed}") for seed in (1, 2)]
    report = evaluate_films(paths, tmp_path / "out", close_ups=False)
    found = {row.kind: (row.cuts, row.found, row.false) for row in report.kinds}
    assert found["hard cuts"] == (6, 6, 0)
    assert found["dissolve, 12 frames"] == (2, 2, 0)
    assert found["fast pan"] == found["zoom"] == found["flashes"] == (0, 0, 0)
    assert found["jump cut"][:2] == (4, 0)  # the place stays
    assert found["all"][0] == sum(row.cuts for row in report.kinds[:-1])
    assert {mistake.kind for mistake in report.mistakes} >= {"jump cut"}
    assert "* jump cut (1, 8 frames left out): missed 16" in str(report)
    facts = json.loads((tmp_path / "out" / "films.json").read_text())
    assert facts["kinds"][1]["kind"] == "hard cuts"
    assert read_image(tmp_path / "out" / "films.png").rgb.shape[0] > 13 * 180
    assert not (tmp_path / "out" / "close_ups.png").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "out"]


def test_a_search_that_sees_cuts_everywhere_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("liquidwarp.evaluate.films.find_shots", lambda frames: Shots((0, 12, 13)))
    paths = [saved(clip(seed), tmp_path / f"{seed}") for seed in (1, 2)]
    found = {row.kind: (row.found, row.false) for row in evaluate_films(paths, close_ups=False).kinds}
    assert found["hard cuts"] == (2, 2)
    assert found["zoom"] == (0, 4)


def test_close_ups_follow_the_landmarks():
    picture = np.zeros((400, 300, 3), np.uint8)
    cv2.circle(picture, (160, 60), 6, (255, 0, 0), -1)
    cv2.circle(picture, (160, 130), 6, (0, 255, 0), -1)
    points = np.zeros((1, len(BODY_LANDMARKS), 2))
    for name, place in (("ear", (160, 60)), ("shoulder", (160, 100)), ("hip", (160, 200))):
        points[:, [BODY_LANDMARKS.index(f"{side}_{name}") for side in ("left", "right")]] = place
    (face,), (chest,) = (cut_out([picture], points, shows) for shows in ("face", "chest"))
    assert face.shape == (480, 640, 3)
    for shown, colour, height in ((face, 0, 60), (chest, 1, 140)):
        rows, columns = np.nonzero(shown[..., colour] > 128)
        assert rows.mean() == pytest.approx(240, abs=10)
        assert columns.mean() == pytest.approx(320, abs=10)
        assert np.ptp(rows) == pytest.approx(12 * 480 / height, rel=0.15)


def test_the_person_is_found_in_close_up(tmp_path):
    front = read_image(asset("demo/front.jpg")).rgb
    video = saved(Clip("", (front,) * 9), tmp_path / "somebody")
    looks = []
    found = find_close_ups(video, PersonDetector(), 8, lambda: looks.append(1))
    assert [one.figure for one in found] == [CloseUp("somebody", shows, 2, 1.0) for shows in ("face", "head", "chest")]
    assert len(looks) == 2 * 4


def test_an_empty_video_has_no_close_ups(tmp_path, monkeypatch, caplog):
    def look(path, *others):
        if path.name == "2":
            raise NoPersonFoundError("nobody is there.")
        picture = clip(1).frames[0]
        return [CloseUps(CloseUp(path.name, "head", 2, 0.5), (picture, picture), (True, False))]

    monkeypatch.setattr("liquidwarp.evaluate.films.find_close_ups", look)
    monkeypatch.setattr(
        "liquidwarp.evaluate.films.make_films", lambda clips: [Film("uncut", "1", 48, clips[0].frames.__getitem__)]
    )
    paths = [saved(clip(seed), tmp_path / f"{seed}") for seed in (1, 2)]
    report = evaluate_films(paths, tmp_path / "out")
    assert [(row.video, row.found) for row in report.close_ups] == [("1", 0.5)]
    assert "2: no close-ups: nobody is there." in caplog.text
    assert "| 1            | head  |      2 |   50% |" in str(report)
    sheet = read_image(tmp_path / "out" / "close_ups.png").rgb
    red = (sheet == (220, 0, 0)).all(-1).any(0)
    assert not red[:180].any()
    assert red[-180:].all()


def test_mistakes_are_told(tmp_path, capsys):
    path = saved(clip(1), tmp_path / "film")
    short = saved(clip(2, frames=20), tmp_path / "short")
    with pytest.raises(SettingError, match="at least two videos"):
        evaluate_films([path])
    with pytest.raises(SettingError, match="frames: expected at least 48, got 9"):
        evaluate_films([path, path], max_frames=9)
    with pytest.raises(MediaError, match="short: expected at least 48 frames to make films of, found 20"):
        read_clip(short, 96)
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "films", str(path)])
    assert stop.value.code == 2
    assert "at least two videos" in capsys.readouterr().err
