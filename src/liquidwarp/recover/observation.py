"""What the fit takes from the detections: normalised positions, weights, and which joints were seen at all."""

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.recover.detections import BODY_LANDMARKS, Detections
from liquidwarp.recover.skeleton import Skeleton
from liquidwarp.recover.smooth import smooth_series

__all__ = ["Observation", "joint_trust", "observe", "runs", "steadied", "swapped_sides", "unflip"]

_HIDDEN = 0.05
"""A landmark with less visibility says nothing."""
_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def _partner(name: str) -> str:
    """The landmark on the other side of the body; the same for one in the middle."""
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


_MIRROR = [BODY_LANDMARKS.index(_partner(name)) for name in BODY_LANDMARKS]


@dataclass(frozen=True)
class Observation:
    """T frames with a person, ready for the fit."""

    image: Float[Tensor, "T 33 2"]
    """Landmarks, (pixel - centre) / pixels_per_metre."""
    world: Float[Tensor, "T 33 3"]
    """[m]."""
    weight: Float[Tensor, "T 33"]
    """0 outside of the picture, lower where hidden or ill-defined."""
    world_weight: Float[Tensor, "T 33"]
    """The same for ``world``."""
    anchors: Float[Tensor, "T 33"]
    """Shares in the origin of ``world``; rows sum to 1."""
    centre: Float[Tensor, "T 2"]
    """[px]."""
    pixels_per_metre: Float[Tensor, "T"]

    def __len__(self) -> int:
        return self.image.shape[0]

    def frames(self, index: Tensor | slice) -> "Observation":
        """Only these frames."""
        return Observation(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def observe(detections: Detections, doubtful: Bool[Tensor, "T"] | None = None) -> Observation:
    """Weigh and normalise the landmarks.

    Args:
        detections: Frames that all hold a person.
        doubtful: Frames whose landmarks in space are not to be trusted.

    Returns:
        What the terms of the fit compare with.
    """
    base = torch.ones(len(BODY_LANDMARKS))
    for index, name in enumerate(BODY_LANDMARKS):
        if "eye" in name:
            base[index] = 0.4  # six of them say the same
        elif name.endswith(("pinky", "index", "thumb")) and "foot" not in name:
            base[index] = 0.4  # fingers move, the body's landmarks there do not
    inside = _inside(detections)
    weight = base * (0.15 + 0.85 * detections.visibility.clamp(0, 1)) * inside
    world_weight = weight
    if doubtful is not None:
        world_weight = weight * torch.where(doubtful, 0.1, 1.0)[:, None]
    trunk = torch.zeros(len(BODY_LANDMARKS))
    trunk[[BODY_LANDMARKS.index(name) for name in _TRUNK]] = 1
    anchors = trunk * inside + 1e-3 * weight + 1e-6
    anchors = anchors / anchors.sum(1, keepdim=True)
    scale = _pixels_per_metre(detections, weight)
    centre = (anchors[..., None] * detections.xy).sum(1)
    world = detections.world - (anchors[..., None] * detections.world).sum(1, keepdim=True)
    image = (detections.xy - centre[:, None]) / scale[:, None, None]
    return Observation(image, world, weight, world_weight, anchors, centre, scale)


def _inside(detections: Detections) -> Float[Tensor, "T 33"]:
    """1 where a landmark is inside of the picture (with a small margin), else 0: beyond it the detector guesses."""
    size = torch.tensor(detections.image_size, dtype=detections.xy.dtype)
    margin = 0.01 * float(size.max())
    return ((detections.xy > -margin) & (detections.xy < size + margin)).all(-1).to(detections.xy)


def _pixels_per_metre(detections: Detections, weight: Float[Tensor, "T 33"]) -> Float[Tensor, "T"]:
    """Regress image on world positions; in a video the running median, because a person does not jump in size."""
    share = (weight / weight.sum(1, keepdim=True).clamp(min=1e-6))[..., None]
    flat = detections.world[..., :2]
    flat = flat - (share * flat).sum(1, keepdim=True)
    image = detections.xy - (share * detections.xy).sum(1, keepdim=True)
    scale = (share * flat * image).sum((1, 2)) / (share * flat.square()).sum((1, 2)).clamp(min=1e-8)
    scale = scale.clamp(min=1e-3 * max(detections.image_size))
    if detections.fps <= 0 or len(scale) < 3:
        return scale
    reach = min(int(detections.fps), (len(scale) - 1) // 2)
    padded = torch.cat([scale[:1].expand(reach), scale, scale[-1:].expand(reach)])
    return padded.unfold(0, 2 * reach + 1, 1).median(-1).values


def swapped_sides(detections: Detections, frames: Bool[Tensor, "T"]) -> Detections:
    """Exchange left and right in some frames."""
    mirror = torch.tensor(_MIRROR)

    def swap(values: Tensor, order: Tensor) -> Tensor:
        return torch.where(frames.view(-1, *[1] * (values.dim() - 1)), values[:, order], values)

    sides = torch.tensor([1, 0])
    return replace(
        detections,
        xy=swap(detections.xy, mirror),
        world=swap(detections.world, mirror),
        visibility=swap(detections.visibility, mirror),
        hands_xy=swap(detections.hands_xy, sides),
        hands_world=swap(detections.hands_world, sides),
        hands_score=swap(detections.hands_score, sides),
    )


def unflip(detections: Detections) -> tuple[Detections, Bool[Tensor, "T"]]:
    """Repair frames of a video in which the detector took left for right (it does so on backs).

    A two-state Viterbi path: keep or swap each frame so that the landmarks move least from frame to frame, with a
    small price for each swapped frame, so that a stable view from behind is left alone.

    Returns:
        The repaired detections, and which frames were swapped.
    """
    num_frames = len(detections)
    swapped = torch.zeros(num_frames, dtype=torch.bool)
    if num_frames < 3 or detections.fps <= 0:
        return detections, swapped
    size = detections.xy.std(1).norm(dim=-1).clamp(min=1.0)
    both = torch.stack([detections.xy, detections.xy[:, _MIRROR]], 1)  # T 2 33 2
    moved = (both[1:, None, :] - both[:-1, :, None]).norm(dim=-1).mean(-1) / size[1:, None, None]  # T-1 from to
    moved = moved.clamp(max=1.0)
    total = torch.tensor([0.0, 0.05])
    back: list[Int64[Tensor, 2]] = []
    for step in moved:
        best = (total[:, None] + step).min(0)
        back.append(best.indices)
        total = best.values + torch.tensor([0.0, 0.01])
    state = int(total.argmin())
    for frame in range(num_frames - 1, -1, -1):
        swapped[frame] = bool(state)
        if frame:
            state = int(back[frame - 1][state])
    return (swapped_sides(detections, swapped) if bool(swapped.any()) else detections), swapped


def steadied(detections: Detections, frames: Int64[Tensor, "T"], strength: float) -> Detections:
    """Smooth the landmarks of a video, without lag, before anything is fitted to them.

    Args:
        detections: Frames that all hold a person.
        frames: Their numbers in the video; smoothing does not reach across gaps.
        strength: See :func:`liquidwarp.recover.smooth.smooth_series`.
    """
    if detections.fps <= 0 or strength <= 0:
        return detections
    xy, world = detections.xy.clone(), detections.world.clone()
    trust = (0.05 + detections.visibility).clamp(max=1)
    for run in runs(frames):
        for landmark in range(xy.shape[1]):
            weight = trust[run, landmark].numpy()
            for values in (xy, world):
                values[run, landmark] = torch.from_numpy(
                    smooth_series(values[run, landmark].numpy(), detections.fps, strength, weight)
                )
    return replace(detections, xy=xy, world=world)


def runs(frames: Int64[Tensor, "T"]) -> list[slice]:
    """Stretches of consecutive frame numbers, as slices of the list."""
    cuts = ((frames[1:] - frames[:-1]) != 1).nonzero()[:, 0] + 1
    edges = [0, *cuts.tolist(), len(frames)]
    return [slice(start, end) for start, end in pairwise(edges)]


def joint_trust(detections: Detections, model: BodyModel, skeleton: Skeleton) -> Float[Tensor, "T J"]:
    """How well the landmarks see what each of the model's joints turns [0, 1].

    0: it is outside of the picture, so the joint stays at the pose prior (its rest rotation).
    """
    visible = _inside(detections) * detections.visibility.clamp(0, 1)
    visible = torch.where(visible > _HIDDEN, visible, torch.zeros_like(visible))

    def best_of(*names: str) -> Float[Tensor, "T"]:
        return visible[:, [BODY_LANDMARKS.index(name) for name in names]].amax(1)

    roles = model.roles
    trust = torch.zeros(len(detections), len(skeleton.parents))
    trust[:, skeleton.index(roles.root)] = best_of("left_hip", "right_hip")
    trust[:, [skeleton.index(joint) for joint in roles.spine]] = best_of("left_shoulder", "right_shoulder")[:, None]
    trust[:, [skeleton.index(joint) for joint in roles.neck]] = best_of("nose", "left_ear", "right_ear")[:, None]
    for side, name in enumerate(("left", "right")):
        trust[:, [skeleton.index(joint) for joint in roles.shoulder[side]]] = best_of(f"{name}_shoulder")[:, None]
        for joint, landmarks in (
            (roles.upper_arm, ("elbow",)),
            (roles.lower_arm, ("wrist",)),
            (roles.hand, ("index", "pinky")),
            (roles.upper_leg, ("knee",)),
            (roles.lower_leg, ("ankle",)),
            (roles.foot, ("heel", "foot_index")),
        ):
            trust[:, skeleton.index(joint[side])] = best_of(*(f"{name}_{landmark}" for landmark in landmarks))
    full = trust[:, skeleton.owner]
    for side in (0, 1):
        fingers = [joint for chain in roles.fingers[side] for joint in chain]
        full[:, fingers] = detections.hands_score[:, side, None]
    return full
