"""The shipped body."""

import math

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel, PosedBody
from liquidwarp.body.parts import PARTS
from liquidwarp.errors import WeightsCorruptError, WeightsNotFoundError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotation_about
from liquidwarp.recover.detection.detections import BODY_LANDMARKS
from liquidwarp.weights import asset, load_tensors, save_tensors

MIRROR = torch.tensor([-1.0, 1, 1])


@pytest.fixture(scope="module")
def body() -> AnnyBody:
    return AnnyBody.load()


def betas_of(body: AnnyBody, **values: float) -> torch.Tensor:
    betas = torch.zeros(1, len(body.beta_names))
    for name, value in values.items():
        betas[0, body.beta_names.index(name.replace("_", "-"))] = value
    return betas


def rest_pose(body: AnnyBody) -> torch.Tensor:
    return torch.eye(3).repeat(1, len(body.parents), 1, 1)


def landmarks(body: AnnyBody, table: str, betas: torch.Tensor, posed: PosedBody) -> torch.Tensor:
    points = body.landmarks[table]
    rest = points.rest + torch.einsum("k,klc->lc", betas[0], points.basis)
    transforms = posed.transforms[0, points.joint]
    return (transforms[..., :3] @ rest[..., None]).squeeze(-1) + transforms[..., 3]


def test_fulfils_the_protocol_with_26_movable_joints(body):
    assert isinstance(body, BodyModel)
    movable = body.roles.movable()
    assert len(movable) == len(set(movable)) == 26
    assert list(movable[:1]) == [0]
    for side in (0, 1):
        assert [len(chain) for chain in body.roles.fingers[side]] == [3] * 5
        for chain in body.roles.fingers[side]:
            assert [body.parents[joint] for joint in chain[1:]] == list(chain[:2])


def test_stands_upright_facing_the_camera(body):
    rest = body.rest(betas_of(body))
    name = body.joint_index
    joints = rest.joints[0]
    assert float(joints[0].abs().max()) == 0
    assert joints[name("head"), 1] < joints[name("spine01"), 1] < joints[name("foot.L"), 1]
    assert joints[name("wrist.L"), 0] > 0.3 > -0.3 > joints[name("wrist.R"), 0]
    nose = body.landmarks["body"].rest[BODY_LANDMARKS.index("nose")]
    assert nose[2] < joints[name("head"), 2]
    assert 1.5 < float(body.height(betas_of(body))) < 1.8


def test_every_pixel_of_the_body_is_an_outer_face(body):
    rest = body.rest(betas_of(body))
    for yaw in (0.0, 1.1, math.pi):
        rel_rotmats = rest_pose(body)
        rel_rotmats[0, 0] = rotation_about("y", torch.tensor(yaw))
        posed = body.pose(rest, rel_rotmats)
        pixels = WeakPerspective(torch.tensor([120.0]), torch.tensor([[128.0, 120.0]])).project(posed.vertices)
        culled = rasterize(pixels, body.faces, 256, 256, cull_backfaces=True)
        both = rasterize(pixels, body.faces, 256, 256, cull_backfaces=False)
        assert culled.covered.sum() > 5000
        # A few slivers at silhouettes may differ, a wrong winding or a hole would not be few.
        assert (culled.pix_to_face != both.pix_to_face).float().mean() < 1e-4


def test_the_skin_is_closed_but_for_eyelids_and_eyes(body):
    edges = torch.cat([body.faces[:, [k, (k + 1) % 3]] for k in range(3)])
    codes = edges[:, 0] * 100_000 + edges[:, 1]
    assert len(codes.unique()) == len(codes)
    back = edges[:, 1] * 100_000 + edges[:, 0]
    open_edges = edges[~torch.isin(codes, back)]
    parts = body.vertex_part[open_edges].unique()
    assert len(open_edges) < 80
    assert parts.tolist() == [PARTS.index("face")]


def test_parts_cover_all_faces_and_mirror(body):
    centres = body.rest(betas_of(body)).vertices[0][body.faces].mean(1)
    counts = torch.bincount(body.face_part, minlength=len(PARTS))
    assert (counts > 100).all()
    for part, name in enumerate(PARTS):
        x = centres[body.face_part == part, 0]
        if name.startswith("left"):
            assert (x > -0.02).all()
            other = PARTS.index(name.replace("left", "right"))
            assert abs(int(counts[part]) - int(counts[other])) <= 0.03 * int(counts[part])
        elif name.startswith("right"):
            assert (x < 0.02).all()


def test_weights_and_texture_coordinates_are_sound(body):
    torch.testing.assert_close(body.lbs_weights.sum(1), torch.ones(len(body.lbs_weights)))
    assert (body.lbs_weights >= 0).all()
    assert (body.lbs_weights > 0).sum(1).max() <= 4
    assert body.uv.min() >= 0
    assert body.uv.max() <= 1
    assert body.face_uv.shape == body.faces.shape
    assert body.face_uv.max() < len(body.uv)


def test_the_texture_of_the_torso_is_upright(body):
    """MakeHuman's layout draws the torso upright: further down on the body is further down in the image."""
    torso = body.face_part == PARTS.index("torso")
    v = body.uv[body.face_uv].mean(1)[torso, 1]
    y = body.tensors.template[body.faces].mean(1)[torso, 1]
    assert torch.corrcoef(torch.stack([v, y]))[0, 1] > 0.9


def test_an_elbow_turns_the_wrist_about_itself(body):
    rest = body.rest(betas_of(body))
    elbow, wrist = body.roles.lower_arm[0], body.roles.hand[0]
    rel_rotmats = rest_pose(body)
    rel_rotmats[0, elbow] = rotation_about("z", torch.tensor(math.pi / 2))
    posed = body.pose(rest, rel_rotmats)
    arm = rest.joints[0, wrist] - rest.joints[0, elbow]
    turned = torch.stack([-arm[1], arm[0], arm[2]])
    torch.testing.assert_close(posed.joints[0, wrist], rest.joints[0, elbow] + turned, atol=1e-6, rtol=0)
    torch.testing.assert_close(posed.joints[0, elbow], rest.joints[0, elbow])


def test_left_and_right_mirror(body):
    torch.manual_seed(0)
    betas = torch.randn(1, len(body.beta_names)) * 0.5
    joints = body.rest(betas).joints[0]
    left = [joint for joint, name in enumerate(body.joint_names) if name.endswith(".L")]
    right = [body.joint_index(body.joint_names[joint][:-1] + "R") for joint in left]
    torch.testing.assert_close(joints[left], joints[right] * MIRROR, atol=2e-3, rtol=0)
    hands = [body.landmarks[f"{side}_hand"].rest for side in ("left", "right")]
    torch.testing.assert_close(hands[0], hands[1] * MIRROR, atol=2e-3, rtol=0)


def test_landmarks_lie_on_their_limbs_and_follow_them(body):
    betas = betas_of(body, upperarm_length=2.0)
    rest = body.rest(betas)
    rel_rotmats = rest_pose(body)
    rel_rotmats[0, body.roles.upper_arm[0]] = rotation_about("x", torch.tensor(0.8))
    posed = body.pose(rest, rel_rotmats)
    found = landmarks(body, "body", betas, posed)
    assert body.landmarks["body"].names == BODY_LANDMARKS
    for landmark, role in (("elbow", "lower_arm"), ("wrist", "hand"), ("knee", "lower_leg"), ("ankle", "foot")):
        for side in (0, 1):
            joint = posed.joints[0, getattr(body.roles, role)[side]]
            place = found[BODY_LANDMARKS.index(f"{('left', 'right')[side]}_{landmark}")]
            assert (place - joint).norm() < 0.03
    fingers = landmarks(body, "left_hand", betas, posed)
    assert (fingers[0] - posed.joints[0, body.roles.hand[0]]).norm() < 1e-4
    skin = posed.vertices[0, body.vertex_part == PARTS.index("left_hand")]
    assert torch.cdist(fingers, skin).amin(1).max() < 0.025


def test_fingers_bend_their_own_tips(body):
    betas = betas_of(body)
    rel_rotmats = rest_pose(body)
    rel_rotmats[0, list(body.roles.fingers[0][1])] = rotation_about("x", torch.tensor(0.6))
    straight = landmarks(body, "left_hand", betas, body.pose(body.rest(betas), rest_pose(body)))
    bent = landmarks(body, "left_hand", betas, body.pose(body.rest(betas), rel_rotmats))
    moved = (bent - straight).norm(dim=1)
    index_finger = [body.landmarks["left_hand"].names.index(f"index_{name}") for name in ("pip", "dip", "tip")]
    assert moved.nonzero()[:, 0].tolist() == index_finger
    assert moved[index_finger[-1]] > 0.03


def test_calibration_can_be_taken_off(body):
    offset = body.landmark_offsets["body"]
    assert 0.003 < offset.norm(dim=1).mean() < 0.03
    knee = BODY_LANDMARKS.index("left_knee")
    anatomical = body.landmarks["body"].rest[knee] - offset[knee]
    torch.testing.assert_close(anatomical, body.tensors.joints[body.roles.lower_leg[0]], atol=1e-5, rtol=0)


def test_shoes_lower_the_sole_and_hide_the_toes(body):
    bare, filled, shod = (
        body.rest(betas_of(body, **shoes)).vertices[0]
        for shoes in ({}, {"shoe_volume": 1.0}, {"shoe_volume": 1.0, "shoe_sole": 1.0})
    )
    for part in ("left_foot", "right_foot"):
        foot = body.vertex_part == PARTS.index(part)
        assert float(filled[foot, 1].max() - bare[foot, 1].max()) == pytest.approx(0, abs=1e-4)
        assert float(shod[foot, 1].max() - bare[foot, 1].max()) == pytest.approx(0.025, abs=1e-4)
        grown = (_extent(filled[foot]) - _extent(bare[foot]))[[0, 2]]
        assert ((grown > 0.008) & (grown < 0.02)).all()
    below = [part for part, name in enumerate(PARTS) if "leg" in name or "foot" in name]
    legs = torch.isin(body.vertex_part, torch.tensor(below))
    assert torch.equal(bare[~legs], shod[~legs])
    joints = [body.rest(betas_of(body, **shoes)).joints for shoes in ({}, {"shoe_volume": 1.0, "shoe_sole": 1.0})]
    assert torch.equal(*joints)
    assert _holes_between_toes(body, shod) == 0 < _holes_between_toes(body, bare)


def _holes_between_toes(body: AnnyBody, vertices: torch.Tensor) -> int:
    """Pixels of the left toes' outline, seen from above, that are background between toes."""
    foot = vertices[body.vertex_part == PARTS.index("left_foot")]
    front, left, right = foot[:, 2].min(), foot[:, 0].min(), foot[:, 0].max()
    view = torch.stack([vertices[:, 0], vertices[:, 2], vertices[:, 1]], 1)[None]
    camera = WeakPerspective(torch.tensor([1000.0]), -1000 * torch.stack([left, front])[None])
    width = int((right - left) * 1000)
    covered = rasterize(camera.project(view), body.faces, 45, width, cull_backfaces=False).covered[0]
    between = covered.cummax(1).values & covered.flip(1).cummax(1).values.flip(1) & ~covered
    return int(between[20:].sum())


def _extent(points: torch.Tensor) -> torch.Tensor:
    return points.amax(0) - points.amin(0)


def test_named_directions_do_what_they_say(body):
    base, longer = (body.rest(betas_of(body, **change)).joints[0] for change in ({}, {"lowerleg_length": 1.0}))
    knee, ankle = body.roles.lower_leg[0], body.roles.foot[0]
    growth = (longer[ankle] - longer[knee]).norm() - (base[ankle] - base[knee]).norm()
    assert 0.01 < growth < 0.04
    assert float(body.height(betas_of(body, lowerleg_length=1.0)) - body.height(betas_of(body))) > 0.01


def test_moving_keeps_the_class_and_its_extras(body):
    moved = body.to("cpu")
    assert isinstance(moved, AnnyBody)
    assert torch.equal(moved.makehuman_vertex, body.makehuman_vertex)
    assert torch.equal(moved.landmarks["body"].rest, body.landmarks["body"].rest)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(WeightsNotFoundError, match=r"nobody\.safetensors"):
        AnnyBody.load(tmp_path / "nobody.safetensors")
    tensors, metadata = load_tensors(asset("body/anny.safetensors"))
    del tensors["joints"]
    with pytest.raises(WeightsCorruptError, match="joints"):
        AnnyBody.load(save_tensors(tmp_path / "half.safetensors", tensors, metadata))
    with pytest.raises(WeightsCorruptError, match="format"):
        AnnyBody.load(save_tensors(tmp_path / "other.safetensors", tensors, {"format": "other"}))
