"""The halos of training people: what carries hair and clothes in use (flow/clothes/halo.py) does so in training too.

A halo is made from one picture, so people differ in theirs. To work on B people at once all of their halos are joined
into one mesh, and in each picture the points of other people lie outside of it.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, RestBody
from liquidwarp.flow.clothes.halo import halo
from liquidwarp.flow.mesh.extension import Extension, join_extensions
from liquidwarp.flow.mesh.surface import ProjectedSurface, project_extension
from liquidwarp.flow.sources import FlowSources
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.synthetic.dataset import Bodies

__all__ = ["CrowdHalo", "PosedViews", "halos_of", "with_shell", "without_shell"]

_FAR_AWAY = -1e4
"""Outside of every picture [px]."""


@dataclass(frozen=True)
class PosedViews:
    """The fitted bodies of B people in V views, posed; row ``b * V + v``."""

    rest: RestBody
    transforms: Float[Tensor, "N J 3 4"]
    camera: WeakPerspective
    surface: ProjectedSurface
    """With the plain shell around."""

    def __getitem__(self, rows: Int64[Tensor, "R"]) -> "PosedViews":
        rest = RestBody(self.rest.vertices[rows], self.rest.joints[rows])
        camera = WeakPerspective(self.camera.scale[rows], self.camera.translation[rows])
        return PosedViews(rest, self.transforms[rows], camera, self.surface[rows])


@dataclass(frozen=True)
class CrowdHalo:
    """The halos of some sources of B people as one mesh."""

    extension: Extension
    person: Int64[Tensor, "E"]
    """Whose halo each point belongs to."""
    num_people: int
    """B."""

    @staticmethod
    def join(halos: list[list[Extension]], chosen: list[int], hidden: Bool[Tensor, "B S"]) -> "CrowdHalo":
        """Those that the chosen sources give.

        Args:
            halos: For each person and view, from :func:`halos_of`.
            chosen: Which views are sources 0 to S - 1.
            hidden: Sources that give nothing.
        """
        gone = hidden.tolist()
        parts, people = [], []
        for person, views in enumerate(halos):
            for source, view in enumerate(chosen):
                if gone[person][source]:
                    continue
                part = views[view]
                parts.append(replace(part, owner=torch.full_like(part.anchor, source)))
                people.append(torch.full_like(part.anchor, person))
        return CrowdHalo(join_extensions(parts), torch.cat(people), len(halos))

    def beside(self, views: PosedViews) -> ProjectedSurface:
        """The views' bodies with the halos alone around them; those of other people lie outside of the picture.

        Args:
            views: R rows, as many for each person, one person after the other.
        """
        pixels, torn = project_extension(self.extension, views.rest, views.transforms, views.camera)
        rows = torch.arange(self.num_people, device=pixels.device)
        person = rows.repeat_interleave(len(pixels) // self.num_people)
        away = pixels.new_tensor([_FAR_AWAY, _FAR_AWAY, 0.0])
        pixels = torch.where((person[:, None] == self.person)[..., None], pixels, away)
        return replace(views.surface, extension=pixels, torn=torn)


def halos_of(model: BodyModel, bodies: Bodies, mattes: Float[Tensor, "B V 1 H W"]) -> list[list[Extension]]:
    """One halo for each person and view.

    Args:
        model: The body.
        bodies: As they were fitted.
        mattes: Opacity of the people, as it was found.
    """
    people, views = mattes.shape[:2]
    return [
        [halo(model, [bodies[b][slice(v, v + 1)]], mattes[b, v][None]) for v in range(views)] for b in range(people)
    ]


def with_shell(halos: ProjectedSurface, shell: ProjectedSurface) -> ProjectedSurface:
    """Both extensions around the same bodies, the shell's points first."""
    return replace(
        halos,
        extension=torch.cat([shell.extension, halos.extension], 1),
        torn=torch.cat([shell.torn, halos.torn], 1),
    )


def without_shell(sources: FlowSources, shell: Extension, halos: Extension) -> FlowSources:
    """Sources with both extensions, the shell's points first, reduced to their halos."""
    return replace(sources, extension=halos, around=sources.around[:, :, len(shell.anchor) :])
