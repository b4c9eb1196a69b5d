import numpy as np
import pytest

from liquidwarp.recover.detection.detections import BODY_LANDMARKS
from liquidwarp.recover.detection.hands_face import (
    FIRST_LOOKS,
    HAND_SIZE,
    FaceNetwork,
    HandNetwork,
    face_region,
    hand_region,
)
from liquidwarp.recover.detection.landmarks import Pose
from liquidwarp.recover.detection.regions import Region

PICTURE = np.zeros((400, 400, 3), np.uint8)
PALM = np.random.default_rng(0).uniform(0.3, 0.7, (21, 2))
PALM[0], PALM[9], PALM[5], PALM[13] = (0.5, 0.75), (0.5, 0.4), (0.4, 0.42), (0.6, 0.42)
PLACES = {
    "left_elbow": (300, 200),
    "left_wrist": (300, 260),
    "left_index": (305, 285),
    "left_pinky": (295, 285),
    "right_elbow": (100, 200),
    "right_wrist": (100, 260),
    "right_index": (95, 285),
    "right_pinky": (105, 285),
    "left_eye": (215, 60),
    "right_eye": (185, 60),
    "mouth_left": (210, 90),
    "mouth_right": (190, 90),
    "left_ear": (230, 65),
    "right_ear": (170, 65),
}


def pose(**changes):
    """A person whose landmarks lie at PLACES; ``visibility`` or places may be changed."""
    visibility = changes.pop("visibility", {})
    xy, seen = np.full((33, 2), 200.0), np.ones(33)
    for name, place in {**PLACES, **changes}.items():
        xy[BODY_LANDMARKS.index(name)] = place
    for name, value in visibility.items():
        seen[BODY_LANDMARKS.index(name)] = value
    whole = Region(200.0, 200.0, 400.0)
    return Pose(whole, whole, 1.0, xy, np.zeros((33, 3)), seen, np.zeros((256, 256)))


class Hands:
    """Always sees the same hand in the same place of the crop."""

    def __init__(self, score=0.9, right=0.5, palm=PALM):
        self.calls, self.score, self.right, self.palm = 0, score, right, palm

    def __call__(self, image):
        self.calls += 1
        flat = np.zeros((1, 21, 3), np.float32)
        flat[0, :, :2] = self.palm * HAND_SIZE
        world = np.zeros((1, 21, 3), np.float32)
        world[0, :, :2] = PALM - 0.5
        scalar = np.ones((1, 1), np.float32)
        return [flat.reshape(1, 63), self.score * scalar, self.right * scalar, world.reshape(1, 63)]


def test_hand_region_lies_around_the_knuckles_pointing_up():
    region = hand_region(pose(), "left")
    assert (region.x, region.y) == pytest.approx((301.7, 292), abs=1)
    assert abs(abs(region.angle) - np.pi) < 0.1  # the hand hangs down
    assert 80 < region.side < 130
    unit = region.to_unit(np.array([PLACES["left_wrist"], PLACES["left_index"]], float))
    assert unit[0, 1] > unit[1, 1]


def test_both_hands_are_found_with_two_looks_each_then_one():
    network = Hands()
    find = HandNetwork(network)
    left, right = find(PICTURE, pose())
    assert network.calls == 4
    assert left.xy[:, 0].mean() > 200 > right.xy[:, 0].mean()
    assert left.score == pytest.approx(0.9)
    assert left.world[:, 1].mean() == pytest.approx(-(PALM[:, 1] - 0.5).mean(), abs=0.02)  # turned by half
    find(PICTURE, pose(), (left, right))
    assert network.calls == 6


@pytest.mark.parametrize(
    "changes",
    [
        {"visibility": {"left_wrist": 0.1}},
        {"left_wrist": (300, 420)},
        {"left_elbow": (300, 255), "left_index": (301, 262), "left_pinky": (299, 262)},
    ],
)
def test_hidden_outside_and_tiny_hands_are_not_looked_at(changes):
    network = Hands()
    left, right = HandNetwork(network)(PICTURE, pose(**changes))
    assert left is None
    assert right is not None
    assert network.calls == 2


def test_a_hand_far_from_the_wrist_is_another_hand():
    in_a_corner = Hands(palm=0.2 * PALM)
    assert HandNetwork(in_a_corner)(PICTURE, pose()) == (None, None)


@pytest.mark.parametrize(("right", "kept"), [(0.9, 1), (0.1, 0)])
def test_one_hand_is_not_given_to_both_sides(right, kept):
    places = {f"right_{name}": PLACES[f"left_{name}"] for name in ("elbow", "wrist", "index", "pinky")}
    found = HandNetwork(Hands(right=right))(PICTURE, pose(**places))
    assert [hand is not None for hand in found] == [kept == 0, kept == 1]


def test_unsure_hands_get_one_look_a_size():
    network = Hands(score=0.05)
    left, _ = HandNetwork(network)(PICTURE, pose())
    assert network.calls == 2 * len(FIRST_LOOKS)
    assert left.score == pytest.approx(0.05)


def test_face_region_holds_the_face():
    region = face_region(pose())
    assert region.angle == pytest.approx(0)
    unit = region.to_unit(np.array([PLACES["left_eye"], PLACES["mouth_right"], PLACES["right_ear"]], float))
    assert unit.min() > 0.2
    assert unit.max() < 0.8


def faces(image):
    flat = np.zeros((1, 468, 3), np.float32)
    flat[0, :, 0], flat[0, :, 1] = 96, np.linspace(48, 144, 468)
    flat[0, 10, 1], flat[0, 152, 1] = 48, 144
    return [flat.reshape(1, 1, 1, -1), np.full((1, 1, 1, 1), 3, np.float32)]


def test_face_is_upright_and_scored():
    face = FaceNetwork(faces)(PICTURE, pose())
    assert face.score == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-6)
    assert face.xy[10, 1] < face.xy[152, 1]
    assert face.xy[:, 0] == pytest.approx(np.full(468, 200), abs=0.1)


def test_no_face_outside_of_the_picture_or_too_small():
    away = {name: (x, y - 200) for name, (x, y) in PLACES.items() if "eye" in name or "mouth" in name or "ear" in name}
    assert FaceNetwork(faces)(PICTURE, pose(**away)) is None
    tiny = {name: (200 + (x - 200) / 10, 60 + (y - 60) / 10) for name, (x, y) in PLACES.items() if name in away}
    assert FaceNetwork(faces)(PICTURE, pose(**tiny)) is None
