"""What stands behind the person: each frame of a film, nothing, and the shade at the feet."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from liquidwarp.backdrop import Film, Nothing, OwnPlace, Still
from liquidwarp.body.model import BodyParams
from liquidwarp.cache import Cache
from liquidwarp.config import SynthesisConfig
from liquidwarp.flow.place.contact import contact_light
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.masks import grow_colours
from liquidwarp.media import VideoWriter, open_frames
from liquidwarp.synthesizer import prepare_bank
from liquidwarp.tasks.rendering import Rendering

CONFIG = SynthesisConfig(size=256, background="draft", renderer="texture")
SIZE = (192, 256)
FPS = 25.0


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Ten grey frames, each brighter than the one before."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with VideoWriter(path, FPS, (96, 128)) as video:
        for level in range(10):
            video.write(np.full((128, 96, 3), 20 + 20 * level, np.uint8))
    return path


def levels(frames, count):
    return [round(float(next(frames)[2, 2].mean() - 20) / 20) for _ in range(count)]


def test_a_film_gives_frame_t_at_frame_t(film):
    frames = Film(film, SIZE).frames(FPS)
    assert levels(frames, 23) == [*range(10), *range(10), 0, 1, 2], "it begins again"
    assert next(frames).shape == (256, 192, 3)
    assert levels(Film(film, SIZE).frames(FPS, start=27), 5) == [7, 8, 9, 0, 1]


def test_a_film_may_hold_its_last_frame(film):
    held = Film(film, SIZE, "hold")
    assert levels(held.frames(FPS), 13) == [*range(10), 9, 9, 9]
    assert levels(held.frames(FPS, start=8), 4) == [8, 9, 9, 9]
    assert levels(held.frames(FPS, start=50), 2) == [9, 9]


def test_a_film_is_brought_to_the_results_frame_rate(film):
    assert levels(Film(film, SIZE).frames(2 * FPS), 8) == [0, 0, 1, 1, 2, 2, 3, 3] or levels(
        Film(film, SIZE).frames(2 * FPS), 8
    ) == [0, 1, 1, 2, 2, 3, 3, 4]
    assert levels(Film(film, SIZE).frames(FPS / 2), 4) == [0, 2, 4, 6]


def test_films_are_told_apart(film, tmp_path):
    other = tmp_path / "other.mp4"
    with VideoWriter(other, FPS, (96, 128)) as video:
        video.write(np.zeros((128, 96, 3), np.uint8))
    names = {Film(film, SIZE).fingerprint(), Film(film, SIZE, "hold").fingerprint(), Film(other, SIZE).fingerprint()}
    assert len(names) == 3


@pytest.fixture(scope="module")
def bank(demo_photos, anny):
    return prepare_bank(demo_photos, anny, CONFIG, background=np.full((256, 192, 3), 200, np.uint8))


def standing(bank, count):
    """The photo's own pose, for some frames."""
    body = bank.body
    camera = WeakPerspective(body.camera.scale.expand(count), body.camera.translation.expand(count, 2))
    return BodyParams(body.betas, body.rel_rotmats.expand(count, -1, -1, -1), camera)


def test_the_films_frame_t_is_behind_the_results_frame_t(bank, film, tmp_path):
    """Also where an interrupted run goes on."""
    moving = replace(bank, backdrop=Film(film, SIZE))
    result = Rendering(moving, standing(bank, 12), CONFIG, FPS)
    assert levels(result.frames(), 12) == [*range(10), 0, 1]
    assert levels(result.frames(9), 3) == [9, 0, 1]
    path = result.save(tmp_path / "out.mp4", progress=False)
    assert levels(iter(open_frames(path)), 12) == [*range(10), 0, 1]


def test_nothing_behind_gives_straight_colours_and_opacity(bank, demo_photos, tmp_path):
    alone = Rendering(replace(bank, backdrop=Nothing(SIZE)), standing(bank, 1), CONFIG, FPS)
    (frame,) = alone
    assert frame.shape == (256, 192, 4)
    opacity = frame[..., 3] / 255
    sure = cv2.erode((demo_photos.mattes[0] > 250).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert (opacity[sure] > 0.9).mean() > 0.97
    assert opacity[:10].max() == 0
    before_grey = Rendering(bank, standing(bank, 1), replace(CONFIG, shadow=False), FPS)
    (opaque,) = before_grey
    laid_over = frame[..., :3] * opacity[..., None] + 200 * (1 - opacity[..., None])
    difference = np.abs(laid_over - opaque)
    assert np.percentile(difference, 99.9) < 8
    assert difference.max() < 30, "colours of single, nearly clear pixels are rounded"
    assert difference.mean() < 0.1, "an editor gets the same picture as we do"
    edge = (opacity > 0) & (opacity < 0.5)
    beside = frame[edge][:, :3].astype(int).sum(1)
    assert edge.sum() > 50
    assert np.percentile(beside, 10) > 20, "no dark fringe"
    Rendering(alone.bank, alone.targets, CONFIG, FPS).save(tmp_path / "still.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "still.png")), frame)
    alone.save(tmp_path / "frames", progress=False)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "frames" / "000000.png")), frame)


def test_colours_go_on_beyond_the_edge():
    cover = torch.zeros(1, 80, 80)
    cover[:, 20:40, 20:40] = 1
    cover[:, 20:40, 40] = 0.25
    colours = torch.tensor([0.8, 0.4, 0.2])[:, None, None]
    grown = grow_colours(colours * cover, cover)
    assert (grown[:, 12:48, 12:48] - colours).abs().max() < 1e-4
    assert grown[:, :, 66:].abs().max() == 0
    assert grow_colours(torch.zeros(3, 8, 9), torch.zeros(1, 8, 9)).abs().max() == 0


def test_feet_shade_the_ground(bank):
    shaded = replace(bank, backdrop=Still(bank.background, 0.4))
    (plain,) = Rendering(bank, standing(bank, 1), CONFIG, FPS)
    (frame,) = Rendering(shaded, standing(bank, 1), CONFIG, FPS)
    (without,) = Rendering(shaded, standing(bank, 1), replace(CONFIG, shadow=False), FPS)
    np.testing.assert_array_equal(plain, without)
    darker = plain.astype(int).sum(-1) - frame.astype(int).sum(-1)
    feet = int(np.nonzero(darker > 30)[0].mean())
    assert darker.max() > 60
    assert darker.min() >= 0
    assert feet > 0.85 * 256
    assert darker[: feet - 30].max() <= 3


def test_who_gives_a_part_needs_no_background(demo_photos, anny, monkeypatch):
    from liquidwarp import backdrop

    monkeypatch.setattr(backdrop, "complete_background", lambda *_, **__: pytest.fail("completed for nothing"))
    giver = prepare_bank(demo_photos, anny, CONFIG)
    assert isinstance(giver.backdrop, OwnPlace)


def test_another_body_at_the_same_place_is_looked_at_anew(demo_photos, anny, tmp_path, monkeypatch):
    """Its feet are elsewhere, so the ground is asked elsewhere."""
    from liquidwarp import backdrop

    asked: list[float | None] = []
    monkeypatch.setattr(backdrop, "measured_shade", lambda *_: asked.append(None))
    body, cache = demo_photos.recovery.body, Cache(tmp_path)
    camera = replace(body.camera, translation=body.camera.translation - 5)
    moved = replace(demo_photos, recovery=replace(demo_photos.recovery, body=replace(body, camera=camera)))
    for photos, times in ((demo_photos, 1), (demo_photos, 1), (moved, 2)):
        assert OwnPlace(photos, "draft", cache, anny).foot_shade() > 0
        assert len(asked) == times


def test_an_own_place_is_as_dark_at_the_feet_as_the_photo(demo_photos, anny):
    place = OwnPlace(demo_photos, "draft", Cache(enabled=False), anny)
    body, (height, width) = demo_photos.recovery.body[slice(0, 1)], demo_photos.mattes[0].shape
    lowest = body.camera.project(anny.pose(anny.rest(body.betas[None]), body.rel_rotmats).vertices)[..., 1].amax(1)
    light = contact_light(anny, body, lowest, (width, height), 0.4)[0, 0].numpy()[..., None]
    darker = np.where(demo_photos.mattes[0][..., None] > 0, 1, light) * demo_photos.pictures[0]
    pictures = (darker.astype(np.uint8), *demo_photos.pictures[1:])
    shaded = OwnPlace(replace(demo_photos, pictures=pictures), "draft", Cache(enabled=False), anny)
    assert 0 <= place.foot_shade() + 0.1 < shaded.foot_shade() < 0.6
    assert place.still().shape == demo_photos.pictures[0].shape
    assert place.fingerprint() == OwnPlace(demo_photos, "draft", Cache(enabled=False), anny).fingerprint()
