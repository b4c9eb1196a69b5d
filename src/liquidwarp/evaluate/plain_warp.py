"""The contender "warp": the paper's texture warping and nothing else, as a reference that does not move."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.flow.compose import Choice, compose_flow
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.flow.mesh.layers import sample_sources
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.sources import FlowSources, prepare_source_batch

__all__ = ["PlainWarp", "blend_by_visibility"]

_SEES = 0.5
"""A photo shows a point whose visibility is above this."""


@dataclass(frozen=True)
class PlainWarp:
    """The naked body's surface in the photos' colours: the baseline that every improvement is measured from.

    A target pixel that shows the fitted body takes the mean of what the photos have at the same surface point,
    weighted by how well each photo sees it (:func:`blend_by_visibility`); it is opaque if a photo sees the point, and
    empty if none does. So nothing is made up, hair and wide clothes are not carried along, colours that landed on the
    wrong part stay there, lights are not evened. It depends on the recovered bodies and on what counts as seen
    (:mod:`liquidwarp.flow.mesh.visibility`), not on how the product draws.
    """

    sources: FlowSources
    photos: Float[Tensor, "S 3 H W"]
    """RGB in [0, 1]."""

    @staticmethod
    def of(
        model: BodyModel, bodies: BodyParams, photos: Float[Tensor, "S 3 H W"], mattes: Float[Tensor, "S 1 H W"]
    ) -> "PlainWarp":
        """Prepare the photos.

        Args:
            model: The body.
            bodies: The S fitted bodies, cameras in the photos' pixels.
            photos: RGB in [0, 1].
            mattes: Opacity of the person.
        """
        nothing = no_extension(model)
        surface = project_bodies(model, nothing, bodies)
        return PlainWarp(prepare_source_batch(model, nothing, surface, photos[None], mattes[None]), photos)

    def to(self, device: torch.device | str) -> "PlainWarp":
        """The same on another device."""
        return PlainWarp(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def fingerprint(self) -> str:
        """There is only one."""
        return "warp"

    def render(
        self,
        targets: BodyParams,
        size: tuple[int, int],
        choice: Choice | None = None,
        heads: Float[Tensor, "T K"] | None = None,
    ) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
        """See :class:`liquidwarp.renderers.Renderer`."""
        flow = compose_flow(self.sources, targets, size, choice)
        colours, opacity = blend_by_visibility(self.photos[None], flow.grid[None], flow.visible[None])
        return colours[0], opacity[0]


def blend_by_visibility(
    photos: Float[Tensor, "B S 3 h w"], grid: Float[Tensor, "B T S H W 2"], visible: Float[Tensor, "B T S H W"]
) -> tuple[Float[Tensor, "B T 3 H W"], Float[Tensor, "B T 1 H W"]]:
    """The photos' pixels at a flow's positions, averaged with the visibility as weight.

    Args:
        photos: RGB in [0, 1].
        grid: Backward flow into each photo, NDC.
        visible: How well each photo sees the point [0, 1].

    Returns:
        Colours, 0 where no photo sees, and opacity: 1 where the best visibility is above one half, else 0.
    """
    seen = visible.amax(2, keepdim=True) > _SEES  # B T 1 H W
    sampled = sample_sources(photos, grid.flatten(0, 1), seen[:, :, 0].flatten(0, 1))
    weights = visible / visible.sum(2, keepdim=True).clamp(min=_SEES)
    mixed = (torch.unflatten(sampled, 0, visible.shape[:2]) * weights[:, :, :, None]).sum(2)
    return mixed * seen, seen.to(mixed.dtype)
