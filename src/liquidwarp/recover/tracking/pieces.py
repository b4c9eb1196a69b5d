"""The detections of a video in pieces, kept as they are made: a run that was killed goes on where it was."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from liquidwarp.cache import Cache
from liquidwarp.errors import NoPersonFoundError
from liquidwarp.recover.detection.detections import Detections
from liquidwarp.recover.detection.sides import untangle
from liquidwarp.recover.films.looks import BINS, REGIONS
from liquidwarp.recover.films.scenes import with_shots
from liquidwarp.recover.films.shots import Shots
from liquidwarp.recover.tracking.follow import TrackState

__all__ = ["Piece", "Pieces", "whole_video"]


@dataclass(frozen=True)
class Piece:
    """What was detected in some frames of a video, one after the other."""

    detections: Detections
    """As the networks saw it: left and right may be mixed up."""
    state: TrackState
    """Behind the last of these frames."""
    looks: Float[np.ndarray, "T R K"] | None = None
    """What whoever was found looks like; None: that was not asked."""


def whole_video(pieces: Sequence[Piece], shots: Shots | None = None, chosen: bool = False) -> Detections:
    """Join the pieces of a video; left and right are told apart with the whole of it in view.

    Args:
        pieces: One after the other.
        shots: Of the film; None: it is one.
        chosen: Whether the user has chosen a person.

    Raises:
        NoPersonFoundError: the person was found in no frame; the message tells of the frame that came closest.
    """
    if not any(bool(piece.detections.found.any()) for piece in pieces):
        raise NoPersonFoundError(pieces[-1].state.failure)
    whole = Detections.joined([piece.detections for piece in pieces])
    if shots is not None:
        nothing = (np.zeros((len(p.detections), REGIONS, BINS), np.float32) for p in pieces)
        looks = np.concatenate([none if p.looks is None else p.looks for p, none in zip(pieces, nothing, strict=True)])
        whole = with_shots(whole, shots, looks, chosen)
    return untangle(whole)


class Pieces:
    """The pieces of one video in a cache: the n-th entry begins where the one before it ends."""

    def __init__(self, cache: Cache, key: str) -> None:
        """Load what an earlier run left.

        Args:
            cache: Where they are kept.
            key: Names the video and how it is read.
        """
        self._cache, self._key = cache, key
        self.known: list[Piece] = []
        while (entry := cache.load(self._name(len(self.known)))) is not None:
            tensors, metadata = entry
            state = TrackState.from_tensors(tensors, metadata["failure"])
            looks = tensors["looks"].numpy() if "looks" in tensors else None
            self.known.append(Piece(Detections.from_tensors(tensors, metadata), state, looks))

    @property
    def num_frames(self) -> int:
        """How many frames are done."""
        return sum(len(piece.detections) for piece in self.known)

    @property
    def state(self) -> TrackState | None:
        """Behind the last of them; None: nothing is known yet."""
        return self.known[-1].state if self.known else None

    def add(self, piece: Piece) -> None:
        """Keep the next piece."""
        tensors, metadata = piece.detections.to_tensors()
        name = self._name(len(self.known))
        looks = {} if piece.looks is None else {"looks": torch.from_numpy(piece.looks)}
        everything = tensors | piece.state.to_tensors() | looks
        self._cache.save(name, everything, metadata | {"failure": piece.state.failure})
        self.known.append(piece)

    def clear(self) -> None:
        """Forget the files, once their sum is kept elsewhere."""
        for number in range(len(self.known)):
            self._cache.remove(self._name(number))

    def _name(self, number: int) -> str:
        return f"{self._key}-{number:05d}"
