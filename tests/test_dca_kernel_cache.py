"""Compiled kernels are kept on this machine; where that fails, runs go on."""

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dca import kernel_cache
from dca.kernel_cache import private_folder

ROOT = Path(__file__).resolve().parent.parent
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

print(total(np.arange(5.0)), "numba" in sys.modules)
"""


@pytest.fixture
def run(tmp_path):
    """Functions that start the kernel in a process of its own, and say whether it was compiled there."""
    (tmp_path / "tree").mkdir()
    script = tmp_path / "tree" / "kernel.py"
    script.write_text(KERNEL)

    def start(**variables):
        # Not the variables that numba, or what loads it here, has set in this process
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
        return subprocess.Popen(
            [sys.executable, str(script)],
            env=inherited | {"PYTHONPATH": str(ROOT)} | variables,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finish(process):
        out, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
        total, compiled = out.split()
        assert total == "10.0"
        return compiled == "True"

    return start, finish


def _kept(folder):
    """The files of the kernel."""
    return list(folder.rglob("*total*"))


def test_processes_that_race_from_cold_agree_and_the_next_one_needs_no_numba(run, tmp_path):
    start, finish = run
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert any(finish(process) for process in [start(**cache), start(**cache)])
    assert len(_kept(tmp_path)) == 1
    assert not finish(start(**cache))


def _cut(content):
    return content[:-100]


def _altered(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: b"no kernel", _cut, _altered])
def test_a_damaged_kernel_is_compiled_over(run, tmp_path, damage):
    start, finish = run
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    finish(start(**cache))
    (path,) = _kept(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert finish(start(**cache))
    assert len(path.read_bytes()) == len(whole)
    assert not finish(start(**cache))


def test_an_edit_of_the_kernel_is_noticed(run, tmp_path):
    start, finish = run
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    finish(start(**cache))
    script = tmp_path / "tree" / "kernel.py"
    script.write_text(KERNEL.replace("found += value", "found += 1 * value"))
    assert finish(start(**cache))
    assert len(_kept(tmp_path)) == 2


def test_what_is_kept_is_what_was_loaded_not_what_the_file_says_by_then(run, tmp_path):
    start, finish = run
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    script = tmp_path / "tree" / "kernel.py"
    late = "text = open(__file__).read(); open(__file__, 'w').write(text.replace('+= value', '+= 1 * value'))"
    script.write_text(KERNEL.replace("print(", f"{late}\nprint("))
    assert finish(start(**cache))
    assert finish(start(**cache))  # the edited file is another kernel
    assert len(_kept(tmp_path)) == 2


def test_another_constant_of_another_module_is_noticed(run, tmp_path):
    start, finish = run
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    script, constants = tmp_path / "tree" / "kernel.py", tmp_path / "tree" / "constants.py"
    inner = "from constants import FIRST\n\n@jit\ndef first():\n    return FIRST\n\n@jit\ndef total"
    script.write_text(KERNEL.replace("\n@jit\ndef total", inner).replace("found = 0.0", "found = first()"))
    constants.write_text("FIRST = 0.0\n")
    assert finish(start(**cache))
    assert not finish(start(**cache))
    constants.write_text("FIRST = -0.0\n")
    assert finish(start(**cache))


def test_an_edit_of_the_package_is_noticed(run, tmp_path):
    """Of a module that decides what kernels become."""
    start, finish = run
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    shutil.copytree(ROOT / "dca", tmp_path / "tree" / "dca")
    assert finish(start(**cache))
    assert not finish(start(**cache))
    with open(tmp_path / "tree" / "dca" / "vector_llvm.py", "a") as file:
        file.write("# another\n")
    assert finish(start(**cache))


def test_no_place_that_can_be_written(run, tmp_path):
    """Root may write anywhere, so that places that cannot be folders stand for read-only ones."""
    start, finish = run
    (tmp_path / "file").write_text("")
    nowhere = str(tmp_path / "file" / "below")
    assert finish(start(NUMBA_CACHE_DIR=nowhere)) in (True, False)  # another place is found
    script = tmp_path / "tree" / "kernel.py"
    blocked = "import dca.kernel_cache; dca.kernel_cache._folder = lambda: '/dev/null'"
    for place in ("/dev/null", ""):
        script.write_text(f"{blocked.replace('/dev/null', place)}\n{KERNEL}")
        assert finish(start())
        assert finish(start())


def test_nothing_is_read_where_there_is_no_folder(tmp_path, monkeypatch):
    """A name alone would be a path in the working folder, where anybody may have put something."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    kernel_cache.keep("covarion-this/kernel", b"code")
    monkeypatch.setattr(kernel_cache, "_folder", lambda: "")
    assert kernel_cache.read("covarion-this/kernel") is None


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    (tmp_path / "covarion-gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "covarion-this" / "kernel").mkdir(parents=True)  # nothing can replace it
    kernel_cache.keep("covarion-this/kernel", b"code")
    assert [path.name for path in (tmp_path / "covarion-this").iterdir()] == ["kernel"]


def test_versions_that_nothing_was_added_to_for_months_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    year = 365 * 86400
    for name, age in (("covarion-old", year), ("covarion-new", 0), ("of another program", year)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    kernel_cache.keep("covarion-this/kernel", b"code")
    assert {path.name for path in tmp_path.iterdir()} == {
        "covarion-new",
        "covarion-this",
        "of another program",
    }
    assert kernel_cache.read("covarion-this/kernel") == b"code"
    assert kernel_cache.read("covarion-this/other") is None


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
