"""Several GPUs: every process trains on people of its own and the gradients are averaged.

Start with ``torchrun --nproc-per-node 2 -m liquidwarp.learn.train ...``. One process needs nothing of this.
"""

import os
from collections.abc import Iterable

import torch
from torch import Tensor
from torch import distributed as dist

from liquidwarp.errors import SettingError

__all__ = ["average_gradients", "finish", "from_first", "join", "rank", "world_size"]


def join(device: str) -> torch.device:
    """The device of this process; joins the others if ``torchrun`` started it.

    Args:
        device: "auto", "cpu" or "cuda".

    Raises:
        SettingError: another device, or one that is not there.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise SettingError(f'train.device: expected auto, cpu or cuda, got "{device}".')
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingError("train.device: cuda is not available here; take cpu, or install torch with CUDA.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    if device != "cuda":
        return torch.device(device)
    chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(chosen)
    return chosen


def finish() -> None:
    """Leave the group of processes, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process; 0 writes the files."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def from_first(value: float, device: torch.device) -> float:
    """The first process's value, so that all decide alike when to stop."""
    if world_size() == 1:
        return value
    message = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(message, 0)
    return float(message)


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its mean over the processes, in one message."""
    if world_size() == 1:
        return
    parameters = [p for p in parameters if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    message = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(message)
    message /= world_size()
    for parameter, part in zip(parameters, torch.split(message, [p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter).clone()
