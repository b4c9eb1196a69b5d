"""The figures of a synthesized picture, defined once for the training's report and for every evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from liquidwarp.config import LossConfig
from liquidwarp.gan.crops import align_faces
from liquidwarp.gan.features import FaceIdentityNet, FeatureNet
from liquidwarp.gan.losses import PerceptualDistance
from liquidwarp.metrics import box_region, mask_iou, psnr, ssim

__all__ = ["Pictures", "Scorer", "Scores", "mean_scores"]

_RIM = 4 / 256
"""How far around the true silhouette pixels are the person's, as a share of the picture's height."""
_REMEMBERED = 4
"""True pictures whose feature maps are kept; each takes up to 100 MB at 512 px."""


@dataclass(frozen=True)
class Scores:
    """Of one picture, or means. "The box" is the true person's bounding box with a margin of 5 %."""

    psnr: float
    """In the box [dB]; higher is better, at most 100."""
    psnr_person: float
    """Within the true silhouette and a few pixels around it [dB]."""
    ssim: float
    """Structural similarity in the box [-1, 1]; higher is better."""
    perceptual: float | None
    """Perceptual distance of what the box holds; lower is better. PSNR and SSIM reward blur, this one does not."""
    mask_iou: float
    """Of the person's opacity, cut at 0.5, with the true one [0, 1]."""
    face: float | None
    """Distance of face embeddings: dlib takes two pictures for one person below 0.6. None: no face is seen."""


@dataclass(frozen=True)
class Pictures:
    """N synthesized pictures."""

    images: Float[Tensor, "N 3 H W"]
    """With their background, RGB in [0, 1]."""
    mattes: Float[Tensor, "N 1 H W"]
    """Opacity of the person."""


class Scorer:
    """Compares synthesized pictures with the truth."""

    def __init__(self, perceptual: PerceptualDistance | None = None, face: FeatureNet | None = None) -> None:
        """Figures whose network is missing are None."""
        self.perceptual, self.face = perceptual, face
        self._seen: dict[int, tuple[Tensor, list[list[Tensor]]]] = {}

    @staticmethod
    def load(device: torch.device | str = "cpu") -> "Scorer":
        """With the bundled networks."""
        perceptual = PerceptualDistance.load(LossConfig()).to(device).eval()
        return Scorer(perceptual, FaceIdentityNet.load().to(device))

    @torch.no_grad()
    def __call__(
        self,
        made: Pictures,
        truth: Pictures,
        landmarks: Float[Tensor, "N 5 2"] | None = None,
        seen: Float[Tensor, "N"] | None = None,
    ) -> list[Scores]:
        """The figures of each picture.

        Args:
            made: What was synthesized.
            truth: The true pictures.
            landmarks: The true faces' [px]; see :func:`liquidwarp.gan.crops.align_faces`.
            seen: 1 where the true face looks at the camera.
        """
        images, mattes = made.images.float(), made.mattes.float()
        box = box_region(truth.mattes)
        box = torch.where(box.amax((1, 2, 3), keepdim=True) > 0, box, 1.0)  # nobody there: the whole picture
        rim = max(1, round(_RIM * images.shape[-2]))
        person = (F.max_pool2d(truth.mattes, 2 * rim + 1, 1, rim) > 0).float()
        columns: list[list[float]] = [
            values.tolist()
            for values in (
                psnr(images, truth.images, box),
                psnr(images, truth.images, person),
                ssim(images, truth.images, box),
                mask_iou(mattes, truth.mattes),
            )
        ]
        perceptual = self._perceptual(images, truth.images, box)
        faces = self._faces(images, truth.images, landmarks, seen)
        return [
            Scores(decibel, decibel_person, similarity, distance, iou, face)
            for decibel, decibel_person, similarity, iou, distance, face in zip(
                *columns, perceptual, faces, strict=True
            )
        ]

    def _perceptual(self, images: Tensor, truth: Tensor, box: Float[Tensor, "N 1 H W"]) -> Sequence[float | None]:
        if self.perceptual is None:
            return [None] * len(images)
        distances = []
        for index, (image, true, inside) in enumerate(zip(images, truth, box[:, 0] > 0, strict=True)):
            rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
            part = (..., slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
            maps = self._maps(index, true[part][None], self.perceptual)
            distances.append(float(self.perceptual.to_maps(image[part][None], maps)))
        return distances

    def _maps(self, index: int, truth: Tensor, perceptual: PerceptualDistance) -> list[list[Tensor]]:
        """What the networks see in a truth; remembered, as one model after the other is compared with few of them."""
        known = self._seen.get(index)
        if known is not None and torch.equal(known[0], truth):
            return known[1]
        maps = perceptual.maps(truth)
        if index < _REMEMBERED:
            self._seen[index] = truth, maps
        return maps

    def _faces(
        self,
        images: Tensor,
        truth: Tensor,
        landmarks: Float[Tensor, "N 5 2"] | None,
        seen: Float[Tensor, "N"] | None,
    ) -> Sequence[float | None]:
        distances: list[float | None] = [None] * len(images)
        if self.face is None or landmarks is None or seen is None:
            return distances
        for index in (seen > 0.5).nonzero()[:, 0].tolist():
            pair = torch.stack([images[index], truth[index]])
            made, true = self.face(align_faces(pair, landmarks[index].expand(2, -1, -1)))[-1].flatten(1)
            distances[index] = float((made - true).norm())
        return distances


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """The mean of each figure over the pictures that have it.

    Example:
        >>> one, two = Scores(20.0, 20.0, 0.5, 0.2, 0.9, None), Scores(30.0, 20.0, 0.7, 0.4, 0.9, 0.5)
        >>> mean_scores([one, two])
        Scores(psnr=25.0, psnr_person=20.0, ssim=0.6, perceptual=0.3, mask_iou=0.9, face=0.5)
    """
    means = {}
    for field in fields(Scores):
        values = [value for score in scores if (value := getattr(score, field.name)) is not None]
        means[field.name] = round(sum(values) / len(values), 6) if values else None
    return Scores(**means)  # type: ignore[arg-type]
