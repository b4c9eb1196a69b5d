"""A fitted body drawn over its picture, at no more than a given size, so that large photos cost no more."""

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.geometry.raster import Raster, rasterize

__all__ = ["body_raster"]


def body_raster(model: BodyModel, body: BodyParams, size: tuple[int, int], largest: int) -> Raster:
    """Which face of the body is where.

    Args:
        model: The body.
        body: One frame, camera in the picture's pixels.
        size: Height and width of the picture [px].
        largest: The longer side at which it is drawn [px], if the picture is larger.
    """
    factor = min(1.0, largest / max(size))
    height, width = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
    vertices = model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices
    return rasterize(body.camera.resized(factor).project(vertices), model.faces, height, width)
