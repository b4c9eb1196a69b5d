"""Find one person among several and follow that person through a video."""

import logging
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8

from liquidwarp.config import DetectConfig
from liquidwarp.errors import NoPersonFoundError, ShapeError
from liquidwarp.recover.choice import PersonChoice, choose_person, parse_choice
from liquidwarp.recover.detections import Detections
from liquidwarp.recover.hands_face import FaceNetwork, Hand, HandNetwork
from liquidwarp.recover.landmarks import POSE_SIZE, REGION_SCALE, Network, PeopleFinder, Pose, PoseNetwork, load_network
from liquidwarp.recover.matte import CoarseMask
from liquidwarp.recover.regions import Region, crop, region_around, region_of_picture
from liquidwarp.recover.sides import untangle
from liquidwarp.recover.sightings import Sighting, collect, mask_size, sighting
from liquidwarp.weights import asset

__all__ = ["Networks", "PersonChoice", "PersonDetector", "choose_person", "parse_choice"]

MAX_THREADS = 4
"""More threads hardly help networks this small."""
MASK_VIEWS = ((1.0, 0.0), (0.92, 0.06), (1.08, -0.06))
"""Growth and turn [rad] of the regions whose masks are averaged."""
QUARTER_TURNS = (math.pi / 2, -math.pi / 2, math.pi)
TILES = (0.6, 0.35, 0.2)
"""Sides of the squares in which small people are looked for, in longer sides of the picture: the detector sees people
who fill at least a fifth of what it looks at."""
SECOND_LOOK = 1.3
"""Side of the square in which somebody just found must be found again, upright and in the middle, in sides of the
pose's own region. Real people are; of the shapes that are taken for people in one way of looking, hardly any."""
LIMBS = (13, 14, 15, 16, 25, 26, 27, 28)
"""Elbows, wrists, knees and ankles among the landmarks."""
HIDDEN_LIMB = 0.1
"""Where no limb is more visible than this, a shape was taken for a trunk."""
SAME_PERSON = 0.5
"""A person whose mask lies more than this share in the masks of people found before is one of them, or a limb."""
MIN_OVERLAP = 0.2
"""A person whose box overlaps less with the box in the frame before has jumped: a cut, or another person."""
LOOK_HARDER_EVERY = 10
"""While nobody is found, only every so many frames small and turned people are looked for."""
MATCH_COST = 2.0
"""The worst match that still counts as the person who was lost."""
LOOK_AROUND_EVERY = 5
"""Frames between two looks for other people near by."""
COMPANY_FRAMES = 50
"""So long after another person was near, a change of colours is not believed."""
LIKENESS = 0.9
"""Colours less alike than this are another person's; one and the same keeps above 0.94, also in fast dances."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Networks:
    """The four networks behind a detector."""

    finder: Network
    pose: Network
    hand: Network
    face: Network

    @staticmethod
    def bundled(threads: int) -> "Networks":
        """Open the files that come with the package.

        Args:
            threads: CPU threads of each; 0: as many as there are cores, at most MAX_THREADS.
        """
        threads = threads or min(MAX_THREADS, os.cpu_count() or 1)
        names = ("pose_detection", "pose_landmark_heavy", "hand_landmark_full", "face_landmark")
        return Networks(*(load_network(asset(f"detectors/{name}.tflite"), threads) for name in names))


class PersonDetector:
    """Landmarks, hands, face and mask of one person in photos and videos.

    The networks are opened once and kept; one detector serves one thread at a time.
    """

    def __init__(self, config: DetectConfig | None = None, networks: Networks | None = None) -> None:
        """Open the networks.

        Args:
            config: Thresholds and threads.
            networks: Other networks than the bundled ones, with the same inputs and outputs.
        """
        self.config = DetectConfig() if config is None else config
        networks = Networks.bundled(self.config.threads) if networks is None else networks
        self.finder = PeopleFinder(networks.finder, self.config.detection_threshold)
        self.pose = PoseNetwork(networks.pose)
        self.hands = HandNetwork(networks.hand)
        self.face = FaceNetwork(networks.face)

    def detect_people(self, rgb: UInt8[np.ndarray, "H W 3"], everybody: bool = True) -> list[Pose]:
        """Find the people in a picture, largest first.

        Args:
            rgb: The picture.
            everybody: Look for small people too, and if nobody is there, for people who lie or stand on their heads;
                up to a hundred times slower than one look at the whole picture.
        """
        height, width = rgb.shape[:2]
        levels = [[region_of_picture(width, height)]]
        if everybody:
            levels += [_tiles(width, height, share * max(width, height)) for share in TILES]
            levels += [[region_of_picture(width, height, angle) for angle in QUARTER_TURNS]]
        people: list[Pose] = []
        taken = np.zeros(mask_size((width, height))[::-1], bool)
        for level, views in enumerate(levels):
            if people and level >= len(TILES):
                break  # the smallest squares are many, and turned people are rare
            for candidate in (found for view in views for found in self.finder(rgb, view)):
                if any(_holds(person, candidate.region) for person in people):
                    continue
                pose = self._settle(rgb, candidate.region)
                if pose is None or not self._is_person(rgb, pose):
                    continue
                mask = pose.soft_mask((width, height), mask_size((width, height))) >= 0.5
                if mask.any() and mask[taken].sum() <= SAME_PERSON * mask.sum():
                    people.append(pose)
                    taken |= mask
        return sorted(people, key=lambda person: -person.height)

    def detect_photo(self, rgb: UInt8[np.ndarray, "H W 3"], choice: PersonChoice = None) -> Detections:
        """Detect one person in a photo.

        Args:
            rgb: The photo.
            choice: Whom to take.

        Raises:
            NoPersonFoundError: see :func:`choose_person`.
        """
        size = (rgb.shape[1], rgb.shape[0])
        pose = self.find(rgb, choice)
        return collect([self._sight(rgb, pose, (None, None))], size, fps=0.0)

    def detect_frames(
        self,
        frames: Iterable[UInt8[np.ndarray, "H W 3"]],
        size: tuple[int, int],
        fps: float,
        choice: PersonChoice = None,
        progress: Callable[[int], None] | None = None,
    ) -> Detections:
        """Follow one person through a video. Frames are read once and not kept.

        The choice is made in the first frame in which it can be made. A person who is lost is looked for again near
        the last place and by the colours of the clothes; frames in between have ``found`` False. Nothing is smoothed.

        Args:
            frames: RGB frames.
            size: (width, height) of every frame [px].
            fps: Frames per second.
            choice: Whom to take.
            progress: Called with the number of frames done after each one.

        Raises:
            NoPersonFoundError: the person was found in no frame; the message tells of the frame that came closest.
            ShapeError: a frame has another size.
        """
        track = _Track(self, choice)
        sightings: list[Sighting | None] = []
        hands: tuple[Hand | None, Hand | None] = (None, None)
        for index, frame in enumerate(frames):
            if (frame.shape[1], frame.shape[0]) != size:
                raise ShapeError(
                    f"frame {index}: expected {size[0]} x {size[1]} px, got {frame.shape[1]} x {frame.shape[0]}."
                )
            pose = track.step(frame)
            seen = None if pose is None else self._sight(frame, pose, hands)
            hands = (None, None) if seen is None else seen.hands
            sightings.append(seen)
            if progress is not None:
                progress(index + 1)
        if not any(sightings):
            raise track.failure
        return untangle(collect(sightings, size, fps))

    def coarse_mask(self, rgb: UInt8[np.ndarray, "H W 3"], detections: Detections, frame: int = 0) -> CoarseMask:
        """A finer and less certain mask than the one in ``detections``, for :func:`~liquidwarp.recover.matte.matte`.

        The mean over slightly different views of the person, mirrored ones among them: where they disagree, the mask
        says so.

        Args:
            rgb: The photo or frame.
            detections: What was detected in it.
            frame: Which of the detections belongs to it.
        """
        size = (rgb.shape[1], rgb.shape[0])
        rows, columns = np.nonzero(detections.masks[frame])
        corners = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]]) * size[0]
        around = region_around(corners / detections.masks.width, np.array([0.0, -1.0]), REGION_SCALE)
        best = self.pose(rgb, around).next_region
        mirrored, total = np.ascontiguousarray(rgb[:, ::-1]), np.zeros(rgb.shape[:2], np.float32)
        for grow, turn in MASK_VIEWS:
            view = replace(best, side=best.side * grow, angle=best.angle + turn)
            total += self.pose(rgb, view).soft_mask(size, size)
            view = replace(view, x=size[0] - view.x, angle=-view.angle)
            total += self.pose(mirrored, view).soft_mask(size, size)[:, ::-1]
        return CoarseMask(total / (2 * len(MASK_VIEWS)), best.side / POSE_SIZE)

    def find(self, rgb: UInt8[np.ndarray, "H W 3"], choice: PersonChoice) -> Pose:
        """Choose a person in a picture; the largest is found with one look where possible.

        Raises:
            NoPersonFoundError: see :func:`choose_person`.
        """
        people = self.detect_people(rgb, everybody=False) if choice is None else []
        return choose_person(people or self.detect_people(rgb), choice, self.config.min_height)

    def _sight(self, rgb: UInt8[np.ndarray, "H W 3"], pose: Pose, hands: tuple[Hand | None, Hand | None]) -> Sighting:
        size = (rgb.shape[1], rgb.shape[0])
        return sighting(pose, self.hands(rgb, pose, hands), self.face(rgb, pose), size)

    def _settle(self, rgb: UInt8[np.ndarray, "H W 3"], region: Region) -> Pose | None:
        """Look at a roughly placed region, then at the one that its landmarks ask for; None if nobody is there."""
        pose = self.pose(rgb, region)
        if pose.score >= self.config.pose_threshold:
            pose = self.pose(rgb, pose.next_region)
        return pose if pose.score >= self.config.pose_threshold else None

    def _is_person(self, rgb: UInt8[np.ndarray, "H W 3"], pose: Pose) -> bool:
        """Whether a limb can be seen, and the finder sees a person too when it looks where the landmarks say one is."""
        if pose.visibility[list(LIMBS)].max() < HIDDEN_LIMB:
            return False
        region = pose.next_region
        view = replace(region, side=SECOND_LOOK * region.side)
        return any(_is_near(region, found.region, 0.2, 0.5) for found in self.finder(rgb, view))


class _Track:
    """One person from frame to frame."""

    def __init__(self, detector: PersonDetector, choice: PersonChoice) -> None:
        self._detector = detector
        self._choice = choice
        self._last: Pose | None = None
        self._colours: np.ndarray | None = None
        self._lost = 0
        self._frame = -1
        self._company = -COMPANY_FRAMES
        self.failure = NoPersonFoundError(
            "expected a person, found no frames at all. Check that the video can be played."
        )

    def step(self, frame: UInt8[np.ndarray, "H W 3"]) -> Pose | None:
        """The person in the next frame."""
        self._frame += 1
        pose = self._follow(frame) or self._find(frame)
        if pose is None:
            self._lost += 1
            return None
        self._last, self._lost = pose, 0
        colours = _colours(frame, pose)
        self._colours = colours if self._colours is None else 0.95 * self._colours + 0.05 * colours
        if self._frame % LOOK_AROUND_EVERY == 0 and self._others_near(frame, pose):
            self._company = self._frame
        return pose

    def _follow(self, frame: UInt8[np.ndarray, "H W 3"]) -> Pose | None:
        """The person near the place in the frame before."""
        if self._last is None or self._lost > 0:
            return None
        pose = self._detector.pose(frame, self._last.next_region)
        gone = pose.score < self._detector.config.pose_threshold or _overlap(pose, self._last) < MIN_OVERLAP
        return None if gone or self._is_other(self._likeness(frame, pose)) else pose

    def _others_near(self, frame: UInt8[np.ndarray, "H W 3"], pose: Pose) -> bool:
        """Whether somebody else is so near that the two may be mixed up soon."""
        view, own = region_of_picture(frame.shape[1], frame.shape[0]), pose.next_region
        others = [found.region for found in self._detector.finder(frame, view) if not _holds(pose, found.region)]
        return any(math.dist((other.x, other.y), (own.x, own.y)) < own.side for other in others)

    def _likeness(self, frame: UInt8[np.ndarray, "H W 3"], pose: Pose) -> float:
        """How alike the colours are to those of the person so far [0, 1]."""
        return 1.0 if self._colours is None else float(np.sqrt(self._colours * _colours(frame, pose)).sum())

    def _is_other(self, likeness: float) -> bool:
        """Whether this is the person who stood near by; without company a change of colours is a change of light."""
        return likeness < LIKENESS and max(self._frame - self._company, self._lost) < COMPANY_FRAMES

    def _find(self, frame: UInt8[np.ndarray, "H W 3"]) -> Pose | None:
        look_hard = self._lost % LOOK_HARDER_EVERY == 0
        people = self._detector.detect_people(frame, everybody=False)
        if look_hard and (not people or (self._last is None and self._choice is not None)):
            people = self._detector.detect_people(frame)
        if self._last is None:
            return self._choose(people)
        costs = [self._mismatch(frame, person) for person in people]
        if not costs or min(costs) > MATCH_COST:
            return None
        return people[costs.index(min(costs))]

    def _choose(self, people: list[Pose]) -> Pose | None:
        """The first choice; what stands in its way is kept for the end of the video."""
        try:
            return choose_person(people, self._choice, self._detector.config.min_height)
        except NoPersonFoundError as failure:
            if people or self._lost == 0:
                self.failure = failure
            return None

    def _mismatch(self, frame: UInt8[np.ndarray, "H W 3"], person: Pose) -> float:
        """How unlike a person is to the one who was lost: place (less so with time), size and colours."""
        likeness = self._likeness(frame, person)
        if self._last is None or self._is_other(likeness):
            return math.inf
        moved = math.dist(person.centre, self._last.centre) / self._last.height / (1 + 0.2 * self._lost)
        grown = abs(math.log(max(person.height, 1.0) / max(self._last.height, 1.0)))
        return moved + grown + 3 * (1 - likeness)


def _colours(frame: UInt8[np.ndarray, "H W 3"], pose: Pose) -> Float[np.ndarray, "64"]:
    """A coarse histogram of the person's colours; sums to 1."""
    size = 64
    step = pose.mask_logits.shape[0] // size
    pixels = crop(frame, pose.region, size)
    inside = pose.mask_logits[::step, ::step] > 0
    red, green, blue = (pixels[inside].astype(np.int64) // 64).T
    counts = np.bincount(red * 16 + green * 4 + blue, minlength=64).astype(np.float64) + 1e-3
    histogram: np.ndarray = counts / counts.sum()
    return histogram


def _tiles(width: int, height: int, side: float) -> list[Region]:
    """Squares that cover the picture, each overlapping the next by half."""
    across, down = (
        np.linspace(side / 2, length - side / 2, math.ceil(2 * length / side) - 1) if length > side else [length / 2]
        for length in (width, height)
    )
    return [Region(float(x), float(y), side) for y in down for x in across]


def _holds(person: Pose, region: Region) -> bool:
    """Whether a candidate is surely this person again: the same middle and size."""
    return _is_near(person.next_region, region, 0.15, 0.3)


def _is_near(first: Region, second: Region, apart: float, growth: float) -> bool:
    """Whether two regions have the same middle (to a share of the side) and the same size (to its logarithm)."""
    distance = math.dist((first.x, first.y), (second.x, second.y))
    return distance < apart * first.side and abs(math.log(max(second.side, 1.0) / max(first.side, 1.0))) < growth


def _overlap(first: Pose, second: Pose) -> float:
    """Intersection over union of two people's boxes."""
    (a, b, c, d), (e, f, g, h) = first.extent, second.extent
    shared = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
    return shared / max((c - a) * (d - b) + (g - e) * (h - f) - shared, 1e-9)
