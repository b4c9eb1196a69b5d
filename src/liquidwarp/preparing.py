"""What the commands that make pictures do before their task: load the networks, prepare the people."""

from collections.abc import Sequence
from pathlib import Path

from liquidwarp.api import LiquidWarper
from liquidwarp.config import SynthesisConfig
from liquidwarp.given import parse_background
from liquidwarp.options import Giver, Making, parse_people
from liquidwarp.personal_config import PersonalizeConfig
from liquidwarp.synthesizer import SourceBank

__all__ = ["load_warper", "prepare_people"]


def load_warper(options: Making) -> LiquidWarper:
    """What is bundled, or the user's own network, as the options say."""
    return LiquidWarper.from_pretrained(
        device=options.device,
        size=options.size,
        renderer=options.renderer,
        cache=options.cache,
        config=SynthesisConfig(shadow=options.shadow, temporal=options.temporal),
    )


def prepare_people(
    warper: LiquidWarper, options: Making, source: Sequence[Path], givers: Sequence[Giver] = ()
) -> list[SourceBank]:
    """The person of the photos, personalised and reshaped if that is wanted, then those who give parts to wear.

    Args:
        warper: From :func:`load_warper`.
        options: What was typed.
        source: Photos of the person.
        givers: The others; they are neither reshaped nor is their place kept.
    """
    tuning = PersonalizeConfig(quality=options.quality)
    further = tuning.further if options.personalize else 0
    person = warper.prepare(
        list(source),
        person=parse_people(options.person),
        background=parse_background(options.background),
        further=further,
        background_end=options.background_end,
    )
    others = (
        warper.prepare(list(giver.paths), person=giver.person, background=(0, 0, 0), further=further)
        for giver in givers
    )
    people: list[SourceBank] = [person, *others]
    if options.personalize:
        people = [*warper.personalize_together(people, tuning)]
    if options.shape is not None:
        people[0] = warper.reshape(people[0], options.shape)
    return people
