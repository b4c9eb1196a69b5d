"""A toy source of training samples: people made of coloured boxes, to try the loop out in seconds."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from liquidwarp.gan.inputs import SourceBatch, TargetBatch
from liquidwarp.geometry.camera import pixels_to_ndc
from liquidwarp.geometry.warp import Flow, warp
from liquidwarp.learn.datasets import Faces, TrainingSample, choose_views

__all__ = ["MovingBoxes"]


class MovingBoxes:
    """People of six textured boxes that move, scale and hide one another: flow and visibility are exact.

    It tries out the training loop in seconds and needs no files.
    """

    _OFFSETS = ((0.0, -0.62), (0.0, -0.2), (-0.28, -0.2), (0.28, -0.2), (-0.1, 0.42), (0.1, 0.42))
    _SIZES = ((0.2, 0.24), (0.36, 0.6), (0.14, 0.56), (0.14, 0.56), (0.17, 0.7), (0.17, 0.7))

    def __init__(
        self, people: int, num_sources: int, num_targets: int, size: int, reuse: int = 1, seed: int = 0
    ) -> None:
        self.people, self.num_sources, self.num_targets = people, num_sources, num_targets
        self.size, self.reuse, self.seed = size, reuse, seed

    def samples(self, index: int) -> list[TrainingSample]:
        """``reuse`` samples of the same people."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
        views = _render_boxes(self, self.num_sources + self.num_targets, generator)
        samples = []
        for step in range(self.reuse):
            num_views = self.num_sources + self.num_targets
            chosen = choose_views(num_views, self.num_sources, self.num_targets, generator, first=step == 0)
            samples.append(_pair_boxes(views, *chosen))
        return samples


@dataclass(frozen=True)
class _BoxViews:
    boxes: Float[Tensor, "B V P 4"]
    """Centre and size [px]."""
    images: Float[Tensor, "B V 3 H W"]
    mattes: Float[Tensor, "B V 1 H W"]
    conditions: Float[Tensor, "B V 8 H W"]
    part: Int64[Tensor, "B V H W"]
    """The uppermost box; -1: none."""
    backgrounds: Float[Tensor, "B 1 3 H W"]


def _pixel_centres(size: int) -> Float[Tensor, "H W 2"]:
    position = torch.arange(size) + 0.5
    return torch.stack(torch.meshgrid(position, position, indexing="xy"), -1)


def _render_boxes(data: MovingBoxes, num_views: int, generator: torch.Generator) -> _BoxViews:
    people, size, num_parts = data.people, data.size, len(data._SIZES)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    zoom = size / 2 * (0.75 + 0.25 * uniform(people, num_views, 1, 1))
    sizes = torch.tensor(data._SIZES) * zoom
    shift = (uniform(people, num_views, num_parts, 2) - 0.5) * 0.25 + (uniform(people, num_views, 1, 2) - 0.5) * 0.2
    boxes = torch.cat([(torch.tensor(data._OFFSETS) + shift) * zoom + size / 2, sizes], -1)
    unit = (_pixel_centres(size) - boxes[..., None, None, :2]) / boxes[..., None, None, 2:]  # B V P H W 2
    inside = (unit.abs() < 0.5).all(-1)
    rank = torch.arange(1, num_parts + 1)[:, None, None]
    part = (inside * rank).amax(2) - 1
    index = part.clamp(min=0)[:, :, None]
    unit = unit.gather(2, index[..., None].expand(-1, -1, -1, -1, -1, 2))[:, :, 0]
    colour = uniform(people, 1, num_parts, 3).expand(-1, num_views, -1, -1)
    colour = colour.gather(2, index.flatten(3).transpose(2, 3).expand(-1, -1, -1, 3)).transpose(2, 3)
    colour = torch.unflatten(colour, 3, (size, size))
    stripes = 0.7 + 0.3 * torch.sin(unit[..., 0] * 9 + unit[..., 1] * 14)
    covered = (part >= 0)[:, :, None].float()
    backgrounds = uniform(people, 1, 3, 1, 1) + (uniform(people, 1, 3, size, size) - 0.5) * 0.1
    backgrounds = backgrounds.clamp(0, 1)
    coordinates = torch.cat([unit.movedim(-1, 2), index / num_parts - 0.5], 2)
    constant = torch.tensor([0.0, 0.0, -1.0, 1.0, 0.0])[:, None, None].expand(*part.shape[:2], -1, size, size)
    conditions = torch.cat([coordinates, constant], 2) * covered
    images = colour * stripes[:, :, None] * covered + backgrounds * (1 - covered)
    return _BoxViews(boxes, images, covered, conditions, part, backgrounds)


def _pair_boxes(views: _BoxViews, sources: list[int], targets: list[int]) -> TrainingSample:
    boxes, part = views.boxes, views.part
    size = part.shape[-1]
    index = part[:, targets].clamp(min=0)  # B T H W
    pick = index.flatten(2)[..., None].expand(-1, -1, -1, 4)
    here = boxes[:, targets].gather(2, pick)
    here = torch.unflatten(here, 2, (size, size))
    unit = (_pixel_centres(size) - here[..., :2]) / here[..., 2:]
    there = boxes[:, None, sources].expand(-1, len(targets), -1, -1, -1)
    there = there.gather(3, pick[:, :, None].expand(-1, -1, len(sources), -1, -1))
    there = torch.unflatten(there, 3, (size, size))
    pixels = unit[:, :, None] * there[..., 2:] + there[..., :2]  # B T S H W 2
    grid = pixels_to_ndc(pixels, size, size)
    valid: Bool[Tensor, "B T 1 H W"] = (part[:, targets] >= 0)[:, :, None]
    grid = grid * valid[..., None]
    column, row = pixels.floor().long().clamp(0, size - 1).unbind(-1)
    person = torch.arange(len(part))[:, None, None, None, None]
    source = torch.tensor(sources)[:, None, None]
    visible = ((part[person, source, row, column] == index[:, :, None]) & valid).float()
    texture = _merge(views.images[:, sources], grid, visible)
    return TrainingSample(
        SourceBatch(views.images[:, sources], views.mattes[:, sources], views.conditions[:, sources]),
        TargetBatch(grid, valid, visible, views.conditions[:, targets], texture, visible.amax(2, keepdim=True)),
        views.images[:, targets],
        views.mattes[:, targets],
        views.backgrounds.expand(-1, len(targets), -1, -1, -1),
        views.mattes[:, sources],
        _box_faces(boxes[:, targets, 0]),
    )


def _merge(
    images: Float[Tensor, "B S 3 H W"], grid: Float[Tensor, "B T S H W 2"], visible: Float[Tensor, "B T S H W"]
) -> Float[Tensor, "B T 3 H W"]:
    targets = grid.shape[1]
    repeated = images[:, None].expand(-1, targets, -1, -1, -1, -1).flatten(0, 2)
    flow = Flow(grid.flatten(0, 2), visible.flatten(0, 2)[:, None] > 0)
    warped = torch.unflatten(warp(repeated, flow), 0, visible.shape[:3])
    return warped.sum(2) / visible.sum(2)[:, :, None].clamp(min=1)


def _box_faces(head: Float[Tensor, "B T 4"]) -> Faces:
    centre, size = head[..., :2], head[..., 2:]
    marks = head.new_tensor([[0.3, -0.2], [0.1, -0.2], [-0.3, -0.2], [-0.1, -0.2], [0.0, 0.1]])
    landmarks = centre[:, :, None] + marks * size[:, :, None]
    boxes = torch.cat([centre - size * 0.7, centre + size * 0.7], -1)
    return Faces(landmarks, torch.ones_like(head[..., 0]), boxes)
