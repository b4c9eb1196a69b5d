"""Strands for hair that no photo shows: combed from the whorl down, as strong as in the hair that a photo shows.

Copies of the seen strands would be a pattern around the head: a photo shows few of them, and beside those a forehead.
So strands are noise that is drawn out along the way in which hair falls, in three sizes; how much each size varies is
measured in the seen hair. A blurred photo gets soft hair, and smooth black hair stays smooth.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import map_coordinates
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.body.parts import PARTS
from liquidwarp.body.remembered import once_per_model
from liquidwarp.flow.mesh.surface import rest_coordinates, vertices_of
from liquidwarp.flow.mesh.texture import mean_around
from liquidwarp.flow.mesh.unwrap import UnwrappedBody, unwrap

__all__ = ["combed", "strands"]

FloatArray = npt.NDArray[np.float32]

_SIZES = (0.002, 0.006, 0.018)
"""Widths of strands, of locks, and of light and shade on them, in rest coordinates."""
_LENGTHS = (14.0, 22.0, 40.0)
"""How far each goes on to both sides around the head [degrees]."""
_DENSE = 1.0
"""Steps along a strand, as a share of its width: farther apart they would be beads."""
_WHORL = (0.0, -0.8, 0.6)
"""Direction from the middle of the skull to where hair begins: up and back."""
_WAVES, _WAVY = 0.07, 0.2
"""Size of the waves in rest coordinates, and how far they turn strands aside [rad]."""
_STRONGEST = (0.08, 0.12, 0.2)
"""Each size varies by no more [logarithm], whatever is measured."""
_DARK, _LEAST = 0.06, 500
"""Below this light [RGB, 0..1] noise would count as strands; fewer places of hair tell nothing."""
_WINDOWS = (1 / 1024, 9 / 1024, 25 / 1024, 61 / 1024)
"""What one window averages away and the one before does not is of one size [share of the texture]."""
_USUAL = 1.4826
"""A normal distribution's standard deviation relative to the median distance from its middle."""
_GRID = 64
"""Cells of the noise, which repeats."""


def combed(
    model: BodyModel, flat: UnwrappedBody, colours: Float[Tensor, "P 3"], hair: Bool[Tensor, "P"]
) -> Float[Tensor, "P 1"]:
    """By which factor each place of a head is lighter than plain hair; elsewhere 1.

    Args:
        model: The body.
        flat: Where the texture's places are.
        colours: What the photos show, RGB in [0, 1].
        hair: Where that is hair.
    """
    return (strands(model, flat.size).to(colours) @ _variation(flat, colours, hair))[:, None].exp()


def _variation(flat: UnwrappedBody, colours: Float[Tensor, "P 3"], hair: Bool[Tensor, "P"]) -> Float[Tensor, "3"]:
    """How much seen hair varies in each size [logarithm, standard deviation]."""
    if int(hair.sum()) < _LEAST:
        return colours.new_zeros(len(_SIZES))
    there = flat.spread(hair[:, None].to(colours.dtype))
    light = flat.spread(colours.mean(1, keepdim=True).clamp(min=_DARK).log()) * there
    means = []
    for window in _WINDOWS:
        width = 2 * round(window * flat.size / 2) + 1
        means.append(flat.take(mean_around(light, width) / mean_around(there, width).clamp(min=1e-6))[hair, 0])
    bands = [(fine - wide).abs().median() * _USUAL for fine, wide in pairwise(means)]
    return torch.stack(bands).clamp(max=colours.new_tensor(_STRONGEST))


@once_per_model
def strands(model: BodyModel, size: int) -> Float[Tensor, "P 3"]:
    """Strands, locks and light: mean 0, standard deviation 1; 0 beside the head.

    Args:
        model: The body.
        size: Of the texture whose places are meant [px].
    """
    flat = unwrap(model, size)
    skull, head = vertices_of(model, "head", "face"), flat.part == PARTS.index("head")
    result = flat.place.new_zeros(len(flat.part), len(_SIZES))
    if not bool(head.any()):
        return result
    points = rest_coordinates(model)[skull]
    middle = (points.amin(0) + points.amax(0)) / 2
    drawn = _drawn_out((flat.place[head] - middle).cpu().numpy().astype(np.float32))
    result[head] = torch.as_tensor(drawn).to(result)
    return result


def _drawn_out(places: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N K"]:
    """Noise that is averaged along the lines from the whorl down.

    Args:
        places: Relative to the middle of the skull, in rest coordinates.
    """
    whorl = np.array(_WHORL) / np.linalg.norm(_WHORL)
    side = np.array([1.0, 0.0, 0.0])
    frame = np.stack([whorl, side, np.cross(whorl, side)])
    local = places @ frame.T
    radius = np.linalg.norm(local, axis=1).clip(1e-6)
    down = np.arccos((local[:, 0] / radius).clip(-1, 1))
    around = np.arctan2(local[:, 2], local[:, 1])
    random = np.random.default_rng(0)
    around = around + _WAVY * _noise(random, places / _WAVES)
    usual = float(np.median(radius))
    columns = []
    for width, length in zip(_SIZES, _LENGTHS, strict=True):
        volume = random.standard_normal((_GRID,) * 3).astype(np.float32)
        total = np.zeros(len(places), np.float32)
        steps = int(np.ceil(np.radians(length) * usual / (_DENSE * width)))
        for step in np.linspace(-1, 1, 2 * steps + 1):
            turned = down + step * np.radians(length)
            at = np.stack([np.cos(turned), np.sin(turned) * np.cos(around), np.sin(turned) * np.sin(around)], 1)
            total += (1 - abs(step)) * _sample(volume, at * (usual / width))
        columns.append((total - total.mean()) / total.std().clip(1e-6))
    return np.stack(columns, 1)


def _noise(random: np.random.Generator, cells: Float[np.ndarray, "N 3"]) -> FloatArray:
    return _sample(random.standard_normal((_GRID,) * 3).astype(np.float32), cells)


def _sample(volume: Float[np.ndarray, "G G G"], cells: Float[np.ndarray, "N 3"]) -> FloatArray:
    return np.asarray(map_coordinates(volume, cells.T, order=1, mode="grid-wrap"), np.float32)
