"""Files for other programs."""

import json
import struct

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree

from liquidwarp.body.export import save_bvh, save_glb, save_npz
from liquidwarp.body.motion import Motion, leg_length, load_motion
from liquidwarp.errors import MediaError, MotionError
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotvec_to_matrix


@pytest.fixture
def motion(anny):
    """Random poses of the movable joints and the fingers."""
    generator = torch.Generator().manual_seed(0)
    rotvecs = torch.zeros(4, len(anny.parents), 3)
    fingers = [joint for side in anny.roles.fingers for finger in side for joint in finger]
    moving = [*anny.roles.movable(), *fingers]
    rotvecs[:, moving] = 0.3 * torch.randn(4, len(moving), 3, generator=generator)
    path = torch.randn(4, 3, generator=generator)
    leg = leg_length(anny, torch.zeros(len(anny.beta_names)))
    return Motion(rotvec_to_matrix(rotvecs), path - path[0], torch.ones(4), 24.0, leg, "wild")


def test_bvh_comes_back_as_it_was(anny, motion, tmp_path):
    save_bvh(tmp_path / "out.bvh", motion, anny)
    again = load_motion(tmp_path / "out.bvh", anny)
    difference = matrix_to_rotvec(motion.rel_rotmats.mT @ again.rel_rotmats).norm(dim=-1)
    assert float(difference.max()) < 1e-4
    torch.testing.assert_close(again.translation, motion.translation, atol=1e-4, rtol=0)
    assert again.fps == pytest.approx(24)
    assert again.leg_length == pytest.approx(motion.leg_length, rel=1e-4)


def test_bvh_of_joints_between_is_folded_into_the_next(anny, motion, tmp_path):
    """upperarm02 is not written: its rotation must reach the forearm."""
    between = anny.joint_names.index("upperarm02.L")
    motion.rel_rotmats[:, between] = rotvec_to_matrix(torch.tensor([0.0, 0.2, 0.0]))
    save_bvh(tmp_path / "out.bvh", motion, anny)
    again = load_motion(tmp_path / "out.bvh", anny)
    rest = anny.rest(torch.zeros(1, len(anny.beta_names)))
    hand = anny.joint_names.index("wrist.L")
    expected = anny.pose(rest, motion.rel_rotmats).glob_rotmats[:, hand]
    torch.testing.assert_close(anny.pose(rest, again.rel_rotmats).glob_rotmats[:, hand], expected, atol=1e-4, rtol=0)


def test_npz_loses_nothing(anny, motion, tmp_path):
    save_npz(tmp_path / "out.npz", motion, anny)
    again = load_motion(tmp_path / "out.npz", anny)
    for name in ("rel_rotmats", "translation", "zoom"):
        assert torch.equal(getattr(again, name), getattr(motion, name))
    assert (again.fps, again.leg_length, again.name) == (24.0, motion.leg_length, "out")


def read_glb(path):
    """JSON and a function that gives an accessor's array."""
    data = path.read_bytes()
    magic, version, total = struct.unpack_from("<4sII", data)
    assert (magic, version, total) == (b"glTF", 2, len(data))
    length, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    document, binary = json.loads(data[20 : 20 + length]), data[28 + length :]

    def array(index):
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        kind = {5126: np.float32, 5125: np.uint32, 5123: np.uint16}[accessor["componentType"]]
        width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor["type"]]
        assert view["byteOffset"] % 4 == 0
        return np.frombuffer(binary, kind, accessor["count"] * width, view["byteOffset"]).reshape(-1, width)

    return document, array


def skinned(document, array, frame):
    """What a glTF viewer shows: linear blend skinning of frame ``frame``, (N, 3)."""
    nodes, skin = document["nodes"], document["skins"][0]
    local = [(np.eye(3), np.array(node.get("translation", (0, 0, 0)))) for node in nodes]
    animation = document["animations"][0]
    for channel in animation["channels"]:
        value = array(animation["samplers"][channel["sampler"]]["output"])[frame]
        node = channel["target"]["node"]
        if channel["target"]["path"] == "translation":
            local[node] = (local[node][0], value)
        else:
            x, y, z, w = value.astype(float)
            rotvec = (
                np.array([x, y, z])
                / max(np.linalg.norm([x, y, z]), 1e-9)
                * 2
                * np.arctan2(np.linalg.norm([x, y, z]), w)
            )
            local[node] = (rotvec_to_matrix(torch.from_numpy(rotvec)).numpy(), local[node][1])
    world = {}

    def walk(node, rotation, place):
        turned, moved = local[node]
        world[node] = (rotation @ turned, place + rotation @ moved)
        for child in nodes[node].get("children", []):
            walk(child, *world[node])

    for node in document["scenes"][0]["nodes"]:
        walk(node, np.eye(3), np.zeros(3))
    inverse = array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    primitive = document["meshes"][0]["primitives"][0]["attributes"]
    points, weights = array(primitive["POSITION"]), array(primitive["WEIGHTS_0"])
    joints = array(primitive["JOINTS_0"])
    result = np.zeros((len(points), 3))
    for slot in range(4):
        node = np.array(skin["joints"])[joints[:, slot]]
        rotation, place = (np.stack([world[n][part] for n in range(len(nodes))]) for part in (0, 1))
        bind = inverse[joints[:, slot]]
        local_points = (bind[:, :3, :3] @ points[..., None])[..., 0] + bind[:, :3, 3]
        moved = (rotation[node] @ local_points[..., None])[..., 0] + place[node]
        result += weights[:, slot : slot + 1] * moved
    return points, result


def test_glb_shows_the_posed_body(anny, motion, tmp_path):
    texture = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    betas = torch.zeros(len(anny.beta_names))
    betas[0] = 1.0
    save_glb(tmp_path / "out.glb", motion, anny, betas, texture)
    document, array = read_glb(tmp_path / "out.glb")
    points, found = skinned(document, array, 2)
    rest = anny.rest(betas[None])
    posed = anny.pose(rest, motion.rel_rotmats).vertices[2]
    floor = anny.pose(rest, motion.rel_rotmats[:1]).vertices[..., 1].max()
    ratio = leg_length(anny, betas) / motion.leg_length
    flip = np.array([1, -1, -1])
    expected = (posed + ratio * motion.translation[2]).numpy() * flip + np.array([0, float(floor), 0])
    distance, vertex = cKDTree(rest.vertices[0].numpy() * flip).query(points)
    assert distance.max() < 1e-5
    np.testing.assert_allclose(found, expected[vertex], atol=2e-4)


def test_glb_is_read_by_another_program(anny, motion, tmp_path):
    texture = np.full((8, 8, 3), 200, np.uint8)
    save_glb(tmp_path / "out.glb", motion, anny, texture=texture)
    scene = trimesh.load(tmp_path / "out.glb")
    mesh = next(iter(scene.geometry.values()))
    assert len(mesh.faces) == len(anny.faces)
    assert mesh.visual.material.baseColorTexture.size == (8, 8)
    rest = anny.rest(torch.zeros(1, len(anny.beta_names))).vertices[0].numpy() * [1, -1, -1]
    used = np.unique(anny.faces.numpy())
    np.testing.assert_allclose(mesh.bounds, [rest[used].min(0), rest[used].max(0)], atol=1e-5)
    outward = trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)
    assert outward.volume > 0.03  # faces look outward


def test_wrong_names_and_failed_writes_leave_nothing(anny, motion, tmp_path, monkeypatch):
    with pytest.raises(MotionError, match=r"ending in \.bvh"):
        save_bvh(tmp_path / "out.npz", motion, anny)

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez_compressed", fail)
    with pytest.raises(MediaError):
        save_npz(tmp_path / "out.npz", motion, anny)
    assert not list(tmp_path.iterdir())
