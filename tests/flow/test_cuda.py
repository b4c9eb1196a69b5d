"""Flow Composition gives the same on CUDA as on the CPU."""

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.flow.clothes.halo import halo
from liquidwarp.flow.compose import compose_views
from liquidwarp.flow.condition import surface_condition
from liquidwarp.flow.mesh.extension import inflated_shell, join_extensions
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.sources import prepare_source_batch

from .test_halo import SIZE, params, silhouette

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]


@pytest.mark.parametrize("with_halo", [False, True])
def test_same_as_on_the_cpu(with_halo):
    model = AnnyBody.load()
    bodies = [params(model, yaw) for yaw in (0.0, 3.0, 0.4, -2.5)]
    targets = [params(model, yaw, upperarm01_L=(0.0, 0.0, 0.4)) for yaw in (0.5, -0.5)]
    mattes = torch.cat([silhouette(model, body) for body in bodies]).float()
    mattes = torch.nn.functional.max_pool2d(mattes, 13, 1, 6)
    images = torch.rand(2, 2, 3, *SIZE)
    extension = inflated_shell(model)
    if with_halo:
        extension = join_extensions([extension, halo(model, bodies[:2], mattes[:2])])
    results = []
    for device in ("cpu", "cuda"):
        body, around = model.to(device), extension.to(device)
        source = project_bodies(body, around, [b.to(device) for b in bodies])
        opacity = mattes.view(2, 2, 1, *SIZE).to(device)
        sources = prepare_source_batch(body, around, source, images.to(device), opacity)
        target = project_bodies(body, around, [t.to(device) for t in targets])
        flow = compose_views(sources, target, SIZE)
        results.append((flow, surface_condition(body, around, source, SIZE)))
    (cpu, cpu_condition), (cuda, cuda_condition) = results
    pairs = [(getattr(cpu, n).float(), getattr(cuda, n).float().cpu()) for n in ("valid", "grid", "visible", "texture")]
    for one, other in [*pairs, (cpu_condition, cuda_condition.cpu())]:
        # Rounding may give a pixel on an edge to the other face.
        assert ((one - other).abs() > 1e-3).float().mean() < 2e-3
