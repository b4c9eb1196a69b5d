"""What the detectors saw of one person in T frames: the input of the fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

__all__ = ["BODY_LANDMARKS", "EYES_AND_NOSE", "LEAST_EYE_SPAN", "Detections", "PackedMasks"]

_LIMB_POINTS = ("shoulder", "elbow", "wrist", "pinky", "index", "thumb", "hip", "knee", "ankle", "heel", "foot_index")

BODY_LANDMARKS = (
    "nose",
    *(f"{side}_eye{place}" for side in ("left", "right") for place in ("_inner", "", "_outer")),
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    *(f"{side}_{name}" for name in _LIMB_POINTS for side in ("left", "right")),
)
"""BlazePose's 33 landmarks in its order."""

EYES_AND_NOSE = (263, 362, 33, 133, 2)
"""Of the face mesh: the person's left eye's outer and inner corner, the right eye's, below the nose; the order of
:func:`liquidwarp.gan.crops.align_faces`."""

LEAST_EYE_SPAN = 0.055
"""Outer eye corners that are nearer together in the picture [m] belong to a face that is turned away."""


@dataclass(frozen=True)
class PackedMasks:
    """T binary person masks at a small size, one bit a pixel, so that long videos fit in memory."""

    bits: UInt8[np.ndarray, "T N"]
    height: int
    width: int

    @staticmethod
    def pack(masks: Bool[np.ndarray, "T H W"]) -> "PackedMasks":
        """Pack masks, True = person."""
        frames, height, width = masks.shape
        return PackedMasks(np.packbits(masks.reshape(frames, -1), axis=1), height, width)

    @staticmethod
    def joined(parts: Sequence["PackedMasks"]) -> "PackedMasks":
        """One after the other; all of one size."""
        return replace(parts[0], bits=np.concatenate([part.bits for part in parts]))

    def __len__(self) -> int:
        return self.bits.shape[0]

    def __getitem__(self, frame: int) -> Bool[np.ndarray, "H W"]:
        flat = np.unpackbits(self.bits[frame], count=self.height * self.width)
        return flat.reshape(self.height, self.width).astype(bool)

    def select(self, frames: Int64[np.ndarray, "M"]) -> "PackedMasks":
        """Only these frames."""
        return replace(self, bits=self.bits[frames])

    def without(self, other: "PackedMasks") -> "PackedMasks":
        """What is in these masks and not in as many others of the same size."""
        return replace(self, bits=self.bits & ~other.bits)


@dataclass(frozen=True)
class Detections:
    """Raw detections (not smoothed). Frames without a detection hold zeros and ``found`` False."""

    found: Bool[Tensor, "T"]
    """Whether the person was detected in the frame."""
    xy: Float[Tensor, "T 33 2"]
    """Image positions [px], centres at +0.5, original pixels."""
    world: Float[Tensor, "T 33 3"]
    """BlazePose's world landmarks [m]: OpenCV axes, origin between the hips."""
    visibility: Float[Tensor, "T 33"]
    """[0, 1]; low where hidden or outside of the picture."""
    hands_xy: Float[Tensor, "T 2 21 2"]
    """(left, right) hand landmarks [px]."""
    hands_world: Float[Tensor, "T 2 21 3"]
    """[m], OpenCV axes, origin within the hand."""
    hands_score: Float[Tensor, "T 2"]
    """[0, 1]; 0 = not seen."""
    face_xy: Float[Tensor, "T 468 2"]
    """Face mesh landmarks [px]."""
    face_score: Float[Tensor, "T"]
    """[0, 1]; 0 = not seen."""
    masks: PackedMasks
    """Person masks, the image shrunk so that its longer side is 384 px."""
    image_size: tuple[int, int]
    """(width, height) of the frames [px]."""
    fps: float
    """Frames per second; 0 for unrelated photos."""
    others: PackedMasks | None = None
    """Where other people are seen, also before the person, on the masks' grid; None: nowhere, or not looked for."""
    shot: Int64[Tensor, "T"] | None = None
    """Which shot of a film a frame belongs to; None: it has no cuts."""
    scene: Int64[Tensor, "T"] | None = None
    """Frames with the same number show the same place from the same camera; None: all do, or nothing is known."""
    own: Bool[Tensor, "T"] | None = None
    """False: the shot shows somebody else; None: everywhere it is the same person."""

    def __len__(self) -> int:
        return self.xy.shape[0]

    @property
    def moments(self) -> Int64[Tensor, "T"]:
        """The frames' numbers with a gap at each cut: what is next to each other belongs together."""
        numbers = torch.arange(len(self))
        return numbers if self.shot is None else numbers + self.shot

    @property
    def of_person(self) -> Bool[Tensor, "T"]:
        """Where the film's own person was detected, nobody else."""
        return self.found if self.own is None else self.found & self.own

    def select(self, frames: Tensor) -> "Detections":
        """Only these frames (indices)."""
        changes: dict[str, object] = {
            f.name: value[frames] for f in fields(self) if isinstance(value := getattr(self, f.name), torch.Tensor)
        }
        changes["masks"] = self.masks.select(frames.cpu().numpy())
        changes["others"] = None if self.others is None else self.others.select(frames.cpu().numpy())
        return replace(self, **changes)  # type: ignore[arg-type]

    @staticmethod
    def joined(parts: Sequence["Detections"]) -> "Detections":
        """One after the other; all of one size."""
        if len(parts) == 1:
            return parts[0]
        names = [f.name for f in fields(Detections) if isinstance(getattr(parts[0], f.name), Tensor)]
        tensors: dict[str, Any] = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        masks = PackedMasks.joined([part.masks for part in parts])
        others = None
        if any(part.others is not None for part in parts):
            others = PackedMasks.joined([part.others or part.masks.without(part.masks) for part in parts])
        return replace(parts[0], **tensors, masks=masks, others=others)

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Tensors and metadata for a file."""
        tensors = {f.name: v for f in fields(Detections) if isinstance(v := getattr(self, f.name), Tensor)}
        tensors["masks"] = torch.from_numpy(self.masks.bits)
        if self.others is not None:
            tensors["others"] = torch.from_numpy(self.others.bits)
        numbers = (self.masks.width, self.masks.height, *self.image_size, self.fps)
        return tensors, {"numbers": " ".join(str(number) for number in numbers)}

    @staticmethod
    def from_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> "Detections":
        """Read what :meth:`to_tensors` wrote; other tensors are left alone."""
        width, height, image_width, image_height, fps = metadata["numbers"].split()
        known: dict[str, Any] = {f.name: tensors[f.name] for f in fields(Detections) if f.name in tensors}
        for name in ("masks", "others"):
            if name in tensors:
                known[name] = PackedMasks(tensors[name].numpy(), int(height), int(width))
        return Detections(**known, image_size=(int(image_width), int(image_height)), fps=float(fps))
