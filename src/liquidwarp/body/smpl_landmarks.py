"""Where the detectors' landmarks lie on SMPL, SMPL-H and SMPL-X: not calibrated on real detections."""

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.linear import BodyTensors
from liquidwarp.body.model import LandmarkTable

__all__ = ["smpl_landmark_tables"]

_VERTICES = {
    6890: {
        "nose": (332, 332),
        "eye": (2800, 6260),
        "ear": (583, 4071),
        "heel": (3387, 6787),
        "toe": (3216, 6617),
        "thumb": (2746, 6191),
        "index": (2319, 5782),
        "middle": (2445, 5905),
        "ring": (2556, 6016),
        "pinky": (2673, 6133),
    },
    10475: {
        "nose": (9120, 9120),
        "eye": (9448, 9929),
        "ear": (6, 616),
        "heel": (8846, 8635),
        "toe": (5770, 8463),
        "thumb": (5361, 8079),
        "index": (4933, 7669),
        "middle": (5058, 7794),
        "ring": (5169, 7905),
        "pinky": (5286, 8022),
    },
}
"""Vertices (left, right) by the number of vertices of the model; fingers are their tips."""

_KNUCKLES = (0.5, 0.7, 0.85)
"""Where a finger's joints are on the way from the wrist to its tip, for a model without fingers."""


class _Points:
    """Landmarks of one model: positions at betas = 0 and their change per beta, for whole bodies of points."""

    def __init__(self, tensors: BodyTensors, joint_names: tuple[str, ...]) -> None:
        count = len(tensors.template)
        if count not in _VERTICES:
            raise ValueError(f"{count} vertices")
        self.vertices = _VERTICES[count]
        self.joint_names = joint_names
        self.rest = torch.cat([tensors.template, tensors.joints])
        self.basis = torch.cat([tensors.vertex_basis, tensors.joint_basis], 1)
        self.num_vertices = count

    def joint(self, name: str) -> Float[Tensor, "N"]:
        """Weights over vertices and joints that give a joint."""
        return self._one(self.num_vertices + self.joint_names.index(name))

    def vertex(self, name: str, side: int = 0) -> Float[Tensor, "N"]:
        """Weights over vertices and joints that give a named vertex."""
        return self._one(self.vertices[name][side])

    def near(self, point: Float[Tensor, "3"]) -> Float[Tensor, "N"]:
        """Weights that give the vertex nearest to a point."""
        return self._one(int((self.rest[: self.num_vertices] - point).norm(dim=1).argmin()))

    def _one(self, index: int) -> Float[Tensor, "N"]:
        weights = torch.zeros(len(self.rest))
        weights[index] = 1
        return weights

    def table(self, rows: dict[str, tuple[str, Tensor]]) -> LandmarkTable:
        """From the joint that each landmark moves with and its weights."""
        weights = torch.stack([weight for _, weight in rows.values()])
        joint = torch.tensor([self.joint_names.index(name) for name, _ in rows.values()])
        return LandmarkTable(tuple(rows), joint, weights @ self.rest, weights @ self.basis)


def smpl_landmark_tables(tensors: BodyTensors, joint_names: tuple[str, ...]) -> dict[str, LandmarkTable]:
    """Tables "body" (BlazePose's 33 in its order), "left_hand" and "right_hand" (21 each).

    Raises:
        ValueError: neither 6890 nor 10475 vertices.
    """
    points = _Points(tensors, joint_names)
    tables = {"body": points.table({**_face_rows(points), **_limb_rows(points)})}
    for number, side in enumerate(("left", "right")):
        rows = {"wrist": (f"{side}_wrist", points.joint(f"{side}_wrist"))}
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            name = "little" if finger == "pinky" else finger
            phalanges = ("cmc", "mcp", "ip") if finger == "thumb" else ("mcp", "pip", "dip")
            for k, phalanx in enumerate((*phalanges, "tip")):
                rows[f"{name}_{phalanx}"] = _finger_row(points, side, number, finger, k)
        tables[f"{side}_hand"] = points.table(rows)
    return tables


def _face_rows(points: _Points) -> dict[str, tuple[str, Tensor]]:
    eyes = [points.vertex("eye", side) for side in (0, 1)]
    nose = points.vertex("nose")
    rows = {"nose": nose}
    for side, name in enumerate(("left", "right")):
        sign = 1 - 2 * side
        eye = eyes[side] @ points.rest
        rows[f"{name}_eye_inner"] = points.near(eye + torch.tensor([-0.014 * sign, 0.0, 0.002]))
        rows[f"{name}_eye"] = eyes[side]
        rows[f"{name}_eye_outer"] = points.near(eye + torch.tensor([0.015 * sign, 0.0, 0.004]))
    for side, name in enumerate(("left", "right")):
        rows[f"{name}_ear"] = points.vertex("ear", side)
    tip = nose @ points.rest
    for side, name in enumerate(("left", "right")):
        corner = torch.stack([torch.tensor(0.024 * (1 - 2 * side)), tip[1] + 0.036, tip[2] + 0.018])
        rows[f"mouth_{name}"] = points.near(corner)
    return {name: ("head", weights) for name, weights in rows.items()}


def _limb_rows(points: _Points) -> dict[str, tuple[str, Tensor]]:
    """From the shoulders to the toes, left before right in each pair."""
    sides = ("left", "right")
    rows: dict[str, tuple[str, Tensor]] = {}
    for place, above in (("shoulder", "collar"), ("elbow", "shoulder"), ("wrist", "elbow")):
        for side in sides:
            rows[f"{side}_{place}"] = (f"{side}_{above}", points.joint(f"{side}_{place}"))
    for finger in ("pinky", "index", "thumb"):
        for number, side in enumerate(sides):
            _, weights = _finger_row(points, side, number, finger, 1 if finger == "thumb" else 0)
            rows[f"{side}_{finger}"] = (f"{side}_wrist", weights)
    for place, above in (("hip", "pelvis"), ("knee", "hip"), ("ankle", "knee")):
        for side in sides:
            joint = above if above == "pelvis" else f"{side}_{above}"
            rows[f"{side}_{place}"] = (joint, points.joint(f"{side}_{place}"))
    for place, vertex in (("heel", "heel"), ("foot_index", "toe")):
        for number, side in enumerate(sides):
            rows[f"{side}_{place}"] = (f"{side}_ankle", points.vertex(vertex, number))
    return rows


def _finger_row(points: _Points, side: str, number: int, finger: str, k: int) -> tuple[str, Tensor]:
    """The k-th joint of a finger from the palm outwards, 3 = its tip, with the joint before it, which it moves with."""
    tip, wrist = points.vertex(finger, number), points.joint(f"{side}_wrist")
    if f"{side}_{finger}1" not in points.joint_names:
        share = (*_KNUCKLES, 1.0)[k]
        return f"{side}_wrist", torch.lerp(wrist, tip, share)
    moves_with = f"{side}_wrist" if k == 0 else f"{side}_{finger}{k}"
    return moves_with, tip if k == 3 else points.joint(f"{side}_{finger}{k + 1}")
