"""A personalisation that was stopped, on disk as safetensors: the same run goes on from its last exam."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from liquidwarp.errors import WeightsCorruptError
from liquidwarp.learn.checkpoint import load_adam
from liquidwarp.personal.tuner import Tuner
from liquidwarp.weights import load_tensors, save_tensors

__all__ = ["load_progress", "save_progress"]

_FORMAT = "liquidwarp-personalisation-progress-1"


def save_progress(path: Path, tuner: Tuner, best: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write everything that the next step depends on.

    Args:
        path: The file.
        tuner: Both networks and their optimisers.
        best: The best change so far.
        facts: Plain values.

    Raises:
        MediaError: the place cannot be written.
    """
    tensors: dict[str, Tensor] = {f"best:{name}": tensor for name, tensor in best.items()}
    for index, (parameter, averaged) in enumerate(zip(tuner.parameters, tuner.averaged, strict=True)):
        tensors |= {f"parameter:{index}": parameter, f"averaged:{index}": averaged}
    tensors |= {f"discriminators:{name}": tensor for name, tensor in tuner.discriminators.state_dict().items()}
    for name, optimizer in tuner.optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}.adam:{index}:{key}": value for key, value in state.items()}
    save_tensors(path, tensors, {"format": _FORMAT, "facts": json.dumps(dict(facts))})


def load_progress(path: Path, tuner: Tuner) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Continue where :func:`save_progress` was called.

    Returns:
        The best change so far, and the facts.

    Raises:
        WeightsCorruptError: damaged, or of other settings.
    """
    tensors, metadata = load_tensors(path, _FORMAT)
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(":")
        groups.setdefault(group, {})[rest] = tensor
    try:
        with torch.no_grad():
            for index, (parameter, averaged) in enumerate(zip(tuner.parameters, tuner.averaged, strict=True)):
                parameter.copy_(groups["parameter"][str(index)])
                averaged.copy_(groups["averaged"][str(index)])
        tuner.discriminators.load_state_dict(groups["discriminators"])
        for name, optimizer in tuner.optimizers.items():
            load_adam(optimizer, groups.get(f"{name}.adam", {}), separator=":")
        facts: dict[str, Any] = json.loads(metadata["facts"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise WeightsCorruptError(
            f"{path}: the progress of a personalisation with other settings ({error}). Delete the file."
        ) from error
    return groups.get("best", {}), facts
