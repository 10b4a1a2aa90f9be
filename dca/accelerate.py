"""All flags of numba in one decorator, and threads.

Kernels are compiled at first use and kept on this machine (`dca.loading`). ``fastmath`` is off unless a
kernel asks for it: a kernel may ask where its sums are plain reductions of finite numbers, whose order then
depends on the vector width, so that results agree to rounding and not to the bit across machines. Kernels
never branch on NaN, raise nothing, and use of numba's runtime only work space (``np.empty`` and its like).
With ``NUMBA_DISABLE_JIT`` they run as Python.

Threads are Python's: kernels let go of the interpreter lock, and take which part of their outer loop
to run. Numba's own parallel loops take seconds more to compile, and their threads spin against those of BLAS.
"""

import _thread
import functools
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


class _Helper:
    """A thread that waits for work: to start one for each kernel takes as long as a short kernel."""

    def __init__(self) -> None:
        self._work: Callable[[], None] | None = None
        self._error: BaseException | None = None
        self._wanted, self._done = _thread.allocate_lock(), _thread.allocate_lock()
        self._wanted.acquire()
        self._done.acquire()
        _thread.start_new_thread(self._serve, ())

    def _serve(self) -> None:
        while self._wanted.acquire():
            try:
                if self._work is not None:
                    self._work()
            except BaseException as error:  # raised again where the work was asked for
                self._error = error
            self._work = None
            self._done.release()

    def start(self, work: Callable[[], None]) -> None:
        """Begin, and return at once."""
        self._work = work
        self._wanted.release()

    def wait(self) -> BaseException | None:
        """Return when the work is done, and what it raised."""
        self._done.acquire()
        error, self._error = self._error, None
        _idle.append(self)
        return error


_idle: list[_Helper] = []


def _helper() -> _Helper:
    """One that has nothing to do, a new one where all are at work: callers may be threads themselves."""
    try:
        return _idle.pop()
    except IndexError:
        return _Helper()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a child has none of its parent's threads


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
    if isinstance(kernel, Kernel):
        run = kernel.of_part(*arguments)
    else:
        run = functools.partial(_swapped, kernel, arguments)
    pieces = min(count, threads * _PIECES)
    parts = iter(list(pairwise([count * k // pieces for k in range(pieces + 1)])))

    def work() -> None:
        for lo, hi in parts:  # of all threads: each takes the next part when it has done its last
            run(lo, hi)

    helpers = [_helper() for _ in range(threads - 1)]
    for helper in helpers:
        helper.start(work)
    try:
        work()
    finally:  # they write to the caller's arrays
        errors = [helper.wait() for helper in helpers]
    for error in errors:
        if error is not None:
            raise error


def beside(function: Callable[[], Any]) -> Callable[[], Any]:
    """Begin to call a function, on a thread of its own where there may be two; what is returned waits for it.

    Returns
    -------
    callable
        Gives the function's value, or raises what it raised.
    """
    if _threads <= 1:
        value = function()
        return lambda: value
    values: list[Any] = []
    helper = _helper()
    helper.start(lambda: values.append(function()))

    @functools.cache
    def result() -> Any:
        error = helper.wait()
        if error is not None:
            raise error
        return values[0]

    return result


def _swapped(kernel: Callable[..., None], arguments: tuple[Any, ...], lo: int, hi: int) -> None:
    kernel(lo, hi, *arguments)


@jit
def folded(k: int, length: int) -> int:
    """Row 0, length - 1, 1, length - 2, ...: equal shares of a triangle for runs of k."""
    return k // 2 if k % 2 == 0 else length - 1 - k // 2
