"""Pictures from gradients: a hole is filled so that it has the wanted differences and no step at its border.

Paper:
    Perez et al. 2003, "Poisson Image Editing"; the pull towards given colours is the screened equation of
    Bhat et al. 2008.
"""

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

__all__ = ["membrane", "solve_gradients"]


def membrane(
    image: Float[np.ndarray, "H W C"], hole: Bool[np.ndarray, "H W"], ignored: Bool[np.ndarray, "H W"] | None = None
) -> Float[np.ndarray, "H W C"]:
    """Fill ``hole`` as smoothly as its border allows: the solution of Laplace's equation.

    Args:
        image: Any values.
        hole: True = fill.
        ignored: True = of no meaning, where it is not the hole either; the border there is free.
    """
    flat = np.zeros_like(image)
    return solve_gradients(image, hole, flat[:, 1:], flat[1:], ignored=ignored)


def solve_gradients(
    image: Float[np.ndarray, "H W C"],
    hole: Bool[np.ndarray, "H W"],
    right: Float[np.ndarray, "H W-1 C"],
    down: Float[np.ndarray, "H-1 W C"],
    pull: float = 0.0,
    ignored: Bool[np.ndarray, "H W"] | None = None,
) -> Float[np.ndarray, "H W C"]:
    """Fill ``hole`` with the values whose differences come nearest to the wanted ones.

    Args:
        image: Values around the hole, which stay, and those in it to which the solution is pulled.
        hole: True = fill.
        right: Wanted difference of each pixel's right neighbour to it.
        down: The same for the neighbour below.
        pull: Weight of the squared distance to ``image`` in the hole; a difference has weight 1. Structures
            larger than about ``1 / sqrt(pull)`` pixels follow the image rather than the border.
        ignored: True = neither border nor hole, such as what was added around a picture.

    Returns:
        The filled image; unchanged outside of the hole.
    """
    void = np.zeros_like(hole) if ignored is None else ignored & ~hole
    if not hole.any() or not (~hole & ~void).any():
        return image
    number = np.full(hole.shape, -1)
    number[hole] = np.arange(hole.sum())
    count = int(hole.sum())
    values = image.reshape(-1, image.shape[-1]).astype(np.float64)
    # A grain of pull also keeps pieces of the hole that no known pixel borders on from being undetermined.
    diagonal: npt.NDArray[np.float64] = np.full(count, max(pull, 1e-9))
    wanted = diagonal[:, None] * values[hole.ravel()]
    flat = number.ravel()
    rows, columns, links = [], [], []
    for first, second, difference in ((np.s_[:, :-1], np.s_[:, 1:], right), (np.s_[:-1], np.s_[1:], down)):
        p, q, step = _pairs(hole, void, first, second, difference)
        for here, there, sign in ((p, q, -1.0), (q, p, 1.0)):
            inside = flat[here] >= 0
            own, other = flat[here][inside], flat[there][inside]
            edge = other < 0
            share = sign * step[inside]
            share[edge] += values[there[inside][edge]]
            diagonal += np.bincount(own, minlength=count)
            for channel in range(values.shape[1]):
                wanted[:, channel] += np.bincount(own, share[:, channel], count)
            rows.append(own[~edge])
            columns.append(other[~edge])
            links.append(-np.ones(int((~edge).sum())))
    places = np.arange(count)
    row, column = np.concatenate([*rows, places]), np.concatenate([*columns, places])
    system = coo_matrix((np.concatenate([*links, diagonal]), (row, column)), (count, count)).tocsc()
    factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    filled = image.copy()
    filled[hole] = factors.solve(wanted).astype(image.dtype)
    return filled


def _pairs(
    hole: Bool[np.ndarray, "H W"],
    void: Bool[np.ndarray, "H W"],
    first: tuple[slice, ...] | slice,
    second: tuple[slice, ...] | slice,
    difference: Float[np.ndarray, "_ _ C"],
) -> tuple[Int[np.ndarray, "P"], Int[np.ndarray, "P"], npt.NDArray[np.float64]]:
    """Neighbours of which at least one is in the hole, as flat indices, and their wanted differences."""
    index = np.arange(hole.size).reshape(hole.shape)
    used = (hole[first] | hole[second]) & ~void[first] & ~void[second]
    return index[first][used], index[second][used], difference[used].astype(np.float64)
