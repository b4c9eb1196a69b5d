"""Are the cuts of a film found, and who is seen in close-up? Measured on films made of a few videos.

The videos are cut, dissolved, faded, shaken and so on, so every true cut is known. The person is looked for in
faces, heads and chests that are cut out of the same videos.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from liquidwarp.errors import MediaError, NoPersonFoundError, SettingError
from liquidwarp.evaluate.close_ups import EVERY, KINDS, CloseUp, CloseUps, find_close_ups
from liquidwarp.evaluate.cut_films import LEAST_FRAMES, Clip, Film, make_films, reduced
from liquidwarp.evaluate.sheets import contact_sheet
from liquidwarp.files import atomic_path, prepare_target
from liquidwarp.media import open_frames, save_image
from liquidwarp.recover.films.shots import find_shots
from liquidwarp.recover.tracking.tracker import PersonDetector

__all__ = ["FilmsReport", "KindOfFilm", "Mistake", "evaluate_films", "read_clip"]

logger = logging.getLogger(__name__)

_SIDE = 480
"""Longer side of the films [px]; cuts are looked for in smaller pictures."""
_SHEET_PICTURES = 9
_SHEET_SIDE = 180
"""Side of the pictures in a sheet [px]."""
_SHEET_STEP = 4
"""Frames between two pictures of a sheet."""
_BAR = 8
"""Height of the bars in a sheet [px]."""
_GREEN, _RED, _WHITE = (0, 160, 0), (220, 0, 0), (255, 255, 255)

Frame = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True)
class KindOfFilm:
    """Figures of all films of one kind."""

    kind: str
    films: int
    cuts: int
    """True ones."""
    found: int
    """Of them."""
    false: int
    """Starts of shots where no cut is."""
    ms: float
    """Of the search, per frame [ms]; the frames are in memory."""


@dataclass(frozen=True)
class Mistake:
    """A film whose shots are not the true ones."""

    kind: str
    film: str
    missed: tuple[int, ...]
    """Frames of cuts that were not found."""
    false: tuple[int, ...]
    """Frames that are said to begin a shot and do not."""


@dataclass(frozen=True)
class FilmsReport:
    """Figures of cuts and of close-ups; ``str()`` makes the tables."""

    kinds: tuple[KindOfFilm, ...]
    """The last one is the sum."""
    mistakes: tuple[Mistake, ...]
    close_ups: tuple[CloseUp, ...]

    def __str__(self) -> str:
        width = max(len(row.kind) for row in self.kinds)
        lines = [
            f"| {'film':{width}} | films | cuts | found | false | ms/frame |",
            f"|{'-' * (width + 2)}|------:|-----:|------:|------:|---------:|",
        ]
        for row in self.kinds:
            figures = f"{row.films:5d} | {row.cuts:4d} | {row.found:5d} | {row.false:5d} | {row.ms:8.1f}"
            lines.append(f"| {row.kind:{width}} | {figures} |")
        lines += ["", *map(_told, self.mistakes)] if self.mistakes else []
        if self.close_ups:
            width = max(len("close-ups of"), *(len(row.video) for row in self.close_ups))
            lines += ["", f"| {'close-ups of':{width}} | shows | frames | found |"]
            lines.append(f"|{'-' * (width + 2)}|-------|-------:|------:|")
            for one in self.close_ups:
                lines.append(f"| {one.video:{width}} | {one.shows:5} | {one.frames:6d} | {one.found:5.0%} |")
        return "\n".join(lines)


def _told(mistake: Mistake) -> str:
    parts = (("missed", mistake.missed), ("false", mistake.false))
    told = [f"{word} {', '.join(map(str, frames))}" for word, frames in parts if frames]
    return f"* {mistake.kind} ({mistake.film}): {'; '.join(told)}"


def evaluate_films(
    paths: Sequence[Path],
    out: Path | None = None,
    max_frames: int = 96,
    close_ups: bool = True,
    detector: PersonDetector | None = None,
) -> FilmsReport:
    """Make films of videos, look for their cuts, and look for people in close-ups.

    Args:
        paths: Two videos or more, each without cuts; for close-ups a person is in each of them.
        out: A folder for ``films.json`` and contact sheets.
        max_frames: Only so many frames of each.
        close_ups: Look for people in close-ups, too.
        detector: Another than the bundled one.

    Raises:
        SettingError: fewer than two videos, or too few frames are asked for.
        MediaError: one cannot be read or is too short.
    """
    if len(paths) < 2:
        raise SettingError(f"path: expected at least two videos, which are cut together; got {len(paths)}. Add one.")
    if max_frames < LEAST_FRAMES:
        raise SettingError(f"frames: expected at least {LEAST_FRAMES}, got {max_frames}.")
    clips = [read_clip(path, max_frames) for path in tqdm(paths, desc="Reading", unit="video", leave=False)]
    films = make_films(clips)
    kinds, mistakes, starts = _search(films)
    near = _look_near(paths, max_frames, detector or PersonDetector()) if close_ups else []
    report = FilmsReport(tuple(kinds), tuple(mistakes), tuple(one.figure for one in near))
    if out is not None:
        _write(out, report, films, starts, near)
    return report


def read_clip(path: Path, max_frames: int) -> Clip:
    """The beginning of a video, reduced.

    Raises:
        MediaError: it cannot be read or is too short.
    """
    frames = tuple(reduced(frame, _SIDE) for frame in open_frames(path, None, max_frames))
    if len(frames) < LEAST_FRAMES:
        raise MediaError(
            f"{path}: expected at least {LEAST_FRAMES} frames to make films of, found {len(frames)}. "
            "Give a longer video."
        )
    return Clip(path.stem, frames)


def _search(films: Sequence[Film]) -> tuple[list[KindOfFilm], list[Mistake], list[tuple[int, ...]]]:
    """Per kind and together how many cuts are found; which films are wrong; the starts of all films' shots."""
    mistakes, found, seconds = [], [], []
    for film in tqdm(films, desc="Looking for cuts", unit="film", leave=False):
        frames = list(film)
        begin = time.perf_counter()
        found.append(find_shots(frames).starts)
        seconds.append(time.perf_counter() - begin)
        missed, false = film.judge(found[-1])
        if missed or false:
            mistakes.append(Mistake(film.kind, film.name, missed, false))
    kinds = []
    for kind in (*dict.fromkeys(film.kind for film in films), None):
        chosen = [index for index, film in enumerate(films) if kind in (None, film.kind)]
        wrong = [mistake for mistake in mistakes if kind in (None, mistake.kind)]
        cuts = sum(len(films[index].cuts) for index in chosen)
        time_per_frame = sum(seconds[index] for index in chosen) / sum(len(films[index]) for index in chosen)
        kinds.append(
            KindOfFilm(
                kind or "all",
                len(chosen),
                cuts,
                cuts - sum(len(mistake.missed) for mistake in wrong),
                sum(len(mistake.false) for mistake in wrong),
                1e3 * time_per_frame,
            )
        )
    return kinds, mistakes, found


def _look_near(paths: Sequence[Path], max_frames: int, detector: PersonDetector) -> list[CloseUps]:
    """Close-ups of every video in which anybody is found."""
    near: list[CloseUps] = []
    looks = (1 + len(KINDS)) * sum(-(-min(max_frames, len(open_frames(path))) // EVERY) for path in paths)
    with tqdm(total=looks, desc="Close-ups", unit="picture", leave=False) as bar:
        for path in paths:
            near += _close_ups_or_none(path, max_frames, detector, bar.update)
    return near


def _close_ups_or_none(
    path: Path, max_frames: int, detector: PersonDetector, progress: Callable[[], object]
) -> list[CloseUps]:
    try:
        return find_close_ups(path, detector, max_frames, progress)
    except NoPersonFoundError as error:
        logger.warning("%s: no close-ups: %s", path, error)
        return []


def _write(
    out: Path,
    report: FilmsReport,
    films: Sequence[Film],
    starts: Sequence[tuple[int, ...]],
    near: Sequence[CloseUps],
) -> None:
    target = out / "films.json"
    prepare_target(target)
    titles, rows = [""] * _SHEET_PICTURES, []
    for kind in dict.fromkeys(film.kind for film in films):
        members = [pair for pair in zip(films, starts, strict=True) if pair[0].kind == kind]
        rows.append(_around_the_cut(*max(members, key=lambda pair: sum(map(len, pair[0].judge(pair[1]))))))
    save_image(out / "films.png", contact_sheet(titles, rows))
    if near:
        save_image(out / "close_ups.png", contact_sheet(titles, [_spread(one) for one in near]))
    with atomic_path(target) as partial:
        partial.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")


def _around_the_cut(film: Film, starts: Sequence[int]) -> list[Frame]:
    """Frames around the first mistake, or the first cut; a green bar is a true cut, a red one a start that was found.

    A bar belongs to the picture and the frames up to the next one.
    """
    missed, false = film.judge(starts)
    middle = [*missed, *false, *(sum(cut) // 2 for cut in film.cuts), len(film) // 2][0]
    first = min(
        max(middle - _SHEET_PICTURES // 2 * _SHEET_STEP, 0), len(film) - 1 - _SHEET_STEP * (_SHEET_PICTURES - 1)
    )
    pictures = []
    for number in range(first, first + _SHEET_STEP * _SHEET_PICTURES, _SHEET_STEP):
        near = range(number, number + _SHEET_STEP)
        true = any(start < near.stop and end >= near.start for start, end in film.cuts)
        found = any(start in near for start in starts if start)
        pictures.append(_tile(film.picture(number), _GREEN if true else _WHITE, _RED if found else _WHITE))
    _label(pictures[0], film.kind)
    return pictures


def _spread(one: CloseUps) -> list[Frame]:
    """Evenly chosen close-ups; a red bar is under those in which nobody was found."""
    chosen = np.linspace(0, len(one.pictures) - 1, _SHEET_PICTURES).round().astype(int)
    tiles = [_tile(one.pictures[n], _WHITE, _WHITE if one.found[n] else _RED) for n in chosen]
    _label(tiles[0], f"{one.figure.shows}, {one.figure.found:.0%}")
    return tiles


def _tile(picture: Frame, *bars: tuple[int, int, int]) -> Frame:
    """A square with the picture in its middle, and bars below."""
    factor = _SHEET_SIDE / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    tile = np.full((_SHEET_SIDE + len(bars) * _BAR, _SHEET_SIDE, 3), 255, np.uint8)
    top, left = (_SHEET_SIDE - size[1]) // 2, (_SHEET_SIDE - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    for index, colour in enumerate(bars):
        tile[_SHEET_SIDE + index * _BAR : _SHEET_SIDE + (index + 1) * _BAR] = colour
    return tile


def _label(tile: Frame, text: str) -> None:
    """Write it over the upper edge."""
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    tile[: height + 8, : width + 8] = 255
    cv2.putText(tile, text, (4, height + 3), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
