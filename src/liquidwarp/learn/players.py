"""Generator and discriminators with their optimisers: one training step (paper Sec. 3.4)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from liquidwarp.config import DiscriminatorConfig, GeneratorConfig, LossConfig
from liquidwarp.gan.crops import crop_boxes
from liquidwarp.gan.discriminator import Discriminators
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.gan.inputs import Reconstruction, SourceBatch, Synthesis
from liquidwarp.gan.losses import (
    FaceIdentityLoss,
    PerceptualDistance,
    consistency_loss,
    continued,
    copy_loss,
    discriminator_loss,
    feature_matching,
    generator_loss,
    masked_l1,
    matte_loss,
    outline_loss,
    tone_l1,
    total_variation,
)
from liquidwarp.learn.datasets import TrainingSample
from liquidwarp.learn.distributed import average_gradients

__all__ = ["Judges", "Pace", "Players"]

_ADVERSARIAL_RAMP = 0.08
"""Share of the run over which the discriminators gain their weight."""
_CRITICS = ("adversarial", "feature_matching")
"""Losses that begin with the discriminators."""
_BACKGROUND_EVERY = 4
"""Steps per lesson of the background network, which is small and learns an easier task."""
_DECAY_FROM = 0.7
"""Share of the run after which the learning rate falls."""
_HEAD_SIZE = 128
"""Side of the enlarged heads that are compared [px]."""
_HOLE_MARGIN = 9 / 256
"""How much wider than the person a hole is, both sides together, as a share of the picture."""


@dataclass(frozen=True)
class Pace:
    """Where in the run a step is."""

    step: int
    progress: float
    """Share of the run that is over [0, 1]."""
    learning_rate: float
    warmup_steps: int
    adversarial_start: float
    clip_norm: float
    ema_decay: float

    def current_rate(self) -> float:
        """Linear warm-up, then constant, then half a cosine down to a fiftieth over the last 30 %."""
        warm = min(1.0, (self.step + 1) / max(self.warmup_steps, 1))
        late = min(max(self.progress - _DECAY_FROM, 0.0) / (1 - _DECAY_FROM), 1.0)
        return self.learning_rate * warm * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * late)))

    def adversarial_share(self) -> float:
        """0 before the discriminators begin, then rising to 1."""
        if self.progress < self.adversarial_start:
            return 0.0
        return min(1.0, 0.02 + (self.progress - self.adversarial_start) / _ADVERSARIAL_RAMP)


class Judges:
    """The frozen networks behind the losses that are switched on."""

    def __init__(self, config: LossConfig, device: torch.device, mixed_precision: bool = False) -> None:
        self.config = config
        wanted = config.perceptual > 0 or config.face_detail > 0
        self.perceptual = PerceptualDistance.load(config) if wanted else None
        self.face = FaceIdentityLoss.load() if config.face > 0 else None
        for network in (self.perceptual, self.face):
            if network is not None:
                _pack(network, device)
                if mixed_precision and device.type == "cuda":  # autocast would cast frozen weights at every call
                    for parameter in network.parameters():
                        parameter.data = parameter.data.bfloat16()


class Players:
    """Generator, averaged generator, discriminators, and how they learn."""

    def __init__(
        self,
        generator: GeneratorConfig,
        discriminator: DiscriminatorConfig,
        judges: Judges,
        device: torch.device,
        mixed_precision: bool = True,
    ) -> None:
        self.device = device
        self.judges = judges
        self.loss = judges.config
        self.mixed_precision = mixed_precision and device.type == "cuda"
        self.generator = LiquidWarpingGenerator(generator)
        self.discriminators = Discriminators(discriminator)
        for network in (self.generator, self.discriminators):
            _pack(network, device)
        fused = device.type == "cuda"
        self.optimizers = {
            "generator": torch.optim.Adam(self.generator.parameters(), betas=(0.9, 0.99), fused=fused),
            "discriminators": torch.optim.Adam(self.discriminators.parameters(), betas=(0.5, 0.99), fused=fused),
        }
        state = self.generator.state_dict()
        self.averaged = {name: tensor.detach().clone() for name, tensor in state.items()}
        self._current = list(state.values())  # of the same memory as the generator's own

    def step(self, sample: TrainingSample, pace: Pace) -> dict[str, Tensor]:
        """Let both players learn from one sample.

        Args:
            sample: On the players' device.
            pace: Where in the run this is.

        Returns:
            Each loss without its weight, on the device (reading them waits for the GPU).
        """
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = pace.current_rate()
        share = pace.adversarial_share()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.mixed_precision):
            before = self._frames_before(sample)
            synthesis, reconstruction = self.generator(sample.sources, sample.targets, before)
            composed = synthesis.over(sample.backgrounds).flatten(0, 1)
            terms = dict(self._judge(sample, synthesis, composed))
            terms["source"] = self._source_term(sample, reconstruction)
            if before is not None and self.loss.consistency > 0:
                terms["consistency"] = consistency_loss(synthesis, before, sample.targets)
            if self.loss.background > 0 and pace.step % _BACKGROUND_EVERY == 0:
                terms["background"] = self._background_term(sample, pace.step)
            if share > 0 and self.loss.adversarial > 0:
                terms |= self._critics_terms(sample, composed)
        weights = {name: getattr(self.loss, name) * (share if name in _CRITICS else 1) for name in terms}
        total = torch.stack([value * weights[name] for name, value in terms.items()]).sum()
        self._update("generator", self.generator, total, pace.clip_norm)
        if "adversarial" in terms:
            terms["discriminator"] = self._teach_discriminators(sample, composed.detach(), pace)
        self._average(min(pace.ema_decay, (1 + pace.step) / (10 + pace.step)))
        return {"total": total.detach()} | {name: value.detach() for name, value in terms.items()}

    @torch.no_grad()
    def _frames_before(self, sample: TrainingSample) -> SourceBatch | None:
        """The targets as the generator draws them from the sources alone, if they are each other's frames before."""
        if sample.frames is None:
            return None
        features = self.generator.encode(sample.sources)
        drawn = self.generator.transfer(features, sample.targets.of_first(sample.sources.images.shape[1]))
        return SourceBatch(drawn.image.clamp(0, 1), drawn.matte, sample.frames)

    def _critics_terms(self, sample: TrainingSample, composed: Float[Tensor, "N 3 H W"]) -> dict[str, Tensor]:
        """What the discriminators say to the generator."""
        self.discriminators.requires_grad_(False)
        scores, found = self._scores(sample, composed)
        terms = {"adversarial": generator_loss(scores, self.loss.adversarial_kind)}
        if self.loss.feature_matching > 0:
            with torch.no_grad():
                expected = self._scores(sample, sample.images.flatten(0, 1))[1]
            terms["feature_matching"] = feature_matching(expected, found)
        return terms

    def _judge(
        self, sample: TrainingSample, synthesis: Synthesis, composed: Float[Tensor, "N 3 H W"]
    ) -> Iterator[tuple[str, Tensor]]:
        """Everything that compares the synthesis with the truth."""
        truth = sample.images.flatten(0, 1)
        yield "reconstruction", (composed - truth).abs().mean()
        colours, around = continued(sample.images, sample.mattes)
        yield "person", tone_l1(synthesis.image, colours, around)
        if synthesis.invented is not None:
            yield "invented", tone_l1(synthesis.invented, colours, around)
            yield "copied", self._judge_choice(sample, synthesis, synthesis.invented)
        yield "mask", matte_loss(synthesis.matte, sample.mattes)
        yield "outline", outline_loss(synthesis.matte, sample.mattes)
        yield "smooth_mask", total_variation(synthesis.matte)
        if self.judges.perceptual and self.loss.perceptual > 0:
            yield "perceptual", self.judges.perceptual(composed, truth).mean()
        if self.judges.perceptual and self.loss.face_detail > 0:
            boxes = sample.faces.boxes.flatten(0, 1)
            heads, true_heads = (crop_boxes(image, boxes, _HEAD_SIZE, _HEAD_SIZE) for image in (composed, truth))
            yield "face_detail", self.judges.perceptual(heads, true_heads).mean()
        if self.judges.face:
            faces = sample.faces
            yield "face", self.judges.face(composed, truth, faces.landmarks.flatten(0, 1), faces.seen.flatten())

    def _judge_choice(self, sample: TrainingSample, synthesis: Synthesis, invented: Tensor) -> Tensor:
        """When the network takes the warped texture instead of its own colour."""
        textured = sample.mattes * (sample.targets.texture_matte > 0.5)
        return copy_loss(synthesis.copied, sample.targets.texture, invented, sample.images, textured)

    def _source_term(self, sample: TrainingSample, reconstruction: Reconstruction) -> Tensor:
        """G_SID is a denoising auto-encoder: it shall return the true matte although it was given a worse one."""
        colour = masked_l1(reconstruction.image, sample.sources.images, sample.source_mattes)
        return colour + 0.5 * F.binary_cross_entropy_with_logits(reconstruction.matte_logits, sample.source_mattes)

    def _background_term(self, sample: TrainingSample, step: int) -> Tensor:
        """Holes of the shape of a person; every other one stands elsewhere than the person who made it."""
        image = sample.backgrounds[:, 0]
        margin = round(_HOLE_MARGIN * image.shape[-1]) // 2
        hole = (F.max_pool2d(sample.mattes[:, 0], 2 * margin + 1, 1, margin) > 0.05).to(image.dtype)
        if step // _BACKGROUND_EVERY % 2:
            hole = torch.roll(hole, (step * 37) % image.shape[-1], -1)
        completed = self.generator.complete_background(image, hole)
        term = masked_l1(completed, image, hole)
        if self.judges.perceptual and self.loss.perceptual > 0:
            term = term + 0.1 * self.judges.perceptual(completed, image).mean()
        return term

    def _scores(
        self, sample: TrainingSample, image: Float[Tensor, "N 3 H W"]
    ) -> tuple[dict[str, Tensor], dict[str, list[Tensor]]]:
        """Scores and features of one picture per target, or of several sets of them one after the other."""
        sets = len(image) // (sample.mattes.shape[0] * sample.mattes.shape[1])
        condition = sample.targets.condition.flatten(0, 1).repeat(sets, 1, 1, 1)
        mattes = sample.mattes.flatten(0, 1).repeat(sets, 1, 1, 1)
        boxes = sample.faces.boxes.flatten(0, 1).repeat(sets, 1)
        return self.discriminators.judge(image, condition, mattes, boxes)

    def _scores_of_both(
        self, sample: TrainingSample, composed: Float[Tensor, "N 3 H W"]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Scores of the true and of the composed pictures, in one pass."""
        truth = sample.images.flatten(0, 1)
        scores, _ = self._scores(sample, torch.cat([truth, composed.to(truth.dtype)]))
        halves = {name: score.chunk(2) for name, score in scores.items()}
        return {name: real for name, (real, _) in halves.items()}, {name: fake for name, (_, fake) in halves.items()}

    def _teach_discriminators(self, sample: TrainingSample, composed: Tensor, pace: Pace) -> Tensor:
        self.discriminators.requires_grad_(True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.mixed_precision):
            real, fake = self._scores_of_both(sample, composed)
            loss = discriminator_loss(real, fake, self.loss.adversarial_kind)
        self._update("discriminators", self.discriminators, loss, 5 * pace.clip_norm)
        return loss

    def _update(self, name: str, network: nn.Module, loss: Tensor, clip_norm: float) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(network.parameters())
        nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
        optimizer.step()

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        torch._foreach_lerp_(list(self.averaged.values()), self._current, 1 - decay)


def _pack(network: nn.Module, device: torch.device) -> None:
    """Move a network, in the memory layout in which convolutions are fastest."""
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
