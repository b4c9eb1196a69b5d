"""What a tracker remembers is enough to go on: any frame may be the last before a kill."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from liquidwarp.cache import Cache
from liquidwarp.recover.detection.detections import Detections
from liquidwarp.recover.detection.hands_face import Hand
from liquidwarp.recover.films.looks import BINS, REGIONS
from liquidwarp.recover.films.shots import Shots, small_picture
from liquidwarp.recover.tracking.follow import FORGET_AFTER, TrackState
from liquidwarp.recover.tracking.pieces import Pieces, whole_video

from .discs import Discs, detector, draw

SIZE = (240, 160)
RED, BLUE = (255, 40, 40), (40, 40, 255)


class Handy(Discs):
    """Hands are seen, and where they are looked for depends on the frame before."""

    def hand(self, image):
        self.calls["hand"] += 1
        points = np.linspace(40, 180, 63, dtype=np.float32)[None] + 20 * image.mean()
        score = np.full((1, 1), 0.9, np.float32)
        return [points, score, score, points / 1000]


@pytest.fixture(scope="module")
def film():
    """The chosen one meets another, is lost behind the picture's edge, comes back, and there is a cut."""
    meeting = [draw(SIZE, (60 + 8 * t, 70.0, 30.0, RED), (180 - 8 * t, 100.0, 25.0, BLUE)) for t in range(6)]
    gone = [draw(SIZE, (190.0, 80.0, 30.0, RED))] * 3
    back = [draw(SIZE, (100.0, 90.0, 24.0, BLUE), (190.0, 70.0, 30.0, RED))] * 3
    return meeting + gone + back


def pieces_of(frames, folder, state=None, seconds=0.0):
    pieces = Pieces(Cache(folder), "film")
    for piece in detector(Handy()).follow(frames, SIZE, 25.0, (180.0, 100.0), state, seconds):
        pieces.add(piece)
    return pieces


def assert_same(first: Detections, second: Detections):
    for field in fields(Detections):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if isinstance(a, torch.Tensor):
            assert torch.equal(a, b), field.name
    assert (first.masks.bits == second.masks.bits).all()
    assert (first.image_size, first.fps) == (second.image_size, second.fps)


def test_a_killed_run_goes_on_bit_by_bit(film, tmp_path):
    whole = detector(Handy()).detect_frames(film, SIZE, 25.0, (180.0, 100.0))
    assert whole.found.tolist() == [True] * 6 + [False] * 3 + [True] * 3
    assert (whole.hands_score > 0).any()
    for stop in (1, 5, 7, 10):  # together, alone, lost, after the cut
        folder = tmp_path / str(stop)
        pieces_of(film[:stop], folder)
        found = Pieces(Cache(folder), "film")  # another process
        assert found.num_frames == stop
        assert found.state.frame == stop - 1
        rest = list(detector(Handy()).follow(film[stop:], SIZE, 25.0, (180.0, 100.0), found.state, np.inf))
        assert len(rest) == 1
        assert_same(whole_video([*found.known, *rest]), whole)


def test_a_run_that_was_killed_knows_the_person_behind_a_cut(tmp_path):
    first, behind = draw(SIZE, (60.0, 80.0, 30.0, RED)), draw(SIZE, (60.0, 80.0, 34.0, BLUE), (190.0, 70.0, 24.0, RED))
    frames, shots = (
        [first] * 4 + [behind] * 4,
        Shots((0, 4), ((small_picture(first),) * 2, (small_picture(behind),) * 2)),
    )
    whole = detector().detect_frames(frames, SIZE, 25.0, shots=shots)
    for stop in (3, 4, 6):
        pieces = Pieces(Cache(tmp_path / str(stop)), "film")
        for piece in detector().follow(frames[:stop], SIZE, 25.0, None, None, 0.0, cuts=shots.starts):
            pieces.add(piece)
        known = Pieces(Cache(tmp_path / str(stop)), "film")
        rest = list(detector().follow(frames[stop:], SIZE, 25.0, None, known.state, np.inf, cuts=shots.starts))
        again = whole_video([*known.known, *rest], shots)
        assert_same(again, whole)
        assert again.own.all()


def test_pieces_are_handed_out_by_the_clock(film, tmp_path):
    assert len(pieces_of(film, tmp_path / "slow", seconds=0.0).known) == len(film)
    assert len(pieces_of(film, tmp_path / "fast", seconds=1e9).known) == 1
    pieces = Pieces(Cache(tmp_path / "slow"), "film")
    pieces.clear()
    assert list((tmp_path / "slow").iterdir()) == []


def test_a_damaged_piece_ends_what_is_known(film, tmp_path):
    pieces_of(film, tmp_path)
    cache = Cache(tmp_path)
    cache.path("film-00004").write_bytes(b"half")
    assert Pieces(cache, "film").num_frames == 4


def test_state_survives_a_file_exactly():
    generator = np.random.default_rng(0)
    hand = Hand(generator.random((21, 2)), generator.random((21, 3)).astype(np.float32), 0.1 + 0.2, 1 / 3)
    look = generator.random((REGIONS, BINS)).astype(np.float32)
    state = TrackState(7, 2, 3, None, generator.random(64), (None, hand), "nobody", look, True)
    again = TrackState.from_tensors(state.to_tensors(), "nobody")
    assert (again.frame, again.lost, again.company, again.place, again.failure) == (7, 2, 3, None, "nobody")
    assert (again.colours == state.colours).all()
    assert again.stranger
    assert (again.look == look).all()
    assert again.hands[0] is None
    assert (again.hands[1].score, again.hands[1].right) == (hand.score, hand.right)
    for name in ("xy", "world"):
        a, b = getattr(again.hands[1], name), getattr(hand, name)
        assert a.dtype == b.dtype
        assert (a == b).all()


def test_who_is_lost_for_long_is_given_up():
    """Another scene, with somebody of another size and other clothes."""
    first, second = draw(SIZE, (60.0, 80.0, 40.0, BLUE)), draw(SIZE, (150.0, 80.0, 14.0, RED))
    networks = Discs()
    state = list(detector(networks).follow([first] * 2 + [second] * 2, SIZE, 25.0, None))[-1].state
    assert state.lost == 2
    waiting = TrackState(state.frame, FORGET_AFTER - 1, state.company, state.place, state.colours)
    found = list(detector(networks).follow([second] * 3, SIZE, 25.0, None, waiting))[-1]
    assert found.detections.found.tolist() == [False, True, True]
