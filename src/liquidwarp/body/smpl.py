"""SMPL, SMPL-H and SMPL-X from the user's own files; nothing of these models is part of this package.

The files may be used for non-commercial research only, unless their owner licensed them otherwise; that is between
the user and https://smpl.is.tue.mpg.de. Only ``.npz`` is read: SMPL's original ``.pkl`` files are pickles, which can
run any code. ``scripts/convert_smpl.py`` turns them into ``.npz`` without running what is in them.

Convention:
    SMPL's axes are x = the person's left, y up, z forward from the person; ours follow from half a turn about x.
Paper:
    Loper et al. 2015 (SMPL), Romero et al. 2017 (SMPL-H), Pavlakos et al. 2019 (SMPL-X).
"""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.linear import BodyTensors, LinearBody
from liquidwarp.body.model import BodyModel, BodyRoles, LandmarkTable
from liquidwarp.body.parts import PARTS
from liquidwarp.body.smpl_landmarks import smpl_landmark_tables
from liquidwarp.errors import SettingError, WeightsCorruptError, WeightsNotFoundError

__all__ = ["SmplBody", "load_smpl"]

_BODY_JOINTS = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle"),
    *("spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
)
_FINGERS = tuple(
    f"{side}_{finger}{k}"
    for side in ("left", "right")
    for finger in ("index", "middle", "pinky", "ring", "thumb")
    for k in (1, 2, 3)
)
_JOINTS = {
    24: ("smpl", (*_BODY_JOINTS, "left_hand", "right_hand")),
    52: ("smplh", (*_BODY_JOINTS, *_FINGERS)),
    55: ("smplx", (*_BODY_JOINTS, "jaw", "left_eye", "right_eye", *_FINGERS)),
}
_PART_OF_JOINT = {
    "shoulder": "upper_arm",
    "elbow": "lower_arm",
    "hip": "upper_leg",
    "knee": "lower_leg",
    "ankle": "foot",
    "foot": "foot",
}
_TO_OURS = torch.tensor([1.0, -1.0, -1.0])


class SmplBody(LinearBody):
    """SMPL, SMPL-H or SMPL-X as a :class:`liquidwarp.body.model.BodyModel`."""

    pose_basis: Float[Tensor, "P V3"]
    """Corrective shapes in our axes: change of the flattened vertices [m] per entry of R - I of each joint but the
    root, P = 9 (J - 1)."""

    def corrected(
        self, vertices: Float[Tensor, "B V 3"], rel_rotmats: Float[Tensor, "T J 3 3"]
    ) -> Float[Tensor, "#T V 3"]:
        """Rest vertices with SMPL's pose-dependent corrections (Loper et al. 2015, Eq. 9)."""
        bend = rel_rotmats[:, 1:] - torch.eye(3, dtype=rel_rotmats.dtype, device=rel_rotmats.device)
        return vertices + (bend.flatten(1) @ self.pose_basis).reshape(len(bend), -1, 3)

    def to(self, device: torch.device | str) -> "SmplBody":
        """The same model on another device."""
        moved = super().to(device)
        assert isinstance(moved, SmplBody)  # noqa: S101
        moved.pose_basis = self.pose_basis.to(device)
        return moved


def load_smpl(path: str | Path, num_betas: int = 10) -> BodyModel:
    """Read the user's SMPL, SMPL-H or SMPL-X file.

    The face is the front of the head by geometry. A file without texture coordinates gets a layout in which every
    triangle has its own place: sound, but with seams everywhere. SMPL has no fingers: its hand landmarks are points
    on the way to the finger tips, rigid on the wrist.

    Args:
        path: A ``.npz`` file with SMPL's arrays (``v_template``, ``shapedirs``, ``posedirs``, ``J_regressor``,
            ``kintree_table``, ``weights``, ``f``).
        num_betas: Shape coefficients to use; more fit closer and slower.

    Raises:
        WeightsNotFoundError: no such file.
        WeightsCorruptError: a pickle, or not an SMPL file.
        SettingError: ``num_betas`` is more than the file has.
    """
    path = Path(path)
    arrays = _read(path)
    try:
        return _assemble(arrays, num_betas)
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        if isinstance(error, SettingError):
            raise
        raise WeightsCorruptError(f"{path}: expected the arrays of SMPL, SMPL-H or SMPL-X ({error}).") from error


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays that the body needs; others may be pickled and stay unread."""
    if not path.is_file():
        raise WeightsNotFoundError(f"{path}: no such file. Give the .npz file of SMPL, SMPL-H or SMPL-X.")
    if path.suffix.lower() != ".npz":
        raise WeightsCorruptError(
            f"{path}: expected an .npz file, found '{path.suffix}'. Convert SMPL's .pkl files with "
            "scripts/convert_smpl.py."
        )
    wanted = ("v_template", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights", "f", "vt", "ft")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in wanted if name in file.files}
    except (ValueError, OSError) as error:
        raise WeightsCorruptError(
            f"{path}: expected plain arrays, found pickled ones or a damaged file ({error}). Convert the original with "
            "scripts/convert_smpl.py."
        ) from error


def _assemble(arrays: dict[str, np.ndarray], num_betas: int) -> SmplBody:
    def points(name: str) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(arrays[name], dtype=np.float32))

    weights, regressor = points("weights"), points("J_regressor")
    if weights.shape[1] not in _JOINTS:
        raise ValueError(f"{weights.shape[1]} joints")
    name, joint_names = _JOINTS[weights.shape[1]]
    directions = points("shapedirs")
    available = min(directions.shape[-1], 300)  # SMPL-X keeps its expressions behind the 300th
    if not 1 <= num_betas <= available:
        raise SettingError(f"num_betas: expected 1 to {available}, got {num_betas}.")
    template = points("v_template") * _TO_OURS
    vertex_basis = directions[..., :num_betas].permute(2, 0, 1) * _TO_OURS
    joints, joint_basis = regressor @ template, regressor @ vertex_basis
    parents = [-1, *(int(parent) for parent in arrays["kintree_table"][0][1:])]
    faces = torch.from_numpy(arrays["f"].astype(np.int64))
    root, root_basis = joints[:1], joint_basis[:, :1]
    vertex_part = _vertex_parts(weights, joint_names, template, joints)
    uv, face_uv = _texture(arrays, len(faces))
    tensors = BodyTensors(
        template=template - root,
        joints=joints - root,
        vertex_basis=vertex_basis - root_basis,
        joint_basis=joint_basis - root_basis,
        faces=faces,
        face_part=vertex_part[faces].mode(1).values,
        vertex_part=vertex_part,
        uv=uv,
        face_uv=face_uv,
        lbs_weights=weights / weights.sum(1, keepdim=True),
    )
    tables: dict[str, LandmarkTable] = smpl_landmark_tables(tensors, joint_names)
    betas = [f"beta{k}" for k in range(num_betas)]
    body = SmplBody(name, joint_names, parents, betas, tensors, _roles(joint_names), tables)
    body.pose_basis = _pose_basis(points("posedirs"))
    return body


def _pose_basis(directions: Float[Tensor, "V 3 P"]) -> Float[Tensor, "P V3"]:
    """SMPL's pose directions for rotations and displacements in our axes."""
    ours = directions.permute(2, 0, 1) * _TO_OURS
    signs = (_TO_OURS[:, None] * _TO_OURS).flatten().repeat(len(ours) // 9)
    return (ours * signs[:, None, None]).flatten(1).contiguous()


def _roles(joint_names: tuple[str, ...]) -> BodyRoles:
    def pair(name: str) -> tuple[int, int]:
        return joint_names.index(f"left_{name}"), joint_names.index(f"right_{name}")

    def chains(side: str) -> tuple[tuple[int, ...], ...]:
        if f"{side}_thumb1" not in joint_names:
            return ()
        return tuple(
            tuple(joint_names.index(f"{side}_{finger}{k}") for k in (1, 2, 3))
            for finger in ("thumb", "index", "middle", "ring", "pinky")
        )

    collar = pair("collar")
    return BodyRoles(
        root=0,
        spine=tuple(joint_names.index(f"spine{k}") for k in (1, 2, 3)),
        neck=(joint_names.index("neck"), joint_names.index("head")),
        shoulder=((collar[0],), (collar[1],)),
        upper_arm=pair("shoulder"),
        lower_arm=pair("elbow"),
        hand=pair("wrist"),
        upper_leg=pair("hip"),
        lower_leg=pair("knee"),
        foot=pair("ankle"),
        fingers=(chains("left"), chains("right")),
    )


def _vertex_parts(
    weights: Float[Tensor, "V J"],
    joint_names: tuple[str, ...],
    template: Float[Tensor, "V 3"],
    joints: Float[Tensor, "J 3"],
) -> Int64[Tensor, "V"]:
    """Parts by the skinning weights; the face is what of the head lies in front of its joint and below the brow."""
    part_of_joint = torch.tensor([PARTS.index(_part(name)) for name in joint_names])
    by_part = torch.zeros(len(weights), len(PARTS)).index_add_(1, part_of_joint, weights)
    part = by_part.argmax(1)
    head = part == PARTS.index("head")
    skull = head & (template[:, 1] < joints[joint_names.index("head"), 1] + 0.02)
    if skull.any():
        top, bottom = template[skull, 1].min(), template[skull, 1].max()
        front, back = template[skull, 2].min(), template[skull, 2].max()
        below_brow = template[:, 1] > top + 0.25 * (bottom - top)
        in_front = template[:, 2] < front + 0.45 * (back - front)
        part[skull & below_brow & in_front] = PARTS.index("face")
    return part


def _part(joint_name: str) -> str:
    side, _, place = joint_name.rpartition("_")
    if joint_name in ("neck", "head", "jaw") or place == "eye":
        return "head"
    if not side or place == "collar":
        return "torso"
    return f"{side}_{_PART_OF_JOINT.get(place, 'hand')}"


def _texture(arrays: dict[str, np.ndarray], num_faces: int) -> tuple[Float[Tensor, "U 2"], Int64[Tensor, "F 3"]]:
    """The file's own layout with v down; without one, two triangles share each cell of a grid."""
    if "vt" in arrays and "ft" in arrays:
        uv = torch.from_numpy(arrays["vt"].astype(np.float32))
        return torch.stack([uv[:, 0], 1 - uv[:, 1]], 1), torch.from_numpy(arrays["ft"].astype(np.int64))
    face = torch.arange(num_faces)
    side = math.ceil(math.sqrt((num_faces + 1) // 2))
    cell = torch.stack([face // 2 % side, torch.div(face // 2, side, rounding_mode="floor")], 1)
    halves = torch.tensor([[[0.1, 0.05], [0.1, 0.85], [0.9, 0.05]], [[0.9, 0.95], [0.9, 0.15], [0.1, 0.95]]])
    uv = (cell[:, None] + halves[face % 2]) / side
    return uv.flatten(0, 1), torch.arange(3 * num_faces).view(-1, 3)
