"""Behind a cut: who is followed, whose film it is, and what does not reach across."""

from dataclasses import replace

import numpy as np
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.config import FitConfig
from liquidwarp.recover.detection.detections import Detections
from liquidwarp.recover.films.looks import REGIONS, likeness, look_of, mean_look
from liquidwarp.recover.films.scenes import notes_on_shots
from liquidwarp.recover.films.shots import Shots, small_picture
from liquidwarp.recover.fitting.fit_task import FitTask
from liquidwarp.recover.fitting.observation import steadied
from liquidwarp.recover.tracking.pieces import Piece

from .discs import detector, draw
from .people import make_person

SIZE = (240, 160)
RED, BLUE, GREEN = (220, 40, 40), (40, 40, 255), (40, 200, 40)


def found(film: list[np.ndarray], starts: tuple[int, ...], choice: object = None) -> Detections:
    """The film's detections with these cuts; all places differ."""
    generator = np.random.default_rng(0)
    ends = [
        2 * (small_picture(np.kron(generator.integers(0, 256, (14, 20, 3), np.uint8), np.ones((8, 8, 1), np.uint8))),)
        for _ in starts
    ]
    shots = Shots(starts, tuple((one, two) for one, two in ends))
    return detector().detect_frames(film, SIZE, 25.0, choice, shots=shots)  # type: ignore[arg-type]


def test_the_same_person_is_followed_behind_a_cut() -> None:
    """Somewhere else and smaller than another."""
    before = [draw(SIZE, (60.0, 80.0, 30.0, RED))] * 4
    behind = [draw(SIZE, (60.0, 80.0, 34.0, BLUE), (190.0, 70.0, 24.0, RED))] * 4
    seen = found(before + behind, (0, 4))
    assert seen.found.all()
    np.testing.assert_allclose(seen.xy[4:, 0], np.array([[190.0, 70.0]] * 4), atol=1.5)
    assert seen.own is not None
    assert seen.shot is not None
    assert seen.own.all()
    assert seen.shot.tolist() == [0] * 4 + [1] * 4
    assert seen.moments.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]


def test_the_film_is_of_whom_most_of_it_shows() -> None:
    guest = [draw(SIZE, (60.0, 80.0, 30.0, GREEN))] * 3
    person = [draw(SIZE, (120.0, 80.0, 30.0, RED))] * 4
    seen = found(person + guest + person, (0, 4, 7))
    assert seen.of_person.tolist() == [True] * 4 + [False] * 3 + [True] * 4
    assert seen.found.all(), "a motion goes on with whoever is there"
    assert found(guest + person, (0, 3)).of_person.tolist() == [False] * 3 + [True] * 4
    asked = found(guest + person, (0, 3), (60.0, 80.0))
    assert asked.of_person.tolist() == [True] * 3 + [False] * 4
    first, second = notes_on_shots(seen)
    assert "3 shots" in first
    assert "frames 4, 7" in first
    assert "frames 4 to 6" in second
    assert notes_on_shots(replace(seen, shot=None, own=None)) == ()


def test_pieces_keep_what_people_look_like() -> None:
    film = [draw(SIZE, (60.0, 80.0, 30.0, GREEN))] * 3 + [draw(SIZE, (120.0, 80.0, 30.0, RED))] * 4
    pieces: list[Piece] = []
    while sum(len(piece.detections) for piece in pieces) < len(film):
        done = sum(len(piece.detections) for piece in pieces)
        state = pieces[-1].state if pieces else None
        pieces.append(next(detector().follow(film[done:], SIZE, 25.0, None, state, 0.0, cuts=(0, 3))))
    looks = [piece.looks for piece in pieces]
    assert all(look is not None and look.shape[0] == 1 for look in looks)
    assert pieces[2].state.stranger is False
    assert pieces[3].state.stranger is True


def test_looks() -> None:
    finder = detector()
    pictures = [draw(SIZE, (90.0, 80.0, 40.0, colour)) for colour in (RED, RED, BLUE)]
    pictures[1] = (pictures[1] * 0.95).astype(np.uint8)
    red, darker, blue = (look_of(rgb, finder.detect_people(rgb)[0]) for rgb in pictures)
    value, regions = likeness(red, darker)
    assert value > 0.9
    assert 1 <= regions <= REGIONS
    assert likeness(red, blue)[0] < 0.5
    assert likeness(red, np.zeros_like(red)) == (0.0, 0)
    np.testing.assert_allclose(mean_look([red, np.zeros_like(red)]), red)


def test_nothing_is_smoothed_across_a_cut(anny: AnnyBody) -> None:
    """The person stands still and is somewhere else behind the cut."""
    truth = make_person(anny, frames=24)
    shot = torch.arange(24) // 12
    still = truth.detections.select(torch.zeros(24, dtype=torch.long))
    noise = torch.randn(still.xy.shape, generator=torch.Generator().manual_seed(0))
    jump = still.xy + 60.0 * shot[:, None, None]
    cut = replace(still, xy=jump + noise, shot=shot, scene=shot, own=torch.ones(24, dtype=torch.bool), fps=25.0)
    smooth = steadied(cut, cut.moments, 1.0)
    assert float((smooth.xy - jump)[10:14].abs().mean()) < 0.75 * float(noise[10:14].abs().mean())
    own = replace(cut, own=shot == 1)
    keys = FitTask.of((own,), anny, FitConfig()).key_frames(4)
    assert len(keys) == 4
    assert bool((keys >= 12).all()), "the shape is the film's own person's"
