"""The losses of training and personalisation (paper Sec. 3.4)."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from liquidwarp.config import LossConfig
from liquidwarp.gan.crops import FACE_CHIP, align_faces
from liquidwarp.gan.features import EfficientNetFeatures, FaceIdentityNet, FeatureNet, HedFeatures, Vgg19Features
from liquidwarp.gan.inputs import SourceBatch, Synthesis, TargetBatch
from liquidwarp.geometry.warp import Flow, warp

__all__ = [
    "FaceIdentityLoss",
    "PerceptualDistance",
    "consistency_loss",
    "continued",
    "copy_loss",
    "discriminator_loss",
    "feature_matching",
    "generator_loss",
    "masked_l1",
    "matte_loss",
    "mean_l1",
    "outline_loss",
    "tone_l1",
    "total_variation",
]

_BEYOND = 6 / 256
"""How far the person's colours go on beyond the outline, as a share of the picture."""
_COPY_BONUS = 1.5
"""The warped texture is taken up to so many times the error of the network's own colours."""
_INNER = 0.9
"""Opacity of the person's inner part, whose colours go on."""


class PerceptualDistance(nn.Module):
    """L1 between the feature maps of frozen networks, each map's divided by its typical activation (L_perc).

    The paper takes VGG19; the default here is EfficientNet-Lite0 for what is shown and the edge network HED for fine
    detail, which may both be shipped.
    """

    def __init__(self, networks: list[FeatureNet]) -> None:
        super().__init__()
        self.networks = networks
        self.registered = nn.ModuleList(networks)  # so that .to() moves them

    @staticmethod
    def load(config: LossConfig) -> "PerceptualDistance":
        """The networks that the settings name."""
        if config.perceptual_features == "vgg19":
            return PerceptualDistance([Vgg19Features.from_torchvision(str(config.vgg19_file))])
        networks: list[FeatureNet] = [EfficientNetFeatures.load()]
        if config.perceptual_features == "efficientnet+hed":
            networks.append(HedFeatures.load())
        return PerceptualDistance(networks)

    def forward(self, image: Float[Tensor, "B 3 H W"], truth: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B"]:
        """The distance of each picture from its truth; RGB in [0, 1], no gradient for ``truth``."""
        return self.to_maps(image, self.maps(truth))

    def maps(self, truth: Float[Tensor, "B 3 H W"]) -> list[list[Tensor]]:
        """What each network sees in a true picture: to compare several pictures with one truth."""
        with torch.no_grad():
            return [_features(network, truth) for network in self.networks]

    def to_maps(self, image: Float[Tensor, "B 3 H W"], maps: list[list[Tensor]]) -> Float[Tensor, "B"]:
        """The distance of each picture from the truth that :meth:`maps` has seen."""
        distances = []
        for network, expected in zip(self.networks, maps, strict=True):
            distances += _distances(network, _features(network, image), expected)
        return torch.stack(distances).mean(0)


class FaceIdentityLoss(nn.Module):
    """L1 between face identity features of aligned chips (L_face), weighted by how large the face is in the picture."""

    def __init__(self, network: FeatureNet) -> None:
        super().__init__()
        self.network = network

    @staticmethod
    def load() -> "FaceIdentityLoss":
        """With dlib's network."""
        return FaceIdentityLoss(FaceIdentityNet.load())

    def forward(
        self,
        image: Float[Tensor, "B 3 H W"],
        truth: Float[Tensor, "B 3 H W"],
        landmarks: Float[Tensor, "B 5 2"],
        seen: Float[Tensor, "B"],
    ) -> Float[Tensor, ""]:
        """The mean over the faces that are seen; 0 if there is none.

        Args:
            image: RGB in [0, 1].
            truth: RGB in [0, 1]; no gradient.
            landmarks: See :func:`liquidwarp.gan.crops.align_faces`.
            seen: 1 where the face looks at the camera, 0 where it is turned away or hidden.
        """
        span = (landmarks[:, 0] - landmarks[:, 2]).norm(dim=1)
        weight = seen * (span / (FACE_CHIP / 4)).clamp(max=1)
        chips, true_chips = align_faces(image, landmarks), align_faces(truth, landmarks)
        distances = _map_distances(self.network, chips, true_chips)
        mean: Tensor = (torch.stack(distances).mean(0) * weight).sum() / weight.sum().clamp(min=1)
        return mean


def _map_distances(network: FeatureNet, image: Tensor, truth: Tensor) -> list[Float[Tensor, "B"]]:
    """L1 of each feature map per picture, over the map's typical activation."""
    with torch.no_grad():
        expected = _features(network, truth)
    return _distances(network, _features(network, image), expected)


def _distances(network: FeatureNet, found: list[Tensor], expected: list[Tensor]) -> list[Float[Tensor, "B"]]:
    return [mean_l1(a, b) / size for size, a, b in zip(network.typical, found, expected, strict=True)]


def _features(network: FeatureNet, image: Tensor) -> list[Tensor]:
    """Feature maps in the precision of the network's weights."""
    image = image.contiguous(memory_format=torch.channels_last)
    dtype = next(network.parameters()).dtype
    if dtype == torch.float32:
        return network(image)
    with torch.autocast(image.device.type, dtype=dtype):
        return network(image)


class _MeanL1(torch.autograd.Function):
    """Mean absolute difference per picture, without float32 copies of large maps."""

    @staticmethod
    def forward(ctx: Any, found: Tensor, expected: Tensor) -> Tensor:
        difference = found - expected
        ctx.save_for_backward(difference)
        with torch.autocast(difference.device.type, enabled=False):  # it would copy the map
            total = torch.linalg.vector_norm(difference, 1, (1, 2, 3), dtype=torch.float32)
        return total / difference[0].numel()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (difference,) = ctx.saved_tensors
        share = (gradient / difference[0].numel()).to(difference.dtype)
        return difference.sign().mul_(share[:, None, None, None]), None


def mean_l1(found: Float[Tensor, "B C H W"], expected: Float[Tensor, "B C H W"]) -> Float[Tensor, "B"]:
    """Mean absolute difference of each picture's maps in float32; the gradient is for ``found`` alone."""
    mean: Tensor = _MeanL1.apply(found, expected)  # type: ignore[no-untyped-call]
    return mean


def masked_l1(
    image: Float[Tensor, "*B 3 H W"], truth: Float[Tensor, "*B 3 H W"], mask: Float[Tensor, "*B 1 H W"]
) -> Float[Tensor, ""]:
    """Mean absolute difference inside of a mask."""
    return ((image - truth).abs() * mask).sum() / (3 * mask.sum()).clamp(min=1)


def tone_l1(
    image: Float[Tensor, "*B 3 H W"], truth: Float[Tensor, "*B 3 H W"], mask: Float[Tensor, "*B 1 H W"]
) -> Float[Tensor, ""]:
    """L1 inside of a mask between pictures reduced to about 64 px: the colours, but not where exactly detail lies.

    Pixel by pixel, L1 prefers a blurred collar to a sharp one that lies two pixels off; reduced pictures show both
    nearly alike.
    """
    window = max(1, image.shape[-1] // 64)
    share = F.avg_pool2d(mask.flatten(0, -4), window)
    small = (F.avg_pool2d((picture * mask).flatten(0, -4), window) for picture in (image, truth))
    found, expected = (picture / share.clamp(min=1e-3) for picture in small)
    return masked_l1(found, expected, share)


def continued(
    image: Float[Tensor, "*B 3 H W"], mask: Float[Tensor, "*B 1 H W"]
) -> tuple[Float[Tensor, "*B 3 H W"], Float[Tensor, "*B 1 H W"]]:
    """The person's colours going on a little beyond the outline, and the wider mask.

    What is drawn has another outline than the network's own, so colours count where the network sees no person, too;
    judged within the true outline alone they turn to garbage there.

    Args:
        image: RGB in [0, 1].
        mask: Opacity of the person in it.

    Returns:
        The picture, outside of the person's inner part the mean colour of what is inside nearby, and where it holds.
    """
    flat, opacity = image.flatten(0, -4), mask.flatten(0, -4)
    radius = max(1, round(_BEYOND * image.shape[-1]))
    inner = (opacity > _INNER).to(image.dtype)
    window = (2 * radius + 1, 1, radius)
    share = F.avg_pool2d(inner, *window)
    around = F.avg_pool2d(flat * inner, *window) / share.clamp(min=1e-4)
    colours = torch.where(inner > 0, flat, around)
    wide = torch.maximum(opacity, (share > 0).to(opacity.dtype))
    return colours.view(image.shape), wide.view(mask.shape)


def consistency_loss(synthesis: Synthesis, frames: SourceBatch, targets: TargetBatch) -> Float[Tensor, ""]:
    """What is made up in one frame shall be found again in the next: mean L1 where frames show what no photo does.

    Args:
        synthesis: The targets as they are drawn now; their colours alone get a gradient.
        frames: The frames before, drawn without a gradient.
        targets: Flows into the photos and, after them, into the frames.
    """
    count = frames.images.shape[1]
    into = targets.grid[:, :, -count:]
    shape = into.shape[:3]  # B T F
    pictures = torch.cat([frames.images, frames.mattes], 2)[:, None].expand(*shape, -1, -1, -1)
    valid = targets.valid[:, :, None].expand(*shape, -1, -1, -1)
    moved = torch.unflatten(warp(pictures.flatten(0, 2), Flow(into.flatten(0, 2), valid.flatten(0, 2))), 0, shape)
    unknown = 1 - targets.visible[:, :, :-count].amax(2, keepdim=True)
    both = moved[:, :, :, 3:] * synthesis.matte.detach()[:, :, None]
    weight = (targets.visible[:, :, -count:] * unknown)[:, :, :, None] * both
    return masked_l1(synthesis.image[:, :, None].expand(*shape, -1, -1, -1), moved[:, :, :, :3], weight)


def copy_loss(
    copied: Float[Tensor, "*B 1 H W"],
    texture: Float[Tensor, "*B 3 H W"],
    invented: Float[Tensor, "*B 3 H W"],
    truth: Float[Tensor, "*B 3 H W"],
    mask: Float[Tensor, "*B 1 H W"],
) -> Float[Tensor, ""]:
    """Cross-entropy that makes the gate take the warped texture where its colours are right, and else the network's.

    The composed picture alone does not teach this: a mean of two wrong colours has a smaller L1 than either, so the
    gate would stay near one half everywhere and show both, one over the other. Compared are means over a few pixels,
    and the texture may be wrong by a half more: it is sharp, and the errors of sharp detail count more in L1.

    Args:
        copied: Share of the warped texture; it alone gets a gradient.
        texture: The warped texture.
        invented: The network's own colours.
        truth: The true picture.
        mask: Where all of them are there.
    """
    with torch.no_grad():
        radius = round(mask.shape[-1] / 128)
        theirs, own = (_mean_error(colours, truth, mask, radius) for colours in (texture, invented))
        theirs, own = theirs.pow(4) + 1e-8, (_COPY_BONUS * own + 0.01).pow(4)
        wanted = own / (own + theirs)
    share = copied.float().clamp(1e-4, 1 - 1e-4)
    cross_entropy = -(wanted * share.log() + (1 - wanted) * (1 - share).log())
    return (cross_entropy * mask).sum() / mask.sum().clamp(min=1)


def _mean_error(
    image: Float[Tensor, "*B 3 H W"], truth: Float[Tensor, "*B 3 H W"], mask: Float[Tensor, "*B 1 H W"], radius: int
) -> Float[Tensor, "*B 1 H W"]:
    """Absolute difference of the mean colours around each pixel, within the mask."""
    values = torch.cat([(image - truth).float() * mask, mask], -3).flatten(0, -4)
    means = F.avg_pool2d(values, 2 * radius + 1, 1, radius, count_include_pad=False)
    error = (means[:, :3] / means[:, 3:].clamp(min=0.05)).abs().mean(1, keepdim=True)
    return error.view(mask.shape)


def matte_loss(matte: Float[Tensor, "*B 1 H W"], truth: Float[Tensor, "*B 1 H W"]) -> Float[Tensor, ""]:
    """Binary cross-entropy plus L1 of the opacity (L_mask; the L1 keeps soft edges soft)."""
    opacity = matte.float().clamp(1e-4, 1 - 1e-4)
    cross_entropy = -(truth * opacity.log() + (1 - truth) * (1 - opacity).log())
    return (cross_entropy + (matte - truth).abs()).mean()


def outline_loss(matte: Float[Tensor, "*B 1 H W"], truth: Float[Tensor, "*B 1 H W"]) -> Float[Tensor, ""]:
    """1 - intersection over union of soft silhouettes: a mean over the picture hardly notices an outline."""
    found, expected = matte.float().flatten(-3), truth.flatten(-3)
    common, together = torch.minimum(found, expected).sum(-1), torch.maximum(found, expected).sum(-1)
    return (1 - common / together.clamp(min=1)).mean()


def total_variation(matte: Float[Tensor, "*B 1 H W"]) -> Float[Tensor, ""]:
    """Mean absolute difference of neighbours (L_tv)."""
    return matte.diff(dim=-1).abs().mean() + matte.diff(dim=-2).abs().mean()


def generator_loss(scores: dict[str, Tensor], kind: Literal["lsgan", "hinge"]) -> Float[Tensor, ""]:
    """The adversarial loss of the generator, the mean over the critics (L_adv): fakes should score 1."""
    terms = [(s - 1).square().mean() if kind == "lsgan" else -s.mean() for s in scores.values()]
    return torch.stack(terms).mean()


def feature_matching(real: dict[str, list[Tensor]], fake: dict[str, list[Tensor]]) -> Float[Tensor, ""]:
    """L1 between what the discriminators see in the true and in the made picture (Wang et al. 2018, Sec. 3.3).

    Args:
        real: From :meth:`liquidwarp.gan.discriminator.Discriminators.judge`; no gradient.
        fake: The same of the made pictures.
    """
    terms = [(a.detach().float() - b.float()).abs().mean() for n in fake for a, b in zip(real[n], fake[n], strict=True)]
    return torch.stack(terms).mean()


def discriminator_loss(
    real: dict[str, Tensor], fake: dict[str, Tensor], kind: Literal["lsgan", "hinge"]
) -> Float[Tensor, ""]:
    """The loss of the discriminators, the mean over the critics: real 1, fake 0 (hinge: margins at 1 and -1)."""
    terms = []
    for name, score in real.items():
        other = fake[name]
        if kind == "lsgan":
            terms.append(((score - 1).square().mean() + other.square().mean()) / 2)
        else:
            terms.append((F.relu(1 - score).mean() + F.relu(1 + other).mean()) / 2)
    return torch.stack(terms).mean()
