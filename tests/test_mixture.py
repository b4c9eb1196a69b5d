"""How the photos' pixels and the network's come together."""

from dataclasses import replace

import pytest
import torch

from liquidwarp.mixture import as_known, common_outline, keep_photos, learned_outline, likely_colours
from liquidwarp.types import TargetFlow


def _flow(matte: torch.Tensor, colour: float) -> TargetFlow:
    """A warp of one colour that one source sees wherever it is opaque."""
    _, _, height, width = matte.shape
    return TargetFlow(
        grid=torch.zeros(1, 1, height, width, 2),
        valid=matte > 0,
        visible=matte.clone(),
        condition=torch.zeros(1, 8, height, width),
        texture=colour * matte.expand(-1, 3, -1, -1),
        texture_matte=matte,
    )


def _bar(left: int, right: int) -> torch.Tensor:
    matte = torch.zeros(1, 1, 64, 64)
    matte[..., left:right] = 1
    return matte


def test_colours_are_halfway_where_a_photo_shows_the_place():
    picture, opacity = keep_photos(_flow(_bar(16, 48), 0.8), torch.full((1, 3, 64, 64), 0.7), _bar(16, 48))
    assert torch.allclose(picture[..., 20:44], torch.tensor(0.75))
    assert torch.equal(opacity > 0.5, _bar(16, 48) > 0.5)


def test_what_no_photo_shows_is_halfway_too_unless_the_network_knows_the_person():
    flow = replace(_flow(_bar(16, 48), 0.8), visible=torch.zeros(1, 1, 64, 64))
    colour, own = torch.full((1, 3, 64, 64), 0.7), _bar(16, 48)
    assert torch.allclose(keep_photos(flow, colour, own)[0][..., 20:44], torch.tensor(0.75))
    assert torch.allclose(as_known(flow, colour, own, 4)[0][..., 20:44], torch.tensor(0.7))


@pytest.mark.parametrize("times", [1, 4])
def test_outlines_are_as_soft_as_photos_at_every_size(times):
    bar = _bar(16, 48).repeat_interleave(times, -1).repeat_interleave(times, -2)
    size = 64 * times
    row = keep_photos(_flow(bar, 0.8), torch.full((1, 3, size, size), 0.4), bar)[1][0, 0, size // 2]
    assert 0.1 < float(row[16 * times - 1]) < 0.25 < 0.75 < float(row[16 * times]) < 0.9
    assert float(row.sum()) == pytest.approx(32 * times)


def test_the_warp_s_colours_go_on_beyond_its_outline_and_the_network_s_begin_farther_out():
    picture, _ = keep_photos(_flow(_bar(16, 40), 0.8), torch.full((1, 3, 64, 64), 0.1), _bar(16, 60))
    assert torch.allclose(picture[..., 40], torch.tensor(0.8), atol=1e-3)
    assert torch.allclose(picture[..., 50:60], torch.tensor(0.1))


def test_near_the_network_s_outline_the_mean_decides():
    own, warped = _bar(16, 40), _bar(16, 41)
    opacity = common_outline(0.9 * own, warped)
    assert torch.allclose(opacity[..., 16], torch.tensor((0.95 - 0.5) * 1.6 + 0.5).clamp(max=1))
    assert torch.allclose(opacity[..., 40], torch.tensor(0.5))
    assert (opacity[..., :16] == 0).all()


def test_outlines_far_apart_have_an_edge_halfway_and_no_ghost():
    own, warped = _bar(16, 46), _bar(16, 40)
    own, warped = (bar.repeat_interleave(8, -1).repeat_interleave(8, -2) for bar in (own, warped))
    row = common_outline(own[..., :340], warped[..., :340])[0, 0, 256]
    assert (row[128:320] == 1).all()
    wide = _bar(16, 40).repeat_interleave(8, -1).repeat_interleave(8, -2), torch.zeros(1, 1, 512, 512)
    wide[1][..., 128:332] = 1
    edge = common_outline(*wide)[0, 0, 256, 320:332]
    assert ((edge > 0.1) & (edge < 0.9)).sum() <= 1
    assert float(edge.sum()) == pytest.approx(6, abs=1)


def test_holes_and_tatters_of_the_warp_are_gone():
    own, warped = _bar(16, 40), _bar(16, 40)
    warped[..., 20:30, 24:30] = 0
    warped[..., 10:20, 52:60] = 1
    opacity = common_outline(own, warped)
    assert (opacity[..., 20:30, 24:30] == 1).all()
    assert (opacity[..., 10:20, 52:60] == 0).all()
    assert torch.equal(opacity[..., :40], own[..., :40])


def test_a_known_person_s_outline_is_that_of_both():
    own, warped = _bar(16, 40), _bar(16, 41)
    warped[..., 10:20, 52:60] = 1
    flow = _flow(warped, 0.8)
    colour = torch.full((1, 3, 64, 64), 0.7)
    assert torch.equal(as_known(flow, colour, own, 4)[1], keep_photos(flow, colour, own)[1])
    assert (as_known(flow, colour, own, 4)[1][..., 52:60] == 0).all(), "tatters are the warp's alone"


def test_from_512_px_on_the_outline_learned_from_several_photos_is_its_network_s_with_a_little_of_the_warp_s():
    own, warped, tattered = (
        _bar(16, right).repeat_interleave(8, -1).repeat_interleave(8, -2) for right in (40, 41, 41)
    )
    tattered[..., 80:160, 440:480] = 1
    flow, colour = _flow(warped, 0.8), torch.full((1, 3, 512, 512), 0.7)
    row = as_known(flow, colour, own, 4)[1][0, 0, 256]
    assert torch.allclose(row[135:315], torch.tensor(1.0))
    assert (row[:120] == 0).all()
    assert float(row.sum()) == pytest.approx(192 + 0.3 * 8, abs=0.5), "a part of what the warp adds"
    assert torch.equal(learned_outline(own, tattered), learned_outline(own, warped))
    alone = as_known(flow, colour, own, 1)[1]
    assert torch.equal(alone, keep_photos(flow, colour, own)[1])
    assert float(alone[0, 0, 256].sum()) == pytest.approx(192 + 0.5 * 8, abs=0.5), "one photo teaches too little"


def test_a_known_person_s_network_is_trusted_where_it_sees_the_person():
    """Beyond the warp's outline too; what it takes for the background has no colours of its own."""
    own = _bar(16, 48)
    own[..., 24:28] = 0
    colour = torch.full((1, 3, 64, 64), 0.1)
    picture, _ = as_known(_flow(_bar(16, 40), 0.9), colour, own, 4)
    assert torch.allclose(picture[..., 30:40], torch.tensor(0.5)), "halfway, however far apart"
    assert torch.allclose(picture[..., 40:48], torch.tensor(0.1)), "the warp's colours do not go on"
    assert torch.allclose(picture[..., 24:28], torch.tensor(0.9)), "a strip that the network does not see is the warp's"
    mixed, _ = keep_photos(_flow(_bar(16, 40), 0.9), colour, own)
    assert float(mixed[..., 30:40].min()) > 0.8, "of a network that does not know the person less is taken"


def test_blocks_of_strange_colours_give_way_to_the_warp_and_small_differences_stay():
    flow = _flow(_bar(16, 48), 0.5)
    colour = torch.full((1, 3, 64, 64), 0.6)
    colour[:, 1, :, 30:40] = 0.95
    colour[:, :, :, 52:56] = 1
    likely = likely_colours(flow, colour)
    assert torch.allclose(likely[..., 30:40], torch.tensor(0.5))
    kept = torch.ones(64, dtype=torch.bool)
    kept[30:40] = False
    assert torch.equal(likely[..., kept], colour[..., kept]), "nor anything where the warp draws nothing"


def test_a_hand_that_was_learned_as_tatters_has_the_common_outline():
    size = 512
    flow = _flow(_bar(16, 48).repeat_interleave(8, -1).repeat_interleave(8, -2), 0.9)
    faint = 0.4 * flow.texture_matte
    hands = torch.zeros(1, 1, size, size)
    hands[..., : size // 2, :] = 1
    colour = torch.full((1, 3, size, size), 0.5)
    plain, drawn = (as_known(flow, colour, faint, 4, known)[1] for known in (None, hands))
    common = keep_photos(flow, colour, faint)[1]
    torch.testing.assert_close(drawn[..., :250, :], common[..., :250, :])
    torch.testing.assert_close(drawn[..., 262:, :], plain[..., 262:, :])
