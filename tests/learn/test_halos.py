from dataclasses import replace

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.flow.compose import compose_layers
from liquidwarp.flow.mesh.extension import inflated_shell, join_extensions
from liquidwarp.flow.mesh.surface import project_posed
from liquidwarp.flow.sources import prepare_source_batch
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.learn.halos import CrowdHalo, PosedViews, halos_of, with_shell, without_shell
from liquidwarp.synthetic.dataset import Bodies

SIZE = 96
NOBODY_HIDDEN = torch.zeros(2, 2, dtype=torch.bool)


@pytest.fixture(scope="module")
def model() -> AnnyBody:
    return AnnyBody.load()


def posed_views(model: AnnyBody, bodies: Bodies) -> PosedViews:
    views = bodies.rel_rotmats.shape[1]
    rest = model.rest(bodies.betas.repeat_interleave(views, 0))
    posed = model.pose(rest, bodies.rel_rotmats.flatten(0, 1))
    camera = WeakPerspective(bodies.scale.flatten(), bodies.translation.flatten(0, 1))
    return PosedViews(rest, posed.transforms, camera, project_posed(model, inflated_shell(model), rest, posed, camera))


@pytest.fixture(scope="module")
def crowd(model) -> tuple[Bodies, PosedViews, torch.Tensor]:
    """Two people in three views each, whose mattes are much wider than their bodies."""
    generator = torch.Generator().manual_seed(1)
    rotvec = torch.zeros(2, 3, len(model.joint_names), 3)
    rotvec[:, :, list(model.roles.upper_arm), 2] = torch.tensor([0.5, -0.5])
    rotvec[:, :, model.roles.root, 1] = 0.4 * torch.randn(2, 3, generator=generator)
    bodies = Bodies(
        0.5 * torch.randn(2, len(model.beta_names), generator=generator),
        rotvec_to_matrix(rotvec),
        torch.full((2, 3), 42.0),
        torch.full((2, 3, 2), 46.0),
    )
    posed = posed_views(model, bodies)
    covered = rasterize(posed.surface.body, model.faces, SIZE, SIZE).covered[:, None].float()
    mattes = torch.nn.functional.max_pool2d(covered, 7, 1, 3)
    return bodies, posed, mattes.view(2, 3, 1, SIZE, SIZE)


def test_everyone_is_drawn_as_if_alone(model, crowd):
    bodies, posed, mattes = crowd
    halos, images = halos_of(model, bodies, mattes), torch.rand(2, 3, 3, SIZE, SIZE)
    shell, rows = inflated_shell(model), torch.arange(6).view(2, 3)

    def drawn(people: list[int]) -> list[torch.Tensor]:
        joined = CrowdHalo.join([halos[p] for p in people], [0, 1], NOBODY_HIDDEN[: len(people)])
        sources, targets = (posed[rows[people][:, views].flatten()] for views in ([0, 1], [2]))
        both = join_extensions([shell, joined.extension])
        beside = with_shell(joined.beside(sources), sources.surface)
        prepared = prepare_source_batch(model, both, beside, images[people, :2], mattes[people, :2])
        alone = without_shell(prepared, shell, joined.extension)
        full = compose_layers(prepared, with_shell(joined.beside(targets), targets.surface), (SIZE, SIZE))
        halo = compose_layers(alone, joined.beside(targets), (SIZE, SIZE))
        return [full.around.texture, full.around.matte, halo.around.texture, halo.around.matte, halo.body.texture]

    together, first, second = drawn([0, 1]), drawn([0]), drawn([1])
    assert first[3].sum() > 50
    for all_of_them, one, other in zip(together, first, second, strict=True):
        different = (all_of_them - torch.cat([one, other])).abs() > 1e-3
        assert different.float().mean() < 0.003  # pixels on the edge between two faces may go to either


def test_hidden_and_unchosen_sources_give_no_halo(model, crowd):
    bodies, posed, mattes = crowd
    halos = halos_of(model, bodies, mattes)
    joined = CrowdHalo.join(halos, [2, 0], torch.tensor([[False, True], [False, False]]))
    points = [[len(view.anchor) for view in person] for person in halos]
    assert min(min(row) for row in points) > 10
    owners = [int(((joined.person == p) & (joined.extension.owner == s)).sum()) for p in (0, 1) for s in (0, 1)]
    assert owners == [points[0][2], 0, points[1][2], points[1][0]]
    inside = (joined.beside(posed).extension[..., :2] > -100).all(-1)
    assert torch.equal(inside[:3], (joined.person == 0).expand(3, -1))
    assert torch.equal(inside[3:], (joined.person == 1).expand(3, -1))


def test_views_are_picked_row_by_row(crowd):
    _, posed, _ = crowd
    picked = posed[torch.tensor([4, 1])]
    torch.testing.assert_close(picked.surface.body, posed.surface.body[[4, 1]])
    torch.testing.assert_close(picked.camera.scale, posed.camera.scale[[4, 1]])
    assert replace(picked).rest.joints.shape[0] == 2
