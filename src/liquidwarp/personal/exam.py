"""Whether learning helps: pictures and patches that are never learned from, drawn before and after."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.inputs import SourceFeatures
from liquidwarp.gan.losses import PerceptualDistance
from liquidwarp.mixture import as_known, keep_photos
from liquidwarp.personal.background_work import Later
from liquidwarp.personal.lessons import Lesson
from liquidwarp.types import TargetFlow

__all__ = ["Exam", "Marks"]

_PREVIEWS = 3
"""Pictures of each person in the preview, at most."""
_COLOURS = 0.1
"""Weight of the colours' error: in patches it judges where folds lie and not how the person looks, and it rises while
frames that were never seen still get better in both figures."""


@dataclass(frozen=True)
class Marks:
    """Mean errors in what is held out; lower is better."""

    perceptual: float
    colour: float
    """Mean absolute difference."""

    def relative_to(self, start: "Marks") -> float:
        """1: as good as at the start; 0.9: a tenth better, in the mean of both figures, of which colours count less."""
        pairs = ((self.perceptual, start.perceptual), (self.colour, start.colour))
        ratios = [now / max(before, 1e-6) for now, before in pairs]
        return (1 - _COLOURS) * ratios[0] + _COLOURS * ratios[1]


class Exam:
    """Lessons in which only what is held out is judged."""

    def __init__(
        self, lessons: Sequence[Later[Lesson]], perceptual: PerceptualDistance, frozen_sources: bool, photos: int
    ) -> None:
        """Take the lessons.

        Args:
            lessons: Whole pictures; ``judged`` is 1 where something is held out.
            perceptual: Judges, beside colours.
            frozen_sources: Whether the sources' features stay as they are.
            photos: How many there are at run time.
        """
        self.lessons, self.perceptual, self.frozen_sources = list(lessons), perceptual, frozen_sources
        self.photos = photos
        self._features: dict[int, SourceFeatures] = {}

    def marks(self, generator: LiquidWarpingGenerator, keeps_photos: bool) -> Marks:
        """How well a network does, with the photos mixed into its picture or as one that knows the person."""
        return self.both_marks(generator)[keeps_photos]

    @torch.no_grad()
    def both_marks(self, generator: LiquidWarpingGenerator) -> tuple[Marks, Marks]:
        """Marks as a network that knows the person is drawn, and with the photos' colours and outline mixed in."""
        sums = torch.zeros(2, 2, dtype=torch.float64)
        for number, planned in enumerate(self.lessons):
            truth, judged = planned.get().images[0], planned.get().judged[0]
            share = judged.mean().clamp(min=1e-6)
            maps = self.perceptual.maps(truth)
            for keeps, picture in enumerate(self._pictures(generator, number)):
                shown = torch.lerp(truth, picture, judged)
                sums[keeps, 0] += float(self.perceptual.to_maps(shown, maps).mean())
                sums[keeps, 1] += float((shown - truth).abs().mean() / share)
        first, second = (sums / max(len(self.lessons), 1)).tolist()
        return Marks(*first), Marks(*second)

    def _pictures(
        self, generator: LiquidWarpingGenerator, number: int
    ) -> tuple[Float[Tensor, "1 3 H W"], Float[Tensor, "1 3 H W"]]:
        """The picture of a network that knows the person, and the one into which the photos are mixed."""
        lesson = self.lessons[number].get()
        with torch.autocast(lesson.images.device.type, torch.bfloat16, enabled=lesson.images.is_cuda):
            features = self._features.get(number)
            if features is None:
                features = generator.encode(lesson.sources)
                if self.frozen_sources:
                    self._features[number] = features
            synthesis = generator.transfer(features, lesson.targets)
        colour, opacity = synthesis.image[0].float().clamp(0, 1), synthesis.matte[0].float().clamp(0, 1)
        flow = TargetFlow(**{name: getattr(lesson.targets, name)[0] for name in TargetFlow.__dataclass_fields__})
        behind = lesson.backgrounds[0]
        ways = as_known(flow, colour, opacity, self.photos), keep_photos(flow, colour, opacity)
        first, second = (matte * image + (1 - matte) * behind for image, matte in ways)
        return first, second

    @torch.no_grad()
    def preview(self, generator: LiquidWarpingGenerator, keeps_photos: bool) -> list[Float[Tensor, "3 H W"]]:
        """The first pictures, whole."""
        return [
            self._pictures(generator, number)[keeps_photos][0].cpu()
            for number in range(min(_PREVIEWS, len(self.lessons)))
        ]
