"""What the stages of the body fit share: the terms, the drawn outlines, and frames in chunks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.config import FitConfig
from liquidwarp.errors import NoPersonFoundError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.recover.detection.detections import Detections, PackedMasks
from liquidwarp.recover.fitting.before import hands_before
from liquidwarp.recover.fitting.bundle import FitState, Problem, Term, adjust
from liquidwarp.recover.fitting.fingers import relaxed_fingers
from liquidwarp.recover.fitting.initial import first_camera, first_pose, first_shape
from liquidwarp.recover.fitting.observation import FACE, Observation, joint_trust, observe, steadied
from liquidwarp.recover.fitting.posture import natural_terms
from liquidwarp.recover.fitting.silhouette import MaskOutlines, Surface, match_outlines, tightness_of_clothes
from liquidwarp.recover.fitting.skeleton import Skeleton, SkinnedPoints
from liquidwarp.recover.fitting.terms import ImageLandmarks, PosePrior, PosePull, WorldLandmarks

__all__ = ["FitTask", "Pass", "key_frames", "landmark_terms", "shape_weights"]

IMAGE_SIGMA = 0.012
"""Trusted accuracy of image landmarks, on the body [m]."""
_IMAGE_SIGMA_WITH_OUTLINE = 0.008
"""The same in a fit with outlines, which weigh much: they lie on clothes, and would pull limbs to them."""
WORLD_SIGMA = (0.09, 0.09, 0.048)
"""The same of world landmarks per axis [m]: x and y are known better from the image."""
_FRAMES_PER_CHUNK = 32
"""Frames that are fitted together, so that long clips need no more memory."""
PALM = (0, 1, 5, 9, 13, 17)
"""The hand's landmarks that do not move with the fingers."""
_PALM_SIGMA = 0.02
"""Trusted accuracy of the palm's landmarks in space, relative to each other [m]."""


_FIRM = {"hand-size": 1.0, "finger-length": 2.0}
"""Strength of the prior of directions that neither landmarks nor outlines tell: bent fingers look short."""


def shape_weights(model: BodyModel) -> Float[Tensor, "K"]:
    """Strength of the shape's prior per beta: local directions may move less than principal components."""
    plain = (0.2 if name.startswith(("pc", "beta")) else 0.3 for name in model.beta_names)
    return torch.tensor([_FIRM.get(name, value) for name, value in zip(model.beta_names, plain, strict=True)])


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
        weight = observation.hand_weight[:, side, None].expand(-1, len(PALM))
        terms.append(ImageLandmarks(palm, observation.hand_image[:, side, list(PALM)], weight, sigma, cutoff))
        terms.append(_shape_in_space(palm, observation.hand_world[:, side, list(PALM)], weight, _PALM_SIGMA))
    return terms


def _shape_in_space(
    points: SkinnedPoints, world: Float[Tensor, "T P 3"], weight: Float[Tensor, "T P"], sigma: float
) -> WorldLandmarks:
    """Landmarks of a rigid part against each other: they tell how it is turned, not where it is."""
    even = torch.full_like(weight, 1 / weight.shape[1])
    return WorldLandmarks(points, world - world.mean(1, keepdim=True), weight, torch.full((3,), sigma), even)


@dataclass(frozen=True)
class Pass:
    """One call of Levenberg-Marquardt."""

    steps: int
    with_shape: bool = False
    with_outline: bool = False
    pull: float = 0.0
    """Holds poses and cameras near the start [1/rad]."""
    cutoff: float = 5.0
    """Of image landmarks; see :class:`liquidwarp.recover.fitting.terms.ImageLandmarks`."""


@dataclass(frozen=True)
class FitTask:
    """Everything about the T frames with a person that the fit needs."""

    detections: tuple[Detections, ...]
    """Of all N frames or photos."""
    found: Bool[Tensor, "N"]
    """Which of them are the T with a person."""
    model: BodyModel
    skeleton: Skeleton
    surface: Surface
    observation: Observation
    outlines: MaskOutlines
    image_sigma: float
    """Trusted accuracy of image landmarks [m]."""
    trust: Float[Tensor, "T J"]
    """How well the landmarks see what each joint turns."""
    step: Callable[[int], object] = lambda _: None
    """Called with the number of frames after each :meth:`adjusted_in_chunks` of them, to show progress."""

    @staticmethod
    def of(parts: tuple[Detections, ...], model: BodyModel, config: FitConfig) -> "FitTask":
        """Weigh and steady what was detected.

        Raises:
            NoPersonFoundError: no frame holds a person.
        """
        found = torch.cat([part.found for part in parts])
        if not bool(found.any()):
            raise NoPersonFoundError("expected a person who is at least partly visible, found none in any frame.")
        present = _present(parts)
        if _fps_of(parts) > 0:
            present = [steadied(present[0], parts[0].moments[found], config.smoothing)]
        skeleton = Skeleton.of(model)
        observation = Observation.joined([observe(part) for part in present])
        has_outlines = max(config.outline_rounds, config.frame_outline_rounds) > 0
        return FitTask(
            parts,
            found,
            model,
            skeleton,
            Surface.of(model, skeleton, relaxed_fingers(model)),
            observation,
            MaskOutlines.of(present, observation),
            _IMAGE_SIGMA_WITH_OUTLINE if has_outlines else IMAGE_SIGMA,
            torch.cat([joint_trust(part, model, skeleton) for part in present]),
        )

    @property
    def index(self) -> Int64[Tensor, "T"]:
        """The numbers of the frames with a person."""
        return self.found.nonzero()[:, 0]

    @property
    def fps(self) -> float:
        """Of the video; 0 for photos."""
        return _fps_of(self.detections)

    @property
    def moments(self) -> Int64[Tensor, "N"]:
        """The numbers of all frames, with gaps at cuts; of photos they mean nothing."""
        return self.detections[0].moments if len(self.detections) == 1 else torch.arange(len(self.found))

    def key_frames(self, count: int) -> Int64[Tensor, "M"]:
        """Of the T frames some that show the film's own person, evenly spread, of each stretch the best seen one."""
        own = torch.cat([part.of_person for part in self.detections])[self.found].nonzero()[:, 0]
        return own[key_frames(self.observation.frames(own), count)]

    def without(self, held: PackedMasks) -> "FitTask":
        """The same without things that a video's person holds.

        Args:
            held: Where they are, for all N frames.
        """
        part = self.detections[0]
        cut = replace(part, masks=part.masks.without(held))
        outlines = MaskOutlines.of(_present((cut,)), self.observation)
        return replace(self, detections=(cut,), outlines=outlines)

    def with_loose_clothes(self, state: FitState, keys: Int64[Tensor, "M"], stage: Pass) -> "FitTask":
        """The same with outlines that count little on wide clothes.

        Args:
            state: Of the T frames.
            keys: Frames of the T that tell which clothes are wide,
            stage: after these steps, which stay without consequence.
        """
        part = self.frames(keys)
        fitted = part.adjusted(state.frames(keys), stage)
        tightness = tightness_of_clothes(fitted, self.skeleton, self.surface, part.observation, part.outlines)
        return replace(self, surface=replace(self.surface, tightness=tightness))

    def frames(self, index: Tensor | slice) -> "FitTask":
        """Only these of the T frames; for :meth:`adjusted` alone."""
        return replace(
            self,
            observation=self.observation.frames(index),
            outlines=self.outlines.frames(index),
            trust=self.trust[index],
        )

    def adjusted(self, state: FitState, stage: Pass) -> FitState:
        """Some Levenberg-Marquardt steps; the outline, if wanted, is drawn and matched once before."""
        terms: list[Term] = [
            *landmark_terms(self.observation, self.model, self.skeleton, stage.cutoff, self.image_sigma),
            PosePrior.of(self.model, self.skeleton),
            *natural_terms(self.model, self.skeleton, self.trust, self.observation),
        ]
        if stage.with_outline:
            terms.append(
                match_outlines(state, self.skeleton, self.surface, self.observation, self.outlines, stage.with_shape)
            )
            if self.fps == 0 and not stage.with_shape:
                before = hands_before(state, self.model, self.skeleton, self.surface, self.observation)
                terms.extend([before] if before else [])
        if stage.pull:
            weight = torch.full((len(self.observation),), stage.pull)
            terms.append(PosePull(state.rel_rotmats, state.camera, weight, 5 * weight))
        return adjust(Problem(self.skeleton, terms, shape_weights(self.model)), state, stage.steps, stage.with_shape)

    def adjusted_in_chunks(self, state: FitState, stage: Pass) -> FitState:
        """The same for a fixed shape, where frames are independent, with little memory."""
        parts = []
        for start in range(0, len(self.observation), _FRAMES_PER_CHUNK):
            index = slice(start, start + _FRAMES_PER_CHUNK)
            parts.append(self.frames(index).adjusted(state.frames(index), stage))
            self.step(len(parts[-1].camera))
        return FitState(torch.cat([p.rel_rotmats for p in parts]), state.betas, torch.cat([p.camera for p in parts]))

    def first_state(self) -> FitState:
        """Closed form: poses, shape, cameras."""
        model, skeleton, observation = self.model, self.skeleton, self.observation
        rotations = first_pose(model, skeleton, observation.world)
        known = self.trust[:, skeleton.joints] > 0
        known[:, skeleton.index(model.roles.root)] = True
        rotations = torch.where(known[..., None, None], rotations, torch.eye(3))
        weights = shape_weights(model)
        precision = observation.place_weight / WORLD_SIGMA[0] ** 2
        betas = first_shape(model, skeleton, rotations, observation.world, precision, weights)
        points = skeleton.landmark_points(model.landmarks["body"])
        positions = skeleton.locate(skeleton.pose(rotations, betas), points, betas)
        return FitState(rotations, betas, first_camera(positions, observation.image, observation.weight))

    def body(self, state: FitState) -> BodyParams:
        """The movable joints of the T frames, cameras in original pixels."""
        scale, camera = self.observation.pixels_per_metre, state.camera
        translation = camera[:, 1:] * scale[:, None] + self.observation.centre
        return BodyParams(state.betas, state.rel_rotmats, WeakPerspective(camera[:, 0] * scale, translation))

    def whole_body(self, state: FitState) -> BodyParams:
        """All joints (fingers relaxed) in all N frames; those without a person hold the median camera."""
        body, index = self.body(state), self.index
        rotations = relaxed_fingers(self.model).repeat(len(self.found), 1, 1, 1)
        rotations[index[:, None], self.skeleton.joints[None]] = body.rel_rotmats
        scale = body.camera.scale.median().repeat(len(self.found))
        translation = body.camera.translation.median(0).values.repeat(len(self.found), 1)
        scale[index], translation[index] = body.camera.scale, body.camera.translation
        return BodyParams(body.betas, rotations, WeakPerspective(scale, translation))


def _present(parts: Sequence[Detections]) -> list[Detections]:
    """The frames with a person."""
    return [part.select(part.found.nonzero()[:, 0]) for part in parts if bool(part.found.any())]


def _fps_of(parts: Sequence[Detections]) -> float:
    return parts[0].fps if len(parts) == 1 else 0.0


def key_frames(observation: Observation, count: int) -> Int64[Tensor, "M"]:
    """Evenly spread frames, of each stretch the best seen one."""
    num_frames = len(observation)
    if num_frames <= count:
        return torch.arange(num_frames)
    quality = observation.weight.sum(1)
    edges = torch.linspace(0, num_frames, count + 1).round().long().tolist()
    return torch.tensor([start + int(quality[start:end].argmax()) for start, end in pairwise(edges)])
