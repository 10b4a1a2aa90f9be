"""Wall seconds, CPU seconds and peak memory of a program.

Run as a script this file is a launcher: ``python -I -S measure.py REPORT COMMAND ...``. The launcher starts
the program and waits for it, since a process inherits the peak memory of the one that forked it: started by
a benchmark that holds numpy, every small program would show the benchmark's memory. The launcher's own,
about 10 MB, is the floor of what is measured.
"""

import json
import os
import signal
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


def measure(
    command: list[str],
    threads: int = 1,
    environment: dict[str, str] | None = None,
    limit: float | None = None,
) -> Usage:
    """Run a program in the repository's root with a number of threads.

    Parameters
    ----------
    command : list of str
        Its output is dropped; the program's own options may also set its threads.
    threads : int
    environment : dict, optional
        Further variables.
    limit : float, optional
        Seconds by the clock after which the program is ended, with all that it has started.

    Raises
    ------
    TimeoutError
        It was ended.
    RuntimeError
        The program failed; the message holds the end of what it wrote to its standard error.
    """
    variables = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)) | (environment or {})
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "usage.json")
        launcher = [sys.executable, "-I", "-S", __file__, str(report)]
        with Path(folder, "error").open("w+b") as error:
            started = subprocess.Popen(
                [*launcher, *command],
                cwd=ROOT, env=variables, stdout=subprocess.DEVNULL, stderr=error, start_new_session=True,
            )  # fmt: skip
            code = _wait(started, limit)
            error.seek(0)
            text = error.read()[-2000:].decode(errors="replace")
        if code != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {code}: {text}")
        return Usage(**json.loads(report.read_text()))


def _wait(started: subprocess.Popen, limit: float | None) -> int:
    """Exit code of a process that leads its own group; the whole group is ended where it takes too long."""
    try:
        return started.wait(limit)
    except subprocess.TimeoutExpired as reason:
        raise TimeoutError(f"ended after {limit:g} s") from reason
    finally:
        if started.poll() is None:  # also where whoever measures was interrupted
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


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
