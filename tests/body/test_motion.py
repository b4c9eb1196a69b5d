"""Motions on the body: files of many kinds, known poses, resampling."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from liquidwarp.body.export import save_npz
from liquidwarp.body.model import BodyParams
from liquidwarp.body.motion import Motion, leg_length, load_motion, motion_of
from liquidwarp.body.retarget import _extent
from liquidwarp.errors import MotionError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotation_about, rotvec_to_matrix

REST: dict[str, tuple[float, ...]] = {}
ELBOW = {"LeftForeArm": (0, -90, 0)}  # from the T-pose forward
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # columns: the figure's x, y, z in a file with z up, -y front
X_UP = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])


def posed(anny, motion):
    pose = anny.pose(anny.rest(torch.zeros(1, len(anny.beta_names))), motion.rel_rotmats)
    return pose.joints, pose


def ways(anny, joints, *names):
    places = [joints[:, anny.joint_names.index(name)] for name in names]
    steps = [torch.nn.functional.normalize(b - a, dim=-1) for a, b in pairwise(places)]
    return steps[0] if len(steps) == 1 else steps


def test_t_pose_and_elbow_bent_forward(anny, figure):
    motion = load_motion(figure([REST, ELBOW]), anny)
    joints, _ = posed(anny, motion)
    upper, lower = ways(anny, joints, "upperarm01.L", "lowerarm01.L", "wrist.L")
    torch.testing.assert_close(upper, torch.tensor([[1.0, 0, 0], [1, 0, 0]]), atol=0.01, rtol=0)
    torch.testing.assert_close(lower, torch.tensor([[1.0, 0, 0], [0, 0, -1]]), atol=0.01, rtol=0)  # to the camera
    for side in "LR":
        thigh, shin = ways(anny, joints, f"upperleg01.{side}", f"lowerleg01.{side}", f"foot.{side}")
        down = torch.tensor([[0.0, 1, 0]]).expand(2, 3)
        torch.testing.assert_close(thigh, down, atol=0.01, rtol=0)
        torch.testing.assert_close(shin, down, atol=0.01, rtol=0)


def test_the_inside_of_the_elbow_stays_inside_however_the_bones_own_frames_are_twisted(anny, figure):
    elbow = {"LeftForeArm": (0, -80, 0)}
    plain = load_motion(figure([REST, elbow, REST, elbow]), anny)
    # The same places of all joints, but the upper arm's frame is rolled by 70 degrees about the bone.
    rolled = {"LeftArm": (70, 0, 0), "LeftForeArm": (-70, 0, 0)}
    bent = rotation_about("x", torch.tensor(math.radians(-70))) @ rotation_about("y", torch.tensor(math.radians(-80)))
    y = math.asin(float(bent[0, 2]))
    x, z = math.atan2(-float(bent[1, 2]), float(bent[2, 2])), math.atan2(-float(bent[0, 1]), float(bent[0, 0]))
    rolled_elbow = {"LeftArm": (70, 0, 0), "LeftForeArm": tuple(map(math.degrees, (x, y, z)))}
    other = load_motion(figure([rolled, rolled_elbow, rolled, rolled_elbow]), anny)
    arm = [anny.joint_names.index(name) for name in ("upperarm01.L", "lowerarm01.L")]
    difference = matrix_to_rotvec(plain.rel_rotmats[:, arm].mT @ other.rel_rotmats[:, arm]).norm(dim=-1)
    assert float(difference.max()) < math.radians(6)


def test_knees_bend_backwards_and_soles_stay_flat(anny, figure):
    squat = {"root": (0, 74, 0)}
    for side in ("Left", "Right"):
        squat |= {f"{side}UpLeg": (-60, 0, 0), f"{side}Leg": (80, 0, 0), f"{side}Foot": (-20, 0, 0)}
    motion = load_motion(figure([REST] * 12 + [squat] * 12), anny)
    joints, pose = posed(anny, motion)
    _, shin = ways(anny, joints, "upperleg01.L", "lowerleg01.L", "foot.L")
    assert float(shin[-1, 2]) > 0.3  # away from the camera
    for side in "LR":
        foot = pose.glob_rotmats[:, anny.joint_names.index(f"foot.{side}")]
        assert float(matrix_to_rotvec(foot)[:, [0, 2]].norm(dim=-1).max()) < math.radians(8)


@pytest.mark.parametrize("basis", [Z_UP, X_UP, np.diag([-1.0, -1, 1])])
def test_the_axes_of_the_file_do_not_matter(anny, figure, basis):
    frames = [{**ELBOW, "root": (2 * i, 94, i), "Spine": (0, 5 * i, 3), "Hips": (0, i, 0)} for i in range(12)]
    expected = load_motion(figure(frames), anny)
    found = load_motion(figure(frames, basis=basis), anny)
    if not np.allclose(basis, X_UP):  # with x up there is no agreed front: the person then faces the camera
        torch.testing.assert_close(found.rel_rotmats, expected.rel_rotmats, atol=1e-4, rtol=0)
        torch.testing.assert_close(found.translation, expected.translation, atol=1e-4, rtol=0)
    else:
        torch.testing.assert_close(found.rel_rotmats[:, 1:], expected.rel_rotmats[:, 1:], atol=1e-4, rtol=0)


def test_path_and_units(anny, figure):
    frames = [{"root": (0, 94, 0)}, {"root": (10, 114, 50)}]
    for unit in (1.0, 0.01, 1 / 2.54):  # cm, m, inch
        motion = load_motion(figure(frames, unit=unit), anny)
        expected = torch.tensor([[0.0, 0, 0], [0.1, -0.2, -0.5]])  # to the person's left, up, to the camera
        torch.testing.assert_close(motion.translation, expected, atol=1e-4, rtol=0)
        assert motion.leg_length == pytest.approx(0.8, abs=1e-3)
        assert motion.fps == pytest.approx(20)


def test_somebody_who_looks_away_is_turned_to_the_camera_and_a_small_turn_is_kept(anny, figure):
    for turn, expected in ((180, 0), (100, 0), (20, 20)):
        motion = load_motion(figure([{"Hips": (0, turn, 0)}] * 3), anny)
        root = matrix_to_rotvec(motion.rel_rotmats[0, 0])
        assert math.degrees(float(root.norm())) == pytest.approx(expected, abs=3)


def test_names_of_other_programs(anny, figure):
    frames = [ELBOW, REST]
    expected = load_motion(figure(frames), anny)
    found = load_motion(figure(frames, rename=lambda name: f"mixamorig:{name}", newline="\r\n"), anny)
    torch.testing.assert_close(found.rel_rotmats, expected.rel_rotmats)


def test_a_missing_joint_is_named(anny, figure):
    with pytest.raises(MotionError, match="left hand, right hand"):
        load_motion(
            figure([REST], leave_out=[f"{s}Hand" for s in ("Left", "Right")]),
            anny,
        )


def test_a_calibration_pose_in_the_first_frame_is_left_out(anny, figure):
    arms = {"LeftArm": (0, 0, -80), "RightArm": (0, 0, 80), "LeftUpLeg": (-30, 0, 0), "LeftLeg": (40, 0, 0)}
    arms |= {"Spine": (10, 40, 0), "Head": (0, 40, 0), "Hips": (0, 50, 0), "RightUpLeg": (20, 0, 0)}
    still = [{**arms, "root": (0, 94 + 0.1 * i, 0)} for i in range(12)]
    assert len(load_motion(figure([REST, *still]), anny)) == 12
    assert len(load_motion(figure(still), anny)) == 12


def test_smpl_parameters(anny, tmp_path):
    poses = np.zeros((3, 156))
    poses[1:, 18 * 3 + 1] = -np.pi / 2  # left elbow
    to_z_up = rotation_about("x", torch.tensor(math.pi / 2))
    poses[:, :3] = matrix_to_rotvec(to_z_up).numpy()
    trans = np.array([[0.0, 0, 1], [0, -0.1, 1], [0.2, -0.1, 1]])
    np.savez(tmp_path / "amass.npz", poses=poses, trans=trans, mocap_framerate=np.float64(60))
    motion = load_motion(tmp_path / "amass.npz", anny)
    joints, _ = posed(anny, motion)
    upper, lower = ways(anny, joints, "upperarm01.L", "lowerarm01.L", "wrist.L")
    torch.testing.assert_close(upper[1], torch.tensor([1.0, 0, 0]), atol=0.05, rtol=0)
    torch.testing.assert_close(lower[1], torch.tensor([0.0, 0, -1]), atol=0.05, rtol=0)
    expected = torch.tensor([[0.0, 0, 0], [0, 0, -0.1], [0.2, 0, -0.1]])
    torch.testing.assert_close(motion.translation, expected, atol=1e-4, rtol=0)
    assert motion.fps == 60


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": np.zeros(3)}, "expected either 'rel_rotmats'"),
        ({"poses": np.zeros((3, 10)), "mocap_framerate": 30}, "poses: expected"),
        ({"poses": np.zeros((3, 66)), "trans": np.zeros((3, 3))}, "mocap_framerate"),
        ({"poses": np.full((3, 66), np.nan), "mocap_framerate": 30}, "poses: expected finite"),
        ({"rel_rotmats": np.zeros((2, 4, 3, 3))}, "missing"),
    ],
)
def test_npz_mistakes(anny, tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(MotionError, match=message):
        load_motion(tmp_path / "bad.npz", anny)


def test_pickled_and_missing_files_are_refused(anny, tmp_path):
    np.savez(tmp_path / "bad.npz", poses=np.array([{"code": 1}], dtype=object))
    with pytest.raises(MotionError, match="cannot be read as npz"):
        load_motion(tmp_path / "bad.npz", anny)
    with pytest.raises(MotionError, match="no such motion file"):
        load_motion(tmp_path / "none.bvh", anny)
    (tmp_path / "dance.fbx").touch()
    with pytest.raises(MotionError, match=r"\.bvh or \.npz"):
        load_motion(tmp_path / "dance.fbx", anny)


def turning(frames=5, joints=2):
    angle = torch.arange(frames, dtype=torch.float32) * 0.4
    rotations = rotvec_to_matrix(torch.stack([0 * angle, angle, 0 * angle], -1))[:, None].expand(-1, joints, 3, 3)
    path = torch.stack([angle, 0 * angle, 0 * angle], -1)
    return Motion(rotations, path, 1 + angle, 10.0, 0.8, "turning")


def test_resampling_is_spherical_and_keeps_the_ends():
    motion = turning()
    fine = motion.resampled(40.0)
    assert len(fine) == 17
    expected = torch.arange(17) * 0.1
    torch.testing.assert_close(matrix_to_rotvec(fine.rel_rotmats[:, 0])[:, 1], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(fine.translation[:, 0], expected)
    torch.testing.assert_close(fine.zoom, 1 + expected)
    assert fine.duration == pytest.approx(motion.duration)
    torch.testing.assert_close(fine.resampled(10.0).rel_rotmats, motion.rel_rotmats, atol=1e-5, rtol=0)
    assert len(turning(1).resampled(60.0)) == 1
    with pytest.raises(MotionError, match="frame rate above 0"):
        motion.resampled(0.0)


def test_motion_of_a_recovered_video(anny):
    pose = torch.eye(3).repeat(3, len(anny.parents), 1, 1)
    camera = WeakPerspective(torch.tensor([100.0, 110, 200]), torch.tensor([[50.0, 80], [60, 80], [50, 70]]))
    body = BodyParams(torch.zeros(len(anny.beta_names)), pose, camera)
    motion = motion_of(body, anny, 25.0)
    torch.testing.assert_close(motion.zoom, torch.tensor([1, 1.1, 2]))
    torch.testing.assert_close(motion.translation, torch.tensor([[0, 0, 0], [0.1, 0, 0], [0, -0.1, 0]]))
    assert motion.leg_length == pytest.approx(leg_length(anny, body.betas))
    with pytest.raises(MotionError, match="Photos have no motion"):
        motion_of(body, anny, 0.0)
    with pytest.raises(MotionError, match="no frames"):
        motion_of(body[:0], anny, 25.0)


def test_the_travel_begins_anew_with_another_camera(anny, tmp_path):
    pose = torch.eye(3).repeat(4, len(anny.parents), 1, 1)
    places = torch.tensor([[50.0, 80], [60, 80], [300, 90], [340, 90]])
    body = BodyParams(
        torch.zeros(len(anny.beta_names)), pose, WeakPerspective(torch.tensor([100.0, 100, 200, 200]), places)
    )
    shot = torch.tensor([0, 0, 1, 1])
    motion = motion_of(body, anny, 25.0, "film", shot, shot)
    torch.testing.assert_close(motion.zoom, torch.ones(4))
    torch.testing.assert_close(motion.translation[:, 0], torch.tensor([0, 0.1, 0, 0.2]))
    same_camera = motion_of(body, anny, 25.0, "film", shot, torch.zeros(4, dtype=torch.long))
    torch.testing.assert_close(same_camera.translation[:, 0], torch.tensor([0, 0.1, 2.5, 2.9]))
    assert motion.stretches == [slice(0, 2), slice(2, 4)]
    assert motion[1:3].shot.tolist() == [0, 1]
    finer = motion.resampled(50.0)
    torch.testing.assert_close(finer.translation[:, 0], torch.tensor([0, 0.05, 0.1, 0.1, 0, 0.1, 0.2]))
    save_npz(tmp_path / "film.npz", motion, anny)
    assert load_motion(tmp_path / "film.npz", anny).shot.tolist() == [0, 0, 1, 1]


def test_extent_is_that_of_the_mesh(anny):
    rel = rotvec_to_matrix(0.3 * torch.randn(2, len(anny.parents), 3, generator=torch.Generator().manual_seed(0)))
    camera = WeakPerspective(torch.ones(2), torch.zeros(2, 2))
    body = BodyParams(torch.zeros(len(anny.beta_names)), rel, camera)
    vertices = anny.pose(anny.rest(body.betas[None]), rel).vertices
    extent = _extent(body, anny)
    torch.testing.assert_close(extent.below, vertices[..., 1].amax(1), atol=0.006, rtol=0)
    torch.testing.assert_close(extent.left, -vertices[..., 0].amin(1), atol=0.02, rtol=0)


def test_knees_that_are_tracked_a_little_the_wrong_way_do_not_turn_the_legs_around(anny, figure):
    wrong = {f"{side}Leg": (-15, 0, 0) for side in ("Left", "Right")}
    motion = load_motion(figure([wrong] * 12), anny)
    legs = [joint for pair in (anny.roles.upper_leg, anny.roles.lower_leg) for joint in pair]
    assert float(matrix_to_rotvec(motion.rel_rotmats[:, legs]).norm(dim=-1).max()) < math.radians(35)


def test_a_foot_drawn_straight_down_points_with_the_shin(anny, figure):
    motion = load_motion(figure([REST] * 12, leave_out=[f"{s}ToeBase" for s in ("Left", "Right")]), anny)
    assert float(matrix_to_rotvec(motion.rel_rotmats[:, list(anny.roles.foot)]).norm(dim=-1).max()) < math.radians(25)


def test_hands_that_a_file_draws_back_to_front_are_put_right(anny, figure):
    turned = {f"{side}Hand": (150, 0, 0) for side in ("Left", "Right")}
    motion = load_motion(figure([turned, {**turned, **ELBOW}] * 6), anny)
    assert float(matrix_to_rotvec(motion.rel_rotmats[:, list(anny.roles.hand)]).norm(dim=-1).max()) < math.radians(45)


@pytest.mark.parametrize("roll", [-90, -45, 60])
def test_a_rolled_upper_arm_is_seen_in_how_the_elbow_bends(anny, figure, roll):
    """Arms out, forearms up or down: the forearm must turn about the elbow's hinge alone, not sideways."""
    motion = load_motion(figure([{"LeftArm": (roll, 0, 0), "LeftForeArm": (0, -80, 0)}] * 4), anny)
    rest = anny.rest(torch.zeros(1, len(anny.beta_names))).joints
    upper, lower = (way[0] for way in ways(anny, rest, "upperarm01.L", "lowerarm01.L", "wrist.L"))
    hinge = torch.nn.functional.normalize(torch.linalg.cross(upper, lower), dim=0)
    turned = motion.rel_rotmats[0, anny.roles.lower_arm[0]] @ lower
    assert abs(float(turned @ hinge)) < 0.1


def test_npz_that_was_damaged_on_its_way(anny, tmp_path):
    """Whatever byte changes, the answer is a typed error or the motion, never a traceback."""
    path = tmp_path / "walk.npz"
    np.savez_compressed(path, poses=np.zeros((4, 66)), trans=np.zeros((4, 3)), mocap_framerate=30.0)
    whole = path.read_bytes()
    failed = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :])
        try:
            load_motion(path, anny)
        except MotionError:
            failed += 1
    assert failed > 20
