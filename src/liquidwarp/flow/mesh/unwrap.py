"""The body laid out flat: which point of it each place of a texture shows, the same for every person."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.body.remembered import once_per_model
from liquidwarp.flow.mesh.extension import smooth_on_mesh
from liquidwarp.flow.mesh.surface import rest_coordinates
from liquidwarp.geometry.raster import Raster, mix_corners, rasterize

__all__ = ["UnwrappedBody", "unwrap"]

_EVEN = 3
"""How often parts are smoothed over the mesh, so that their borders are even."""


@dataclass(frozen=True)
class UnwrappedBody:
    """P places of a texture of U x U pixels, those that the body covers."""

    size: int
    """U."""
    pixel: Int64[Tensor, "P"]
    """Number of each place's pixel, row by row."""
    raster: Raster
    """Of the places alone, as one row of a picture: what is nowhere costs nothing."""
    corner: Int64[Tensor, "P 3"]
    """The vertices of each place's face."""
    place: Float[Tensor, "P 3"]
    """Rest coordinates."""
    part: Int64[Tensor, "P"]
    """Index into ``PARTS``, with even borders."""
    vertex_part: Int64[Tensor, "V"]
    """That of the places at each vertex."""

    @property
    def covered(self) -> Bool[Tensor, "1 1 U U"]:
        """Where the places are."""
        return self.spread(torch.ones_like(self.pixel, dtype=torch.bool)[:, None])

    def take(self, texture: Float[Tensor, "1 C U U"]) -> Float[Tensor, "P C"]:
        """What a texture has at the places."""
        return texture.flatten(2)[0].index_select(1, self.pixel).T

    def spread(self, values: Shaped[Tensor, "P C"]) -> Shaped[Tensor, "1 C U U"]:
        """A texture with these values, 0 elsewhere."""
        texture = values.new_zeros(values.shape[1], self.size**2)
        return texture.index_copy_(1, self.pixel, values.T).view(1, -1, self.size, self.size)

    def mix(self, values: Float[Tensor, "V C"]) -> Float[Tensor, "P C"]:
        """Values of vertices at the places."""
        return mix_corners(values, self.corner, self.raster.bary[0, 0])

    def mix_within(self, values: Float[Tensor, "V C"]) -> Float[Tensor, "P C"]:
        """The same, but places take nothing from vertices of other parts: what differs from part to part has a step."""
        return mix_corners(values, self.corner, self._within())

    def around(self, values: Float[Tensor, "P C"], elsewhere: Float[Tensor, "V C"]) -> Float[Tensor, "V C"]:
        """Means over the places of each vertex's own part beside it.

        Args:
            values: Of the places.
            elsewhere: For vertices that have none.
        """
        weight, ones = self._within(), torch.ones_like(values[:, :1])
        sums = torch.cat([torch.zeros_like(elsewhere), torch.zeros_like(elsewhere[:, :1])], 1)
        for k in range(3):
            sums.index_add_(0, self.corner[:, k], weight[:, k : k + 1] * torch.cat([values, ones], 1))
        return torch.where(sums[:, -1:] > 0, sums[:, :-1] / sums[:, -1:].clamp(min=1e-6), elsewhere)

    def _within(self) -> Float[Tensor, "P 3"]:
        """Barycentric weights of the corners that are of the places' own parts; of all where none is."""
        bary = self.raster.bary[0, 0]
        own = bary * (self.vertex_part[self.corner] == self.part[:, None])
        share = own.sum(1, keepdim=True)
        return torch.where(share > 0, own / share.clamp(min=1e-6), bary)


@once_per_model
def unwrap(model: BodyModel, size: int) -> UnwrappedBody:
    """Lay the body out flat.

    Args:
        model: The body.
        size: U, the side of the texture [px].
    """
    flat = torch.cat([model.uv * size, torch.zeros_like(model.uv[:, :1])], 1)
    whole = rasterize(flat[None], model.face_uv, size, size, cull_backfaces=False)
    pixel = whole.covered.view(-1).nonzero()[:, 0]
    bary = whole.bary.view(-1, 3)[pixel]
    face, depth = (part.view(-1)[pixel] for part in (whole.pix_to_face, whole.depth))
    row = Raster(face[None, None], bary[None, None], depth[None, None])
    corner = model.faces[face]
    place = mix_corners(rest_coordinates(model), corner, bary)
    # Borders of parts run evenly through faces: along their edges, 2 to 3 cm long at the hips, a hem where two made-up
    # colours meet would be a row of teeth.
    member = smooth_on_mesh(F.one_hot(model.vertex_part, len(PARTS)).to(bary.dtype)[None], model.faces, _EVEN)[0]
    part = mix_corners(member, corner, bary).argmax(1)
    return UnwrappedBody(size, pixel, row, corner, place, part, member.argmax(1))
