"""What is installed here and whether it is whole: the text of ``liquidwarp doctor``."""

import os
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

__all__ = ["report"]


def report() -> tuple[list[str], list[str]]:
    """Lines to print, and the names of the broken parts."""
    lines = [f"liquidwarp {version('liquidwarp')}, Python {platform.python_version()}, {platform.platform()}"]
    broken: list[str] = []
    checks: dict[str, Callable[[], list[str]]] = {
        "packages": _packages,
        "devices": _devices,
        "weights": _weights,
        "codecs": _codecs,
        "folders": _folders,
    }
    for name, check in checks.items():
        try:
            found = check()
        except Exception as error:  # the doctor must finish whatever is broken
            found = [f"BROKEN: {type(error).__name__}: {error}"]
            broken.append(name)
        lines += ["", name, *(f"  {line}" for line in found)]
    return lines, broken


def _packages() -> list[str]:
    lines = []
    missing = []
    for requirement in requires("liquidwarp") or []:
        if ";" in requirement:
            continue
        name = requirement.split(">")[0].split("=")[0].split("<")[0].strip()
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        raise ImportError(f"not installed: {', '.join(missing)}")
    return lines


def _devices() -> list[str]:
    import torch

    lines = [f"cpu: {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads"]
    for index in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(index).total_memory / 2**30
        lines.append(f"cuda:{index}: {torch.cuda.get_device_name(index)}, {memory:.0f} GB")
    if torch.backends.mps.is_available():
        lines.append("mps: Apple GPU")
    return lines


def _weights() -> list[str]:
    from liquidwarp.weights import asset, list_assets

    lines = []
    for record in list_assets():
        asset(record.name)
        lines.append(f"{record.name}: {record.size / 1e6:.1f} MB, whole, {record.licence}")
    return lines


def _codecs() -> list[str]:
    import av

    reading = [name for name in ("h264", "hevc", "vp9", "av1", "prores", "mpeg4") if name in av.codecs_available]
    writing = [name for name in ("libx264", "h264_videotoolbox", "libopenh264", "mpeg4") if name in av.codecs_available]
    lines = [f"reads {', '.join(reading)}", f"writes with {writing[0]}"]
    try:
        lines.append(f"HEIC photos: pillow-heif {version('pillow-heif')}")
    except PackageNotFoundError:
        lines.append("HEIC photos: no (pip install pillow-heif)")
    return lines


def _folders() -> list[str]:
    from liquidwarp.cache import default_cache_folder

    folder = default_cache_folder()
    entries = [path.stat().st_size for path in folder.glob("*")] if folder.is_dir() else []
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free / 2**30
    return [
        f"cache: {folder} ({len(entries)} results, {sum(entries) / 1e6:.0f} MB; delete it whenever you like)",
        f"free there: {free:.1f} GB",
        f"package: {Path(__file__).parent}",
    ]
