"""A body of two boxes with known answers: a torso and a left arm that swings about its shoulder."""

import pytest
import torch
from torch import Tensor

from liquidwarp.body.linear import BodyTensors, LinearBody
from liquidwarp.body.model import BodyParams, BodyRoles
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.lending.given import PhotoParts, label_photo
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.weights import asset, load_tensors

CELLS = 10
DEMO_SIZE = (256, 192)
"""Height and width of the demo's photos in these tests [px]."""


def _box(low: tuple[float, ...], high: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """A box of six grids of triangles, counter-clockwise seen from outside."""
    span = torch.linspace(0, 1, CELLS + 1)
    low_t, high_t = torch.tensor(low), torch.tensor(high)
    vertices, faces = [], []
    for axis in range(3):
        for end in (0, 1):
            u, v = torch.meshgrid(span, span, indexing="ij")
            points = torch.zeros(CELLS + 1, CELLS + 1, 3)
            points[..., (axis + 1) % 3], points[..., (axis + 2) % 3], points[..., axis] = u, v, float(end)
            index = torch.arange(u.numel()).view_as(u)
            a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
            quads = torch.cat([torch.stack([a, b, c], -1).view(-1, 3), torch.stack([a, c, d], -1).view(-1, 3)])
            faces.append((quads if end else quads.flip(1)) + sum(len(p) for p in vertices))
            vertices.append(low_t + points.view(-1, 3) * (high_t - low_t))
    welded, index = torch.unique(torch.cat(vertices), dim=0, return_inverse=True)
    return welded, index[torch.cat(faces)]


@pytest.fixture(scope="session")
def box_body() -> LinearBody:
    """Torso 0.6 x 1.0 x 0.2 m around the root; the arm hangs from (0.5, -0.3, 0) down to y = 0.3."""
    torso, torso_faces = _box((-0.3, -0.5, -0.1), (0.3, 0.5, 0.1))
    arm, arm_faces = _box((0.45, -0.3, -0.05), (0.55, 0.3, 0.05))
    vertices = torch.cat([torso, arm])
    is_arm = torch.arange(len(vertices)) >= len(torso)
    faces = torch.cat([torso_faces, arm_faces + len(torso)])
    parts = torch.where(is_arm, PARTS.index("left_upper_arm"), PARTS.index("torso"))
    tensors = BodyTensors(
        template=vertices,
        joints=torch.tensor([[0.0, 0, 0], [0.5, -0.3, 0]]),
        vertex_basis=torch.stack([vertices]),
        joint_basis=torch.tensor([[[0.0, 0, 0], [0.5, -0.3, 0]]]),
        faces=faces,
        face_part=parts[faces[:, 0]],
        vertex_part=parts,
        uv=vertices[:, :2] * 0.4 + 0.5,
        face_uv=faces,
        lbs_weights=torch.stack([(~is_arm).float(), is_arm.float()], 1),
    )
    none = ((), ())
    roles = BodyRoles(0, (0,), (0,), ((), ()), (1, 1), (1, 1), (1, 1), (0, 0), (0, 0), (0, 0), none)
    return LinearBody("box", ("root", "arm"), (-1, 0), ("size",), tensors, roles, {})


def box_params(
    *rotvecs: tuple[float, ...],
    turn: tuple[float, ...] = (0.0, 0.0, 0.0),
    scale: float = 40.0,
    at: tuple[float, float] = (32.0, 32.0),
    size: float = 0.0,
) -> BodyParams:
    """One frame for each rotation vector of the arm."""
    frames = rotvecs or ((0.0, 0.0, 0.0),)
    rotmats = rotvec_to_matrix(torch.tensor([[turn, arm] for arm in frames]))
    count = len(frames)
    camera = WeakPerspective(torch.full((count,), scale), torch.tensor([at] * count))
    return BodyParams(torch.tensor([size]), rotmats, camera)


@pytest.fixture(scope="session")
def demo_body() -> BodyParams:
    """The true body of the demo's front photo, a quarter as large."""
    truth, _ = load_tensors(asset("demo/truth.safetensors"))
    camera = WeakPerspective(truth["scale"][:1], truth["translation"][:1]).resized(0.25)
    return BodyParams(truth["betas"], truth["rel_rotmats"][:1], camera)


@pytest.fixture(scope="module")
def parts(anny, demo_body: BodyParams) -> PhotoParts:
    """What is where in that photo, of a person without hair and clothes."""
    return label_photo(anny, demo_body, torch.full((3, *DEMO_SIZE), 0.5), torch.zeros(1, *DEMO_SIZE))
