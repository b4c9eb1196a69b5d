"""A body that is nearly right settles on the masks, as at the end of every fit: it fills the clothes.

Training takes this for people whose bodies are known, so that its bodies are wrong in the ways a fit's are.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.recover.detection.detections import BODY_LANDMARKS
from liquidwarp.recover.fitting.bundle import FitState, Problem, adjust
from liquidwarp.recover.fitting.fingers import relaxed_fingers
from liquidwarp.recover.fitting.fit_task import landmark_terms, shape_weights
from liquidwarp.recover.fitting.observation import FACE, Observation
from liquidwarp.recover.fitting.silhouette import MaskOutlines, Surface, match_outlines
from liquidwarp.recover.fitting.skeleton import Skeleton
from liquidwarp.recover.fitting.terms import PosePrior

__all__ = ["OutlineFit"]

_ROUNDS = 2
"""How often the body's outline is matched with the masks'."""
_STEPS = 2
"""Levenberg-Marquardt steps after each."""
_SIGMA = 0.008
"""Trusted accuracy of the landmarks [m], as beside outlines in :mod:`liquidwarp.recover.fitting.fit_task`."""
_CUTOFF = 5.0
"""Of the landmarks, see :class:`liquidwarp.recover.fitting.terms.ImageLandmarks`: the body's own never lie far from
it."""


@dataclass(frozen=True)
class OutlineFit:
    """Everything about a body model that settling needs; on the CPU."""

    model: BodyModel
    skeleton: Skeleton
    surface: Surface

    @staticmethod
    def of(model: BodyModel) -> "OutlineFit":
        """Prepare a body."""
        skeleton = Skeleton.of(model)
        return OutlineFit(model, skeleton, Surface.of(model, skeleton, relaxed_fingers(model)))

    @torch.no_grad()
    def settle(self, body: BodyParams, masks: Bool[Tensor, "T H W"]) -> BodyParams:
        """Move one person's shape, poses and cameras until the outlines fit; the body's own landmarks hold it.

        Args:
            body: T frames, cameras in the masks' pixels.
            masks: Where the person is.

        Returns:
            The same frames; fingers are as they were.
        """
        observation = self.observed(body, (masks.shape[-2], masks.shape[-1]))
        outlines = MaskOutlines.traced([mask.numpy() for mask in masks], torch.ones(len(masks)), observation)
        camera = torch.tensor([[1.0, 0.0, 0.0]]).repeat(len(masks), 1)
        state = FitState(body.rel_rotmats[:, self.skeleton.joints], body.betas, camera)
        terms = [
            *landmark_terms(observation, self.model, self.skeleton, _CUTOFF, _SIGMA),
            PosePrior.of(self.model, self.skeleton),
        ]
        for _ in range(_ROUNDS):
            outline = match_outlines(state, self.skeleton, self.surface, observation, outlines, True)
            problem = Problem(self.skeleton, [*terms, outline], shape_weights(self.model))
            state = adjust(problem, state, _STEPS, with_shape=True)
        return self.moved(body, state)

    def moved(self, body: BodyParams, state: FitState) -> BodyParams:
        """A fit's result as bodies.

        Args:
            body: Where the fit began, as :meth:`observed` has seen it.
            state: Its result.

        Returns:
            The same fingers; other shape, poses and cameras.
        """
        rotations = body.rel_rotmats.clone()
        rotations[:, self.skeleton.joints] = state.rel_rotmats
        scale = body.camera.scale
        camera = WeakPerspective(
            state.camera[:, 0] * scale, state.camera[:, 1:] * scale[:, None] + body.camera.translation
        )
        return BodyParams(state.betas, rotations, camera)

    def observed(self, body: BodyParams, size: tuple[int, int]) -> Observation:
        """The body's landmarks as if they had been detected: those within the picture, in its camera's units.

        Args:
            body: T frames.
            size: (height, width) of the pictures [px].
        """
        skeleton = self.skeleton
        points = skeleton.landmark_points(self.model.landmarks["body"])
        posed = skeleton.pose(body.rel_rotmats[:, skeleton.joints], body.betas)
        place = skeleton.locate(posed, points, body.betas)
        pixel = body.camera.project(place)[..., :2]
        weight = ((pixel > 0) & (pixel < pixel.new_tensor([size[1], size[0]]))).all(-1).to(place)
        anchors = (weight + 1e-6) / (weight + 1e-6).sum(1, keepdim=True)
        frames = len(body)
        return Observation(
            image=place[..., :2],
            world=place - (anchors[..., None] * place).sum(1, keepdim=True),
            weight=weight,
            place_weight=weight * torch.tensor([name not in FACE for name in BODY_LANDMARKS]),
            anchors=anchors,
            hand_image=place.new_zeros(frames, 2, 21, 2),
            hand_world=place.new_zeros(frames, 2, 21, 3),
            hand_weight=place.new_zeros(frames, 2),
            centre=body.camera.translation,
            pixels_per_metre=body.camera.scale,
        )
