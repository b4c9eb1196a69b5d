"""BlazePose: where people are (a single-shot detector) and their 33 landmarks with a mask (the heavy network).

The networks run through LiteRT; everything before and after them is decoded here. Bazarevsky et al. 2020,
"BlazePose: On-device Real-time Body Pose Tracking"; world landmarks: Grishchenko et al. 2022, "BlazePose GHUM
Holistic".
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from liquidwarp.errors import WeightsCorruptError, WeightsNotFoundError
from liquidwarp.recover.detection.regions import Region, crop, paint_back, region_of_circle

__all__ = ["Candidate", "Network", "PeopleFinder", "Pose", "PoseNetwork", "decode_boxes", "load_network", "ssd_anchors"]

Network = Callable[[Float[np.ndarray, "1 S S 3"]], list[Float[np.ndarray, "1 ..."]]]
"""RGB to raw outputs; each network's own range."""

DETECTOR_SIZE = 224
"""Side of the picture that the detector looks at [px]."""
DETECTOR_STRIDES = (8, 16, 32, 32, 32)
"""Between the anchors of its layers [px]."""
POSE_SIZE = 256
"""Side of the picture that the landmark network looks at [px]."""
HEATMAP_RADIUS = 3
"""Around the highest place, within which a landmark is refined [cells of the heat map]."""
REGION_SCALE = 1.25
"""The region is this much larger than the circle around the body, as in training."""


def load_network(path: Path, threads: int) -> Network:
    """Open a .tflite file.

    Args:
        path: The file.
        threads: CPU threads that one call may use.

    Raises:
        WeightsNotFoundError: no such file.
        WeightsCorruptError: the file is damaged.
    """
    from ai_edge_litert.interpreter import Interpreter

    if not path.is_file():
        raise WeightsNotFoundError(f"{path}: expected a detector network, found no file. Install liquidwarp again.")
    try:
        with _silent_stderr():
            interpreter = Interpreter(str(path), num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise WeightsCorruptError(
            f"{path}: not a readable .tflite file ({error}). Install liquidwarp again."
        ) from error
    source = interpreter.get_input_details()[0]["index"]
    results = [detail["index"] for detail in interpreter.get_output_details()]

    def run(image: Float[np.ndarray, "1 S S 3"]) -> list[Float[np.ndarray, "1 ..."]]:
        interpreter.set_tensor(source, image)
        interpreter.invoke()
        return [interpreter.get_tensor(result) for result in results]

    return run


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """LiteRT's C++ side writes a line to file descriptor 2 for every network and knows no switch for it."""
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def sigmoid(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The logistic function without overflow."""
    squashed: np.ndarray = 0.5 * (1 + np.tanh(0.5 * values))
    return squashed


def ssd_anchors(size: int, strides: Sequence[int], per_cell: int = 2) -> Float[np.ndarray, "N 2"]:
    """Centres of the detector's anchors in the unit square, row by row; layers of equal stride share their cells."""
    layers = []
    for stride in sorted(set(strides)):
        cells = -(-size // stride)
        centres = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(centres, centres)
        layers.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), per_cell * strides.count(stride), axis=0))
    return np.concatenate(layers).astype(np.float32)


def decode_boxes(
    offsets: Float[np.ndarray, "N D"],
    logits: Float[np.ndarray, "N"],
    anchors: Float[np.ndarray, "N 2"],
    size: int,
    threshold: float,
    overlap: float = 0.3,
) -> tuple[Float[np.ndarray, "M D"], Float[np.ndarray, "M"]]:
    """Detections of a single-shot detector after weighted non-maximum suppression.

    Args:
        offsets: Centre x, y, width, height, then key points x, y; in input pixels from the anchor.
        logits: Score of each anchor before the sigmoid.
        anchors: Centres in the unit square.
        size: Side of the network's input [px].
        threshold: Least score.
        overlap: Boxes with a larger intersection over union are one detection: their mean by score.

    Returns:
        Boxes (left, top, right, bottom, then key points, all in the unit square), best first, and their scores.
    """
    scores = sigmoid(logits)
    kept = np.flatnonzero(scores >= threshold)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    values, scores = offsets[kept] / size, scores[kept]
    points = values.reshape(len(kept), offsets.shape[1] // 2, 2)
    half = points[:, 1] / 2
    points = points + anchors[kept][:, None]
    points[:, 0], points[:, 1] = points[:, 0] - half, points[:, 0] + half
    found, found_scores = [], []
    while len(points):
        same = _box_overlap(points[0], points) > overlap
        same[0] = True
        weights = scores[same, None, None]
        found.append((points[same] * weights).sum(0).ravel() / weights.sum())
        found_scores.append(scores[0])
        points, scores = points[~same], scores[~same]
    return np.array(found).reshape(-1, offsets.shape[1]), np.array(found_scores)


def _box_overlap(box: Float[np.ndarray, "P 2"], others: Float[np.ndarray, "M P 2"]) -> Float[np.ndarray, "M"]:
    """Intersection over union of the boxes that the first two points span."""
    extent = np.minimum(box[1], others[:, 1]) - np.maximum(box[0], others[:, 0])
    shared = np.clip(extent, 0, None).prod(1)
    area = (others[:, 1] - others[:, 0]).prod(1)
    both = (box[1] - box[0]).prod() + area - shared
    overlaps: np.ndarray = shared / np.maximum(both, 1e-9)
    return overlaps


@dataclass(frozen=True)
class Candidate:
    """A place where a person may be."""

    region: Region
    """The square for the landmark network; roughly placed."""
    score: float
    """[0, 1]."""


class PeopleFinder:
    """The detector: any number of people in a picture."""

    def __init__(self, network: Network, threshold: float) -> None:
        self._network = network
        self._threshold = threshold
        self._anchors = ssd_anchors(DETECTOR_SIZE, DETECTOR_STRIDES)

    def __call__(self, image: UInt8[np.ndarray, "H W 3"], view: Region) -> list[Candidate]:
        """Look for people in a part of a picture, best first."""
        pixels = crop(image, view, DETECTOR_SIZE).astype(np.float32) / 127.5 - 1
        offsets, logits = self._network(pixels[None])
        boxes, scores = decode_boxes(offsets[0], logits[0].ravel(), self._anchors, DETECTOR_SIZE, self._threshold)
        points = [view.to_image(box.reshape(-1, 2)) for box in boxes]
        # Corners of the box, middle of the hips, the body circle's top, the same for the upper body.
        return [
            Candidate(region_of_circle(p[2], p[3], REGION_SCALE), float(score))
            for p, score in zip(points, scores, strict=True)
        ]


@dataclass(frozen=True)
class Pose:
    """What the landmark network saw in one region."""

    region: Region
    """Where it looked."""
    next_region: Region
    """The region that its own landmarks ask for: better placed, and the one to look at in the next frame."""
    score: float
    """Whether a person is there at all [0, 1]."""
    xy: Float[np.ndarray, "33 2"]
    """Landmarks [px]."""
    world: Float[np.ndarray, "33 3"]
    """Landmarks [m], OpenCV axes, origin between the hips."""
    visibility: Float[np.ndarray, "33"]
    """[0, 1]."""
    mask_logits: Float[np.ndarray, "256 256"]
    """The person in the region, before the sigmoid."""

    @cached_property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the landmarks [px]; it reaches out of the picture where the body does."""
        (left, top), (right, bottom) = self.xy.min(0).tolist(), self.xy.max(0).tolist()
        return left, top, right, bottom

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the landmarks' box [px]."""
        left, top, right, bottom = self.extent
        return (left + right) / 2, (top + bottom) / 2

    @property
    def height(self) -> float:
        """The longer extent of the landmarks [px]; for a standing person a little less than the height."""
        left, top, right, bottom = self.extent
        return max(right - left, bottom - top)

    def soft_mask(self, picture_size: tuple[int, int], size: tuple[int, int]) -> Float[np.ndarray, "H W"]:
        """The person's probability [0, 1] on a grid of ``size`` (width, height) over the whole picture."""
        return paint_back(sigmoid(self.mask_logits), self.region, picture_size, size)


class PoseNetwork:
    """The landmark network."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, image: UInt8[np.ndarray, "H W 3"], region: Region) -> Pose:
        """Find the landmarks of the person in ``region``."""
        pixels = crop(image, region, POSE_SIZE).astype(np.float32) / 255
        flat, score, mask, heatmaps, world = self._network(pixels[None])
        points = flat.reshape(39, 5)
        unit = refine(points[:, :2].astype(np.float64) / POSE_SIZE, heatmaps[0])
        xy = region.to_image(unit)
        # The last points but four are the middle of the hips and the top of the circle around the whole body.
        return Pose(
            region=region,
            next_region=region_of_circle(xy[33], xy[34], REGION_SCALE),
            score=float(score.ravel()[0]),
            xy=xy[:33],
            world=region.turn(world.reshape(39, 3)[:33]),
            visibility=sigmoid(points[:33, 3:5]).min(1),
            mask_logits=mask.reshape(POSE_SIZE, POSE_SIZE),
        )


def refine(unit: Float[np.ndarray, "L 2"], heatmaps: Float[np.ndarray, "h w L"]) -> Float[np.ndarray, "L 2"]:
    """Move landmarks to the centre of mass of their heat maps, where those are sure.

    Args:
        unit: Regressed landmarks in the unit square.
        heatmaps: One map a landmark, before the sigmoid.
    """
    height, width, _ = heatmaps.shape
    refined: np.ndarray = unit.copy()
    for index, (x, y) in enumerate(unit):
        column, row = int(x * width), int(y * height)
        if not (0 <= column < width and 0 <= row < height):
            continue
        left, top = max(0, column - HEATMAP_RADIUS), max(0, row - HEATMAP_RADIUS)
        window = sigmoid(heatmaps[top : row + HEATMAP_RADIUS + 1, left : column + HEATMAP_RADIUS + 1, index])
        if window.max() < 0.5:
            continue
        columns, rows = left + np.arange(window.shape[1]), top + np.arange(window.shape[0])
        total = window.sum()
        refined[index] = (window.sum(0) @ columns / total / width, window.sum(1) @ rows / total / height)
    return refined
