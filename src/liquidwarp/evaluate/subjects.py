"""Whom ``evaluate self`` is about: videos, and what datasets of videos hold."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from liquidwarp.errors import SettingError
from liquidwarp.learn.clip_sources import find_sources
from liquidwarp.learn.clips import ClipFacts
from liquidwarp.media import IMAGE_SUFFIXES

__all__ = ["Subject", "find_subjects"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """One person in one video."""

    name: str
    """For tables and files; no two are alike."""
    path: Path
    """A video, a folder of frames or a prepared clip."""
    prepared: bool = False
    """Whether it is a clip that ``liquidwarp prepare`` wrote."""
    found: bool = False
    """Whether it was found in a dataset; nobody named it."""
    split: str = ""
    """"train" or "test" where the dataset says so."""


def find_subjects(paths: Sequence[Path], split: str = "auto") -> list[Subject]:
    """All videos in what a user names.

    Args:
        paths: Videos; folders of frames; prepared clips; prepared datasets; folders of videos; datasets with a folder
            of frames per clip and text lists (see :mod:`liquidwarp.learn.clip_sources`).
        split: Of datasets: "test", "train", "all"; "auto" is what is held out, or all if nothing is.

    Raises:
        SettingError: nothing is in that split, or only photos.
        MediaError: a folder holds neither videos nor images.
    """
    subjects: list[Subject] = []
    for path in paths:
        members = _members(path)
        if members is None:
            subjects.append(Subject(path.name, path))
        elif len(members) == 1 and members[0].path == path:
            subjects += members
        else:
            subjects += _of_split(path, members, split)
    return _with_own_names(subjects)


def _members(path: Path) -> list[Subject] | None:
    """What a dataset holds; None: it is a video or a folder of frames."""
    if not path.is_dir():
        return None
    clips = [path] if (path / "clip.json").is_file() else sorted(file.parent for file in path.glob("*/clip.json"))
    if clips:
        facts = [ClipFacts.read(clip / "clip.json") for clip in clips]
        found = clips != [path]
        every = [
            (fact.kind, Subject(fact.name, clip, True, found, fact.split))
            for fact, clip in zip(facts, clips, strict=True)
        ]
    elif any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.iterdir()):
        return None
    else:
        every = [
            (source.kind, Subject(source.name, source.path, found=True, split=source.split))
            for source in find_sources([path])
        ]
    for kind, subject in every:
        if kind != "video":
            logger.warning("%s: left out: photos, which need not share a place", subject.path)
    videos = [subject for kind, subject in every if kind == "video"]
    if not videos:
        raise SettingError(f"path: {path}: expected videos, found only photos, which need not share a place.")
    return videos


def _of_split(path: Path, members: Sequence[Subject], split: str) -> list[Subject]:
    held_out = [subject for subject in members if subject.split == "test"]
    if split == "all" or (split == "auto" and not held_out):
        return list(members)
    wanted = "test" if split == "auto" else split
    chosen = [subject for subject in members if subject.split == wanted]
    if not chosen:
        raise SettingError(f"split: {path}: expected clips of the split {wanted!r}, found none among {len(members)}.")
    if len(chosen) < len(members):
        logger.warning("%s: %d of %d clips, the split %r", path, len(chosen), len(members), wanted)
    return chosen


def _with_own_names(subjects: Sequence[Subject]) -> list[Subject]:
    """Videos of one name in two folders are told apart by these, and otherwise by numbers."""
    count = Counter(subject.name for subject in subjects)
    named: list[Subject] = []
    taken: set[str] = set()
    for subject in subjects:
        name = subject.name if count[subject.name] == 1 else f"{subject.path.resolve().parent.name}_{subject.name}"
        own, number = name, 2
        while own in taken:
            own, number = f"{name}_{number}", number + 1
        taken.add(own)
        named.append(replace(subject, name=own))
    return named
