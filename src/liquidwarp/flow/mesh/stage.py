"""Bodies on the stage: posed, projected and rasterised once, whatever is then hung around them."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams, RestBody
from liquidwarp.flow.mesh.extension import Extension
from liquidwarp.flow.mesh.surface import ProjectedSurface, project_extension
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.mesh import vertex_normals
from liquidwarp.geometry.raster import Raster, rasterize

__all__ = ["Stage"]


@dataclass(frozen=True)
class Stage:
    """T bodies of one person in pictures of one size. A frame is drawn from two extensions, around the same body."""

    rest: RestBody
    """The shaped body, B = 1."""
    transforms: Float[Tensor, "T J 3 4"]
    """Of its joints; see :class:`liquidwarp.body.model.PosedBody`."""
    camera: WeakPerspective
    """In the pictures' pixels."""
    body: Float[Tensor, "T V 3"]
    """(x [px], y [px], depth [m])."""
    normals: Float[Tensor, "T V 3"]
    """Unit normals in the camera's frame."""
    raster: Raster
    """Of the bodies alone."""

    @staticmethod
    def of(model: BodyModel, targets: BodyParams, size: tuple[int, int]) -> "Stage":
        """Pose and rasterise bodies.

        Args:
            model: The body.
            targets: T bodies, cameras in the pictures' pixels.
            size: Height and width of the pictures [px].
        """
        rest = model.rest(targets.betas[None])
        posed = model.pose(rest, targets.rel_rotmats)
        body = targets.camera.project(posed.vertices)
        normals = vertex_normals(posed.vertices, model.faces)
        return Stage(rest, posed.transforms, targets.camera, body, normals, rasterize(body, model.faces, *size))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures [px]."""
        height, width = self.raster.depth.shape[-2:]
        return height, width

    def __len__(self) -> int:
        return self.body.shape[0]

    def __getitem__(self, index: slice | Tensor) -> "Stage":
        raster = self.raster
        return Stage(
            self.rest,
            self.transforms[index],
            self.camera[index],
            self.body[index],
            self.normals[index],
            Raster(raster.pix_to_face[index], raster.bary[index], raster.depth[index]),
        )

    def surface(self, extension: Extension) -> ProjectedSurface:
        """The bodies with an extension around them."""
        pixels, torn = project_extension(extension, self.rest, self.transforms, self.camera)
        return ProjectedSurface(self.body, pixels, self.normals, torn, self.camera.scale)
