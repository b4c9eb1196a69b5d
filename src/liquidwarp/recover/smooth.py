"""Temporal smoothing without lag, and bridges over frames in which nobody was seen.

Method: penalised least squares (Whittaker 1923): minimise ``sum w_t |x_t - y_t|^2 + sum l_t |x_(t-1) - 2 x_t +
x_(t+1)|^2``, a symmetric banded system, so the filter has zero phase. Both weights are estimated: ``w_t`` drops for
outliers, and ``l_t`` is the variance of the noise over the local variance of the acceleration, so that a resting
limb is held still while a fast one keeps its motion. Rotations are smoothed as matrices and projected back, in the
camera's frame: the landmarks see how a forearm lies in the picture, not how it is turned against the upper arm, and
errors that cancel along a limb (a wrong twist above, its opposite below) must not be smoothed apart.
"""

from collections.abc import Sequence

import numpy as np
import scipy.linalg
import scipy.ndimage
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import matrix_to_rotvec, nearest_rotation, rotvec_to_matrix

__all__ = ["bridge_gaps", "smooth_body", "smooth_rotations", "smooth_series"]

_SLOWEST = 1.5
"""Even a resting limb keeps what is slower than this [Hz]."""
_FASTEST = 7.0
"""Even a fast limb loses what is faster than this [Hz]."""
_OUTLIER = 4.0
"""Residuals beyond this many times what is usual there and then hardly count."""
_WINDOW = 0.15
"""Width (one sigma) of the window that measures local motion [s]."""


def smooth_series(
    values: Float[np.ndarray, "T C"],
    fps: float,
    strength: float = 1.0,
    trust: Float[np.ndarray, "T"] | None = None,
) -> Float[np.ndarray, "T C"]:
    """Smooth C channels that belong together (one joint's rotation, one position).

    Args:
        values: Raw values at a constant rate.
        fps: Frames per second.
        strength: 1 is what the noise asks for; 0 leaves the values as they are.
        trust: Weight of each frame [0, 1]; 0 fills the frame from its neighbours.

    Returns:
        Smoothed values, not moved in time.
    """
    frames = len(values)
    if frames < 4 or strength <= 0:
        return values
    trust = np.ones(frames) if trust is None else np.maximum(trust.astype(np.float64), 1e-3)
    raw = values.astype(np.float64)
    lightest, heaviest = (_penalty(min(hz, 0.4 * fps), fps) for hz in (_FASTEST, _SLOWEST))
    weight = trust
    smoothed = _solve(raw, weight, np.full(frames - 2, lightest))
    for _ in range(2):
        residual = np.linalg.norm(raw - smoothed, axis=1)
        noise = 3.0 * np.median(residual[trust > 0.01]) + 1e-9
        usual = np.maximum(
            noise, scipy.ndimage.median_filter(residual, 2 * round(2 * _WINDOW * fps) + 1, mode="nearest")
        )
        weight = trust / (1 + (residual / (_OUTLIER * usual)) ** 2) ** 2
        light = _solve(raw, weight, np.full(frames - 2, lightest))
        acceleration = np.sum(np.diff(light, 2, axis=0) ** 2, axis=1)
        local = scipy.ndimage.gaussian_filter1d(acceleration, _WINDOW * fps, mode="nearest")
        wanted = (strength * noise) ** 2 / np.maximum(local, 1e-18)
        penalty = np.clip(wanted, lightest, heaviest)
        smoothed = _solve(raw, weight, penalty)
    return smoothed.astype(values.dtype)


def _penalty(cutoff: float, fps: float) -> float:
    """The weight on accelerations that halves a sine of this frequency [Hz]."""
    return float((2 * np.sin(np.pi * cutoff / fps)) ** -4)


def _solve(
    values: Float[np.ndarray, "T C"], weight: Float[np.ndarray, "T"], penalty: Float[np.ndarray, "T-2"]
) -> Float[np.ndarray, "T C"]:
    """Solve the pentadiagonal normal equations."""
    frames = len(values)
    bands = np.zeros((3, frames))  # upper form: row 2 the diagonal, row 1 its first, row 0 its second neighbours
    bands[2] = weight
    bands[2, :-2] += penalty
    bands[2, 1:-1] += 4 * penalty
    bands[2, 2:] += penalty
    bands[1, 1:-1] -= 2 * penalty
    bands[1, 2:] -= 2 * penalty
    bands[0, 2:] += penalty
    solved: Float[np.ndarray, "T C"] = scipy.linalg.solveh_banded(bands, weight[:, None] * values)
    return solved


def smooth_body(
    body: BodyParams,
    fps: float,
    strength: float = 1.0,
    trust: Float[Tensor, "T J"] | None = None,
    parents: Sequence[int] | None = None,
) -> BodyParams:
    """Smooth every joint's rotation and the camera of a video.

    Args:
        body: Raw fit at a constant frame rate.
        fps: Frames per second.
        strength: See :func:`smooth_series`.
        trust: Weight of each joint in each frame [0, 1].
        parents: See :func:`smooth_rotations`.

    Returns:
        The same shape, smoothed poses and cameras.
    """
    if len(body) < 4 or strength <= 0:
        return body
    smoothed = smooth_rotations(body.rel_rotmats, fps, strength, trust, parents)
    whole = None if trust is None else trust.amax(1).numpy()
    scale = np.exp(smooth_series(body.camera.scale.log().numpy()[:, None], fps, strength, whole)[:, 0])
    translation = smooth_series(body.camera.translation.numpy(), fps, strength, whole)
    return BodyParams(body.betas, smoothed, WeakPerspective(torch.from_numpy(scale), torch.from_numpy(translation)))


def smooth_rotations(
    rotmats: Float[Tensor, "T J 3 3"],
    fps: float,
    strength: float = 1.0,
    trust: Float[Tensor, "T J"] | None = None,
    parents: Sequence[int] | None = None,
) -> Float[Tensor, "T J 3 3"]:
    """Smooth how every joint is turned against the camera; joints that never move are left alone.

    Args:
        rotmats: Relative rotations.
        fps: Frames per second.
        strength: See :func:`smooth_series`.
        trust: Weight of each joint in each frame [0, 1].
        parents: Of each joint, before it in the order; -1 smooths a joint's relative rotation, and so does None.

    Returns:
        Relative rotations.
    """
    parents = parents or [-1] * rotmats.shape[1]
    moving = (rotmats != rotmats[:1]).flatten(2).any(2).any(0)
    turned = rotmats.clone()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            turned[:, joint] = turned[:, parent] @ rotmats[:, joint]
    for joint in moving.nonzero()[:, 0].tolist():
        weight = None if trust is None else trust[:, joint].numpy()
        smoothed = smooth_series(turned[:, joint].flatten(1).numpy(), fps, strength, weight)
        turned[:, joint] = nearest_rotation(torch.from_numpy(smoothed).view(-1, 3, 3))
    result = rotmats.clone()
    for joint, parent in enumerate(parents):
        if not moving[joint]:  # also in the camera's frame it goes with its parent
            turned[:, joint] = turned[:, parent] @ rotmats[:, joint] if parent >= 0 else rotmats[:, joint]
        else:
            result[:, joint] = turned[:, parent].mT @ turned[:, joint] if parent >= 0 else turned[:, joint]
    return result


def bridge_gaps(body: BodyParams, fitted: Bool[Tensor, "T"]) -> BodyParams:
    """Fill frames without a fit: rotations by slerp between the neighbours, cameras linearly; at the ends, hold.

    Args:
        body: Values where ``fitted`` is False are ignored.
        fitted: At least one is True.
    """
    known = fitted.nonzero()[:, 0]
    frame = torch.arange(len(fitted))
    after = torch.searchsorted(known, frame).clamp(max=len(known) - 1)
    before = torch.where(known[after] <= frame, after, (after - 1).clamp(min=0))
    first, last = known[before], known[after]
    share = ((frame - first) / (last - first).clamp(min=1)).clamp(0, 1)
    start, end = body.rel_rotmats[first], body.rel_rotmats[last]
    turn = matrix_to_rotvec(start.transpose(-1, -2) @ end) * share[:, None, None]
    camera = body.camera
    return BodyParams(
        body.betas,
        start @ rotvec_to_matrix(turn),
        WeakPerspective(
            torch.lerp(camera.scale[first], camera.scale[last], share),
            torch.lerp(camera.translation[first], camera.translation[last], share[:, None]),
        ),
    )
