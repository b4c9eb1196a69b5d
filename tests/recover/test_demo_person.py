"""The bundled networks on the one person whose truth is known: the demo's, who is rendered and belongs to nobody."""

import cv2
import numpy as np
import pytest

from liquidwarp.config import DetectConfig
from liquidwarp.recover.detection.detections import BODY_LANDMARKS
from liquidwarp.recover.mattes.matte import matte
from liquidwarp.recover.tracking.tracker import PersonDetector
from liquidwarp.weights import ASSETS

INDEX = {name: index for index, name in enumerate(BODY_LANDMARKS)}


def picture(name):
    return cv2.cvtColor(cv2.imread(str(ASSETS / "demo" / name)), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="module")
def detector():
    return PersonDetector(DetectConfig(threads=1))


@pytest.fixture(scope="module")
def views(detector):
    return {name: detector.detect_photo(picture(f"{name}.jpg")) for name in ("front", "back")}


def truth(name):
    return cv2.imread(str(ASSETS / "demo" / f"{name}_matte.png"), cv2.IMREAD_GRAYSCALE) / 255


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


@pytest.mark.parametrize("name", ["front", "back"])
def test_landmarks_lie_on_the_person(views, name):
    on_person = cv2.dilate((truth(name) > 0.5).astype(np.uint8), np.ones((9, 9), np.uint8))
    x, y = views[name].xy[0].numpy().T.astype(int)
    assert on_person[y, x].mean() > 0.95
    assert iou(views[name].masks[0], cv2.resize(truth(name), (288, 384), interpolation=cv2.INTER_AREA) > 0.5) > 0.9


@pytest.mark.parametrize(("name", "left_is_right_of_right"), [("front", True), ("back", False)])
def test_left_and_right_are_the_persons_own(views, name, left_is_right_of_right):
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        for points in (views[name].xy[0], views[name].world[0]):
            left, right = points[INDEX[f"left_{part}"], 0], points[INDEX[f"right_{part}"], 0]
            assert bool(left > right) == left_is_right_of_right
    assert (views[name].hands_score > 0.5).all()
    hands = views[name].hands_xy[0, :, :, 0].mean(-1)
    assert bool(hands[0] > hands[1]) == left_is_right_of_right


def test_only_the_front_has_a_face(views):
    assert views["front"].face_score[0] > 0.9
    assert views["back"].face_score[0] == 0
    assert views["front"].visibility[0, INDEX["nose"]] > 0.9
    assert views["back"].visibility[0, INDEX["nose"]] <= 0.1


def test_a_shifted_picture_shifts_the_landmarks(detector, views):
    """By 13 px: the real network behind crop and heat maps is as exact as the drawn one."""
    moved = detector.detect_photo(np.roll(picture("front.jpg"), 13, axis=1))
    error = (moved.xy - views["front"].xy)[0, 11:].numpy() - (13, 0)
    assert np.abs(np.median(error, axis=0)).max() < 1.0
    assert np.linalg.norm(error, axis=1).max() < 0.01 * 820  # 1 % of the person's height


def test_a_mirrored_picture_mirrors_the_landmarks(detector, views):
    """A half-pixel error in the decoding would show as a mean offset."""
    rgb = np.ascontiguousarray(picture("front.jpg")[:, ::-1])
    mirrored, straight = detector.detect_photo(rgb).xy[0].numpy(), views["front"].xy[0].numpy()
    partner = list(range(len(BODY_LANDMARKS)))
    for name, index in INDEX.items():
        for side, other in (("left", "right"), ("right", "left")):
            if side in name:
                partner[index] = INDEX[name.replace(side, other)]
    total = mirrored[partner, 0] + straight[:, 0]
    assert np.median(total[11:]) == pytest.approx(rgb.shape[1], abs=3)
    assert np.abs(total[11:] - rgb.shape[1]).max() < 25


@pytest.mark.parametrize("turns", [1, 2])
def test_lying_and_standing_on_the_head(detector, views, turns):
    rgb = picture("front.jpg")
    turned = detector.detect_photo(np.ascontiguousarray(np.rot90(rgb, turns)))
    points, (height, width) = views["front"].xy[0].numpy(), rgb.shape[:2]
    for _ in range(turns):
        points = np.stack([points[:, 1], width - points[:, 0]], 1)
        width, height = height, width
    assert np.median(np.linalg.norm(turned.xy[0].numpy() - points, axis=1)) < 0.01 * 820


@pytest.mark.parametrize(("name", "finer"), [("front", True), ("back", False)])
def test_matte_matches_the_truth(detector, views, name, finer):
    rgb = picture(f"{name}.jpg")
    opacity = matte(rgb, views[name], coarse=detector.coarse_mask(rgb, views[name]) if finer else None)
    assert iou(opacity > 0.5, truth(name) > 0.5) > 0.975
    assert np.abs(opacity - truth(name)).mean() < 0.006


@pytest.mark.parametrize("name", ["front", "back"])
def test_nobody_else_is_found_however_near_one_looks(detector, name):
    """A part of the picture with half of the person in it was taken for somebody twice as large around both."""
    (person,) = detector.detect_people(picture(f"{name}.jpg"))
    assert person.height < 900
