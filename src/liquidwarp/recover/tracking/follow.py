"""One person from frame to frame, and what is remembered on the way, so that a stopped run can go on exactly there."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from liquidwarp.config import DetectConfig
from liquidwarp.errors import NoPersonFoundError
from liquidwarp.recover.detection.choice import PersonChoice, choose_person
from liquidwarp.recover.detection.hands_face import Hand
from liquidwarp.recover.detection.landmarks import PeopleFinder, Pose, PoseNetwork
from liquidwarp.recover.detection.neighbours import is_same
from liquidwarp.recover.detection.regions import Region, crop, region_of_picture
from liquidwarp.recover.films.looks import likeness, look_of
from liquidwarp.recover.films.scenes import ALIKE

__all__ = ["Place", "Sight", "Track", "TrackState", "holds", "is_near"]

MIN_OVERLAP = 0.2
"""A person whose box overlaps less with the box in the frame before has jumped: a cut, or another person."""
LOOK_HARDER_EVERY = 10
"""While nobody is found, only every so many frames small and turned people are looked for."""
MATCH_COST = 2.0
"""The worst match that still counts as the person who was lost."""
FORGET_AFTER = 250
"""A person who was lost for so many frames is given up: the user's choice is made again, among whoever is there."""
LOOK_AROUND_EVERY = 5
"""Frames between two looks for other people near by."""
COMPANY_FRAMES = 50
"""So long after another person was near, a change of colours is not believed."""
LIKENESS = 0.9
"""Colours less alike than this are another person's; one and the same keeps above 0.94, also in fast dances."""
_NO_HANDS = (None, None)
_NO_FRAMES = "expected a person, found no frames at all. Check that the video can be played."

Box = tuple[float, float, float, float]


@runtime_checkable
class Sight(Protocol):
    """What a detector offers to those who follow somebody."""

    config: DetectConfig
    finder: PeopleFinder
    pose: PoseNetwork

    def detect_people(self, rgb: UInt8[np.ndarray, "H W 3"], everybody: bool = True) -> list[Pose]:
        """The people in a picture, largest first."""
        ...

    def at_place(self, rgb: UInt8[np.ndarray, "H W 3"], people: list[Pose], place: tuple[float, float]) -> list[Pose]:
        """Those who are at a place [px]; all where nobody is."""
        ...


@dataclass(frozen=True)
class Place:
    """Where somebody was seen last."""

    next_region: Region
    """Where to look for the same person in the next frame."""
    extent: Box
    """Left, top, right, bottom of the landmarks [px]."""

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box [px]."""
        left, top, right, bottom = self.extent
        return (left + right) / 2, (top + bottom) / 2

    @property
    def height(self) -> float:
        """The longer extent [px]."""
        left, top, right, bottom = self.extent
        return max(right - left, bottom - top)


@dataclass(frozen=True)
class TrackState:
    """All that is remembered between two frames."""

    frame: int = -1
    """The last frame that was looked at."""
    lost: int = 0
    """For how many frames the person has not been seen."""
    company: int = -COMPANY_FRAMES
    """The last frame in which somebody else was near."""
    place: Place | None = None
    """None: nobody has been chosen yet."""
    colours: Float[np.ndarray, "64"] | None = None
    """Of the clothes."""
    hands: tuple[Hand | None, Hand | None] = (None, None)
    """(left, right) in the last frame."""
    failure: str = _NO_FRAMES
    """Why nobody could be chosen so far."""
    look: Float[np.ndarray, "R K"] | None = None
    """Of the person; None: nobody has been chosen yet."""
    stranger: bool = False
    """Behind a cut nobody looked like the person, so that somebody else is followed."""

    def to_tensors(self) -> dict[str, Tensor]:
        """For a file; every number keeps all of its digits."""
        tensors = {"track.counts": torch.tensor([self.frame, self.lost, self.company, int(self.stranger)])}
        if self.place is not None:
            region = self.place.next_region
            numbers = (region.x, region.y, region.side, region.angle, *self.place.extent)
            tensors["track.place"] = torch.tensor(numbers, dtype=torch.float64)
        if self.colours is not None:
            tensors["track.colours"] = torch.from_numpy(self.colours)
        if self.look is not None:
            tensors["track.look"] = torch.from_numpy(self.look)
        for side, hand in enumerate(self.hands):
            if hand is not None:
                tensors[f"track.hand{side}.xy"] = torch.from_numpy(np.ascontiguousarray(hand.xy))
                tensors[f"track.hand{side}.world"] = torch.from_numpy(np.ascontiguousarray(hand.world))
                tensors[f"track.hand{side}.scores"] = torch.tensor([hand.score, hand.right], dtype=torch.float64)
        return tensors

    @staticmethod
    def from_tensors(tensors: Mapping[str, Tensor], failure: str) -> "TrackState":
        """Read what :meth:`to_tensors` wrote."""
        frame, lost, company, stranger = tensors["track.counts"].tolist()
        place = None
        if "track.place" in tensors:
            x, y, side, angle, *extent = tensors["track.place"].tolist()
            place = Place(Region(x, y, side, angle), (extent[0], extent[1], extent[2], extent[3]))
        colours = tensors["track.colours"].numpy() if "track.colours" in tensors else None
        look = tensors["track.look"].numpy() if "track.look" in tensors else None
        left, right = (_read_hand(tensors, f"track.hand{side}") for side in (0, 1))
        return TrackState(frame, lost, company, place, colours, (left, right), failure, look, bool(stranger))


def _read_hand(tensors: Mapping[str, Tensor], name: str) -> Hand | None:
    if f"{name}.xy" not in tensors:
        return None
    score, right = tensors[f"{name}.scores"].tolist()
    return Hand(tensors[f"{name}.xy"].numpy(), tensors[f"{name}.world"].numpy(), score, right)


class Track:
    """Follows one person; :attr:`state` is all that it knows."""

    def __init__(self, sight: Sight, choice: PersonChoice, state: TrackState | None = None) -> None:
        """Begin, or go on from an earlier state.

        Args:
            sight: Looks at the pictures.
            choice: Whom to take.
            state: Of the frame before the first one; None begins anew.
        """
        self._sight, self._choice = sight, choice
        self.state = state or TrackState()
        self.look: Float[np.ndarray, "R K"] | None = None
        """Of whom the last frame showed."""

    def step(self, frame: UInt8[np.ndarray, "H W 3"], cut: bool = False) -> Pose | None:
        """The person in the next frame.

        Args:
            frame: RGB.
            cut: A new shot begins here: who looks like the person is followed, or else who is largest.
        """
        self.state = replace(self.state, frame=self.state.frame + 1)
        self.look = None
        if cut:
            self.state = replace(self.state, lost=0, company=-COMPANY_FRAMES, place=None, colours=None, hands=_NO_HANDS)
        if self.state.lost >= FORGET_AFTER:
            self.state = replace(self.state, place=None, colours=None, look=None)
        pose = self._follow(frame) or self._find(frame)
        if pose is None:
            self.state = replace(self.state, lost=self.state.lost + 1, hands=_NO_HANDS)
            return None
        self._remember(look_of(frame, pose))
        colours, before = _colours(frame, pose), self.state.colours
        mixed = colours if before is None else 0.95 * before + 0.05 * colours
        self.state = replace(self.state, lost=0, place=Place(pose.next_region, pose.extent), colours=mixed)
        if self.state.frame % LOOK_AROUND_EVERY == 0 and self._others_near(frame, pose):
            self.state = replace(self.state, company=self.state.frame)
        return pose

    def _remember(self, look: Float[np.ndarray, "R K"]) -> None:
        """Keep the colours of the regions; those of a stranger are not the person's."""
        self.look, before = look, self.state.look
        if before is None:
            self.state = replace(self.state, look=look, stranger=False)
        elif not self.state.stranger:
            both = (before.sum(1, keepdims=True) > 0) & (look.sum(1, keepdims=True) > 0)
            mixed = np.where(both, 0.95 * before + 0.05 * look, np.maximum(before, look))
            self.state = replace(self.state, look=mixed.astype(np.float32))

    def _follow(self, frame: UInt8[np.ndarray, "H W 3"]) -> Pose | None:
        """The person near the place in the frame before."""
        place = self.state.place
        if place is None or self.state.lost > 0:
            return None
        pose = self._sight.pose(frame, place.next_region)
        gone = pose.score < self._sight.config.pose_threshold or _overlap(pose.extent, place.extent) < MIN_OVERLAP
        return None if gone or self._is_other(self._likeness(frame, pose)) else pose

    def _others_near(self, frame: UInt8[np.ndarray, "H W 3"], pose: Pose) -> bool:
        """Whether somebody else is so near that the two may be mixed up soon."""
        view, own = region_of_picture(frame.shape[1], frame.shape[0]), pose.next_region
        others = [found.region for found in self._sight.finder(frame, view) if not holds(pose, found.region)]
        near = [other for other in others if math.dist((other.x, other.y), (own.x, own.y)) < own.side]
        # Of who fills the picture the finder often has a second hint.
        return any(not is_same(pose, self._sight.pose(frame, other)) for other in near)

    def _likeness(self, frame: UInt8[np.ndarray, "H W 3"], pose: Pose) -> float:
        """How alike the colours are to those of the person so far [0, 1]."""
        known = self.state.colours
        return 1.0 if known is None else float(np.sqrt(known * _colours(frame, pose)).sum())

    def _is_other(self, likeness: float) -> bool:
        """Whether this is the person who stood near by; without company a change of colours is a change of light."""
        state = self.state
        return likeness < LIKENESS and max(state.frame - state.company, state.lost) < COMPANY_FRAMES

    def _find(self, frame: UInt8[np.ndarray, "H W 3"]) -> Pose | None:
        place = self.state.place
        look_hard = self.state.lost % LOOK_HARDER_EVERY == 0
        people = self._sight.detect_people(frame, everybody=False)
        if look_hard and (not people or (self.state.look is None and self._choice is not None)):
            people = self._sight.detect_people(frame)
        first = self.state.look is None
        if first and look_hard and isinstance(self._choice, tuple):
            people = self._sight.at_place(frame, people, self._choice)
        if place is None:
            return self._choose(people) if first else self._again(frame, people)
        costs = [self._mismatch(frame, person, place) for person in people]
        if not costs or min(costs) > MATCH_COST:
            return None
        return people[costs.index(min(costs))]

    def _choose(self, people: list[Pose]) -> Pose | None:
        """The first choice; what stands in its way is kept for the end of the video."""
        try:
            return choose_person(people, self._choice, self._sight.config.min_height)
        except NoPersonFoundError as failure:
            if people or self.state.lost == 0:
                self.state = replace(self.state, failure=str(failure))
            return None

    def _again(self, frame: UInt8[np.ndarray, "H W 3"], people: list[Pose]) -> Pose | None:
        """Behind a cut: who looks like the person, or else the largest."""
        people = [pose for pose in people if pose.height >= self._sight.config.min_height]
        if not people or self.state.look is None:
            return None
        alike = [likeness(self.state.look, look_of(frame, pose))[0] for pose in people]
        best = int(np.argmax(alike))
        self.state = replace(self.state, stranger=alike[best] < ALIKE)
        return people[0 if self.state.stranger else best]

    def _mismatch(self, frame: UInt8[np.ndarray, "H W 3"], person: Pose, place: Place) -> float:
        """How unlike a person is to the one who was lost: place (less so with time), size and colours."""
        likeness = self._likeness(frame, person)
        if self._is_other(likeness):
            return math.inf
        moved = math.dist(person.centre, place.centre) / place.height / (1 + 0.2 * self.state.lost)
        grown = abs(math.log(max(person.height, 1.0) / max(place.height, 1.0)))
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


def holds(person: Pose, region: Region) -> bool:
    """Whether a candidate is surely this person again: the same middle and size."""
    return is_near(person.next_region, region, 0.15, 0.3)


def is_near(first: Region, second: Region, apart: float, growth: float) -> bool:
    """Whether two regions have the same middle (to a share of the side) and the same size (to its logarithm)."""
    distance = math.dist((first.x, first.y), (second.x, second.y))
    return distance < apart * first.side and abs(math.log(max(second.side, 1.0) / max(first.side, 1.0))) < growth


def _overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes."""
    (a, b, c, d), (e, f, g, h) = first, second
    shared = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
    return shared / max((c - a) * (d - b) + (g - e) * (h - f) - shared, 1e-9)
