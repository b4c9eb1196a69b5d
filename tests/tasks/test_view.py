"""The camera walks around the demo's person, whose front and back are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from liquidwarp.body.motion import Motion, motion_of
from liquidwarp.body.turntable import orbit, seen_centre, standing_pose
from liquidwarp.config import SynthesisConfig, ViewConfig
from liquidwarp.errors import MediaError, SettingError
from liquidwarp.geometry.rotations import rotation_about
from liquidwarp.media import read_image
from liquidwarp.synthesizer import prepare_bank, render_frames
from liquidwarp.tasks.imitate import Driving, imitate
from liquidwarp.tasks.view import view, view_angles
from liquidwarp.weights import asset

SYNTHESIS = SynthesisConfig(size=256, background="draft", renderer="texture")


@pytest.fixture(scope="module")
def bank(demo_photos, anny):
    place = np.array(Image.open(asset("demo/background.jpg")).resize((192, 256), Image.Resampling.BOX))
    return prepare_bank(demo_photos, anny, SYNTHESIS, background=place)


def still(bank, angle, elevation=0.0, pose="own"):
    result = view(bank, pose, ViewConfig(angle=angle, elevation=elevation), SYNTHESIS)
    assert len(result) == 1
    return next(iter(result)).astype(int)


def vertices(model, body):
    return body.camera.project(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices)


def test_from_the_photographers_place_it_is_the_imitation_of_the_own_pose(bank):
    seen = still(bank, 0)
    np.testing.assert_array_equal(seen, next(render_frames(bank, bank.body, SYNTHESIS)))
    own = Driving(motion_of(bank.body, bank.model, 25.0), asset("demo/motion.bvh"), None)
    imitated = next(iter(imitate(bank, own, None, SYNTHESIS))).astype(int)
    assert np.abs(seen - imitated).mean() < 3


def test_behind_are_the_colours_of_the_photo_from_behind(bank, demo_photos, anny):
    """The head's back is hair, its front a face; the trunk of the back photo is met in its own colours."""
    behind = still(bank, 180)
    body = demo_photos.recovery.body

    def colour(picture, params):
        where = vertices(anny, params)[0]
        inside = where[torch.isin(anny.vertex_part, torch.tensor([0, 1])), :2].mean(0)
        x, y = (int(v) for v in inside)
        return picture[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3).mean(0)

    turned = orbit(bank.body, anny, torch.tensor([math.pi]))
    shown = colour(behind, turned)
    back = colour(demo_photos.pictures[1].astype(int), body[1:2])
    front = colour(demo_photos.pictures[0].astype(int), body[0:1])
    assert np.abs(front - back).max() > 60, "the photos differ there"
    assert np.abs(shown - back).max() < 30
    assert np.abs(shown - front).max() > 50


def test_a_full_turn_ends_where_it_began(bank):
    body, model = bank.body, bank.model
    there = orbit(body, model, torch.tensor([2 * math.pi]))
    torch.testing.assert_close(there.rel_rotmats, body.rel_rotmats, rtol=0, atol=1e-5)
    torch.testing.assert_close(there.camera.translation, body.camera.translation)
    angles = view_angles(ViewConfig(turn=360, frames=12))
    torch.testing.assert_close(angles.diff(), torch.full((11,), math.tau / 12))
    assert float(angles[-1] + math.tau / 12) == pytest.approx(math.tau), "a loop without a doubled frame"
    half = view_angles(ViewConfig(turn=-180, frames=7))
    assert (float(half[0]), float(half[-1])) == pytest.approx((0, -math.pi))


@pytest.mark.parametrize("elevation", [-20.0, 0.0, 10.0, 40.0])
def test_place_size_and_ground_stay(bank, elevation):
    """The ground below the person is one point of the picture, from wherever it is seen."""
    body, model = bank.body, bank.model
    angles = torch.linspace(0, 6, 5)
    seen = orbit(body, model, angles, math.radians(elevation))
    floor = float(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices[..., 1].max())
    ground = torch.tensor([[0.0, floor, 0.0]]) @ rotation_about("x", torch.tensor(math.radians(elevation))).T
    pixels = seen.camera.project(ground.expand(5, 1, 3))[:, 0, :2]
    expected = body.camera.translation + torch.stack([torch.zeros(1), body.camera.scale * floor], 1)
    torch.testing.assert_close(pixels, expected.expand(5, 2), rtol=0, atol=1e-3)
    torch.testing.assert_close(seen.camera.scale, body.camera.scale.expand(5))


def test_who_is_seen_without_feet_turns_about_itself(bank):
    """A body that leans by 45 degrees stays within 30 cm of its place in a portrait; a whole one stays on its feet."""
    body, model = bank.body, bank.model
    assert seen_centre(body, model, bank.size) is None
    lean = rotation_about("x", torch.tensor(math.radians(45)))
    rotations = body.rel_rotmats.clone()
    rotations[:, model.roles.root] = lean @ rotations[:, model.roles.root]
    leaning = replace(body, rel_rotmats=rotations)
    size = (bank.size[0], int(body.camera.translation[0, 1]))
    about = seen_centre(leaning, model, size)
    assert about is not None
    angles = torch.linspace(0, 2 * math.pi, 5)

    def places(seen):
        posed = model.pose(model.rest(seen.betas[None]), seen.rel_rotmats)
        head = seen.camera.project(posed.joints)[:, model.roles.neck[-1], :2] / body.camera.scale
        return float((head[:, 0] - head[0, 0]).abs().max())

    assert places(orbit(leaning, model, angles, about=about)) < 0.3 < places(orbit(leaning, model, angles))
    raised = orbit(leaning, model, angles, math.radians(20), about)
    turned = about @ (raised.rel_rotmats[:, model.roles.root] @ rotations[0, model.roles.root].T).mT
    pixels = raised.camera.project(turned[:, None])[:, 0, :2]
    torch.testing.assert_close(pixels, body.camera.project(about[None, None])[0, :, :2].expand(5, 2), rtol=0, atol=0.01)


def test_positive_angles_show_the_left_side_raised_cameras_the_top(bank):
    """From the person's left, the left shoulder is the nearer one; from above, the head is nearer than the feet."""
    model = bank.model
    upper = model.roles.upper_arm

    def depth(angle, elevation):
        seen = orbit(bank.body, model, torch.tensor([math.radians(angle)]), math.radians(elevation))
        posed = model.pose(model.rest(seen.betas[None]), seen.rel_rotmats)
        return posed.joints[0, :, 2]

    left = depth(90, 0)
    assert left[upper[0]] < left[upper[1]] - 0.1
    above = depth(0, 40)
    assert above[model.roles.neck[-1]] < above[model.roles.foot[0]] - 0.5


@pytest.mark.parametrize(("arms", "below"), [(0.0, 0.0), (math.pi / 4, 1.0)])
def test_standing_poses(anny, arms, below):
    """A T has level arms, an A has arms that go down as far as out; both straight, at the left and at the right."""
    betas = torch.zeros(len(anny.beta_names))
    joints = anny.pose(anny.rest(betas[None]), standing_pose(anny, betas, arms)).joints[0]
    for side, sign in enumerate((1, -1)):
        shoulder, elbow, wrist = (
            joints[getattr(anny.roles, name)[side]] for name in ("upper_arm", "lower_arm", "hand")
        )
        for bone in (elbow - shoulder, wrist - elbow):
            assert float(bone[1] / (sign * bone[0])) == pytest.approx(below, abs=1e-3)
            assert float(bone[2]) == pytest.approx(0, abs=1e-3)


def test_poses_with_a_name_and_motions(bank):
    spread = view(bank, "t", ViewConfig(angle=0, elevation=0), SYNTHESIS).targets
    own = vertices(bank.model, bank.body)[0]
    wide = vertices(bank.model, spread)[0]
    assert wide[:, 0].max() - wide[:, 0].min() > 1.3 * float(own[:, 0].max() - own[:, 0].min())
    moving = Motion(
        bank.body.rel_rotmats.repeat(6, 1, 1, 1), torch.linspace(0, 5, 18).view(6, 3), torch.ones(6), 12.0, 0.8
    )
    result = view(bank, moving, ViewConfig(turn=180, frames=4, elevation=0), SYNTHESIS)
    assert (len(result), result.fps) == (4, 12.0)
    across = result.targets.camera.translation[:, 0]
    assert float(across.max() - across.min()) < 1, "the person turns on the spot"


def test_one_picture_or_a_video(bank, tmp_path):
    one = view(bank, "own", ViewConfig(angle=45), SYNTHESIS)
    one.save(tmp_path / "one.png", progress=False)
    np.testing.assert_array_equal(read_image(tmp_path / "one.png").rgb, next(iter(one)))
    with pytest.raises(MediaError, match="180 frames"):
        view(bank, "own", None, SYNTHESIS).save(tmp_path / "many.png")
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"turn": 1e9}, {"elevation": 90.0}, {"angle": math.inf}])
def test_settings(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        ViewConfig(**wrong)
