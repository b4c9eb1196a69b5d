import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open

import liquidwarp
from liquidwarp.body.anny import AnnyBody
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize

DEMO = Path(liquidwarp.__file__).parent / "assets" / "demo"


def test_truth_of_the_demo_person_fits_its_pictures(model: AnnyBody) -> None:
    with safe_open(DEMO / "truth.safetensors", framework="pt") as file:
        truth = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    assert tuple(json.loads(metadata["beta_names"])) == model.beta_names
    assert tuple(json.loads(metadata["joint_names"])) == model.joint_names
    vertices = model.pose(model.rest(truth["betas"][None]), truth["rel_rotmats"]).vertices
    camera = WeakPerspective(truth["scale"], truth["translation"])
    covered = rasterize(camera.project(vertices), model.faces, 1024, 768).covered
    for body, name in zip(covered, json.loads(metadata["frames"]), strict=True):
        matte = torch.from_numpy(np.asarray(Image.open(DEMO / f"{name}_matte.png")) > 127)
        assert Image.open(DEMO / f"{name}.jpg").size == (768, 1024)
        assert (body & matte).sum() > 0.97 * body.sum()
        assert (body & matte).sum() > 0.75 * matte.sum()


def test_demo_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in DEMO.glob("*.[jp][pn]g")) < 600_000
