"""How well Body Mesh Recovery agrees with what the detectors saw, on any footage: no ground truth is needed.

Landmark error and overlap say whether the body lies on the person; jitter and lag say what the temporal smoothing did
against the raw detections, and against the picture's own motion. What they cannot say (depth, hidden limbs) is for the
eye: see the contact sheets.
"""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel
from liquidwarp.config import FitConfig
from liquidwarp.evaluate.picture_motion import picture_accelerations
from liquidwarp.geometry.raster import rasterize
from liquidwarp.media import IMAGE_SUFFIXES, open_frames, read_image, save_image
from liquidwarp.recover.detection.detections import BODY_LANDMARKS, Detections, PackedMasks
from liquidwarp.recover.films.shots import find_shots
from liquidwarp.recover.fitting.fit import BodyFit, fit_body
from liquidwarp.recover.fitting.observation import observe
from liquidwarp.recover.fitting.skeleton import Skeleton
from liquidwarp.recover.fitting.whole_fit import fit_video
from liquidwarp.recover.overlay import draw_body
from liquidwarp.recover.tracking.tracker import PersonDetector

__all__ = ["RecoveryReport", "RecoveryScore", "evaluate_recover", "lag", "overlap", "score_recovery"]

_MASKS_COMPARED = 40
"""Frames of a video whose overlap is measured."""
_SHEET_PICTURES = 8
_SHEET_HEIGHT = 480
"""Of each picture in a sheet [px]."""
_OF_HAND = {"wrist": 0, "thumb": 3, "index": 5, "pinky": 17}
"""Landmarks of the body's detector, and the same points among those of the hands' own."""
_SIDES = ("left", "right")
_FACIAL_EYES = range(1, 7)
"""Six landmarks that say the same as the nose."""


@dataclass(frozen=True)
class RecoveryScore:
    """Figures of one video or photo."""

    name: str
    frames: int
    found: float
    """Share of frames with a person [0, 1]."""
    landmark_error: float
    """Mean distance of the projected from the detected landmarks [% of body height], eyes counted by the nose; where a
    hand was seen its own landmarks stand for the body's wrist, knuckles and thumb."""
    landmark_error_95: float
    """The same, 95th percentile."""
    error_body: float
    """The mean by the body's detector alone [% of body height]."""
    overlap: float
    """Mean intersection over union of drawn body and mask [0, 1]."""
    overlap_least: float
    """The worst frame's."""
    jitter: float
    """Mean acceleration of the body's landmarks [0.1 % of body height per frame^2]; 0 for photos."""
    jitter_detected: float
    """The same of the raw detections."""
    jitter_picture: float
    """The same of the picture itself, by optical flow where the body's landmarks are: so much of it is meant."""
    lag_ms: float
    """How much later than the detections the body moves [ms]."""
    detect_ms: float
    """Per frame, reading included."""
    fit_ms: float
    """Per frame."""


@dataclass(frozen=True)
class RecoveryReport:
    """Figures of several files; ``str()`` makes a table."""

    scores: tuple[RecoveryScore, ...]

    def __str__(self) -> str:
        head = (
            f"{'file':<32} frames found  error %  (95 %) by body  overlap (least)  jitter   raw picture  lag ms"
            "  detect  fit ms/frame"
        )
        lines = [
            f"{s.name[:32]:<32} {s.frames:>6} {s.found:>5.2f} {s.landmark_error:>8.2f} {s.landmark_error_95:>7.2f} "
            f"{s.error_body:>7.2f} {s.overlap:>8.3f} {s.overlap_least:>7.3f} {s.jitter:>7.2f} "
            f"{s.jitter_detected:>5.2f} {s.jitter_picture:>7.2f} {s.lag_ms:>7.1f} {s.detect_ms:>7.0f} {s.fit_ms:>7.0f}"
            for s in self.scores
        ]
        return "\n".join([head, *lines])


def evaluate_recover(
    paths: Sequence[str | Path],
    out: str | Path | None = None,
    max_frames: int | None = None,
    config: FitConfig | None = None,
) -> RecoveryReport:
    """Recover each file by itself and measure.

    Args:
        paths: Videos and photos.
        out: A folder for a contact sheet per file and ``recover.json``.
        max_frames: Only the first frames of each video.
        config: Settings of the fit.

    Raises:
        MediaError: a file cannot be read.
        NoPersonFoundError: nobody in it.
    """
    model, detector, scores = AnnyBody.load(), PersonDetector(), []
    for path in map(Path, paths):
        start = time.perf_counter()
        if path.suffix.lower() in IMAGE_SUFFIXES:
            detections = detector.detect_photo(read_image(path).rgb)
        else:
            frames = open_frames(path, None, max_frames)
            detections = detector.detect_frames(frames, frames.size, frames.fps, shots=find_shots(frames))
        middle = time.perf_counter()
        if detections.fps > 0:
            fit, held = fit_video(detections, frames, model, config or FitConfig())
        else:
            fit, held = fit_body(detections, model, config), None
        seconds = (middle - start, time.perf_counter() - middle)
        shown = frames if detections.fps > 0 else ()
        scores.append(score_recovery(path.name, detections, fit, model, seconds, held, shown))
        if out is not None:
            save_image(Path(out) / f"{path.stem}.png", _contact_sheet(path, detections, fit, model, held))
    report = RecoveryReport(tuple(scores))
    if out is not None:
        text = json.dumps([asdict(score) for score in scores], indent=2)
        (Path(out) / "recover.json").write_text(text + "\n", encoding="utf-8")
    return report


def score_recovery(
    name: str,
    detections: Detections,
    fit: BodyFit,
    model: BodyModel,
    seconds: tuple[float, float] = (0.0, 0.0),
    held: PackedMasks | None = None,
    video: Iterable[UInt8[np.ndarray, "H W 3"]] = (),
) -> RecoveryScore:
    """Compare a fit with the detections that it was made from.

    Args:
        name: For the table.
        detections: Raw, not smoothed.
        fit: The body.
        model: The body model.
        seconds: What detection and fit took together for all frames [s].
        held: Where things are that the person holds; there the overlap does not count.
        video: Its frames; without them nothing is known of the picture's own motion.
    """
    body, found = fit.body, detections.found
    rest = model.rest(body.betas[None]).vertices[0, :, 1]
    height = (rest.amax() - rest.amin()) * body.camera.scale[:, None]  # [px]
    skeleton = Skeleton.of(model)
    posed = skeleton.pose(body.rel_rotmats[:, skeleton.joints], body.betas)
    points = skeleton.locate(posed, skeleton.landmark_points(model.landmarks["body"]), body.betas)
    drawn = body.camera.project(points)[..., :2]
    counted = [index for index in range(drawn.shape[1]) if index not in _FACIAL_EYES]
    inside = ((detections.xy > 0) & (detections.xy < torch.tensor(detections.image_size))).all(-1) & found[:, None]
    apart = (drawn - detections.xy).norm(dim=-1) / height
    error_body = apart[:, counted][inside[:, counted]]
    tables = [model.landmarks[f"{side}_hand"] for side in _SIDES]
    hands = [skeleton.locate(posed, skeleton.landmark_points(table), body.betas) for table in tables]
    of_hands = torch.stack([body.camera.project(hand)[..., :2] for hand in hands], 1) - detections.hands_xy
    apart = _by_hands(apart, of_hands.norm(dim=-1) / height[:, None], observe(detections).hand_weight > 0)
    error = apart[:, counted][inside[:, counted]]
    frames = found.nonzero()[:, 0]
    compared = frames[torch.linspace(0, len(frames) - 1, min(_MASKS_COMPARED, len(frames))).round().long()]
    overlaps = [overlap(detections, fit, model, int(frame), held) for frame in compared]
    is_video = detections.fps > 0 and len(found) > 4
    count = max(len(found), 1)
    masks = detections.masks if held is None else detections.masks.without(held)
    meant = picture_accelerations(video if is_video else (), drawn, height[:, 0], masks).norm(dim=-1) / height
    return RecoveryScore(
        name=name,
        frames=len(found),
        found=float(found.float().mean()),
        landmark_error=100 * float(error.mean()),
        error_body=100 * float(error_body.mean()),
        landmark_error_95=100 * float(error.quantile(0.95)),
        overlap=float(np.mean(overlaps)),
        overlap_least=float(np.min(overlaps)),
        jitter=_jitter(drawn, height, found) if is_video else 0.0,
        jitter_detected=_jitter(detections.xy, height, found) if is_video else 0.0,
        jitter_picture=1e3 * float(meant[found].nanmean().nan_to_num()),
        lag_ms=1e3 * lag(detections.xy, drawn, detections.fps) if is_video and bool(found.all()) else 0.0,
        detect_ms=1e3 * seconds[0] / count,
        fit_ms=1e3 * seconds[1] / count,
    )


def _by_hands(
    apart: Float[Tensor, "T 33"], of_hands: Float[Tensor, "T 2 21"], seen: Bool[Tensor, "T 2"]
) -> Float[Tensor, "T 33"]:
    """The distances of the body's landmarks, those on a hand that was seen by the hand's own landmarks."""
    apart = apart.clone()
    for side, name in enumerate(_SIDES):
        for part, index in _OF_HAND.items():
            column = BODY_LANDMARKS.index(f"{name}_{part}")
            apart[:, column] = torch.where(seen[:, side], of_hands[:, side, index], apart[:, column])
    return apart


def overlap(
    detections: Detections, fit: BodyFit, model: BodyModel, frame: int, held: PackedMasks | None = None
) -> float:
    """Intersection over union of the drawn body and the mask of one frame [0, 1], where nothing is held."""
    mask, body = detections.masks[frame], fit.body[slice(frame, frame + 1)]
    vertices = model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices
    camera = body.camera.resized(mask.shape[1] / detections.image_size[0])
    drawn = rasterize(camera.project(vertices), model.faces, *mask.shape).covered[0].numpy()
    counted = np.ones_like(mask) if held is None else ~held[frame]
    return float((drawn & mask & counted).sum() / max(int(((drawn | mask) & counted).sum()), 1))


def lag(reference: Float[Tensor, "T P 2"], moved: Float[Tensor, "T P 2"], fps: float) -> float:
    """By how much ``moved`` is later than ``reference`` [s], by the shift at which their velocities agree best.

    The best of up to 4 frames (least squares: a cross-correlation that is blind to size), refined by a parabola.
    """
    first, second = (values.diff(dim=0).flatten(1) for values in (reference, moved))
    reach = min(4, len(first) // 3)
    shifts = range(-reach, reach + 1)
    core = slice(reach, len(first) - reach)
    score = [-float((first[core] - torch.roll(second, -shift, 0)[core]).square().sum()) for shift in shifts]
    best = int(np.argmax(score))
    if not 0 < best < len(score) - 1:
        return shifts[best] / fps
    before, peak, after = score[best - 1 : best + 2]
    refined = (before - after) / (2 * (before - 2 * peak + after))
    return (shifts[best] + refined) / fps


def _jitter(points: Float[Tensor, "T P 2"], height: Float[Tensor, "T 1"], found: Tensor) -> float:
    """Mean length of the second difference [0.1 % of body height], where three frames in a row hold the person."""
    acceleration = (points[2:] - 2 * points[1:-1] + points[:-2]).norm(dim=-1) / height[1:-1]
    whole = found[2:] & found[1:-1] & found[:-2]
    return 1e3 * float(acceleration[whole].mean()) if bool(whole.any()) else 0.0


def _contact_sheet(
    path: Path, detections: Detections, fit: BodyFit, model: BodyModel, held: PackedMasks | None
) -> UInt8[np.ndarray, "H W 3"]:
    """Some frames side by side, with body, mask (without held things) and landmarks drawn."""
    masks = detections.masks if held is None else detections.masks.without(held)
    wanted = set(np.linspace(0, len(detections) - 1, min(_SHEET_PICTURES, len(detections))).astype(int).tolist())
    pictures = [read_image(path).rgb] if path.suffix.lower() in IMAGE_SUFFIXES else open_frames(path)
    drawn = []
    for index, picture in zip(range(len(detections)), pictures, strict=False):
        if index in wanted:
            body = fit.body[slice(index, index + 1)]
            overlay = draw_body(picture, body, model, masks[index], detections.xy[index])
            width = round(overlay.shape[1] * _SHEET_HEIGHT / overlay.shape[0])
            drawn.append(cv2.resize(overlay, (width, _SHEET_HEIGHT), interpolation=cv2.INTER_AREA))
    return np.concatenate(drawn, 1)
