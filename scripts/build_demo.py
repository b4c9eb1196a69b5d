"""Render the person of the demo: front.jpg, back.jpg, background.jpg and the truth about them.

The person does not exist. The wardrobe of ``scripts/build_wardrobe.py`` must hold the items named in OUTFIT, all of
them CC0. Beside the pictures this writes front_matte.png, back_matte.png and truth.safetensors (betas, rel_rotmats,
scale, translation, distance, height), so that Body Mesh Recovery can be measured against known truth.

Usage: python scripts/build_demo.py --wardrobe .lab/wardrobe --out src/liquidwarp/assets/demo
"""

import argparse
import json
import math
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import PosedBody
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.synthetic.dataset import SHOD_FEET
from liquidwarp.synthetic.figure import Figures, Outfit, Paint, dress
from liquidwarp.synthetic.poses import relaxed_stand
from liquidwarp.synthetic.scene import Camera, Light, Picture, SceneConfig, pose_points, render
from liquidwarp.synthetic.wardrobe import Wardrobe

OUTFIT = ("eyes", "eyebrow001", "male_casualsuit01", "shoes01", "short02")
SKIN = "young_lightskinned_male_diffuse2"
EYES = "brownlight_eye"
BACKGROUND = "drei_venice_sunset_1k_2"
BACKGROUND_CROP = (112, 56, 300, 400)
"""Left, top, width, height in the photo [px]; its horizon lies in the middle."""
SHAPE = {"pc0": -1.0, "pc1": 1.1, "pc3": 0.9, "pc4": 1.3}
SHAPE |= {"shoulder-width": -0.8, "waist-girth": -0.5, "belly": -0.5}
SIZE = (1024, 768)
HEIGHT_IN_PICTURE = 0.84
DISTANCE = 5.0
SUPERSAMPLE = 4
GRAIN = 0.012


def standing(model: AnnyBody, joints: torch.Tensor, yaw: float) -> torch.Tensor:
    """A relaxed stand, turned by ``yaw`` [rad] about the vertical, the head a little further."""
    rotvec = relaxed_stand(model, joints)
    for name, turn in (("root", (0.0, yaw, 0.0)), ("head", (0.0, 0.05, 0.02)), ("spine03", (0.0, 0.02, 0.0))):
        rotvec[model.joint_index(name)] = torch.tensor(turn)
    return rotvec_to_matrix(rotvec)


def light_of(background: torch.Tensor) -> Light:
    """Late daylight from the upper left, tinted by what the photo shows above and below."""
    linear = background.double() ** 2.2
    middle = linear.shape[1] // 2
    sky, ground = linear[:, :middle].mean((1, 2)), linear[:, middle:].mean((1, 2))
    sky, ground = (colour / colour.mean() for colour in (sky, ground))
    direction = F.normalize(torch.tensor([[[-0.55, -0.65, -0.75], [0.9, -0.3, -0.2]]]), dim=-1)
    return Light(
        direction,
        torch.tensor([[[1.12, 1.02, 0.90], [0.20, 0.22, 0.26]]]),
        (0.42 * (0.5 + 0.5 * sky)).float()[None],
        (0.20 * (0.5 + 0.5 * ground)).float()[None],
    )


def load_background(wardrobe: Wardrobe) -> torch.Tensor:
    """The place, (3, H, W) in [0, 1], enlarged and a little out of focus."""
    photo = wardrobe.backgrounds[wardrobe.background_names.index(BACKGROUND)].permute(1, 2, 0).numpy()
    left, top, width, height = BACKGROUND_CROP
    crop = photo[top : top + height, left : left + width]
    large = cv2.resize(crop, SIZE[::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
    soft = cv2.GaussianBlur(large, (0, 0), 2.5)
    share = np.linspace(0, 1, SIZE[0], dtype=np.float32)[:, None, None].clip(0.62, 0.9)
    share = (share - 0.62) / 0.28
    return torch.from_numpy(soft * (1 - share) + large * share).permute(2, 0, 1).clamp(0, 1)


def frame(posed: PosedBody) -> Camera:
    """The person upright in the middle, feet near the lower edge, the same scale in all pictures."""
    low, high = posed.vertices[..., 1].amin(1), posed.vertices[..., 1].amax(1)
    scale = (HEIGHT_IN_PICTURE * SIZE[0] / (high - low).mean()).expand(len(low))
    y = SIZE[0] * (0.5 + HEIGHT_IN_PICTURE / 2 + 0.005) - scale * high
    weak = WeakPerspective(scale, torch.stack([torch.full_like(y, SIZE[1] / 2), y], 1))
    return Camera(weak, torch.full_like(scale, DISTANCE))


def ground_shadow(figures: Figures, posed: PosedBody, camera: Camera, light: Light) -> torch.Tensor:
    """How dark the ground is under each view, (V, 1, H, W) in [0, 1]: contact, sky and lamp."""
    points, _ = pose_points(figures, posed.transforms[None])
    ground = points[..., 1].amax(1)[:, None]
    above = ground - points[..., 1]
    total = torch.zeros(len(points), 1, *SIZE)
    towards = light.direction[0, 0]
    for slant, reach, blur, strength in ((0.0, 0.05, 4, 0.65), (0.0, 0.6, 20, 0.45), (0.8, 9.0, 10, 0.30)):
        shift = slant * above / -towards[1]
        x, z = points[..., 0] - shift * towards[0], points[..., 2] - shift * towards[2]
        flat = torch.stack([x, ground.expand_as(above), z], -1)
        projected = camera.project(flat, *SIZE)
        faces = figures.faces[0]
        inside = (above[:, faces] < reach).all(2).all(0)
        mask = rasterize(projected, faces[inside], *SIZE, cull_backfaces=False).covered
        soft = torch.stack([torch.from_numpy(cv2.GaussianBlur(m.float().numpy(), (0, 0), blur)) for m in mask])
        total = 1 - (1 - total) * (1 - strength * soft[:, None])
    return total


def compose(picture: Picture, background: torch.Tensor, shadow: torch.Tensor, seed: int) -> list[np.ndarray]:
    """Person over shaded ground, with the grain of a sensor, as uint8 RGB."""
    generator = torch.Generator().manual_seed(seed)
    ground = background * (1 - shadow) ** 0.8
    images = picture.colour[0] + (1 - picture.matte[0]) * ground
    grain = torch.randn(images.shape, generator=generator)
    grain = F.avg_pool2d(grain, 3, 1, 1) * 2 + grain * 0.3
    images = (images + GRAIN * grain).clamp(0, 1)
    return [(image.permute(1, 2, 0) * 255).round().byte().numpy() for image in images]


def main() -> None:
    """Render and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wardrobe", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    model = AnnyBody.load()
    wardrobe = Wardrobe.load(args.wardrobe, model)
    betas = torch.tensor([[SHAPE.get(name, 0.0) for name in model.beta_names]])
    paints = {
        "suit": Paint(gain=(1.35, 1.45, 1.6)),
        "eyes": Paint(gain=(0.75, 0.7, 0.65)),
        "eyebrows": Paint(colour=(0.10, 0.06, 0.04), amount=0.8),
        "shoes": Paint(gain=(0.75, 0.7, 0.65)),
    }
    outfit = Outfit.of([wardrobe.named(name) for name in OUTFIT], wardrobe.skins[SKIN], wardrobe.eyes[EYES], paints)
    figures = dress(model, betas, [outfit])
    rest = model.rest(betas)
    poses = torch.stack([standing(model, rest.joints[0], yaw) for yaw in (0.10, math.pi + 0.10)])
    posed = model.pose(rest, poses)
    camera = frame(posed)
    background = load_background(wardrobe)
    light = light_of(background)
    config = SceneConfig(SUPERSAMPLE, shadow_size=1024, shadow_softness=0.012, shadow_taps=16)
    picture = render(figures, posed.transforms[None], camera, light, wardrobe.textures, SIZE, config)
    shadow = ground_shadow(figures, posed, camera, light)
    args.out.mkdir(parents=True, exist_ok=True)
    front, back = compose(picture, background, shadow, seed=1)
    nobody = Picture(torch.zeros(1, 1, 3, *SIZE), torch.zeros(1, 1, 1, *SIZE))
    (empty,) = compose(nobody, background, torch.zeros(1, 1, *SIZE), seed=3)
    for name, image in (("front", front), ("back", back), ("background", empty)):
        cv2.imwrite(str(args.out / f"{name}.jpg"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    for name, matte in zip(("front", "back"), picture.matte[0, :, 0], strict=True):
        cv2.imwrite(str(args.out / f"{name}_matte.png"), (matte * 255).round().byte().numpy())
    shod = betas[0] + torch.tensor([SHOD_FEET.get(name, 0.0) for name in model.beta_names])
    truth = {
        "betas": shod,
        "rel_rotmats": poses,
        "scale": camera.weak.scale.contiguous(),
        "translation": camera.weak.translation,
        "distance": camera.distance,
        "height": model.height(betas),
    }
    metadata = {"frames": json.dumps(["front", "back"]), "joint_names": json.dumps(model.joint_names)}
    metadata |= {"beta_names": json.dumps(model.beta_names), "image_size": json.dumps(SIZE[::-1])}
    save_file(truth, args.out / "truth.safetensors", metadata)
    (args.out / "truth.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
