"""Motions and moving bodies for other programs: npz, BVH, and glTF binary (skinned mesh with animation and texture).

Convention:
    The files' axes are y up, the person looks to +z, as BVH and glTF have it; BVH in centimetres, glTF in metres.
    The floor is at height 0 under the first frame. Every file appears whole or not at all.
"""

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from liquidwarp.body.bvh import BvhMotion, write_bvh
from liquidwarp.body.model import BodyModel, RestBody
from liquidwarp.body.motion import Motion, leg_length
from liquidwarp.errors import MotionError
from liquidwarp.files import atomic_path
from liquidwarp.geometry.mesh import vertex_normals
from liquidwarp.geometry.rotations import matrix_to_rotvec

__all__ = ["save_bvh", "save_glb", "save_npz"]

_FLIP = torch.tensor([1.0, -1.0, -1.0])
"""OpenCV axes to y up, z towards the viewer."""
_CENTIMETRES = 100


def save_npz(path: Path | str, motion: Motion, model: BodyModel) -> None:
    """Save a motion for :func:`liquidwarp.body.motion.load_motion`; nothing is lost.

    Args:
        path: Where to write, ending in .npz.
        motion: What to save.
        model: The motion's body model.
    """
    path = _target(path, ".npz")
    shots: dict[str, Any] = {} if motion.shot is None else {"shot": motion.shot.cpu().numpy()}
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            **shots,
            rel_rotmats=motion.rel_rotmats.cpu().numpy(),
            translation=motion.translation.cpu().numpy(),
            zoom=motion.zoom.cpu().numpy(),
            fps=np.float64(motion.fps),
            leg_length=np.float64(motion.leg_length),
            joint_names=np.array(model.joint_names),
        )


def save_bvh(path: Path | str, motion: Motion, model: BodyModel, betas: Float[Tensor, "K"] | None = None) -> None:
    """Save a motion as BVH on the model's own skeleton: the joints that move, and the fingers.

    Args:
        path: Where to write, ending in .bvh.
        motion: What to save; its zoom has no place in the format, its path is scaled to the skeleton's legs.
        model: The motion's body model.
        betas: Shape of the skeleton; None is the average.
    """
    path = _target(path, ".bvh")
    rest = model.rest(_betas(model, betas))
    kept = _kept_joints(model)
    orientations = _global_rotations(motion.rel_rotmats.cpu().double(), model.parents)
    joints = rest.joints[0].cpu().double() * _FLIP * _CENTIMETRES
    names, parents, offsets, rotations = list[str](), list[int](), list[Tensor](), list[Tensor]()
    place: dict[int, int] = {}
    for joint in kept:
        parent = model.parents[joint]
        while parent >= 0 and parent not in place:
            parent = model.parents[parent]
        place[joint] = len(names)
        names.append(model.joint_names[joint])
        parents.append(place.get(parent, -1))
        offsets.append(joints[joint] - joints[parent] if parent >= 0 else joints[joint])
        relative = orientations[:, joint] if parent < 0 else orientations[:, parent].mT @ orientations[:, joint]
        rotations.append(_FLIP.double()[:, None] * relative * _FLIP.double())
    for joint in kept:
        if place[joint] not in parents:
            names.append(model.joint_names[joint] + "_end")
            parents.append(place[joint])
            offsets.append(_tip(joints, joint, model))
            rotations.append(torch.eye(3, dtype=torch.float64).expand(len(motion), 3, 3))
    positions = torch.stack(offsets).repeat(len(motion), 1, 1)
    floor = _floor(motion, model, rest)
    positions[:, 0] = _root_path(motion, model, betas, floor).double() * _CENTIMETRES
    write_bvh(
        path,
        BvhMotion(
            tuple(names),
            tuple(parents),
            torch.stack(offsets).numpy(),
            torch.stack(rotations, 1).numpy(),
            positions.numpy(),
            motion.fps,
        ),
    )


def save_glb(
    path: Path | str,
    motion: Motion,
    model: BodyModel,
    betas: Float[Tensor, "K"] | None = None,
    texture: UInt8[np.ndarray, "H W 3"] | None = None,
) -> None:
    """Save the moving body as glTF binary: skinned mesh, skeleton, animation.

    Args:
        path: Where to write, ending in .glb.
        motion: What the body does.
        model: The body.
        betas: Its shape; None is the average.
        texture: Colours on the model's UVs, RGB, row 0 at v = 0.
    """
    path = _target(path, ".glb")
    rest = model.rest(_betas(model, betas))
    file = _GlbFile()
    file.add_mesh(rest.vertices[0].cpu(), model, texture)
    floor = _floor(motion, model, rest)
    file.add_skeleton(rest.joints[0].cpu() * _FLIP, model, floor)
    file.add_animation(motion, model, _root_path(motion, model, betas, floor))
    with atomic_path(path) as temporary:
        temporary.write_bytes(file.to_bytes())


def _target(path: Path | str, suffix: str) -> Path:
    path = Path(path)
    if path.suffix.lower() != suffix:
        raise MotionError(f"{path}: expected a file name ending in {suffix}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _betas(model: BodyModel, betas: Float[Tensor, "K"] | None) -> Float[Tensor, "1 K"]:
    return torch.zeros(1, len(model.beta_names), device=model.lbs_weights.device) if betas is None else betas[None]


def _floor(motion: Motion, model: BodyModel, rest: RestBody) -> float:
    """How far below the root joint the body's lowest point is in the first frame [m]."""
    first = model.pose(rest, motion.rel_rotmats[:1].to(rest.vertices.device))
    return float(first.vertices[..., 1].max())


def _root_path(
    motion: Motion, model: BodyModel, betas: Float[Tensor, "K"] | None, floor: float
) -> Float[Tensor, "T 3"]:
    """Where the root joint is [m], y up: the motion's path in steps of this body's legs."""
    ratio = leg_length(model, _betas(model, betas)[0]) / motion.leg_length
    return motion.translation.cpu() * ratio * _FLIP + torch.tensor([0.0, floor, 0.0])


def _kept_joints(model: BodyModel) -> list[int]:
    """Movable joints and fingers, parents before children."""
    fingers = (joint for side in model.roles.fingers for finger in side for joint in finger)
    return sorted({*model.roles.movable(), *fingers})


def _global_rotations(rel_rotmats: Float[Tensor, "T J 3 3"], parents: tuple[int, ...]) -> Float[Tensor, "T J 3 3"]:
    rotations = list(rel_rotmats.unbind(1))
    for joint, parent in enumerate(parents):
        if parent >= 0:
            rotations[joint] = rotations[parent] @ rotations[joint]
    return torch.stack(rotations, 1)


def _tip(joints: Float[Tensor, "J 3"], joint: int, model: BodyModel) -> Float[Tensor, "3"]:
    """Where a chain's last bone ends: at the joint's own children (toes), else half a bone farther."""
    children = [child for child, parent in enumerate(model.parents) if parent == joint]
    if children:
        return joints[children].mean(0) - joints[joint]
    return 0.5 * (joints[joint] - joints[max(model.parents[joint], 0)])


class _GlbFile:
    """Collects the buffer and the JSON of one glTF 2.0 binary file."""

    _ARRAY_TARGET, _INDEX_TARGET = 34962, 34963
    _COMPONENT = {"float32": 5126, "uint32": 5125, "uint16": 5123}  # noqa: RUF012
    _TYPE = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}  # noqa: RUF012

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._json: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "liquidwarp"},
            "scene": 0,
            "bufferViews": [],
            "accessors": [],
        }

    def _view(self, data: bytes, target: int | None = None) -> int:
        view: dict[str, int] = {"buffer": 0, "byteOffset": self._size, "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        padded = data + b"\0" * (-len(data) % 4)
        self._chunks.append(padded)
        self._size += len(padded)
        self._json["bufferViews"].append(view)
        return len(self._json["bufferViews"]) - 1

    def _accessor(self, array: np.ndarray, target: int | None = None, bounds: bool = False) -> int:
        array = np.ascontiguousarray(array)
        accessor = {
            "bufferView": self._view(array.tobytes(), target),
            "componentType": self._COMPONENT[array.dtype.name],
            "count": len(array),
            "type": self._TYPE[array.shape[1:]],
        }
        if bounds:
            accessor["min"] = np.atleast_1d(array.min(0)).tolist()
            accessor["max"] = np.atleast_1d(array.max(0)).tolist()
        self._json["accessors"].append(accessor)
        return len(self._json["accessors"]) - 1

    def add_mesh(
        self, vertices: Float[Tensor, "V 3"], model: BodyModel, texture: UInt8[np.ndarray, "H W 3"] | None
    ) -> None:
        """Node 0: the skinned mesh, its vertices split where the texture has seams."""
        corner_vertex, corner_uv, indices = _split_at_seams(model.faces.cpu(), model.face_uv.cpu())
        normals = vertex_normals(vertices[None], model.faces.cpu())[0]
        weights, joints = model.lbs_weights.cpu().topk(4, dim=1)
        weights = weights / weights.sum(1, keepdim=True)
        attributes = {
            "POSITION": self._accessor(
                (vertices * _FLIP)[corner_vertex].numpy().astype(np.float32), self._ARRAY_TARGET, bounds=True
            ),
            "NORMAL": self._accessor((normals * _FLIP)[corner_vertex].numpy(), self._ARRAY_TARGET),
            "TEXCOORD_0": self._accessor(model.uv.cpu()[corner_uv].numpy(), self._ARRAY_TARGET),
            "JOINTS_0": self._accessor(joints[corner_vertex].numpy().astype(np.uint16), self._ARRAY_TARGET),
            "WEIGHTS_0": self._accessor(weights[corner_vertex].numpy().astype(np.float32), self._ARRAY_TARGET),
        }
        primitive = {
            "attributes": attributes,
            "indices": self._accessor(indices.flatten().numpy().astype(np.uint32), self._INDEX_TARGET),
            "material": 0,
        }
        self._json["meshes"] = [{"name": model.name, "primitives": [primitive]}]
        self._json["nodes"] = [{"name": "body", "mesh": 0, "skin": 0}]
        self._add_material(texture)

    def _add_material(self, texture: UInt8[np.ndarray, "H W 3"] | None) -> None:
        surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 0.9}
        if texture is None:
            surface["baseColorFactor"] = [0.7, 0.7, 0.7, 1.0]
        else:
            png = io.BytesIO()
            Image.fromarray(texture).save(png, format="PNG")
            self._json["images"] = [{"mimeType": "image/png", "bufferView": self._view(png.getvalue())}]
            self._json["textures"] = [{"source": 0}]
            surface["baseColorTexture"] = {"index": 0}
        self._json["materials"] = [{"name": "skin", "pbrMetallicRoughness": surface}]

    def add_skeleton(self, joints: Float[Tensor, "J 3"], model: BodyModel, floor: float) -> None:
        """Nodes 1 to J: the joints; the root stands ``floor`` metres above the ground."""
        children: dict[int, list[int]] = {}
        for joint, parent in enumerate(model.parents):
            children.setdefault(parent, []).append(joint + 1)
        for joint, parent in enumerate(model.parents):
            offset = joints[joint] - joints[parent] if parent >= 0 else torch.tensor([0.0, floor, 0.0])
            node: dict[str, Any] = {"name": model.joint_names[joint], "translation": offset.tolist()}
            if joint in children:
                node["children"] = children[joint]
            self._json["nodes"].append(node)
        inverse_bind = torch.eye(4).repeat(len(joints), 1, 1)
        inverse_bind[:, 3, :3] = -joints  # glTF stores matrices by columns
        matrices = self._accessor(inverse_bind.numpy().astype(np.float32))
        order = list(range(1, len(joints) + 1))
        self._json["skins"] = [{"joints": order, "skeleton": 1, "inverseBindMatrices": matrices}]
        self._json["scenes"] = [{"nodes": [0, *children[-1]]}]

    def add_animation(self, motion: Motion, model: BodyModel, path: Float[Tensor, "T 3"]) -> None:
        """The root's path, and the rotations of all joints that are not at rest throughout."""
        time = np.arange(len(motion), dtype=np.float32) / np.float32(motion.fps)
        key_times = self._accessor(time, bounds=True)
        tracks = [(1, "translation", path.numpy())]
        rotvecs = matrix_to_rotvec(motion.rel_rotmats.cpu()) * _FLIP
        moving = [joint for joint in range(len(model.parents)) if float(rotvecs[:, joint].abs().max()) > 1e-5]
        tracks += [(joint + 1, "rotation", _quaternions(rotvecs[:, joint]).numpy()) for joint in moving]
        samplers = [
            {"input": key_times, "output": self._accessor(values.astype(np.float32))} for _, _, values in tracks
        ]
        channels = [
            {"sampler": index, "target": {"node": node, "path": kind}} for index, (node, kind, _) in enumerate(tracks)
        ]
        name = motion.name or "motion"
        self._json["animations"] = [{"name": name, "samplers": samplers, "channels": channels}]

    def to_bytes(self) -> bytes:
        """The file: header, JSON chunk, binary chunk."""
        binary = b"".join(self._chunks)
        self._json["buffers"] = [{"byteLength": len(binary)}]
        text = json.dumps(self._json, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + len(binary)
        header = struct.pack("<4sII", b"glTF", 2, total)
        return b"".join(
            [header, struct.pack("<I4s", len(text), b"JSON"), text, struct.pack("<I4s", len(binary), b"BIN\0"), binary]
        )


def _split_at_seams(
    faces: Int64[Tensor, "F 3"], face_uv: Int64[Tensor, "F 3"]
) -> tuple[Int64[Tensor, "N"], Int64[Tensor, "N"], Int64[Tensor, "F 3"]]:
    """Corners that share vertex and texture position become one: vertex and UV of each, and the faces over them."""
    pairs = torch.stack([faces.flatten(), face_uv.flatten()], 1)
    unique, index = torch.unique(pairs, dim=0, return_inverse=True)
    return unique[:, 0], unique[:, 1], index.view(-1, 3)


def _quaternions(rotvec: Float[Tensor, "T 3"]) -> Float[Tensor, "T 4"]:
    """Unit quaternions (x, y, z, w), each on the same side as the one before."""
    half = rotvec.norm(dim=-1, keepdim=True) / 2
    quaternion = torch.cat([rotvec * torch.sinc(half / torch.pi) / 2, torch.cos(half)], -1)
    agree = (quaternion[1:] * quaternion[:-1]).sum(-1) >= 0
    sign = torch.where(agree, 1.0, -1.0).cumprod(0)
    return torch.cat([quaternion[:1], quaternion[1:] * sign[:, None]])
