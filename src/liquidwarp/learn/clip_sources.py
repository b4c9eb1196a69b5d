"""What shall become clips: videos, folders of photos, folders of frames, and datasets laid out like iPER.

Such a dataset has a folder of frames (or a video) per person and clip, ``images_HD/001/1/1/``, and text lists
``train.txt`` and ``val.txt`` that name them, one a line.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from liquidwarp.errors import MediaError
from liquidwarp.files import natural_key
from liquidwarp.media import IMAGE_SUFFIXES, find_images

__all__ = ["ClipSource", "find_sources"]

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".mpg", ".mpeg", ".wmv", ".gif")
_LISTS = {"train.txt": "train", "val.txt": "test", "test.txt": "test"}
_FEWEST_FRAMES = 16
"""A folder of fewer images is taken for photos."""
_INNER = ("", "processed/orig_images", "processed/images", "images", "frames")
"""Where a clip's folder may keep its frames."""


@dataclass(frozen=True)
class ClipSource:
    """One clip to be."""

    name: str
    path: Path
    """A video, a folder of frames, or a folder of photos."""
    kind: str
    """"video" or "photos"."""
    split: str = ""
    """"train" or "test" where a text list says so."""


def find_sources(paths: Sequence[Path], folders: str = "auto") -> list[ClipSource]:
    """All clips in what a user names.

    Args:
        paths: Videos; single photos; folders of photos or frames; folders of such; datasets with text lists.
        folders: What a folder of images is: "photos", "frames" or "auto".

    Raises:
        MediaError: nothing there, or a list names what is not there.
    """
    found: list[ClipSource] = []
    for path in paths:
        if not path.exists():
            raise MediaError(f"{path}: no such file or folder. Check the spelling.")
        here = list(_sources_of(path, folders))
        if not here:
            raise MediaError(f"{path}: expected videos or folders with images in it, found none.")
        found += here
    return _with_own_names(found)


def _sources_of(path: Path, folders: str) -> Iterator[ClipSource]:
    if not path.is_dir():
        yield ClipSource(path.stem, path, "photos" if path.suffix.lower() in IMAGE_SUFFIXES else "video")
        return
    lists = [path / name for name in _LISTS if (path / name).is_file()]
    if lists:
        for file in lists:
            for line in file.read_text(encoding="utf-8-sig").split("\n"):
                if line.strip():
                    yield replace(_listed(path, file, line.strip(), folders), split=_LISTS[file.name])
        return
    yield from _inside(path, path.name, folders)


def _inside(folder: Path, name: str, folders: str) -> Iterator[ClipSource]:
    """The folder itself if it holds images, else what is in it."""
    entries = sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=natural_key)
    if any(entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file() for entry in entries):
        yield ClipSource(name, folder, _kind_of(folder, folders))
        return
    for inner in _INNER[1:3]:  # of a folder that the reference processed, only the frames
        if (folder / inner).is_dir():
            yield ClipSource(name, folder / inner, _kind_of(folder / inner, folders))
            return
    for entry in entries:
        if entry.is_dir():
            yield from _inside(entry, f"{name}_{entry.name}", folders)
        elif entry.suffix.lower() in VIDEO_SUFFIXES:
            yield ClipSource(f"{name}_{entry.stem}", entry, "video")


def _listed(root: Path, file: Path, line: str, folders: str) -> ClipSource:
    """A clip that a text list names: beside the list, or in a folder beside it, as frames or as a video."""
    entry = line.replace("\\", "/").split()[0].strip("/")
    name = entry.removesuffix(Path(entry).suffix if Path(entry).suffix.lower() in VIDEO_SUFFIXES else "")
    places = [root, *sorted(place for place in root.iterdir() if place.is_dir())]
    for place in places:
        for inner in _INNER:
            folder = place / name / inner
            if folder.is_dir() and any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir()):
                return ClipSource(name, folder, "video" if folders == "auto" else _kind_of(folder, folders))
        for stem in (name, name.replace("/", "_")):
            for suffix in VIDEO_SUFFIXES:
                if (place / f"{stem}{suffix}").is_file():
                    return ClipSource(name, place / f"{stem}{suffix}", "video")
    raise MediaError(
        f"{file}: names {entry!r}, but there is neither a folder of frames nor a video of that name in "
        f"{', '.join(place.name or '.' for place in places)}."
    )


def _kind_of(folder: Path, folders: str) -> str:
    if folders != "auto":
        return "video" if folders == "frames" else "photos"
    names = [path.stem for path in find_images(folder)]
    numbered = {re.sub(r"\d+", "", name) for name in names}
    return "video" if len(names) >= _FEWEST_FRAMES and len(numbered) == 1 else "photos"


def _with_own_names(sources: Sequence[ClipSource]) -> list[ClipSource]:
    """Names that can be folders, no two alike."""
    taken: set[str] = set()
    named = []
    for source in sources:
        plain = re.sub(r"[^\w.-]+", "_", source.name).strip("._") or "clip"
        name, number = plain, 2
        while name.casefold() in taken:
            name, number = f"{plain}_{number}", number + 1
        taken.add(name.casefold())
        named.append(replace(source, name=name))
    return named
