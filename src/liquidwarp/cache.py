"""Results kept between runs, found again by the content they were made from, never by a file's name.

Entries are safetensors files; a damaged entry counts as missing and a cache that cannot be written only costs time.
"""

import hashlib
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from liquidwarp.errors import LiquidWarpError, WeightsCorruptError
from liquidwarp.media.images import find_images
from liquidwarp.weights import load_tensors, save_tensors

__all__ = ["Cache", "default_cache_folder", "digest_of", "digest_of_tensors"]

_log = logging.getLogger(__name__)


def default_cache_folder() -> Path:
    """``$LIQUIDWARP_CACHE``, or the platform's folder for caches."""
    chosen = os.environ.get("LIQUIDWARP_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "liquidwarp"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "liquidwarp" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "liquidwarp"


def digest_of(path: Path) -> str:
    """Digest of a file's content, or of all images of a folder in their order."""
    if path.is_dir():
        return hashlib.blake2b("".join(digest_of(file) for file in find_images(path)).encode()).hexdigest()[:32]
    state = path.stat()
    return _file_digest(path.resolve(), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _file_digest(path: Path, size: int, modified_ns: int) -> str:
    """Read once per process as long as size and time of change stay."""
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def digest_of_tensors(*tensors: Tensor) -> str:
    """Digest of tensors' values, shapes and types, wherever they lie."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{values.dtype}{tuple(values.shape)}".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()


class Cache:
    """A folder of results.

    Example:
        >>> import tempfile, torch
        >>> cache = Cache(tempfile.mkdtemp())
        >>> key = cache.key("landmarks-1", settings={"model": "heavy"})
        >>> cache.load(key) is None
        True
        >>> cache.save(key, {"xy": torch.zeros(2)}, {"fps": "25"})
        >>> cache.load(key)[1]["fps"]
        '25'
    """

    def __init__(self, folder: str | Path | None = None, enabled: bool = True) -> None:
        """Nothing is made before the first :meth:`save`.

        Args:
            folder: None chooses :func:`default_cache_folder`.
            enabled: False never finds and never keeps anything.
        """
        self.folder = default_cache_folder() if folder is None else Path(folder)
        self.enabled = enabled

    def key(self, kind: str, files: Sequence[Path] = (), settings: object = None) -> str:
        """The name of a result.

        Args:
            kind: What it is, with a number to raise when its making changes: "detections-1".
            files: The input files or folders; only their content and order count.
            settings: Dataclasses, numbers, strings, paths, and lists and dicts of these.
        """
        parts = [version("liquidwarp"), *(digest_of(Path(file)) for file in files), _plain(settings)]
        text = json.dumps(parts, sort_keys=True)
        return f"{kind}-{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"

    def path(self, key: str) -> Path:
        """The file of an entry, whether it exists or not."""
        return self.folder / f"{key}.safetensors"

    def load(self, key: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """Tensors and metadata, or None."""
        path = self.path(key)
        if not self.enabled or not path.is_file():
            return None
        try:
            return load_tensors(path)
        except WeightsCorruptError as error:
            _log.warning("A damaged result in the cache is made again: %s", error)
            self.remove(key)
            return None

    def save(self, key: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
        """Keep a result; a folder that cannot be written only gives a warning."""
        if not self.enabled:
            return
        try:
            save_tensors(self.path(key), tensors, metadata)
        except LiquidWarpError as error:
            _log.warning("The result is not kept for the next run: %s", error)

    def remove(self, key: str) -> None:
        """Forget an entry, if that is possible."""
        with suppress(OSError):
            self.path(key).unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """Settings as JSON values; an unknown type is an error of ours, since its repr may hold an address."""
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, {field.name: _plain(getattr(value, field.name)) for field in fields(value)}]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"settings: expected plain values and dataclasses of them, got {type(value).__name__}.")
