"""All flags of numba in one decorator, and threads.

Kernels are compiled at first use and kept on this machine (`dca.loading`). ``fastmath`` is off unless a
kernel asks for it: a kernel may ask where its sums are plain reductions of finite numbers, whose order then
depends on the vector width, so that results agree to rounding and not to the bit across machines. Kernels
never branch on NaN, raise nothing, and use of numba's runtime only work space (``np.empty`` and its like).
With ``NUMBA_DISABLE_JIT`` they run as Python.

Threads are Python's: kernels let go of the interpreter lock, and take which part of their outer loop
to run. Numba's own parallel loops take seconds more to compile, and their threads spin against those of BLAS.
"""

import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from dca.loading import Kernel


def _available() -> int:
    """The cores that this process may use, or the number in NUMBA_NUM_THREADS."""
    named = os.environ.get("NUMBA_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_AVAILABLE = _available()
_PIECES = 4  # for each thread, so that the last one to end is not waited for long
_threads = _AVAILABLE
_interpreted = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


def jit(function: Callable[..., Any] | None = None, *, fastmath: bool = False) -> Any:
    """Compile a kernel; ``@jit`` or ``@jit(fastmath=True)``."""

    def decorate(kernel: Callable[..., Any]) -> Any:
        return kernel if _interpreted else Kernel(kernel, fastmath)

    return decorate if function is None else decorate(function)


def set_threads(threads: int) -> None:
    """Let kernels use `threads` threads, at least one and no more than the machine has."""
    global _threads
    _threads = max(1, min(threads, _AVAILABLE))


def get_threads() -> int:
    """How many threads kernels use."""
    return _threads


def in_parallel(kernel: Callable[..., None], count: int, *arguments: Any) -> None:
    """Run ``kernel(lo, hi, *arguments)`` for parts lo .. hi of 0 .. count, some at a time.

    Parameters
    ----------
    kernel : compiled function
        Its parts must not write to the same place, so that the number of threads changes no result.
    count : int
        Length of its outer loop.
    """
    threads = min(_threads, count)
    if threads <= 1:
        kernel(0, count, *arguments)
        return
    pieces = min(count, threads * _PIECES)
    from concurrent.futures import ThreadPoolExecutor  # here: one thread does without

    edges = [count * k // pieces for k in range(pieces + 1)]
    # A pool for each call: starting threads takes 0.1 ms, and a pool that is kept does not survive a fork
    with ThreadPoolExecutor(threads) as pool:
        for part in [pool.submit(kernel, lo, hi, *arguments) for lo, hi in pairwise(edges)]:
            part.result()


@jit
def folded(k: int, length: int) -> int:
    """Row 0, length - 1, 1, length - 2, ...: equal shares of a triangle for runs of k."""
    return k // 2 if k % 2 == 0 else length - 1 - k // 2
