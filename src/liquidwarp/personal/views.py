"""One person's pictures as a lesson needs them: cut out, with the place behind, the face, and what is held out.

Paper:
    Liu et al. 2021, Sec. 3.5 (Personalization): the photos that the person is made of are all there is to learn from.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.config import SynthesisConfig
from liquidwarp.flow.place.background import complete_background
from liquidwarp.geometry.crop import Crop, crop_around
from liquidwarp.geometry.pictures import to_tensor
from liquidwarp.geometry.warp import resize
from liquidwarp.recover.detection.detections import EYES_AND_NOSE, LEAST_EYE_SPAN
from liquidwarp.recover.photos import SourcePhotos
from liquidwarp.synthesizer import person_extent

__all__ = ["View", "held_out_patches", "views_of"]

_DETAIL = 2.0
"""How much finer than the working size a view is kept at most."""
_HEAD_MARGIN = 0.25
"""Free space on each side of the box around the head, in its larger extent."""
_RIM = 0.004
"""So far around what hides the person its colours are mixed with the person's, in the picture's larger side."""
_PATCHES = 10
"""Patches along each side of a view, of which some are held out."""


@dataclass(frozen=True)
class View:
    """A square around the person, N px large: as fine as the picture is, at most twice the working size."""

    image: Float[Tensor, "3 N N"]
    """RGB in [0, 1]."""
    matte: Float[Tensor, "1 N N"]
    """1 = person."""
    scenery: Float[Tensor, "3 N N"]
    """The place without the person, roughly."""
    judged: Float[Tensor, "1 N N"]
    """0 where nothing is known of the person: outside of the picture, where a held thing or somebody else hides it."""
    body: BodyParams
    """The fitted body (one frame), camera in these pixels."""
    landmarks: Float[Tensor, "5 2"]
    """Of the face [px]; see :func:`liquidwarp.gan.crops.align_faces`."""
    faces: bool
    """Whether the face looks at the camera."""
    head: Float[Tensor, "4"]
    """Box around the head: left, top, right, bottom [px]."""

    @property
    def size(self) -> int:
        """N."""
        return self.image.shape[-1]

    def at(self, window: Crop) -> "View":
        """What a window shows."""
        image, matte, scenery, judged = (
            window.take(part[None], outside)[0]
            for part, outside in (
                (self.image, "edge"),
                (self.matte, "edge"),
                (self.scenery, "edge"),
                (self.judged, "zero"),
            )
        )
        corner = self.head.new_tensor([window.left, window.top])
        body = BodyParams(self.body.betas, self.body.rel_rotmats, window.camera(self.body.camera))
        landmarks = (self.landmarks - corner) * window.factor
        head = (self.head - corner.repeat(2)) * window.factor
        return View(image, matte, scenery, (judged > 0.99).float(), body, landmarks, self.faces, head)

    def to(self, device: torch.device | str) -> "View":
        """The same on another device."""
        tensors = (self.image, self.matte, self.scenery, self.judged)
        image, matte, scenery, judged = (tensor.to(device) for tensor in tensors)
        landmarks, head = self.landmarks.to(device), self.head.to(device)
        return View(image, matte, scenery, judged, self.body.to(device), landmarks, self.faces, head)


def views_of(photos: SourcePhotos, model: BodyModel, config: SynthesisConfig) -> list[View]:
    """All pictures of a person, in the windows in which the person is prepared.

    Args:
        photos: The pictures, their bodies and mattes.
        model: The body.
        config: Working size and margin.
    """
    views = []
    for index, picture in enumerate(photos.pictures):
        body, opacity = photos.recovery.body[slice(index, index + 1)], photos.mattes[index]
        window = crop_around(person_extent(model, body, opacity), config.size, config.margin)
        detail = min(max(window.side / config.size, 1.0), _DETAIL)
        window = Crop(window.left, window.top, window.side, 8 * round(config.size * detail / 8))
        image = window.take(to_tensor(picture))
        matte = window.take(to_tensor(opacity[..., None]), outside="zero")
        known = window.take(to_tensor(np.uint8(255) * _known(photos, index)[..., None]), outside="zero")
        silhouette = window.take(to_tensor(np.uint8(255) * photos.occupied(index)[..., None]), outside="zero")
        body = BodyParams(body.betas, body.rel_rotmats, window.camera(body.camera))
        landmarks, faces = _face(photos, index, window)
        views.append(
            View(
                image[0].clamp(0, 1),
                matte[0].clamp(0, 1),
                _scenery(image.clamp(0, 1), matte.clamp(0, 1), silhouette),
                (known[0] > 0.99).float(),
                body,
                landmarks,
                faces,
                _head_box(model, body),
            )
        )
    return views


def _known(photos: SourcePhotos, index: int) -> Bool[np.ndarray, "H W"]:
    """Where nothing stands before the person, nor its colours are mixed with what does."""
    hidden = photos.covered(index)
    if not hidden.any():
        return ~hidden
    rim = 2 * max(1, round(_RIM * max(hidden.shape))) + 1
    return cv2.dilate(hidden.astype(np.uint8), np.ones((rim, rim), np.uint8)) == 0


def _scenery(
    image: Float[Tensor, "1 3 N N"], matte: Float[Tensor, "1 1 N N"], silhouette: Float[Tensor, "1 1 N N"]
) -> Float[Tensor, "3 N N"]:
    """Smeared at a small size, which is enough for what shines through soft edges; the photo itself far from them."""
    picture, opacity, body = (resize(part, 128, 128).clamp(0, 1) for part in (image, matte, silhouette))
    filled = complete_background(picture, opacity, body, quality="draft")
    behind = resize(filled, image.shape[-2], image.shape[-1])
    near = resize(resize(matte, 32, 32), image.shape[-2], image.shape[-1])
    return torch.where(near > 0.02, behind, image)[0].clamp(0, 1)


def _face(photos: SourcePhotos, index: int, window: Crop) -> tuple[Float[Tensor, "5 2"], bool]:
    """The detected face's landmarks in the window, and whether it looks at the camera."""
    if index >= len(photos.recovery.observed) or not photos.recovery.parts:
        return torch.zeros(5, 2), False
    found = photos.recovery.detection(index)
    points = (found.face_xy[0, EYES_AND_NOSE, :] - torch.tensor([window.left, window.top])) * window.factor
    span = float((points[0] - points[2]).norm())
    scale = float(window.camera(photos.recovery.body.camera).scale[index])
    return points, bool(found.face_score[0] > 0.5) and span > LEAST_EYE_SPAN * scale


def _head_box(model: BodyModel, body: BodyParams) -> Float[Tensor, "4"]:
    vertices = body.camera.project(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices)[0, :, :2]
    head = (model.vertex_part == PARTS.index("head")) | (model.vertex_part == PARTS.index("face"))
    low, high = vertices[head].amin(0), vertices[head].amax(0)
    centre, half = (low + high) / 2, (0.5 + _HEAD_MARGIN) * (high - low).amax()
    return torch.cat([centre - half, centre + half])


def held_out_patches(view: View, share: float, generator: torch.Generator) -> Bool[Tensor, "1 N N"]:
    """Patches of the person that are never learned from, so that they can tell whether learning helps.

    The head has none: what is most looked at must be learned whole.

    Args:
        view: One picture.
        share: Of the patches on the person.
        generator: Draws them; on the CPU.
    """
    person = resize(view.matte[None].cpu(), _PATCHES, _PATCHES)[0, 0] > 0.3
    side = view.size / _PATCHES
    left, top, right, bottom = (view.head.cpu() / side).tolist()
    person[max(0, int(top)) : max(0, int(bottom) + 1), max(0, int(left)) : max(0, int(right) + 1)] = False
    places = person.nonzero()
    count = round(share * len(places)) if len(places) < 2 else max(1, round(share * len(places)))
    chosen = places[torch.randperm(len(places), generator=generator)[:count]]
    patches = torch.zeros(_PATCHES, _PATCHES, dtype=torch.bool)
    patches[chosen[:, 0], chosen[:, 1]] = True
    index = (torch.arange(view.size) / side).long().clamp(max=_PATCHES - 1)
    return patches[index][:, index][None].to(view.matte.device)
