"""A personalised person, and the way from a prepared one to it."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from liquidwarp.cache import Cache, digest_of_tensors
from liquidwarp.config import SynthesisConfig
from liquidwarp.errors import SettingError, WeightsCorruptError
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.personal.changes import Change, changed_copy
from liquidwarp.personal.material import Material, prepare_material
from liquidwarp.personal.personalize import Personalisation, Watcher, estimate_seconds, personalise
from liquidwarp.personal_config import PersonalizeConfig
from liquidwarp.renderers import NetworkRenderer, source_views
from liquidwarp.synthesizer import SourceBank

__all__ = ["PersonalBank", "Tuning", "network_digest", "personalise_banks", "with_tuning"]

_log = logging.getLogger(__name__)

_RESULT = "personalised-9"


@dataclass(frozen=True)
class Tuning:
    """What personalisation made of a network."""

    network: str
    """Name or folder of the network it began from."""
    digest: str
    """Of that network's weights."""
    change: Change
    keeps_photos: bool
    """Whether the photos' colours are mixed into the network's as before tuning."""
    score: float
    """Error in what was held out, relative to the pretrained network's."""
    steps: int
    finished: bool
    """False: cancelled, the best so far."""
    quality: str
    size: int
    """Working size [px]."""
    margin: float
    extension: str

    @staticmethod
    def of(
        result: Personalisation, network: str, digest: str, config: PersonalizeConfig, synthesis: SynthesisConfig
    ) -> "Tuning":
        """What came out of :func:`liquidwarp.personal.personalize.personalise`.

        Args:
            result: The change and how it did.
            network: Name or folder of the network it began from.
            digest: Of that network's weights.
            config: How it was learned.
            synthesis: How the person was prepared.
        """
        return Tuning(
            network=network,
            digest=digest,
            change=result.change,
            keeps_photos=result.keeps_photos,
            score=result.score,
            steps=result.steps,
            finished=result.finished,
            quality=config.quality,
            size=synthesis.size,
            margin=synthesis.margin,
            extension=synthesis.extension,
        )


@dataclass(frozen=True, kw_only=True)
class PersonalBank(SourceBank):
    """A person with a network of its own."""

    tuning: Tuning

    def save(self, path: str | Path) -> Path:
        """Write a ``.liquid`` file, which every command takes as ``--source``.

        Raises:
            MediaError: the place cannot be written.
        """
        from liquidwarp.personal.person_file import save_person

        return save_person(path, self)


def network_digest(generator: LiquidWarpingGenerator) -> str:
    """Names a network by its weights, wherever they lie."""
    return digest_of_tensors(*(tensor for _, tensor in sorted(generator.state_dict().items())))


def with_tuning(bank: SourceBank, tuning: Tuning, pretrained: LiquidWarpingGenerator) -> PersonalBank:
    """A person with a tuned network.

    Args:
        bank: The person, prepared with the pretrained network.
        tuning: What was learned.
        pretrained: The network it began from.

    Raises:
        WeightsCorruptError: the tuning is of another network.
    """
    if not isinstance(bank.renderer, NetworkRenderer):
        raise SettingError("personalize: expected a person who is rendered by a network, got texture warping.")
    if network_digest(pretrained) != tuning.digest:
        raise WeightsCorruptError(
            f"the person was personalised with other weights of {tuning.network!r} than these. Personalize again."
        )
    own = bank.renderer
    views = source_views(bank.sources, bank.images, bank.bodies)
    tuned = changed_copy(pretrained, tuning.change)
    keeps, outlines = own.keeps_photos, tuning.keeps_photos
    renderer = NetworkRenderer.of(
        bank.sources, views, tuned, own.warp, own.half, keeps and outlines, keeps and not outlines
    )
    names = SourceBank.__dataclass_fields__
    return PersonalBank(**{name: getattr(bank, name) for name in names} | {"renderer": renderer, "tuning": tuning})


def personalise_banks(
    banks: Sequence[SourceBank],
    pretrained: LiquidWarpingGenerator,
    network: str,
    synthesis: SynthesisConfig,
    config: PersonalizeConfig,
    cache: Cache,
    watcher: Watcher | None = None,
) -> list[PersonalBank]:
    """Tune one network to all of these people.

    A finished personalisation is kept in the cache and found again; one that was killed goes on from its last exam.

    Args:
        banks: The people, prepared from photos.
        pretrained: The network to begin from.
        network: Its name or folder.
        synthesis: How the people were prepared.
        config: How to learn.
        cache: What is kept between runs.
        watcher: Is told of everything.

    Returns:
        The people, with their common network.

    Raises:
        SettingError: a person was read from a file, or the photos are of different persons.
    """
    watcher = watcher or Watcher()
    digest = network_digest(pretrained)
    settings = {"config": config, "network": digest, "size": synthesis.size, "keep": synthesis.keep}
    prints = [digest_of_tensors(bank.images, *_bodies(bank), *_further(bank)) for bank in banks]
    where = str(banks[0].device.type)
    key = cache.key(_RESULT, settings={**settings, "people": prints, "where": where})
    known = cache.load(key)
    if known is not None:
        tensors, metadata = known
        facts = json.loads(metadata["facts"])
        facts["history"] = tuple((int(step), float(score)) for step, score in facts["history"])
        result = Personalisation(Change(tensors), **facts)
        watcher.notes(("This person was personalised before with the same settings.",))
    else:
        people = [_material(bank, synthesis, config, watcher) for bank in banks]
        watcher.expect(estimate_seconds(people, pretrained, synthesis.size, config))
        checkpoint = cache.path(f"{key}-progress") if cache.enabled else None
        keeps = synthesis.keep == "photos"
        result = personalise(people, pretrained, synthesis.size, config, keeps, checkpoint, watcher.see)
        if result.finished:
            _remember(cache, key, result, checkpoint)
    tuning = Tuning.of(result, network, digest, config, synthesis)
    return [with_tuning(bank, tuning, pretrained) for bank in banks]


def _bodies(bank: SourceBank) -> tuple[Tensor, ...]:
    bodies = bank.bodies
    return bodies.betas, bodies.rel_rotmats, bodies.camera.scale, bodies.camera.translation


def _further(bank: SourceBank) -> list[Tensor]:
    further = bank.photos.further if bank.photos is not None else None
    return [] if further is None else [torch.from_numpy(picture) for picture in further.pictures]


def _material(bank: SourceBank, synthesis: SynthesisConfig, config: PersonalizeConfig, watcher: Watcher) -> Material:
    if bank.photos is None:
        raise SettingError(f"personalize: {bank.name} was read from a file and holds no photos to learn from.")
    material = prepare_material(
        bank.photos, bank.model, synthesis, config, bank.photos.further, bank.device, watcher.prepare
    )
    watcher.notes(material.notes)
    return material


def _remember(cache: Cache, key: str, result: Personalisation, checkpoint: Path | None) -> None:
    facts = {name: value for name, value in asdict(result).items() if name != "change"}
    cache.save(key, result.change.tensors, {"facts": json.dumps(facts)})
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
