from functools import partial

import pytest
import torch

from liquidwarp.errors import LiquidWarpError
from liquidwarp.geometry.warp import Flow, warp
from liquidwarp.learn.boxes import MovingBoxes
from liquidwarp.learn.datasets import choose_views, degrade_mattes
from liquidwarp.learn.feed import Feed, Places


def test_views_are_never_both_source_and_target():
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(30):
        sources, targets = choose_views(4, 2, 2, generator, first=False)
        assert sorted(sources + targets) == [0, 1, 2, 3]
        seen.add(tuple(sources))
    assert len(seen) > 6
    assert choose_views(4, 2, 2, generator, first=True) == ([0, 1], [2, 3])


def test_degraded_mattes_stay_within_a_pixel():
    matte = torch.zeros(64, 1, 128, 128)
    matte[..., 40:90, 30:100] = 1
    worse = degrade_mattes(matte, torch.Generator().manual_seed(0))
    assert worse.min() >= 0
    assert worse.max() <= 1
    assert (worse - matte).abs().sum() > 0
    assert (worse[..., 43:87, 33:97] == 1).all()
    assert (worse[..., :37, :] == 0).all()
    areas = worse.sum((1, 2, 3))
    assert areas.max() - areas.min() > 50


def test_degraded_outlines_wander():
    """Wider here and narrower there along one straight edge, by at most 3 pixels in 256."""
    matte = torch.zeros(8, 1, 256, 256)
    matte[..., 64:192, 64:192] = 1
    worse = degrade_mattes(matte, torch.Generator().manual_seed(0))
    assert torch.equal(worse[..., 67:189, 67:189], matte[..., 67:189, 67:189])
    assert (worse[..., :61] == 0).all()
    edges = worse[..., 80:176, 56:72].sum(-1)  # where the left edge is, row by row
    assert (edges.amax(-1) - edges.amin(-1)).mean() > 0.7


def test_boxes_have_exact_flows():
    sample = MovingBoxes(3, 2, 2, 64).samples(3)[0]
    target, seen = sample.targets, sample.targets.visible[:, :, :, None]
    for s in range(2):
        images = sample.sources.images[:, None, s].expand(-1, 2, -1, -1, -1)
        flow = Flow(target.grid[:, :, s].flatten(0, 1), target.valid.flatten(0, 1))
        warped = warp(images.flatten(0, 1), flow).view_as(sample.images)
        mask = seen[:, :, s]
        assert mask.mean() > 0.02
        error = ((warped - sample.images).abs() * mask).sum() / (3 * mask.sum())
        assert error < 0.06
        elsewhere = ((sample.sources.images[:, None, s] - sample.images).abs() * mask).sum() / (3 * mask.sum())
        assert elsewhere > 2 * error


def test_samples_repeat_and_differ():
    data = MovingBoxes(1, 1, 1, 32, seed=1)
    torch.testing.assert_close(data.samples(4)[0].images, data.samples(4)[0].images)
    assert (data.samples(4)[0].images != data.samples(5)[0].images).any()
    assert (MovingBoxes(1, 1, 1, 32, seed=2).samples(4)[0].images != data.samples(4)[0].images).any()


def test_feed_starts_anywhere():
    make = partial(MovingBoxes, 1, 2, 1, 32, reuse=3)
    with Feed(make, Places(reuse=3)) as feed:
        expected = [next(feed).images for _ in range(7)]
    with Feed(make, Places(reuse=3, start=4)) as feed:
        torch.testing.assert_close(next(feed).images, expected[4])
        next(feed)
        torch.testing.assert_close(next(feed).images, expected[6])


def test_feeds_of_several_trainings_share_the_batches():
    make = partial(MovingBoxes, 1, 1, 1, 32)
    for process in range(2):
        with Feed(make, Places(1, start=3, processes=2, process=process)) as feed:
            torch.testing.assert_close(next(feed).images, make().samples(6 + process)[0].images)


def test_workers_render_the_same_in_the_same_order():
    make = partial(MovingBoxes, 1, 1, 1, 32)
    with Feed(make, Places(1, start=2), workers=2) as feed:
        for index in range(2, 5):
            torch.testing.assert_close(next(feed).images, make().samples(index)[0].images)


def test_failure_of_a_worker_is_told():
    with Feed(partial(MovingBoxes, 1, 1, 1, "wide"), Places(1), workers=1) as feed, pytest.raises(LiquidWarpError):
        next(feed)
