"""What the fit takes from the detections: normalised positions, weights, and which joints were seen at all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.recover.detection.detections import BODY_LANDMARKS, Detections
from liquidwarp.recover.fitting.skeleton import Skeleton
from liquidwarp.recover.fitting.smooth import runs, smooth_series

__all__ = ["DEPTH_BIAS", "FACE", "Observation", "joint_trust", "observe", "steadied"]

_HIDDEN = 0.05
"""A landmark with less visibility says nothing."""
FACE = BODY_LANDMARKS[:11]
"""Nose, eyes, ears, mouth."""
DEPTH_BIAS = tuple(
    0.1
    if name.endswith(("ankle", "heel", "foot_index"))
    else -0.04
    if name.endswith(("shoulder", "elbow", "wrist", "pinky", "index", "thumb"))
    else 0.0
    for name in BODY_LANDMARKS
)
"""How much too far from the camera the detector believes each landmark to be, against the hips [m].

Measured as medians over 15 clips and photos of people in all orientations: who stands upright seems to lean towards
the camera with bent knees, also when seen from the side or from behind.
"""
_HAND_REACH = 0.1
"""A hand whose wrist is farther than this from the body's wrist is somebody else's, or wrong [m]."""
_YIELD = 0.4
"""So much of their weight in the picture the body's landmarks of a hand lose where the hand itself was seen."""
_DEPTH_NOISE = 4.0
"""How much more a landmark's depth is smoothed than its place in the picture."""
_LEAST_NOISE = 0.003
"""Landmarks are not surer than this, however smooth they look [m]."""
_SIDES = ("left", "right")
_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


@dataclass(frozen=True)
class Observation:
    """T frames with a person, ready for the fit."""

    image: Float[Tensor, "T 33 2"]
    """Landmarks, (pixel - centre) / pixels_per_metre."""
    world: Float[Tensor, "T 33 3"]
    """[m]."""
    weight: Float[Tensor, "T 33"]
    """0 outside of the picture, lower where hidden or ill-defined."""
    place_weight: Float[Tensor, "T 33"]
    """The same for where landmarks are in space: 0 for the face, which has no reliable place, only an orientation."""
    anchors: Float[Tensor, "T 33"]
    """Shares in the origin of ``world``; rows sum to 1."""
    hand_image: Float[Tensor, "T 2 21 2"]
    """(left, right) hand landmarks, normalised like ``image``."""
    hand_world: Float[Tensor, "T 2 21 3"]
    """[m]."""
    hand_weight: Float[Tensor, "T 2"]
    """0 where a hand was not seen well."""
    centre: Float[Tensor, "T 2"]
    """[px]."""
    pixels_per_metre: Float[Tensor, "T"]

    def __len__(self) -> int:
        return self.image.shape[0]

    def frames(self, index: Tensor | slice) -> "Observation":
        """Only these frames."""
        return Observation(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    @staticmethod
    def joined(parts: Sequence["Observation"]) -> "Observation":
        """One after the other."""
        return Observation(*(torch.cat([getattr(p, name) for p in parts]) for name in Observation.__dataclass_fields__))


def observe(detections: Detections) -> Observation:
    """Weigh and normalise the landmarks.

    Args:
        detections: Frames that all hold a person.

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
    trunk = torch.zeros(len(BODY_LANDMARKS))
    trunk[[BODY_LANDMARKS.index(name) for name in _TRUNK]] = 1
    anchors = trunk * inside + 1e-3 * weight + 1e-6
    anchors = anchors / anchors.sum(1, keepdim=True)
    scale = _pixels_per_metre(detections, weight)
    centre = (anchors[..., None] * detections.xy).sum(1)
    world = detections.world.clone()
    world[..., 2] -= torch.tensor(DEPTH_BIAS)
    world = world - (anchors[..., None] * world).sum(1, keepdim=True)
    image = (detections.xy - centre[:, None]) / scale[:, None, None]
    hand_image = (detections.hands_xy - centre[:, None, None]) / scale[:, None, None, None]
    hand_weight = _hand_weight(detections, image, hand_image)
    of_hand = torch.stack([torch.tensor([_of_hand(name, side) for name in BODY_LANDMARKS]) for side in _SIDES])
    return Observation(
        image=image,
        world=world,
        weight=weight * (1 - _YIELD * hand_weight @ of_hand.to(weight)),
        place_weight=weight * torch.tensor([name not in FACE for name in BODY_LANDMARKS]),
        anchors=anchors,
        hand_image=hand_image,
        hand_world=detections.hands_world,
        hand_weight=hand_weight,
        centre=centre,
        pixels_per_metre=scale,
    )


def _of_hand(name: str, side: str) -> bool:
    return name in {f"{side}_{part}" for part in ("wrist", "pinky", "index", "thumb")}


def _hand_weight(
    detections: Detections, image: Float[Tensor, "T 33 2"], hand_image: Float[Tensor, "T 2 21 2"]
) -> Float[Tensor, "T 2"]:
    """Score of each hand above one half; 0 where its wrist is not where the body's is."""
    wrists = [BODY_LANDMARKS.index("left_wrist"), BODY_LANDMARKS.index("right_wrist")]
    apart = (hand_image[:, :, 0] - image[:, wrists]).norm(dim=-1)
    return ((detections.hands_score - 0.5) * 2).clamp(0, 1) * (apart < _HAND_REACH)


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
    if detections.shot is None:
        return _running_median(scale, int(detections.fps))
    shots = torch.split(scale, detections.shot.unique_consecutive(return_counts=True)[1].tolist())
    return torch.cat([_running_median(part, int(detections.fps)) for part in shots])


def _running_median(values: Float[Tensor, "T"], reach: int) -> Float[Tensor, "T"]:
    """Of so many values to each side, as far as there are any."""
    reach = min(reach, (len(values) - 1) // 2)
    padded = torch.cat([values[:1].expand(reach), values, values[-1:].expand(reach)])
    return padded.unfold(0, 2 * reach + 1, 1).median(-1).values


def steadied(detections: Detections, frames: Int64[Tensor, "T"], strength: float) -> Detections:
    """Smooth the landmarks of a video, without lag, before anything is fitted to them.

    Depth is smoothed more than the rest: it is mostly noise, and a limb that seems short in the picture would be thrown
    forth and back between pointing at the camera and away from it.

    Args:
        detections: Frames that all hold a person.
        frames: Their numbers in the video (:attr:`Detections.moments`); smoothing does not reach across gaps.
        strength: See :func:`liquidwarp.recover.fitting.smooth.smooth_series`.
    """
    if detections.fps <= 0 or strength <= 0:
        return detections
    xy, world = detections.xy.clone(), detections.world.clone()
    trust = 0.3 + 0.7 * detections.visibility.clamp(0, 1)
    depth_strength = _DEPTH_NOISE * strength
    least_pixels = _LEAST_NOISE * float(_pixels_per_metre(detections, trust).median())
    for run in runs(frames):
        for landmark in range(xy.shape[1]):
            weight = trust[run, landmark].numpy()
            for values, strong, least in (
                (xy, strength, least_pixels),
                (world[..., :2], strength, _LEAST_NOISE),
                (world[..., 2:], depth_strength, _LEAST_NOISE),
            ):
                smoothed = smooth_series(values[run, landmark].numpy(), detections.fps, strong, weight, least)
                values[run, landmark] = torch.from_numpy(smoothed)
    hands_xy, hands_world = detections.hands_xy.clone(), detections.hands_world.clone()
    for side in (0, 1):
        seen = (detections.hands_score[:, side] > 0.5).nonzero()[:, 0]
        for stretch in runs(frames[seen]):
            rows = seen[stretch]
            for values in (hands_xy, hands_world):
                flat = values[rows, side].flatten(1).numpy()
                smoothed = smooth_series(flat, detections.fps, strength)
                values[rows, side] = torch.from_numpy(smoothed).view(len(rows), 21, -1)
    return replace(detections, xy=xy, world=world, hands_xy=hands_xy, hands_world=hands_world)


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
