"""The person's soft matte at a photo's full resolution, and the person's own colours along its edge.

The detector's mask is right to within a few of its coarse pixels. Inside of that uncertain band closed-form matting
(Levin, Lischinski, Weiss 2008) finds opacities under which colours are locally a mix of two; the coarse mask joins as a
weak prior, so that the band cannot drift where person and background look alike.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8
from scipy import sparse
from scipy.sparse.linalg import cg

from liquidwarp.errors import NoPersonFoundError, ShapeError
from liquidwarp.recover.detection.detections import Detections
from liquidwarp.recover.detection.sightings import largest_component
from liquidwarp.recover.mattes.gaps import open_gaps

__all__ = ["CoarseMask", "closed_form_matte", "foreground_colours", "matte", "refined_edge"]

WORKING_SIDE = 800
"""The longer side at which the band is solved [px]; the guided filter carries the result to full resolution."""
BAND = 2.5
"""Half width of the uncertain band, in pixels of the coarse mask."""
UNSURE = 0.1
"""Where the coarse mask's probability is this far from 0 and 1, it is uncertain too."""
LIKELY, WITHIN = 0.3, 0.02
"""What is uncertain, but more likely than the first, and farther within the fitted body than the second [heights of the
person] is the person: a black shirt, say, whose colours neither face nor hands have."""
OPEN = 0.4
"""In a hole of the mask that lies within the body its no becomes this: colours decide."""
REACH = 0.12
"""How far the person may reach out of the body's raster (hair, clothes), in heights of the person."""
PRIOR = 0.05
"""Weight of a sure coarse mask in the band against the smoothness of the colour model."""
STRETCH = 0.12
"""Opacities this close to 0 and 1 are haze of the colour model and become 0 and 1."""
MIN_COLOURS = 100
"""Fewer sure pixels [px] give no colour model."""
EPSILON = 1e-4
"""Variance of noise in the colour model, colours in [0, 1]."""
SOLID = 0.95
"""From this opacity on a pixel shows the person's own colour; below 1 - SOLID the background's."""


@dataclass(frozen=True)
class CoarseMask:
    """A mask that is right to within a few of its own, larger pixels."""

    probability: Float[np.ndarray, "H W"]
    """[0, 1], on the photo's grid."""
    cell: float
    """Side of the mask's own pixels [px of the photo]."""

    @staticmethod
    def of(detections: Detections, frame: int) -> "CoarseMask":
        """The mask that the detections hold: one bit a pixel, the photo shrunk to 384 px."""
        mask = cv2.GaussianBlur(detections.masks[frame].astype(np.float32), (0, 0), 0.8)
        large = cv2.resize(mask, detections.image_size, interpolation=cv2.INTER_CUBIC)
        return CoarseMask(np.clip(large, 0, 1), detections.image_size[0] / mask.shape[1])

    def with_body(self, body_mask: Bool[np.ndarray, "H W"]) -> "CoarseMask":
        """The same, but sure where an uncertain place lies deep within a fitted body: for somebody who is alone.

        Args:
            body_mask: Its raster.
        """
        inside = cv2.copyMakeBorder(body_mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
        reach = WITHIN * _extent(body_mask)
        likely = self.probability > LIKELY
        # A hole may leave the body by a narrow way.
        wide = cv2.distanceTransform(np.pad(~likely, 1, "edge").astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1] > reach
        _, piece = cv2.connectedComponents(wide.astype(np.uint8))
        outside = wide & np.isin(piece, np.unique(piece[wide & ~body_mask]))
        from_outside = cv2.distanceTransform((~outside).astype(np.uint8), cv2.DIST_L2, 5)
        holes = ~likely & (from_outside > 2 * reach)
        least = np.where(depth > reach, np.where(likely, 1 - UNSURE / 2, np.where(holes, OPEN, 0)), 0)
        return replace(self, probability=np.maximum(self.probability, least).astype(np.float32))


def matte(
    rgb: UInt8[np.ndarray, "H W 3"],
    detections: Detections,
    frame: int = 0,
    coarse: CoarseMask | None = None,
    alpha: UInt8[np.ndarray, "H W"] | None = None,
    body_mask: Bool[np.ndarray, "H W"] | None = None,
    borders: Bool[np.ndarray, "H W"] | None = None,
) -> Float[np.ndarray, "H W"]:
    """The person's opacity in a photo.

    Args:
        rgb: The photo, or a video's frame.
        detections: What was detected in it.
        frame: Which of the detections belongs to it.
        coarse: A better mask than the one in ``detections``: ``PersonDetector.coarse_mask``.
        alpha: The photo's own alpha channel. Where it has one that cuts something out, that is the matte.
        body_mask: Raster of the fitted body. What lies far outside of it (held objects, other people) is faded out.
        borders: Where gaps between limbs are looked for: :func:`liquidwarp.recover.mattes.gaps.limb_borders`.

    Returns:
        Opacity in [0, 1], 1 = person; one connected figure.

    Raises:
        ShapeError: the photo, its alpha channel or a mask have other sizes than the detections.
        NoPersonFoundError: nobody was detected in the frame.
    """
    probability = None if coarse is None else coarse.probability
    for name, array in (("rgb", rgb), ("coarse", probability), ("alpha", alpha), ("body_mask", body_mask)):
        if array is not None and (array.shape[1], array.shape[0]) != detections.image_size:
            raise ShapeError(
                f"matte: expected {name} of {detections.image_size[0]} x {detections.image_size[1]} px, got "
                f"{array.shape[1]} x {array.shape[0]}."
            )
    coarse = CoarseMask.of(detections, frame) if coarse is None else coarse
    if not (coarse.probability > 0.5).any():
        raise NoPersonFoundError(f"matte: expected a person in frame {frame}, found none. Choose another frame.")
    if alpha is not None and alpha.min() < 255 * (1 - SOLID) < 255 * SOLID < alpha.max():
        opacity = alpha.astype(np.float32) / 255
    else:
        opacity = refined_edge(rgb, coarse)
        gaps = None if borders is None else open_gaps(rgb, opacity > 0.5, borders)
        if gaps is not None and gaps.any():
            opened = CoarseMask(np.where(gaps, 0, coarse.probability), coarse.cell)
            opacity = np.minimum(opacity, refined_edge(rgb, opened))
    if body_mask is not None:
        opacity = opacity * _near_body(body_mask, REACH * _extent(body_mask))
    return _one_figure(opacity)


def refined_edge(rgb: UInt8[np.ndarray, "H W 3"], coarse: CoarseMask) -> Float[np.ndarray, "H W"]:
    """Opacity [0, 1] by the colours along the edge of a coarse mask; 0 far from it.

    Args:
        rgb: The photo.
        coarse: Somebody's mask.
    """
    opacity = np.zeros(rgb.shape[:2], np.float32)
    if (coarse.probability > 0.5).any():
        rows, columns = _window(coarse)
        opacity[rows, columns] = _refine(rgb[rows, columns], coarse.probability[rows, columns], coarse.cell)
    return opacity


def _window(coarse: CoarseMask) -> tuple[slice, slice]:
    """Rows and columns that hold the person and some background."""
    slices = []
    for axis in (1, 0):
        inside = np.flatnonzero((coarse.probability > 0.5).any(axis))
        margin = int(4 * BAND * coarse.cell + 0.05 * (inside[-1] - inside[0]))
        slices.append(slice(max(0, int(inside[0]) - margin), int(inside[-1]) + margin + 1))
    return slices[0], slices[1]


def _refine(
    rgb: UInt8[np.ndarray, "H W 3"], probability: Float[np.ndarray, "H W"], cell: float
) -> Float[np.ndarray, "H W"]:
    """Solve the band at the working size and carry the opacity to full resolution."""
    height, width = probability.shape
    scale = min(1.0, WORKING_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    prior = cv2.resize(probability.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    prior = _decide(small, prior)
    person = largest_component(prior > 0.5).astype(np.uint8)
    edge = cv2.distanceTransform(person, cv2.DIST_L2, 5) + cv2.distanceTransform(1 - person, cv2.DIST_L2, 5)
    reach = max(BAND * cell * scale, 2.0)
    unsure = (np.abs(prior - 0.5) < 0.5 - UNSURE) & (edge < 4 * reach)
    opacity = closed_form_matte(small, prior, (edge < reach) | unsure)
    opacity = np.clip((opacity - STRETCH) / (1 - 2 * STRETCH), 0, 1)
    return opacity if scale == 1 else _upsample(opacity, small, rgb.astype(np.float32) / 255)


def _decide(image: Float[np.ndarray, "H W 3"], prior: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Settle by colour (GrabCut, Rother et al. 2004) what the coarse mask leaves open, a coat or an arm, say."""
    unsure = np.abs(prior - 0.5) < 0.5 - UNSURE
    if not unsure.any() or (prior > 1 - UNSURE).sum() < MIN_COLOURS or (prior < UNSURE).sum() < MIN_COLOURS:
        return prior
    labels = np.where(prior > 0.5, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
    labels[unsure] = np.where(prior > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD)[unsure]
    behind, front = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(np.rint(image * 255).astype(np.uint8), labels, (0, 0, 0, 0), behind, front, 3, cv2.GC_INIT_WITH_MASK)
    person = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.float32)
    settled: np.ndarray = np.where(unsure, 0.5 * (cv2.GaussianBlur(person, (0, 0), 1.5) + prior), prior)
    return settled.astype(np.float32)


def closed_form_matte(
    image: Float[np.ndarray, "H W 3"], prior: Float[np.ndarray, "H W"], unknown: Bool[np.ndarray, "H W"]
) -> Float[np.ndarray, "H W"]:
    """Opacities in a band of unknown pixels by closed-form matting.

    Levin, Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting", TPAMI 2008, Eq. 12 and 13.

    Args:
        image: RGB in [0, 1].
        prior: Rough opacity [0, 1]; rounded, it is the answer outside of the band.
        unknown: The band.

    Returns:
        Opacity in [0, 1].
    """
    known = np.where(prior > 0.5, 1.0, 0.0)
    if not unknown.any():
        return known.astype(np.float32)
    laplacian = _matting_laplacian(image, unknown)
    inside = np.flatnonzero(unknown)
    rows = laplacian[inside]
    guess = prior.ravel()[inside].astype(np.float64)
    trust = PRIOR * (2 * guess - 1) ** 2 + 1e-4
    system = rows[:, inside] + sparse.diags(trust)
    outside = known.ravel().copy()
    outside[inside] = 0
    right = trust * guess - rows @ outside
    weights = sparse.diags(1 / system.diagonal())
    solution, _ = cg(system, right, x0=guess, rtol=1e-4, maxiter=300, M=weights)
    opacity = known.ravel()
    opacity[inside] = np.clip(solution, 0, 1)
    return opacity.reshape(known.shape).astype(np.float32)


def _matting_laplacian(image: Float[np.ndarray, "H W 3"], unknown: Bool[np.ndarray, "H W"]) -> sparse.csr_matrix:
    """The matting Laplacian of all 3 x 3 windows that touch the band; rows far from it stay empty."""
    height, width = unknown.shape
    touched = cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3), np.uint8))
    touched[[0, -1]], touched[:, [0, -1]] = 0, 0
    centres = np.flatnonzero(touched)
    around = (np.arange(-1, 2)[:, None] * width + np.arange(-1, 2)).ravel()
    pixels: Int64[np.ndarray, "N 9"] = centres[:, None] + around
    colours = image.reshape(-1, 3)[pixels].astype(np.float64)
    offset = colours - colours.mean(1, keepdims=True)
    spread = offset.transpose(0, 2, 1) @ offset / 9 + EPSILON / 9 * np.eye(3)
    likeness = (1 + offset @ np.linalg.solve(spread, offset.transpose(0, 2, 1))) / 9
    values = np.eye(9) - likeness
    rows, columns = np.repeat(pixels, 9, axis=1).ravel(), np.tile(pixels, (1, 9)).ravel()
    count = height * width
    return sparse.coo_matrix((values.ravel(), (rows, columns)), shape=(count, count)).tocsr()


def _upsample(
    opacity: Float[np.ndarray, "h w"], small: Float[np.ndarray, "h w 3"], large: Float[np.ndarray, "H W 3"]
) -> Float[np.ndarray, "H W"]:
    """Fast guided filter (He and Sun 2015): opacity as a local linear function of brightness, kept at full size."""
    radius, noise = (5, 5), 1e-3
    guide, fine = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.cvtColor(large, cv2.COLOR_RGB2GRAY)
    mean_guide, mean_opacity = cv2.boxFilter(guide, -1, radius), cv2.boxFilter(opacity, -1, radius)
    covariance = cv2.boxFilter(guide * opacity, -1, radius) - mean_guide * mean_opacity
    slope = covariance / (cv2.boxFilter(guide * guide, -1, radius) - mean_guide**2 + noise)
    offset = mean_opacity - slope * mean_guide
    size = (large.shape[1], large.shape[0])
    slope, offset, plain = (
        cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
        for values in (cv2.boxFilter(slope, -1, radius), cv2.boxFilter(offset, -1, radius), opacity)
    )
    detailed = np.clip(slope * fine + offset, 0, 1)
    # The filter blurs flat areas a little: it has its say only where the opacity changes.
    changing = np.clip(4 * plain * (1 - plain), 0, 1)
    result: np.ndarray = (changing * detailed + (1 - changing) * plain).astype(np.float32)
    return result


def _extent(mask: Bool[np.ndarray, "H W"]) -> float:
    """The longer side of a mask's box [px]."""
    return float(max(np.ptp(np.flatnonzero(mask.any(axis))) for axis in (0, 1))) if mask.any() else 0.0


def _near_body(body_mask: Bool[np.ndarray, "H W"], reach: float) -> Float[np.ndarray, "H W"]:
    """1 on the body and near it, falling to 0 between ``reach`` and 1.25 times that [px]."""
    distance = cv2.distanceTransform((~body_mask).astype(np.uint8), cv2.DIST_L2, 5)
    near: np.ndarray = np.clip(5 - 4 * distance / max(reach, 1.0), 0, 1)
    return near.astype(np.float32)


def _one_figure(opacity: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Keep the largest figure with its soft edge; what hangs on it by nothing but haze goes."""
    figure = largest_component(opacity > 0.5).astype(np.uint8)
    haze = cv2.dilate(figure, np.ones((3, 3), np.uint8), iterations=max(2, round(0.01 * max(opacity.shape))))
    kept: np.ndarray = np.where(haze > 0, opacity, 0).astype(np.float32)
    other = (opacity > 0.5) & (figure == 0)
    kept[other] = 0
    return kept


def foreground_colours(
    rgb: UInt8[np.ndarray, "H W 3"], opacity: Float[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    """The person's own colours: along the edge the background's share is taken out, beyond it the person goes on.

    Solves I = a F + (1 - a) B in the manner of Forte, "Approximate Fast Foreground Colour Estimation" (ICIP 2021), with
    the nearest solid colours as first guesses of F and B.

    Args:
        rgb: The photo.
        opacity: Its matte.

    Returns:
        A picture without background: everywhere the colour of the nearest part of the person.
    """
    if not (opacity >= SOLID).any():
        return np.array(rgb)
    first = _spread(rgb, opacity >= SOLID)
    behind = _spread(rgb, opacity <= 1 - SOLID) if (opacity <= 1 - SOLID).any() else first
    share = opacity[..., None]
    corrected = first + share * (rgb - share * first - (1 - share) * behind)
    colours: np.ndarray = np.rint(np.clip(corrected, 0, 255)).astype(np.uint8)
    colours[opacity >= SOLID] = rgb[opacity >= SOLID]
    return colours


def _spread(rgb: UInt8[np.ndarray, "H W 3"], solid: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W 3"]:
    """Carry solid colours outward: the nearest one, softened so that no streaks are seen."""
    _, labels = cv2.distanceTransformWithLabels(
        (~solid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros((labels.max() + 1, 3), np.float32)
    table[labels[solid]] = rgb[solid]
    nearest = table[labels]
    softened = cv2.GaussianBlur(nearest, (0, 0), 2.0)
    spread: np.ndarray = np.where(solid[..., None], rgb, softened).astype(np.float32)
    return spread
