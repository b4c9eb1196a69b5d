"""What a network learns from one person's few pictures: each drawn from others, or from sources made harder.

A network that finds a target among its own sources learns to copy. Here a photo is drawn from the other photos
(leave one out), from itself through a body that is wrong, with parts hidden, or from the person warped to another
pose. Further frames of a video, which are no sources, are drawn as at run time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.body.turntable import orbit
from liquidwarp.config import BodyNoise, SynthesisConfig
from liquidwarp.flow.sources import FlowSources, prepare_plain_sources, prepare_sources
from liquidwarp.flow.unseen.atlas import fill_atlas, merge_texture
from liquidwarp.gan.inputs import SourceBatch, TargetBatch
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.crop import Crop
from liquidwarp.geometry.warp import resize
from liquidwarp.learn.datasets import Faces
from liquidwarp.personal.background_work import Later
from liquidwarp.personal.views import View
from liquidwarp.renderers import TextureRenderer, drawn_flow, head_mask, source_views
from liquidwarp.synthesizer import build_extension
from liquidwarp.synthetic.dataset import Bodies, perturb
from liquidwarp.types import CONDITION_CHANNELS

__all__ = [
    "Lesson",
    "PlannedSet",
    "SourceSet",
    "blank_lesson",
    "chance_of_step",
    "choose_set",
    "draw_lesson",
    "make_lesson",
    "mirrored",
    "prepare_set",
    "turned_set",
]

_NOISE = BodyNoise(root=0.01, joint=0.02, hand=0.08, scale=0.006, translation=0.006)
"""Larger than a fit's errors: the target's own photo must not be there for the copying."""
_HIDDEN = ("torso", "left_upper_arm", "right_upper_arm", "left_upper_leg", "right_upper_leg", "left_lower_leg")
_HIDE = 0.25
"""Share of these parts that each source does not see."""
_TURN = (math.radians(20), math.radians(75))
"""Least and most that the person is turned to a side [rad]."""
_HEAD_SHARE = 0.35
"""Share of the windows that are laid around the head."""
_LARGEST_ZOOM = 1.6
"""How much finer than the working size a window is at most."""
_ATLAS, _LARGEST_ATLAS = 2, 1024
"""Side of the atlas, relative to the working size, and at most [px]."""


@dataclass(frozen=True)
class SourceSet:
    """Sources of the person, ready to draw others of its pictures from."""

    sources: FlowSources
    warp: TextureRenderer
    batch: SourceBatch
    targets: tuple[int, ...]
    """The views that may be drawn from it."""
    weight: float = 1.0
    """How often it is taken."""
    later_than_others: bool = False
    """Whether it is made of another set, so that it is there last."""

    def to(self, device: torch.device | str) -> "SourceSet":
        """The same on another device."""
        return replace(self, sources=self.sources.to(device), warp=self.warp.to(device), batch=self.batch.to(device))

    def get(self) -> "SourceSet":
        """Itself: it is there already."""
        return self


@dataclass(frozen=True)
class PlannedSet:
    """A source set that is being prepared, or will be when it is first drawn from."""

    later: Later[SourceSet]
    targets: tuple[int, ...]
    """See :class:`SourceSet`."""
    weight: float
    later_than_others: bool = False
    """See :class:`SourceSet`."""

    def get(self) -> SourceSet:
        """The set; waits for it, or prepares it."""
        return replace(
            self.later.get(), targets=self.targets, weight=self.weight, later_than_others=self.later_than_others
        )


@dataclass(frozen=True)
class Lesson:
    """One target, or several of one size, of one source set."""

    sources: SourceBatch
    targets: TargetBatch
    images: Float[Tensor, "1 T 3 H W"]
    """The truth."""
    mattes: Float[Tensor, "1 T 1 H W"]
    backgrounds: Float[Tensor, "1 T 3 H W"]
    judged: Float[Tensor, "1 T 1 H W"]
    """1 where the result is compared with the truth."""
    faces: Faces
    origin: tuple[int, bool] | None = None
    """Number of the source set and whether it is mirrored: lessons of one origin have the same sources."""


def prepare_set(
    views: Sequence[View],
    model: BodyModel,
    config: SynthesisConfig,
    targets: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> SourceSet:
    """Make sources of views.

    Args:
        views: The sources.
        model: The body, on the CPU.
        config: Working size and what carries hair and clothes.
        targets: What may be drawn from them.
        generator: Draws errors of the bodies and hidden parts; None: the sources as they are.
    """
    images = torch.stack([resize(view.image[None], config.size, config.size)[0] for view in views]).clamp(0, 1)
    mattes = torch.stack([resize(view.matte[None], config.size, config.size)[0] for view in views]).clamp(0, 1)
    bodies = _bodies(views, config.size)
    if generator is not None:
        bodies = _disturbed(model, bodies, generator)
    made = [_flow_sources(model, config, bodies, images, mattes, network) for network in (True, False)]
    if generator is not None:
        hidden = torch.rand(len(views), len(_HIDDEN), generator=generator) < _HIDE
        made = [_without_parts(sources, hidden) for sources in made]
    seen = source_views(made[0], images, bodies)
    return SourceSet(made[0], _warp(made[1], config.size), SourceBatch.of(seen), tuple(targets))


def turned_set(
    base: SourceSet,
    model: BodyModel,
    config: SynthesisConfig,
    view: View,
    generator: torch.Generator,
    side: int = 0,
) -> SourceSet:
    """The person warped to another side serves as the only source: the way back to the photos must be drawn.

    Args:
        base: What the person is warped from.
        model: The body.
        config: Working size and what carries hair and clothes.
        view: The view that is turned.
        generator: Draws the turn.
        side: 1 or -1: to this side; 0: to either.
    """
    low, high = _TURN
    angle = low + (high - low) * torch.rand(1, generator=generator)
    sign = torch.randint(2, (1,), generator=generator) * 2 - 1
    body = orbit(_bodies([view], config.size), model, angle * (side or sign))
    colour, opacity = base.warp.render(body, (config.size, config.size))
    behind = resize(view.scenery[None], config.size, config.size)
    image = (colour * opacity + behind * (1 - opacity)).clamp(0, 1)
    made = [_flow_sources(model, config, body, image, opacity, network) for network in (True, False)]
    seen = source_views(made[0], image, body)
    return SourceSet(made[0], _warp(made[1], config.size), SourceBatch.of(seen), ())


def _flow_sources(
    model: BodyModel,
    config: SynthesisConfig,
    bodies: BodyParams,
    images: Float[Tensor, "S 3 H W"],
    mattes: Float[Tensor, "S 1 H W"],
    network: bool,
) -> FlowSources:
    extension = build_extension(config.extension, model, bodies, mattes, network)
    prepare = prepare_plain_sources if network else prepare_sources
    return prepare(model, extension, bodies, images, mattes)


def _warp(sources: FlowSources, size: int) -> TextureRenderer:
    """Texture warping with an atlas that is fine enough for the working size, which takes a fraction of the time."""
    atlas = merge_texture(sources, min(_ATLAS * size, _LARGEST_ATLAS))
    return TextureRenderer(sources, fill_atlas(sources.model, atlas))


def _bodies(views: Sequence[View], size: int) -> BodyParams:
    """Cameras in the pixels of the working size."""
    camera = WeakPerspective.joined(view.body.camera.resized(size / view.size) for view in views)
    return BodyParams(views[0].body.betas, torch.cat([view.body.rel_rotmats for view in views]), camera)


def _disturbed(model: BodyModel, bodies: BodyParams, generator: torch.Generator) -> BodyParams:
    camera = bodies.camera
    truth = Bodies(bodies.betas[None], bodies.rel_rotmats[None], camera.scale[None], camera.translation[None])
    wrong = perturb(model, truth, replace(_NOISE, betas=0.0), generator)
    return wrong[0]


def _without_parts(sources: FlowSources, hidden: Tensor) -> FlowSources:
    """Sources that do not see some parts."""
    body, around, clear = sources.body.clone(), sources.around.clone(), sources.clear.clone()
    unhidden = sources.unhidden.clone()
    for source, number in hidden.nonzero().tolist():
        lost = sources.model.vertex_part == PARTS.index(_HIDDEN[number])
        body[0, source, lost, 2:] = 0
        clear[0, source, lost] = unhidden[0, source, lost] = 0
        around[0, source, lost[sources.extension.anchor], 2:] = 0
    return replace(sources, body=body, around=around, clear=clear, unhidden=unhidden)


def chance_of_step(seed: int, step: int) -> torch.Generator:
    """What draws the lesson of a step, whatever was drawn before."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def choose_set(sets: Sequence[SourceSet | PlannedSet], generator: torch.Generator, first: bool = False) -> int:
    """The number of a source set by chance: it is drawn before anything else of a lesson.

    Args:
        sets: To choose from, by their weights.
        generator: On the CPU.
        first: Of the lessons with which learning begins, which do not wait for sets that are made of others.
    """
    weights = [0.0 if first and each.later_than_others else each.weight for each in sets]
    if not any(weights):
        weights = [each.weight for each in sets]
    return int(torch.multinomial(torch.tensor(weights), 1, generator=generator))


def draw_lesson(
    sets: Sequence[SourceSet | PlannedSet],
    views: Sequence[View],
    size: int,
    window: int,
    generator: torch.Generator,
    harder: bool = True,
    first: bool = False,
) -> Lesson:
    """A lesson by chance: a set, one of its targets, a window at some scale, sometimes mirrored.

    Args:
        sets: To choose from.
        views: All views of the person.
        size: The working size [px].
        window: Side of the pictures that are drawn [px], a multiple of 8, at most ``size``.
        generator: On the CPU.
        harder: Allow mirroring.
        first: See :func:`choose_set`.
    """
    number = choose_set(sets, generator, first)
    chosen = sets[number].get()
    target = chosen.targets[int(torch.randint(len(chosen.targets), (), generator=generator))]
    place = _window(views[target], size, window, generator)
    lesson = make_lesson(chosen, views[target], place)
    flip = harder and bool(torch.rand((), generator=generator) < 0.15)
    return replace(mirrored(lesson) if flip else lesson, origin=(number, flip))


def blank_lesson(sources: int, size: int, window: int, device: torch.device) -> Lesson:
    """A lesson of nothing, as large as those that are drawn: to see how long one takes before there is any."""

    def nothing(count: int, channels: int, side: int) -> Tensor:
        return torch.zeros(1, count, channels, side, side, device=device)

    batch = SourceBatch(
        nothing(sources, 3, size), nothing(sources, 1, size), nothing(sources, CONDITION_CHANNELS, size)
    )
    targets = TargetBatch(
        torch.zeros(1, 1, sources, window, window, 2, device=device),
        nothing(1, 1, window) > 0,
        nothing(1, sources, window),
        nothing(1, CONDITION_CHANNELS, window),
        nothing(1, 3, window),
        nothing(1, 1, window),
    )
    box = torch.tensor([[[0.25, 0.25, 0.75, 0.75]]], device=device) * window
    landmarks = box[..., [[0, 1], [2, 1], [0, 3], [2, 3], [0, 0]]]
    faces = Faces(landmarks, torch.ones(1, 1, device=device), box)
    image, opacity = nothing(1, 3, window), nothing(1, 1, window)
    return Lesson(batch, targets, image, opacity, backgrounds=image, judged=opacity, faces=faces)


def _window(view: View, size: int, window: int, generator: torch.Generator) -> Crop:
    """Around a point of the person, often the head; at the working scale or a little finer."""
    zoom = 1 + (min(_LARGEST_ZOOM, view.size / size) - 1) * float(torch.rand((), generator=generator))
    side = max(8, min(view.size, round(window * view.size / size / zoom)))
    if side > 0.95 * view.size:
        return Crop(0, 0, view.size, window)
    points = resize(view.matte[None].cpu(), 64, 64)[0, 0].gt(0.5).nonzero()
    if bool(torch.rand((), generator=generator) < _HEAD_SHARE) or len(points) == 0:
        centre = (view.head[:2] + view.head[2:]).cpu() / 2
    else:
        centre = points[int(torch.randint(len(points), (), generator=generator))].flip(0) * (view.size / 64)
    shift = (torch.rand(2, generator=generator) - 0.5) * 0.3 * side
    corner = (centre + shift - side / 2).round().long().clamp(0, view.size - side)
    return Crop(int(corner[0]), int(corner[1]), side, window)


@torch.no_grad()
def make_lesson(sources: SourceSet, view: View, window: Crop) -> Lesson:
    """One target, in a window of a view."""
    seen = view.at(window)
    device = sources.batch.images.device
    flow = drawn_flow(sources.sources, sources.warp, seen.body.to(device), (window.size, window.size))
    faces = Faces(
        seen.landmarks[None, None].to(device),
        torch.tensor([[float(seen.faces and _inside(seen))]], device=device),
        seen.head[None, None].to(device),
    )
    pictures = (seen.image, seen.matte, seen.scenery, seen.judged)
    image, matte, scenery, judged = (part[None, None].to(device) for part in pictures)
    # A face that no source shows would only teach to blur faces.
    hidden = (flow.visible * flow.valid).amax(1, keepdim=True) <= 0
    judged = judged * ~(hidden & (head_mask(sources.sources.model, flow) > 0))[None]
    return Lesson(sources.batch, TargetBatch.of(flow), image, matte, scenery, judged, faces)


def _inside(view: View) -> bool:
    """Whether the whole face is in the window."""
    return bool((view.landmarks > 4).all() and (view.landmarks < view.size - 4).all())


def mirrored(lesson: Lesson) -> Lesson:
    """The same, left and right exchanged, also in the names of surface points and in the normals."""
    width = lesson.images.shape[-1]

    def maps(condition: Tensor) -> Tensor:
        sign = condition.new_ones(condition.shape[-3], 1, 1)
        sign[[0, 3]] = -1
        return condition.flip(-1) * sign

    sources, targets, faces = lesson.sources, lesson.targets, lesson.faces
    grid = targets.grid.flip(-2) * targets.grid.new_tensor([-1.0, 1.0])
    x_mirror = faces.landmarks.new_tensor([-1.0, 1.0])
    landmarks = (faces.landmarks * x_mirror + faces.landmarks.new_tensor([width, 0.0]))[:, :, [2, 3, 0, 1, 4]]
    left, top, right, bottom = faces.boxes.unbind(-1)
    return replace(
        lesson,
        sources=SourceBatch(sources.images.flip(-1), sources.mattes.flip(-1), maps(sources.conditions)),
        targets=TargetBatch(
            grid,
            targets.valid.flip(-1),
            targets.visible.flip(-1),
            maps(targets.condition),
            targets.texture.flip(-1),
            targets.texture_matte.flip(-1),
        ),
        images=lesson.images.flip(-1),
        mattes=lesson.mattes.flip(-1),
        backgrounds=lesson.backgrounds.flip(-1),
        judged=lesson.judged.flip(-1),
        faces=Faces(landmarks, faces.seen, torch.stack([width - right, top, width - left, bottom], -1)),
    )
