"""Reading and writing BVH."""

import numpy as np
import pytest

from liquidwarp.body.bvh import BvhMotion, read_bvh, write_bvh
from liquidwarp.body.joint_names import _key, match_joints
from liquidwarp.errors import MotionError

ARM = """HIERARCHY
ROOT shoulder
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT elbow {
    OFFSET 3 0 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 2e0 0 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.1
0 0 0  0 0 0  0 0 0
1 2 3  0 0 0  90 0 0
"""


def write(tmp_path, text):
    path = tmp_path / "arm.bvh"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("change", [str, lambda t: t.replace("\n", "\r\n"), lambda t: t.replace("  ", "\t")])
def test_an_elbow_bent_by_90_degrees(tmp_path, change):
    motion = read_bvh(write(tmp_path, change(ARM)))
    assert motion.names == ("shoulder", "elbow", "elbow_end")
    assert motion.parents == (-1, 0, 1)
    assert motion.fps == pytest.approx(10)
    _, places = motion.forward()
    np.testing.assert_allclose(places[0], [[0, 0, 0], [3, 0, 0], [5, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(places[1], [[1, 2, 3], [4, 2, 3], [4, 4, 3]], atol=1e-12)


def test_channels_apply_in_the_files_order(tmp_path):
    zxy = read_bvh(write(tmp_path, ARM.replace("1 2 3  0 0 0  90 0 0", "0 0 0 0 0 0 90 90 0"))).rotations[1, 1]
    xzy = ARM.replace("CHANNELS 3 Zrotation Xrotation", "CHANNELS 3 Xrotation Zrotation")
    xzy = read_bvh(write(tmp_path, xzy.replace("1 2 3  0 0 0  90 0 0", "0 0 0 0 0 0 90 90 0"))).rotations[1, 1]
    np.testing.assert_allclose(zxy @ [0, 1, 0], [0, 0, 1], atol=1e-12)  # Rz Rx y = Rz z
    np.testing.assert_allclose(xzy @ [0, 1, 0], [-1, 0, 0], atol=1e-12)  # Rx Rz y = Rx (-x)


def test_no_end_sites_spaces_in_names_and_a_wrong_frame_count(tmp_path, caplog):
    text = ARM.replace("    End Site\n    {\n      OFFSET 2e0 0 0\n    }\n", "")
    text = text.replace("JOINT elbow {", "JOINT Bip01 L Forearm\n{").replace("Frames: 2", "Frames: 7")
    motion = read_bvh(write(tmp_path, text))
    assert motion.names == ("shoulder", "Bip01 L Forearm")
    assert len(motion.rotations) == 2
    assert "says 7 frames and holds 2" in caplog.text


@pytest.mark.parametrize("offset", [(0, 0, 0), (0, 90, 0)])
def test_root_positions_replace_an_offset_or_add_to_it(tmp_path, offset):
    text = ARM.replace("OFFSET 0 0 0", "OFFSET {} {} {}".format(*offset))
    absolute = text.replace("0 0 0  0 0 0  0 0 0", "0 91 0 0 0 0 0 0 0").replace("1 2 3  0", "0 92 0  0")
    assert read_bvh(write(tmp_path, absolute)).positions[1, 0, 1] == 92
    if offset[1]:
        assert read_bvh(write(tmp_path, text)).positions[1, 0, 1] == 92  # 90 + 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Frame Time: 0.1", "Frame Time: 0", "line 17: expected a frame time above 0"),
        ("1 2 3  0 0 0  90 0 0", "1 2 3  0 0 0  90 0", "line 19: expected 9 numbers; found: 8 numbers"),
        ("1 2 3  0 0 0  90 0 0", "1 2 3  0 x 0  90 0 0", "line 19: expected 9 numbers"),
        ("1 2 3  0 0 0  90 0 0", "1 2 3  0 nan 0  90 0 0", "line 19: expected 9 finite numbers"),
        ("CHANNELS 3 Zrotation Xrotation Yrotation", "CHANNELS 4 Zrotation Xrotation Yrotation", "line 8"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation", "line 8: expected channels such as"),
        ("OFFSET 3 0 0", "OFFSET 3 0", "line 7: expected 3 numbers; found: 2 numbers"),
        ("0 0 0  0 0 0  0 0 0\n1 2 3  0 0 0  90 0 0\n", "", "holds no frames"),
        ("Frame Time: 0.1\n", "", "no 'Frame Time:'"),
        ("}\nMOTION", "MOTION", "a complete joint hierarchy"),
        ("MOTION", "NOTION", "NOTION"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, old, new, message):
    assert old in ARM
    with pytest.raises(MotionError, match=message):
        read_bvh(write(tmp_path, ARM.replace(old, new)))


def test_something_else_than_bvh(tmp_path):
    with pytest.raises(MotionError, match=r"no MOTION|expected HIERARCHY"):
        read_bvh(write(tmp_path, "\x00\x01\x02 not a motion"))
    with pytest.raises(MotionError, match="cannot be read"):
        read_bvh(tmp_path)


def test_what_is_written_is_read_again(tmp_path):
    rng = np.random.default_rng(0)
    rotations = np.linalg.qr(rng.normal(size=(4, 3, 3, 3)))[0]
    rotations *= np.sign(np.linalg.det(rotations))[..., None, None]
    rotations[:, 2] = np.eye(3)
    rotations[0, 1] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]  # 90 degrees about y: the pole of the angles
    offsets = rng.normal(size=(3, 3))
    positions = np.tile(offsets, (4, 1, 1))
    positions[:, 0] += rng.normal(size=(4, 3))
    motion = BvhMotion(("a", "b", "b_end"), (-1, 0, 1), offsets, rotations, positions, 24.0)
    write_bvh(tmp_path / "out.bvh", motion)
    again = read_bvh(tmp_path / "out.bvh")
    assert again.names == motion.names
    assert again.fps == pytest.approx(24)
    np.testing.assert_allclose(again.rotations, rotations, atol=1e-5)
    np.testing.assert_allclose(again.positions, positions, atol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["out.bvh"]


@pytest.mark.parametrize(
    ("name", "side", "core"),
    [
        ("mixamorig:LeftUpLeg", 0, "upleg"),
        ("mixamorig1:RightHand", 1, "hand"),
        ("Bip01 L Thigh", 0, "thigh"),
        ("lThigh", 0, "thigh"),
        ("rShldr", 1, "shldr"),
        ("upperarm01.R", 1, "upperarm01"),
        ("thigh_l", 0, "thigh"),
        ("L_Hip", 0, "hip"),
        ("left_hip", 0, "hip"),
        ("J_Bip_R_LowerArm", 1, "lowerarm"),
        ("lowerback", -1, "lowerback"),
        ("root", -1, "root"),
        ("lhand", 0, "hand"),
        ("LHipJoint", 0, "hipjoint"),
    ],
)
def test_sides_and_prefixes(name, side, core):
    assert _key(name) == (side, core)


CONVENTIONS = {
    "mixamo": "mixamorig:Hips mixamorig:{}UpLeg mixamorig:{}Leg mixamorig:{}Foot mixamorig:{}Shoulder mixamorig:{}Arm "
    "mixamorig:{}ForeArm mixamorig:{}Hand",
    "cmu": "Hips {}Hip {}Knee {}Ankle {}Collar {}Shoulder {}Elbow {}Wrist",
    "smpl": "Pelvis {}_Hip {}_Knee {}_Ankle {}_Collar {}_Shoulder {}_Elbow {}_Wrist",
    "unreal": "pelvis thigh_{} calf_{} foot_{} clavicle_{} upperarm_{} lowerarm_{} hand_{}",
    "biped": "Bip01 Bip01 {} Thigh|Bip01 {} Calf|Bip01 {} Foot|Bip01 {} Clavicle|Bip01 {} UpperArm|Bip01 {} Forearm|"
    "Bip01 {} Hand",
    "rigify": "hips thigh.{} shin.{} foot.{} shoulder.{} upper_arm.{} forearm.{} hand.{}",
}
SIDES = {"mixamo": ("Left", "Right"), "cmu": ("Left", "Right"), "unreal": ("l", "r")}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_conventions(convention):
    text = CONVENTIONS[convention]
    hips, rest = text.split(" ", 1)
    limbs = rest.split("|") if "|" in rest else rest.split()
    names, parents = [hips, "chest"], [-1, 0]
    for side in SIDES.get(convention, ("L", "R")):
        for index, name in enumerate(limbs):
            parents.append({0: 0, 3: 1}.get(index, len(names) - 1))
            names.append(name.format(side))
    roles = match_joints("file", names, parents)
    assert (roles.hips, roles.chest) == (0, 1)
    assert (roles.upper_leg, roles.lower_leg, roles.foot) == ((2, 9), (3, 10), (4, 11))
    assert (roles.collar, roles.upper_arm, roles.lower_arm, roles.hand) == ((5, 12), (6, 13), (7, 14), (8, 15))


def test_unknown_joints_are_listed():
    message = r"left upper leg, right upper leg.*Joints in the file: a, b\. Rename them to names like LeftUpleg"
    with pytest.raises(MotionError, match=message):
        match_joints("odd.bvh", ["a", "b"], [-1, 0])
