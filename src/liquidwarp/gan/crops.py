"""Differentiable crops of pictures: boxes for the discriminators, aligned face chips for the identity loss."""

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.geometry.camera import pixels_to_ndc
from liquidwarp.geometry.warp import Flow, warp

__all__ = ["FACE_CHIP", "align_faces", "crop_boxes", "matte_boxes"]

FACE_CHIP = 150
"""Side of an aligned face [px]."""

_MEAN_FACE = (
    (0.8595674595992, 0.2134981538014),
    (0.6460604764104, 0.2289674387677),
    (0.1205750620789, 0.2137274526848),
    (0.3340850613712, 0.2290642403242),
    (0.4901123135679, 0.6277975316475),
)
"""dlib's mean face in the unit square: outer and inner corner of the person's left eye, of the right eye, below the
nose."""
_FACE_PADDING = 0.25
"""Border around the unit square of the mean face, in its sides."""


def align_faces(image: Float[Tensor, "B 3 H W"], landmarks: Float[Tensor, "B 5 2"]) -> Float[Tensor, "B 3 150 150"]:
    """Face chips as dlib cuts them: the similarity that brings the landmarks to the mean face, in least squares.

    Args:
        image: RGB in [0, 1].
        landmarks: Pixel positions (centres at +0.5): the person's left eye's outer and inner corner, the right eye's
            outer and inner corner, the point below the nose.

    Returns:
        Chips, differentiable in the image.
    """
    mean = _mean_chip(landmarks.dtype, landmarks.device)
    chip_centre, face_centre = mean.mean(0), landmarks.mean(1, keepdim=True)
    chip, face = mean - chip_centre, landmarks - face_centre
    energy = chip.square().sum()
    cosine = (chip * face).sum((1, 2)) / energy
    sine = (chip[:, 0] * face[..., 1] - chip[:, 1] * face[..., 0]).sum(1) / energy
    x, y = (_chip_positions(landmarks) - chip_centre).unbind(-1)
    cosine, sine = cosine[:, None, None], sine[:, None, None]
    positions = torch.stack([cosine * x - sine * y, sine * x + cosine * y], -1) + face_centre[:, None]
    return _sample(image, positions)


def crop_boxes(
    image: Float[Tensor, "B C H W"], boxes: Float[Tensor, "B 4"], height: int, width: int
) -> Float[Tensor, "B C h w"]:
    """Crop one box per picture and resize it; outside of the picture its border repeats.

    Args:
        image: Any range.
        boxes: Left, top, right, bottom [px].
        height: Of the crops [px].
        width: Of the crops [px].

    Returns:
        The crops, differentiable in the image.
    """
    y = (torch.arange(height, device=image.device) + 0.5) / height
    x = (torch.arange(width, device=image.device) + 0.5) / width
    unit = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    start, end = boxes[:, None, None, :2].float(), boxes[:, None, None, 2:].float()
    return _sample(image, start + (end - start) * unit)


def matte_boxes(matte: Float[Tensor, "B 1 H W"], margin: float = 0.05) -> Float[Tensor, "B 4"]:
    """Boxes around the persons: left, top, right, bottom [px]; the whole picture where there is none.

    Args:
        matte: 1 = person.
        margin: Added on each side, as a share of the box.
    """
    person = matte[:, 0] > 0.5
    edges = []
    for covered in (person.any(1), person.any(2)):  # columns, rows
        size = covered.shape[1]
        position = torch.arange(size, device=matte.device)
        first = torch.where(covered, position, size).amin(1)
        last = torch.where(covered, position + 1, 0).amax(1)
        empty = last <= first
        first, last = first.masked_fill(empty, 0).float(), last.masked_fill(empty, size).float()
        border = (margin * (last - first)).masked_fill(empty, 0)
        edges.append((first - border, last + border))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], 1)


@functools.cache
def _mean_chip(dtype: torch.dtype, device: torch.device) -> Float[Tensor, "5 2"]:
    """Where the mean face's landmarks lie in a chip [px]."""
    with torch.inference_mode(False):  # it is kept, also for what has gradients
        mean = torch.tensor(_MEAN_FACE, dtype=dtype, device=device)
        return (mean + _FACE_PADDING) / (2 * _FACE_PADDING + 1) * FACE_CHIP


def _chip_positions(like: Tensor) -> Float[Tensor, "150 150 2"]:
    """Positions in a chip; dlib maps its corners to the centres of the corner pixels."""
    position = torch.arange(FACE_CHIP, dtype=like.dtype, device=like.device) * (FACE_CHIP / (FACE_CHIP - 1))
    return torch.stack(torch.meshgrid(position, position, indexing="xy"), -1)


def _sample(image: Float[Tensor, "B C H W"], pixels: Float[Tensor, "B h w 2"]) -> Float[Tensor, "B C h w"]:
    grid = pixels_to_ndc(pixels, image.shape[2], image.shape[3])
    return warp(image, Flow(grid, torch.ones_like(grid[:, None, ..., 0], dtype=torch.bool)))
