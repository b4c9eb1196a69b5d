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
from liquidwarp.config import TrainConfig
from liquidwarp.errors import SettingError
from liquidwarp.flow.compose import compose_layers, merge_layers
from liquidwarp.flow.condition import surface_condition
from liquidwarp.flow.draw import draw_flow, draw_layers, within_edge
from liquidwarp.flow.mesh.extension import Extension, inflated_shell, join_extensions
from liquidwarp.flow.mesh.surface import project_posed
from liquidwarp.flow.sources import FlowSources, prepare_source_batch
from liquidwarp.flow.unseen.fill import SurfaceFill
from liquidwarp.gan.inputs import SourceBatch, TargetBatch
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.learn.datasets import Faces, TrainingSample, choose_views, degrade_mattes
from liquidwarp.learn.frames import with_frames
from liquidwarp.learn.halos import CrowdHalo, PosedViews, halos_of, with_shell, without_shell
from liquidwarp.recover.fitting.settle import OutlineFit
from liquidwarp.synthetic.dataset import Bodies, SyntheticBatch, SyntheticPeople
from liquidwarp.synthetic.scene import Camera
from liquidwarp.types import TargetFlow

__all__ = ["People", "SyntheticData", "find_faces"]

_FACE_LANDMARKS = ("left_eye_outer", "left_eye_inner", "right_eye_outer", "right_eye_inner", "nose")
_HEAD_HALF = 0.17
"""Half the side of the box around the head and its hair [m]."""
_FACING = 0.35
"""Cosine between where a head looks and the way to the camera above which its face is seen."""
_ROUNDS = (2, 6, 12)
"""Smoothings of the made-up colours, one of which is drawn for each batch: from patchy to even."""
_PLAIN_SHARE = 0.3
"""Share of people whose hidden places go over to one mean colour, as of a poor fill."""
_SEEN = 0.45
"""Best visibility above which a vertex has a colour of its own."""
_OPAQUE = 0.5
"""Of a found matte: bodies settle on what is above."""


@dataclass(frozen=True)
class _Views:
    """B people in V views each, ready to be made sources or targets."""

    rendered: SyntheticBatch
    mattes: Float[Tensor, "B V 1 H W"]
    """As a detector would find them."""
    posed: PosedViews
    """The fitted bodies, row ``b * V + v``."""
    halos: list[list[Extension]]
    """For each person and view; empty where nobody has one."""
    conditions: Float[Tensor, "B V 8 H W"]
    faces: Faces


@dataclass(frozen=True)
class _Scene:
    """B people, S sources and T targets each."""

    of_sources: PosedViews
    of_targets: PosedViews
    images: Float[Tensor, "B S 3 H W"]
    mattes: Float[Tensor, "B S 1 H W"]
    hidden: Bool[Tensor, "B S"]
    crowd: CrowdHalo | None
    frames: tuple[Float[Tensor, "B T 3 H W"], Float[Tensor, "B T 1 H W"]] | None
    """The targets' pictures and mattes, if they are each other's frames before."""


@lru_cache(maxsize=1)
def _fill_of(model: BodyModel) -> SurfaceFill:
    """Kept, as training and its evaluation share one body."""
    return SurfaceFill.of(model)


@lru_cache(maxsize=1)
def _outline_fit_of(model: BodyModel) -> OutlineFit:
    return OutlineFit.of(model.to("cpu"))


@runtime_checkable
class People(Protocol):
    """Who is shown, from all sides."""

    model: BodyModel
    seed: int

    def sample(self, batch: int, views: int, size: int, index: int | None = None) -> SyntheticBatch:
        """One batch; see :meth:`liquidwarp.synthetic.dataset.SyntheticPeople.sample`."""
        ...


class SyntheticData:
    """Samples of :class:`SyntheticPeople`; see :class:`liquidwarp.learn.datasets.TrainingData`."""

    def __init__(self, config: TrainConfig, people: People) -> None:
        """Take numbers of people and views from ``config``; ``people`` render on their own device."""
        self.config, self.people = config, people
        self.model = people.model
        self.fill = _fill_of(self.model)  # type: ignore[arg-type]
        self.shell = inflated_shell(self.model)
        self.outline_fit = _outline_fit_of(self.model)  # type: ignore[arg-type]

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
            config = replace(config, half_size_share=0.0, temporal_share=0.0)  # one kind for all figures
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
            hidden = _hide_sources(config, generator)
            samples.append(self._pair(views, chosen, hidden, generator, self._is_temporal(index, step)))
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

    def _is_temporal(self, index: int, step: int) -> bool:
        """Whether a sample teaches temporal attention; a chance of its own, so that the others are the same without."""
        if self.config.num_targets < 2:
            return False
        own = torch.Generator().manual_seed(((self.people.seed * 1_000_003 + index) * 64 + step) * 7 + 5)
        return float(torch.rand((), generator=own)) < self.config.temporal_share

    def _views(self, index: int, num_views: int) -> tuple[_Views, torch.Generator]:
        """People rendered from all sides, their fitted bodies projected, and the chance for what is chosen of them."""
        config = self.config
        generator = torch.Generator().manual_seed(self.people.seed * 1_000_003 + index)
        half = float(torch.rand((), generator=generator)) < config.half_size_share
        size = config.size // 2 if half else config.size
        rendered = self.people.sample(config.people, num_views, size, index)
        found = degrade_mattes(rendered.mattes.flatten(0, 1), generator).view_as(rendered.mattes)
        fitted = self._fitted(rendered, found)
        posed = _pose(self.model, self.shell, fitted)
        conditions = surface_condition(self.model, self.shell, posed.surface, (size, size))
        conditions = torch.unflatten(conditions, 0, (config.people, num_views))
        halos = halos_of(self.model, fitted, found) if config.halos else []
        return _Views(rendered, found, posed, halos, conditions, self._faces(rendered)), generator

    def _fitted(self, rendered: SyntheticBatch, found: Float[Tensor, "B V 1 S S"]) -> Bodies:
        """The bodies that the network is conditioned on: they fill the mattes, as fitted ones do."""
        if not self.config.settle:
            return rendered.fitted
        masks = (found[:, :, 0] > _OPAQUE).cpu()
        bodies = rendered.fitted.to("cpu")
        settled = [self.outline_fit.settle(bodies[person], mask) for person, mask in enumerate(masks)]
        return Bodies.stack(settled, rendered.fitted.betas.device)

    def _faces(self, rendered: SyntheticBatch) -> Faces:
        """Where the faces are; films know it better than their bodies."""
        return find_faces(self.model, rendered)

    def _pair(
        self,
        views: _Views,
        chosen: tuple[list[int], list[int]],
        hidden: Bool[Tensor, "B S"],
        generator: torch.Generator,
        temporal: bool = False,
    ) -> TrainingSample:
        """One choice of sources and targets; ``temporal``: the targets are each other's frames before."""
        sources, targets = chosen
        rendered, faces = views.rendered, views.faces
        people, num_views = rendered.images.shape[:2]
        device = rendered.images.device
        rows = torch.arange(people * num_views, device=device).view(people, num_views)
        images, mattes = rendered.photos[:, sources], views.mattes[:, sources]
        of_sources, of_targets = (views.posed[rows[:, chosen].flatten()] for chosen in (sources, targets))
        crowd = CrowdHalo.join(views.halos, sources, hidden) if views.halos else None
        frames = (rendered.photos[:, targets], views.mattes[:, targets]) if temporal else None
        flow = self._flow(_Scene(of_sources, of_targets, images, mattes, hidden.to(device), crowd, frames), generator)
        per_person = {name: torch.unflatten(getattr(flow, name), 0, (people, -1)) for name in flow.__dataclass_fields__}
        return TrainingSample(
            SourceBatch(images, mattes, views.conditions[:, sources]),
            TargetBatch(**per_person),
            rendered.images[:, targets],
            rendered.mattes[:, targets],
            rendered.backgrounds[:, targets],
            rendered.mattes[:, sources],
            Faces(*(getattr(faces, name)[:, targets] for name in faces.__dataclass_fields__)),
            views.conditions[:, targets] if temporal else None,
        )

    def _flow(self, scene: _Scene, generator: torch.Generator) -> TargetFlow:
        """The flow with the picture that texture warping draws; how well it makes up what is hidden varies.

        As in use, halos alone are drawn, and the flow knows the plain shell besides.
        """
        config, shell, crowd = self.config, self.shell, scene.crowd
        of_sources, of_targets, extension = scene.of_sources.surface, scene.of_targets.surface, shell
        halos = None if crowd is None else (crowd.beside(scene.of_sources), crowd.beside(scene.of_targets))
        if crowd is not None and halos is not None:
            extension = join_extensions([shell, crowd.extension])
            of_sources, of_targets = with_shell(halos[0], of_sources), with_shell(halos[1], of_targets)
        sources = prepare_source_batch(self.model, extension, of_sources, scene.images, scene.mattes)
        sources = _without(sources, scene.hidden)
        size = (scene.images.shape[-2], scene.images.shape[-1])
        composition = compose_layers(sources, of_targets, size)
        if not config.fill_texture:
            flow = merge_layers(composition)
        else:
            made_up = self.fill.at_pixels(self._colours(sources, generator), composition)
            if crowd is None or halos is None:
                flow = draw_flow(composition, made_up)
            else:
                alone = compose_layers(without_shell(sources, shell, crowd.extension), halos[1], size)
                colours, opacity = draw_layers(alone, made_up)
                flow = replace(merge_layers(composition), texture=colours, texture_matte=within_edge(opacity))
        return flow if scene.frames is None else with_frames(flow, sources, of_targets, *scene.frames)

    def _colours(self, sources: FlowSources, generator: torch.Generator) -> Float[Tensor, "B V 3"]:
        """Made-up colours of all vertices, smooth or patchy; of some people, one colour for all that is hidden."""
        people = len(sources.body)
        rounds = _ROUNDS[int(torch.randint(len(_ROUNDS), (), generator=generator))]
        colours = self.fill.colours(sources, rounds)
        known = (sources.body[..., 2].amax(1) > _SEEN)[..., None]
        plain = torch.rand(2, people, 1, 1, generator=generator)
        plain = (plain[0] * (plain[1] < _PLAIN_SHARE)).to(colours.device) * ~known
        mean = (colours * known).sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1)
        return torch.lerp(colours, mean, plain)


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

    clear, unhidden = sources.clear * ~hidden[..., None], sources.unhidden * ~hidden[..., None]
    return replace(sources, body=blind(sources.body), around=blind(sources.around), clear=clear, unhidden=unhidden)


def _rest(model: BodyModel, bodies: Bodies) -> RestBody:
    """Shaped bodies, one row per view."""
    views = bodies.rel_rotmats.shape[1]
    rest = model.rest(bodies.betas)
    return RestBody(rest.vertices.repeat_interleave(views, 0), rest.joints.repeat_interleave(views, 0))


def _pose(model: BodyModel, shell: Extension, bodies: Bodies) -> PosedViews:
    """All views of all people, row ``b * V + v``."""
    rest = _rest(model, bodies)
    posed = model.pose(rest, bodies.rel_rotmats.flatten(0, 1))
    camera = WeakPerspective(bodies.scale.flatten(), bodies.translation.flatten(0, 1))
    surface = project_posed(model, shell, rest, posed, camera)
    return PosedViews(rest, posed.transforms, camera, surface)


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
