"""How a prepared person is drawn in new poses: by warping the photos' texture, or by the Liquid Warping GAN.

Paper:
    Liu et al. 2021, Sec. 3.3: the generator; texture warping is the paper's baseline and the draft quality here.
"""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.cache import digest_of_tensors
from liquidwarp.flow.compose import Choice, compose_stage
from liquidwarp.flow.condition import condition_maps
from liquidwarp.flow.draw import seen_weight, within_edge
from liquidwarp.flow.mesh.extension import inflated_shell
from liquidwarp.flow.mesh.stage import Stage
from liquidwarp.flow.mesh.surface import rest_coordinates
from liquidwarp.flow.previous import choice_with_frame, with_frame
from liquidwarp.flow.render import render_person
from liquidwarp.flow.seen.head_choice import choose_heads, head_directions, head_weights
from liquidwarp.flow.sources import FlowSources
from liquidwarp.flow.unseen.atlas import TextureAtlas, fill_atlas, merge_texture
from liquidwarp.flow.unseen.coat import beside_body
from liquidwarp.flow.unseen.scalp import on_scalp
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.inputs import SourceBatch, SourceFeatures, TargetBatch
from liquidwarp.gan.pretrained import BUNDLED, load_generator
from liquidwarp.mixture import as_known, keep_photos
from liquidwarp.types import SourceViews, TargetFlow
from liquidwarp.weights import list_assets

__all__ = [
    "DrawnFrame",
    "NetworkRenderer",
    "Renderer",
    "TextureRenderer",
    "drawn_flow",
    "head_mask",
    "head_plan",
    "load_network",
    "part_mask",
    "source_views",
]


_NEAR = 0.005
"""Surface points this little outside of the head belong to it, in rest coordinates."""
_SOFT = 2 / 256
"""Width of the head's soft edge, as a share of the picture."""
_WAY = 30
"""Raised when the same network, or texture warping, draws otherwise."""
_SOLID = 0.6
_HANDS = ("left_hand", "right_hand")
_SHOWN, _LITTLE = 0.5, 0.1
"""A hand of which photos show less than this share so well is not known."""


@runtime_checkable
class Renderer(Protocol):
    """Draws one person."""

    def fingerprint(self) -> str:
        """A name that differs where the same person in the same pose would look different."""
        ...

    def render(
        self,
        targets: BodyParams,
        size: tuple[int, int],
        choice: Choice | None = None,
        heads: Float[Tensor, "T K"] | None = None,
    ) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
        """Draw the person in T poses, without a background.

        Args:
            targets: Cameras in the pictures' pixels.
            size: Height and width of the pictures [px].
            choice: Which source gives which part.
            heads: The share of each photo that may give the head, from :func:`head_plan`; None: the nearest one.

        Returns:
            The person's own colours, not multiplied by the opacity, and the opacity.
        """
        ...


def head_plan(sources: FlowSources, targets: BodyParams) -> Float[Tensor, "T K"]:
    """The share of each photo that may give the head in the frames of one video.

    Args:
        sources: The prepared photos, K of which may give the head.
        targets: All frames of the video.
    """
    views = sources.heads
    if len(views) < 2:
        return views.penalty.new_ones(len(targets), len(views))
    directions = head_directions(sources.model, targets.rel_rotmats).to(views.direction)
    return head_weights(choose_heads(views, directions), len(views))


@dataclass(frozen=True)
class TextureRenderer:
    """The photos themselves, warped: sharp, but it knows no new folds and no side that no photo shows."""

    sources: FlowSources
    atlas: TextureAtlas
    """The photos' colours merged in the body's UV layout, with what no photo shows made up."""
    other_heads: tuple[TextureAtlas, ...] = ()
    """The same where another than the first of the photos that may gives the head."""

    @staticmethod
    def of(sources: FlowSources) -> "TextureRenderer":
        """Prepare what the sources do not show; on the CPU."""
        model = sources.model
        beside = beside_body(sources)
        atlas = fill_atlas(model, merge_texture(sources), beside)
        others = [merge_texture(sources.with_head(view)) for view in range(1, len(sources.heads))]
        return TextureRenderer(sources, atlas, tuple(fill_atlas(model, other, None, atlas) for other in others))

    def to(self, device: torch.device | str) -> "TextureRenderer":
        """The same on another device."""
        others = tuple(atlas.to(device) for atlas in self.other_heads)
        return TextureRenderer(self.sources.to(device), self.atlas.to(device), others)

    def fingerprint(self) -> str:
        """There is only one way of warping."""
        return f"texture-{_WAY}"

    def render(
        self,
        targets: BodyParams,
        size: tuple[int, int],
        choice: Choice | None = None,
        heads: Float[Tensor, "T K"] | None = None,
    ) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
        """See :class:`Renderer`."""
        return self.draw(Stage.of(self.sources.model, targets, size), choice, self.head_shares(targets, heads))

    def head_shares(self, targets: BodyParams, heads: Float[Tensor, "T K"] | None = None) -> Float[Tensor, "T K"]:
        """The share of each photo that may give the head; without a plan, each frame by itself."""
        if heads is not None:
            return heads
        return torch.cat([head_plan(self.sources, targets[slice(t, t + 1)]) for t in range(len(targets))])

    def draw(
        self, stage: Stage, choice: Choice | None, heads: Float[Tensor, "T K"]
    ) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
        """The same for bodies that are posed already."""
        if not self.other_heads:
            return render_person(self.sources, stage, self.atlas, choice)
        colours = self.atlas.colours.new_zeros(len(stage), 3, *stage.size)
        mattes = colours[:, :1].clone()
        for view, atlas in enumerate((self.atlas, *self.other_heads)):
            frames = (heads[:, view] > 0).nonzero()[:, 0].to(mattes.device)
            if len(frames):
                drawn = render_person(self.sources.with_head(view), stage[frames], atlas, choice)
                share = heads[frames, view][:, None, None, None].to(mattes) * drawn[1]
                colours.index_add_(0, frames, drawn[0] * share)
                mattes.index_add_(0, frames, share)
        return (colours / mattes.clamp(min=1e-4)).clamp(0, 1), mattes.clamp(0, 1)


@dataclass(frozen=True)
class DrawnFrame:
    """A frame that was drawn, for the next one."""

    body: BodyParams
    """One row, camera in the picture's pixels."""
    colours: Float[Tensor, "1 3 H W"]
    """RGB in [0, 1]."""
    opacity: Float[Tensor, "1 1 H W"]


@dataclass(frozen=True)
class NetworkRenderer:
    """The Liquid Warping GAN refines what texture warping draws; the sources' features are computed once."""

    sources: FlowSources
    generator: LiquidWarpingGenerator
    features: SourceFeatures
    warp: TextureRenderer
    """Draws what the network starts from."""
    half: bool = False
    """Compute in half precision where the device is an NVIDIA GPU."""
    keeps_photos: bool = True
    """Show the photos' own pixels where one shows the place; else all is the network's."""
    knows_person: bool = False
    """Otherwise, of a network tuned to the person, trust its colours (:func:`liquidwarp.mixture.as_known`)."""

    @staticmethod
    @torch.no_grad()
    def of(
        sources: FlowSources,
        views: SourceViews,
        generator: LiquidWarpingGenerator,
        warp: TextureRenderer,
        half: bool = False,
        keeps_photos: bool = True,
        knows_person: bool = False,
    ) -> "NetworkRenderer":
        """Encode the sources; everything on one device."""
        with _precision(views.images.device, half):
            features = generator.encode(SourceBatch.of(views))
        return NetworkRenderer(sources, generator, features, warp, half, keeps_photos, knows_person)

    def fingerprint(self) -> str:
        """The network's weights, as personalisation changes them."""
        way = f"{self.half}-{self.keeps_photos}-{self.knows_person}-{_WAY}"
        return f"{digest_of_tensors(*self.generator.state_dict().values())}-{way}"

    def render(
        self,
        targets: BodyParams,
        size: tuple[int, int],
        choice: Choice | None = None,
        heads: Float[Tensor, "T K"] | None = None,
    ) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
        """See :class:`Renderer`; height and width in multiples of 8."""
        flow = drawn_flow(self.sources, self.warp, targets, size, choice, heads)
        return self._paint(flow, self.features)

    def render_after(
        self,
        before: DrawnFrame,
        target: BodyParams,
        size: tuple[int, int],
        choice: Choice | None = None,
        heads: Float[Tensor, "1 K"] | None = None,
    ) -> tuple[Float[Tensor, "1 3 H W"], Float[Tensor, "1 1 H W"]]:
        """One frame that attends to the frame before as to one more photo (paper Sec. 3.3, temporal attention).

        Args:
            before: That frame, of the photos' size.
            target: One body.
            size: Height and width of the picture [px].
            choice: Which source gives which part.
            heads: See :meth:`render`.
        """
        photos = self.features.inputs.shape[1]
        joined = with_frame(self.sources, before.body, before.colours, before.opacity)
        chosen = choice_with_frame(choice, photos, before.colours.device)
        stage = Stage.of(self.sources.model, target, size)
        flow = compose_stage(joined, stage, chosen)
        colours, opacity = self.warp.draw(stage, choice, self.warp.head_shares(target, heads))
        flow = replace(flow, texture=colours, texture_matte=within_edge(opacity))
        conditions = condition_maps(self.sources.model, inflated_shell(self.sources.model), before.body, size)
        with _precision(flow.grid.device, self.half):
            views = SourceBatch.of(SourceViews(before.colours, before.opacity, conditions))
            features = self.features.with_previous(self.generator.encode(views))
        return self._paint(flow, features)

    def _paint(
        self, flow: TargetFlow, features: SourceFeatures
    ) -> tuple[Float[Tensor, "T 3 H W"], Float[Tensor, "T 1 H W"]]:
        with _precision(flow.grid.device, self.half):
            synthesis = self.generator.transfer(features, TargetBatch.of(flow))
        photos = self.features.inputs.shape[1]
        flow = replace(flow, grid=flow.grid[:, :photos], visible=flow.visible[:, :photos])
        colour, opacity = synthesis.image[0].float().clamp(0, 1), synthesis.matte[0].float().clamp(0, 1)
        if self.keeps_photos:
            return keep_photos(flow, self._with_scalp(flow, self._with_hands(flow, colour)), opacity)
        if not self.knows_person:
            return colour, opacity
        hands = torch.maximum(*(part_mask(self.sources.model, flow, part) for part in _HANDS))
        return as_known(flow, colour, opacity, photos, hands)

    def _with_hands(self, flow: TargetFlow, colour: Float[Tensor, "T 3 H W"]) -> Float[Tensor, "T 3 H W"]:
        """The warp's hands where no photo shows one: the network takes the sleeve or the thing that is there for it."""
        model, clean = self.sources.model, self.warp.sources
        for part in _HANDS:
            hand = (model.vertex_part == PARTS.index(part)).to(clean.body.device)
            if bool(hand.any()) and float((clean.body[0, :, hand, 2].amax(0) > _SHOWN).float().mean()) < _LITTLE:
                there = part_mask(model, flow, part) * (flow.texture_matte > _SOLID)
                colour = torch.lerp(colour, flow.texture, there)
        return colour

    def _with_scalp(self, flow: TargetFlow, colour: Float[Tensor, "T 3 H W"]) -> Float[Tensor, "T 3 H W"]:
        """The warp's hair where no photo shows the head: there the network weaves blocks."""
        model = self.sources.model
        behind = on_scalp(model, flow.condition[:, :3].movedim(1, -1))[:, None]
        hidden = 1 - seen_weight(flow.visible.amax(1, keepdim=True))
        there = hidden * behind * part_mask(model, flow, "head") * (flow.texture_matte > _SOLID)
        return torch.lerp(colour, flow.texture, _blurred(there))


def head_mask(model: BodyModel, flow: TargetFlow) -> Float[Tensor, "T 1 H W"]:
    """Where the targets show the head and its hair, by the names of surface points; with soft edges."""
    return part_mask(model, flow, "head", "face")


def part_mask(model: BodyModel, flow: TargetFlow, *parts: str) -> Float[Tensor, "T 1 H W"]:
    """Where the targets show parts that are together in the rest pose and apart from all others; with soft edges."""
    chosen = torch.tensor([PARTS.index(part) for part in parts], device=model.faces.device)
    member = torch.isin(model.vertex_part, chosen)
    points = rest_coordinates(model)[member].to(flow.condition.device)
    low, high = (edge[:, None, None] for edge in (points.amin(0), points.amax(0)))
    named, shown = flow.condition[:, :3], flow.condition[:, 6:8].amax(1, keepdim=True) > 0
    inside = ((named >= low - _NEAR) & (named <= high + _NEAR)).all(1, keepdim=True) & shown
    return _blurred(inside.float())


def _blurred(mask: Float[Tensor, "T 1 H W"]) -> Float[Tensor, "T 1 H W"]:
    radius = max(1, round(_SOFT * mask.shape[-1]))
    return F.avg_pool2d(mask, 2 * radius + 1, 1, radius, count_include_pad=False)


def drawn_flow(
    sources: FlowSources,
    warp: TextureRenderer,
    targets: BodyParams,
    size: tuple[int, int],
    choice: Choice | None = None,
    heads: Float[Tensor, "T K"] | None = None,
) -> TargetFlow:
    """What a network takes: the flow from all sources, and as its texture the picture that texture warping draws.

    Args:
        sources: The photos with the extension of :func:`source_views`' training.
        warp: Draws the picture; its extension may be another one.
        targets: T bodies, cameras in the pictures' pixels.
        size: Height and width of the pictures [px].
        choice: Which source gives which part.
        heads: See :meth:`Renderer.render`.
    """
    stage = Stage.of(sources.model, targets, size)
    colours, opacity = warp.draw(stage, choice, warp.head_shares(targets, heads))
    flow = compose_stage(sources, stage, choice)
    return replace(flow, texture=colours, texture_matte=within_edge(opacity))


def source_views(sources: FlowSources, images: Float[Tensor, "S 3 H W"], bodies: BodyParams) -> SourceViews:
    """What the network sees of the photos: in training, the body in them is wrapped in the plain shell.

    Args:
        sources: The prepared photos, whose mattes are taken.
        images: The photos' crops, RGB in [0, 1].
        bodies: The S fitted bodies, cameras in the crops' pixels.
    """
    size = (images.shape[-2], images.shape[-1])
    conditions = condition_maps(sources.model, inflated_shell(sources.model), bodies, size)
    return SourceViews(images, sources.mattes[0], conditions)


def load_network(name: str, device: torch.device | str = "cpu") -> tuple[str, LiquidWarpingGenerator | None]:
    """The network that a renderer's name asks for.

    Args:
        name: "texture", "lite", "base", a folder of weights, or "auto": of the bundled networks the one that suits
            the device; if none is bundled, "texture".
        device: Where it shall work.

    Returns:
        What was chosen, and the network; None for "texture".

    Raises:
        WeightsNotFoundError: what was asked for is not there.
        WeightsCorruptError: damaged weights.
    """
    if name == "auto":
        there = {asset.name for asset in list_assets()}
        order = BUNDLED if torch.device(device).type == "cuda" else BUNDLED[::-1]
        bundled = [known for known in order if f"generator/{known}/model.safetensors" in there]
        name = bundled[0] if bundled else "texture"
    return name, None if name == "texture" else load_generator(name, device)


def _precision(device: torch.device, half: bool) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=half and device.type == "cuda")
