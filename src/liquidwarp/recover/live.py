"""A person's body while it is filmed: every frame is fitted from the one before, and smoothed without looking ahead.

Paper:
    Casiez et al. 2012, "1 Euro Filter": the faster something moves, the less it is smoothed, so that what stands still
    does not tremble and what moves does not lag.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.config import FitConfig
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotvec_to_matrix
from liquidwarp.recover.detection.choice import PersonChoice
from liquidwarp.recover.detection.detections import Detections
from liquidwarp.recover.fitting.bundle import FitState, Problem, adjust
from liquidwarp.recover.fitting.fingers import relaxed_fingers
from liquidwarp.recover.fitting.fit import fit_body
from liquidwarp.recover.fitting.fit_task import landmark_terms, shape_weights
from liquidwarp.recover.fitting.observation import observe
from liquidwarp.recover.fitting.skeleton import Skeleton
from liquidwarp.recover.fitting.terms import PosePrior, PosePull
from liquidwarp.recover.tracking.follow import TrackState
from liquidwarp.recover.tracking.tracker import PersonDetector

__all__ = ["LiveBody", "OneEuro"]

_STEPS = 3
"""Levenberg-Marquardt steps on a frame that begins at the one before."""
_PULL = 3.0
"""How strongly a frame is held near the one before [1/rad]."""
_AGAIN = FitConfig(outline_rounds=0, frame_outline_rounds=0, fingers=False)
"""For the first frame, and for the first after the person was lost: landmarks alone, as the girths of who moves do not
matter."""
_LOST = 0.5
"""After this time the frame before says nothing any more [s]."""
_ROTATION, _CAMERA = (1.5, 1.0), (1.5, 4.0)
"""Least cutoff [Hz], and how much it rises with the speed [Hz per rad/s, or per m/s]."""
_SPEED_CUTOFF = 1.0
"""Cutoff of the speed itself [Hz]."""


@dataclass
class OneEuro:
    """Smooths one vector after the other; rotation vectors are those from the smoothed value to the new one."""

    least: float
    """Cutoff of what stands still [Hz]."""
    rise: float
    """How much the cutoff rises with the speed."""
    speed: Tensor | None = None

    def share(self, change: Float[Tensor, "*N D"], seconds: float) -> Float[Tensor, "*N 1"]:
        """How much of a change to take over.

        Args:
            change: From the last smoothed value to the new raw one.
            seconds: Time since the last one.
        """
        raw = change.norm(dim=-1, keepdim=True) / seconds
        weight = _weight(torch.full_like(raw, _SPEED_CUTOFF), seconds)
        self.speed = raw if self.speed is None else torch.lerp(self.speed, raw, weight)
        return _weight(self.least + self.rise * self.speed, seconds)


def _weight(cutoff: Tensor, seconds: float) -> Tensor:
    return 1 / (1 + 1 / (2 * math.pi * cutoff * seconds))


class LiveBody:
    """Detects, fits and smooths the frames of one camera, in the order in which they come."""

    def __init__(self, model: BodyModel, choice: PersonChoice = None, detector: PersonDetector | None = None) -> None:
        """Open the networks.

        Args:
            model: The body, on the CPU.
            choice: Who, if several people are in view.
            detector: None opens the bundled one.
        """
        self._model, self._choice = model, choice
        self._detector = detector or PersonDetector()
        self._skeleton = Skeleton.of(model)
        self._relaxed = relaxed_fingers(model)
        self._track: TrackState | None = None
        self._raw: BodyParams | None = None
        self._smooth: BodyParams | None = None
        self._seen = -math.inf
        self._filters = self._new_filters()

    @staticmethod
    def _new_filters() -> tuple[OneEuro, OneEuro]:
        return OneEuro(*_ROTATION), OneEuro(*_CAMERA)

    def step(self, frame: UInt8[np.ndarray, "H W 3"], time: float) -> BodyParams | None:
        """The body in one more frame.

        Args:
            frame: RGB.
            time: When it was filmed [s]; later than the frame before.

        Returns:
            One frame, camera in the frame's pixels; the last one known if nobody is seen; None before anybody was.
        """
        size = (frame.shape[1], frame.shape[0])
        (piece,) = self._detector.follow([frame], size, 0.0, self._choice, self._track)
        self._track = piece.state
        if not bool(piece.detections.found[0]):
            return self._smooth
        fresh = time - self._seen > _LOST
        before = None if fresh else self._raw
        self._raw = self._again(piece.detections) if before is None else self._onward(piece.detections, before)
        if fresh or self._smooth is None:
            self._smooth, self._filters = self._raw, self._new_filters()
        else:
            self._smooth = self._smoothed(self._smooth, self._raw, max(time - self._seen, 1e-3))
        self._seen = time
        return self._smooth

    def _again(self, detections: Detections) -> BodyParams:
        """From nothing; the shape is that of the first time."""
        return fit_body(detections, self._model, _AGAIN, None if self._raw is None else self._raw.betas).body

    def _onward(self, detections: Detections, before: BodyParams) -> BodyParams:
        """From the frame before."""
        observation = observe(detections)
        scale, centre = observation.pixels_per_metre, observation.centre
        place = (before.camera.translation - centre) / scale[:, None]
        camera = torch.cat([(before.camera.scale / scale)[:, None], place], 1)
        state = FitState(before.rel_rotmats[:, self._skeleton.joints], before.betas, camera)
        weight = torch.full((1,), _PULL)
        terms = [
            *landmark_terms(observation, self._model, self._skeleton),
            PosePrior.of(self._model, self._skeleton),
            PosePull(state.rel_rotmats, state.camera, weight, 0 * weight),
        ]
        found = adjust(Problem(self._skeleton, terms, shape_weights(self._model)), state, _STEPS, with_shape=False)
        rotations = self._relaxed[None].clone()
        rotations[:, self._skeleton.joints] = found.rel_rotmats
        where = WeakPerspective(found.camera[:, 0] * scale, found.camera[:, 1:] * scale[:, None] + centre)
        return BodyParams(before.betas, rotations, where)

    def _smoothed(self, last: BodyParams, raw: BodyParams, seconds: float) -> BodyParams:
        """The last smoothed body, moved towards the new one."""
        turn = matrix_to_rotvec(last.rel_rotmats.mT @ raw.rel_rotmats)
        rotations = last.rel_rotmats @ rotvec_to_matrix(turn * self._filters[0].share(turn, seconds))
        before, now = last.camera, raw.camera
        change = torch.cat([(now.translation - before.translation), (now.scale - before.scale)[:, None]], 1)
        share = self._filters[1].share(change / now.scale[:, None], seconds)
        moved = share * change
        camera = WeakPerspective(before.scale + moved[:, 2], before.translation + moved[:, :2])
        return replace(raw, rel_rotmats=rotations, camera=camera)
