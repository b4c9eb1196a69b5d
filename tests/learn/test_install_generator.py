import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from liquidwarp.config import GeneratorConfig
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.pretrained import load_generator, save_generator

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from install_generator import install


def test_card_names_authors_figures_and_limits(tmp_path):
    small = replace(GeneratorConfig(), stem_channels=4, channels=(4, 4, 4), num_blocks=1)
    save_generator(tmp_path / "run" / "weights", LiquidWarpingGenerator(small))
    scores = {"network": {"psnr": 20.5, "face": None}, "texture": {"psnr": 17.25, "face": 0.5}}
    report = {"position": {"step": 1234, "seconds": 600}, "scores": scores, "config": {"size": 256}}
    (tmp_path / "run" / "report.json").write_text(json.dumps(report))
    items = [
        {"name": "suit01", "kind": "suit", "licence": "CC0", "author": "MakeHuman"},
        {"name": "Coat", "kind": "coat", "licence": "CC BY 3.0", "author": "punkduck"},
    ]
    (tmp_path / "wardrobe").mkdir()
    path = tmp_path / "wardrobe" / "wardrobe.safetensors"
    save_file({"skin/a": torch.zeros(1)}, path, {"items": json.dumps(items)})
    rows = [{"sources": 2, "model": name, "psnr": psnr} for name, psnr in (("lite", 22.125), ("texture", 19.5))]
    (tmp_path / "synthetic.json").write_text(json.dumps({"rows": rows}))
    folder = install(tmp_path / "run", "lite", tmp_path / "wardrobe", "256 and then 512", tmp_path / "assets")
    card = (folder / "MODEL_CARD.md").read_text()
    assert "| Coat | punkduck | CC BY 3.0 |" in card
    assert "suit01" not in card
    for fact in ('"lite"', "1234 steps in 10 minutes", "256 and then 512 px", "20.500", "17.250", "## Limits"):
        assert fact in card
    assert load_generator(folder).config == small
    measured = install(
        tmp_path / "run",
        "lite",
        tmp_path / "wardrobe",
        target=tmp_path / "measured",
        figures=tmp_path / "synthetic.json",
        before="Continued from weights of 77 steps.",
    )
    card = (measured / "MODEL_CARD.md").read_text()
    assert "Continued from weights of 77 steps. 1234 steps" in card
    assert "| 2 | lite | 22.125 |\n| 2 | texture | 19.500 |" in card
    assert "20.500" not in card
