"""Choice of views, and the demo's photos and a little film of them through the whole recovery."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.cache import Cache
from liquidwarp.errors import MediaError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.media import VideoWriter, read_image, save_image
from liquidwarp.recover import photos as photos_module
from liquidwarp.recover import views as views_module
from liquidwarp.recover.digitize import Recovery
from liquidwarp.recover.photos import load_sources
from liquidwarp.recover.views import _in_view, choose_views
from liquidwarp.weights import asset

from .people import make_person


def turned(model, degrees):
    """The body turned about the vertical; 0 faces the camera."""
    turns = torch.zeros(len(degrees), len(model.parents), 3)
    turns[:, 0, 1] = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
    count = len(degrees)
    camera = WeakPerspective(torch.ones(count), torch.zeros(count, 2))
    return BodyParams(torch.zeros(len(model.beta_names)), rotvec_to_matrix(turns), camera)


def chosen_headings(model, degrees, count, sharpness=None, candidates=None):
    sharp = torch.zeros(len(degrees)) if sharpness is None else torch.tensor(sharpness, dtype=torch.float32)
    among = torch.arange(len(degrees)) if candidates is None else torch.tensor(candidates)
    return [degrees[i] for i in choose_views(model, turned(model, degrees), among, sharp, count).tolist()]


def test_views_show_all_sides_front_first(anny):
    assert chosen_headings(anny, [170.0, 90.0, 40.0, 5.0, -88.0, 120.0], 1) == [5.0]
    assert chosen_headings(anny, [170.0, 90.0, 40.0, 5.0, -88.0, 120.0], 2) == [5.0, 170.0]
    four = chosen_headings(anny, [float(d) for d in range(-180, 180, 20)], 4)
    assert four[0] == 0
    assert abs(four[1]) >= 160
    assert all(60 <= abs(d) <= 120 for d in four[2:])
    assert four[2] * four[3] < 0, "one side each"


def test_turning_past_the_back_is_near(anny):
    assert chosen_headings(anny, [0.0, 178.0, -178.0, 70.0], 3)[2] == 70.0


def test_the_first_view_hides_little(anny):
    """All face the camera; in the first two the left thigh is raised towards it."""
    body = turned(anny, [0.0, 0.0, 0.0])
    raised = torch.tensor([[-1.5, 0.0, 0.0]]).expand(2, -1)
    body.rel_rotmats[:2, anny.roles.upper_leg[0]] = rotvec_to_matrix(raised)
    assert choose_views(anny, body, torch.tensor([0, 1, 2]), torch.tensor([1.0, 1.0, 0.98]), 1).tolist() == [2]


def test_frames_in_which_nothing_is_held_are_preferred(anny):
    """All are the same, but in the first two a ball is before the trunk."""
    body, frames = turned(anny, [0.0, 0.0, 0.0]), torch.tensor([0, 1, 2])
    free = torch.ones(3, len(anny.vertex_part), dtype=torch.bool)
    free[:2] = anny.vertex_part != PARTS.index("torso")
    assert choose_views(anny, body, frames, torch.tensor([1.0, 1.0, 0.98]), 1, free).tolist() == [2]


def test_frames_in_which_the_picture_shows_all_of_the_person_are_preferred(anny):
    """The first one is at the picture's edge."""
    body, truth = turned(anny, [0.0, 0.0]), make_person(anny, frames=2)
    camera = WeakPerspective(torch.full((2,), 200.0), torch.tensor([[0.0, 200.0], [190.0, 200.0]]))
    recovery = Recovery(
        replace(body, camera=camera), (truth.detections,), truth.detections.found, torch.ones(2, 1).bool(), 25.0, ()
    )
    shown = _in_view(anny, recovery, torch.tensor([0, 1]))
    assert 0.3 < float(shown[0].float().mean()) < 0.7
    assert shown[1].all()
    assert choose_views(anny, body, torch.tensor([0, 1]), torch.tensor([1.0, 0.98]), 1, shown).tolist() == [1]


def test_what_lies_behind_is_not_shown(anny):
    """From the side the trunk hides the far arm, whose inner side looks at the camera as well."""
    shown = views_module._shown_surface(anny, turned(anny, [0.0, 90.0, -90.0]))
    left, right = (shown[:, anny.vertex_part == PARTS.index(f"{side}_upper_arm")].sum(1) for side in ("left", "right"))
    for near, far in ((left[1], right[1]), (right[2], left[2])):
        assert min(near, far) < 0.35 * max(near, far)
    assert left[0] == pytest.approx(float(right[0]), rel=0.2)


def test_blurred_frames_are_left_out(anny):
    assert chosen_headings(anny, [0.0, 8.0, 180.0, 168.0], 2, [-4.0, 1.0, -4.0, 1.0]) == [8.0, 168.0]


def test_only_candidates_are_chosen(anny):
    assert chosen_headings(anny, [0.0, 30.0, 180.0, 150.0], 2, candidates=[1, 3]) == [30.0, 150.0]


def test_photos_and_videos_do_not_mix(anny, tmp_path):
    for name in ("a.jpg", "b.mp4"):
        (tmp_path / name).touch()
    with pytest.raises(MediaError, match=r"b\.mp4: a source is either photos or one video"):
        load_sources([tmp_path / "a.jpg", tmp_path / "b.mp4"], anny)
    with pytest.raises(MediaError, match="expected photos"):
        load_sources([], anny)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return Cache(tmp_path_factory.mktemp("cache"))


def agreement(matte, truth):
    first, second = matte > 127, truth > 127
    return (first & second).sum() / (first | second).sum()


def test_photos_are_cut_out_once(anny, cache, tmp_path, monkeypatch):
    """Both of the demo's photos, one enlarged: each keeps its size, and a second run needs no detector."""
    small = read_image(asset("demo/front.jpg")).rgb[::2, ::2]
    front = save_image(tmp_path / "front.png", small)
    files = [front, asset("demo/back.jpg")]
    found = load_sources(files, anny, cache=cache, progress=False)
    assert [picture.shape for picture in found.pictures] == [(512, 384, 3), (1024, 768, 3)]
    for index, name in enumerate(("front", "back")):
        truth = read_image(asset(f"demo/{name}_matte.png")).rgb[..., 0]
        truth = truth[::2, ::2] if index == 0 else truth
        assert found.mattes[index].shape == found.silhouettes[index].shape == truth.shape
        assert agreement(found.mattes[index], truth) > 0.97
        assert agreement(found.silhouettes[index] * np.uint8(255), truth) > 0.85
    monkeypatch.setattr(photos_module, "PersonDetector", None)
    again = load_sources(files, anny, cache=cache, progress=False)
    for first, second in zip(found.mattes, again.mattes, strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_film_gives_its_most_different_frames(anny, cache, tmp_path):
    """Front, blurred front, back: the two sharp ones are taken, the front first, as they are in the film."""
    views = [read_image(asset(f"demo/{name}.jpg")).rgb for name in ("back", "front")]
    views = [cv2.resize(view, (384, 512), interpolation=cv2.INTER_AREA) for view in views]
    blurred = cv2.GaussianBlur(views[1], (0, 0), 2.5)
    with VideoWriter(tmp_path / "film.mp4", 10, (384, 512)) as film:
        for picture in (views[0], views[0], blurred, views[1], views[1], blurred):
            film.write(picture)
    found = load_sources([tmp_path / "film.mp4"], anny, num_views=2, cache=cache, progress=False)
    assert len(found) == 2
    front, back = (picture.astype(int) for picture in found.pictures)
    assert np.abs(back - views[0]).mean() < 10, "nothing but the coding's error"
    assert np.abs(front - views[1]).mean() < 10
    assert np.abs(front - views[1]).mean() < np.abs(front - blurred).mean()
    assert len(found.recovery) == 2
    assert found.name == "film"
    assert found.scenery == (), "nobody moved: no frame shows the place behind the person"


def test_a_video_beside_a_folders_photos_is_told_to_be_left_out(tmp_path, caplog):
    for name in ("front.png", "back.png"):
        save_image(tmp_path / name, np.zeros((4, 4, 3), np.uint8))
    assert [file.name for file in photos_module._files_of(tmp_path)] == ["back.png", "front.png"]
    assert not caplog.messages
    (tmp_path / "dance.mp4").touch()
    assert [file.name for file in photos_module._files_of(tmp_path)] == ["back.png", "front.png"]
    (told,) = caplog.messages
    assert "(2); left out: dance.mp4." in told
    assert photos_module._files_of(tmp_path / "dance.mp4") == [tmp_path / "dance.mp4"]
