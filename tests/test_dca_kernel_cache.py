"""Compiled kernels are kept on this machine; where that fails, runs go on."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dca.kernel_cache import private_folder

ROOT = Path(__file__).resolve().parent.parent
# A copy of the decorator's two modules with one small kernel, so that places can be read-only
KERNEL = """
import sys
import numpy as np
from dca.accelerate import jit

@jit
def total(values):
    found = 0.0
    for value in values:
        found += value
    return found

found = total(np.arange(5.0))
print(found, total.stats.cache_hits.get(total.signatures[0], 0))
"""


@pytest.fixture
def run(tmp_path):
    """A function that runs the kernel in a process of its own: its result, cache hits and misses."""
    (tmp_path / "tree").mkdir()
    script = tmp_path / "tree" / "kernel.py"
    script.write_text(KERNEL)

    def start(**variables):
        return subprocess.Popen(
            [sys.executable, str(script)],
            env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finish(process):
        out, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
        total, hits = out.split()
        assert total == "10.0"
        return int(hits)

    return start, finish


def test_processes_that_race_from_cold_agree_and_the_next_one_finds_the_kernel(run, tmp_path):
    start, finish = run
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert [finish(process) for process in [start(**cache), start(**cache)]] in ([0, 0], [0, 1], [1, 0])
    assert finish(start(**cache)) == 1


@pytest.mark.parametrize("content", [b"", b"\x80\x04no pickle", b"(i__main__\nnothing\n."])
def test_a_damaged_cache_is_compiled_over(run, tmp_path, content):
    start, finish = run
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    finish(start(**cache))
    for path in (tmp_path / "cache").rglob("kernel.total*"):
        path.write_bytes(content)
    assert finish(start(**cache)) == 0


LATER = """
import numpy as np
import kernel
from dca.accelerate import jit

@jit
def later(values):
    return np.sort(values)[-1] + kernel.total(values) + len(set(values))

print(later(np.arange(5.0)), len(later.signatures))
"""


def test_a_kernel_from_the_cache_can_be_compiled_into_another(run, tmp_path):
    """The first is loaded without what a compilation needs, which the second then asks for."""
    start, finish = run
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    finish(start(**cache))
    script = tmp_path / "tree" / "later.py"
    script.write_text(LATER)
    done = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(ROOT)} | cache,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["10.0 1", "19.0 1"]


def test_no_place_that_can_be_written(run, tmp_path):
    """Root may write anywhere, so that places that cannot be folders stand for read-only ones."""
    start, finish = run
    (tmp_path / "file").write_text("")
    nowhere = str(tmp_path / "file" / "below")
    # NUMBA_CACHE_DIR that cannot be made, then one that is gone after the kernel was declared
    assert finish(start(NUMBA_CACHE_DIR=nowhere)) in (0, 1)
    script = tmp_path / "tree" / "kernel.py"
    script.write_text(
        KERNEL.replace("\nprint(", "\nimport shutil; shutil.rmtree(sys.argv[0] + '.cache')\nprint(")
    )
    gone = f"{script}.cache"
    os.mkdir(gone)
    assert finish(start(NUMBA_CACHE_DIR=gone)) == 0


def test_the_folder_is_ours_alone(tmp_path):
    name = f"covarion-kernels-{os.getuid()}"
    first, second, third = (tmp_path / n for n in ("first", "second", "third"))
    for folder in (first, second, third):
        folder.mkdir()
    (first / name).mkdir()
    (first / name).chmod(0o777)  # anybody could put kernels there
    (second / name).symlink_to(tmp_path)
    found = private_folder((str(first), str(second), str(tmp_path / "absent"), str(third)))
    assert found == str(third / name)
    assert stat.S_IMODE(os.stat(found).st_mode) == 0o700
    assert private_folder((str(third),)) == found
