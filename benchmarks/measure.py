"""Wall seconds, CPU seconds and peak memory of a program.

Run as a script this file is a launcher: ``python -I -S measure.py REPORT COMMAND ...``. The launcher starts
the program and waits for it, since a process inherits the peak memory of the one that forked it: started by
a benchmark that holds numpy, every small program would show the benchmark's memory. The launcher's own,
about 10 MB, is the floor of what is measured.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Usage(NamedTuple):
    """What one run took.

    Attributes
    ----------
    wall : float
        Seconds by the clock.
    cpu : float
        User and system seconds of the process and of its children.
    memory : float
        Largest resident set, MB (10^6 bytes).
    """

    wall: float
    cpu: float
    memory: float


def measure(command: list[str], threads: int = 1, environment: dict[str, str] | None = None) -> Usage:
    """Run a program in the repository's root with a number of threads.

    Parameters
    ----------
    command : list of str
        Its output is dropped; the program's own options may also set its threads.
    threads : int
    environment : dict, optional
        Further variables.

    Raises
    ------
    RuntimeError
        The program failed; the message holds the end of what it wrote to its standard error.
    """
    variables = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)) | (environment or {})
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "usage.json")
        launcher = [sys.executable, "-I", "-S", __file__, str(report)]
        with Path(folder, "error").open("w+b") as error:
            done = subprocess.run(
                [*launcher, *command], cwd=ROOT, env=variables, stdout=subprocess.DEVNULL, stderr=error
            )
            error.seek(0)
            text = error.read()[-2000:].decode(errors="replace")
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {text}")
        return Usage(**json.loads(report.read_text()))


def _launch(report: str, command: list[str]) -> int:
    """Run the command as a child and write its usage; the child's exit code."""
    start = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, used = os.wait4(child, 0)
    usage = {
        "wall": time.perf_counter() - start,
        "cpu": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
    }
    with open(report, "w") as stream:
        json.dump(usage, stream)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(_launch(sys.argv[1], sys.argv[2:]))
