"""A small tree of joints with known geometry."""

import math

import pytest
import torch

from liquidwarp.body.linear import BodyTensors, LinearBody
from liquidwarp.body.model import BodyModel, BodyRoles, LandmarkTable, RestBody
from liquidwarp.errors import ShapeError
from liquidwarp.geometry.rotations import rotation_about, rotvec_to_matrix

PARENTS = (-1, 0, 1, 0)


def small_body(dtype: torch.dtype = torch.float32) -> LinearBody:
    """Root at 0, joint 1 at x = 1, joint 2 at x = 2, joint 3 at y = -1; one vertex on each and one mixed."""
    joints = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, -1, 0]], dtype=dtype)
    template = torch.cat([joints, torch.tensor([[3.0, 0, 0], [1, 0.5, 0]], dtype=dtype)])
    weights = torch.zeros(6, 4, dtype=dtype)
    weights[[0, 1, 2, 3, 4], [0, 1, 2, 3, 2]] = 1
    weights[5, 0] = weights[5, 1] = 0.5
    longer = torch.zeros(1, 6, 3, dtype=dtype)
    longer[0, [2, 4], 0] = 0.5
    faces = torch.tensor([[0, 1, 5], [1, 2, 5], [2, 4, 5], [0, 5, 3]])
    tensors = BodyTensors(
        template,
        joints,
        longer,
        longer[:, :4],
        faces,
        torch.full((4,), 2),
        torch.full((6,), 2),
        torch.rand(6, 2, dtype=dtype),
        faces,
        weights,
    )
    none = (0, 0)
    roles = BodyRoles(0, (), (3,), ((), ()), none, none, none, none, none, none, ((), ()))
    table = LandmarkTable(("tip",), torch.tensor([2]), template[4:5], longer[:, 4:5])
    return LinearBody(
        "small", ("root", "upper", "lower", "head"), PARENTS, ("longer",), tensors, roles, {"body": table}
    )


def test_fulfils_the_protocol():
    assert isinstance(small_body(), BodyModel)


def test_identity_pose_is_the_rest_body():
    body = small_body()
    rest = body.rest(torch.tensor([[0.7]]))
    posed = body.pose(rest, torch.eye(3).repeat(3, 4, 1, 1))
    torch.testing.assert_close(posed.vertices, rest.vertices.expand(3, -1, -1))
    torch.testing.assert_close(posed.joints, rest.joints.expand(3, -1, -1))


def test_right_angles_go_where_trigonometry_says():
    body = small_body()
    rel_rotmats = torch.eye(3).repeat(1, 4, 1, 1)
    quarter = rotation_about("z", torch.tensor(math.pi / 2))  # x to y
    rel_rotmats[0, 0] = rel_rotmats[0, 1] = quarter
    posed = body.pose(body.rest(torch.tensor([[1.0]])), rel_rotmats)
    expected = torch.tensor([[0.0, 0, 0], [0, 1, 0], [-1.5, 1, 0], [1, 0, 0]])
    torch.testing.assert_close(posed.joints[0], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(posed.vertices[0, 4], torch.tensor([-2.5, 1.0, 0]), atol=1e-6, rtol=0)
    # Half with the root (-0.5, 1, 0), half with the upper joint (0, 0.5, 0).
    torch.testing.assert_close(posed.vertices[0, 5], torch.tensor([-0.25, 0.75, 0]), atol=1e-6, rtol=0)


def test_levels_equal_a_plain_walk_down_the_tree():
    torch.manual_seed(0)
    body = small_body()
    rest = body.rest(torch.randn(1, 1))
    rel_rotmats = rotvec_to_matrix(torch.randn(2, 4, 3))
    posed = body.pose(rest, rel_rotmats)
    for frame in range(2):
        rotations, positions = [rel_rotmats[frame, 0]], [rest.joints[0, 0]]
        for joint, parent in enumerate(PARENTS[1:], start=1):
            rotations.append(rotations[parent] @ rel_rotmats[frame, joint])
            positions.append(positions[parent] + rotations[parent] @ (rest.joints[0, joint] - rest.joints[0, parent]))
        torch.testing.assert_close(posed.glob_rotmats[frame], torch.stack(rotations))
        torch.testing.assert_close(posed.joints[frame], torch.stack(positions))


def test_batch_equals_single_frames():
    torch.manual_seed(0)
    body = small_body()
    rest = body.rest(torch.randn(5, 1))
    rel_rotmats = rotvec_to_matrix(torch.randn(5, 4, 3))
    together = body.pose(rest, rel_rotmats)
    for frame in range(5):
        one = slice(frame, frame + 1)
        alone = body.pose(RestBody(rest.vertices[one], rest.joints[one]), rel_rotmats[one])
        torch.testing.assert_close(together.vertices[one], alone.vertices)


def test_gradients_of_shape_and_pose():
    torch.manual_seed(0)
    body = small_body(torch.float64)

    def vertices(betas: torch.Tensor, rotvecs: torch.Tensor) -> torch.Tensor:
        return body.pose(body.rest(betas), rotvec_to_matrix(rotvecs)).vertices

    betas = torch.randn(1, 1, dtype=torch.float64, requires_grad=True)
    rotvecs = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(vertices, (betas, rotvecs))


def test_height_is_the_vertical_extent():
    assert float(small_body().height(torch.zeros(1, 1))) == pytest.approx(1.5)


@pytest.mark.parametrize(("betas", "frames"), [((1, 2), 1), ((2, 1), 3)])
def test_wrong_sizes_are_named(betas, frames):
    body = small_body()
    with pytest.raises(ShapeError, match=r"betas|rest\.vertices"):
        body.pose(body.rest(torch.zeros(betas)), torch.eye(3).repeat(frames, 4, 1, 1))


def test_parents_must_stand_before_their_children():
    good = small_body()
    with pytest.raises(ShapeError, match="parents"):
        LinearBody("bad", good.joint_names, (-1, 2, 1, 0), ("longer",), good.tensors, good.roles, {})
