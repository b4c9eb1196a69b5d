"""How well the background behind a person is made up: a person-shaped hole is cut where nobody is, and filled.

Run ``python benchmarks/background.py PICTURE...``: photos, with or without a person; a person in them is left out of
the comparison. Columns: PSNR in the hole [dB]; the step at the hole's border beyond the picture's own [grey levels],
mean and 95th percentile along the border, averaged over 15 px of it so that texture does not count; the same for the
fill's brightness at large (blurred by 2 % of the height), root mean square; CPU seconds.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.errors import NoPersonFoundError
from liquidwarp.flow.place.background import background_hole, complete_background
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.media import read_image
from liquidwarp.recover.mattes.matte import matte
from liquidwarp.recover.photos import load_sources

_SHARE = 0.75
"""Height of the cut-out person in picture heights."""
_ALONG = 15


def person_mask(path: Path, picture: UInt8[np.ndarray, "H W 3"], model: BodyModel) -> Bool[np.ndarray, "H W"]:
    """Where a person is, generously; nowhere if there is none."""
    try:
        photos = load_sources([path], model, progress=False)
    except NoPersonFoundError:
        return np.zeros(picture.shape[:2], bool)
    opacity = torch.from_numpy(matte(photos.pictures[0], photos.recovery.detection(0)))[None, None]
    hole = background_hole(opacity)[0, 0].numpy().astype(np.uint8)
    height, width = picture.shape[:2]
    side = 2 * round(0.02 * height) + 1
    return cv2.dilate(cv2.resize(hole, (width, height)), np.ones((side, side), np.uint8)) > 0


def cut_out(model: BodyModel, person: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """A standing body's silhouette, as far from the person as the picture allows."""
    height, width = person.shape
    rotvec = torch.zeros(1, len(model.joint_names), 3)
    for arm, angle in zip(model.roles.upper_arm, (-0.6, 0.5), strict=True):
        rotvec[0, arm, 2] = angle
    scale = torch.tensor([_SHARE * height / 1.75])
    best, least = np.zeros(person.shape, np.float32), np.inf
    half = 0.2 * _SHARE * height
    for x in np.linspace(min(half, width / 2), max(width - half, width / 2), 15):
        camera = WeakPerspective(scale, torch.tensor([[float(x), 0.52 * height]]))
        body = BodyParams(torch.zeros(len(model.beta_names)), rotvec_to_matrix(rotvec), camera)
        vertices = model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices
        silhouette = rasterize(camera.project(vertices), model.faces, height, width).covered[0].numpy()
        overlap = float((silhouette & person).sum()) + 1e-3 * abs(x - width / 2)
        if overlap < least:
            best, least = silhouette.astype(np.float32), overlap
    return best


def border_step(
    filled: Float[np.ndarray, "H W 3"], truth: Float[np.ndarray, "H W 3"], hole: Bool[np.ndarray, "H W"]
) -> tuple[float, float]:
    """Mean and 95th percentile of the step that the fill makes at the hole's border [grey levels].

    The difference of fill and truth is 0 outside; its mean along the border, just inside of it, is the step.
    """
    difference = np.where(hole[..., None], filled - truth, 0)
    inner = hole & (cv2.erode(hole.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1) == 0)
    weight = cv2.blur(inner.astype(np.float32), (_ALONG, _ALONG))
    mean = cv2.blur((difference * inner[..., None]).astype(np.float32), (_ALONG, _ALONG))
    step = np.abs(mean / np.maximum(weight, 1e-6)[..., None]).mean(-1)[inner] * 255
    return (float(step.mean()), float(np.percentile(step, 95))) if len(step) else (0.0, 0.0)


def compare(path: Path, model: BodyModel, size: int, folder: Path | None) -> dict[str, float]:
    """Fill a hole in one picture and compare with what was there."""
    picture = read_image(path).rgb
    factor = size / max(picture.shape[:2])
    if factor < 1:
        new = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
        picture = cv2.resize(picture, new, interpolation=cv2.INTER_AREA)
    truth = picture.astype(np.float32) / 255
    person = person_mask(path, picture, model)
    silhouette = cut_out(model, person)
    opacity = torch.from_numpy(silhouette)[None, None]
    hole = background_hole(opacity)[0, 0].numpy()
    image = np.where((silhouette > 0)[..., None], np.array((1, 0, 1), np.float32), truth)
    start = time.process_time()
    inside = torch.from_numpy((~person).astype(np.float32))[None, None]
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    filled = complete_background(tensor, opacity, inside=inside)[0].permute(1, 2, 0).numpy()
    seconds = time.process_time() - start
    judged = hole & ~person
    mean, high = border_step(filled, truth, judged)
    large = cv2.GaussianBlur(np.where(judged[..., None], filled - truth, 0), (0, 0), 0.02 * len(truth))
    if folder is not None:
        sheet = np.concatenate([truth, image, filled], 1) * 255
        cv2.imwrite(str(folder / f"{path.stem}.png"), sheet[..., ::-1].round().astype(np.uint8))
    return {
        "PSNR": float(-10 * np.log10(np.square(filled - truth)[judged].mean() + 1e-12)),
        "step": mean,
        "step 95 %": high,
        "large": float(np.sqrt(np.square(large)[judged].mean()) * 255),
        "seconds": seconds,
    }


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=512, help="longest side [px]")
    parser.add_argument("--sheets", type=Path, help="folder for pictures of truth, hole and fill")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.sheets is not None:
        arguments.sheets.mkdir(parents=True, exist_ok=True)
    model = AnnyBody.load()
    rows = {path.name: compare(path, model, arguments.size, arguments.sheets) for path in arguments.pictures}
    rows["mean"] = {name: float(np.mean([row[name] for row in rows.values()])) for name in next(iter(rows.values()))}
    print(f"{'':40}" + "".join(f"{name:>11}" for name in rows["mean"]))
    for picture, row in rows.items():
        print(f"{picture[:39]:40}" + "".join(f"{value:11.2f}" for value in row.values()))


if __name__ == "__main__":
    main()
