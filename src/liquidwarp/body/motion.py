"""Motions: what a person does over time, apart from who it is and from where one looks.

A motion comes from a file (BVH, our own npz, SMPL parameters as npz) or from a recovered driving video.
"""

import zipfile
import zlib
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.bvh import read_bvh
from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.skeleton import body_track, smpl_motion
from liquidwarp.errors import MotionError
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotvec_to_matrix

__all__ = ["MOTION_SUFFIXES", "Motion", "leg_length", "load_motion", "motion_of"]

MOTION_SUFFIXES = (".bvh", ".npz")
_DAMAGES = (OSError, EOFError, ValueError, RuntimeError, KeyError, zipfile.BadZipFile, zlib.error)
"""What Python raises for a damaged npz, depending on the byte."""


@dataclass(frozen=True)
class Motion:
    """Poses over T frames and the way that the body takes through the scene, in OpenCV axes."""

    rel_rotmats: Float[Tensor, "T J 3 3"]
    """Rotation of each of the model's joints relative to its parent. The root's is relative to the camera."""
    translation: Float[Tensor, "T 3"]
    """Path of the root relative to frame 0 [m]. Of a video: image travel at the size of frame 0, depth 0."""
    zoom: Float[Tensor, "T"]
    """Apparent size relative to frame 0; 1 for motion files, whose depth is in ``translation``."""
    fps: float
    """Frames per second."""
    leg_length: float
    """Hip to ankle of the one who moved [m]; ``translation`` is measured against it."""
    name: str = ""
    shot: Int64[Tensor, "T"] | None = None
    """Which shot of a cut film each frame belongs to, rising: nothing is smoothed across a cut. None: no cuts."""

    def __len__(self) -> int:
        return self.rel_rotmats.shape[0]

    def __getitem__(self, frames: slice | Tensor) -> "Motion":
        return replace(
            self,
            rel_rotmats=self.rel_rotmats[frames],
            translation=self.translation[frames],
            zoom=self.zoom[frames],
            shot=None if self.shot is None else self.shot[frames],
        )

    @property
    def stretches(self) -> list[slice]:
        """The frames of each shot."""
        if self.shot is None:
            return [slice(0, len(self))]
        ends = self.shot.unique_consecutive(return_counts=True)[1].cumsum(0).tolist()
        return [slice(start, end) for start, end in pairwise([0, *ends])]

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""
        return (len(self) - 1) / self.fps

    def resampled(self, fps: float) -> "Motion":
        """The same motion at another frame rate: rotations by spherical, the rest by linear interpolation.

        Args:
            fps: Frames per second, above 0.

        Raises:
            MotionError: ``fps`` is not above 0.
        """
        if not fps > 0:
            raise MotionError(f"fps: expected a frame rate above 0, got {fps}.")
        if fps == self.fps:
            return self
        count = round(self.duration * fps) + 1
        time = (torch.arange(count, dtype=torch.float64) * (self.fps / fps)).clamp(max=len(self) - 1)
        low = time.floor().long().clamp(max=max(len(self) - 2, 0))
        high = (low + 1).clamp(max=len(self) - 1)
        if self.shot is not None:
            high = torch.where(self.shot[high] == self.shot[low], high, low)
        share = (time - low).float()
        start, end = self.rel_rotmats[low], self.rel_rotmats[high]
        step = matrix_to_rotvec(start.mT @ end) * share[:, None, None]
        return replace(
            self,
            rel_rotmats=start @ rotvec_to_matrix(step),
            translation=torch.lerp(self.translation[low], self.translation[high], share[:, None]),
            zoom=torch.lerp(self.zoom[low], self.zoom[high], share),
            fps=float(fps),
            shot=None if self.shot is None else self.shot[low],
        )


def leg_length(model: BodyModel, betas: Float[Tensor, "K"]) -> float:
    """Hip to ankle along the bones, mean of both legs [m]."""
    joints, roles = model.rest(betas[None]).joints[0], model.roles
    chain = joints[torch.tensor([roles.upper_leg, roles.lower_leg, roles.foot], device=joints.device)]
    return float((chain[1:] - chain[:-1]).norm(dim=-1).sum(0).mean())


def motion_of(
    body: BodyParams,
    model: BodyModel,
    fps: float,
    name: str = "",
    shot: Int64[Tensor, "T"] | None = None,
    scene: Int64[Tensor, "T"] | None = None,
) -> Motion:
    """The motion of a body that was recovered from a video.

    Args:
        body: Poses and cameras of T frames.
        model: The body model of ``body``.
        fps: The video's frames per second.
        name: What it is called in messages.
        shot: Which shot of a film each frame belongs to; None: no cuts.
        scene: Frames with the same number are from the same camera in the same place. With each other one the travel
            begins anew, as places and sizes cannot be compared. None: all are.

    Returns:
        The motion: image travel in metres at the size of frame 0, the size itself as ``zoom``.

    Raises:
        MotionError: no frames, or ``fps`` is not above 0.
    """
    if len(body) == 0:
        raise MotionError(f"{name or 'body'}: the motion has no frames; expected at least one.")
    if not fps > 0:
        raise MotionError(f"fps: expected a frame rate above 0, got {fps}. Photos have no motion.")
    camera = body.camera
    start = torch.zeros(len(body), dtype=torch.long, device=camera.scale.device)
    if scene is not None:
        _, there = scene.unique(return_inverse=True)
        first = torch.full((int(there.max()) + 1,), len(body))
        first = first.scatter_reduce(0, there, torch.arange(len(body)), "amin")
        start = first[there].to(start.device)
    travel = (camera.translation - camera.translation[start]) / camera.scale[start, None]
    translation = torch.cat([travel, torch.zeros_like(travel[:, :1])], 1)
    zoom, leg = camera.scale / camera.scale[start], leg_length(model, body.betas)
    return Motion(body.rel_rotmats, translation, zoom, float(fps), leg, name, shot)


def load_motion(path: Path | str, model: BodyModel, fps: float | None = None) -> Motion:
    """Read a motion file.

    Args:
        path: A BVH file of any common skeleton; an npz of :func:`liquidwarp.body.export.save_npz`; or an npz with
            SMPL parameters as AMASS has them (``poses``, ``trans``, ``mocap_framerate``).
        model: The body that shall move.
        fps: Frames per second to resample to; None keeps the file's.

    Returns:
        The motion on the model's joints.

    Raises:
        MotionError: the file cannot be read or understood, or its joints are unknown.
    """
    path = Path(path)
    if not path.is_file():
        raise MotionError(f"{path}: no such motion file. Check the path.")
    if path.suffix.lower() not in MOTION_SUFFIXES:
        known = " or ".join(MOTION_SUFFIXES)
        raise MotionError(f"{path}: expected a motion file ending in {known}, found {path.suffix or 'no ending'!r}.")
    motion = _load_bvh(path, model) if path.suffix.lower() == ".bvh" else _load_npz(path, model)
    return motion if fps is None else motion.resampled(fps)


def _load_bvh(path: Path, model: BodyModel) -> Motion:
    tracked = read_bvh(path)
    track = body_track(path.name, tracked, model)
    zoom = torch.ones(len(track.translation))
    return Motion(track.rel_rotmats, track.translation, zoom, tracked.fps, track.leg_length, path.stem)


def _load_npz(path: Path, model: BodyModel) -> Motion:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in _NPZ_NAMES if name in file.files}
    except _DAMAGES as error:
        raise MotionError(f"{path}: cannot be read as npz ({error}). Save it again with numpy.savez.") from error
    if "rel_rotmats" in arrays:
        return _own_npz(path, arrays, model)
    if "poses" in arrays:
        return _smpl_npz(path, arrays, model)
    raise MotionError(
        f"{path}: expected either 'rel_rotmats' (a motion saved by this package) or 'poses', 'trans' and "
        f"'mocap_framerate' (SMPL parameters), found {sorted(arrays) or 'none of them'}."
    )


_NPZ_NAMES = (
    *("rel_rotmats", "translation", "zoom", "fps", "leg_length", "joint_names", "shot"),
    *("poses", "trans", "mocap_framerate", "mocap_frame_rate"),
)


def _own_npz(path: Path, arrays: dict[str, np.ndarray], model: BodyModel) -> Motion:
    missing = [name for name in _NPZ_NAMES[:6] if name not in arrays]
    if missing:
        raise MotionError(f"{path}: {', '.join(missing)} missing. Save the motion again.")
    if tuple(arrays["joint_names"].tolist()) != model.joint_names:
        raise MotionError(
            f"{path}: made for a body with {len(arrays['joint_names'])} joints, this one ({model.name}) has "
            f"{len(model.joint_names)} or other names. Save the motion with the same body model, or as BVH."
        )
    frames, joints = len(arrays["rel_rotmats"]), len(model.joint_names)
    shapes = {"rel_rotmats": (frames, joints, 3, 3), "translation": (frames, 3), "zoom": (frames,)}
    tensors = {name: _floats(path, name, arrays[name], shape) for name, shape in shapes.items()}
    fps, leg = float(arrays["fps"]), float(arrays["leg_length"])
    if frames == 0 or not fps > 0 or not leg > 0:
        raise MotionError(f"{path}: expected frames, fps and leg_length above 0, found {frames}, {fps}, {leg}.")
    shot = arrays.get("shot")
    if shot is not None and (shot.shape != (frames,) or shot.dtype != np.int64 or (np.diff(shot) < 0).any()):
        raise MotionError(f"{path}: shot: expected {frames} rising whole numbers, found {shot.dtype} {shot.shape}.")
    numbers = None if shot is None else torch.from_numpy(shot)
    return Motion(**tensors, fps=fps, leg_length=leg, name=path.stem, shot=numbers)


def _smpl_npz(path: Path, arrays: dict[str, np.ndarray], model: BodyModel) -> Motion:
    poses = arrays["poses"]
    frames = len(poses)
    if poses.ndim != 2 or poses.shape[1] < 66 or frames == 0:
        raise MotionError(f"{path}: poses: expected (T, 66 or more) rotation vectors, found {poses.shape}.")
    rate = arrays.get("mocap_framerate", arrays.get("mocap_frame_rate"))
    if rate is None or not float(rate) > 0:
        raise MotionError(f"{path}: mocap_framerate: expected frames per second above 0, found {rate}.")
    rotvecs = _floats(path, "poses", poses[:, :66], (frames, 66)).view(frames, 22, 3)
    translation = _floats(path, "trans", arrays.get("trans", np.zeros((frames, 3))), (frames, 3))
    track = body_track(path.name, smpl_motion(rotvecs, translation, float(rate)), model)
    zoom = torch.ones(len(track.translation))
    return Motion(track.rel_rotmats, track.translation, zoom, float(rate), track.leg_length, path.stem)


def _floats(path: Path, name: str, array: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    if array.shape != shape or not np.issubdtype(array.dtype, np.number) or not np.isfinite(array).all():
        raise MotionError(
            f"{path}: {name}: expected finite numbers of shape {shape}, found {array.dtype} {array.shape}."
        )
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
