"""What personalisation changes of a network, and how little of it must be kept.

A change is kept per convolution as a product of two thin matrices (its best approximation of some rank) in half
precision, or whole where that is smaller.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from liquidwarp.errors import WeightsCorruptError
from liquidwarp.gan.generator import LiquidWarpingGenerator

__all__ = ["Change", "changed_copy", "difference", "low_rank_factors", "merge_low_rank", "prepare_tuned"]

_DECODER = ("up_quarter", "up_half", "up_full", "heads")


class _LowRank(nn.Module):
    """Adds ``up @ down`` to a weight; nothing at first."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rest = weight[0].numel()
        rank = min(rank, weight.shape[0], rest)
        self.down = nn.Parameter(torch.randn(rank, rest) / rest**0.5)
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.up @ self.down).view_as(weight)


def prepare_tuned(generator: LiquidWarpingGenerator, tuned: str, rank: int) -> list[nn.Parameter]:
    """Freeze a network but for what shall be tuned.

    Args:
        generator: Is changed.
        tuned: See :class:`liquidwarp.personal_config.PersonalizeConfig`.
        rank: Of the additions of "low-rank".

    Returns:
        What an optimiser may change.
    """
    generator.requires_grad_(False)
    transfer = generator.transfer_net
    if tuned == "low-rank":
        for layer in transfer.modules():
            if isinstance(layer, nn.Conv2d):
                parametrize.register_parametrization(layer, "weight", _LowRank(layer.weight, rank).to(layer.weight))
                if layer.bias is not None:
                    layer.bias.requires_grad_(True)
    else:
        parts: list[nn.Module] = [transfer]
        if tuned == "decoder":
            parts = [getattr(transfer, name) for name in _DECODER]
        elif tuned == "all":
            parts = [transfer, generator.source_net.encoder, generator.source_net.blocks]
        for part in parts:
            part.requires_grad_(True)
    return [parameter for parameter in generator.parameters() if parameter.requires_grad]


@torch.no_grad()
def merge_low_rank(generator: LiquidWarpingGenerator) -> dict[str, Tensor]:
    """The state of a plain network, in which low-rank additions are part of the weights."""
    state = {name: tensor for name, tensor in generator.state_dict().items() if ".parametrizations." not in name}
    for name, layer in generator.named_modules():
        if parametrize.is_parametrized(layer):
            state[f"{name}.weight"] = layer.weight
    return {name: tensor.detach().clone() for name, tensor in state.items()}


@torch.no_grad()
def low_rank_factors(generator: LiquidWarpingGenerator) -> dict[str, tuple[Tensor, Tensor]]:
    """The two thin matrices whose product was added to each weight, by the weight's name in a plain network."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name, layer in generator.named_modules():
        if isinstance(layer, _LowRank):
            stem = name.replace(".parametrizations.weight.0", ".weight")
            found[stem] = (layer.up.detach().clone(), layer.down.detach().clone())
    return found


@dataclass(frozen=True)
class Change:
    """How a tuned network differs from the one it came from."""

    tensors: dict[str, Tensor]
    """Half precision. ``NAME``: the whole change of a weight; ``NAME/up`` and ``NAME/down``: its two factors."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())

    def scaled(self, share: float) -> "Change":
        """A share of this change: a network on the way from the pretrained one to the tuned one."""
        return Change({n: v if n.endswith("/down") else (v.float() * share).half() for n, v in self.tensors.items()})

    def dense(self) -> dict[str, Tensor]:
        """The change of each weight; factors stay apart from their shape, which the network knows."""
        whole = {name: tensor.float() for name, tensor in self.tensors.items() if "/" not in name}
        for name, up in self.tensors.items():
            if name.endswith("/up"):
                stem = name.removesuffix("/up")
                whole[stem] = up.float() @ self.tensors[f"{stem}/down"].float()
        return whole


def difference(
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    rank: int = 0,
    factors: Mapping[str, tuple[Tensor, Tensor]] | None = None,
) -> Change:
    """What was changed between two states of a network.

    Args:
        before: The pretrained weights.
        after: The tuned ones.
        rank: Keep each convolution's change as a product of this rank, if that is smaller; 0: whole.
        factors: From :func:`low_rank_factors`: weights whose changes are known to be such products need no search.
    """
    kept: dict[str, Tensor] = {}
    for name, old in before.items():
        change = (after[name] - old).detach().float().cpu()
        if not bool(change.any()):
            continue
        matrix = change.flatten(1) if change.dim() > 1 else change[None]
        if rank > 0 and rank * sum(matrix.shape) < 0.9 * matrix.numel():
            known = (factors or {}).get(name)
            left, size, right = (
                torch.linalg.svd(matrix, full_matrices=False)
                if known is None
                else _svd_of_product(*(factor.float().cpu() for factor in known))
            )
            root = size[:rank].sqrt()
            kept[f"{name}/up"] = (left[:, :rank] * root).half().contiguous()
            kept[f"{name}/down"] = (root[:, None] * right[:rank]).half().contiguous()
        else:
            kept[name] = change.half().contiguous()
    return Change(kept)


def _svd_of_product(
    up: Float[Tensor, "O R"], down: Float[Tensor, "R I"]
) -> tuple[Float[Tensor, "O K"], Float[Tensor, "K"], Float[Tensor, "K I"]]:
    """The singular values and vectors of ``up @ down`` by those of a small matrix."""
    left, of_left = torch.linalg.qr(up)
    right, of_right = torch.linalg.qr(down.T)
    turn, size, other = torch.linalg.svd(of_left @ of_right.T, full_matrices=False)
    return left @ turn, size, other @ right.T


def changed_copy(generator: LiquidWarpingGenerator, change: Change) -> LiquidWarpingGenerator:
    """A network with a change.

    Raises:
        WeightsCorruptError: the change is of another network.
    """
    tuned = copy.deepcopy(generator)
    state = tuned.state_dict()
    for name, values in change.dense().items():
        if name not in state or state[name].numel() != values.numel():
            raise WeightsCorruptError(
                f"personalisation: {name} does not fit the network. It was made with other weights: personalize again."
            )
        _add(state[name], values)
    return tuned


@torch.no_grad()
def _add(weight: Float[Tensor, "*shape"], values: Tensor) -> None:
    weight += values.view(weight.shape).to(weight)
