from dataclasses import replace

import cv2
import numpy as np
import pytest

from liquidwarp.errors import NoPersonFoundError, ShapeError
from liquidwarp.recover.detection.detections import PackedMasks
from liquidwarp.recover.detection.sightings import collect
from liquidwarp.recover.mattes.matte import CoarseMask, closed_form_matte, foreground_colours, matte

SIZE = (360, 300)
CENTRE, RADIUS = (180.0, 150.0), 90.0


def textured(colour, seed):
    noise = np.random.default_rng(seed).normal(0, 12, (SIZE[1], SIZE[0], 3))
    return np.clip(np.array(colour) + cv2.GaussianBlur(noise, (0, 0), 1.0), 0, 255)


def true_opacity(radius=RADIUS, soft=1.0):
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]] + 0.5
    distance = np.hypot(x - CENTRE[0], y - CENTRE[1])
    return np.clip((radius - distance) / soft + 0.5, 0, 1)


PERSON, BACKGROUND = textured((190, 90, 60), 0), textured((60, 110, 140), 1)


def photo(opacity):
    return np.rint(PERSON * opacity[..., None] + BACKGROUND * (1 - opacity[..., None])).astype(np.uint8)


def detected(opacity):
    """Detections whose mask is the truth at 256 px, grown by one of its pixels and frayed."""
    size = (256, round(256 * SIZE[1] / SIZE[0]))
    mask = cv2.resize(opacity.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    mask = cv2.dilate((mask > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=1) > 0
    frayed = mask & (np.random.default_rng(2).random(mask.shape) > 0.02)
    return replace(collect([None], SIZE, 0.0), masks=PackedMasks.pack(frayed[None]))


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


def test_a_disc_is_cut_out_to_the_pixel():
    truth = true_opacity(soft=3.0)
    opacity = matte(photo(truth), detected(truth))
    rough = cv2.resize(detected(truth).masks[0].astype(np.uint8), SIZE) > 0
    assert iou(rough, truth > 0.5) < 0.95
    assert iou(opacity > 0.5, truth > 0.5) > 0.985
    assert np.abs(opacity - truth).mean() < 0.004
    edge = (truth > 0.2) & (truth < 0.8)
    assert np.abs(opacity - truth)[edge].mean() < 0.15  # soft where the truth is soft
    assert 0.3 < ((opacity > 0.05) & (opacity < 0.95)).sum() / ((truth > 0.05) & (truth < 0.95)).sum() < 2.5


def test_no_holes_and_no_speckles():
    truth = true_opacity()
    detections = detected(truth)
    speckled = detections.masks[0]
    speckled[10:30, 10:30] = True
    opacity = matte(photo(truth), replace(detections, masks=PackedMasks.pack(speckled[None])))
    assert opacity[true_opacity(RADIUS - 12) > 0.5].min() == 1
    assert opacity[true_opacity(RADIUS + 20) < 0.5].max() == 0
    assert cv2.connectedComponents((opacity > 0.5).astype(np.uint8))[0] == 2


def test_what_the_coarse_mask_leaves_open_is_settled_by_colour():
    truth = true_opacity()
    probability = truth.astype(np.float32)
    probability[:, 200:240] = 0.5 * (probability[:, 200:240] > 0.5)  # half sure of a stripe of the person
    opacity = matte(photo(truth), detected(truth), coarse=CoarseMask(probability, 2.0))
    assert iou(opacity > 0.5, truth > 0.5) > 0.97


def test_the_photos_own_alpha_wins():
    truth = true_opacity(soft=8.0)
    alpha = np.rint(255 * truth).astype(np.uint8)
    opacity = matte(photo(true_opacity()), detected(true_opacity()), alpha=alpha)
    assert np.abs(opacity - truth).max() < 0.01
    opaque = np.full_like(alpha, 255)
    assert not np.allclose(matte(photo(truth), detected(truth), alpha=opaque), 1)


def test_what_is_far_from_the_body_is_faded_out():
    truth = true_opacity()
    body = true_opacity(60) > 0.5
    opacity = matte(photo(truth), detected(truth), body_mask=body)
    assert opacity[body].min() == 1
    reach = 0.12 * 120
    assert opacity[true_opacity(60 + reach - 3) > 0.5].min() > 0.95
    assert opacity[true_opacity(60 + 1.25 * reach + 3) < 0.5].max() == 0


def test_wrong_sizes_and_empty_frames_are_named():
    truth = true_opacity()
    detections = detected(truth)
    with pytest.raises(ShapeError, match=r"rgb of 360 x 300 px, got 50 x 40"):
        matte(np.zeros((40, 50, 3), np.uint8), detections)
    with pytest.raises(ShapeError, match="coarse of 360 x 300"):
        matte(photo(truth), detections, coarse=CoarseMask(np.zeros((40, 50), np.float32), 1.0))
    with pytest.raises(NoPersonFoundError, match="frame 0, found none"):
        matte(photo(truth), collect([None], SIZE, 0.0))


def test_closed_form_solves_a_known_mix():
    """Two flat colours: every opacity in between can be read off."""
    truth = np.tile(np.clip(np.linspace(-1, 2, 60), 0, 1), (40, 1))
    image = (truth[..., None] * [0.9, 0.2, 0.1] + (1 - truth[..., None]) * [0.1, 0.3, 0.8]).astype(np.float32)
    unknown = np.zeros((40, 60), bool)
    unknown[:, 15:45] = True
    prior = np.tile(np.where(np.arange(60) < 30, 0.0, 1.0), (40, 1)).astype(np.float32)
    prior[unknown] = 0.5  # no opinion
    solved = closed_form_matte(image, prior, unknown)
    assert np.abs(solved - truth).mean() < 0.03
    assert np.array_equal(closed_form_matte(image, prior, np.zeros_like(unknown)), prior > 0.5)


def test_foreground_colours_are_free_of_background():
    truth = true_opacity(soft=6.0)
    colours = foreground_colours(photo(truth), truth.astype(np.float32))
    assert np.array_equal(colours[truth >= 0.95], photo(truth)[truth >= 0.95])
    for ring in ((truth > 0.3) & (truth < 0.95), (truth == 0) & (true_opacity(RADIUS + 15) > 0.5)):
        mixed, own = (np.abs(picture[ring] - PERSON[ring]).mean() for picture in (photo(truth), colours))
        assert own < 12
        assert own < 0.6 * mixed
    rough = PERSON + np.random.default_rng(3).normal(0, 30, PERSON.shape)
    mixed = np.clip(np.rint(rough * truth[..., None] + BACKGROUND * (1 - truth[..., None])), 0, 255).astype(np.uint8)
    ring = (truth > 0.6) & (truth < 0.95)
    solved, nearest = (foreground_colours(mixed, values) for values in (truth, np.where(truth >= 0.95, truth, 0)))
    error, plain = (np.abs(colours[ring] - rough[ring]).mean() for colours in (solved, nearest))
    assert error < 0.8 * plain  # the pixel's own share counts
    empty = foreground_colours(photo(truth), np.zeros(SIZE[::-1], np.float32))
    assert np.array_equal(empty, photo(truth))


def test_a_gap_that_the_mask_has_closed_is_opened_near_the_borders_of_limbs():
    truth = true_opacity()
    open_truth = truth.copy()
    open_truth[125:175, 102:110] = 0
    borders = np.zeros(truth.shape, bool)
    borders[115:185, 98:114] = True
    opened = matte(photo(open_truth), detected(truth), borders=borders)
    assert opened[130:170, 104:108].mean() < 0.1
    assert iou(opened > 0.5, open_truth > 0.5) > 0.97
    assert matte(photo(open_truth), detected(truth))[130:170, 104:108].mean() > 0.7


def test_an_uncertain_shirt_within_the_body_is_the_person_s():
    body = true_opacity() > 0.5
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    probability = np.where(body, np.where(y < CENTRE[1], 1.0, 0.45), 0.0).astype(np.float32)
    hole = np.hypot(x - CENTRE[0], y - CENTRE[1] - 40) < 12
    bite = body & (x < CENTRE[0] - 45) & (y > CENTRE[1])
    probability[hole | bite] = 0.0
    backed = CoarseMask(probability, 1.4).with_body(body).probability
    shirt = (np.hypot(x - CENTRE[0], y - CENTRE[1]) < RADIUS - 10) & (y > CENTRE[1]) & ~hole & (x > CENTRE[0] - 40)
    assert backed[shirt].min() > 0.9, "sure"
    assert np.allclose(backed[hole & (np.hypot(x - CENTRE[0], y - CENTRE[1] - 40) < 8)], 0.4), (
        "colours decide in a hole"
    )
    assert backed[bite & (x < CENTRE[0] - 60)].max() == 0, "what is open to the outside stays outside"
    assert np.array_equal(backed[~body], probability[~body])


def test_a_shirt_in_the_background_s_colours_is_kept_where_the_body_is():
    truth = true_opacity(soft=2.0)
    y, _ = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    picture = photo(truth)
    shirt = (truth > 0.5) & (y > CENTRE[1] + 20)
    picture[shirt] = np.rint(BACKGROUND[shirt] * 0.9)
    coarse = CoarseMask(np.where(shirt, 0.45, truth).astype(np.float32), 1.4)
    plain = matte(picture, detected(truth), coarse=coarse)
    backed = matte(picture, detected(truth), coarse=coarse.with_body(truth > 0.5))
    assert iou(backed > 0.5, truth > 0.5) > 0.97 > 0.9 > iou(plain > 0.5, truth > 0.5)
