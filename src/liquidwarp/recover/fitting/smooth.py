"""Temporal smoothing without lag, and bridges over frames in which nobody was seen.

Method: penalised least squares (Whittaker 1923): minimise ``sum w_t |x_t - y_t|^2 + sum l_t |x_(t-1) - 2 x_t +
x_(t+1)|^2``, a symmetric banded system, so the filter has zero phase. Both weights are found by reweighting: ``w_t``
makes the first sum one of Huber's, so that outliers pull little, and ``l_t`` falls with the local acceleration to the
power of -1.5, between trend filtering (Kim et al., "l1 trend filtering", 2009: power -1) and a filter that follows
the local variance (-2), so that a resting limb is held still while a fast one keeps its motion. Rotations are smoothed
as matrices and projected back, in the camera's frame: the landmarks see how a forearm lies in the picture, not how it
is turned against the upper arm, and errors that cancel along a limb (a wrong twist above, its opposite below) must not
be smoothed apart.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import scipy.linalg
import scipy.ndimage
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import matrix_to_rotvec, nearest_rotation, rotvec_to_matrix

__all__ = [
    "bridge_gaps",
    "runs",
    "smooth_body",
    "smooth_change",
    "smooth_rotations",
    "smooth_series",
    "without_long_gaps",
]

_SLOWEST = 1.5
"""Even a resting limb keeps what is slower than this [Hz]."""
_FASTEST = 7.0
"""Even a fast limb loses what is faster than this [Hz]."""
_OUTLIER = 2.0
"""Residuals beyond this many times what is usual there count linearly."""
_WINDOW = 0.04
"""Width (one sigma) of the window that measures local motion [s]."""
_AROUND = 0.3
"""Reach of the window that says which residuals are usual there [s]."""
_POWER = 1.5
"""Of the noise over the acceleration in the penalty."""
_STIFFNESS = 4.0
"""The penalty of rest, where the acceleration is far below the noise, at the usual rate."""
_USUAL_RATE = 24.0
"""Frames per second at which the acceleration per frame and the noise are compared."""
_ROUNDS = 8
"""Of reweighting."""
_CHANGE = 6.0
"""Of a change of a smooth video what is slower than this is kept [Hz]."""


def smooth_series(
    values: Float[np.ndarray, "T C"],
    fps: float,
    strength: float = 1.0,
    trust: Float[np.ndarray, "T"] | None = None,
    least_noise: float = 0.0,
) -> Float[np.ndarray, "T C"]:
    """Smooth C channels that belong together (one joint's rotation, one position).

    Args:
        values: Raw values at a constant rate.
        fps: Frames per second.
        strength: 1 is what the noise asks for; 0 leaves the values as they are.
        trust: Weight of each frame [0, 1]; 0 fills the frame from its neighbours.
        least_noise: What may be smoothed away even if the values are steadier than that, in the values' unit.

    Returns:
        Smoothed values, not moved in time.
    """
    frames = len(values)
    if frames < 4 or strength <= 0:
        return values
    trust = np.ones(frames) if trust is None else np.maximum(trust.astype(np.float64), 1e-3)
    raw = values.astype(np.float64)
    lightest, heaviest = (_penalty(min(hz, 0.4 * fps), fps) for hz in (_FASTEST, _SLOWEST))
    pace = (fps / _USUAL_RATE) ** 2
    stiffness = _STIFFNESS * strength * pace**2
    smoothed = _solve(raw, trust, np.full(frames - 2, lightest))
    noise = np.median(np.linalg.norm(raw - smoothed, axis=1)[trust > 0.01]) + 1e-9
    noise = max(float(noise), least_noise)
    for _ in range(_ROUNDS):
        residual = np.linalg.norm(raw - smoothed, axis=1)
        around = scipy.ndimage.median_filter(residual, 2 * round(_AROUND * fps) + 1, mode="nearest")
        usual = np.sqrt(noise * np.maximum(noise, around))  # fast motion is neither noise alone nor all meant
        weight = trust / np.sqrt(1 + (residual / (_OUTLIER * usual)) ** 2)
        acceleration = np.sum(np.diff(smoothed, 2, axis=0) ** 2, axis=1)
        local = scipy.ndimage.gaussian_filter1d(acceleration, _WINDOW * fps, mode="nearest")
        penalty = stiffness * (noise**2 / (pace**2 * local + noise**2)) ** (_POWER / 2)
        smoothed = _solve(raw, weight, np.clip(penalty, lightest, heaviest))
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


def runs(frames: Int64[Tensor, "T"]) -> list[slice]:
    """Stretches of consecutive frame numbers, as slices of the list."""
    cuts = ((frames[1:] - frames[:-1]) != 1).nonzero()[:, 0] + 1
    edges = [0, *cuts.tolist(), len(frames)] if len(frames) else []
    return [slice(start, end) for start, end in pairwise(edges)]


def without_long_gaps(found: Bool[Tensor, "T"], moments: Int64[Tensor, "T"], longest: int) -> Bool[Tensor, "T"]:
    """Which frames are left if those are left out in which nobody was seen for long, or before or behind all others.

    Args:
        found: Whether somebody was seen.
        moments: The frames' numbers, with gaps at cuts.
        longest: Gaps of so many frames stay, unless a cut is in them.
    """
    kept = found.clone()
    seen = found.nonzero()[:, 0]
    for before, after in pairwise(seen.tolist()):
        if after - before <= longest + 1 and moments[after] - moments[before] == after - before:
            kept[before:after] = True
    return kept


def smooth_body(
    body: BodyParams,
    fps: float,
    strength: float = 1.0,
    trust: Float[Tensor, "T J"] | None = None,
    parents: Sequence[int] | None = None,
    moments: Int64[Tensor, "T"] | None = None,
) -> BodyParams:
    """Smooth every joint's rotation and the camera of a video.

    Args:
        body: Raw fit at a constant frame rate.
        fps: Frames per second.
        strength: See :func:`smooth_series`.
        trust: Weight of each joint in each frame [0, 1].
        parents: See :func:`smooth_rotations`.
        moments: The frames' numbers; where one is left out, nothing is smoothed across. None: they are consecutive.

    Returns:
        The same shape, smoothed poses and cameras.
    """
    if moments is not None and len(stretches := runs(moments)) > 1:
        parts = (
            smooth_body(body[run], fps, strength, None if trust is None else trust[run], parents) for run in stretches
        )
        return _joined(parts)
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
    turned = _turned(rotmats, parents)
    for joint in moving.nonzero()[:, 0].tolist():
        weight = None if trust is None else trust[:, joint].numpy()
        smoothed = smooth_series(turned[:, joint].flatten(1).numpy(), fps, strength, weight)
        turned[:, joint] = nearest_rotation(torch.from_numpy(smoothed).view(-1, 3, 3))
    return _relative(turned, rotmats, moving, parents)


def smooth_change(
    before: BodyParams,
    after: BodyParams,
    fps: float,
    parents: Sequence[int],
    strength: float = 1.0,
    moments: Int64[Tensor, "T"] | None = None,
) -> BodyParams:
    """Smooth what a later stage has changed about a smooth video, and leave the motion alone.

    Smoothing the whole again would cut the corners of what moves fast.

    Args:
        before: The smooth video.
        after: The same shape, other poses and cameras.
        fps: Frames per second.
        parents: Of each joint, before it in the order; -1: none.
        strength: 1 is usual; 0 leaves ``after`` as it is.
        moments: See :func:`smooth_body`.

    Returns:
        ``before`` with the smooth part of the change.
    """
    if moments is not None and len(stretches := runs(moments)) > 1:
        return _joined(smooth_change(before[run], after[run], fps, parents, strength) for run in stretches)
    frames = len(after)
    if frames < 4 or strength <= 0:
        return after
    penalty = np.full(frames - 2, strength * _penalty(min(_CHANGE, 0.4 * fps), fps))

    def smoothed(values: Float[Tensor, "T C"]) -> Float[Tensor, "T C"]:
        return torch.from_numpy(_solve(values.double().numpy(), np.ones(frames), penalty)).to(values)

    changed = (before.rel_rotmats != after.rel_rotmats).flatten(2).any(2).any(0)
    start, turned = _turned(before.rel_rotmats, parents), _turned(after.rel_rotmats, parents)
    for joint in changed.nonzero()[:, 0].tolist():
        change = smoothed((turned[:, joint] @ start[:, joint].mT).flatten(1))
        turned[:, joint] = nearest_rotation(change.view(-1, 3, 3)) @ start[:, joint]
    rotations = _relative(turned, before.rel_rotmats, changed, parents)
    old, new = before.camera, after.camera
    scale = old.scale * smoothed((new.scale / old.scale).log()[:, None])[:, 0].exp()
    camera = WeakPerspective(scale, old.translation + smoothed(new.translation - old.translation))
    return BodyParams(after.betas, rotations, camera)


def _joined(parts: Iterable[BodyParams]) -> BodyParams:
    """Stretches of one person's video, one after the other."""
    bodies = list(parts)
    camera = WeakPerspective.joined(body.camera for body in bodies)
    return BodyParams(bodies[0].betas, torch.cat([body.rel_rotmats for body in bodies]), camera)


def _turned(rotmats: Float[Tensor, "T J 3 3"], parents: Sequence[int]) -> Float[Tensor, "T J 3 3"]:
    """How every joint is turned against the frame of its line's first one."""
    turned = rotmats.clone()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            turned[:, joint] = turned[:, parent] @ rotmats[:, joint]
    return turned


def _relative(
    turned: Float[Tensor, "T J 3 3"],
    rotmats: Float[Tensor, "T J 3 3"],
    changed: Bool[Tensor, "J"],
    parents: Sequence[int],
) -> Float[Tensor, "T J 3 3"]:
    """Back to relative rotations; joints that did not change keep theirs, and go with their parents."""
    turned, result = turned.clone(), rotmats.clone()
    for joint, parent in enumerate(parents):
        if not changed[joint]:
            turned[:, joint] = turned[:, parent] @ rotmats[:, joint] if parent >= 0 else rotmats[:, joint]
        else:
            result[:, joint] = turned[:, parent].mT @ turned[:, joint] if parent >= 0 else turned[:, joint]
    return result


def bridge_gaps(body: BodyParams, fitted: Bool[Tensor, "T"], shot: Int64[Tensor, "T"] | None = None) -> BodyParams:
    """Fill frames without a fit: rotations by slerp between the neighbours, cameras linearly; at the ends, hold.

    Args:
        body: Values where ``fitted`` is False are ignored.
        fitted: At least one is True.
        shot: Which shot each frame belongs to, rising: no bridge leads across a cut. A shot without any fit holds the
            end of the one before. None: there are no cuts.
    """
    known = fitted.nonzero()[:, 0]
    frame = torch.arange(len(fitted))
    after = torch.searchsorted(known, frame).clamp(max=len(known) - 1)
    before = torch.where(known[after] <= frame, after, (after - 1).clamp(min=0))
    first, last = known[before], known[after]
    if shot is not None:
        first = torch.where((shot[first] != shot) & (shot[last] == shot), last, first)
        last = torch.where(shot[last] != shot, first, last)
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
