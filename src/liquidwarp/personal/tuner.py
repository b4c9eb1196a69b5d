"""One step of personalisation: the tuned generator against a discriminator that knows this person only.

Paper:
    Liu et al. 2021, Sec. 3.5: the generator starts from the pretrained weights, the discriminator from nothing and
    looks at the whole picture only.
"""

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from liquidwarp.gan.crops import crop_boxes
from liquidwarp.gan.discriminator import Discriminators
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.inputs import SourceFeatures, Synthesis
from liquidwarp.gan.losses import (
    copy_loss,
    discriminator_loss,
    feature_matching,
    generator_loss,
    matte_loss,
    outline_loss,
    tone_l1,
    total_variation,
)
from liquidwarp.learn.players import Judges
from liquidwarp.personal.changes import Change, difference, low_rank_factors, merge_low_rank, prepare_tuned
from liquidwarp.personal.lessons import Lesson
from liquidwarp.personal.recording import Recordings
from liquidwarp.personal_config import PersonalizeConfig

__all__ = ["Tuner"]

T = TypeVar("T")

_LOW_RANK_RATE = 5.0
"""So many times as fast as whole weights low-rank additions learn."""
_WARMUP = 10
"""Steps over which the learning rate rises."""
_ADVERSARIAL_FROM = 0.25
"""Share of the steps before the generator listens to the discriminator, which learns from the first step on."""
_DECAY = 0.95
"""Of the averaged weights, per step."""
_HEAD = 128
"""Side of the enlarged heads that are compared [px]."""
_CLIP = 1.0
"""Largest norm of the generator's gradient; the discriminator's may be five times as large."""


@dataclass(frozen=True)
class _Parts:
    """Which losses a step has besides those that it always has."""

    critics: bool
    """Whether the generator listens to them."""
    heads: bool
    """Whether enlarged heads are compared."""
    faces: bool
    """Whether a face is seen."""


class Tuner:
    """A generator and its discriminator, and how they learn from lessons."""

    def __init__(
        self,
        pretrained: LiquidWarpingGenerator,
        config: PersonalizeConfig,
        judges: Judges,
        steps: int,
        record: bool = True,
    ) -> None:
        """Begin; everything on the network's device.

        Args:
            pretrained: The network to begin from; it is not changed.
            config: What is tuned, losses, seed.
            judges: The frozen networks behind the losses.
            steps: How many there will be.
            record: Record steps on a GPU and play them (see :class:`~liquidwarp.personal.recording.Recordings`).
        """
        self.config, self.judges, self.steps = config, judges, steps
        self.device = next(pretrained.parameters()).device
        torch.manual_seed(config.seed)
        self.generator = copy.deepcopy(pretrained)
        self.parameters = prepare_tuned(self.generator, config.tuned, config.rank)
        self.averaged = [parameter.detach().clone() for parameter in self.parameters]
        self.discriminators = Discriminators(config.discriminator).to(self.device)
        self.keeps_features = config.tuned != "all"
        self._features: dict[tuple[int, int, bool], SourceFeatures] = {}
        for parameter in (*self.parameters, *self.discriminators.parameters()):
            parameter.grad = torch.zeros_like(parameter)  # recorded steps write to this very memory
        self._names: dict[_Parts, tuple[str, ...]] = {}
        self._played = Recordings(self._learn, self.device if record else torch.device("cpu"))

    @functools.cached_property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Made when they are first needed: torch imports a compiler with its first optimiser, which takes seconds."""
        fused = self.device.type == "cuda"
        return {
            "generator": torch.optim.Adam(self.parameters, betas=(0.9, 0.99), fused=fused),
            "discriminators": torch.optim.Adam(self.discriminators.parameters(), betas=(0.5, 0.99), fused=fused),
        }

    def step(self, lesson: Lesson, number: int, person: int = 0) -> dict[str, float]:
        """Learn from one lesson.

        Args:
            lesson: On the tuner's device.
            number: The step, from 0 on.
            person: Whose lesson it is.

        Returns:
            Each loss without its weight.
        """
        rate = self.config.learning_rate * min(1.0, (number + 1) / _WARMUP, 2.2 - 2 * number / self.steps)
        for name, optimizer in self.optimizers.items():
            slow = name == "generator" and self.config.tuned == "low-rank"
            for group in optimizer.param_groups:
                group["lr"] = rate * (_LOW_RANK_RATE if slow else 1.0)
        says = self.config.loss.adversarial > 0
        listens = says and number >= _ADVERSARIAL_FROM * self.steps
        terms = self._gradients(lesson, person, listens)
        self._update("generator", self.parameters, _CLIP)
        if says:
            self._update("discriminators", list(self.discriminators.parameters()), 5 * _CLIP)
        decay = min(_DECAY, (1 + number) / (10 + number))
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged, [parameter.detach() for parameter in self.parameters], 1 - decay)
        return terms

    def rehearse(self, lesson: Lesson) -> None:
        """A step's work without its effect, to measure time."""
        self._gradients(lesson, 0, self.config.loss.adversarial > 0)

    def judge(
        self, lesson: Lesson, person: int, listens: bool
    ) -> tuple[Tensor, dict[str, Tensor], Float[Tensor, "T 3 H W"]]:
        """The weighted loss, its terms, and the pictures, in which what is not judged is the truth.

        Args:
            lesson: Whose targets are drawn.
            person: Its number among those who share the network.
            listens: Whether the critics have a say.
        """
        parts, say = self._parts(lesson, listens)
        return self._judge(lesson, self._encoded(lesson, person), say, parts)

    def tuned(self) -> dict[str, Tensor]:
        """The state of a plain network with the averaged weights."""
        return self._averaged(merge_low_rank)

    def change(self, pretrained: LiquidWarpingGenerator) -> Change:
        """What was learned, with the averaged weights, as it is kept."""
        factors = self._averaged(low_rank_factors)
        return difference(pretrained.state_dict(), self.tuned(), self.config.rank, factors)

    def _averaged(self, look: Callable[[LiquidWarpingGenerator], T]) -> T:
        """What is seen of the generator while its weights are the averaged ones."""
        current: list[Tensor] = [parameter.detach() for parameter in self.parameters]
        kept = [values.clone() for values in current]
        torch._foreach_copy_(current, self.averaged)
        seen = look(self.generator)
        torch._foreach_copy_(current, kept)
        return seen

    def _gradients(self, lesson: Lesson, person: int, listens: bool) -> dict[str, float]:
        """Leave all gradients behind; returns each loss without its weight."""
        parts, say = self._parts(lesson, listens)
        values = self._played((lesson, self._encoded(lesson, person), say), parts)
        return dict(zip(self._names[parts], values.tolist(), strict=True))

    def _learn(self, given: tuple[Lesson, SourceFeatures | None, Tensor], parts: _Parts) -> Float[Tensor, "N"]:
        """The gradients of the generator and of the critics, and the losses; may be recorded."""
        lesson, features, say = given
        parameters = (*self.parameters, *self.discriminators.parameters())
        torch._foreach_zero_([parameter.grad for parameter in parameters if parameter.grad is not None])
        total, terms, composed = self._judge(lesson, features, say, parts)
        total.backward()
        if self.config.loss.adversarial > 0:
            terms["discriminator"] = self._critics_loss(lesson, composed.detach())
            terms["discriminator"].backward()
        self._names[parts] = tuple(terms)
        return torch.stack([value.detach().float() for value in terms.values()])

    def _judge(
        self, lesson: Lesson, features: SourceFeatures | None, say: Float[Tensor, "2"], parts: _Parts
    ) -> tuple[Tensor, dict[str, Tensor], Float[Tensor, "T 3 H W"]]:
        with self._precision():
            encoded = self.generator.encode(lesson.sources) if features is None else features
            synthesis = self.generator.transfer(encoded, lesson.targets)
            made = synthesis.over(lesson.backgrounds)
            composed = torch.lerp(lesson.images, made.float(), lesson.judged).flatten(0, 1)
            terms = dict(self._terms(lesson, synthesis, composed, parts))
            if parts.heads:
                terms["face_detail"] = say[1] * terms["face_detail"]
            if parts.critics:
                terms |= {name: say[0] * value for name, value in self._critics_terms(lesson, composed).items()}
        weights = {name: float(getattr(self.config.loss, name)) for name in terms}
        total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        return total, terms, composed

    def _parts(self, lesson: Lesson, listens: bool) -> tuple[_Parts, Float[Tensor, "2"]]:
        """What is judged, and 1 where the critics and the heads have a say.

        A recorded step judges everything, as it cannot look: what has no say counts nothing. (Without a face that is
        seen, the faces' loss is 0 anyway.)
        """
        compares = self.judges.perceptual is not None and self.config.loss.face_detail > 0
        inside = _overlap(lesson.faces.boxes.flatten(0, 1), lesson.images.shape[-1])
        listening = torch.full((), float(listens), device=self.device)
        say = torch.stack([listening, inside.to(listening)])
        if self._played.plays:
            return _Parts(self.config.loss.adversarial > 0, compares, self.judges.face is not None), say
        faces = self.judges.face is not None and bool(lesson.faces.seen.any())
        return _Parts(listens, compares and bool(inside), faces), say

    def _encoded(self, lesson: Lesson, person: int) -> SourceFeatures | None:
        """The sources' features, if they are not learned, too."""
        if not self.keeps_features or lesson.origin is None:
            return None
        key = (person, *lesson.origin)
        if key not in self._features:
            with torch.no_grad(), self._precision():
                self._features[key] = self.generator.encode(lesson.sources)
        return self._features[key]

    def _terms(
        self, lesson: Lesson, synthesis: Synthesis, composed: Float[Tensor, "T 3 H W"], parts: _Parts
    ) -> Iterator[tuple[str, Tensor]]:
        loss, truth = self.config.loss, lesson.images.flatten(0, 1)
        judged = lesson.mattes * lesson.judged
        yield "reconstruction", (composed - truth).abs().mean()
        yield "person", tone_l1(synthesis.image.float(), lesson.images, judged)
        if synthesis.invented is not None:
            yield "invented", tone_l1(synthesis.invented.float(), lesson.images, judged)
            textured = judged * (lesson.targets.texture_matte > 0.5)
            colours = (lesson.targets.texture, synthesis.invented, lesson.images)
            yield "copied", copy_loss(synthesis.copied, *colours, textured)
        matte = torch.lerp(lesson.mattes, synthesis.matte.float(), lesson.judged)
        yield "mask", matte_loss(matte, lesson.mattes)
        yield "outline", outline_loss(matte, lesson.mattes)
        yield "smooth_mask", total_variation(synthesis.matte)
        if self.judges.perceptual and loss.perceptual > 0:
            yield "perceptual", self.judges.perceptual(composed, truth).mean()
        if self.judges.perceptual and parts.heads:
            boxes = lesson.faces.boxes.flatten(0, 1)
            heads, true_heads = (crop_boxes(image, boxes, _HEAD, _HEAD) for image in (composed, truth))
            yield "face_detail", self.judges.perceptual(heads, true_heads).mean()
        if self.judges.face and parts.faces:
            faces = lesson.faces
            yield "face", self.judges.face(composed, truth, faces.landmarks.flatten(0, 1), faces.seen.flatten())

    def _critics_terms(self, lesson: Lesson, composed: Float[Tensor, "T 3 H W"]) -> dict[str, Tensor]:
        """What the discriminator says to the generator."""
        self.discriminators.requires_grad_(False)
        scores, found = self._scores(lesson, composed)
        terms = {"adversarial": generator_loss(scores, self.config.loss.adversarial_kind)}
        if self.config.loss.feature_matching > 0:
            with torch.no_grad():
                expected = self._scores(lesson, lesson.images.flatten(0, 1))[1]
            terms["feature_matching"] = feature_matching(expected, found)
        return terms

    def _scores(
        self, lesson: Lesson, images: Float[Tensor, "N 3 H W"]
    ) -> tuple[dict[str, Tensor], dict[str, list[Tensor]]]:
        sets = len(images) // lesson.images.shape[1]
        condition = lesson.targets.condition.flatten(0, 1).repeat(sets, 1, 1, 1)
        mattes = lesson.mattes.flatten(0, 1).repeat(sets, 1, 1, 1)
        boxes = lesson.faces.boxes.flatten(0, 1).repeat(sets, 1)
        return self.discriminators.judge(images, condition, mattes, boxes)

    def _critics_loss(self, lesson: Lesson, composed: Float[Tensor, "T 3 H W"]) -> Tensor:
        self.discriminators.requires_grad_(True)
        truth = lesson.images.flatten(0, 1)
        with self._precision():
            scores, _ = self._scores(lesson, torch.cat([truth, composed.to(truth.dtype)]))
            halves = {name: score.chunk(2) for name, score in scores.items()}
            real, fake = ({name: pair[side] for name, pair in halves.items()} for side in (0, 1))
            return discriminator_loss(real, fake, self.config.loss.adversarial_kind)

    def _update(self, name: str, parameters: Sequence[nn.Parameter], clip: float) -> None:
        nn.utils.clip_grad_norm_(parameters, clip)
        self.optimizers[name].step()

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")


def _overlap(boxes: Float[Tensor, "T 4"], size: int) -> Tensor:
    """Whether every box lies mostly in the picture."""
    inside = boxes.clamp(0, size)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    shown = (inside[:, 2] - inside[:, 0]) * (inside[:, 3] - inside[:, 1])
    return (shown > 0.7 * area).all()
