"""Rendered people as the product prepares and draws them, before and after a network was tuned to their photos."""

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.body.model import BodyModel, BodyParams
from liquidwarp.cache import Cache
from liquidwarp.config import SynthesisConfig
from liquidwarp.evaluate.contenders import Contender
from liquidwarp.evaluate.known_photos import known_photos
from liquidwarp.evaluation_config import SyntheticEvaluation
from liquidwarp.learn.datasets import TrainingSample
from liquidwarp.personal.person import personalise_banks
from liquidwarp.personal_config import PersonalizeConfig
from liquidwarp.recover.photos import SourcePhotos
from liquidwarp.synthesizer import SourceBank, prepare_bank

__all__ = ["in_use_and_personal", "photos_of_sample"]


def in_use_and_personal(
    contender: Contender, sample: TrainingSample, model: BodyModel, bodies: BodyParams, settings: SyntheticEvaluation
) -> dict[str, tuple[Float[Tensor, "1 T 3 H W"], Float[Tensor, "1 T 1 H W"]]]:
    """Pictures and mattes of one person's targets, by the network as the product uses it, and after tuning it.

    Args:
        contender: A network.
        sample: Of one person.
        model: The body.
        bodies: As fitted: the sources', perhaps some more, then the targets'.
        settings: Size and quality of the tuning.
    """
    generator, device = contender.generator, sample.images.device
    if generator is None:
        raise ValueError("contender: expected a network.")
    photos = photos_of_sample(sample, model.to("cpu"), bodies.to("cpu"))
    synthesis = SynthesisConfig(settings.size)
    bank = prepare_bank(photos, model.to("cpu"), synthesis, generator, photos.pictures[0], device)
    config = PersonalizeConfig(quality=settings.quality, allow_mixed=True, seed=settings.seed)
    (tuned,) = personalise_banks([bank], generator, contender.name, synthesis, config, Cache(enabled=False))
    targets = bodies[slice(len(bodies) - sample.images.shape[1], len(bodies))].to(device)
    banks = {f"{contender.name} in use": bank, f"{contender.name} personal": tuned}
    return {name: _drawn(each, targets, sample.backgrounds) for name, each in banks.items()}


def photos_of_sample(sample: TrainingSample, model: BodyModel, bodies: BodyParams) -> SourcePhotos:
    """A rendered person's sources, as if they were photos whose bodies were recovered; without detected faces.

    Args:
        sample: Of one person.
        model: The body, on the CPU.
        bodies: As fitted; the first ones are the sources'.
    """
    sources = sample.sources
    body = bodies[slice(0, sources.images.shape[1])]
    return known_photos("person", sources.images[0], sources.mattes[0], body, model)


@torch.no_grad()
def _drawn(
    bank: SourceBank, targets: BodyParams, backgrounds: Float[Tensor, "1 T 3 H W"]
) -> tuple[Float[Tensor, "1 T 3 H W"], Float[Tensor, "1 T 1 H W"]]:
    size = (backgrounds.shape[-2], backgrounds.shape[-1])
    drawn = [bank.renderer.render(targets[slice(index, index + 1)], size) for index in range(len(targets))]
    colour, opacity = (torch.cat(parts)[None] for parts in zip(*drawn, strict=True))
    return colour * opacity + backgrounds * (1 - opacity), opacity
