"""Which shots of a film show the same place, and which the same person."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.recover.detection.detections import Detections
from liquidwarp.recover.films.looks import likeness, mean_look
from liquidwarp.recover.films.shots import Shots, same_place

__all__ = ["ALIKE", "notes_on_shots", "with_shots"]

ALIKE = 0.86
"""People whose colours are as alike as this on average [0, 1] are one. Within a clip the means of both halves have 0.89
and more, other people 0.82 and less."""
_REGIONS = 2
"""So many regions must be seen of both, if the place is another one."""
_LISTED = 8
"""So many places are named to the user."""
_COMPARED = 12
"""Shots before, with which the place is compared."""


def with_shots(detections: Detections, shots: Shots, looks: Float[np.ndarray, "T R K"], chosen: bool) -> Detections:
    """Say of every frame which shot and place it belongs to, and whether it shows the film's person.

    Args:
        detections: Of the whole film.
        shots: Its shots; with one alone there is nothing to say.
        looks: Of whom was found in each frame.
        chosen: The user has chosen a person, who is in the first shot with anybody; otherwise the person of the film is
            whom most of it shows.
    """
    if len(shots) < 2:
        return detections
    starts = torch.tensor(shots.starts)
    shot = torch.searchsorted(starts, torch.arange(len(detections)), right=True) - 1
    scenes = _scenes(detections, shots, shot)
    own = _own_shots(detections, shot, scenes, looks, chosen)
    return replace(detections, shot=shot, scene=scenes[shot], own=own[shot])


def _scenes(detections: Detections, shots: Shots, shot: Tensor) -> Tensor:
    """Of each shot the number of its place: that of the first shot there."""
    seen = [(detections.found & (shot == number)).nonzero()[:, 0].tolist() for number in range(len(shots))]
    masks = [[detections.masks[frames[end]] if frames else None for end in (0, -1)] for frames in seen]
    nowhere = np.zeros((1, 1), bool)
    scenes = torch.arange(len(shots))
    for later in range(1, len(shots)):
        for earlier in range(later - 1, max(-1, later - 1 - _COMPARED), -1):
            one, two = shots.ends[earlier][1], shots.ends[later][0]
            hidden = tuple(nowhere if mask is None else mask for mask in (masks[earlier][1], masks[later][0]))
            if same_place(one, two, (hidden[0], hidden[1])):
                scenes[later] = scenes[earlier]
                break
    return scenes


def _own_shots(
    detections: Detections, shot: Tensor, scenes: Tensor, looks: Float[np.ndarray, "T R K"], chosen: bool
) -> Tensor:
    """Which shots show the film's person; all of them if nobody is found in more than one."""
    count = len(scenes)
    seen = [(detections.found & (shot == number)).numpy() for number in range(count)]
    shown = [number for number in range(count) if seen[number].any()]
    mean = {number: mean_look(looks[seen[number]]) for number in shown}
    weight = torch.tensor([float(detections.visibility[torch.from_numpy(one)].mean(1).sum()) for one in seen])
    alike = torch.eye(count, dtype=torch.bool)
    for one in shown:
        for two in shown:
            value, regions = likeness(mean[one], mean[two])
            enough = 1 if scenes[one] == scenes[two] else _REGIONS
            alike[one, two] |= value >= ALIKE and regions >= enough
    first = shown[0] if chosen and shown else int((alike.float() @ weight).argmax())
    return alike[first]


def notes_on_shots(detections: Detections) -> tuple[str, ...]:
    """What the user should know about the cuts of a film, in whole sentences."""
    shot, own = detections.shot, detections.own
    if shot is None or own is None:
        return ()
    counts = shot.unique_consecutive(return_counts=True)[1]
    starts = (counts.cumsum(0) - counts).tolist()
    cuts = starts[1:]
    where = ", ".join(map(str, cuts[:_LISTED])) + (" and more" if len(cuts) > _LISTED else "")
    frames = "frame" if len(cuts) == 1 else "frames"
    notes = [f"The film has {len(starts)} shots; each is recovered by itself, cut at {frames} {where}."]
    others = [
        f"{start} to {start + count - 1}"
        for start, count in zip(starts, counts.tolist(), strict=True)
        if not own[start] and bool(detections.found[start : start + count].any())
    ]
    if others:
        which = ", ".join(others[:_LISTED]) + (" and more" if len(others) > _LISTED else "")
        notes.append(
            f"In frames {which} somebody else seems to be seen: their motion counts, but neither shape nor photos are "
            "taken from there."
        )
    return tuple(notes)
