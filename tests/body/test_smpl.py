"""SMPL's format with made-up content: spheres of vertices around the joints of a plausible skeleton."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.body.smpl import load_smpl
from liquidwarp.errors import SettingError, WeightsCorruptError, WeightsNotFoundError
from liquidwarp.geometry.rotations import rotation_about, rotvec_to_matrix
from liquidwarp.recover.detection.detections import BODY_LANDMARKS

NUM_VERTICES = 6890
TO_OURS = torch.tensor([1.0, -1.0, -1.0])
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
JOINTS = np.array(
    [
        *([0, 0, 0], [0.1, -0.1, 0], [-0.1, -0.1, 0], [0, 0.1, 0], [0.1, -0.5, 0], [-0.1, -0.5, 0], [0, 0.2, 0]),
        *([0.1, -0.9, 0], [-0.1, -0.9, 0], [0, 0.3, 0], [0.1, -0.95, 0.1], [-0.1, -0.95, 0.1], [0, 0.5, 0]),
        *([0.1, 0.45, 0], [-0.1, 0.45, 0], [0, 0.6, 0], [0.2, 0.45, 0], [-0.2, 0.45, 0]),
        *([0.45, 0.45, 0], [-0.45, 0.45, 0], [0.7, 0.45, 0], [-0.7, 0.45, 0], [0.8, 0.45, 0], [-0.8, 0.45, 0]),
    ]
) + np.array([0.01, -0.2, 0.03])
"""SMPL's axes; the pelvis is not at the origin there."""


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    owner = np.arange(NUM_VERTICES) % 24
    weights = random.dirichlet(np.full(24, 0.02), NUM_VERTICES) * 0.2
    weights[np.arange(NUM_VERTICES), owner] += 0.8
    regressor = np.zeros((24, NUM_VERTICES))
    regressor[owner, np.arange(NUM_VERTICES)] = 1
    regressor /= regressor.sum(1, keepdims=True)
    ball = random.normal(0, 0.03, (NUM_VERTICES, 3))
    template = JOINTS[owner] + ball - (regressor @ ball)[owner]
    return {
        "v_template": template,
        "shapedirs": random.normal(0, 0.01, (NUM_VERTICES, 3, 12)),
        "posedirs": random.normal(0, 0.002, (NUM_VERTICES, 3, 207)).astype(np.float32),
        "J_regressor": regressor,
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(24)], dtype=np.uint32),
        "weights": weights,
        "f": random.integers(0, NUM_VERTICES // 24, (200, 3)) * 24 + random.integers(0, 24, (200, 1)),
    }


@pytest.fixture(scope="module")
def path(arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("smpl") / "SMPL_TINY.npz"
    np.savez(file, **arrays)
    return file


@pytest.fixture(scope="module")
def body(path: Path) -> BodyModel:
    return load_smpl(path)


def test_equals_smplx_up_to_the_axes(arrays, body):
    lbs = pytest.importorskip("smplx.lbs")
    torch.manual_seed(0)
    tensors = {name: torch.from_numpy(value).float() for name, value in arrays.items() if name != "kintree_table"}
    betas, rotvecs = torch.randn(2, 10), torch.randn(2, 24, 3) * 0.5
    theirs, joints = lbs.lbs(
        betas,
        rotvecs.flatten(1),
        tensors["v_template"],
        tensors["shapedirs"][..., :10],
        tensors["posedirs"].reshape(-1, 207).T,
        tensors["J_regressor"],
        torch.tensor(PARENTS),
        tensors["weights"],
    )
    posed = body.pose(body.rest(betas), rotvec_to_matrix(rotvecs * TO_OURS))
    torch.testing.assert_close(posed.vertices, (theirs - joints[:, :1]) * TO_OURS, atol=2e-6, rtol=0)
    torch.testing.assert_close(posed.joints, (joints - joints[:, :1]) * TO_OURS, atol=2e-6, rtol=0)


def test_stands_in_our_axes(body):
    assert isinstance(body, BodyModel)
    assert (body.name, len(body.joint_names), len(body.beta_names)) == ("smpl", 24, 10)
    joints = body.rest(torch.zeros(1, 10)).joints[0]
    assert float(joints[0].abs().max()) < 1e-6
    assert joints[body.roles.neck[-1], 1] == pytest.approx(-0.6, abs=1e-5)
    assert joints[body.roles.hand[0], 0] == pytest.approx(0.7, abs=1e-5)
    assert joints[body.joint_names.index("left_foot"), 2] == pytest.approx(-0.1, abs=1e-5)


def test_an_elbow_turns_the_wrist(body):
    rest = body.rest(torch.zeros(1, 10))
    rel_rotmats = torch.eye(3).repeat(1, 24, 1, 1)
    rel_rotmats[0, body.roles.lower_arm[0]] = rotation_about("z", torch.tensor(math.pi / 2))
    wrist = body.pose(rest, rel_rotmats).joints[0, body.roles.hand[0]]
    torch.testing.assert_close(wrist, torch.tensor([0.45, -0.2, 0.0]), atol=1e-5, rtol=0)


def test_parts_and_roles(body):
    owner = torch.arange(NUM_VERTICES) % 24
    for joint, part in (("left_elbow", "left_lower_arm"), ("right_knee", "right_lower_leg"), ("spine2", "torso")):
        assert (body.vertex_part[owner == body.joint_names.index(joint)] == PARTS.index(part)).all()
    for joint in ("left_wrist", "left_hand"):
        assert (body.vertex_part[owner == body.joint_names.index(joint)] == PARTS.index("left_hand")).all()
    face = body.vertex_part == PARTS.index("face")
    assert set(owner[face].tolist()) <= {12, 15}
    assert body.face_part.shape == (200,)
    assert len(body.roles.movable()) == 20
    assert body.roles.fingers == ((), ())


def test_landmarks_of_body_and_hands(body):
    table = body.landmarks["body"]
    assert table.names == BODY_LANDMARKS
    joints = body.rest(torch.zeros(1, 10)).joints[0]
    elbow = table.names.index("right_elbow")
    torch.testing.assert_close(table.rest[elbow], joints[body.roles.lower_arm[1]])
    assert table.joint[elbow] == body.roles.upper_arm[1]
    hand = body.landmarks["left_hand"]
    assert len(hand.names) == 21
    tip = hand.rest[hand.names.index("index_tip")]
    torch.testing.assert_close(tip, body.rest(torch.zeros(1, 10)).vertices[0, 2319])
    middle = hand.rest[hand.names.index("index_mcp")]
    torch.testing.assert_close(middle, (tip + joints[body.roles.hand[0]]) / 2)


def test_made_up_texture_gives_each_triangle_its_own_place(body):
    corners = body.uv[body.face_uv]
    assert corners.min() > 0
    assert corners.max() < 1
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs() / 2
    assert float(area.sum()) > 0.5
    centres = corners.mean(1)
    assert (torch.cdist(centres, centres) + torch.eye(200)).min() > 0.01


def test_own_texture_is_turned_v_down(arrays, tmp_path):
    file = tmp_path / "with_texture.npz"
    np.savez(file, **arrays, vt=np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]), ft=np.zeros((200, 3), np.int64))
    torch.testing.assert_close(load_smpl(file).uv[0], torch.tensor([0.1, 0.8]))


def test_errors_name_file_and_remedy(arrays, path, tmp_path):
    with pytest.raises(WeightsNotFoundError, match=r"none\.npz"):
        load_smpl(tmp_path / "none.npz")
    pickled = tmp_path / "SMPL_NEUTRAL.pkl"
    pickled.write_bytes(b"\x80\x04N.")
    with pytest.raises(WeightsCorruptError, match="convert_smpl"):
        load_smpl(pickled)
    objects = tmp_path / "objects.npz"
    np.savez(objects, v_template=np.array([{}], dtype=object))
    with pytest.raises(WeightsCorruptError, match="convert_smpl"):
        load_smpl(objects)
    half = tmp_path / "half.npz"
    np.savez(half, **{name: arrays[name] for name in ("v_template", "weights")})
    with pytest.raises(WeightsCorruptError, match="J_regressor"):
        load_smpl(half)
    with pytest.raises(SettingError, match="num_betas"):
        load_smpl(path, num_betas=13)
