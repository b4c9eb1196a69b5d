"""Training samples from rendered people: their pictures, and the flows between bodies that are slightly wrong.

The network is conditioned on bodies with the errors of a fit and on mattes with the errors of a segmentation, and
judged by the true picture: so it learns to mend both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, RestBody
from liquidwarp.body.parts import PARTS
from liquidwarp.config import TrainConfig
from liquidwarp.errors import SettingError
from liquidwarp.flow.compose import compose_layers, merge_layers
from liquidwarp.flow.condition import surface_condition
from liquidwarp.flow.draw import draw_flow
from liquidwarp.flow.extension import SHELL_THICKNESS, Extension, inflated_shell
from liquidwarp.flow.fill import SurfaceFill
from liquidwarp.flow.sources import FlowSources, prepare_source_batch
from liquidwarp.flow.surface import ProjectedSurface, project_posed
from liquidwarp.gan.inputs import SourceBatch, TargetBatch
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.learn.datasets import Faces, TrainingSample, choose_views, degrade_mattes
from liquidwarp.learn.outlines import carry_outlines
from liquidwarp.synthetic.dataset import Bodies, SyntheticBatch, SyntheticPeople
from liquidwarp.synthetic.scene import Camera
from liquidwarp.types import TargetFlow

__all__ = ["People", "SyntheticData", "find_faces"]

_FACE_LANDMARKS = ("left_eye_outer", "left_eye_inner", "right_eye_outer", "right_eye_inner", "nose")
_HEAD_HALF = 0.17
"""Half the side of the box around the head and its hair [m]."""
_FACING = 0.35
_SHELL = 0.035
_MOST_AT_HANDS = 1.5
_ROUNDS = (2, 6, 12)
_PLAIN_SHARE = 0.3
_SEEN = 0.45


@dataclass(frozen=True)
class _Views:
    """B people in V views each, ready to be made sources or targets."""

    rendered: SyntheticBatch
    mattes: Float[Tensor, "B V 1 H W"]
    """As a detector would find them."""
    shell: Extension
    surface: ProjectedSurface
    """Of the fitted bodies, row ``b * V + v``."""
    conditions: Float[Tensor, "B V 8 H W"]
    faces: Faces


@lru_cache(maxsize=1)
def _fill_of(model: BodyModel) -> SurfaceFill:
    """Kept, as training and its evaluation share one body."""
    return SurfaceFill.of(model)


def _thickness(scale: float) -> dict[str, float]:
    """Of a shell of which hands and feet, where held things stay away, grow less."""
    plain = {part: SHELL_THICKNESS.get(part, _SHELL) for part in PARTS}
    return {
        part: metres * (min(scale, _MOST_AT_HANDS) if part.endswith(("hand", "foot")) else scale)
        for part, metres in plain.items()
    }


@runtime_checkable
class People(Protocol):
    """Who is shown, from all sides."""

    model: BodyModel
    seed: int

    def sample(self, batch: int, views: int, size: int, index: int | None = None) -> SyntheticBatch:
        """One batch."""
        ...


class SyntheticData:
    """Samples of :class:`SyntheticPeople`; see :class:`liquidwarp.learn.datasets.TrainingData`."""

    def __init__(self, config: TrainConfig, people: People) -> None:
        """Take numbers of people and views from ``config``; ``people`` render on their own device."""
        self.config, self.people = config, people
        self.model = people.model
        self.fill = _fill_of(self.model)  # type: ignore[arg-type]
        self.shells = [inflated_shell(self.model, _thickness(scale)) for scale in config.shell_scales]

    @classmethod
    def load(cls, config: TrainConfig, device: torch.device, split: str) -> "SyntheticData":
        """With the wardrobe of ``config.data_folder``.

        Args:
            config: All settings.
            device: Where to render.
            split: "train" or "test": other clothes, skins, places and motions.

        Raises:
            SettingError: no folder is set.
        """
        folder = config.data_folder
        if folder is None:
            raise SettingError("train.data_folder: synthetic people need the folder of scripts/build_wardrobe.py.")
        part, seed = ("held_out", config.seed + 10_007) if split == "test" else ("train", config.seed)
        if config.synthetic.num_identities:
            part = "train"  # the same people, in other poses and places
        if split == "test":
            config = replace(config, carried_outlines=0.0)  # an evaluation knows no truth
        return cls(config, SyntheticPeople.load(folder, device, part, seed, config.synthetic))

    @torch.no_grad()
    def samples(self, index: int) -> list[TrainingSample]:
        """``reuse`` samples of the same people; the first takes their front and back as sources."""
        config = self.config
        num_views = config.num_sources + config.num_targets
        views, generator = self._views(index, num_views)
        samples = []
        for step in range(config.reuse):
            chosen = choose_views(num_views, config.num_sources, config.num_targets, generator, first=step == 0)
            samples.append(self._pair(views, chosen, _hide_sources(config, generator), generator))
        return samples

    @torch.no_grad()
    def growing(self, index: int, num_sources: Sequence[int]) -> list[TrainingSample]:
        """The same people and the same targets, with more and more sources: one sample per number.

        The first source shows the front and the second mostly the back; none is hidden.
        """
        config, most = self.config, max(num_sources)
        views, generator = self._views(index, most + config.num_targets)
        targets = list(range(most, most + config.num_targets))
        nothing = torch.zeros(config.people, most, dtype=torch.bool)
        chosen = [(list(range(count)), targets) for count in num_sources]
        return [self._pair(views, each, nothing[:, : len(each[0])], generator) for each in chosen]

    def _views(self, index: int, num_views: int) -> tuple[_Views, torch.Generator]:
        """People rendered from all sides, their fitted bodies projected, and the chance for what is chosen of them."""
        config = self.config
        rendered = self.people.sample(config.people, num_views, config.size, index)
        generator = torch.Generator().manual_seed(self.people.seed * 1_000_003 + index)
        shell = self.shells[int(torch.randint(len(self.shells), (), generator=generator))]
        surface = _project(self.model, shell, rendered.fitted)
        conditions = surface_condition(self.model, shell, surface, (config.size, config.size))
        conditions = torch.unflatten(conditions, 0, (config.people, num_views))
        found = degrade_mattes(rendered.mattes.flatten(0, 1), generator).view_as(rendered.mattes)
        return _Views(rendered, found, shell, surface, conditions, self._faces(rendered)), generator

    def _faces(self, rendered: SyntheticBatch) -> Faces:
        """Where the faces are; films know it better than their bodies."""
        return find_faces(self.model, rendered)

    def _pair(
        self,
        views: _Views,
        chosen: tuple[list[int], list[int]],
        hidden: Bool[Tensor, "B S"],
        generator: torch.Generator,
    ) -> TrainingSample:
        """One choice of sources and targets."""
        sources, targets = chosen
        rendered, surface, faces = views.rendered, views.surface, views.faces
        people, num_views = rendered.images.shape[:2]
        hidden = hidden.to(surface.body.device)
        rows = torch.arange(people * num_views, device=hidden.device).view(people, num_views)
        images, mattes = rendered.photos[:, sources], views.mattes[:, sources]
        of_sources = surface[rows[:, sources].flatten()]
        flow_sources = prepare_source_batch(self.model, views.shell, of_sources, images, mattes)
        flow_sources = _without(flow_sources, hidden)
        truth = rendered.mattes[:, targets]
        flow = self._flow(flow_sources, surface[rows[:, targets].flatten()], truth, generator)
        per_person = {name: torch.unflatten(getattr(flow, name), 0, (people, -1)) for name in flow.__dataclass_fields__}
        return TrainingSample(
            SourceBatch(images, mattes, views.conditions[:, sources]),
            TargetBatch(**per_person),
            rendered.images[:, targets],
            rendered.mattes[:, targets],
            rendered.backgrounds[:, targets],
            rendered.mattes[:, sources],
            Faces(*(getattr(faces, name)[:, targets] for name in faces.__dataclass_fields__)),
        )

    def _flow(
        self,
        sources: FlowSources,
        targets: ProjectedSurface,
        truth: Float[Tensor, "B T 1 H W"],
        generator: torch.Generator,
    ) -> TargetFlow:
        """The flow with the picture that texture warping draws; how well it makes up what is hidden varies."""
        composition = compose_layers(sources, targets, (truth.shape[-2], truth.shape[-1]))
        config, people = self.config, len(sources.body)
        if not config.fill_texture:
            return merge_layers(composition)
        rounds = _ROUNDS[int(torch.randint(len(_ROUNDS), (), generator=generator))]
        colours = self.fill.colours(sources, rounds)
        known = (sources.body[..., 2].amax(1) > _SEEN)[..., None]
        plain = torch.rand(2, people, 1, 1, generator=generator)
        plain = (plain[0] * (plain[1] < _PLAIN_SHARE)).to(colours.device) * ~known
        mean = (colours * known).sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1)
        flow = draw_flow(composition, self.fill.at_pixels(torch.lerp(colours, mean, plain), composition))
        carried = torch.rand(people, generator=generator) < config.carried_outlines
        if not bool(carried.any()):
            return flow
        body = composition.body.layer.raster.covered[:, None]
        drawn = carry_outlines(flow.texture, flow.texture_matte, body, truth.flatten(0, 1), generator)
        chosen = carried.repeat_interleave(truth.shape[1]).to(truth.device)[:, None, None, None]
        texture, matte = (
            torch.where(chosen, new, old) for new, old in zip(drawn, (flow.texture, flow.texture_matte), strict=True)
        )
        return replace(flow, texture=texture, texture_matte=matte)


def _hide_sources(config: TrainConfig, generator: torch.Generator) -> Bool[Tensor, "B S"]:
    """For some people all sources but one are hidden, so that one photo is enough later."""
    alone = torch.rand(config.people, generator=generator) < config.single_source_share
    kept = torch.randint(config.num_sources, (config.people,), generator=generator)
    return alone[:, None] & (torch.arange(config.num_sources) != kept[:, None])


def _without(sources: FlowSources, hidden: Bool[Tensor, "B S"]) -> FlowSources:
    """Sources that see nothing where they are hidden."""

    def blind(points: Float[Tensor, "B S N 4"]) -> Float[Tensor, "B S N 4"]:
        sight = points[..., 2:] * ~hidden[..., None, None]
        return torch.cat([points[..., :2], sight], -1)

    clear = sources.clear * ~hidden[..., None]
    return replace(sources, body=blind(sources.body), around=blind(sources.around), clear=clear)


def _rest(model: BodyModel, bodies: Bodies) -> RestBody:
    """Shaped bodies, one row per view."""
    views = bodies.rel_rotmats.shape[1]
    rest = model.rest(bodies.betas)
    return RestBody(rest.vertices.repeat_interleave(views, 0), rest.joints.repeat_interleave(views, 0))


def _project(model: BodyModel, extension: Extension, bodies: Bodies) -> ProjectedSurface:
    """All views of all people, row ``b * V + v``."""
    rest = _rest(model, bodies)
    posed = model.pose(rest, bodies.rel_rotmats.flatten(0, 1))
    camera = WeakPerspective(bodies.scale.flatten(), bodies.translation.flatten(0, 1))
    return project_posed(model, extension, rest, posed, camera)


def find_faces(model: BodyModel, views: SyntheticBatch) -> Faces:
    """Where the true faces are, as the true camera sees them."""
    people, num_views = views.images.shape[:2]
    height, width = views.images.shape[-2:]
    bodies, table = views.body, model.landmarks["body"]
    posed = model.pose(_rest(model, bodies), bodies.rel_rotmats.flatten(0, 1))
    names = (*_FACE_LANDMARKS, "left_ear", "right_ear")
    index = torch.tensor([table.names.index(name) for name in names], device=views.images.device)
    rest = table.rest[index] + torch.einsum("bk,kli->bli", bodies.betas, table.basis[:, index])
    transforms = posed.transforms[:, table.joint[index]]
    points = (transforms[..., :3] @ rest.repeat_interleave(num_views, 0)[..., None])[..., 0] + transforms[..., 3]
    weak = WeakPerspective(bodies.scale.flatten(), bodies.translation.flatten(0, 1))
    camera = Camera(weak, views.distance.repeat_interleave(num_views))
    pixels = camera.project(points, height, width)[..., :2]
    centre = pixels[:, -2:].mean(1)
    half = _HEAD_HALF * weak.scale[:, None]
    facing = -posed.glob_rotmats[:, model.roles.neck[-1], 2, 2] < -_FACING
    limit = pixels.new_tensor([width, height])
    inside = ((pixels[:, :5] > 0) & (pixels[:, :5] < limit)).all(2).all(1)
    shape = (people, num_views)
    return Faces(
        torch.unflatten(pixels[:, :5], 0, shape),
        torch.unflatten((facing & inside).to(pixels.dtype), 0, shape),
        torch.unflatten(torch.cat([centre - half, centre + half], 1), 0, shape),
    )
