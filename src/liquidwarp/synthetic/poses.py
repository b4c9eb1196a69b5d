"""Poses for synthetic people: motion capture, relaxed standing, natural hands."""

import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from safetensors import safe_open
from torch import Tensor

from liquidwarp.body.model import BodyModel
from liquidwarp.errors import WeightsCorruptError, WeightsNotFoundError
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotation_about, rotvec_to_matrix, swing

__all__ = ["PoseLibrary", "neighbours", "relaxed_stand", "turned"]

_FORMAT = "liquidwarp-poses-1"
_CURL = ((1, 0.16), (2, 0.30), (3, 0.20))
"""Bend of a relaxed finger's joints [rad]."""
_GIRDLE = (0.05, 0.17)
"""How far the shoulder girdle drops [rad]: an amount, and a share of how far the upper arm is lowered from its half
raised rest; a line through the poses whose motion capture has collar bones."""
_CLAVICLE = 0.56
"""The collar bone's part of it; the shoulder blade takes the rest."""
_STILL = 1e-3
"""A collar bone that turns less than this was not recorded [rad]."""
_NEIGHBOURS = 30
"""Poses of one clip that are at most so far apart are like photos of one moment."""
_ONE_SIDE = math.radians(30)
"""Views of people who are shown from one side differ from one of them by at most this [rad]."""


@dataclass(frozen=True)
class PoseLibrary:
    """N poses of the whole body that face the camera."""

    rotvec: Float[Tensor, "N J 3"]
    """Rotation of each joint relative to its parent [rad]."""
    clips: tuple[str, ...]
    """The clip that each pose is from."""

    @staticmethod
    def load(folder: str | Path, model: BodyModel) -> "PoseLibrary":
        """Read ``poses.safetensors`` of ``scripts/build_wardrobe.py`` for ``model``.

        Raises:
            WeightsNotFoundError: no such file.
            WeightsCorruptError: of another format or for another skeleton.
        """
        path = Path(folder) / "poses.safetensors"
        if not path.is_file():
            raise WeightsNotFoundError(f"{path}: no poses. Build them with scripts/build_wardrobe.py --motions.")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise WeightsCorruptError(f"{path}: expected format {_FORMAT}, found {metadata.get('format')}.")
            moved, clip = file.get_tensor("rotvec").float(), file.get_tensor("clip").long()
        names, clips = json.loads(metadata["joints"]), json.loads(metadata["clips"])
        if unknown := set(names) - set(model.joint_names):
            raise WeightsCorruptError(f"{path}: for another body, with joints {sorted(unknown)}.")
        rotvec = torch.zeros(len(moved), len(model.joint_names), 3)
        rotvec[:, [model.joint_names.index(name) for name in names]] = moved
        return PoseLibrary(rotvec, tuple(clips[index] for index in clip.tolist()))

    @cached_property
    def bounds(self) -> tuple[Int64[Tensor, "N"], Int64[Tensor, "N"]]:
        """First index of each pose's clip, and the first one after it, on the CPU; a clip's poses stand together."""
        starts = [i for i, clip in enumerate(self.clips) if i == 0 or clip != self.clips[i - 1]]
        ends = [*starts[1:], len(self.clips)]
        lengths = torch.tensor([end - start for start, end in zip(starts, ends, strict=True)])
        return torch.tensor(starts).repeat_interleave(lengths), torch.tensor(ends).repeat_interleave(lengths)

    def split(self, name: str) -> "PoseLibrary":
        """Poses for training ("train"), from other clips for evaluation ("held_out"), or "all"."""
        if name == "all":
            return self
        held_out = set(sorted(set(self.clips))[3::8])
        chosen = [index for index, clip in enumerate(self.clips) if (clip in held_out) == (name == "held_out")]
        return PoseLibrary(self.rotvec[chosen], tuple(self.clips[index] for index in chosen))

    def to(self, device: torch.device | str) -> "PoseLibrary":
        """The same on another device."""
        return replace(self, rotvec=self.rotvec.to(device))


def relaxed_stand(model: BodyModel, joints: Float[Tensor, "J 3"]) -> Float[Tensor, "J 3"]:
    """A relaxed stand with the arms a little away from the body, hands at rest, as rotation vectors [rad].

    Args:
        model: The body; joints that it lacks are skipped.
        joints: Rest joints [m]: thumbs and forearms turn about axes between them.
    """
    place = {name: index for index, name in enumerate(model.joint_names)}
    rotvec = joints.new_zeros(len(place), 3)

    def turn(name: str, by: tuple[float, float, float] | Tensor) -> None:
        if name in place:
            rotvec[place[name]] = torch.as_tensor(by, dtype=joints.dtype, device=joints.device)

    def bone(start: str, end: str) -> Float[Tensor, "3"]:
        if start not in place or end not in place:
            return joints.new_tensor([0.0, 1.0, 0.0])
        return F.normalize(joints[place[end]] - joints[place[start]], dim=-1)

    for side, sign in (("L", 1.0), ("R", -1.0)):
        turn(f"clavicle.{side}", (0.0, 0.0, sign * 0.13))
        turn(f"shoulder01.{side}", (0.0, 0.0, sign * 0.10))
        turn(f"upperarm01.{side}", (0.06, 0.0, sign * 0.25))
        turn(f"lowerarm01.{side}", (-0.22, sign * 0.05, sign * 0.10))
        roll = sign * 0.5 * bone(f"lowerarm01.{side}", f"wrist.{side}")
        turn(f"lowerarm02.{side}", 0.6 * roll)
        turn(f"wrist.{side}", 0.4 * roll)
        turn(f"upperleg01.{side}", (0.0, 0.0, sign * 0.075))
        turn(f"foot.{side}", (0.0, 0.0, -sign * 0.075))
        for finger in (2, 3, 4, 5):
            for joint, curl in _CURL:
                turn(f"finger{finger}-{joint}.{side}", (0.0, 0.0, sign * (curl + 0.04 * (finger - 2))))
        closing = swing(bone(f"finger1-1.{side}", f"finger1-3.{side}"), bone(f"finger3-1.{side}", f"finger3-2.{side}"))
        turn(f"finger1-1.{side}", 0.45 * matrix_to_rotvec(closing))
        turn(f"finger1-2.{side}", 0.20 * matrix_to_rotvec(closing))
    return rotvec


def finger_joints(model: BodyModel) -> list[int]:
    """All joints of thumbs and fingers."""
    return sorted({joint for hand in model.roles.fingers for chain in hand for joint in chain})


def draw_places(
    library: PoseLibrary, count: int, standing_share: float, generator: torch.Generator
) -> tuple[Int64[Tensor, "N"], Bool[Tensor, "N"]]:
    """Indices of poses in the library, and who stands instead.

    Args:
        library: Motion capture.
        count: N.
        standing_share: Share of standing poses [0, 1].
        generator: Source of chance.
    """
    pick = torch.randint(len(library.clips), (count,), generator=generator, device=generator.device)
    return pick, torch.rand(count, generator=generator, device=generator.device) < standing_share


def neighbours(
    library: PoseLibrary, pick: Int64[Tensor, "B"], views: int, generator: torch.Generator
) -> Int64[Tensor, "B V"]:
    """Poses of the same clip, each at most 30 poses away from ``pick``."""
    start, end = (bound.to(pick.device)[pick][:, None] for bound in library.bounds)
    steps = torch.rand(len(pick), views, generator=generator, device=generator.device) * 2 - 1
    return (pick[:, None] + (_NEIGHBOURS * steps).round().long()).clamp(start, end - 1)


def draw_poses(
    library: PoseLibrary,
    model: BodyModel,
    pick: Int64[Tensor, "N"],
    standing: Bool[Tensor, "N"],
    generator: torch.Generator,
) -> Float[Tensor, "N J 3 3"]:
    """Poses that face the camera: motion capture or a loose stand, each a little varied, hands from open to fist.

    Args:
        library: Motion capture.
        model: The body, on the generator's device.
        pick: Indices of poses in the library.
        standing: Who stands instead.
        generator: Source of chance.
    """
    device, count = generator.device, len(pick)
    stand = relaxed_stand(model, model.rest(torch.zeros(1, len(model.beta_names), device=device)).joints[0])
    rotvec = torch.where(standing[:, None, None], stand, library.rotvec[pick])
    movable = list(model.roles.movable())
    rotvec[:, movable] += 0.06 * torch.randn(count, len(movable), 3, generator=generator, device=device)
    raised = torch.rand(count, 2, generator=generator, device=device) * standing[:, None]
    for side, sign in ((0, 1.0), (1, -1.0)):
        rotvec[:, model.roles.upper_arm[side], 2] -= sign * 0.9 * raised[:, side] ** 2
    fingers = finger_joints(model)
    hand = torch.rand(count, 1, 1, generator=generator, device=device) * 2.2
    spread = 0.06 * torch.randn(count, len(fingers), 3, generator=generator, device=device)
    rotvec[:, fingers] = stand[fingers] * hand + spread
    return _with_shoulders(model, rotvec_to_matrix(rotvec), (library.rotvec[pick], ~standing))


def _with_shoulders(
    model: BodyModel,
    poses: Float[Tensor, "N J 3 3"],
    recorded: tuple[Float[Tensor, "N J 3"], Bool[Tensor, "N"]],
) -> Float[Tensor, "N J 3 3"]:
    """Let shoulders follow the arms where the motion capture has no collar bones; arms keep their direction.

    At rest the arms are half raised and the shoulders with them: arms that hang from such shoulders are a shrug.

    Args:
        model: The body.
        poses: Relative rotations.
        recorded: The motion capture's rotation vectors, and who takes them.
    """
    roles, poses = model.roles, poses.clone()
    joints = model.rest(poses.new_zeros(1, len(model.beta_names))).joints[0]
    for side, sign in ((0, 1.0), (1, -1.0)):
        girdle, arm = roles.shoulder[side][-2:], roles.upper_arm[side]
        if len(girdle) < 2:
            continue
        clavicle, blade = girdle
        bone = F.normalize(joints[roles.lower_arm[side]] - joints[arm], dim=0)
        before = poses[:, clavicle] @ poses[:, blade]
        down = (before @ poses[:, arm] @ bone)[:, 1].clamp(-1, 1).asin() - bone[1].asin()
        angle = _GIRDLE[0] + _GIRDLE[1] * down
        free = recorded[1] & (recorded[0][:, clavicle].norm(dim=-1) < _STILL)
        angle = sign * angle * free
        poses[:, clavicle] = rotation_about("z", _CLAVICLE * angle) @ poses[:, clavicle]
        poses[:, blade] = rotation_about("z", (1 - _CLAVICLE) * angle) @ poses[:, blade]
        poses[:, arm] = (poses[:, clavicle] @ poses[:, blade]).mT @ before @ poses[:, arm]
    return poses


def turned(poses: Float[Tensor, "N J 3 3"], yaw: Float[Tensor, "N"]) -> Float[Tensor, "N J 3 3"]:
    """Turn whole bodies by ``yaw`` [rad] about the vertical."""
    root = rotation_about("y", yaw) @ poses[:, 0]
    return torch.cat([root[:, None], poses[:, 1:]], 1)


def yaw_angles(people: int, views: int, generator: torch.Generator) -> Float[Tensor, "B V"]:
    """The first view roughly from the front, the second often from the back, the rest from anywhere [rad]."""
    device = generator.device
    normal = torch.randn(people, views, generator=generator, device=device)
    uniform = torch.rand(2, people, views, generator=generator, device=device)
    anywhere = torch.where(uniform[0] < 0.5, 0.5 * normal, (2 * uniform[1] - 1) * math.pi)
    anywhere[:, 0] = 0.35 * normal[:, 0]
    if views > 1:
        anywhere[:, 1] = torch.where(uniform[0, :, 1] < 0.6, math.pi + 0.45 * normal[:, 1], 0.8 * normal[:, 1])
    return anywhere


def one_sided(yaw: Float[Tensor, "B V"], generator: torch.Generator) -> Float[Tensor, "B V"]:
    """All views of a person within 30 degrees of one of them, the first or, for some people, the last."""
    uniform = torch.rand(*yaw.shape, generator=generator, device=generator.device) * 2 - 1
    side = torch.where(torch.rand(len(yaw), generator=generator, device=generator.device) < 0.7, yaw[:, 0], yaw[:, -1])
    return side[:, None] + _ONE_SIDE * uniform
