"""Files that appear whole or not at all, and the order in which people number them."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liquidwarp.errors import MediaError

__all__ = [
    "atomic_path",
    "check_apart",
    "check_space",
    "check_target",
    "is_folder",
    "natural_key",
    "prepare_target",
    "write_error",
]

_SPARE_BYTES = 64 * 2**20
"""A disk with less room is full."""


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key by which ``frame2`` stands before ``frame10``.

    Example:
        >>> [path.name for path in sorted(map(Path, ["a10", "a2", "A1"]), key=natural_key)]
        ['A1', 'a2', 'a10']
    """
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def check_apart(out: Path, *inputs: Path | str | None) -> None:
    """Check that a result takes the place of none of the files from which it is made.

    Args:
        out: The result: a file, or a folder that is replaced as a whole.
        inputs: Files and folders; what is no path is left out.

    Raises:
        MediaError: it would.
    """
    target = out.resolve()
    for given in (Path(path).resolve() for path in inputs if path is not None):
        if target == given or target in given.parents:
            raise MediaError(f"{out}: would take the place of an input ({given.name}). Choose another name.")


def is_folder(path: Path) -> bool:
    """Whether a result of this name is a folder: it has no suffix, or there is one already.

    Raises:
        MediaError: no file can have this name.
    """
    try:
        return path.is_dir() or path.suffix == ""
    except OSError as error:
        raise write_error(path, error) from error


def check_target(path: Path) -> None:
    """Prove before long work starts that ``path`` can be written later; nothing is made.

    Raises:
        MediaError: it has no name, its folder cannot be made or written to, or the disk is full.
    """
    if path.name in ("", ".."):
        raise MediaError(f"{path}: expected the name of a file or of a new folder. Add one.")
    folder = _existing_folder(path)
    probe = _partial(folder / path.name)
    try:
        with probe.open("wb"):
            pass
        probe.unlink()
    except OSError as error:
        raise write_error(path, error) from error
    check_space(path, _SPARE_BYTES)


def prepare_target(path: Path) -> None:
    """Make the folder of ``path`` and prove that something can be written there.

    Raises:
        MediaError: the folder cannot be made or written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error
    check_target(path)


def check_space(path: Path, needed: float | int) -> None:
    """Compare the free space of the disk of ``path`` with what is ``needed`` [bytes].

    Raises:
        MediaError: there is less.
    """
    try:
        free = shutil.disk_usage(_existing_folder(path)).free
    except OSError as error:
        raise write_error(path, error) from error
    if free < needed:
        raise MediaError(
            f"{path}: not enough disk space: about {_readable(needed)} needed, {_readable(free)} free. "
            "Free some space, choose another place, or make a shorter or smaller video."
        )


def _existing_folder(path: Path) -> Path:
    """The nearest folder above ``path`` that exists."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _readable(size: float | int) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"


def write_error(path: Path, error: OSError) -> MediaError:
    """The typed error for what the operating system said while ``path`` was written."""
    if error.errno == errno.ENAMETOOLONG:
        return MediaError(f"{path.name[:40]}...: the name is too long. Choose a shorter one.")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MediaError(f"{path}: the disk is full. Free some space or choose another place.")
    reason = error.strerror or str(error)
    return MediaError(f"{path}: cannot be written ({reason}). Choose a folder in which you may write.")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A partial file beside ``path`` that takes its place on success and is removed on any error or Ctrl-C."""
    partial = _partial(path)
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        if isinstance(error, MediaError):
            raise
        raise write_error(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")
