"""Bodies with clothes put around known ones: what is below them, and what others wear of them, is measured by tape."""

import pytest
import torch

from liquidwarp.body.build import WIDTHS, dressed_shape
from liquidwarp.body.measures import measure
from liquidwarp.body.shape import edit_shape, parse_shape

LEGS = ("hips", "upper_leg", "lower_leg")


def mean(anny):
    return torch.zeros(len(anny.beta_names))


def clothed(anny, *girths):
    """A body that fills wide clothes at these places."""
    betas = mean(anny)
    betas[[anny.beta_names.index(f"{name}-girth") for name in girths]] = 11.0
    return betas


def girth(anny, betas, name="thigh"):
    return measure(anny, betas, f"{name}-girth")


def dressed(anny, wearer, giver, parts=LEGS):
    return dressed_shape(anny, wearer, dict.fromkeys(parts, giver))


def test_tight_clothes_change_nothing(anny):
    torch.testing.assert_close(dressed(anny, mean(anny), mean(anny), WIDTHS), mean(anny), atol=1e-3, rtol=0)
    assert dressed_shape(anny, mean(anny), {}) is not None, "nothing lent"


def test_thighs_that_filled_a_skirt_are_slim_in_tight_clothes(anny):
    """The fit took the skirt for thighs; shins and arms tell better."""
    skirt = clothed(anny, "thigh")
    before, bare = girth(anny, skirt), girth(anny, mean(anny))
    after = dressed(anny, skirt, mean(anny))
    assert before > 1.2 * bare
    assert girth(anny, after) - bare < 0.35 * (before - bare)
    assert girth(anny, after, "calf") == pytest.approx(girth(anny, mean(anny), "calf"), rel=0.04)
    joints = [anny.rest(betas[None]).joints for betas in (skirt, after)]
    assert (joints[0] - joints[1]).norm(dim=-1).max() < 0.003, "and stands where it stood"


def test_stout_people_stay_stout(anny):
    stout = edit_shape(anny, mean(anny), parse_shape("weight=+30%", anny))
    assert girth(anny, stout) > 1.1 * girth(anny, mean(anny))
    assert girth(anny, dressed(anny, stout, mean(anny))) == pytest.approx(girth(anny, stout), rel=0.03)


def test_wide_trousers_stay_wide_on_others(anny):
    wide = clothed(anny, "thigh", "calf")
    lent = dressed(anny, mean(anny), wide)
    for name in ("thigh", "calf"):
        bare, giver = girth(anny, mean(anny), name), girth(anny, wide, name)
        assert girth(anny, lent, name) - bare > 0.3 * (giver - bare)


def test_thighs_stay_slim_in_a_lent_skirt(anny):
    """It is a tube of its own; a leg that is wide to the ankle wears trousers."""
    lent = girth(anny, dressed(anny, mean(anny), clothed(anny, "thigh")))
    assert lent == pytest.approx(girth(anny, mean(anny)), rel=0.05)


def test_only_what_is_lent_changes(anny):
    wide = clothed(anny, "thigh", "calf")
    after = dressed(anny, mean(anny), wide, ("upper_arm", "lower_arm"))
    assert girth(anny, after) == pytest.approx(girth(anny, mean(anny)), rel=0.01)
