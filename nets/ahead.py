"""Crops of the steps to come, read by threads while the network computes."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

DEPTH = 2  # steps that each thread is ahead


class Ahead:
    """What `load` gives for one step after the other, in order whatever the number of threads.

    Threads do for this: numpy lets go of the interpreter lock while it gathers crops and while the system
    reads the pages that they touch.

    Parameters
    ----------
    load : callable
        Step to its crops.
    first, last : int
        Steps ``first`` to ``last - 1`` are loaded.
    readers : int
        Number of threads.

    Attributes
    ----------
    waited : float
        Seconds that `take` had to wait.
    """

    def __init__(self, load: Callable[[int], Any], first: int, last: int, readers: int = 1):
        self.load, self.next, self.last = load, first, last
        self.pool = ThreadPoolExecutor(max_workers=readers, thread_name_prefix="reader")
        self.queue: deque[Future] = deque()
        self.depth = DEPTH * readers
        self.waited = 0.0

    def __enter__(self) -> "Ahead":
        self._fill()
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def _fill(self) -> None:
        while self.next < self.last and len(self.queue) < self.depth:
            self.queue.append(self.pool.submit(self.load, self.next))
            self.next += 1

    def take(self) -> Any:
        """Crops of the next step; waits where they are not there yet."""
        begun = time.perf_counter()
        crops = self.queue.popleft().result()
        self.waited += time.perf_counter() - begun
        self._fill()
        return crops
