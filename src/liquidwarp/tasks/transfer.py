"""Appearance transfer: a person wears parts of other people.

Paper:
    Liu et al. 2021, Sec. 3.4 (Human appearance transfer): several sources, each gives some body parts. There the
    choice reaches only the warped picture; here also the flows that the network's attention follows.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from liquidwarp.body.build import WIDTHS, dressed_shape
from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.config import ImitateConfig, SynthesisConfig
from liquidwarp.effects import Effects
from liquidwarp.errors import SettingError
from liquidwarp.flow.lending.given import PhotoParts, label_photo
from liquidwarp.flow.lending.lent import in_form
from liquidwarp.flow.lending.own_skin import bare_bellies, bare_of, with_own_skin
from liquidwarp.flow.lending.parts import GARMENT_PARTS, garment_parts, keep_parts, shown_parts
from liquidwarp.flow.lending.skin import BareSkin, Stretch, match_skin, skin_tone
from liquidwarp.flow.sources import FlowSources, prepare_plain_sources, prepare_sources
from liquidwarp.renderers import NetworkRenderer, Renderer, TextureRenderer, source_views
from liquidwarp.synthesizer import SourceBank, build_extension
from liquidwarp.tasks.imitate import Driving, imitate
from liquidwarp.tasks.rendering import Rendering
from liquidwarp.types import SourceViews

__all__ = ["check_wear", "dress", "transfer"]

_log = logging.getLogger(__name__)
_STILL_FPS = 25.0


def transfer(
    bank: SourceBank,
    wear: Mapping[str, SourceBank],
    driving: Driving | None = None,
    imitation: ImitateConfig | None = None,
    synthesis: SynthesisConfig | None = None,
    effects: Effects | None = None,
) -> Rendering:
    """Show a person with parts of others.

    Args:
        bank: Who wears them; body shape, everything that nobody gives, and the background are this person's.
        wear: Part or group of parts (:func:`liquidwarp.flow.lending.parts.garment_parts`) to the person who gives it.
        driving: What moves the person; None: a single picture in the pose of the first photo.
        imitation: Camera and layout, with a driving.
        synthesis: How people were prepared and frames are rendered.
        effects: Several views; with a driving also bullet time.

    Returns:
        The result, not yet rendered.

    Raises:
        SettingError: see :func:`dress`; or the effects name a frame that the motion does not have.
    """
    synthesis, effects = synthesis or SynthesisConfig(), effects or Effects()
    if driving is None and effects.bullet_time:
        raise SettingError("bullet_time: expected a driving, a motion that can stand still; got none.")
    dressed = dress(bank, wear, synthesis)
    if driving is None:
        return Rendering(dressed, dressed.body, synthesis, _STILL_FPS, views=effects.views)
    return imitate(dressed, driving, imitation, synthesis, effects)


def dress(bank: SourceBank, wear: Mapping[str, SourceBank], config: SynthesisConfig) -> SourceBank:
    """The person with parts of others: a person like every other, who can imitate and be seen from other sides.

    Args:
        bank: Who wears them.
        wear: Part or group to the person who gives it.
        config: With which all were prepared.

    Raises:
        SettingError: no part, an unknown one, one that two people give, or one that its giver's photos do not show;
            people who were prepared at different sizes, or who wear parts of others already.
    """
    givers = check_wear(wear)
    people = [bank]
    people += [p for n, p in enumerate(wear.values()) if all(p is not q for q in (bank, *list(wear.values())[:n]))]
    weights = torch.zeros(len(people), len(GARMENT_PARTS))
    weights[0] = 1
    for name, parts in givers.items():
        number = next(n for n, p in enumerate(people) if p is wear[name])
        _check_giver(name, bank, people[number])
        for part in parts:
            weights[:, GARMENT_PARTS.index(part)] = torch.eye(len(people))[number]
    _log.info("Putting on what is lent.")
    body = _in_lent_clothes(bank, {part: wear[name] for name, parts in givers.items() for part in parts})
    photos = _Photos.of(people)
    joined = _joined(photos, bank.model, weights, config, network=False)
    warp = TextureRenderer.of(_fitted(joined, photos, body)).to(bank.device)
    renderer: Renderer = warp
    sources = warp.sources
    if isinstance(bank.renderer, NetworkRenderer):
        own = bank.renderer
        sources = _fitted(_joined(photos, bank.model, weights, config, network=True), photos, body).to(bank.device)
        pieces = photos.images.to(bank.device).split([len(p.images) for p in people])
        views = [source_views(p.sources, images, p.bodies) for p, images in zip(people, pieces, strict=True)]
        together = SourceViews(*(torch.cat([getattr(v, n) for v in views]) for n in ("images", "mattes", "conditions")))
        renderer = NetworkRenderer.of(
            sources, together, own.generator, warp, own.half, own.keeps_photos, own.knows_person
        )
    notes = tuple(dict.fromkeys(note for person in people for note in person.notes))
    return replace(bank, body=body, sources=sources, renderer=renderer, notes=notes)


def check_wear(names: Sequence[str] | Mapping[str, SourceBank]) -> dict[str, tuple[str, ...]]:
    """The parts that each name stands for.

    Raises:
        SettingError: no name, an unknown one, or a part that is given twice.
    """
    if not names:
        raise SettingError("wear: expected at least one part and who gives it, got none.")
    parts = {name: garment_parts(name) for name in names}
    taken: dict[str, str] = {}
    for name in names:
        for part in parts[name]:
            if part in taken:
                raise SettingError(f"wear: {part} is given twice, by {taken[part]!r} and by {name!r}. Leave one away.")
            taken[part] = name
    return parts


def _check_giver(name: str, bank: SourceBank, giver: SourceBank) -> None:
    if giver.images.shape[-2:] != bank.images.shape[-2:]:
        sizes = giver.images.shape[-1], bank.images.shape[-1]
        raise SettingError(
            f"wear[{name!r}]: prepared at size {sizes[0]}, the wearer at {sizes[1]}. Prepare both alike."
        )
    if any(person.sources.body.shape[1] != len(person.images) for person in (bank, giver)):
        raise SettingError(f"wear[{name!r}]: somebody wears parts of others already. Give all parts in one call.")
    shown = shown_parts(giver.sources)
    hidden = [part for part in garment_parts(name) if part not in shown]
    if len(hidden) == len(garment_parts(name)):
        raise SettingError(f"wear: the photos of {giver.name!r} do not show {name!r}. Add a photo that does.")
    if hidden:
        _log.info("Wear: the photos of %s do not show %s; made up.", giver.name, ", ".join(hidden))


def _in_lent_clothes(bank: SourceBank, givers: Mapping[str, SourceBank]) -> BodyParams:
    """The wearer's body without the width of own clothes and with that of the lent ones, where both sides are lent."""
    lent = {}
    for part in WIDTHS:
        sides = [giver for name in (part, f"left_{part}", f"right_{part}") if (giver := givers.get(name)) is not None]
        if len(sides) == 1 + (part not in GARMENT_PARTS) and all(giver is sides[0] for giver in sides):
            lent[part] = sides[0].bodies.betas
    own = bank.bodies.betas
    change = dressed_shape(bank.model, own, lent) - own
    return BodyParams(bank.body.betas + change, bank.body.rel_rotmats, bank.body.camera)


@dataclass(frozen=True)
class _Photos:
    """The S photos of all people, on the CPU."""

    bodies: tuple[BodyParams, ...]
    """Each one's own fitted body, cameras in the crops' pixels."""
    crops: Float[Tensor, "S 3 H W"]
    """RGB in [0, 1]."""
    images: Float[Tensor, "S 3 H W"]
    """The crops; bare skin of others has the wearer's tone."""
    mattes: Float[Tensor, "S 1 H W"]
    person: Int64[Tensor, "S"]
    """Whose photo each is; 0: the wearer's."""
    parts: tuple[PhotoParts, ...]
    skins: tuple[BareSkin | None, ...]
    """Where the photos show bare skin; None: not known."""

    def bare(self) -> list[dict[str, Stretch]]:
        """What is bare of each person's limbs."""
        rows = list(zip(self.person.tolist(), self.skins, strict=True))
        people = range(int(self.person.max()) + 1)
        return [bare_of([skin.stretches for n, skin in rows if n == own and skin is not None]) for own in people]

    @staticmethod
    def of(people: Sequence[SourceBank]) -> "_Photos":
        """The wearer first."""
        bodies: list[BodyParams] = []
        for person in people:
            own = person.bodies.to("cpu")
            bodies += [own[slice(s, s + 1)] for s in range(len(own))]
        crops = torch.cat([person.images.cpu() for person in people])
        mattes = torch.cat([person.sources.mattes[0].cpu() for person in people])
        index = torch.repeat_interleave(torch.arange(len(people)), torch.tensor([len(p.images) for p in people]))
        rows = list(zip(bodies, crops, mattes, strict=True))
        parts = tuple(label_photo(people[0].model, *row) for row in rows)
        tones = [skin_tone(image, matte, part) for (_, image, matte), part in zip(rows, parts, strict=True)]
        of_person = [
            next((t for t, i in zip(tones, index.tolist(), strict=True) if t is not None and i == n), None)
            for n in range(len(people))
        ]
        skins = [
            BareSkin.of(image, part, face) if (face := tone if tone is not None else of_person[n]) is not None else None
            for (_, image, _), part, tone, n in zip(rows, parts, tones, index.tolist(), strict=True)
        ]
        wearers = [
            skin for skin, tone, n in zip(skins, tones, index.tolist(), strict=True) if n == 0 and tone is not None
        ]
        wanted = wearers[0].tones if wearers and wearers[0] is not None else None
        toned = [
            match_skin(image, part, skin, wanted) if n > 0 and wanted is not None and skin is not None else image
            for (_, image, _), part, skin, n in zip(rows, parts, skins, index.tolist(), strict=True)
        ]
        return _Photos(tuple(bodies), crops, torch.stack(toned), mattes, index, parts, tuple(skins))


def _joined(
    photos: _Photos, model: BodyModel, weights: Float[Tensor, "N Q"], config: SynthesisConfig, network: bool
) -> FlowSources:
    """The photos of all, each on its own fitted body; only those that give something.

    What is whose in a photo is told by its own colours: skin that lies beside the fitted arm keeps the giver's tone.
    """
    extension = build_extension(config.extension, model, photos.bodies, photos.mattes, network)
    prepare = prepare_plain_sources if network else prepare_sources
    sources = prepare(model, extension, photos.bodies, photos.crops, photos.mattes).recoloured(photos.images)
    bellies = bare_bellies(photos.parts, photos.skins, sources)
    parts, weights = with_own_skin(photos.parts, photos.person, weights, photos.bare(), sources)
    given = weights[photos.person]
    shares = torch.stack([part.share(row) for part, row in zip(parts, given, strict=True)])
    vertices = torch.stack([part.vertices for part in parts])
    return keep_parts(sources, given, photos.person, shares, vertices, bellies)


def _fitted(sources: FlowSources, photos: _Photos, body: BodyParams) -> FlowSources:
    """The same with what is worn in the form that it has on the wearer's body."""
    own = sources.model.rest(torch.stack([photo.betas for photo in photos.bodies])).vertices
    wearer = sources.model.rest(body.betas[None].cpu()).vertices[0]
    return replace(sources, extension=in_form(sources.extension, own, wearer))
