"""What is natural where the picture says little: limbs that it does not show hang, half bodies are upright, hands meet.

The outline alone would move limbs that are not seen: thighs that leave the picture swing towards the camera to fill a
wide coat, an arm that must lie somewhere within the outline goes far back. How far a trunk without legs leans, only the
detector's depth tells, which errs towards the camera. Hands that meet in the picture mostly touch.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.geometry.rotations import matrix_to_rotvec, swing
from liquidwarp.recover.fitting.bundle import Rows, Term, View, robust_cost, robust_weight
from liquidwarp.recover.fitting.observation import Observation
from liquidwarp.recover.fitting.skeleton import Skeleton, SkinnedPoints, left_jacobian_inverse

__all__ = ["Hanging", "Level", "natural_terms"]

_HIDDEN = 0.1
"""Below this visibility a joint counts as not seen: the more, the lower it is."""
_FIRM = 5.0
"""Weight of the natural rotation of a joint that is not seen at all [1/rad]."""
_IN_PICTURE = 0.2
"""Share of that weight where the picture holds the limb's end: there it is hidden, but not anywhere."""
_ENDS = ("elbow", "wrist", "index", "knee", "ankle", "foot_index")
"""Landmarks that say where arms, hands, legs and feet end."""
_OUTWARD = 0.2
"""By how much a hanging arm points to its side, per unit downwards."""
_MEETING = 0.2
"""Hands whose middles are farther apart in the picture than this do not meet [m on the body];"""
_TOUCHING = 1 / 3
"""those nearer than this share of it do, fully."""
_SIGMA = 0.04
"""Natural spread of the depth of shoulders against hips, and of hands that meet [m]."""


@dataclass(frozen=True)
class Hanging:
    """Joints of limbs that are not seen stay near natural rotations: arms hang, legs are straight."""

    natural: Float[Tensor, "N 3 3"]
    weight: Float[Tensor, "T N"]
    """[1/rad]; 0 where the picture shows what the joint turns."""

    @staticmethod
    def of(model: BodyModel, skeleton: Skeleton, trust: Float[Tensor, "T J"], held: Float[Tensor, "T P"]) -> "Hanging":
        """The term for T frames.

        Args:
            model: The body.
            skeleton: Its movable joints.
            trust: How well was seen what each of the model's joints turns [0, 1].
            held: Weights of the landmarks; 0: the picture does not hold it.
        """
        roles = model.roles
        natural = torch.eye(3).repeat(len(skeleton.parents), 1, 1)
        weight = torch.zeros(len(trust), len(skeleton.parents))
        names = model.landmarks["body"].names
        for side, outward in enumerate((_OUTWARD, -_OUTWARD)):
            upper, lower = skeleton.index(roles.upper_arm[side]), skeleton.index(roles.lower_arm[side])
            bone = skeleton.rest[lower] - skeleton.rest[upper]
            natural[upper] = swing(bone[None], bone.new_tensor([[outward, 1.0, 0.0]]))[0]
            limbs = (roles.upper_arm, roles.lower_arm, roles.hand, roles.upper_leg, roles.lower_leg, roles.foot)
            for joint, end in zip((limb[side] for limb in limbs), _ENDS, strict=True):
                there = held[:, names.index(f"{('left', 'right')[side]}_{end}")] > 0
                share = torch.where(there, _IN_PICTURE, 1.0)
                weight[:, skeleton.index(joint)] = _FIRM * share * _unseen(trust[:, joint])
        return Hanging(natural, weight)

    def cost(self, view: View) -> Float[Tensor, "T"]:
        """Squared weighted angle to the natural rotation."""
        return (self._difference(view) * self.weight[..., None]).square().sum((1, 2))

    def rows(self, view: View, with_betas: bool) -> Rows:
        """Gauss-Newton rows: one 3 x 3 block per joint that some frame does not show."""
        del with_betas
        hidden = self.weight.amax(0).nonzero()[:, 0]
        weight, difference = self.weight[:, hidden, None], self._difference(view)[:, hidden]
        blocks = difference.new_zeros(*difference.shape, self.weight.shape[1], 3)
        inverse = left_jacobian_inverse(difference) * weight[..., None]
        blocks[:, torch.arange(len(hidden), device=hidden.device), :, hidden] = inverse.transpose(0, 1)
        residual = (difference * weight).flatten(1)
        return Rows(residual, torch.ones_like(residual), blocks.flatten(3).flatten(1, 2))

    def _difference(self, view: View) -> Float[Tensor, "T N 3"]:
        return matrix_to_rotvec(view.state.rel_rotmats @ self.natural.mT)


@dataclass(frozen=True)
class Level:
    """Q differences in depth between means of landmarks stay near natural ones, unless they are far from them."""

    points: SkinnedPoints
    shares: Float[Tensor, "Q P"]
    """Of each landmark in each difference; rows sum to 0."""
    natural: Float[Tensor, "Q"]
    """[m]."""
    weight: Float[Tensor, "T Q"]

    @staticmethod
    def of(model: BodyModel, skeleton: Skeleton, trust: Float[Tensor, "T J"], image: Float[Tensor, "T P 2"]) -> "Level":
        """Shoulders against hips where legs are not seen, one hand against the other where they meet.

        Args:
            model: The body.
            skeleton: Its movable joints.
            trust: How well was seen what each of the model's joints turns [0, 1].
            image: Landmarks in the picture [m on the body].
        """
        table, roles = model.landmarks["body"], model.roles

        def mean(*names: str) -> Float[Tensor, "P"]:
            return torch.tensor([float(name in names) for name in table.names]) / len(names)

        trunk = mean("left_shoulder", "right_shoulder") - mean("left_hip", "right_hip")
        left, right = (mean(*(f"{side}_{part}" for part in ("wrist", "index", "pinky"))) for side in ("left", "right"))
        shares = torch.stack([trunk, left - right])
        apart = (shares[1] @ image).norm(dim=-1) / _MEETING
        meeting = ((1 - apart) / (1 - _TOUCHING)).clamp(0, 1) * trust[:, list(roles.lower_arm)].amin(1)
        used = shares.any(0).nonzero()[:, 0]
        return Level(
            skeleton.landmark_points(table).select(used.tolist()),
            shares[:, used],
            torch.stack([trunk @ table.rest[:, 2], torch.zeros(())]),
            torch.stack([_unseen(trust[:, list(roles.upper_leg)].amax(1)), meeting], 1),
        )

    def cost(self, view: View) -> Float[Tensor, "T"]:
        """Robust squared distance from the natural differences."""
        return (self.weight * robust_cost(self._residual(view).square())).sum(1)

    def rows(self, view: View, with_betas: bool) -> Rows:
        """Gauss-Newton rows, one per difference."""
        residual = self._residual(view)
        shares = self.shares / _SIGMA
        pose = shares @ view.skeleton.pose_rows(view.levers, self.points, view.state.betas)[:, :, 2]
        betas = None
        if with_betas:
            depth = residual.new_tensor([[[[0.0, 0.0, 1.0]]]])
            betas = shares @ view.skeleton.beta_rows(view.posed, self.points, depth)[:, :, 0]
        return Rows(residual, self.weight * robust_weight(residual.square()), pose, None, betas)

    def _residual(self, view: View) -> Float[Tensor, "T Q"]:
        depth = view.skeleton.locate(view.posed, self.points, view.state.betas)[..., 2]
        return (depth @ self.shares.T - self.natural) / _SIGMA


def natural_terms(
    model: BodyModel, skeleton: Skeleton, trust: Float[Tensor, "T J"], observation: Observation
) -> list[Term]:
    """Those of the terms of this file that say something about any of T frames.

    Args:
        model: The body.
        skeleton: Its movable joints.
        trust: How well was seen what each of the model's joints turns [0, 1].
        observation: Of the same frames.
    """
    hanging = Hanging.of(model, skeleton, trust, observation.weight)
    terms = (hanging, Level.of(model, skeleton, trust, observation.image))
    return [term for term in terms if bool((term.weight > 0).any())]


def _unseen(trust: Float[Tensor, "T"]) -> Float[Tensor, "T"]:
    """1 where nothing was seen, 0 from _HIDDEN on."""
    return (1 - trust / _HIDDEN).clamp(min=0)
