"""Sun on the rim of what is seen does not spread over what is not; another cloth does."""

import numpy as np
import pytest

from liquidwarp.flow.colours.tone import Common, usual_tones

JEANS, SUNLIT, SKIN, WHITE = (np.array(c) for c in ([0.05, 0.1, 0.3], [0.4, 0.5, 0.8], [0.8, 0.6, 0.5], [0.9] * 3))
COAT, GLARE = np.array([0.64, 0.54, 0.46]), np.array([0.98, 0.94, 0.88])


def seen(limb, *shares, twin=0.0, beside=None):
    """At one height so many places of each colour; the last so large share of them are the other limb's."""
    colours = np.concatenate([np.tile(colour, (count, 1)) for colour, count in shares])
    number = np.arange(len(colours))
    other = np.zeros((0, 3)) if beside is None else np.tile(beside, (20, 1))
    return Common(np.full(len(colours), 50.0), colours, number >= (1 - twin) * len(colours), other, limb)


def goes_on(proposed, common):
    return usual_tones(np.array(proposed, np.float32), np.full(len(proposed), 50), common)


def test_a_sunlit_rim_does_not_go_on_around_a_limb():
    made_up = goes_on([JEANS, SUNLIT], seen(True, (JEANS, 85), (SUNLIT, 15)))
    np.testing.assert_allclose(made_up, [JEANS, JEANS], atol=0.02)


def test_what_as_much_is_seen_of_goes_on_as_it_is():
    made_up = goes_on([JEANS, SUNLIT], seen(True, (JEANS, 55), (SUNLIT, 45)))
    np.testing.assert_allclose(made_up, [JEANS, SUNLIT], atol=0.02)


def test_another_cloth_ends_where_it_ends():
    """Less of it is enough; but not a neighbour's hand before a leg."""
    np.testing.assert_allclose(goes_on([WHITE, JEANS], seen(True, (JEANS, 80), (SKIN, 20)))[1], JEANS, atol=0.02)
    np.testing.assert_allclose(goes_on([SKIN], seen(True, (JEANS, 80), (SKIN, 20))), [SKIN], atol=0.02)
    green = np.array([0.1, 0.5, 0.2])
    np.testing.assert_allclose(goes_on([SKIN], seen(True, (green, 80), (SKIN, 20))), [SKIN], atol=0.02)
    np.testing.assert_allclose(goes_on([SKIN], seen(True, (green, 95), (SKIN, 5))), [green], atol=0.02)


def test_a_bright_band_around_black_cloth_goes_on():
    black, pink = np.array([0.03, 0.01, 0.02]), np.array([0.85, 0.2, 0.5])
    np.testing.assert_allclose(goes_on([pink], seen(True, (black, 75), (pink, 25))), [pink], atol=0.02)
    grey = black + 0.3
    np.testing.assert_allclose(goes_on([grey], seen(True, (black, 75), (grey, 25))), [black], atol=0.02)


def test_both_sides_of_a_trunk_may_differ_from_its_middle():
    """As a jacket does that is open over a shirt."""
    jacket = seen(False, (WHITE, 80), (JEANS, 20))
    np.testing.assert_allclose(goes_on([JEANS, JEANS], jacket), [JEANS, JEANS], atol=0.02)
    assert np.abs(goes_on([SUNLIT, JEANS], seen(False, (WHITE, 60), (JEANS, 35), (SUNLIT, 5))) - JEANS).max() < 0.02


@pytest.mark.parametrize("beside", [None, COAT])
def test_an_overexposed_sleeve_is_as_the_other_one_and_the_trunk(beside):
    both = seen(True, (GLARE, 40), (COAT, 60), twin=0.6, beside=beside)
    np.testing.assert_allclose(goes_on([GLARE], both)[0], COAT, atol=0.15 if beside is None else 0.02)


def test_where_hardly_anything_is_seen_nothing_changes():
    np.testing.assert_array_equal(goes_on([SUNLIT], seen(True, (JEANS, 7))), np.array([SUNLIT], np.float32))


@pytest.mark.parametrize("shorts", [np.array([0.03, 0.03, 0.04]), np.array([0.1, 0.4, 0.15])])
def test_a_bare_knee_stays_bare_where_the_other_legs_shorts_seem_to_reach_as_far(shorts):
    """A bent leg's hem lies elsewhere than a straight one's, and black cloth in the sun is no skin."""
    shaded = 0.6 * SKIN
    np.testing.assert_allclose(
        goes_on([shaded], seen(True, (shaded, 12), (shorts, 88), twin=0.88)), [shaded], atol=0.03
    )
