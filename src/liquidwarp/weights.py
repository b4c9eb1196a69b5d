"""Weights and other assets inside the package: found, checked against their sha256, loaded without pickle.

``assets/manifest.json`` lists every asset with its size, sha256, licence and origin; ``scripts/manifest.py`` writes it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from liquidwarp.errors import WeightsCorruptError, WeightsNotFoundError
from liquidwarp.files import atomic_path, prepare_target

__all__ = ["ASSETS", "AssetRecord", "asset", "list_assets", "load_tensors", "save_tensors", "sha256_of"]

ASSETS = Path(__file__).parent / "assets"
"""The folder of assets inside the package."""


@dataclass(frozen=True)
class AssetRecord:
    """One line of the manifest."""

    name: str
    """Path below ``assets/``, with ``/``."""
    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal digest of the content."""
    licence: str
    """SPDX identifier."""
    source: str
    """Where it comes from or which script makes it."""


def list_assets(folder: Path = ASSETS) -> tuple[AssetRecord, ...]:
    """The manifest of ``folder``.

    Raises:
        WeightsNotFoundError: there is no manifest.
        WeightsCorruptError: it cannot be read.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise WeightsNotFoundError(f"{path}: the list of assets is missing. Install the package again.")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return tuple(AssetRecord(name=name, **entry) for name, entry in entries.items())
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsCorruptError(f"{path}: the list of assets is damaged ({error}). Install again.") from error


def asset(name: str, folder: Path = ASSETS) -> Path:
    """The file of an asset, after its content was compared with the manifest (once per process).

    Args:
        name: Path below ``assets/``, such as ``"body/anny.safetensors"``.
        folder: Another folder with a manifest.

    Raises:
        WeightsNotFoundError: not in the manifest, or the file is missing.
        WeightsCorruptError: the file differs from what the manifest says.
    """
    return _verified(name, folder)


@cache
def _verified(name: str, folder: Path) -> Path:
    records = {record.name: record for record in list_assets(folder)}
    if name not in records:
        raise WeightsNotFoundError(f"{name}: no such asset; there are {', '.join(sorted(records))}.")
    path = folder / name
    if not path.is_file():
        raise WeightsNotFoundError(f"{path}: the file is missing. Install the package again.")
    size = path.stat().st_size
    if size != records[name].size or sha256_of(path) != records[name].sha256:
        raise WeightsCorruptError(
            f"{path}: expected {records[name].size} bytes with sha256 {records[name].sha256[:12]}..., found other "
            f"content ({size} bytes). Install the package again (a git clone may lack large files: 'git lfs pull')."
        )
    return path


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def load_tensors(path: str | Path, file_format: str | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file, on the CPU, and its metadata.

    Args:
        path: The file.
        file_format: If given, what the metadata's ``format`` must be.

    Raises:
        WeightsNotFoundError: no such file.
        WeightsCorruptError: damaged, not safetensors, or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsNotFoundError(f"{path}: no such file. Check the spelling.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsCorruptError(
            f"{path}: expected a whole safetensors file ({error}). Pickled files (.pt, .pth) are never read; "
            "otherwise copy or download it again."
        ) from error
    if file_format is not None and metadata.get("format") != file_format:
        raise WeightsCorruptError(
            f"{path}: expected format '{file_format}', found '{metadata.get('format')}'. "
            "The file belongs to another version or purpose."
        )
    return tensors, metadata


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Path:
    """Write a safetensors file, whole or not at all.

    Raises:
        MediaError: the place cannot be written.
    """
    path = Path(path)
    prepare_target(path)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as partial:
        partial.touch()
        usual = partial.stat().st_mode
        save_file(plain, partial, dict(metadata or {}))
        partial.chmod(usual)  # safetensors makes files that nobody else may read
    return path
