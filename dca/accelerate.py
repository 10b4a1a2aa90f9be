"""All numba flags of the project in one decorator.

Kernels are compiled at first use and cached beside the source, or in the user's cache folder when
the source is read-only. ``fastmath`` is off unless a kernel asks for it: a kernel may ask where its
sums are plain reductions of finite numbers, whose order then depends on the vector width, so that
results agree to rounding and not to the bit across machines. Kernels never branch on NaN.
"""

from collections.abc import Callable
from typing import Any

import numba


def jit(function: Callable[..., Any] | None = None, *, parallel: bool = False, fastmath: bool = False) -> Any:
    """Compile a kernel; ``@jit``, ``@jit(parallel=True)`` or ``@jit(fastmath=True)``."""
    decorate = numba.njit(cache=True, nogil=True, parallel=parallel, fastmath=fastmath, error_model="numpy")
    return decorate if function is None else decorate(function)


def set_threads(threads: int) -> None:
    """Let numba use `threads` threads, at least one and no more than the machine has."""
    available = numba.core.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined] # set at import
    numba.set_num_threads(max(1, min(threads, available)))


prange = numba.prange


@jit
def folded(k: int, length: int) -> int:
    """Row 0, length - 1, 1, length - 2, ...: equal shares of a triangle for threads that take runs of k."""
    return k // 2 if k % 2 == 0 else length - 1 - k // 2
