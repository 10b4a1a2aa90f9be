"""Seconds and memory of a part of a process."""

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@contextlib.contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Fill the dict that is given with ``wall`` and ``cpu`` (seconds) and ``peak_mb`` when the block ends.

    The peak is that of the block where the kernel lets a process begin it anew (Linux), else of the process.
    """
    usage: dict[str, float] = {}
    with contextlib.suppress(OSError):
        _RESET.write_text("5")  # proc(5): the peak resident set begins at what is resident now
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield usage
    finally:
        usage["wall"] = round(time.perf_counter() - wall, 3)
        usage["cpu"] = round(time.process_time() - cpu, 3)
        usage["peak_mb"] = round(_peak_mb(), 1)


def _peak_mb() -> float:
    with contextlib.suppress(OSError, ValueError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    )
