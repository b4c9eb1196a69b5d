"""Where the detectors' landmarks lie on Anny. Part of ``build_anny.py``."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.model import LandmarkTable
from liquidwarp.recover.detection.detections import BODY_LANDMARKS

FINGERS = ("thumb", "index", "middle", "ring", "little")


@dataclass(frozen=True)
class AnnyMesh:
    """The mean body in our axes, with all of Anny's vertices."""

    template: Float[Tensor, "V 3"]
    joints: Float[Tensor, "J 3"]
    weights: Float[Tensor, "V J"]
    joint_names: list[str]
    outer: Int64[Tensor, "O"]
    """Vertices on the outer surface."""
    keypoints: dict[str, Float[Tensor, "V"]]
    """Weights over the vertices per COCO key point."""

    def keypoint(self, name: str) -> Float[Tensor, "3"]:
        """Position of a COCO key point."""
        return self.keypoints[name] @ self.template

    def joint(self, name: str) -> Float[Tensor, "N"]:
        """Weights over vertices and joints that give a joint."""
        return torch.cat([torch.zeros(len(self.template)), self._one(len(self.joints), self.joint_names.index(name))])

    def surface(self, weights: Float[Tensor, "V"]) -> Float[Tensor, "N"]:
        """Weights over vertices and joints that give a point on the surface."""
        return torch.cat([weights, torch.zeros(len(self.joints))])

    def near(self, point: Float[Tensor, "3"], count: int = 3) -> Float[Tensor, "N"]:
        """The mean of the outer vertices nearest to ``point``."""
        nearest = (self.template[self.outer] - point).norm(dim=1).topk(count, largest=False).indices
        weights = torch.zeros(len(self.template))
        weights[self.outer[nearest]] = 1 / count
        return self.surface(weights)

    @staticmethod
    def _one(size: int, index: int) -> Tensor:
        return torch.nn.functional.one_hot(torch.tensor(index), size).float()


def landmark_tables(mesh: AnnyMesh, basis: Float[Tensor, "K N 3"]) -> dict[str, LandmarkTable]:
    """Tables "body" (BlazePose's 33), "left_hand" and "right_hand" (21 each), without calibration."""
    tables = {"body": {name: body_landmark(mesh, name) for name in BODY_LANDMARKS}}
    for side in ("left", "right"):
        tables[f"{side}_hand"] = hand_landmarks(mesh, side[0].upper())
    points = torch.cat([mesh.template, mesh.joints])
    result = {}
    for table, landmarks in tables.items():
        weights = torch.stack([weight for _, weight in landmarks.values()])
        joint = torch.tensor([mesh.joint_names.index(name) for name, _ in landmarks.values()])
        result[table] = LandmarkTable(tuple(landmarks), joint, weights @ points, weights @ basis)
    return result


def body_landmark(mesh: AnnyMesh, name: str) -> tuple[str, Tensor]:
    """The joint that a BlazePose landmark moves with, and its weights over vertices and joints."""
    side = "left" if "left" in name else "right"
    end, sign = side[0].upper(), 1 if side == "left" else -1
    place = name.removeprefix("left_").removeprefix("right_")
    on_joint = {
        "shoulder": (f"shoulder01.{end}", f"upperarm01.{end}"),
        "elbow": (f"upperarm01.{end}", f"lowerarm01.{end}"),
        "wrist": (f"lowerarm01.{end}", f"wrist.{end}"),
        "pinky": (f"wrist.{end}", f"finger5-1.{end}"),
        "index": (f"wrist.{end}", f"finger2-1.{end}"),
        "thumb": (f"wrist.{end}", f"finger1-2.{end}"),
        "hip": ("root", f"upperleg01.{end}"),
        "knee": (f"upperleg01.{end}", f"lowerleg01.{end}"),
        "ankle": (f"lowerleg01.{end}", f"foot.{end}"),
    }
    if place in on_joint:
        moves_with, joint = on_joint[place]
        return moves_with, mesh.joint(joint)
    if place in ("heel", "foot_index"):
        return f"foot.{end}", mesh.surface(mesh.keypoints[f"{side}_{'heel' if place == 'heel' else 'big_toe'}"])
    if place == "nose":
        return "head", mesh.surface(mesh.keypoints["nose"])
    if place in ("eye", "ear"):
        return "head", mesh.surface(mesh.keypoints[f"{side}_{place}"])
    nose, eye = mesh.keypoint("nose"), mesh.keypoint(f"{side}_eye")
    if place == "eye_inner":
        return "head", mesh.near(eye + torch.tensor([-0.014 * sign, 0.0, 0.002]))
    if place == "eye_outer":
        return "head", mesh.near(eye + torch.tensor([0.015 * sign, 0.0, 0.004]))
    return "head", mesh.near(torch.tensor([0.024 * sign, float(nose[1]) + 0.036, float(nose[2]) + 0.018]))


def hand_landmarks(mesh: AnnyMesh, end: str) -> dict[str, tuple[str, Tensor]]:
    """The 21 hand landmarks: the wrist, then from the palm outwards the joints and the tip of each finger."""
    landmarks = {"wrist": (f"wrist.{end}", mesh.joint(f"wrist.{end}"))}
    for number, finger in enumerate(FINGERS, start=1):
        bones = [f"wrist.{end}", *(f"finger{number}-{k}.{end}" for k in (1, 2, 3))]
        for k, name in enumerate(("cmc", "mcp", "ip") if finger == "thumb" else ("mcp", "pip", "dip")):
            landmarks[f"{finger}_{name}"] = (bones[k], mesh.joint(bones[k + 1]))
        landmarks[f"{finger}_tip"] = (bones[3], finger_tip(mesh, bones[2], bones[3]))
    return landmarks


def finger_tip(mesh: AnnyMesh, middle: str, last: str) -> Tensor:
    """The mean of the last bone's 8 farthest vertices along the finger."""
    before, joint = (mesh.joints[mesh.joint_names.index(name)] for name in (middle, last))
    candidates = (mesh.weights[:, mesh.joint_names.index(last)] > 0.5).nonzero()[:, 0]
    reach = (mesh.template[candidates] - joint) @ torch.nn.functional.normalize(joint - before, dim=0)
    weights = torch.zeros(len(mesh.template))
    weights[candidates[reach.topk(8).indices]] = 1 / 8
    return mesh.surface(weights)
