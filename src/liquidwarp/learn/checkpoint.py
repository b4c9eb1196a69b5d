"""The state of a training run on disk, as safetensors: nothing is ever unpickled."""

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from liquidwarp.errors import WeightsCorruptError
from liquidwarp.learn.players import Players
from liquidwarp.weights import load_tensors, save_tensors

__all__ = ["Position", "load_adam", "load_checkpoint", "save_checkpoint"]

_FORMAT = "liquidwarp-training-1"


@dataclass(frozen=True)
class Position:
    """How far a run has come."""

    step: int = 0
    seconds: float = 0.0
    """Time spent on training [s]."""


def save_checkpoint(path: Path, players: Players, position: Position) -> None:
    """Write everything that the next step depends on.

    Raises:
        MediaError: the place cannot be written.
    """
    tensors = {f"averaged/{name}": tensor for name, tensor in players.averaged.items()}
    for part in ("generator", "discriminators"):
        network = getattr(players, part)
        tensors |= {f"{part}/{name}": tensor for name, tensor in network.state_dict().items()}
        for index, state in players.optimizers[part].state_dict()["state"].items():
            tensors |= {f"{part}.adam/{index}/{key}": value for key, value in state.items()}
    position_text = json.dumps({"step": position.step, "seconds": position.seconds})
    save_tensors(path, tensors, {"format": _FORMAT, "position": position_text})


def load_checkpoint(path: Path, players: Players) -> Position:
    """Continue where :func:`save_checkpoint` was called.

    Raises:
        WeightsNotFoundError: no such file.
        WeightsCorruptError: damaged, or of a run with other settings.
    """
    tensors, metadata = load_tensors(path, _FORMAT)
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = tensor
    try:
        for part in ("generator", "discriminators"):
            getattr(players, part).load_state_dict(groups[part])
            load_adam(players.optimizers[part], groups.get(f"{part}.adam", {}))
        for name, tensor in players.averaged.items():
            tensor.copy_(groups["averaged"][name])
        return Position(**json.loads(metadata["position"]))
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise WeightsCorruptError(
            f"{path}: the checkpoint belongs to a run with other settings ({_gist(error)}). "
            "Choose another output folder."
        ) from error


def _gist(error: Exception) -> str:
    """Torch lists every tensor that does not fit; the first one tells enough."""
    return textwrap.shorten(str(error) or type(error).__name__, 160, placeholder=" ...")


def load_adam(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], separator: str = "/") -> None:
    """Give an optimiser the moments that it had.

    Args:
        optimizer: Of the same parameters as then.
        tensors: Number of the parameter, ``separator``, name of the moment: "0/exp_avg".
        separator: See there.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(separator)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, moments in optimizer.state.items():
        for key, value in moments.items():
            if value.shape == parameter.shape:  # fused Adam wants the parameter's own strides (channels last)
                moments[key] = torch.empty_like(parameter).copy_(value)
