"""The causal smoothing against known series, and the live fit on the demo's photo, moved."""

import math

import cv2
import numpy as np
import pytest
import torch

from liquidwarp.recover.live import LiveBody, OneEuro
from liquidwarp.weights import ASSETS


def smoothed(values, seconds=1 / 30, least=1.0, rise=1.0):
    """A series of numbers through the filter."""
    filtered, result = OneEuro(least, rise), [values[0]]
    for value in values[1:]:
        change = torch.tensor([value - result[-1]])
        result.append(result[-1] + float(filtered.share(change, seconds) * change))
    return np.array(result)


def test_what_stands_still_does_not_tremble():
    noise = np.random.default_rng(0).normal(0, 0.01, 300)
    assert smoothed(noise)[50:].std() < 0.6 * 0.01


def test_what_moves_fast_does_not_lag():
    ramp = 4.0 * np.arange(120) / 30
    assert (ramp - smoothed(ramp))[60:].max() < 0.25
    assert (ramp - smoothed(ramp, rise=0.0))[60:].max() > 0.4, "a fixed filter would"


def test_the_share_knows_the_time():
    change = torch.tensor([[0.1, 0.0, 0.0]])
    shares = [float(OneEuro(1.0, 0.0).share(change, seconds)) for seconds in (1 / 60, 1 / 30, 10.0)]
    assert shares == sorted(shares)
    assert shares[1] == pytest.approx(1 / (1 + 30 / (2 * math.pi)))
    assert shares[2] > 0.98


@pytest.fixture(scope="module")
def photo():
    return cv2.cvtColor(cv2.imread(str(ASSETS / "demo" / "front.jpg")), cv2.COLOR_BGR2RGB)[::2, ::2].copy()


def test_a_body_is_followed(photo, anny):
    """The person walks 6 px a frame to the right, is lost for a while, and is found again with the same shape."""
    live = LiveBody(anny)
    empty = np.full_like(photo, 128)
    assert live.step(empty, 0.0) is None
    found = [live.step(np.roll(photo, 6 * t, 1), 1 + t / 10) for t in range(5)]
    places = [float(body.camera.translation[0, 0]) for body in found]
    assert np.diff(places) == pytest.approx([6] * 4, abs=3.5)
    assert places[-1] - places[0] == pytest.approx(24, abs=6)
    assert all(torch.equal(body.betas, found[0].betas) for body in found)
    last = live.step(empty, 1.6)
    torch.testing.assert_close(last.rel_rotmats, found[-1].rel_rotmats)
    again = live.step(photo, 4.0)
    assert torch.equal(again.betas, found[0].betas)
    assert float(again.camera.translation[0, 0]) == pytest.approx(places[0], abs=4), "at once, not smoothed"
