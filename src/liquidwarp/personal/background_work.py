"""Work that goes on beside something else, in threads or processes: each piece is asked for when it is needed.

Where a CPU learns, threads prepare: they share its cores anyway. Where a GPU learns, the learner mostly runs Python,
and so does the work, so that threads would only wait for each other: there processes do, if the system can fork.
"""

import io
import logging
import multiprocessing
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

import cv2
import torch

__all__ = ["Later", "begin", "begin_in_processes", "can_fork", "spare_threads"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

_BEFORE_GPU = 8
"""Threads or processes that prepare for a GPU."""


class _ThisThread(threading.local):
    prepares = False


_this_thread = _ThisThread()


class Later(Generic[T]):
    """A value that is being made, or will be made when it is first asked for."""

    def __init__(self, make: Callable[[], T], arrive: Callable[[T], T] | None = None) -> None:
        """Nothing is done yet.

        Args:
            make: Makes it, perhaps in another thread or process.
            arrive: What is done to it where it is first asked for: it is moved to a GPU, for example. Other processes
                do not do it.
        """
        self.make = make
        self._arrive = arrive or (lambda value: value)
        self._future: Future[Any] | None = None
        self._read: Callable[[Any], T] = lambda value: value
        self._done: list[T] = []
        self._lock = threading.RLock()

    def get(self) -> T:
        """The value; waits for it, or makes it."""
        # A thread that waited here for its own pool's turn could wait for ever. Others must wait: they may use another
        # number of threads within, which would change sums.
        with self._lock:
            if self._future is None or _forked or (_this_thread.prepares and self._future.cancel()):
                return self._kept(self.make)
        read, future = self._read, self._future
        try:
            found = future.result()
        except CancelledError:
            make = self.make
        except BrokenProcessPool as error:
            _log.warning("A process that prepared lessons ended (%s); they are prepared here.", error)
            make = self.make
        else:

            def make() -> T:
                return read(found)

        with self._lock:
            return self._kept(make)

    def _kept(self, make: Callable[[], T]) -> T:
        if not self._done:
            made = make()
            self._done.append(made if _forked else self._arrive(made))
        return self._done[0]

    def begin(self, future: "Future[Any]", read: Callable[[Any], T] | None = None) -> None:
        """It is being made.

        Args:
            future: What comes.
            read: Makes the value of it; None: it is the value.
        """
        self._future, self._read = future, read or self._read


def spare_threads(device: torch.device | str) -> int:
    """How many threads, or processes for a GPU, may prepare what is learned.

    Half of those that torch may use where the CPU learns, none on two cores: there a second thread slows the first one
    down by as much as it does.
    """
    allowed = torch.get_num_threads()
    if torch.device(device).type != "cpu":
        return min(_BEFORE_GPU, allowed) if allowed > 1 else 0
    return allowed // 2 if allowed > 2 else 0


def begin(values: Sequence[Later[T]], threads: int) -> None:
    """Make values in threads of their own, in this order; a value may ask for others.

    Args:
        values: What to make.
        threads: How many; 0: each value is made by whoever first asks for it.
    """
    threads = min(threads, len(values))
    if threads < 1:
        return
    allowed, started = torch.get_num_threads(), threading.Barrier(threads + 1)

    def alone() -> None:
        _this_thread.prepares = True
        torch.get_num_threads()  # torch looks up a thread's number when it is first used, and would undo the next line
        torch.set_num_threads(1)  # of this thread, but also of all that will be started
        started.wait()

    pool = ThreadPoolExecutor(threads, "lessons", alone)
    for value in values:
        value.begin(pool.submit(value.make))
    started.wait()
    torch.set_num_threads(allowed)
    pool.shutdown(wait=False)


def can_fork() -> bool:
    """Whether processes can begin with what this one has in memory."""
    return sys.platform == "linux" and "fork" in multiprocessing.get_all_start_methods()


_forked = False
"""Whether this is a process that makes values for another one."""
_table: list[Callable[[], object]] = []
"""What forked processes make; they know it by its number, as it cannot be sent."""


def begin_in_processes(values: Sequence[Later[T]], processes: int, shared: Sequence[object] = ()) -> None:
    """Make values in processes, in this order; a value that asks for others makes them for itself.

    Args:
        values: What to make, on the CPU: a forked process cannot use CUDA.
        processes: How many, each with one thread.
        shared: Objects, such as the body model, that all values refer to: they are not sent back.
    """
    _table[:] = [value.make for value in values]
    threads_of_cv2 = cv2.getNumThreads()
    cv2.setNumThreads(1)  # its threads would not be there after the fork, and be waited for
    pool = ProcessPoolExecutor(
        min(processes, len(values)), multiprocessing.get_context("fork"), _in_own_process, (tuple(shared),)
    )
    for number, value in enumerate(values):
        value.begin(pool.submit(_packed, number), lambda packed: _Unpickler(io.BytesIO(packed), shared).load())
    pool.shutdown(wait=False)
    _table.clear()
    cv2.setNumThreads(threads_of_cv2)


_shared: tuple[object, ...] = ()


def _in_own_process(shared: tuple[object, ...]) -> None:
    global _forked, _shared
    _forked, _shared = True, shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the learner's
    torch.set_num_threads(1)


def _packed(number: int) -> bytes:
    """As bytes: torch would send tensors through shared memory, of which containers have little."""
    file = io.BytesIO()
    _Pickler(file, _shared).dump(_table[number]())
    return file.getvalue()


class _Pickler(pickle.Pickler):
    """Refers to shared objects by their numbers."""

    def __init__(self, file: io.BytesIO, shared: Sequence[object]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._number = {id(each): number for number, each in enumerate(shared)}

    def persistent_id(self, obj: object) -> int | None:
        return self._number.get(id(obj))


class _Unpickler(pickle.Unpickler):
    """Of what this program's own processes packed."""

    def __init__(self, file: io.BytesIO, shared: Sequence[object]) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, pid: int) -> object:
        return self._shared[pid]
