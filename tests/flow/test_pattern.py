"""Patterned cloth goes on behind as a pattern; a print stays in front."""

import numpy as np
import pytest

from liquidwarp.flow.unseen.pattern import mirror_pattern, patterned_rows
from liquidwarp.flow.unseen.tubes import COLUMNS, ROWS

RED, BLUE, WHITE, YELLOW = (np.array(c, np.float32) for c in ([0.7, 0.1, 0.2], [0.1, 0.2, 0.7], [0.9] * 3, [1, 0.9, 0]))
ROW, COLUMN = np.mgrid[:ROWS, :COLUMNS]
FRONT = np.broadcast_to(np.abs(COLUMN - 127.5) < 50, (ROWS, COLUMNS))
"""Seen are 100 of 256 columns."""


def where(mask, one=RED, other=BLUE):
    return np.where(mask[..., None], one, other).astype(np.float32)


CHECKS = where(((COLUMN // 12) + (ROW // 12)) % 2 == 0)
STRIPES_ALONG, STRIPES_ACROSS = where((COLUMN - 128) // 10 % 2 == 0), where(ROW // 8 % 2 == 0)


def rows_of(picture, known=FRONT, likely=False):
    return patterned_rows(picture * known[..., None], known, likely)


@pytest.mark.parametrize("picture", [CHECKS, STRIPES_ALONG, STRIPES_ACROSS])
def test_what_is_uneven_everywhere_is_a_pattern(picture):
    assert rows_of(picture).mean() > 0.9


def test_prints_panels_hems_folds_and_belts_are_none():
    letters = where((np.abs(COLUMN - 128) < 22) & ((COLUMN // 6 + ROW // 6) % 2 == 0))
    panels = where(np.abs(COLUMN - 128) < 30, BLUE, YELLOW)
    folds = BLUE * (1 + 0.13 * np.sin(COLUMN / 4))[..., None]
    for picture in (letters, panels, where(ROW < 80), folds, where(np.abs(ROW - 80) < 6)):
        assert not rows_of(picture.astype(np.float32)).any()


def test_a_front_that_is_uneven_in_another_way_than_its_sides_is_none():
    straps = where((np.abs(COLUMN - 128) < 22) & (ROW % 20 < 17), BLUE, CHECKS)
    assert not rows_of(straps).any()


def test_only_the_patterned_garment_counts():
    rows = rows_of(np.where(ROW[..., None] < 80, CHECKS, WHITE))
    assert rows[8:72].all()
    assert not rows[96:].any()


def test_one_short_stretch_is_enough_beside_a_pattern():
    picture = np.where(np.abs(ROW[..., None] - 80) < 5, CHECKS, BLUE)
    assert not rows_of(picture).any()
    assert rows_of(picture, likely=True)[77:83].all()


def test_less_than_half_a_tube_is_no_garment():
    for top, counts in ((90, True), (56, False)):
        assert bool(rows_of(np.where(ROW[..., None] < top, CHECKS, WHITE)).any()) == counts


def mirrored(picture, known=FRONT):
    plain = np.full_like(picture, 0.5)
    return mirror_pattern(plain, picture * known[..., None], known, np.ones(ROWS, bool))


def test_the_back_is_the_mirror_image_of_the_front_and_goes_on_at_the_borders():
    made_up = mirrored(STRIPES_ALONG)
    away = np.arange(1, 40)
    back = made_up[:, (255.5 + away).round().astype(int) % COLUMNS]
    front = STRIPES_ALONG[:, (127.5 - away).round().astype(int)]
    assert np.abs(back - front).max(2).mean() < 0.1
    right = 128 + 50
    assert np.abs(made_up[:, right : right + 3] - made_up[:, right - 4 : right - 1][:, ::-1]).mean() < 0.1


def test_stripes_along_the_body_stay_straight_where_the_border_is_not():
    border = 178 + 9 * np.cos(ROW / 159 * 6 * np.pi)
    known = (COLUMN > 78) & (border > COLUMN)
    back = mirrored(STRIPES_ALONG, known)[:, np.arange(-38, 38) % COLUMNS]
    assert back.std(0).mean() < 0.04


def test_all_the_way_around_is_nothing_grey():
    assert (np.abs(mirrored(CHECKS) - 0.5).max(2) > 0.15).mean() > 0.97


def test_letters_on_a_pattern_stay_in_front():
    letters = (np.abs(COLUMN - 128) < 12) & (np.abs(ROW - 80) < 8)
    picture = np.where(letters[..., None], YELLOW, STRIPES_ALONG)
    made_up = mirrored(picture)
    yellow = np.abs(made_up - YELLOW).max(2) < 0.3
    assert yellow[FRONT].sum() == letters.sum()
    assert not yellow[~FRONT].any()


def test_what_is_seen_stays_and_so_do_other_rows():
    rows = ROW[:, 0] < 60
    plain = np.full_like(CHECKS, 0.5)
    made_up = mirror_pattern(plain, CHECKS * FRONT[..., None], FRONT, rows)
    np.testing.assert_array_equal(made_up[~rows], plain[~rows])
    np.testing.assert_allclose(made_up[rows][FRONT[rows]], CHECKS[rows][FRONT[rows]], atol=1e-6)
