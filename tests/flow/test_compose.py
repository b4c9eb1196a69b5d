import math

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.errors import SettingError, ShapeError
from liquidwarp.flow.compose import compose_flow, compose_views
from liquidwarp.flow.condition import condition_maps
from liquidwarp.flow.mesh.extension import inflated_shell, no_extension
from liquidwarp.flow.mesh.surface import concatenate, project_bodies
from liquidwarp.flow.mesh.visibility import visibility_reference
from liquidwarp.flow.sources import FlowSources, part_weights, prepare_source_batch, prepare_sources
from liquidwarp.geometry.camera import WeakPerspective, ndc_to_pixels
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.geometry.warp import Flow

from .conftest import box_params

SIZE = (64, 64)


def coverage(model, body, size=SIZE):
    return rasterize(project_bodies(model, no_extension(model), body).body, model.faces, *size).covered[:, None].float()


def prepared(model, *bodies, extension=None, images=None, mattes=None):
    extension = no_extension(model) if extension is None else extension
    images = torch.rand(len(bodies), 3, *SIZE, generator=torch.Generator().manual_seed(0)) if images is None else images
    mattes = torch.cat([coverage(model, body) for body in bodies]) if mattes is None else mattes
    return prepare_sources(model, extension, list(bodies), images, mattes)


def pixels(flow, source=0):
    return ndc_to_pixels(flow.grid[:, source], *SIZE)


def identity_pixels():
    return ndc_to_pixels(Flow.identity(*SIZE).grid, *SIZE)


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def anny_params(model, yaw, size=128, **joints):
    rotvec = torch.zeros(1, len(model.joint_names), 3)
    rotvec[0, 0, 1] = yaw
    for name, value in joints.items():
        rotvec[0, model.joint_names.index(name.replace("_", "."))] = torch.tensor(value)
    camera = WeakPerspective(torch.tensor([size / 2.1]), torch.tensor([[size / 2, size / 2]]))
    return BodyParams(torch.zeros(len(model.beta_names)), rotvec_to_matrix(rotvec), camera)


class TestKnownFlows:
    def test_same_pose_is_identity(self, box_body):
        body = box_params((0.3, 0, 0.4), turn=(0, 0.3, 0))
        flow = compose_flow(prepared(box_body, body), body, SIZE)
        seen = flow.visible[:, 0] > 0.5
        assert seen.sum() > 300
        assert (pixels(flow) - identity_pixels())[seen].abs().max() < 0.01

    def test_same_pose_returns_the_photo(self, box_body):
        body = box_params()
        image = torch.rand(1, 3, *SIZE)
        flow = compose_flow(prepared(box_body, body, images=image), body, SIZE)
        inner = torch.nn.functional.max_pool2d(1 - coverage(box_body, body), 3, 1, 1) < 0.5
        assert (flow.texture - image).abs()[inner.expand_as(image)].max() < 1e-4

    def test_moved_and_zoomed_body(self, box_body):
        source, target = box_params(), box_params(scale=20.0, at=(40.0, 30.0))
        flow = compose_flow(prepared(box_body, source), target, SIZE)
        expected = (identity_pixels() - torch.tensor([40.0, 30])) * 2 + 32
        at = flow.valid[:, 0]
        assert (pixels(flow) - expected)[at].abs().max() < 1e-3

    def test_nothing_outside(self, box_body):
        flow = compose_flow(prepared(box_body, box_params()), box_params(), SIZE)
        outside = ~flow.valid[:, 0]
        assert (flow.grid[:, 0][outside] == 0).all()
        assert flow.texture[:, :, outside[0]].abs().max() == 0
        assert flow.grid.dtype == torch.float32

    def test_other_target_size(self, box_body):
        target = BodyParams(box_params().betas, box_params().rel_rotmats, box_params().camera.resized(0.5, (0.0, 16.0)))
        flow = compose_flow(prepared(box_body, box_params()), target, (16, 32))
        assert flow.grid.shape == (1, 1, 16, 32, 2)
        at = flow.valid[0, 0]
        expected = ndc_to_pixels(Flow.identity(16, 32).grid, 16, 32)[0] * 2 + torch.tensor([0.0, 16.0])
        assert (pixels(flow)[0] - expected)[at].abs().max() < 1e-3


class TestVisibility:
    def test_side_that_the_source_never_saw(self, box_body):
        flow = compose_flow(prepared(box_body, box_params()), box_params(turn=(0, math.pi, 0)), SIZE)
        assert flow.valid.sum() > 300
        assert flow.visible.max() == 0
        assert flow.texture.abs().max() == 0

    def test_new_side_after_a_turn(self, box_body):
        turned = box_params(turn=(0, math.pi / 4, 0))
        flow = compose_flow(prepared(box_body, box_params()), turned, SIZE)
        normal = flow.condition[0, 3:6]
        body = flow.condition[0, 6] > 0
        # At 45 degrees a face that was frontal has normal (-+, 0, -) and the one that was hidden the opposite x.
        front = torch.tensor([-math.sin(math.pi / 4), 0, -math.cos(math.pi / 4)])
        cosine = (normal * front[:, None, None]).sum(0)
        assert (flow.visible[0, 0][body & (cosine > 0.95)] > 0.5).float().mean() > 0.95
        assert (flow.visible[0, 0][body & (cosine < 0.3)] < 0.5).float().mean() > 0.95

    def test_arm_hides_the_torso(self, box_body):
        # In the source the arm is raised across the chest and turned towards the camera.
        source = box_params()
        across = rotvec_to_matrix(torch.tensor([0.0, 0.0, math.pi / 2]))
        source.rel_rotmats[0, 1] = rotvec_to_matrix(torch.tensor([0.0, -0.5, 0.0])) @ across
        flow = compose_flow(prepared(box_body, source), box_params((0.0, 0.0, -math.pi / 2)), SIZE)
        covered = project_bodies(box_body, no_extension(box_body), source).body[0]
        arm = covered[box_body.vertex_part == PARTS.index("left_upper_arm")]
        torso = covered[box_body.vertex_part == PARTS.index("torso")]
        assert arm[:, 2].min() < torso[:, 2].min(), "the arm must stand before the torso in this test"
        inside = (pixels(flow)[0] > arm[:, :2].amin(0) + 1).all(-1) & (pixels(flow)[0] < arm[:, :2].amax(0) - 1).all(-1)
        behind = inside & (flow.condition[0, 0] < 0.3) & flow.valid[0, 0]
        assert behind.sum() > 10
        assert flow.visible[0, 0][behind].mean() < 0.2

    @pytest.mark.parametrize(("yaw", "minimum"), [(-0.35, 0.97), (1.2, 0.95)])
    def test_against_reference(self, anny, yaw, minimum):
        size = (192, 192)
        source = anny_params(anny, 0.25, 192, upperarm01_L=(0, 0, -0.35), upperarm01_R=(0, 0, 0.35))
        target = anny_params(anny, yaw, 192, upperarm01_L=(0, 0, 1.0), lowerarm01_R=(-1.0, 0, 0))
        mattes = coverage(anny, source, size)
        sources = prepare_sources(anny, no_extension(anny), source, torch.full((1, 3, *size), 0.5), mattes)
        found = compose_flow(sources, target, size).visible[0] > 0.5
        surface = project_bodies(anny, no_extension(anny), source)
        shown = rasterize(project_bodies(anny, no_extension(anny), target).body, anny.faces, *size)
        truth = visibility_reference(shown, surface.body, surface.normals, anny.faces, size)
        both = float((found & truth).sum())
        assert both / float(found.sum()) > minimum
        assert both / float(truth.sum()) > minimum


class TestManySources:
    def test_order_does_not_matter(self, box_body):
        bodies = [box_params(), box_params(turn=(0, 2.8, 0))]
        images = torch.rand(2, 3, *SIZE)
        target = box_params(turn=(0, 0.9, 0))
        extension = inflated_shell(box_body)
        one = compose_flow(prepared(box_body, *bodies, images=images, extension=extension), target, SIZE)
        two = compose_flow(prepared(box_body, *bodies[::-1], images=images.flip(0), extension=extension), target, SIZE)
        assert torch.allclose(one.grid, two.grid.flip(1))
        assert torch.allclose(one.visible, two.visible.flip(1))
        assert torch.allclose(one.texture, two.texture, atol=1e-5)

    def test_each_side_from_the_photo_that_saw_it(self, box_body):
        bodies = [box_params(), box_params(turn=(0, math.pi, 0))]
        images = torch.tensor([[1.0, 0, 0], [0, 1, 0]])[:, :, None, None].expand(-1, -1, *SIZE)
        sources = prepared(box_body, *bodies, images=images.contiguous())
        for body, colour in zip(bodies, images[:, :, 0, 0], strict=True):
            flow = compose_flow(sources, body, SIZE)
            at = flow.visible.amax(1)[0] > 0.5
            assert (flow.texture[0, :, at] - colour[:, None]).abs().max() < 1e-3

    def test_chunks_and_batches_agree(self, box_body):
        extension = inflated_shell(box_body)
        people = [box_params(turn=(0, 0.2, 0)), box_params(turn=(0, -0.4, 0), size=0.1)]
        others = [box_params(turn=(0, 1.2, 0)), box_params(turn=(0, 2.0, 0), size=0.1)]
        targets = [
            box_params((0.3, 0, 0), (0, 0, 0.8), (0.5, 0.2, 0)),
            box_params((0, 0, -0.5), (0.1, 0, 1), (0, 0.4, 0), size=0.1),
        ]
        images = torch.rand(2, 2, 3, *SIZE)
        mattes = torch.stack(
            [torch.cat([coverage(box_body, p), coverage(box_body, o)]) for p, o in zip(people, others, strict=True)]
        )
        order = [people[0], others[0], people[1], others[1]]
        batch = prepare_source_batch(box_body, extension, project_bodies(box_body, extension, order), images, mattes)
        surface = concatenate([project_bodies(box_body, extension, t) for t in targets])
        joint = compose_views(batch, surface, SIZE)
        for g in range(2):
            own = project_bodies(box_body, extension, [people[g], others[g]])
            sources = prepare_source_batch(box_body, extension, own, images[g : g + 1], mattes[g : g + 1])
            single = compose_flow(sources, targets[g], SIZE, chunk=2)
            for name in ("grid", "valid", "visible", "condition", "texture", "texture_matte"):
                rows = getattr(joint, name)[3 * g : 3 * g + 3]
                assert torch.allclose(rows.float(), getattr(single, name).float(), atol=1e-5), name

    def test_part_choice(self, box_body):
        bodies = [box_params(), box_params(size=0.1)]
        images = torch.tensor([[1.0, 0, 0], [0, 1, 0]])[:, :, None, None].expand(-1, -1, *SIZE).contiguous()
        sources = prepared(box_body, *bodies, images=images)
        flow = compose_flow(sources, bodies[0], SIZE, choice={"all": 0, "left_arm": 1})
        arm = (flow.condition[0, 0] > 0.75) & flow.valid[0, 0]
        torso = (flow.condition[0, 0] < 0.5) & flow.valid[0, 0]
        assert arm.sum() > 20
        assert flow.visible[0, 0][arm].max() == 0
        assert flow.visible[0, 1][torso].max() == 0
        assert (flow.texture[0, 1][arm & (flow.visible[0, 1] > 0.5)] > 0.99).all()
        assert (flow.texture[0, 0][torso & (flow.visible[0, 0] > 0.5)] > 0.99).all()

    def test_flow_of_another_shape_uses_its_own_body(self, box_body):
        larger = box_params(size=0.1)
        flow = compose_flow(prepared(box_body, larger), box_params(), SIZE)
        expected = (identity_pixels() - 32) * 1.1 + 32
        assert (pixels(flow) - expected)[flow.valid[:, 0]].abs().max() < 1e-3


class TestCondition:
    def test_channels_of_a_known_pose(self, box_body):
        flow = compose_flow(prepared(box_body, box_params()), box_params(), SIZE)
        condition = flow.condition[0]
        # Pixel (30, 20): body point ((30.5 - 32) / 40, (20.5 - 32) / 40, -0.1) on the front of the torso. The box
        # spans x -0.3..0.55, y -0.5..0.5, z -0.1..0.1; half of the longest side is 0.5, the centre is x = 0.125.
        point = torch.tensor([(30.5 - 32) / 40 - 0.125, (20.5 - 32) / 40, -0.1]) / 0.5
        assert torch.allclose(condition[:3, 20, 30], point, atol=1e-4)
        assert torch.allclose(condition[3:6, 20, 30], torch.tensor([0.0, 0, -1]), atol=1e-4)
        assert condition[6, 20, 30] == 1
        assert condition[7].max() == 0
        assert condition[:, 2, 2].abs().max() == 0

    def test_shell_surrounds_the_body(self, box_body):
        extension = inflated_shell(box_body)
        flow = compose_flow(prepared(box_body, box_params(), extension=extension), box_params(), SIZE)
        condition = flow.condition[0]
        assert torch.equal(condition[6][None], coverage(box_body, box_params())[0])
        assert (condition[6] * condition[7]).max() == 0
        assert condition[7, 32, 19] == 1  # 0.5 px outside of the torso's left edge at x = 20
        assert condition[7, 32, 16] == 0  # 3.5 px = 9 cm outside

    def test_sources_and_targets_have_the_same_kind_of_map(self, box_body):
        extension, body = inflated_shell(box_body), box_params((0.2, 0, 0.5), turn=(0, 0.4, 0))
        flow = compose_flow(prepared(box_body, body, extension=extension), body, SIZE)
        assert torch.equal(condition_maps(box_body, extension, body, SIZE), flow.condition)


class TestErrors:
    def test_unknown_source(self):
        with pytest.raises(ShapeError, match="from 0 to 1"):
            part_weights({"head": 2}, 2)

    def test_unknown_part(self):
        with pytest.raises(SettingError, match="tail"):
            part_weights({"tail": 0}, 2)

    def test_number_of_bodies(self, box_body):
        with pytest.raises(ShapeError, match="one per image"):
            prepare_sources(
                box_body, no_extension(box_body), box_params(), torch.rand(2, 3, *SIZE), torch.ones(2, 1, *SIZE)
            )

    def test_sources_move_between_devices(self, box_body):
        assert isinstance(prepared(box_body, box_params()).to("cpu"), FlowSources)
