"""Body Mesh Recovery: one shape, T poses and T cameras from what the detectors saw.

Paper:
    Liu et al. 2021, Sec. 3.1, where a network regresses SMPL's (theta, beta, camera) per frame. Here the detector
    gives landmarks and a mask, and the body is fitted to them, with one shape for all frames of a person.

Method: closed form (initial.py); Levenberg-Marquardt on key frames for the shared shape, on all frames for pose and
camera (bundle.py, terms.py); the same with the mask's outline (silhouette.py), because joints do not show girths.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.config import FitConfig
from liquidwarp.errors import NoPersonFoundError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.recover.bundle import FitState, Problem, Term, adjust
from liquidwarp.recover.detections import Detections
from liquidwarp.recover.fingers import pose_fingers, relaxed_fingers
from liquidwarp.recover.initial import first_camera, first_pose, first_shape
from liquidwarp.recover.observation import FACE, Observation, joint_trust, observe, runs, steadied
from liquidwarp.recover.silhouette import MaskOutlines, Surface, match_outlines
from liquidwarp.recover.skeleton import Skeleton, SkinnedPoints
from liquidwarp.recover.smooth import bridge_gaps, smooth_body, smooth_rotations
from liquidwarp.recover.terms import ImageLandmarks, PosePrior, PosePull, WorldLandmarks

__all__ = ["BodyFit", "fit_body", "landmark_terms", "shape_weights"]

IMAGE_SIGMA = 0.012
"""Trusted accuracy of image landmarks, on the body [m]."""
_IMAGE_SIGMA_WITH_OUTLINE = 0.008
"""The same in a fit with outlines, which weigh much: they lie on clothes, and would pull limbs to them."""
WORLD_SIGMA = (0.09, 0.09, 0.048)
"""The same of world landmarks per axis [m]: x and y are known better from the image."""
_WIDE = 15.0
"""The cutoff of image landmarks with which every fit begins."""
_FRAMES_PER_CHUNK = 128
_STEPS_PER_ROUND = 3
"""Levenberg-Marquardt steps on one matching of the outlines."""
_PULLS = (6.0, 20.0)
"""How strongly each round holds a video's poses near the smoothed ones [1/rad]."""
PALM = (0, 1, 5, 9, 13, 17)
"""The hand's landmarks that do not move with the fingers."""
_PALM_WEIGHT = 0.3
_PALM_SIGMA = 0.012
"""Trusted accuracy of the palm's landmarks in space, relative to each other [m]."""


@dataclass(frozen=True)
class BodyFit:
    """The fitted body of T frames."""

    body: BodyParams
    seen: Bool[Tensor, "T J"]
    """False: nothing was seen of what this joint turns; its rotation is the prior's."""
    fitted: Bool[Tensor, "T"]
    """False: no detection in this frame; its pose is bridged from the neighbours."""


def shape_weights(model: BodyModel) -> Float[Tensor, "K"]:
    """Strength of the shape's prior per beta: local directions may move less than principal components."""
    return torch.tensor([0.2 if name.startswith(("pc", "beta")) else 0.3 for name in model.beta_names])


def landmark_terms(
    observation: Observation, model: BodyModel, skeleton: Skeleton, cutoff: float = 3.0, sigma: float = IMAGE_SIGMA
) -> list[Term]:
    """Landmarks of the body and of the palms, in the image and in space; ``cutoff`` and ``sigma`` are the image's."""
    body = skeleton.landmark_points(model.landmarks["body"])
    terms: list[Term] = [
        ImageLandmarks(body, observation.image, observation.weight, sigma, cutoff),
        WorldLandmarks(
            body, observation.world, observation.place_weight, torch.tensor(WORLD_SIGMA), observation.anchors
        ),
        _shape_in_space(
            body.select(range(len(FACE))), observation.world[:, : len(FACE)], observation.weight[:, : len(FACE)], 0.04
        ),
    ]
    for side, name in enumerate(("left_hand", "right_hand")):
        if name not in model.landmarks or not bool((observation.hand_weight[:, side] > 0).any()):
            continue
        palm = skeleton.landmark_points(model.landmarks[name]).select(PALM)
        weight = _PALM_WEIGHT * observation.hand_weight[:, side, None].expand(-1, len(PALM))
        terms.append(ImageLandmarks(palm, observation.hand_image[:, side, list(PALM)], weight, sigma, cutoff))
        terms.append(_shape_in_space(palm, observation.hand_world[:, side, list(PALM)], weight, _PALM_SIGMA))
    return terms


def _shape_in_space(
    points: SkinnedPoints, world: Float[Tensor, "T P 3"], weight: Float[Tensor, "T P"], sigma: float
) -> WorldLandmarks:
    """Landmarks of a rigid part against each other: they tell how it is turned, not where it is."""
    even = torch.full_like(weight, 1 / weight.shape[1])
    return WorldLandmarks(points, world - world.mean(1, keepdim=True), weight, torch.full((3,), sigma), even)


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
    fps = parts[0].fps if len(parts) == 1 else 0.0
    found = torch.cat([part.found for part in parts])
    index = found.nonzero()[:, 0]
    if len(index) == 0:
        raise NoPersonFoundError("expected a person who is at least partly visible, found none in any frame.")
    present = [part.select(part.found.nonzero()[:, 0]) for part in parts if bool(part.found.any())]
    if fps > 0:
        present = [steadied(present[0], index, config.smoothing)]
    skeleton = Skeleton.of(model)
    observation = Observation.joined([observe(part) for part in present])
    trust = torch.cat([joint_trust(part, model, skeleton) for part in present])
    surface = Surface.of(model, skeleton, relaxed_fingers(model))
    sigma = _IMAGE_SIGMA_WITH_OUTLINE if max(config.outline_rounds, config.frame_outline_rounds) else IMAGE_SIGMA
    task = _Task(model, skeleton, surface, observation, MaskOutlines.of(present, observation), sigma)
    state = _first_state(observation, model, skeleton, trust > 0)
    if shared_betas is None:
        keys = key_frames(observation, config.key_frames)
        shared_betas = _fit_shape(task.frames(keys), state.frames(keys), config).betas
    state = _fit_poses(task, replace(state, betas=shared_betas), index, fps, config)
    body = _spread(_denormalised(state, task), found, model, skeleton)
    if config.fingers:
        body = pose_fingers(body, observation, index, model)
    all_trust = torch.zeros(len(found), len(model.parents))
    all_trust[index] = trust
    if fps > 0:
        body = smooth_body(bridge_gaps(body, found), fps, config.smoothing, 0.3 + 0.7 * all_trust, _frames_of(model))
    return BodyFit(body, all_trust > 0, found)


@dataclass(frozen=True)
class _Pass:
    """One call of Levenberg-Marquardt."""

    steps: int
    with_shape: bool = False
    with_outline: bool = False
    pull: float = 0.0
    """Holds poses and cameras near the start [1/rad]."""
    cutoff: float = 5.0
    """Of image landmarks; see :class:`liquidwarp.recover.terms.ImageLandmarks`."""


@dataclass(frozen=True)
class _Task:
    """Everything about T frames that the fit needs."""

    model: BodyModel
    skeleton: Skeleton
    surface: Surface
    observation: Observation
    outlines: MaskOutlines
    image_sigma: float
    """Trusted accuracy of image landmarks [m]."""

    def frames(self, index: Tensor | slice) -> "_Task":
        return replace(self, observation=self.observation.frames(index), outlines=self.outlines.frames(index))

    def adjusted(self, state: FitState, stage: _Pass) -> FitState:
        """Some Levenberg-Marquardt steps; the outline, if wanted, is drawn and matched once before."""
        terms: list[Term] = [
            *landmark_terms(self.observation, self.model, self.skeleton, stage.cutoff, self.image_sigma),
            PosePrior.of(self.model, self.skeleton),
        ]
        if stage.with_outline:
            terms.append(
                match_outlines(state, self.skeleton, self.surface, self.observation, self.outlines, stage.with_shape)
            )
        if stage.pull:
            weight = torch.full((len(self.observation),), stage.pull)
            terms.append(PosePull(state.rel_rotmats, state.camera, weight, 5 * weight))
        return adjust(Problem(self.skeleton, terms, shape_weights(self.model)), state, stage.steps, stage.with_shape)

    def adjusted_in_chunks(self, state: FitState, stage: _Pass) -> FitState:
        """The same for a fixed shape, where frames are independent, with little memory."""
        parts = []
        for start in range(0, len(self.observation), _FRAMES_PER_CHUNK):
            index = slice(start, start + _FRAMES_PER_CHUNK)
            parts.append(self.frames(index).adjusted(state.frames(index), stage))
        return FitState(torch.cat([p.rel_rotmats for p in parts]), state.betas, torch.cat([p.camera for p in parts]))


def _fit_shape(task: _Task, state: FitState, config: FitConfig) -> FitState:
    """One shape for all of some frames: on landmarks, then with outlines drawn anew in every round."""
    half = config.landmark_steps // 2
    state = task.adjusted(state, _Pass(half, cutoff=_WIDE))
    state = task.adjusted(state, _Pass(half, with_shape=True))
    for _ in range(config.outline_rounds):
        state = task.adjusted(state, _Pass(_STEPS_PER_ROUND, with_shape=True, with_outline=True))
    return state


def _fit_poses(task: _Task, state: FitState, found: Int64[Tensor, "T"], fps: float, config: FitConfig) -> FitState:
    """Pose and camera of every frame for a fixed shape.

    In a video, frames speak to each other by being smoothed between rounds and held near the smooth pose: what a
    frame alone cannot tell (the twist of a straight limb) comes from its neighbours.

    Args:
        task: T frames.
        state: Start.
        found: Their numbers in the video, which may have gaps.
        fps: 0 for photos.
        config: Settings.
    """
    is_video = fps > 0 and config.smoothing > 0 and len(found) > 3
    half = config.landmark_steps // 2
    state = task.adjusted_in_chunks(state, _Pass(half, cutoff=_WIDE))
    state = task.adjusted_in_chunks(state, _Pass(config.landmark_steps - half))
    for round_index in range(config.frame_outline_rounds):
        stage = _Pass(_STEPS_PER_ROUND, with_outline=True)
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


def _frames_of(model: BodyModel) -> list[int]:
    """In whose frame every joint is smoothed: fingers in that of the joint before them, all others in the camera's."""
    fingers = {joint for side in model.roles.fingers for chain in side for joint in chain}
    return [-1 if joint in fingers else parent for joint, parent in enumerate(model.parents)]


def key_frames(observation: Observation, count: int) -> Int64[Tensor, "M"]:
    """Evenly spread frames, of each stretch the best seen one."""
    num_frames = len(observation)
    if num_frames <= count:
        return torch.arange(num_frames)
    quality = observation.weight.sum(1)
    edges = torch.linspace(0, num_frames, count + 1).round().long().tolist()
    return torch.tensor([start + int(quality[start:end].argmax()) for start, end in pairwise(edges)])


def _first_state(observation: Observation, model: BodyModel, skeleton: Skeleton, seen: Bool[Tensor, "T J"]) -> FitState:
    """Closed form: poses, shape, cameras."""
    rotations = first_pose(model, skeleton, observation.world)
    known = seen[:, skeleton.joints].clone()
    known[:, skeleton.index(model.roles.root)] = True
    rotations = torch.where(known[..., None, None], rotations, torch.eye(3))
    weights = shape_weights(model)
    precision = observation.place_weight / WORLD_SIGMA[0] ** 2
    betas = first_shape(model, skeleton, rotations, observation.world, precision, weights)
    points = skeleton.landmark_points(model.landmarks["body"])
    positions = skeleton.locate(skeleton.pose(rotations, betas), points, betas)
    return FitState(rotations, betas, first_camera(positions, observation.image, observation.weight))


def _denormalised(state: FitState, task: _Task) -> BodyParams:
    """Cameras in original pixels; still only the movable joints."""
    scale = task.observation.pixels_per_metre
    camera = WeakPerspective(state.camera[:, 0] * scale, state.camera[:, 1:] * scale[:, None] + task.observation.centre)
    return BodyParams(state.betas, state.rel_rotmats, camera)


def _spread(body: BodyParams, found: Bool[Tensor, "T"], model: BodyModel, skeleton: Skeleton) -> BodyParams:
    """All joints (fingers relaxed) and all frames; those without a person hold the median camera."""
    index = found.nonzero()[:, 0]
    rotations = relaxed_fingers(model).repeat(len(found), 1, 1, 1)
    rotations[index[:, None], skeleton.joints[None]] = body.rel_rotmats
    scale = body.camera.scale.median().repeat(len(found))
    translation = body.camera.translation.median(0).values.repeat(len(found), 1)
    scale[index], translation[index] = body.camera.scale, body.camera.translation
    return BodyParams(body.betas, rotations, WeakPerspective(scale, translation))
