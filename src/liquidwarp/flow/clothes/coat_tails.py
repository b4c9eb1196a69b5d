"""Tails of open coats: cloth beside and behind both legs, which hangs from the hips and is open in front.

They are known by their hem, as a skirt's is, and by one cloth at both sides with another one in between. They become a
tube like a skirt's without its middle in front. Its back shows what one side does.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import median_filter
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams, PosedBody, RestBody
from liquidwarp.flow.clothes.skirt import Ending, Legs, Skirt, hanging
from liquidwarp.flow.clothes.skirt_tube import hanging_tube
from liquidwarp.flow.colours.cloth import same_cloth
from liquidwarp.flow.mesh.extension import Extension
from liquidwarp.flow.mesh.surroundings import Surroundings

__all__ = ["Tails", "find_tails", "tails_tube"]

_LENGTH = 0.15
"""Tails reach at least so far below the hips [m]."""
_BAND = (0.07, 0.012)
"""From here to here above the hem the coat's colour is looked up [m]."""
_RIM = 0.012
"""So far within the outline [m]."""
_WIDE, _APART = 0.03, 0.05
"""A side is at least as wide as the first, and as far from the other as the second [m]."""
_MOST = 0.6
"""In at least this share of the rows."""
_SMOOTH = 0.02
"""Gaps in a side that are narrower than this are folds, and over so many rows its edge has no teeth [m]."""
_STANDS_OFF = 0.06
"""A coat that stands farther off the hips on either side than this has no tube there: its upper end would gape [m]."""
_TOLERANCE, _SURELY = 1.3, 0.8
"""How many times the usual difference is still the coat, and surely is."""


@dataclass(frozen=True)
class Tails:
    """An open coat below the hips."""

    cloth: Skirt
    """Its mask holds the sides alone."""
    inner: Float[np.ndarray, "R 2"]
    """The sides' inner edges in each row [px]."""
    clear: Bool[np.ndarray, "H W"]
    """Where the coat is seen and nothing before it, such as a bag or a hand."""


def find_tails(image: Float[np.ndarray, "H W 3"], around: Surroundings, ending: Ending | None) -> Tails | None:
    """Find the tails of an open coat.

    Args:
        image: The photo, RGB in [0, 1].
        around: Its body and matte.
        ending: From :func:`liquidwarp.flow.clothes.skirt.find_ending`.
    """
    if ending is None or ending.stop < _LENGTH * around.scale:
        return None
    legs = ending.legs
    cloth = _colour(image, ending, around.scale)
    if cloth is None or _stands_off(ending, around) > _STANDS_OFF * around.scale:
        return None
    height, width = ending.person.shape
    even = 2 * max(1, round(_SMOOTH * around.scale / 2)) + 1
    coat = same_cloth(image.reshape(-1, 3).astype(np.float64), cloth, _TOLERANCE).reshape(height, width)
    closed = cv2.morphologyEx((coat & ending.person).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((even, even), np.uint8))
    rows = ending.first + np.arange(min(ending.stop, len(ending.outer)))
    inner = _inner_edges(closed > 0, ending, legs, rows)
    inner = np.asarray(median_filter(inner, (even, 1), mode="nearest"), np.float64)
    wide = np.stack([inner[:, 0] - ending.outer[: len(rows), 0], ending.outer[: len(rows), 1] - inner[:, 1]], 1)
    apart = inner[:, 1] - inner[:, 0]
    enough = (wide > _WIDE * around.scale).mean(0).min(), (apart > _APART * around.scale).mean()
    if min(enough) < _MOST:
        return None
    columns = np.arange(width)
    mask = np.zeros((height, width), bool)
    for y, (left, right), (start, end) in zip(rows, inner, ending.outer, strict=False):
        beside = ((columns >= start) & (columns <= left)) | ((columns >= right) & (columns <= end))
        mask[y] = ending.person[y] & beside & (y < ending.straight)
    surely = same_cloth(image.reshape(-1, 3).astype(np.float64), cloth, _SURELY).reshape(height, width)
    return Tails(hanging(mask, ending, len(rows), ending.straight), inner, mask & surely)


def _stands_off(ending: Ending, around: Surroundings) -> float:
    """How far the outline at the hips is from the body, on the side where that is more [px]."""
    rows = slice(ending.first, ending.first + max(1, round(_LENGTH * around.scale / 3)))
    body = (around.distance == 0) & ending.person
    gaps = []
    for y, (start, end) in zip(range(rows.start, rows.stop), ending.outer, strict=False):
        columns = np.flatnonzero(body[y])
        if len(columns):
            gaps.append((columns[0] - start, end - columns[-1]))
    return float(np.median(gaps, axis=0).max()) if gaps else float("inf")


def _colour(image: Float[np.ndarray, "H W 3"], ending: Ending, scale: float) -> Float[np.ndarray, "3"] | None:
    """The colour just above the hem's ends; None where they differ."""
    above, gap, rim = (max(1, round(part * scale)) for part in (*_BAND, _RIM))
    found = []
    for column, inwards in ((ending.low, 1), (ending.high, -1)):
        at = int(column) + inwards * rim
        x = slice(max(0, min(at, at + inwards * 2 * rim)), max(at, at + inwards * 2 * rim) + 1)
        bottom = int(ending.straight[int(np.clip(at, 0, len(ending.straight) - 1))])
        y = slice(max(0, bottom - above), max(1, bottom - gap))
        own = image[y, x][ending.person[y, x]]
        if len(own) == 0:
            return None
        found.append(np.median(own.astype(np.float64), axis=0))
    if not same_cloth(found[0][None], found[1])[0]:
        return None
    mean: npt.NDArray[np.float64] = np.mean(found, axis=0)
    return mean


def _inner_edges(
    coat: Bool[np.ndarray, "H W"], ending: Ending, legs: Legs, rows: Int[np.ndarray, "R"]
) -> Float[np.ndarray, "R 2"]:
    """How far the coat goes on inwards from the outline, at most to halfway between the legs."""
    inner = np.empty((len(rows), 2))
    for index, y in enumerate(rows.tolist()):
        middle = int(np.clip(legs.x[:, y].mean(), 1, coat.shape[1] - 2))
        for side, step in enumerate((1, -1)):
            start = int(np.clip(round(float(ending.outer[index, side])), 0, coat.shape[1] - 1))
            run = coat[y, start : middle + step : step] if step > 0 else coat[y, start : middle - 1 : -1]
            begin = int(run.argmax()) if run.any() else 0
            length = len(run) - begin if run[begin:].all() else int(np.argmin(run[begin:]))
            inner[index, side] = start + step * (begin + length if run.any() else 0)
    return inner


def tails_tube(
    model: BodyModel,
    body: BodyParams,
    rest: RestBody,
    posed: PosedBody,
    around: Surroundings,
    tails: Tails,
    source: int,
) -> tuple[Extension, Float[Tensor, "E 2"]]:
    """A tube around both legs that is open in front; and where its points are shown in the photo [px], nan: as posed.

    Args:
        model: The body.
        body: One body.
        rest: The same at rest.
        posed: The same in its pose.
        around: The body's photo.
        tails: In it.
        source: Number of the photo.
    """
    tube, front, back = hanging_tube(model, body, rest, posed, around, tails.cloth, source)
    inner = tails.inner[(front[..., 1] - tails.cloth.top).round().astype(int).clip(0, len(tails.inner) - 1)]
    spacing = np.abs(np.diff(front[..., 0], axis=1)).max()
    bare = (front[..., 0] > inner[..., 0] + spacing) & (front[..., 0] < inner[..., 1] - spacing)
    bare = np.concatenate([bare.ravel(), np.zeros(bare.size, bool)])
    kept = torch.as_tensor(~bare[tube.faces.cpu().numpy()].any(1), device=tube.faces.device)
    tube = replace(tube, faces=tube.faces[kept], part=tube.part[kept], max_edge=tube.max_edge[kept])
    shown = np.concatenate([np.full((front[..., 0].size, 2), np.nan), _beside(tails, back)])
    return tube, torch.as_tensor(shown, dtype=tube.offset.dtype, device=tube.offset.device)


def _beside(tails: Tails, back: Float[np.ndarray, "R K 3"]) -> Float[np.ndarray, "N 2"]:
    """Where the photo shows cloth like that of the back: from the outline to a side's inner edge, and its mirror image.

    Of both sides the one that less hides, such as a hand or a bag.
    """
    cloth = tails.cloth
    row = (back[..., 1] - cloth.top).round().astype(int).clip(0, len(cloth.start) - 2)
    start, end = cloth.start[row], cloth.stop[row]
    across = (2 * (back[..., 0] - start) / np.maximum(end - start, 1) - 1).clip(-1, 1)
    inwards = 1 - np.abs(across)
    left = np.arange(cloth.mask.shape[1]) < (start + end).mean() / 2
    shares = [tails.clear[:, side].sum() / max(1, cloth.mask[:, side].sum()) for side in (left, ~left)]
    of_left = start + inwards * (tails.inner[row, 0] - start)
    of_right = end - inwards * (end - tails.inner[row, 1])
    x, y = of_left if shares[0] > shares[1] else of_right, (cloth.top + row).astype(float)
    return _nearest(tails.clear, x, y)


def _nearest(
    clear: Bool[np.ndarray, "H W"], x: Float[np.ndarray, "R K"], y: Float[np.ndarray, "R K"]
) -> Float[np.ndarray, "N 2"]:
    """The places themselves, or the nearest ones that are clear, without single pixels [px]."""
    whole = cv2.erode(clear.astype(np.uint8), np.ones((3, 3), np.uint8))
    places = np.argwhere(whole)
    if len(places) == 0:
        return np.stack([x, y], -1).reshape(-1, 2) + 0.5
    _, label = cv2.distanceTransformWithLabels(1 - whole, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_label = np.zeros((label.max() + 1, 2))
    of_label[label[places[:, 0], places[:, 1]]] = places
    column = np.floor(x).astype(int).clip(0, whole.shape[1] - 1)
    found: npt.NDArray[np.float64] = of_label[label[y.astype(int), column]][..., ::-1].reshape(-1, 2) + 0.5
    return found
