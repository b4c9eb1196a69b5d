"""Body Mesh Recovery: one shape, T poses and T cameras from what the detectors saw.

Paper:
    Liu et al. 2021, Sec. 3.1, where a network regresses SMPL's (theta, beta, camera) per frame. Here the detector
    gives landmarks and a mask, and the body is fitted to them, with one shape for all frames of a person.

Method: closed form (initial.py); Levenberg-Marquardt on key frames for the shared shape, on all frames for pose and
camera (bundle.py, terms.py); the same with the mask's outline (silhouette.py), because joints do not show girths.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.config import FitConfig
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.recover.detection.detections import Detections
from liquidwarp.recover.fitting.bundle import FitState
from liquidwarp.recover.fitting.finger_fit import fingers_in_picture
from liquidwarp.recover.fitting.fingers import pose_fingers
from liquidwarp.recover.fitting.fit_task import FitTask, Pass
from liquidwarp.recover.fitting.smooth import bridge_gaps, runs, smooth_body, smooth_rotations, without_long_gaps

__all__ = ["BodyFit", "fit_body", "fit_landmarks", "fit_outlines", "fit_shape", "smoothing_frames"]

_LONG_GAP = 0.5
"""Of who is away for longer nothing is known in between [s]."""
_WIDE = 15.0
"""The cutoff of image landmarks with which every fit begins."""
_STEPS_PER_ROUND = 3
"""Levenberg-Marquardt steps on one matching of the outlines."""
_FEWEST = 8
"""Frames of a video that tell which clothes are loose."""
_CUTOFF = 10.0
"""The cutoff of image landmarks beside outlines; a smaller one gives limbs in wide clothes to the outline alone."""
_PULLS = (6.0, 20.0)
"""How strongly each round holds a video's poses near the smoothed ones [1/rad]."""


@dataclass(frozen=True)
class BodyFit:
    """The fitted body of T frames."""

    body: BodyParams
    seen: Bool[Tensor, "T J"]
    """False: nothing was seen of what this joint turns; its rotation is the prior's."""
    fitted: Bool[Tensor, "T"]
    """False: no detection in this frame; its pose is bridged from the neighbours."""


def fit_body(
    detections: Detections | Sequence[Detections],
    model: BodyModel,
    config: FitConfig | None = None,
    shared_betas: Float[Tensor, "K"] | None = None,
) -> BodyFit:
    """Fit a body to a video, or to several photos of one person.

    Args:
        detections: A video (``fps`` > 0), photos of one size (``fps`` = 0), or one entry per photo.
        model: The body, on the CPU.
        config: Settings.
        shared_betas: A known shape; None fits it.

    Returns:
        Shape, poses and cameras; frames without a person are bridged (video) or at rest (photos).

    Raises:
        NoPersonFoundError: no frame holds a person.
    """
    config = config or FitConfig()
    parts = (detections,) if isinstance(detections, Detections) else tuple(detections)
    task = FitTask.of(parts, model, config)
    return fit_outlines(task, fit_landmarks(task, config, shared_betas), config)


def fit_landmarks(task: FitTask, config: FitConfig, shared_betas: Float[Tensor, "K"] | None = None) -> FitState:
    """The first half: the shape, with the outlines of some frames, and poses and cameras on landmarks alone.

    Args:
        task: What was detected.
        config: Settings.
        shared_betas: A known shape; None fits it.
    """
    state = task.first_state()
    if shared_betas is None:
        keys = task.key_frames(config.key_frames)
        shared_betas = fit_shape(task.frames(keys), state.frames(keys), config).betas
    half = config.landmark_steps // 2
    state = task.adjusted_in_chunks(replace(state, betas=shared_betas), Pass(half, cutoff=_WIDE))
    return task.adjusted_in_chunks(state, Pass(config.landmark_steps - half))


def fit_outlines(task: FitTask, state: FitState, config: FitConfig) -> BodyFit:
    """The second half: poses and cameras with the outlines, fingers, smoothing.

    Args:
        task: What was detected; perhaps :meth:`FitTask.without` held things.
        state: Of :func:`fit_landmarks`.
        config: Settings.
    """
    model, found, index, fps = task.model, task.found, task.index, task.fps
    body = task.whole_body(_fit_poses(task, state, task.moments[index], fps, config))
    if config.fingers:
        body = pose_fingers(body, task.observation, index, model)
        body = fingers_in_picture(body, task.observation, index, model)
    trust = torch.zeros(len(found), len(model.parents))
    trust[index] = task.trust
    if fps > 0:
        body = _smooth_where_seen(task, body, 0.3 + 0.7 * trust, config.smoothing)
    return BodyFit(body, trust > 0, found)


def _smooth_where_seen(task: FitTask, body: BodyParams, trust: Float[Tensor, "N J"], strength: float) -> BodyParams:
    """Smooth a video and bridge where nobody was seen.

    Of a long absence the held ends are no measurements: they would hold back who walks in or out.
    """
    shot, moments = task.detections[0].shot, task.moments
    body = bridge_gaps(body, task.found, shot)
    kept = without_long_gaps(task.found, moments, round(_LONG_GAP * task.fps))
    index = kept.nonzero()[:, 0]
    part = smooth_body(body[index], task.fps, strength, trust[index], smoothing_frames(task.model), moments[index])
    if bool(kept.all()):
        return part
    rotations, camera = body.rel_rotmats.clone(), body.camera
    scale, translation = camera.scale.clone(), camera.translation.clone()
    rotations[index], scale[index], translation[index] = part.rel_rotmats, part.camera.scale, part.camera.translation
    return bridge_gaps(BodyParams(body.betas, rotations, WeakPerspective(scale, translation)), kept, shot)


def fit_shape(task: FitTask, state: FitState, config: FitConfig) -> FitState:
    """One shape for all of some frames: on landmarks, then with outlines drawn anew in every round.

    Args:
        task: Key frames.
        state: Of these frames, to begin with.
        config: Settings.
    """
    half = config.landmark_steps // 2
    state = task.adjusted(state, Pass(half, cutoff=_WIDE))
    state = task.adjusted(state, Pass(half, with_shape=True))
    for _ in range(config.outline_rounds):
        state = task.adjusted(state, Pass(_STEPS_PER_ROUND, with_shape=True, with_outline=True))
    return state


def _fit_poses(task: FitTask, state: FitState, found: Int64[Tensor, "T"], fps: float, config: FitConfig) -> FitState:
    """Pose and camera of every frame for a fixed shape.

    In a video, frames speak to each other by being smoothed between rounds and held near the smooth pose: what a
    frame alone cannot tell (the twist of a straight limb) comes from its neighbours.

    Args:
        task: T frames.
        state: Start.
        found: Their moments in the video, which may have gaps.
        fps: 0 for photos.
        config: Settings.
    """
    is_video = fps > 0 and config.smoothing > 0 and len(found) > 3
    if fps > 0 and config.frame_outline_rounds and len(found) >= _FEWEST:
        keys = task.key_frames(config.key_frames)
        task = task.with_loose_clothes(state, keys, Pass(_STEPS_PER_ROUND, with_outline=True, cutoff=_CUTOFF))
    for round_index in range(config.frame_outline_rounds):
        stage = Pass(_STEPS_PER_ROUND, with_outline=True, cutoff=_CUTOFF)
        if is_video:
            state = smooth_state(state, task.skeleton.parents, found, fps, config.smoothing)
            stage = replace(stage, pull=_PULLS[min(round_index, len(_PULLS) - 1)])
        state = task.adjusted_in_chunks(state, stage)
    return state


def smooth_state(
    state: FitState, parents: Sequence[int], found: Int64[Tensor, "T"], fps: float, strength: float
) -> FitState:
    """The poses smoothed over every stretch of consecutive frames.

    The cameras stay: the landmarks, which were smoothed already, determine them well.
    """
    rotations = state.rel_rotmats.clone()
    for run in runs(found):
        rotations[run] = smooth_rotations(state.rel_rotmats[run], fps, strength, parents=parents)
    return FitState(rotations, state.betas, state.camera)


def smoothing_frames(model: BodyModel) -> list[int]:
    """In whose frame every joint is smoothed: fingers in that of the joint before them, all others in the camera's."""
    fingers = {joint for side in model.roles.fingers for chain in side for joint in chain}
    return [-1 if joint in fingers else parent for joint, parent in enumerate(model.parents)]
