from dataclasses import replace

import numpy as np
import pytest

from liquidwarp.config import DetectConfig
from liquidwarp.errors import NoPersonFoundError, SettingError, ShapeError
from liquidwarp.recover.detection.choice import choose_person, parse_choice
from liquidwarp.recover.detection.contrast import legible
from liquidwarp.recover.detection.hands_face import Face
from liquidwarp.recover.tracking import tracker
from liquidwarp.recover.tracking.overlooked import belief_in_close_up

from .discs import RIM, Discs, detector, draw

SIZE = (240, 160)
LARGE, MIDDLE, SMALL = (60.0, 80.0, 30.0), (140.0, 90.0, 24.0), (200.0, 60.0, 18.0)
RED, BLUE = (255, 40, 40), (40, 40, 255)


@pytest.fixture(scope="module")
def crowd():
    return draw(SIZE, LARGE, MIDDLE, SMALL)


def test_everybody_is_found_once_largest_first(crowd):
    people = detector().detect_people(crowd)
    assert [pose.xy[0] for pose in people] == [pytest.approx(disc[:2], abs=0.1) for disc in (LARGE, MIDDLE, SMALL)]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [(None, LARGE), (1, LARGE), (2, MIDDLE), (3, SMALL), ((205.0, 65.0), SMALL), ((130.0, 100.0), MIDDLE)],
)
def test_choice_of_person(crowd, choice, expected):
    detections = detector().detect_photo(crowd, choice)
    assert detections.found.tolist() == [True]
    assert detections.xy[0, 0].tolist() == pytest.approx(expected[:2], abs=0.1)
    assert detections.fps == 0
    assert detections.image_size == SIZE


def test_photo_is_measured_exactly():
    detections = detector().detect_photo(draw(SIZE, (100.3, 70.8, 30.0)))
    assert np.abs(detections.xy[0].numpy() - (100.3, 70.8) - 30 * RIM).max() < 0.3
    mask = detections.masks[0]
    assert mask.shape == (256, 384)
    rows, columns = np.nonzero(mask)
    scale = 240 / 384
    assert (columns.mean() + 0.5) * scale == pytest.approx(100.3, abs=0.2)
    assert (rows.mean() + 0.5) * scale == pytest.approx(70.8, abs=0.2)
    assert np.sqrt(mask.sum() / np.pi) * scale == pytest.approx(30, rel=0.03)


def test_small_people_are_found_in_parts_of_the_picture():
    picture = draw((400, 300), (303.0, 77.0, 11.0))
    networks = Discs(smallest=14.0)  # the whole picture is shrunk to 224 px: 6 px are left of the radius
    assert detector(networks).detect_people(picture, everybody=False) == []
    (person,) = detector(networks).detect_people(picture)
    assert person.xy[0] == pytest.approx((303, 77), abs=0.1)


class Fanciful(Discs):
    """Takes a shape for a person, but only at first sight."""

    def finder(self, image):
        offsets, logits = super().finder(image)
        return [offsets, logits if self.calls["finder"] == 1 else np.full_like(logits, -20)]


def test_only_who_is_found_in_a_second_look_is_a_person():
    picture = draw(SIZE, LARGE)
    assert len(detector(Discs()).detect_people(picture)) == 1
    assert detector(Fanciful()).detect_people(picture) == []


def test_a_place_means_who_is_there_not_whose_box_is_nearer(monkeypatch):
    """The smaller one stretches an arm far out: the middle of her landmarks is farther away than the larger one's."""
    large, small = (100.0, 80.0, 40.0), (158.0, 80.0, 17.0)
    finder = detector()
    first, second = finder.detect_people(draw(SIZE, large, small))
    stretched = second.xy.copy()
    stretched[15] = (236.0, 80.0)
    people = [first, replace(second, xy=stretched)]
    monkeypatch.setattr(finder, "detect_people", lambda rgb, everybody=True: people)
    assert finder.find(draw(SIZE, large, small), (143.0, 80.0)) is people[1]
    assert finder.find(draw(SIZE, large, small), (130.0, 80.0)) is people[0]


class Shy(Discs):
    """Sees but the largest one of a picture."""

    def finder(self, image):
        offsets, logits = super().finder(image)
        best = int(np.where(logits[0, :, 0] > 0, np.abs(offsets[0, :, 2]), 0).argmax())
        kept = np.full_like(logits, -20)
        kept[0, best] = logits[0, best]
        return [offsets, kept]


def test_who_is_hidden_by_others_is_found_when_they_are_painted_over(crowd):
    assert len(detector(Shy()).detect_people(crowd, everybody=False)) == 1
    people = detector(Shy()).detect_people(crowd)
    assert [pose.xy[0] for pose in people] == [pytest.approx(disc[:2], abs=0.3) for disc in (LARGE, MIDDLE, SMALL)]


class Blind(Discs):
    """Overlooks everybody."""

    def finder(self, image):
        offsets, logits = super().finder(image)
        return [offsets, np.full_like(logits, -20)]


@pytest.mark.parametrize("there", [LARGE, MIDDLE])
def test_who_is_overlooked_is_found_where_somebody_points(crowd, there):
    blind = detector(Blind())
    assert blind.detect_people(crowd) == []
    assert blind.find(crowd, there[:2]).xy[0] == pytest.approx(there[:2], abs=0.3)
    with pytest.raises(NoPersonFoundError, match="found nobody"):
        blind.find(crowd, (5.0, 150.0))
    video = follow([crowd] * 3, choice=there[:2], networks=Blind())
    assert video.found.all()
    assert video.xy[2, 0].tolist() == pytest.approx(there[:2], abs=0.3)


class Doubtful(Discs):
    """Believes in nobody, but hints at everybody in some of its looks."""

    def __init__(self, hints=lambda look: True):
        super().__init__()
        self.hints = hints

    def finder(self, image):
        offsets, logits = super().finder(image)
        return [offsets, np.where(logits > 0, np.float32(-0.85 if self.hints(self.calls["finder"]) else -20), logits)]


MIDST = (120.0, 80.0, 40.0)
SEARCH, HINTING = 80, 22
"""Looks of the usual search in such a picture, and of the search for hints behind it; then come the second looks."""


def test_whom_many_hints_mean_and_half_a_belief_is_found():
    rgb = draw(SIZE, MIDST)
    finder = detector(Doubtful())
    assert finder.detect_people(rgb) == []
    assert finder.find(rgb, None).xy[0] == pytest.approx(MIDST[:2], abs=0.3)


@pytest.mark.parametrize(
    "hints",
    [lambda look: look <= SEARCH + HINTING, lambda look: look > SEARCH + HINTING - 4],
    ids=["many hints, no belief", "belief, few hints"],
)
def test_hints_or_belief_alone_are_not_enough(hints):
    with pytest.raises(NoPersonFoundError, match="found nobody"):
        detector(Doubtful(hints)).find(draw(SIZE, MIDST), None)


def test_few_levels_are_spread_before_anybody_is_looked_for():
    bright, dark = draw(SIZE, LARGE), draw(SIZE, LARGE) // 12
    assert detector().detect_people(dark) == []
    assert detector().detect_photo(dark).xy[0, 0].tolist() == pytest.approx(LARGE[:2], abs=0.3)
    assert legible(bright) is bright
    assert np.abs(legible(dark).astype(int) - bright).max() < 20
    assert legible(np.full((8, 8, 3), 7, np.uint8)).max() == 7


def test_messages_say_what_to_do(crowd):
    finder = detector()
    with pytest.raises(NoPersonFoundError, match=r"found nobody.*whole body"):
        finder.detect_photo(draw(SIZE))
    with pytest.raises(NoPersonFoundError, match=r"expected person 4, found 3 people\. Choose a number from 1"):
        finder.detect_photo(crowd, 4)
    with pytest.raises(NoPersonFoundError, match=r"at \(5, 5\) px, found 3 people at \(60, 80\), \(140, 90\)"):
        finder.detect_photo(crowd, (5.0, 5.0))
    with pytest.raises(NoPersonFoundError, match="at least 64 px high, found one of 60 px"):
        detector(min_height=64.0).detect_photo(crowd)
    with pytest.raises(NoPersonFoundError, match=r"found 1 person\. Choose 1, or"):
        choose_person(finder.detect_people(draw(SIZE, LARGE)), 2, 20.0)


def test_choices_are_read():
    assert parse_choice("largest") is None
    assert parse_choice("2") == 2
    assert parse_choice("640, 360.5") == (640.0, 360.5)
    for text in ("0", "-1", "1.5", "left", "1,2,3", "", "nan,1"):
        with pytest.raises(SettingError, match="person: expected"):
            parse_choice(text)


@pytest.mark.parametrize(
    ("name", "value"), [("threads", -1), ("detection_threshold", 0.0), ("pose_threshold", 1.0), ("min_height", 0.0)]
)
def test_settings_are_checked(name, value):
    with pytest.raises(SettingError, match=f"detect.{name}"):
        DetectConfig(**{name: value})


def follow(pictures, choice=None, networks=None, size=SIZE):
    return detector(networks).detect_frames(iter(pictures), size, 25.0, choice)


def test_a_moving_person_is_followed_without_detecting_again():
    networks = Discs()
    places = [(60 + 5 * t, 80.0) for t in range(10)]
    detections = follow([draw(SIZE, (*place, 25.0)) for place in places], networks=networks)
    assert detections.found.all()
    assert np.abs(detections.xy[:, 0].numpy() - places).max() < 0.1
    assert networks.calls["finder"] == 2 + 2  # to begin with a look and a second one, then for others near by
    assert networks.calls["pose"] == 2 + 9
    assert detections.fps == 25


def test_the_chosen_person_stays_the_chosen_one():
    """The smaller one was chosen; both pass each other above and below."""
    frames = [draw(SIZE, (60 + 10 * t, 50.0, 30.0, RED), (180 - 10 * t, 115.0, 25.0, BLUE)) for t in range(13)]
    detections = follow(frames, choice=(180.0, 115.0))
    assert detections.found.all()
    assert detections.xy[-1, 0].tolist() == pytest.approx((60, 115), abs=0.2)


def test_a_lost_person_is_found_again_by_place_and_colour():
    both = [draw(SIZE, (60.0, 80.0, 30.0, BLUE), (180.0, 80.0, 35.0, RED))] * 3
    gone = [draw(SIZE, (180.0, 80.0, 35.0, RED))] * 4
    back = [draw(SIZE, (75.0, 80.0, 30.0, BLUE), (180.0, 80.0, 35.0, RED))] * 3
    detections = follow(both + gone + back, choice=2)
    assert detections.found.tolist() == [True] * 3 + [False] * 4 + [True] * 3
    assert not detections.xy[3:7].any()
    assert not detections.masks[4].any()
    assert detections.xy[-1, 0].tolist() == pytest.approx((75, 80), abs=0.2)


def test_whoever_hides_the_person_is_not_the_person():
    both = [draw(SIZE, (100.0, 80.0, 28.0, BLUE), (160.0, 80.0, 30.0, RED))] * 2
    hidden = [draw(SIZE, (104.0, 80.0, 30.0, RED))] * 3
    after = [draw(SIZE, (100.0, 80.0, 28.0, BLUE), (40.0, 80.0, 30.0, RED))] * 2
    detections = follow(both + hidden + after, choice=2)
    assert detections.found.tolist() == [True] * 2 + [False] * 3 + [True] * 2
    assert detections.xy[-1, 0].tolist() == pytest.approx((100, 80), abs=0.2)


def test_a_change_of_light_loses_nobody():
    frames = [draw(SIZE, (100.0, 80.0, 28.0, colour)) for colour in (BLUE, BLUE, RED, BLUE, RED)]
    assert follow(frames).found.all()


def test_a_cut_is_noticed():
    """The person jumps in the picture: the old place holds another one."""
    first = [draw(SIZE, (60.0, 80.0, 30.0, BLUE))] * 2
    cut = [draw(SIZE, (170.0, 80.0, 30.0, BLUE))] * 2
    detections = follow(first + cut)
    assert detections.found.all()
    assert detections.xy[2, 0].tolist() == pytest.approx((170, 80), abs=0.2)


def test_a_jump_within_the_region_makes_it_look_around():
    networks = Discs()
    detections = follow([draw(SIZE, (60.0, 80.0, 30.0)), draw(SIZE, (103.0, 80.0, 14.0))], networks=networks)
    assert detections.xy[1, 0].tolist() == pytest.approx((103, 80), abs=0.2)
    assert networks.calls["finder"] == 2 + 1 + 2  # to begin with, for others near by, after the jump


def test_late_arrival_and_early_leave():
    empty = draw(SIZE)
    detections = follow([empty] * 3 + [draw(SIZE, LARGE)] * 2 + [empty] * 2)
    assert detections.found.tolist() == [False] * 3 + [True] * 2 + [False] * 2


def test_videos_without_the_person_say_why():
    with pytest.raises(NoPersonFoundError, match="found nobody"):
        follow([draw(SIZE)] * 3)
    with pytest.raises(NoPersonFoundError, match="expected person 3, found 1 person"):
        follow([draw(SIZE), draw(SIZE, LARGE)] * 6, choice=3)
    with pytest.raises(NoPersonFoundError, match="no frames at all"):
        follow([])


def test_frames_of_another_size_are_refused():
    with pytest.raises(ShapeError, match="frame 1: expected 240 x 160 px, got 100 x 50"):
        follow([draw(SIZE, LARGE), draw((100, 50))])


def test_progress_counts_frames():
    seen = []
    detector().detect_frames([draw(SIZE, LARGE)] * 3, SIZE, 25.0, progress=seen.append)
    assert seen == [1, 2, 3]


def test_landmarks_outside_of_the_picture_are_invisible():
    detections = detector().detect_photo(draw(SIZE, (20.0, 80.0, 30.0)))
    across, visibility = detections.xy[0, 11:, 0], detections.visibility[0, 11:]
    assert (across < 0).any()
    assert (visibility[across < 0] == 0).all()
    assert (visibility[across > 1] > 0.9).all()


def test_a_still_person_gives_the_same_result_in_photo_and_video():
    picture = draw(SIZE, LARGE)
    photo, video = detector().detect_photo(picture), follow([picture] * 3)
    assert np.abs((photo.xy - video.xy).numpy()).max() < 0.1


def test_the_bundled_networks_run_and_see_nobody_in_noise():
    from liquidwarp.recover.tracking.tracker import PersonDetector

    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    assert PersonDetector(DetectConfig(threads=1)).detect_people(noise, everybody=False) == []


def test_belief_in_somebody_who_is_too_near_for_a_second_look(monkeypatch):
    """Looks at the picture from several sides; between the limits a face decides."""
    picture = draw(SIZE, LARGE)
    looker = detector()
    (person,) = looker.detect_people(picture, everybody=False)
    assert belief_in_close_up(picture, looker._hints, person.next_region) > 0.9
    elsewhere = replace(person.next_region, x=person.next_region.x + person.next_region.side)
    assert belief_in_close_up(picture, looker._hints, elsewhere) == 0.0
    for belief, face, expected in ((0.7, 0.0, True), (0.6, 0.0, False), (0.6, 1.0, True), (0.4, 1.0, False)):
        monkeypatch.setattr(tracker, "belief_in_close_up", lambda *_, belief=belief: belief)
        found = Face(np.zeros((468, 2)), face)
        monkeypatch.setattr(looker, "face", lambda *_, found=found: found)
        assert looker._is_close_up(picture, person) is expected


def test_a_second_hint_of_the_same_person_is_no_company():
    """A company makes a change of colours suspicious, and a person who comes nearer would be lost."""

    class Doubtful(Discs):
        """The finder also takes the person for a larger one."""

        def finder(self, image):
            offsets, logits = super().finder(image)
            (at,) = np.flatnonzero(logits[0, :, 0] > 0)
            other = at ^ 1  # of the same cell
            logits[0, other], offsets[0, other] = 3, offsets[0, at]
            offsets[0, other, 2:4] = 1
            offsets[0, other, 7] -= offsets[0, at, 5] - offsets[0, at, 7]
            return [offsets, logits]

    frames = [draw(SIZE, (*LARGE, (220, 40, 40)))] * 6
    (piece,) = detector(Doubtful()).follow(frames, SIZE, 25.0, None, seconds=99.0)
    assert piece.detections.found.all()
    assert piece.state.company < 0
