"""Find one person among several and follow that person through a video."""

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from liquidwarp.config import DetectConfig
from liquidwarp.errors import ShapeError
from liquidwarp.recover.detection.choice import PersonChoice, choose_person, parse_choice
from liquidwarp.recover.detection.contrast import legible
from liquidwarp.recover.detection.detections import Detections, PackedMasks
from liquidwarp.recover.detection.hands_face import FaceNetwork, Hand, HandNetwork
from liquidwarp.recover.detection.landmarks import (
    POSE_SIZE,
    REGION_SCALE,
    Network,
    PeopleFinder,
    Pose,
    PoseNetwork,
    load_network,
)
from liquidwarp.recover.detection.neighbours import is_same, others_place, own_place
from liquidwarp.recover.detection.regions import Region, crop, region_around, region_of_picture
from liquidwarp.recover.detection.sightings import Sighting, collect, mask_size, sighting
from liquidwarp.recover.films.looks import NO_LOOK
from liquidwarp.recover.films.shots import Shots
from liquidwarp.recover.mattes.matte import CoarseMask
from liquidwarp.recover.tracking.company import paint_over
from liquidwarp.recover.tracking.follow import Track, TrackState, holds, is_near
from liquidwarp.recover.tracking.overlooked import HINT, belief_in_close_up, overlooked
from liquidwarp.recover.tracking.pieces import Piece, whole_video
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
LOOKS = (1.4, 1.0, 0.7, 0.5, 0.35, 0.25, 0.18)
"""Sides of the squares in which somebody is looked for at a place, in longer sides of the picture."""
SECOND_LOOK = 1.3
"""Side of the square in which somebody just found must be found again, upright and in the middle, in sides of the
pose's own region. Real people are; of the shapes that are taken for people in one way of looking, hardly any."""
SWALLOWED = 0.5
"""Nobody new hides more than this share of those who are known, if only a part of the picture showed this person."""
CLOSE_UP = 1.5
"""Of whom the region is larger than this, in longer sides of the picture, the whole body cannot be looked at again."""
BELIEF = 0.5, 0.64
"""With so much belief of the finder somebody is there if there is a face, or anyway. Heads and shoulders of real people
have 0.55 to 0.9; of empty rooms one has 0.59, without a face."""
SURE_FACE = 0.9
"""Score of a face that is one [0, 1]."""
LIMBS = (13, 14, 15, 16, 25, 26, 27, 28)
"""Elbows, wrists, knees and ankles among the landmarks."""
HIDDEN_LIMB = 0.1
"""Where no limb is more visible than this, a shape was taken for a trunk."""
HARDLY_SEEN = 0.8
"""Whose mask lies more than this share in what was painted over is the paint itself."""
NOBODY = -10.0
"""Logit of a mask where the person surely is not."""
CROWD = 6
"""With so many people found, nobody is looked for behind them."""
SAME_PERSON = 0.5
"""A person whose mask lies more than this share in the masks of people found before is one of them, or a limb."""
LARGEST_PIECE = 300
"""Frames."""

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
        self._hints = PeopleFinder(networks.finder, min(HINT, self.config.detection_threshold))
        self.pose = PoseNetwork(networks.pose)
        self.hands = HandNetwork(networks.hand)
        self.face = FaceNetwork(networks.face)

    def detect_people(self, rgb: UInt8[np.ndarray, "H W 3"], everybody: bool = True) -> list[Pose]:
        """Find the people in a picture, largest first.

        Args:
            rgb: The picture.
            everybody: Look for small people too, and if nobody is there, for people who lie or stand on their heads;
                up to a hundred times slower than one look at the whole picture. And look again with everybody painted
                over who was found, as people hide others from the finder.
        """
        people = self._search(rgb, everybody)
        if everybody:
            people = people + self._hidden_by(rgb, people)
        return sorted(people, key=lambda person: -person.height)

    def _hidden_by(self, rgb: UInt8[np.ndarray, "H W 3"], people: list[Pose]) -> list[Pose]:
        """Who else is found when these people are painted over, one after the other."""
        size = (rgb.shape[1], rgb.shape[0])
        known, more = list(people), people
        hidden = np.zeros(mask_size(size)[::-1], bool)
        while more and len(known) < CROWD:
            for pose in more:
                hidden |= own_place(pose, size, mask_size(size))
            whole = cv2.resize(hidden.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
            found = self._search(paint_over(rgb, whole), everybody=False)
            more = [pose for pose in found if self._is_new(pose, known, hidden, size)]
            known += more
        return known[len(people) :]

    @staticmethod
    def _is_new(pose: Pose, known: list[Pose], hidden: Bool[np.ndarray, "H W"], size: tuple[int, int]) -> bool:
        """Whether a find is nobody of those known, nor the paint over them."""
        mask = pose.soft_mask(size, mask_size(size)) >= 0.5
        if any(is_same(pose, other) for other in known):
            return False
        return bool(mask[hidden].sum() < HARDLY_SEEN * mask.sum())

    @staticmethod
    def _mask(pose: Pose, rgb: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
        size = (rgb.shape[1], rgb.shape[0])
        return np.asarray(pose.soft_mask(size, size) >= 0.5)

    def _search(self, rgb: UInt8[np.ndarray, "H W 3"], everybody: bool) -> list[Pose]:
        """Look at a picture once, from far to near."""
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
                if any(holds(person, candidate.region) for person in people):
                    continue
                pose = self._settle(rgb, candidate.region)
                if pose is None or not self._is_person(rgb, pose):
                    continue
                mask = pose.soft_mask((width, height), mask_size((width, height))) >= 0.5
                if level and _is_near(pose, rgb) and mask[taken].sum() > SWALLOWED * max(1, taken.sum()):
                    continue  # too large for the picture, and most of it is those who are known
                if mask.any() and mask[taken].sum() <= SAME_PERSON * mask.sum():
                    people.append(pose)
                    taken |= mask
        return people

    def detect_photo(self, rgb: UInt8[np.ndarray, "H W 3"], choice: PersonChoice = None) -> Detections:
        """Detect one person in a photo.

        Args:
            rgb: The photo.
            choice: Whom to take.

        Raises:
            NoPersonFoundError: see :func:`choose_person`.
        """
        rgb, size = legible(rgb), (rgb.shape[1], rgb.shape[0])
        pose = self.find(rgb, choice)
        others = others_place(pose, self._hidden_by(rgb, [pose]), size, mask_size(size))
        if not others.any():
            return collect([self._sight(rgb, pose, (None, None))], size, fps=0.0)
        whole = cv2.resize(others.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        seen = collect([self._sight(rgb, _without(pose, whole), (None, None))], size, fps=0.0)
        return replace(seen, others=PackedMasks.pack(others[None]))

    def detect_frames(
        self,
        frames: Iterable[UInt8[np.ndarray, "H W 3"]],
        size: tuple[int, int],
        fps: float,
        choice: PersonChoice = None,
        progress: Callable[[int], object] | None = None,
        shots: Shots | None = None,
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
            shots: Of the film; None: it has no cuts.

        Raises:
            NoPersonFoundError: the person was found in no frame; the message tells of the frame that came closest.
            ShapeError: a frame has another size.
        """
        cuts = () if shots is None else shots.starts
        pieces = list(self.follow(frames, size, fps, choice, seconds=math.inf, progress=progress, cuts=cuts))
        return whole_video(pieces, shots, choice is not None)

    def follow(
        self,
        frames: Iterable[UInt8[np.ndarray, "H W 3"]],
        size: tuple[int, int],
        fps: float,
        choice: PersonChoice = None,
        state: TrackState | None = None,
        seconds: float = 3.0,
        progress: Callable[[int], object] | None = None,
        cuts: Sequence[int] = (),
    ) -> Iterator[Piece]:
        """The same, piece by piece, so that each can be kept at once.

        A run that goes on with a piece's state finds the same in the frames behind it, to the last bit, as if it had
        never stopped.

        Args:
            frames: RGB frames, from the one behind ``state`` on.
            size: (width, height) of every frame [px].
            fps: Frames per second.
            choice: Whom to take.
            state: Of the last piece of a stopped run; None begins anew.
            seconds: Work in a piece, about; one that has this behind it is handed out.
            progress: Called with the number of frames done after each one.
            cuts: First frames of shots; 0 need not be among them.

        Yields:
            Pieces for :func:`liquidwarp.recover.tracking.pieces.whole_video`.

        Raises:
            ShapeError: a frame has another size.
        """
        track = Track(self, choice, state)
        sightings: list[Sighting | None] = []
        looks: list[Float[np.ndarray, "R K"]] = []
        began, later = time.monotonic(), set(cuts) - {0}

        def piece() -> Piece:
            return Piece(collect(sightings, size, fps), track.state, np.stack(looks) if looks else None)

        for frame in frames:
            number = track.state.frame + 1
            pose = track.step(_checked(frame, size, number), number in later)
            seen = None if pose is None else self._sight(frame, pose, track.state.hands)
            if seen is not None:
                track.state = replace(track.state, hands=seen.hands)
            sightings.append(seen)
            if later:
                looks.append(NO_LOOK if track.look is None else track.look)
            if progress is not None:
                progress(track.state.frame + 1)
            if len(sightings) == LARGEST_PIECE or time.monotonic() - began >= seconds:
                yield piece()
                sightings, looks, began = [], [], time.monotonic()
        if sightings or track.state.frame < 0:
            yield piece()

    def coarse_mask(self, rgb: UInt8[np.ndarray, "H W 3"], detections: Detections, frame: int = 0) -> CoarseMask:
        """A finer and less certain mask than the one in ``detections``.

        It is what :func:`~liquidwarp.recover.mattes.matte.matte` starts from. The mean over slightly different
        views of the person, mirrored ones among them: where they disagree, the mask says so.

        Args:
            rgb: The photo or frame.
            detections: What was detected in it.
            frame: Which of the detections belongs to it.
        """
        rgb, size = legible(rgb), (rgb.shape[1], rgb.shape[0])
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
        people = people or self.detect_people(rgb)
        if isinstance(choice, tuple):
            people = self.at_place(rgb, people, choice)
        people = people or self._overlooked(rgb)
        return choose_person(people, choice, self.config.min_height)

    def at_place(self, rgb: UInt8[np.ndarray, "H W 3"], people: list[Pose], place: tuple[float, float]) -> list[Pose]:
        """Those whose mask holds a place [px], as the boxes of people who stand close overlap.

        Where that is nobody's, who is found by a closer look there; all of the people if nobody is.
        """
        x, y = int(place[0]), int(place[1])
        if not (0 <= x < rgb.shape[1] and 0 <= y < rgb.shape[0]):
            return people
        return [pose for pose in people if self._mask(pose, rgb)[y, x]] or self._look_at(rgb, x, y) or people

    def _look_at(self, rgb: UInt8[np.ndarray, "H W 3"], x: int, y: int) -> list[Pose]:
        """Who is at a place, although the finder overlooks them: in squares of all sizes around it.

        A mistake is less likely here than in a search: somebody says that a person is there.
        """
        longer = float(max(rgb.shape[:2]))
        best: Pose | None = None
        for share in LOOKS:
            around = Region(float(x), float(y), share * longer)
            for region in (around, *(found.region for found in self.finder(rgb, around))):
                pose = self._settle(rgb, region)
                if pose is None or pose.visibility[list(LIMBS)].max() < HIDDEN_LIMB or not self._mask(pose, rgb)[y, x]:
                    continue
                if best is None or pose.score > best.score:
                    best = pose
        return [] if best is None else [best]

    def _overlooked(self, rgb: UInt8[np.ndarray, "H W 3"]) -> list[Pose]:
        """Who is large in a picture in which nobody was found, although the finder hardly believes it."""
        height, width = rgb.shape[:2]
        views = [region_of_picture(width, height)]
        views += [tile for share in TILES[:2] for tile in _tiles(width, height, share * max(width, height))]

        def settle(region: Region) -> Pose | None:
            pose = self._settle(rgb, region)
            return None if pose is None or pose.visibility[list(LIMBS)].max() < HIDDEN_LIMB else pose

        pose = overlooked(rgb, self._hints, settle, views)
        return [] if pose is None else [pose]

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
        if any(is_near(region, found.region, 0.2, 0.5) for found in self.finder(rgb, view)):
            return True
        return _is_near(pose, rgb) and self._is_close_up(rgb, pose)

    def _is_close_up(self, rgb: UInt8[np.ndarray, "H W 3"], pose: Pose) -> bool:
        """Whether somebody is there who is too near for a second look at the whole body."""
        belief = belief_in_close_up(rgb, self._hints, pose.next_region)
        if not BELIEF[0] <= belief < BELIEF[1]:
            return belief >= BELIEF[1]
        face = self.face(rgb, pose)
        return face is not None and face.score >= SURE_FACE


def _is_near(pose: Pose, rgb: UInt8[np.ndarray, "H W 3"]) -> bool:
    """Whether a body is too large for the picture."""
    return pose.next_region.side > CLOSE_UP * max(rgb.shape[:2])


def _checked(frame: UInt8[np.ndarray, "H W 3"], size: tuple[int, int], index: int) -> UInt8[np.ndarray, "H W 3"]:
    """The frame, if it has the video's size."""
    if (frame.shape[1], frame.shape[0]) != size:
        raise ShapeError(f"frame {index}: expected {size[0]} x {size[1]} px, got {frame.shape[1]} x {frame.shape[0]}.")
    return frame


def _without(pose: Pose, hidden: Bool[np.ndarray, "H W"]) -> Pose:
    """The person, whose mask ends where somebody else is."""
    covered = crop(hidden.astype(np.float32), pose.region, len(pose.mask_logits)) > 0.5
    return replace(pose, mask_logits=np.where(covered, np.float32(NOBODY), pose.mask_logits))


def _tiles(width: int, height: int, side: float) -> list[Region]:
    """Squares that cover the picture, each overlapping the next by half."""
    across, down = (
        np.linspace(side / 2, length - side / 2, math.ceil(2 * length / side) - 1) if length > side else [length / 2]
        for length in (width, height)
    )
    return [Region(float(x), float(y), side) for y in down for x in across]
