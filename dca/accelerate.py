"""All numba flags of the project in one decorator, and threads.

Kernels are compiled at first use and kept on this machine (`dca.kernel_cache`). ``fastmath`` is off unless a
kernel asks for it: a kernel may ask where its sums are plain reductions of finite numbers, whose order then
depends on the vector width, so that results agree to rounding and not to the bit across machines. Kernels
never branch on NaN.

Threads are Python's: kernels let go of the interpreter lock, and take which part of their outer loop
to run. Numba's own parallel loops take seconds more to compile, and their threads spin against those of BLAS.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numba

from dca.kernel_cache import kept

# At import: the cores that this process may use, or fewer by NUMBA_NUM_THREADS
_AVAILABLE: int = numba.core.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
_PIECES = 4  # for each thread, so that the last one to end is not waited for long
_threads = _AVAILABLE


def jit(function: Callable[..., Any] | None = None, *, fastmath: bool = False) -> Any:
    """Compile a kernel; ``@jit`` or ``@jit(fastmath=True)``."""
    # Wrappers for callers in C, of whom there are none, take a sixth of the time to compile
    unused: dict[str, Any] = {"no_cfunc_wrapper": True}  # not in the annotations of njit
    compiled = numba.njit(nogil=True, fastmath=fastmath, error_model="numpy", **unused)

    def decorate(kernel: Callable[..., Any]) -> Any:
        return kept(compiled(kernel))

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
    edges = [count * k // pieces for k in range(pieces + 1)]
    # A pool for each call: starting threads takes 0.1 ms, and a pool that is kept does not survive a fork
    with ThreadPoolExecutor(threads) as pool:
        for part in [pool.submit(kernel, lo, hi, *arguments) for lo, hi in pairwise(edges)]:
            part.result()


@jit
def folded(k: int, length: int) -> int:
    """Row 0, length - 1, 1, length - 2, ...: equal shares of a triangle for runs of k."""
    return k // 2 if k % 2 == 0 else length - 1 - k // 2
