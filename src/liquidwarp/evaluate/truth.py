"""How far the recovered body is from a known one: synthetic people are fitted as photos are, and compared.

What matters for the flow is where the visible surface lands in the picture, so the first figure is the distance
between where a surface point is seen and where the fitted body puts it. Errors in depth hardly show there.
"""

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.config import BodyNoise, SyntheticConfig
from liquidwarp.errors import NoPersonFoundError
from liquidwarp.evaluate.noise import disturbed, matched_noise, responses
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import kabsch, matrix_to_rotvec
from liquidwarp.media import read_image
from liquidwarp.recover.fitting.fit import fit_body
from liquidwarp.recover.fitting.photometric import PhotometricFit
from liquidwarp.recover.tracking.tracker import PersonDetector
from liquidwarp.synthetic.dataset import SyntheticPeople
from liquidwarp.synthetic.poses import finger_joints
from liquidwarp.synthetic.scene import Camera
from liquidwarp.weights import asset, load_tensors

__all__ = ["KINDS", "KnownPerson", "TruthReport", "VisibleSurface", "compare", "demo_person", "evaluate_truth"]

KINDS = ("head", "face", "torso", "upper_arm", "lower_arm", "hand", "upper_leg", "lower_leg", "foot")
"""Body parts without their side."""
_KIND_OF_PART = torch.tensor([KINDS.index(name.removeprefix("left_").removeprefix("right_")) for name in PARTS])
_TOGETHER, _SINGLE, _TRUE = "fit, pictures together", "fit, one picture", "true body, no perspective"
_ALIGNED = "fit, aligned by colours"
_TRAINING = "training, unclothed"
_PHOTO_DISTANCE = (2.4, 7.0)
"""From where people are photographed [m]."""
_POINTS_PER_VIEW = 4000
"""Points of the visible surface that are compared, about."""
_RASTER_SIZE = 256
"""Longer side at which it is looked up which points are seen [px]."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownPerson:
    """One person in T pictures, with the true body."""

    images: UInt8[np.ndarray, "T H W 3"]
    body: BodyParams
    mattes: Bool[np.ndarray, "T H W"]
    distance: float
    """From the camera to the root joint [m]; inf for weak perspective."""


@dataclass(frozen=True)
class VisibleSurface:
    """N points of the true body's surface that the camera sees, evenly spread over the picture."""

    frame: Int64[Tensor, "N"]
    corners: Int64[Tensor, "N 3"]
    """Vertices of the face that each point lies on."""
    bary: Float[Tensor, "N 3"]
    kind: Int64[Tensor, "N"]
    """Index into :data:`KINDS`."""
    place: Float[Tensor, "N 2"]
    """Where the point is seen [px]."""
    height: float
    """Of the standing body [m]."""
    scale: Float[Tensor, "N"]
    """Of the true camera [px/m]."""

    @staticmethod
    def of(
        model: BodyModel, body: BodyParams, size: tuple[int, int], distance: float = float("inf")
    ) -> "VisibleSurface":
        """Draw the true body, as the picture shows it.

        Args:
            model: The body model.
            body: The truth.
            size: (width, height) of the pictures [px].
            distance: From the camera to the root joint [m].
        """
        rest = model.rest(body.betas[None])
        width, height = size
        seen = Camera(body.camera, torch.full((len(body),), distance)).project(
            model.pose(rest, body.rel_rotmats).vertices, height, width
        )
        factor = _RASTER_SIZE / max(size)
        small = torch.cat([seen[..., :2] * factor, seen[..., 2:]], -1)
        raster = rasterize(small, model.faces, round(height * factor), round(width * factor))
        frame, row, column = raster.covered.nonzero(as_tuple=True)
        step = max(1, len(frame) // (_POINTS_PER_VIEW * len(body)))
        frame, row, column = frame[::step], row[::step], column[::step]
        face = raster.pix_to_face[frame, row, column]
        corners, bary = model.faces[face], raster.bary[frame, row, column]
        tall = rest.vertices[0, :, 1]
        return VisibleSurface(
            frame,
            corners,
            bary,
            _KIND_OF_PART[model.face_part[face]],
            _on_surface(seen, frame, corners, bary),
            float(tall.amax() - tall.amin()),
            body.camera.scale[frame],
        )

    def displacement(self, model: BodyModel, body: BodyParams) -> Float[Tensor, "N 2"]:
        """How far from where they are seen another body puts the points [share of the body's height]."""
        vertices = model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices
        moved = _on_surface(body.camera.project(vertices), self.frame, self.corners, self.bary)
        return (moved - self.place) / (self.scale * self.height)[:, None]


def _on_surface(
    projected: Float[Tensor, "T V 3"], frame: Tensor, corners: Tensor, bary: Tensor
) -> Float[Tensor, "N 2"]:
    return (projected[frame[:, None], corners, :2] * bary[..., None]).sum(1)


@dataclass(frozen=True)
class Comparison:
    """What was found for one person."""

    displacement: Float[Tensor, "N 2"]
    """Of the visible surface [share of the body's height]."""
    kind: Int64[Tensor, "N"]
    rotvec: Float[Tensor, "T J 3"]
    """Error of each joint's rotation, in its own axes [rad]."""
    betas: Float[Tensor, "K"]
    scale: Float[Tensor, "T"]
    """Relative."""
    translation: Float[Tensor, "T 2"]
    """[m]."""
    shape_error: float
    """Mean distance of the vertices at rest [m]."""
    aligned_error: Float[Tensor, "T"]
    """Mean distance of the posed vertices after the best rotation, translation and scale [m]."""
    overlap: Float[Tensor, "T"]
    """Intersection over union of the fitted and the true body's silhouettes."""
    overlap_matte: Float[Tensor, "T"]
    """The same with the person in clothes."""
    outline: Float[Tensor, "M"]
    """How far the fitted outline is from the clothed person's [share of the body's height], outside positive."""


def compare(model: BodyModel, person: KnownPerson, fitted: BodyParams, surface: VisibleSurface) -> Comparison:
    """Measure a fitted body against the truth.

    Args:
        model: The body model.
        person: The truth.
        fitted: One body for all pictures.
        surface: Of the true body.
    """
    truth = person.body
    height, width = person.images.shape[1:3]
    rest = [model.rest(body.betas[None]) for body in (truth, fitted)]
    posed = [model.pose(r, body.rel_rotmats).vertices for r, body in zip(rest, (truth, fitted), strict=True)]
    seen = Camera(truth.camera, torch.full((len(truth),), person.distance)).project(posed[0], height, width)
    true_mask = rasterize(seen, model.faces, height, width).covered
    mask = rasterize(fitted.camera.project(posed[1]), model.faces, height, width).covered
    return Comparison(
        surface.displacement(model, fitted),
        surface.kind,
        matrix_to_rotvec(truth.rel_rotmats.mT @ fitted.rel_rotmats),
        fitted.betas - truth.betas,
        fitted.camera.scale / truth.camera.scale - 1,
        (fitted.camera.translation - truth.camera.translation) / truth.camera.scale[:, None],
        float((rest[1].vertices - rest[0].vertices).norm(dim=-1).mean()),
        _aligned(posed[1], posed[0]),
        _overlap(mask, true_mask),
        _overlap(mask, torch.from_numpy(person.mattes)),
        _outline(mask.numpy(), person.mattes) / (float(truth.camera.scale.mean()) * surface.height),
    )


def _aligned(points: Float[Tensor, "T V 3"], target: Float[Tensor, "T V 3"]) -> Float[Tensor, "T"]:
    """Mean distance after the similarity transform that fits best [m]."""
    points, target = points - points.mean(1, keepdim=True), target - target.mean(1, keepdim=True)
    turned = points @ kabsch(points, target).mT
    scale = (turned * target).sum((1, 2)) / turned.square().sum((1, 2))
    return (scale[:, None, None] * turned - target).norm(dim=-1).mean(1)


def _overlap(first: Bool[Tensor, "T H W"], second: Bool[Tensor, "T H W"]) -> Float[Tensor, "T"]:
    return (first & second).sum((1, 2)) / (first | second).sum((1, 2)).clamp(min=1)


def _outline(drawn: Bool[np.ndarray, "T H W"], true: Bool[np.ndarray, "T H W"]) -> Float[Tensor, "M"]:
    """Signed distance of every pixel of the drawn outline from the true one [px]."""
    distances = []
    for mask, matte in zip(drawn.astype(np.uint8), true.astype(np.uint8), strict=True):
        inside = cv2.distanceTransform(matte, cv2.DIST_L2, 5)  # 1 for the outermost pixels
        signed = cv2.distanceTransform(1 - matte, cv2.DIST_L2, 5) - (inside - 1).clip(0)
        edge = mask & (1 - cv2.erode(mask, np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)))
        distances.append(signed[edge > 0])
    return torch.from_numpy(np.concatenate(distances))


@dataclass(frozen=True)
class TruthScore:
    """Figures of one way to place the body, over all people."""

    name: str
    surface: tuple[float, ...]
    """Mean displacement of the visible surface [% of the body's height], per entry of :data:`KINDS`, then of all."""
    surface_90: tuple[float, ...]
    """The same, 90th percentile."""
    outline: float
    """Mean distance of the drawn from the clothed outline [% of the body's height]."""
    outline_90: float
    overlap: float
    """With the true body's silhouette [0, 1]."""
    overlap_matte: float
    """With the clothed person's [0, 1]."""
    shape_mm: float
    """Vertices at rest."""
    aligned_mm: float
    """Posed vertices after the best similarity transform."""
    scale: float
    """Relative error, root mean square."""
    translation_mm: float
    """Per axis, root mean square."""
    rotation: dict[str, float]
    """Median angle per group of joints [degrees]."""

    @staticmethod
    def of(name: str, model: BodyModel, found: Sequence[Comparison]) -> "TruthScore":
        """Average over people."""
        distance = 100 * torch.cat([c.displacement for c in found]).norm(dim=-1)
        kind = torch.cat([c.kind for c in found])
        chosen = [distance[kind == index] for index in range(len(KINDS))] + [distance]
        rotvec = torch.cat([c.rotvec for c in found])
        outline = 100 * torch.cat([c.outline for c in found]).abs()
        return TruthScore(
            name,
            tuple(_mean(values) for values in chosen),
            tuple(float(values.quantile(0.9)) if len(values) else 0.0 for values in chosen),
            _mean(outline),
            float(outline.quantile(0.9)),
            _mean(torch.cat([c.overlap for c in found])),
            _mean(torch.cat([c.overlap_matte for c in found])),
            1e3 * sum(c.shape_error for c in found) / len(found),
            1e3 * _mean(torch.cat([c.aligned_error for c in found])),
            float(torch.cat([c.scale for c in found]).square().mean().sqrt()),
            1e3 * float(torch.cat([c.translation for c in found]).square().mean().sqrt()),
            {
                group: math.degrees(float(rotvec[:, joints].norm(dim=-1).median()))
                for group, joints in joint_groups(model).items()
            },
        )


def _mean(values: Float[Tensor, "N"]) -> float:
    return float(values.mean()) if len(values) else 0.0


def joint_groups(model: BodyModel) -> dict[str, list[int]]:
    """Joints that err alike."""
    roles = model.roles
    return {
        "root": [roles.root],
        "spine": list(roles.spine),
        "neck": list(roles.neck),
        "clavicle": [joint for side in roles.shoulder for joint in side],
        "upper arm": list(roles.upper_arm),
        "lower arm": list(roles.lower_arm),
        "wrist": list(roles.hand),
        "fingers": finger_joints(model),
        "upper leg": list(roles.upper_leg),
        "lower leg": list(roles.lower_leg),
        "ankle": list(roles.foot),
    }


@dataclass(frozen=True)
class TruthReport:
    """Figures of fits and of the training's bodies; ``str()`` makes the tables."""

    scores: tuple[TruthScore, ...]
    people: int
    views: int
    noise: BodyNoise | None = None
    """Independent errors that displace every part of the surface as much as the fit does; None: nobody was fitted."""

    def __str__(self) -> str:
        names = [*KINDS, "all"]
        head = f"{'mean / 90 % [% of height]':<26}" + "".join(f"{name:>12}" for name in names)
        lines = [f"{self.people} people in {self.views} pictures each; displacement of the visible surface:", head]
        for s in self.scores:
            cells = [f"{mean:.2f}/{high:.2f}" for mean, high in zip(s.surface, s.surface_90, strict=True)]
            lines.append(f"{s.name:<26}" + "".join(f"{cell:>12}" for cell in cells))
        lines += ["", f"{'':<26} outline (90 %)  IoU body  matte  shape mm  aligned mm  scale %  shift mm"]
        for s in self.scores:
            lines.append(
                f"{s.name:<26} {s.outline:>7.2f} {s.outline_90:>6.2f} {s.overlap:>9.3f} {s.overlap_matte:>6.3f} "
                f"{s.shape_mm:>9.1f} {s.aligned_mm:>11.1f} {100 * s.scale:>8.2f} {s.translation_mm:>9.1f}"
            )
        groups = list(self.scores[0].rotation)
        lines += ["", f"{'median angle [degrees]':<26}" + "".join(f"{group:>11}" for group in groups)]
        lines += [f"{s.name:<26}" + "".join(f"{s.rotation[g]:>11.1f}" for g in groups) for s in self.scores]
        if self.noise is not None:
            sizes = asdict(BodyNoise())
            lines += ["", "BodyNoise that displaces the surface as the fit does, outlines too (the training's):"]
            lines += [f"  {name:<12}{value:>8.4g}  ({sizes[name]:.4g})" for name, value in asdict(self.noise).items()]
        return "\n".join(lines)


def demo_person() -> KnownPerson:
    """The bundled demo's person."""
    truth, metadata = load_tensors(asset("demo/truth.safetensors"))
    photos = [read_image(asset(f"demo/{name}.jpg")).rgb for name in json.loads(metadata["frames"])]
    mattes = [read_image(asset(f"demo/{name}_matte.png")).rgb[..., 0] > 127 for name in json.loads(metadata["frames"])]
    body = BodyParams(truth["betas"], truth["rel_rotmats"], WeakPerspective(truth["scale"], truth["translation"]))
    return KnownPerson(np.stack(photos), body, np.stack(mattes), float(truth["distance"][0]))


def evaluate_truth(
    wardrobe: str | Path,
    people: int = 24,
    views: int = 3,
    size: int = 512,
    out: str | Path | None = None,
    seed: int = 7,
) -> TruthReport:
    """Fit held-out synthetic people and measure; the bodies that training conditions on are measured alike.

    Args:
        wardrobe: Folder that scripts/build_wardrobe.py made.
        people: How many.
        views: Pictures of each.
        size: Side of the pictures [px].
        out: A folder for ``truth.json``.
        seed: Which people.

    Raises:
        WeightsNotFoundError: no wardrobe there.
        NoPersonFoundError: nobody was found in any picture.
    """
    config = SyntheticConfig(upper_body=0.0, distance=_PHOTO_DISTANCE, similar_views=0.0)
    supply = SyntheticPeople.load(wardrobe, "cpu", "held_out", seed, config)
    model, detector = AnnyBody.load(), PersonDetector()
    found: dict[str, list[Comparison]] = {name: [] for name in (_TOGETHER, _ALIGNED, _SINGLE, _TRUE, _TRAINING)}
    generator = torch.Generator().manual_seed(seed)
    fitted_people: list[KnownPerson] = []
    for index in range(people):
        person = _drawn(supply, index, views, size)
        for name, comparison in _fitted(model, detector, person, generator):
            found[name].append(comparison)
            fitted_people += [person] * (name == _TOGETHER)
    if not fitted_people:
        raise NoPersonFoundError(f"{wardrobe}: expected people to be found in its pictures; nobody was. Draw more.")
    scores = [TruthScore.of(name, model, comparisons) for name, comparisons in found.items()]
    demo = [c for name, c in _fitted(model, detector, demo_person(), generator) if name == _TOGETHER]
    scores.append(TruthScore.of("the demo's person, fitted", model, demo))
    report = TruthReport(tuple(scores), people, views, _suggested(model, fitted_people, found[_TOGETHER]))
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(report), indent=2)
        (Path(out) / "truth.json").write_text(text + "\n", encoding="utf-8")
    return report


def _suggested(model: BodyModel, people: Sequence[KnownPerson], fitted: Sequence[Comparison]) -> BodyNoise:
    """The training's errors, scaled so that they displace each part of the surface as the fits of these people do."""
    surfaces = [VisibleSurface.of(model, p.body, (p.images.shape[2], p.images.shape[1])) for p in people]

    def spread(bodies: Sequence[BodyParams]) -> Float[Tensor, "K"]:
        moved = [surface.displacement(model, body) for surface, body in zip(surfaces, bodies, strict=True)]
        return _squared(torch.cat(moved), torch.cat([surface.kind for surface in surfaces]))

    wanted = _squared(torch.cat([c.displacement for c in fitted]), torch.cat([c.kind for c in fitted]))
    response = responses(model, [person.body for person in people], spread, BodyNoise())
    shown = (wanted > 0) & (response.sum(0) > 0)
    return matched_noise(response[:, shown], wanted[shown], BodyNoise())


def _squared(displacement: Float[Tensor, "N 2"], kind: Int64[Tensor, "N"]) -> Float[Tensor, "K"]:
    """Mean squared displacement of each kind of part; 0 where none is seen."""
    squared = displacement.square().sum(-1)
    return torch.stack(
        [squared[kind == index].sum() / max(int((kind == index).sum()), 1) for index in range(len(KINDS))]
    )


def _drawn(supply: SyntheticPeople, index: int, views: int, size: int) -> KnownPerson:
    batch = supply.sample(1, views, size, index)
    images = (batch.photos[0].permute(0, 2, 3, 1) * 255).round().byte().numpy()
    return KnownPerson(images, batch.body[0], batch.mattes[0, :, 0].numpy() > 0.5, float(batch.distance[0]))


def _fitted(
    model: BodyModel, detector: PersonDetector, person: KnownPerson, generator: torch.Generator
) -> Iterator[tuple[str, Comparison]]:
    """All ways to place one person's body, measured; nothing if nobody is detected in a picture."""
    try:
        detections = [detector.detect_photo(image) for image in person.images]
    except NoPersonFoundError:
        logger.warning("A person was not found in one of the pictures; left out.")
        return
    height, width = person.images.shape[1:3]
    surface = VisibleSurface.of(model, person.body, (width, height), person.distance)
    together = fit_body(detections, model).body
    yield _TOGETHER, compare(model, person, together, surface)
    masks = [detection.masks[0] for detection in detections]
    aligned = PhotometricFit.of(model).align_photos(together, person.images, masks)
    yield _ALIGNED, compare(model, person, aligned, surface)
    yield _TRUE, compare(model, person, person.body, surface)
    yield _TRAINING, _as_trained(model, person, generator)
    for index, detection in enumerate(detections):
        frames = slice(index, index + 1)
        alone = replace(person, images=person.images[frames], body=person.body[frames], mattes=person.mattes[frames])
        surface = VisibleSurface.of(model, alone.body, (width, height), person.distance)
        yield _SINGLE, compare(model, alone, fit_body(detection, model).body, surface)


def _as_trained(model: BodyModel, person: KnownPerson, generator: torch.Generator) -> Comparison:
    """The disturbed body of the training against the same person seen from the training's distance, without clothes."""
    (near, far), (nearest, farthest) = _PHOTO_DISTANCE, SyntheticConfig().distance
    share = min(max((person.distance - near) / (far - near), 0.0), 1.0)
    distance = nearest + share * (farthest - nearest)
    height, width = person.images.shape[1:3]
    body = person.body
    camera = Camera(body.camera, torch.full((len(body),), distance))
    seen = camera.project(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices, height, width)
    unclothed = rasterize(seen, model.faces, height, width).covered.numpy()
    surface = VisibleSurface.of(model, body, (width, height), distance)
    there = replace(person, mattes=unclothed, distance=distance)
    return compare(model, there, disturbed(model, body, BodyNoise(), generator), surface)
