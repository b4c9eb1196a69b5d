"""Two people whose mask is one: the networks' mask of either takes in the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from liquidwarp.recover.detection.detections import Detections, PackedMasks
from liquidwarp.recover.detection.landmarks import Pose
from liquidwarp.recover.detection.neighbours import is_same, others_place, own_place, to_body
from liquidwarp.recover.detection.regions import region_of_picture

from .discs import Discs, detector, draw

SIZE = (240, 160)
LEFT, RIGHT = (65.0, 80.0, 30.0), (165.0, 84.0, 27.0)
PER_METRE = 100.0


class Greedy(Discs):
    """A mask of one of them takes in everybody in view."""

    def pose(self, image):
        found = super().pose(image)
        mask = np.where(image[0].max(-1) > 0.3, 10, -10).astype(np.float32)
        return [*found[:2], mask[None, ..., None], *found[3:]]


def pixels(disc):
    y, x = np.mgrid[0:256, 0:384] * (SIZE[0] / 384) + 0.3
    return (x - disc[0]) ** 2 + (y - disc[1]) ** 2 < disc[2] ** 2


def iou(mask, truth):
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.mark.parametrize(("who", "neighbour"), [(LEFT, RIGHT), (RIGHT, LEFT)])
def test_a_mask_ends_where_a_neighbour_is(who, neighbour):
    seen = detector(Greedy()).detect_photo(draw(SIZE, LEFT, RIGHT), who[:2])
    assert seen.xy[0, 0].tolist() == pytest.approx(who[:2], abs=0.3)
    assert iou(seen.masks[0], pixels(who)) > 0.95
    assert iou(seen.others[0], pixels(neighbour)) > 0.95


def test_who_is_alone_keeps_the_whole_mask():
    seen = detector(Greedy()).detect_photo(draw(SIZE, LEFT))
    assert seen.others is None
    assert iou(seen.masks[0], pixels(LEFT)) > 0.95


def standing(x, mask, arm=None):
    """1.7 m tall, 100 px/m, with straight arms beside the body; the right wrist may be elsewhere [px]."""
    world = np.zeros((33, 3))
    places = {0: (0, -0.68), 7: (0.07, -0.7), 8: (-0.07, -0.7), 2: (0.03, -0.7), 5: (-0.03, -0.7)}
    for side, sign in ((0, 1), (1, -1)):
        joints = ((11, 0.18, -0.5), (13, 0.22, -0.22), (15, 0.24, 0.04), (17, 0.24, 0.1), (19, 0.24, 0.1))
        legs = ((23, 0.1, 0), (25, 0.1, 0.42), (27, 0.1, 0.85), (29, 0.1, 0.9), (31, 0.1, 0.95))
        places |= {index + side: (sign * along, down) for index, along, down in (*joints, *legs)}
    for index, place in places.items():
        world[index, :2] = place
    xy = world[:, :2] * PER_METRE + (x, 90.0)
    if arm is not None:
        xy[16] = xy[20] = arm
    region = region_of_picture(*SIZE)
    return Pose(region, region, 1.0, xy, world, np.ones(33), mask)


EVERYWHERE = np.full((256, 256), 5.0)


def test_distances_are_metres_to_the_body():
    away = to_body(standing(100.0, EVERYWHERE), SIZE, SIZE)
    assert away[60, 100] == 0
    assert away[60, 160] == pytest.approx(0.6 - 0.20 - 0.06, abs=0.03)
    assert away[5, 100] == pytest.approx((90 - 69 - 5) / PER_METRE - 0.13, abs=0.03)


def test_of_two_masks_that_are_one_the_nearer_body_wins():
    one, other = standing(80.0, EVERYWHERE), standing(150.0, EVERYWHERE)
    theirs = others_place(one, [other], SIZE, SIZE)
    assert not theirs[30:150, :105].any()
    assert theirs[30:150, 125:].all()
    assert not own_place(one, SIZE, SIZE)[:, 125:].any()


def test_a_hand_on_a_neighbour_stays_with_the_surer_mask():
    sure, unsure = EVERYWHERE + 1, EVERYWHERE
    reaching = standing(80.0, sure, arm=(145.0, 70.0))
    assert not others_place(reaching, [standing(150.0, unsure)], SIZE, SIZE)[69:72, 140:145].any()
    assert others_place(standing(150.0, unsure), [reaching], SIZE, SIZE)[69:72, 140:145].all()


def test_one_person_found_twice_is_the_same():
    one = standing(80.0, EVERYWHERE)
    assert is_same(one, replace(one, xy=one.xy + 3))
    assert not is_same(one, standing(110.0, EVERYWHERE))


def test_others_are_kept_with_the_detections():
    mask = np.zeros((1, 256, 384), bool)
    seen = detector().detect_photo(draw(SIZE, LEFT))
    beside = replace(seen, others=PackedMasks.pack(~mask))
    read = Detections.from_tensors(*beside.to_tensors())
    assert read.others is not None
    assert read.others[0].all()
    assert Detections.from_tensors(*seen.to_tensors()).others is None
    both = Detections.joined([seen, beside])
    assert both.others is not None
    assert [both.others[frame].any() for frame in (0, 1)] == [False, True]
    assert both.select(torch.tensor([1])).others[0].all()
