"""Rendered people as the product prepares its own: their bodies are known and need not be recovered."""

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.geometry.pictures import to_picture
from liquidwarp.learn.synthetic import SyntheticData
from liquidwarp.recover.digitize import Recovery
from liquidwarp.recover.photos import SourcePhotos, silhouette
from liquidwarp.synthetic.dataset import Bodies, SyntheticBatch

__all__ = ["SettledPeople", "known_photos"]


class SettledPeople(SyntheticData):
    """Fitted bodies as training makes them: they fill the mattes."""

    def bodies(self, rendered: SyntheticBatch) -> Bodies:
        """Of all people and views."""
        return self._fitted(rendered, rendered.mattes)


def known_photos(
    name: str,
    images: Float[Tensor, "S 3 H W"],
    mattes: Float[Tensor, "S 1 H W"],
    body: BodyParams,
    model: BodyModel,
) -> SourcePhotos:
    """Pictures of one person, as if they were photos whose bodies were recovered; without detected faces.

    Args:
        name: Of the person.
        images: RGB in [0, 1].
        mattes: Opacity of the person.
        body: As fitted, one row per picture.
        model: The body, on the CPU.
    """
    count, size = len(images), (images.shape[-2], images.shape[-1])
    seen = torch.ones(count, body.rel_rotmats.shape[1], dtype=torch.bool)
    return SourcePhotos(
        name,
        tuple(to_picture(image) for image in images),
        (None,) * count,
        Recovery(body, (), torch.ones(count, dtype=torch.bool), seen, 0.0, ()),
        tuple(to_picture(matte)[..., 0] for matte in mattes),
        tuple(silhouette(model, body[slice(index, index + 1)], size) for index in range(count)),
    )
