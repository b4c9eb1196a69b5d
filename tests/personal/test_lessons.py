"""Lessons cannot be solved by copying, and what they say of a picture is right."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from liquidwarp.geometry.crop import Crop
from liquidwarp.personal.lessons import blank_lesson, draw_lesson, make_lesson, mirrored, prepare_set, turned_set
from liquidwarp.personal.recording import tensors_of
from liquidwarp.personal.views import held_out_patches, views_of

from .conftest import SYNTHESIS


def whole(view):
    return Crop(0, 0, view.size, 256)


@pytest.fixture(scope="module")
def views(demo_photos, anny):
    return views_of(demo_photos, anny, SYNTHESIS)


def test_what_hides_the_person_is_not_taken_for_a_hole(demo_photos, views, anny):
    height, width = demo_photos.pictures[0].shape[:2]
    ball = np.zeros((height, width), bool)
    ball[height // 2 : height // 2 + 40, width // 2 - 20 : width // 2 + 20] = True
    nothing = np.zeros(demo_photos.pictures[1].shape[:2], bool)
    somebody = np.zeros((height, width), np.uint8)
    somebody[:, : width // 2] = 255
    for photos in (replace(demo_photos, held=(ball, nothing)), replace(demo_photos, front=somebody)):
        hidden, other = views_of(photos, anny, SYNTHESIS)
        lost = views[0].judged - hidden.judged
        assert 0.001 < float(lost.mean()) < 0.6
        torch.testing.assert_close(other.judged, views[1].judged)
    ball_alone = views_of(replace(demo_photos, held=(ball, nothing)), anny, SYNTHESIS)[0]
    assert float(ball_alone.matte[ball_alone.judged[0][None] == 0].max()) > 0.9, "the ball hides the person"
    lesson = make_lesson(prepare_set(views[1:], anny, SYNTHESIS, [0]), ball_alone, whole(ball_alone))
    assert bool((lesson.judged[0, 0] == 0).any())


def copying_error(lesson):
    """Of the warped texture, where the person is."""
    difference = (lesson.targets.texture - lesson.images).abs().mean(2, keepdim=True)
    where = lesson.mattes * (lesson.targets.texture_matte > 0.5)
    return float((difference * where).sum() / where.sum())


def test_a_photo_is_drawn_from_the_others(person, views):
    for left, each in enumerate(person.sets[:2]):
        assert each.targets == (left,)
        assert each.batch.images.shape[1] == 1
        other = views[1 - left]
        torch.testing.assert_close(each.batch.images[0, 0], other.at(whole(other)).image, atol=1e-5, rtol=0)


def test_a_person_is_turned_to_the_side_that_is_asked_for(views, anny):
    base, seen = prepare_set(views[:1], anny, SYNTHESIS), []
    for side in (1, -1):
        made = turned_set(base, anny, SYNTHESIS, views[0], torch.Generator().manual_seed(0), side)
        names, shown = made.batch.conditions[0, 0, :3], made.batch.conditions[0, 0, 6] > 0
        seen.append(float(names[0][shown].mean()))
    assert min(seen) < -0.02 < 0.02 < max(seen), "the points that are seen lie on the left, and on the right"


def test_disturbed_sources_cannot_be_copied(views, anny):
    plain = prepare_set(views, anny, SYNTHESIS, [0])
    disturbed = prepare_set(views, anny, SYNTHESIS, [0], torch.Generator().manual_seed(1))
    easy, hard = (copying_error(make_lesson(each, views[0], whole(views[0]))) for each in (plain, disturbed))
    assert easy < 0.02, "the undisturbed photo is its own answer"
    assert hard > 2 * easy


def test_a_window_shows_the_same_person(views, person):
    view, corner = views[0], torch.tensor([64.0, 32.0])
    part = view.at(Crop(64, 32, 128, 128))
    torch.testing.assert_close(part.image, view.image[:, 32:160, 64:192], atol=1e-5, rtol=0)
    torch.testing.assert_close(part.head + corner.repeat(2), view.head)
    torch.testing.assert_close(part.body.camera.translation[0] + corner, view.body.camera.translation[0])
    finer = view.at(Crop(64, 32, 64, 128))
    assert float(finer.body.camera.scale) == pytest.approx(2 * float(view.body.camera.scale))
    lesson = make_lesson(person.sets[1], views[1], Crop(40, 0, 160, 160))
    drawn = lesson.targets.texture_matte[0, 0, 0] > 0.5
    true = lesson.mattes[0, 0, 0] > 0.5
    assert float((drawn & true).sum() / (drawn | true).sum()) > 0.8


def test_mirroring_twice_changes_nothing(person):
    lesson = make_lesson(person.sets[0], person.views[0], whole(person.views[0]))
    twice = mirrored(mirrored(lesson))
    torch.testing.assert_close(twice.images, lesson.images)
    torch.testing.assert_close(twice.targets.grid, lesson.targets.grid)
    torch.testing.assert_close(twice.targets.condition, lesson.targets.condition)
    torch.testing.assert_close(twice.sources.conditions, lesson.sources.conditions)
    torch.testing.assert_close(twice.faces.landmarks, lesson.faces.landmarks)
    torch.testing.assert_close(twice.faces.boxes, lesson.faces.boxes)


def test_a_mirrored_flow_finds_the_same_colours(person):
    from liquidwarp.geometry.warp import Flow, warp

    lesson = make_lesson(person.sets[0], person.views[0], whole(person.views[0]))
    pair = (lesson, mirrored(lesson))
    found = [warp(each.sources.images[0], Flow(each.targets.grid[0, 0], each.targets.valid[0])) for each in pair]
    torch.testing.assert_close(found[1], found[0].flip(-1), atol=1e-4, rtol=0)


def test_the_same_chance_draws_the_same_lesson(person):
    def draw(seed):
        return draw_lesson(person.sets, person.views, 256, 128, torch.Generator().manual_seed(seed))

    first, again = draw(5), draw(5)
    assert first.origin == again.origin
    torch.testing.assert_close(first.images, again.images)
    torch.testing.assert_close(first.targets.grid, again.targets.grid)
    assert {draw(seed).origin for seed in range(12)} != {first.origin}


def test_held_out_patches_lie_on_the_person_but_not_on_the_head(views):
    view = views[0]
    patches = held_out_patches(view, 0.2, torch.Generator().manual_seed(0))
    assert float((patches * (view.matte > 0.5)).sum() / patches.sum()) > 0.4
    left, top, right, bottom = (int(v) for v in view.head)
    assert not bool(patches[:, top:bottom, left:right].any())


def test_what_is_held_out_is_never_judged_in_lessons(person):
    for number, exam in enumerate(person.exam):
        held = exam.judged[0, 0] > 0
        assert bool(held.any())
        learned = make_lesson(person.sets[number], person.views[number], whole(person.views[number])).judged[0, 0] > 0
        assert not bool((held & learned).any())


def test_a_blank_lesson_is_as_large_as_a_drawn_one(person):
    lesson = make_lesson(person.sets[2], person.views[0], Crop(64, 64, 128, 128))
    sources = lesson.sources.images.shape[1]
    blank = blank_lesson(sources, lesson.sources.images.shape[-1], 128, torch.device("cpu"))
    drawn, empty = tensors_of(lesson), tensors_of(blank)
    assert [(t.shape, t.dtype) for t in empty] == [(t.shape, t.dtype) for t in drawn]
    assert float(blank.faces.boxes.amax()) < 128
