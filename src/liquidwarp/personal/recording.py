"""A step's kernels recorded once and played again: a step of a small network takes Python longer than it takes a GPU.

Recorded work must not look at values (no ``item``, no ``if tensor``) and must not copy from the CPU. What it leaves
behind besides its result, such as gradients, must lie in memory that stays where it is.
"""

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["Recordings", "tensors_of", "with_tensors"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


def tensors_of(value: object) -> list[Tensor]:
    """All tensors in nested dataclasses and tuples, in the order of their fields."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple):
        return [tensor for part in value for tensor in tensors_of(part)]
    if is_dataclass(value):
        return [tensor for field in fields(value) for tensor in tensors_of(getattr(value, field.name))]
    return []


def with_tensors(value: T, tensors: Sequence[Tensor]) -> T:
    """The same structure with other tensors, in the order of :func:`tensors_of`."""
    made: T = _filled(value, iter(tensors))
    return made


def _filled(value: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, tuple):
        return tuple(_filled(part, tensors) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _filled(getattr(value, field.name), tensors) for field in fields(value)})
    return value


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    given: list[Tensor]
    """Where the work reads what it is given."""
    result: Tensor


class Recordings:
    """Work on tensors of a few shapes, recorded as a CUDA graph for each.

    The first time of a kind it is done as usual, the second time it is recorded, from then on it is played. On other
    devices it is always done as usual.
    """

    def __init__(self, work: Callable[..., Tensor], device: torch.device) -> None:
        """Nothing is done yet.

        Args:
            work: Takes a value (tensors, tuples and dataclasses of them) and a kind; returns one tensor.
            device: Of all tensors; a CPU's work is never recorded.
        """
        self._work = work
        self.plays = device.type == "cuda"
        self._done: set[Hashable] = set()
        self._recorded: dict[Hashable, _Recording] = {}
        self._pool: Any = None

    def __call__(self, value: object, kind: Hashable) -> Tensor:
        """Do the work.

        Args:
            value: Its tensors are what may differ from the recorded ones; all else must be the same for a kind.
            kind: What the work does besides: given to it, too.

        Returns:
            The result, valid until the work is done again.
        """
        if not self.plays:
            return self._work(value, kind)
        tensors = tensors_of(value)
        key = (kind, *(tensor.shape for tensor in tensors))
        if key not in self._done:
            self._done.add(key)
            return self._work(value, kind)
        if key not in self._recorded:
            try:
                self._recorded[key] = self._record(value, tensors, kind)
            except RuntimeError as error:
                _log.warning("Steps cannot be recorded on this GPU, which makes them slower: %s", error)
                self.plays = False
                return self._work(value, kind)
        recording = self._recorded[key]
        torch._foreach_copy_(recording.given, tensors)
        recording.graph.replay()
        return recording.result

    def _record(self, value: object, tensors: Sequence[Tensor], kind: Hashable) -> _Recording:
        given = [torch.empty_like(tensor).copy_(tensor) for tensor in tensors]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):  # one pool: recordings are played one after another
            result = self._work(with_tensors(value, given), kind)
        self._pool = self._pool or graph.pool()
        return _Recording(graph, given, result)
