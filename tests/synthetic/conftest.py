"""A wardrobe made of nothing but the body: offset parts of its own surface, with random smooth textures."""

import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS, parts_of
from liquidwarp.config import SyntheticConfig
from liquidwarp.geometry.mesh import vertex_normals
from liquidwarp.synthetic.dataset import SyntheticPeople
from liquidwarp.synthetic.poses import PoseLibrary
from liquidwarp.synthetic.wardrobe import Garment, Textures, Wardrobe

SHIRT = ("torso", "left_upper_arm", "right_upper_arm")
TROUSERS = parts_of("legs")
SHOES = parts_of("feet")


def smooth_image(seed: int, alpha: int = 255, size: int = 64) -> np.ndarray:
    """RGBA with gentle gradients, so that resampling hardly changes it."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size * 2 * np.pi
    waves = [np.sin(x + p) * np.cos(y + q) for p, q in generator.uniform(0, 6, (3, 2))]
    colour = 0.5 + 0.35 * np.stack(waves, -1)
    return np.concatenate([colour * 255, np.full((size, size, 1), alpha)], -1).astype(np.uint8)


def offset_garment(
    model: AnnyBody, name: str, kind: str, parts: tuple[str, ...], texture: int, distance: float = 0.01
) -> Garment:
    """The faces of some body parts, moved outwards by ``distance`` [m]."""
    chosen = torch.isin(model.face_part, torch.tensor([PARTS.index(part) for part in parts]))
    used, faces = torch.unique(model.faces[chosen], return_inverse=True)
    normals = vertex_normals(model.tensors.template[None], model.faces)[0]
    weight = torch.zeros(len(used), 6)
    weight[:, 0] = 1
    uv = model.uv[model.face_uv[chosen]]
    return Garment(
        name,
        kind,
        used[:, None].expand(-1, 6).contiguous(),
        weight,
        distance * normals[used],
        model.lbs_weights[used],
        faces,
        torch.stack([uv[..., 0], 1 - uv[..., 1]], -1),
        torch.zeros(len(model.faces), dtype=torch.bool),
        torch.zeros(len(faces), dtype=torch.bool),
        texture,
    )


@pytest.fixture(scope="session")
def model() -> AnnyBody:
    return AnnyBody.load()


@pytest.fixture(scope="session")
def wardrobe(model: AnnyBody) -> Wardrobe:
    textures = Textures.of([smooth_image(seed) for seed in range(12)])
    garments = [
        offset_garment(model, f"{kind}{k}", kind, parts, 3 * index + k)
        for index, (kind, parts) in enumerate((("top", SHIRT), ("trousers", TROUSERS), ("shoes", SHOES)))
        for k in range(3)
    ]
    photos = torch.from_numpy(np.stack([smooth_image(seed)[..., :3] for seed in range(20, 26)])).permute(0, 3, 1, 2)
    skins = {f"young_{sex}_{k}": 9 + k for k, sex in enumerate(("male", "female", "male"))}
    names = tuple(f"place{k}_0" for k in range(6))
    return Wardrobe(tuple(garments), textures, skins, {}, photos, names, tuple(range(6)))


@pytest.fixture(scope="session")
def poses(model: AnnyBody) -> PoseLibrary:
    generator = torch.Generator().manual_seed(0)
    rotvec = torch.zeros(16, len(model.joint_names), 3)
    movable = list(model.roles.movable())
    rotvec[:, movable] = 0.12 * torch.randn(16, len(movable), 3, generator=generator)
    return PoseLibrary(rotvec, tuple(f"clip{k}" for k in range(16)))


@pytest.fixture(scope="session")
def plain() -> SyntheticConfig:
    """Nothing that hides the truth: weak perspective, no degradation."""
    return SyntheticConfig(distance=(float("inf"), float("inf")), degrade=0.0, shadows=False, decal=0.0)


@pytest.fixture
def people(model: AnnyBody, wardrobe: Wardrobe, poses: PoseLibrary, plain: SyntheticConfig) -> SyntheticPeople:
    return SyntheticPeople(model, wardrobe, poses, plain, seed=3)
