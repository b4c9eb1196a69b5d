"""What the user should know of the photos before a network learns from them: two persons, blur, no face."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.errors import SettingError
from liquidwarp.gan.crops import align_faces
from liquidwarp.gan.features import FaceIdentityNet
from liquidwarp.geometry.warp import resize
from liquidwarp.personal.views import View

__all__ = ["Checkup", "check_views", "face_distances"]

_OTHER_PERSON = 0.7
"""dlib takes two faces for one person below 0.6; a turned face of one person reached 0.66 (docs/personalize.md)."""
_LEAST_FACE = 14.0
"""Eyes nearer together than this [px] say too little of who it is."""
_BLURRED = 0.25
"""Share of the sharpest photo's detail below which a photo counts as blurred."""
_SHARP_SIZE = 192
"""Side at which the photos' detail is compared [px]."""


@dataclass(frozen=True)
class Checkup:
    """What was found."""

    notes: tuple[str, ...]
    """In whole sentences."""
    blurred: frozenset[int]
    """Photos that should not be learned from."""


def check_views(views: Sequence[View], allow_mixed: bool = False) -> Checkup:
    """Look at the photos of one person.

    Args:
        views: Of the photos.
        allow_mixed: Only warn if the faces seem to be those of different persons.

    Raises:
        SettingError: the faces of two photos are too different.
    """
    notes = []
    distances = face_distances(views)
    if distances:
        (first, second), distance = max(distances.items(), key=lambda pair: pair[1])
        if distance > _OTHER_PERSON:
            text = (
                f"photos {first + 1} and {second + 1} seem to show different persons (face distance {distance:.2f}, of "
                f"one person mostly below 0.6)"
            )
            if not allow_mixed:
                raise SettingError(
                    f"source: {text}. Leave one away, choose with --person, or pass --allow-mixed if it is one person."
                )
            notes.append(f"{text[0].upper()}{text[1:]}; going on, as asked.")
    if not any(view.faces for view in views):
        notes.append("No photo shows the face from the front, so the face is learned like everything else, not better.")
    detail = [_detail(view) for view in views]
    blurred = frozenset(n for n, value in enumerate(detail) if value < _BLURRED * max(detail))
    notes += [f"Photo {n + 1} is blurred: it serves as a source, but is not learned from." for n in sorted(blurred)]
    return Checkup(tuple(notes), blurred)


def face_distances(views: Sequence[View]) -> dict[tuple[int, int], float]:
    """Distances of the face embeddings of all pairs of views whose faces are large enough."""
    shown = [n for n, view in enumerate(views) if view.faces and _eye_span(view) >= _LEAST_FACE]
    if len(shown) < 2:
        return {}
    network = FaceIdentityNet.load().to(views[0].image.device)
    with torch.no_grad():
        chips = torch.cat([align_faces(views[n].image[None], views[n].landmarks[None]) for n in shown])
        embeddings = network(chips)[-1].flatten(1)
    return {
        (shown[i], shown[j]): float((embeddings[i] - embeddings[j]).norm())
        for i in range(len(shown))
        for j in range(i + 1, len(shown))
    }


def _eye_span(view: View) -> float:
    return float((view.landmarks[0] - view.landmarks[2]).norm())


def _detail(view: View) -> float:
    """Mean strength of fine detail within the person, at one size for all photos."""
    size = _SHARP_SIZE
    image, matte = resize(view.image[None], size, size).mean(1, keepdim=True), resize(view.matte[None], size, size)
    inner = -torch.nn.functional.max_pool2d(-matte, 5, 1, 2) > 0.9
    return float(_laplacian(image)[inner].abs().mean()) if bool(inner.any()) else 0.0


def _laplacian(image: Float[Tensor, "1 1 H W"]) -> Float[Tensor, "1 1 H W"]:
    kernel = image.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    return torch.nn.functional.conv2d(image, kernel, padding=1)
