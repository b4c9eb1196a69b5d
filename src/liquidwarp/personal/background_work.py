"""Work that goes on in threads of its own while something else is done: each piece is asked for when it is needed."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

__all__ = ["Later", "begin", "spare_threads"]

T = TypeVar("T")

_BEFORE_GPU = 8
"""More of them only wait for each other's Python."""


class _ThisThread(threading.local):
    prepares = False


_this_thread = _ThisThread()


class Later(Generic[T]):
    """A value that is being made, or will be made when it is first asked for."""

    def __init__(self, make: Callable[[], T]) -> None:
        """Nothing is done yet."""
        self._make = make
        self._future: Future[T] | None = None
        self._done: list[T] = []
        self._lock = threading.RLock()

    def get(self) -> T:
        """The value; waits for it, or makes it."""
        # A thread that waited here for its own pool's turn could wait for ever. Others must wait: they may use another
        # number of threads within, which would change sums.
        with self._lock:
            if self._future is None or (_this_thread.prepares and self._future.cancel()):
                return self._made()
        try:
            return self._future.result()
        except CancelledError:
            with self._lock:
                return self._made()

    def _made(self) -> T:
        if not self._done:
            self._done.append(self._make())
        return self._done[0]

    def begin(self, pool: ThreadPoolExecutor) -> None:
        """Make it in one of the pool's threads."""
        self._future = pool.submit(self._make)


def spare_threads(device: torch.device | str) -> int:
    """How many threads may prepare what is learned.

    Half of those that torch may use where the CPU learns, none on two cores: there a second thread slows the first one
    down by as much as it does. Where a GPU learns, some before it begins.
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
        value.begin(pool)
    started.wait()
    torch.set_num_threads(allowed)
    pool.shutdown(wait=False)
