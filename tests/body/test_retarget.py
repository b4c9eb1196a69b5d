"""Retargeting: where the source's person stands, jumps and walks in the source's photo."""

import math
from dataclasses import replace

import pytest
import torch

from liquidwarp.body.model import BodyParams
from liquidwarp.body.motion import Motion, leg_length
from liquidwarp.body.parts import PARTS
from liquidwarp.body.retarget import retarget
from liquidwarp.errors import SettingError, ShapeError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import rotation_about

SCALE, PLACE = 100.0, (150.0, 140.0)


@pytest.fixture
def source(anny):
    """Somebody who stands, arms out, 100 px/m."""
    pose = torch.eye(3).repeat(1, len(anny.parents), 1, 1)
    camera = WeakPerspective(torch.tensor([SCALE]), torch.tensor([PLACE]))
    return BodyParams(torch.zeros(len(anny.beta_names)), pose, camera)


def make_motion(anny, source, path, zoom=None, legs=1.0, pose=None):
    """A motion in the source's own pose along ``path`` [m], by somebody with ``legs`` times the source's."""
    path = torch.as_tensor(path, dtype=torch.float32)
    rel = source.rel_rotmats.repeat(len(path), 1, 1, 1) if pose is None else pose
    zoom = torch.ones(len(path)) if zoom is None else zoom
    return Motion(rel, path, zoom, 30.0, legs * leg_length(anny, source.betas))


def outline(anny, body):
    """(left, top, right, bottom) of every frame [px]."""
    xy = body.camera.project(anny.pose(anny.rest(body.betas[None]), body.rel_rotmats).vertices)[..., :2]
    return torch.cat([xy.amin(1), xy.amax(1)], 1)


def still(frames=60):
    return torch.zeros(frames, 3)


@pytest.mark.parametrize("camera", ["natural", "follow", "fixed"])
def test_who_does_nothing_stays_as_in_the_photo(anny, source, camera):
    result = retarget(make_motion(anny, source, still()), source, anny, camera, image_size=(300, 280))
    torch.testing.assert_close(result.camera.scale, torch.full((60,), SCALE))
    torch.testing.assert_close(result.camera.translation, torch.tensor([PLACE]).expand(60, 2), atol=1e-2, rtol=0)
    torch.testing.assert_close(result.rel_rotmats, source.rel_rotmats.expand(60, -1, -1, -1))
    assert result.betas is source.betas


def test_travel_is_measured_in_leg_lengths(anny, source):
    path = still()
    path[:, 0] = torch.linspace(0, 0.4, 60)
    for legs in (1.0, 2.0):
        result = retarget(make_motion(anny, source, path, legs=legs), source, anny)
        expected = PLACE[0] + path[:, 0] * SCALE / legs
        torch.testing.assert_close(result.camera.translation[:, 0], expected, atol=0.01, rtol=0)


def test_jumps_stay_jumps(anny, source):
    path = still(90)
    air = torch.arange(15) / 14
    path[40:55, 1] = -0.5 * 4 * air * (1 - air)
    ground = outline(anny, source)[0, 3]
    bottom = outline(anny, retarget(make_motion(anny, source, path), source, anny))[:, 3]
    assert float((bottom[:38] - ground).abs().max()) < 1
    assert float((bottom[57:] - ground).abs().max()) < 1
    assert float(ground - bottom[47]) == pytest.approx(0.5 * SCALE, rel=0.05)


@pytest.mark.parametrize("camera", ["natural", "follow"])
def test_each_shot_of_a_film_is_retargeted_by_itself(anny, source, camera):
    """Behind the cut the driving stands elsewhere in its picture, and looks much larger."""
    path = torch.zeros(60, 3)
    path[30:] = torch.tensor([0.0, 0.7, 0.0])
    zoom = torch.ones(60)
    zoom[30:] = 1.3
    film = make_motion(anny, source, path, zoom)
    cut = replace(film, shot=torch.arange(60) // 30)
    alone = [retarget(replace(film[part], shot=None), source, anny, camera) for part in cut.stretches]
    joined = retarget(cut, source, anny, camera)
    expected = torch.cat([one.camera.translation for one in alone])
    torch.testing.assert_close(joined.camera.translation, expected)
    assert (retarget(film, source, anny, camera).camera.translation - expected).abs().max() > 5


def test_planted_feet_stay_on_the_ground_line(anny, source):
    """A squat by somebody with other proportions, whose path does not fit the source's legs by 4 cm."""
    roles = anny.roles
    bend = 0.5 - 0.5 * torch.cos(torch.arange(90) / 90 * 4 * math.pi)
    pose = source.rel_rotmats.repeat(90, 1, 1, 1)
    for side in (0, 1):
        pose[:, roles.upper_leg[side]] = rotation_about("x", bend)
        pose[:, roles.lower_leg[side]] = rotation_about("x", -2 * bend)
        pose[:, roles.foot[side]] = rotation_about("x", bend)
    posed = anny.pose(anny.rest(source.betas[None]), pose)
    path = still(90)
    path[:, 1] = posed.vertices[0, :, 1].max() - posed.vertices[..., 1].amax(1) + 0.03 * bend
    for tilt in (0.0, 0.15):  # and a floor that seems to sink slowly, as in a video from above
        path[:, 1] += tilt * torch.linspace(0, 1, 90)
        body = retarget(make_motion(anny, source, path, pose=pose), source, anny)
        bottom = outline(anny, body)[:, 3]
        assert float((bottom - outline(anny, source)[0, 3]).abs().max()) < 2.5
        assert float((bottom[1:] - bottom[:-1]).abs().max()) < 0.7


def test_a_foot_through_the_floor_does_not_jolt_the_body(anny, source):
    pose = source.rel_rotmats.repeat(60, 1, 1, 1)
    pose[30:33, anny.roles.foot[0]] = rotation_about("x", torch.tensor(1.2))  # toes down, 10 cm into the floor
    body = retarget(make_motion(anny, source, still(), pose=pose), source, anny)
    assert float((body.camera.translation[:, 1] - PLACE[1]).abs().max()) < 2


def test_a_walk_towards_the_camera_becomes_perspective(anny, source):
    path = still(90)
    path[:, 2] = torch.linspace(0, -2, 90)
    result = retarget(make_motion(anny, source, path), source, anny)
    box, start = outline(anny, result), outline(anny, source)[0]
    assert float(result.camera.scale[-1]) == pytest.approx(1.25 * SCALE, rel=1e-3)
    legs = leg_length(anny, source.betas)
    assert float(box[-1, 3] - start[3]) == pytest.approx(0.25 * 1.6 * legs * SCALE, abs=1)
    assert bool((box[1:, 3] >= box[:-1, 3] - 0.01).all())


def test_without_room_below_the_size_stays(anny, source):
    path = still(90)
    path[:, 2] = torch.linspace(0, -2, 90)
    ground = float(outline(anny, source)[0, 3])
    size = (300, round(ground + 5))
    result = retarget(make_motion(anny, source, path), source, anny, image_size=size)
    assert float((result.camera.scale / SCALE - 1).abs().max()) < 0.02
    assert float(outline(anny, result)[:, 3].max()) < size[1]


def test_only_a_large_slow_change_of_a_videos_size_is_a_walk(anny, source):
    wobble = 1 + 0.06 * torch.sin(torch.arange(90) / 4)
    result = retarget(make_motion(anny, source, still(90), zoom=wobble), source, anny)
    torch.testing.assert_close(result.camera.scale, torch.full((90,), SCALE), rtol=1e-3, atol=0)
    walk = torch.linspace(0, math.log(1.5), 90).exp()
    result = retarget(make_motion(anny, source, still(90), zoom=walk), source, anny)
    assert 1.1 < float(result.camera.scale[-1]) / SCALE < 1.25


def test_follow_copies_zoom_and_travel(anny, source):
    path = still(40)
    path[:, 0], path[:, 1] = torch.linspace(0, 0.5, 40), torch.linspace(0, 0.2, 40)
    zoom = torch.linspace(1, 2, 40)
    result = retarget(make_motion(anny, source, path, zoom), source, anny, "follow")
    torch.testing.assert_close(result.camera.scale, SCALE * zoom)
    moved = result.camera.translation - result.camera.translation[0]
    torch.testing.assert_close(moved, SCALE * path[:, :2], atol=0.01, rtol=0)


def test_fixed_ignores_the_path(anny, source):
    path = torch.rand(20, 3)
    result = retarget(make_motion(anny, source, path), source, anny, "fixed")
    assert bool((result.camera.translation == torch.tensor(PLACE)).all())


def test_keeps_the_person_in_the_picture(anny, source):
    path = still(60)
    path[:, 0] = torch.linspace(0, 3, 60)
    path[20:30, 1] = -0.5
    arms_up = source.rel_rotmats.repeat(60, 1, 1, 1)
    for side, sign in ((0, -1.0), (1, 1.0)):
        arms_up[30:, anny.roles.upper_arm[side]] = rotation_about("z", torch.tensor(sign * 2.0))
    motion = make_motion(anny, source, path, pose=arms_up)
    size = (300, 280)
    free = outline(anny, retarget(motion, source, anny, image_size=size, keep_in_frame=False))
    assert float(free[:, 2].max()) > size[0]
    box = outline(anny, retarget(motion, source, anny, image_size=size))
    assert float(box[:, :2].min()) >= 0
    assert float(box[:, 2].max()) <= size[0]
    assert float(box[:, 3].max()) <= size[1]


def test_a_side_that_the_photo_cuts_is_left_alone(anny, source):
    knees = (300, round(float(outline(anny, source)[0, 3])) - 40)
    result = retarget(make_motion(anny, source, still()), source, anny, image_size=knees)
    torch.testing.assert_close(result.camera.translation, torch.tensor([PLACE]).expand(60, 2), atol=1e-2, rtol=0)


def test_turn(anny, source):
    path = still(30)
    path[:, 2] = torch.linspace(0, -0.5, 30)
    result = retarget(make_motion(anny, source, path), source, anny, turn=math.pi / 2)
    front = result.rel_rotmats[0, anny.roles.root] @ torch.tensor([0.0, 0, -1])
    torch.testing.assert_close(front, torch.tensor([-1.0, 0, 0]), atol=1e-5, rtol=0)
    assert float(result.camera.translation[-1, 0]) == pytest.approx(PLACE[0] - 0.5 * SCALE, abs=0.1)


def test_fingers_that_the_motion_leaves_open_are_the_sources(anny, source):
    finger = anny.roles.fingers[0][1][0]
    source.rel_rotmats[0, finger] = rotation_about("z", torch.tensor(0.7))
    rest = torch.eye(3).repeat(10, len(anny.parents), 1, 1)
    result = retarget(make_motion(anny, source, still(10), pose=rest), source, anny)
    torch.testing.assert_close(result.rel_rotmats[:, finger], source.rel_rotmats[:, finger].expand(10, 3, 3))


def test_one_frame_is_enough(anny, source):
    result = retarget(make_motion(anny, source, still(1)), source, anny, image_size=(300, 280))
    torch.testing.assert_close(result.camera.translation, source.camera.translation, atol=1e-2, rtol=0)


def test_mistakes(anny, source):
    motion = make_motion(anny, source, still(2))
    with pytest.raises(SettingError, match="image_size"):
        retarget(motion, source, anny, keep_in_frame=True)
    with pytest.raises(ShapeError, match="one frame, got 2"):
        retarget(motion, source[torch.tensor([0, 0])], anny)
    with pytest.raises(ShapeError, match="Load the motion with the same body"):
        retarget(make_motion(anny, source, still(2), pose=torch.eye(3).repeat(2, 5, 1, 1)), source, anny)


HALF, HALF_PLACE = 400.0, (150.0, 380.0)
"""A portrait in a picture of 300 x 280 px: the hips are below it."""


def head(anny, body):
    """Middle of the head in every frame [px]."""
    vertices = anny.pose(anny.rest(body.betas[None]), body.rel_rotmats).vertices
    return body.camera.project(vertices[:, anny.vertex_part == PARTS.index("face")])[..., :2].mean(1)


def leaning(anny, source, frames):
    """The whole body is tilted sideways about the hips, as portraits' guessed trunks are."""
    pose = source.rel_rotmats.repeat(frames, 1, 1, 1)
    pose[:, anny.roles.root] = rotation_about("z", torch.full((frames,), 0.5))
    return pose


@pytest.mark.parametrize("camera", ["natural", "follow", "fixed"])
def test_a_half_body_is_held_by_what_the_photo_shows(anny, source, camera):
    """Held by its hips, whose place is a guess, a driving that leans would carry the head out of the picture."""
    portrait = replace(source, camera=WeakPerspective(torch.tensor([HALF]), torch.tensor([HALF_PLACE])))
    motion = make_motion(anny, source, still(), pose=leaning(anny, source, 60))
    held = head(anny, retarget(motion, portrait, anny, camera, image_size=(300, 280)))
    apart = (held - head(anny, portrait)).norm(dim=1) / HALF
    assert float(apart.max()) < 0.12
    loose = head(anny, retarget(motion, portrait, anny, camera))
    assert float((loose - head(anny, portrait)).norm(dim=1).max()) / HALF > 0.2


def test_a_half_body_travels_as_its_head_and_stays_in_the_picture(anny, source):
    portrait = replace(source, camera=WeakPerspective(torch.tensor([0.5 * HALF]), torch.tensor([(150.0, 250.0)])))
    path = still()
    path[:, 0] = torch.linspace(0, 0.1, 60)
    near = head(anny, retarget(make_motion(anny, source, path), portrait, anny, image_size=(300, 280)))
    torch.testing.assert_close(near[:, 0] - near[0, 0], 0.5 * HALF * path[:, 0], atol=0.1, rtol=0)
    path[:, 0] *= 30
    far = head(anny, retarget(make_motion(anny, source, path), portrait, anny, image_size=(300, 280)))
    assert float(far[:, 0].max()) < 290
    literal = head(anny, retarget(make_motion(anny, source, path), portrait, anny, "follow", image_size=(300, 280)))
    assert float(literal[:, 0].max()) > 600
