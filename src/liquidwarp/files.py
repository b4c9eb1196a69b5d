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

__all__ = ["atomic_path", "natural_key", "prepare_target", "write_error"]

_SPARE_BYTES = 64 * 2**20


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key by which ``frame2`` stands before ``frame10``.

    Example:
        >>> [path.name for path in sorted(map(Path, ["a10", "a2", "A1"]), key=natural_key)]
        ['A1', 'a2', 'a10']
    """
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def prepare_target(path: Path) -> None:
    """Make the folder of ``path`` and prove that something can be written there, before long work starts.

    Raises:
        MediaError: the folder cannot be made or written to, or the disk is full.
    """
    probe = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with probe.open("wb"):
            pass
        probe.unlink()
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise write_error(path, error) from error
    if free < _SPARE_BYTES:
        raise MediaError(
            f"{path}: not enough disk space: {free / 2**20:.0f} MB are free, at least {_SPARE_BYTES / 2**20:.0f} MB "
            "are needed. Free some space or choose another place."
        )


def write_error(path: Path, error: OSError) -> MediaError:
    """The typed error for what the operating system said while ``path`` was written."""
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
