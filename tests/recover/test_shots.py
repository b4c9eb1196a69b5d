"""Cuts are found, and motion, flashes and light are none."""

import cv2
import numpy as np
import pytest

from liquidwarp.recover.films.shots import find_shots, same_place, small_picture

SIZE = (192, 108)


def place(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Many blurred spots."""
    rough = np.random.default_rng(seed).integers(0, 256, (size[1] // 6, size[0] // 6, 3), np.uint8)
    return cv2.resize(rough, size, interpolation=cv2.INTER_CUBIC)


def film(seed: int, frames: int = 24) -> list[np.ndarray]:
    """A disc goes through a place."""
    return [cv2.circle(place(seed).copy(), (30 + 4 * t, 60), 20, (200, 30 * seed % 256, 90), -1) for t in range(frames)]


def lit(frames: list[np.ndarray], factors: list[float]) -> list[np.ndarray]:
    return [(frame * factor).astype(np.uint8) for frame, factor in zip(frames, factors, strict=True)]


def test_joined_films() -> None:
    assert find_shots(film(1)).starts == (0,)
    shots = find_shots(film(1) + film(2) + film(1))
    assert shots.starts == (0, 24, 48)
    assert len(shots.ends) == len(shots) == 3
    assert (shots.ends[1][0] == small_picture(film(2)[0])).all()
    assert (shots.ends[1][1] == small_picture(film(2)[-1])).all()


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut(length: int) -> None:
    frames = film(1)
    for number in range(10, 10 + length):
        frames[number] = np.minimum(frames[number].astype(int) + 190, 255).astype(np.uint8)
    assert find_shots(frames).starts == (0,)


def test_fast_pans_shake_and_zoom_are_no_cuts() -> None:
    wide = place(3, (960, 216))
    assert find_shots([wide[50:158, 16 * t : 16 * t + 192] for t in range(40)]).starts == (0,)
    jolts = np.random.default_rng(0).integers(-14, 15, (30, 2))
    assert find_shots([wide[50 + y : 158 + y, 300 + x : 492 + x] for x, y in jolts]).starts == (0,)
    zoomed = [cv2.resize(wide[2 * t : 216 - 2 * t, 4 * t : 384 - 4 * t], SIZE) for t in range(30)]
    assert find_shots(zoomed).starts == (0,)


def test_a_fade_in_one_place_is_no_cut_but_one_to_another_is() -> None:
    out, back = list(np.linspace(1, 0, 24)), list(np.linspace(0, 1, 24))
    assert find_shots(lit(film(1), out) + lit(film(1), back)).starts == (0,)
    (_, cut) = find_shots(lit(film(1), out) + lit(film(2), back)).starts
    assert 23 <= cut <= 30


def test_what_is_left_of_a_dark_picture_is_no_likeness() -> None:
    """Both films bear the same sign, the last that is seen of the one and the first of the other."""

    def signed(frames: list[np.ndarray]) -> list[np.ndarray]:
        weak = [(0.5 * frame).astype(np.uint8) for frame in frames]
        for frame in weak:
            frame[:40, :64] = place(9)[:40, :64]
        return weak

    out = [1.0] * 18 + list(1 - (np.arange(6) + 0.5) / 6)
    (_, cut) = find_shots(lit(signed(film(1)), out) + lit(signed(film(2)), out[::-1])).starts
    assert 24 <= cut <= 30


@pytest.mark.parametrize("length", [8, 16, 24])
def test_a_dissolve_is_a_cut_in_its_middle(length: int) -> None:
    share = np.clip((np.arange(80) - 30) / length, 0, 1)
    mixed = [
        (one * (1 - part) + two * part).astype(np.uint8)
        for one, two, part in zip(film(1, 80), film(2, 80), share, strict=True)
    ]
    (_, cut) = find_shots(mixed).starts
    assert abs(cut - 30 - length / 2) <= 4


def test_empty_films_have_one_shot() -> None:
    assert find_shots([]).starts == (0,)
    assert find_shots([np.zeros((90, 120, 3), np.uint8)] * 5).starts == (0,)
    assert find_shots(film(1, 1)).starts == (0,)


def test_a_place_is_known_beside_the_person() -> None:
    before, behind = film(1)[0], film(1)[-1]
    hidden = [np.abs(frame.astype(int) - place(1)).max(2) > 5 for frame in (before, behind)]
    assert same_place(small_picture(before), small_picture(behind), (hidden[0], hidden[1]))
    moved = np.roll(behind, 25, 1)
    assert not same_place(small_picture(before), small_picture(moved), (hidden[0], hidden[1]))
    everywhere = np.ones((4, 4), bool)
    assert not same_place(small_picture(before), small_picture(before), (everywhere, everywhere))
