"""Renders the next samples while the current one is learned from."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import torch
from torch import Tensor

from liquidwarp.learn.datasets import TrainingData, TrainingSample

__all__ = ["Feed"]

_AHEAD = 2


class Feed:
    """Samples in order from a given step on; in a thread and CUDA stream of its own where that helps.

    Example:
        >>> from liquidwarp.learn.boxes import MovingBoxes
        >>> with Feed(MovingBoxes(1, 1, 1, 32), torch.device("cpu"), reuse=1) as feed:
        ...     next(feed).images.shape
        torch.Size([1, 1, 3, 32, 32])
    """

    def __init__(
        self,
        data: TrainingData,
        device: torch.device,
        reuse: int,
        start: int = 0,
        processes: int = 1,
        process: int = 0,
        threaded: bool = True,
    ) -> None:
        """Read from step ``start``; each of several processes takes batches of its own."""
        self._data, self._device, self._reuse = data, device, reuse
        self._start, self._processes, self._process = start, processes, process
        self._threaded = threaded and device.type == "cuda"
        self._queue: queue.Queue[TrainingSample | BaseException] = queue.Queue(_AHEAD * reuse)
        self._stopped = threading.Event()
        self._source = self._samples()
        self._thread = threading.Thread(target=self._produce, daemon=True)

    def __enter__(self) -> "Feed":
        if self._threaded:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._threaded:
            self._thread.join(timeout=30)

    def __iter__(self) -> "Feed":
        return self

    def __next__(self) -> TrainingSample:
        if not self._threaded:
            return next(self._source)
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        stream = torch.cuda.current_stream(self._device)
        for tensor in _tensors(item):
            tensor.record_stream(stream)
        return item

    def _samples(self) -> Iterator[TrainingSample]:
        step = self._start
        while True:
            batch, skip = divmod(step, self._reuse)
            samples = self._data.samples(batch * self._processes + self._process)
            yield from samples[skip:]
            step += len(samples) - skip

    def _produce(self) -> None:
        """Fill the queue; an error is handed to the reader."""
        stream = torch.cuda.Stream(self._device)
        try:
            with torch.cuda.device(self._device), torch.cuda.stream(stream):
                for sample in self._source:
                    stream.synchronize()
                    if not self._offer(sample):
                        return
        except BaseException as error:  # the training loop must hear of whatever it is
            self._offer(error)

    def _offer(self, item: TrainingSample | BaseException) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False


def _tensors(value: object) -> Iterator[Tensor]:
    """All tensors in nested dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
