"""Renders the next samples while the current one is learned from."""

import queue
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch import multiprocessing as mp

from liquidwarp.errors import LiquidWarpError
from liquidwarp.learn.datasets import TrainingData, TrainingSample

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

__all__ = ["Feed", "Places"]

_AHEAD = 2
"""Batches of people that may wait."""
_PATIENCE = 5.0
"""So often it is asked whether a process that gives nothing is still alive [s]."""


@dataclass(frozen=True)
class Places:
    """Which of the endless batches a feed reads."""

    reuse: int
    """Samples per batch."""
    start: int = 0
    """Step to begin at, counted in samples."""
    processes: int = 1
    """How many training processes share the batches."""
    process: int = 0
    """Which of them this is."""

    def batches(self, worker: int = 0, workers: int = 1) -> Iterator[int]:
        """Indices of the batches that one of several workers renders."""
        for batch in count(self.start // self.reuse + worker, workers):
            yield batch * self.processes + self.process


class Feed:
    """Samples in order from a given step on.

    On CUDA they are rendered in a thread with a stream of its own, or, as Python runs one thread at a time, in
    processes of their own, whose tensors are handed over within the GPU.

    Example:
        >>> from liquidwarp.learn.boxes import MovingBoxes
        >>> with Feed(lambda: MovingBoxes(1, 1, 1, 32), Places(reuse=1)) as feed:
        ...     next(feed).images.shape
        torch.Size([1, 1, 3, 32, 32])
    """

    def __init__(
        self,
        make_data: Callable[[], TrainingData],
        places: Places,
        device: torch.device | str = "cpu",
        workers: int = 0,
    ) -> None:
        """Nothing is rendered before the feed is entered.

        Args:
            make_data: Is called where the samples are rendered; must be picklable if there are ``workers``.
            places: Which batches.
            device: Where ``make_data`` renders.
            workers: Processes that render; 0: a thread on CUDA, on demand on a CPU.
        """
        self._make_data, self._places, self._device = make_data, places, torch.device(device)
        self._num_workers = workers
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._queue: queue.Queue[list[TrainingSample] | BaseException] = queue.Queue(_AHEAD)
        self._workers: list[BaseProcess] = []
        self._worker_queues: list[Any] = []
        self._source: Iterator[TrainingSample] = iter(())

    def __enter__(self) -> "Feed":
        if self._num_workers:
            self._start_workers()
            lists = self._from_workers()
        elif self._device.type == "cuda":
            self._thread = threading.Thread(target=self._render_in_thread, daemon=True)
            self._thread.start()
            lists = self._from_thread()
        else:
            data = self._make_data()
            lists = (list(data.samples(index)) for index in self._places.batches())
        self._source = self._flat(lists)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=30)
        for worker in self._workers:
            worker.terminate()
            worker.join(timeout=30)

    def __iter__(self) -> "Feed":
        return self

    def __next__(self) -> TrainingSample:
        return next(self._source)

    def _flat(self, lists: Iterator[list[TrainingSample]]) -> Iterator[TrainingSample]:
        skip = self._places.start % self._places.reuse
        for samples in lists:
            yield from samples[skip:]
            skip = 0

    def _from_thread(self) -> Iterator[list[TrainingSample]]:
        stream = torch.cuda.current_stream(self._device)
        while True:
            item = self._queue.get()
            if isinstance(item, BaseException):
                raise item
            for tensor in _tensors(item):
                tensor.record_stream(stream)
            yield item

    def _render_in_thread(self) -> None:
        """Fill the queue; an error is handed to the reader."""
        stream = torch.cuda.Stream(self._device)
        try:
            with torch.cuda.device(self._device), torch.cuda.stream(stream):
                data = self._make_data()
                for index in self._places.batches():
                    samples = list(data.samples(index))
                    stream.synchronize()
                    if not self._offer(samples):
                        return
        except BaseException as error:  # the training loop must hear of whatever it is
            self._offer(error)

    def _offer(self, item: list[TrainingSample] | BaseException) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def _start_workers(self) -> None:
        context = mp.get_context("spawn")
        for worker in range(self._num_workers):
            self._worker_queues.append(context.Queue(1))
            arguments = (self._make_data, self._places, worker, self._num_workers, self._worker_queues[-1])
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            self._workers.append(process)

    def _from_workers(self) -> Iterator[list[TrainingSample]]:
        for turn in count():
            number = turn % self._num_workers
            while True:
                try:
                    item = self._worker_queues[number].get(timeout=_PATIENCE)
                    break
                except queue.Empty:
                    if not self._workers[number].is_alive():
                        raise LiquidWarpError("a process that renders people died; see its message above.") from None
            if isinstance(item, str):
                raise LiquidWarpError(f"a process that renders people failed:\n{item}")
            yield item


def _work(make_data: Callable[[], TrainingData], places: Places, worker: int, workers: int, out: Any) -> None:
    """What a rendering process does until it is ended."""
    torch.set_num_threads(1)
    try:
        data = make_data()
        for index in places.batches(worker, workers):
            samples = list(data.samples(index))
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            out.put(samples)
    except Exception:
        out.put(traceback.format_exc())


def _tensors(value: object) -> Iterator[Tensor]:
    """All tensors in nested lists and dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _tensors(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
