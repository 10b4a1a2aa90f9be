"""All flags of numba in one decorator, and threads.

Kernels are compiled at first use and kept on this machine (`dca.loading`). ``fastmath`` is off unless a
kernel asks for it: a kernel may ask where its sums are plain reductions of finite numbers, whose order then
depends on the vector width, so that results agree to rounding and not to the bit across machines. Kernels
never branch on NaN, raise nothing, and use of numba's runtime only work space (`dca.space`).
With ``NUMBA_DISABLE_JIT`` they run as Python.

Threads are Python's: kernels let go of the interpreter lock, and take which part of their outer loop
to run. Numba's own parallel loops take seconds more to compile, and their threads spin against those of BLAS.
"""

import _thread
import contextlib
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
_FINEST = 16  # the smallest part is one in so many of a thread's share, and at least one
_threads = _AVAILABLE
_interpreted = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


def jit(function: Callable[..., Any] | None = None, *, fastmath: bool = False) -> Any:
    """Compile a kernel; ``@jit`` or ``@jit(fastmath=True)``."""

    def decorate(kernel: Callable[..., Any]) -> Any:
        return kernel if _interpreted else Kernel(kernel, fastmath)

    return decorate if function is None else decorate(function)


def compiles() -> bool:
    """Whether kernels are compiled, and not run as Python."""
    return not _interpreted


def set_threads(threads: int) -> None:
    """Let kernels use `threads` threads, at least one and no more than the machine has."""
    global _threads
    _threads = max(1, min(threads, _AVAILABLE))


def get_threads() -> int:
    """How many threads kernels use."""
    return _threads


class _Task:
    """Work that is done once, and what became of it: any thread may ask, as often as it likes."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work: Callable[[], Any] | None = work
        self._value: Any = None
        self._error: BaseException | None = None
        self._done = _thread.allocate_lock()
        self._done.acquire()

    def run(self) -> None:
        """Do it, and keep what it raises; `finish` must follow."""
        try:
            if self._work is not None:
                self._value = self._work()
        except BaseException as error:  # raised again where the value is asked for
            self._error = error
        self._work = None

    def finish(self) -> None:
        """Let those go on who wait."""
        self._done.release()

    def error(self) -> BaseException | None:
        """Wait until it is done: what it raised."""
        with self._done:
            return self._error

    def result(self) -> Any:
        """Wait until it is done: its value, or what it raised."""
        error = self.error()
        if error is not None:
            raise error
        return self._value


class _Helper:
    """A thread that waits for work: to start one for each kernel takes as long as a short kernel."""

    def __init__(self) -> None:
        self._task: _Task | None = None
        self._wanted = _thread.allocate_lock()
        self._wanted.acquire()
        _thread.start_new_thread(self._serve, ())

    def _serve(self) -> None:
        while self._wanted.acquire():
            task, self._task = self._task, None
            if task is not None:
                task.run()
                _idle.append(self)  # before it is finished, so that who waited finds it here
                task.finish()
            del task  # its arrays are not held until there is more to do

    def start(self, task: _Task) -> None:
        """Begin, and return at once."""
        self._task = task
        self._wanted.release()


_idle: list[_Helper] = []


def _begun(work: Callable[[], Any]) -> _Task:
    """Work on a helper that has nothing to do, a new one where all are busy: callers may be threads."""
    try:
        helper = _idle.pop()
    except IndexError:
        helper = _Helper()
    task = _Task(work)
    helper.start(task)
    return task


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a child has none of its parent's threads


def in_parallel(kernel: Callable[..., None], count: int, *arguments: Any) -> None:
    """Run ``kernel(lo, hi, *arguments)`` for parts lo .. hi of 0 .. count, some at a time.

    Parameters
    ----------
    kernel : compiled function
        Its parts must not write to the same place but in turn, and so that no order changes the result
        (`dca.kernels._add_halves`). They may wait for each other only for what a running part is about to do.
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
    parts = iter(_parts(count, threads))  # of a list: under the interpreter lock no part is given out twice

    def work() -> None:
        try:
            for lo, hi in parts:  # of all threads: each takes the next part when it has done its last
                run(lo, hi)
        except BaseException:
            for _ in parts:  # no thread begins another part
                pass
            raise

    tasks: list[_Task] = []
    try:
        # Where no more threads are to be had, those that there are do it all
        with contextlib.suppress(RuntimeError):
            while len(tasks) < threads - 1:
                tasks.append(_begun(work))
        work()
    except BaseException:
        for _ in parts:  # an interrupt may come between the two
            pass
        raise
    finally:  # they write to the caller's arrays
        errors = [task.error() for task in tasks]
    for error in errors:
        if error is not None:
            raise error


def beside(function: Callable[[], Any]) -> Callable[[], Any]:
    """Begin to call a function, on a thread of its own where there may be two; what is returned waits for it.

    For as long as it takes, that is one thread more than `in_parallel` uses.

    Returns
    -------
    callable
        Gives the function's value, or raises what it raised, each time.
    """
    if _threads > 1:
        return _begun(function).result
    task = _Task(function)
    task.run()
    task.finish()
    return task.result


def _parts(count: int, threads: int) -> list[tuple[int, int]]:
    """Ranges of 0 .. count, smaller and smaller: no thread waits long for the last one to end.

    That matters where cores are not equally fast (guided self-scheduling; Polychronopoulos and Kuck 1987,
    IEEE Trans Comput C-36:1425).
    """
    least = max(1, count // (_FINEST * threads))
    ends = [0]
    while ends[-1] < count:
        left = count - ends[-1]
        ends.append(ends[-1] + min(left, max(least, left // (2 * threads))))
    return list(pairwise(ends))


def _swapped(kernel: Callable[..., None], arguments: tuple[Any, ...], lo: int, hi: int) -> None:
    kernel(lo, hi, *arguments)


@jit
def folded(k: int, length: int) -> int:
    """Row 0, length - 1, 1, length - 2, ...: equal shares of a triangle for runs of k."""
    return k // 2 if k % 2 == 0 else length - 1 - k // 2
