"""Light flows from what is seen into what is made up, but not from one cloth into another."""

import pytest
import torch

from liquidwarp.flow.colours.shade import shade_gain

COLUMNS, ROWS = 30, 6


@pytest.fixture(scope="module")
def strip():
    """Faces of a strip of cloth, 30 vertices long; vertex ``c * 6 + r`` is in column c."""
    index = torch.arange(COLUMNS * ROWS).view(COLUMNS, ROWS)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    return torch.cat([torch.stack([a, b, c], -1).view(-1, 3), torch.stack([a, c, d], -1).view(-1, 3)])


def colours(*halves):
    return torch.cat([torch.tensor(half).expand(COLUMNS * ROWS // 2, 3) for half in halves])


KNOWN = torch.arange(COLUMNS * ROWS) < COLUMNS * ROWS // 2


def test_a_step_in_light_becomes_a_slope(strip):
    gain = shade_gain(colours([0.6, 0.5, 0.4], [0.45, 0.375, 0.3]), KNOWN, strip)
    columns = gain.view(COLUMNS, ROWS, 3).mean((1, 2))
    assert torch.equal(gain[KNOWN], torch.ones_like(gain[KNOWN]))
    assert 1.15 < columns[COLUMNS // 2] < 1.34
    assert (columns[COLUMNS // 2 + 1 :] <= columns[COLUMNS // 2 : -1] + 1e-4).all()
    assert columns[-1] < 1.08


def test_a_hem_stays(strip):
    gain = shade_gain(colours([0.6, 0.5, 0.4], [0.1, 0.15, 0.4]), KNOWN, strip)
    assert (gain - 1).abs().amax() < 0.01


def test_hair_has_no_hem(strip):
    """One photo's hair is much darker than another's, of another hue: what was made up between them is a slope."""
    both = colours([0.25, 0.17, 0.14], [0.42, 0.32, 0.24])
    hair = torch.ones(COLUMNS * ROWS, dtype=torch.bool)
    as_cloth = shade_gain(both, KNOWN, strip).view(COLUMNS, ROWS, 3)[COLUMNS // 2].mean()
    as_hair = shade_gain(both, KNOWN, strip, hair).view(COLUMNS, ROWS, 3).mean((1, 2))
    assert as_cloth > 0.9
    assert as_hair[COLUMNS // 2] < 0.7
    assert (as_hair[COLUMNS // 2 + 1 :] >= as_hair[COLUMNS // 2 : -1] - 1e-4).all()
    beside = shade_gain(both, KNOWN, strip, hair & KNOWN).view(COLUMNS, ROWS, 3)[COLUMNS // 2].mean()
    assert beside == pytest.approx(float(as_cloth))
