"""Images of object files do what LLVM's own loading of them does; what is not linked is left to LLVM."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dca import accelerate, linking, loading
from dca.accelerate import jit
from dca.compiling import compile_object

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(accelerate._interpreted, reason="kernels are Python there")
TABLE = tuple(float(k) for k in range(40))


@jit
def _busy(values, out):
    """Constants, work space, a jump table, functions of the mathematical library."""
    space = np.zeros(values.size)
    for k in range(values.size):
        space[k] = np.log(1.0 + values[k]) + TABLE[k % 40]
        if k % 5 == 0:
            space[k] *= 3.0
        elif k % 5 == 1:
            space[k] = np.exp(-space[k])
        elif k % 5 == 2:
            space[k] = np.sin(space[k])
        elif k % 5 == 3:
            space[k] -= 7.5
    for k in range(values.size):
        out[k] = space[values.size - 1 - k]


@pytest.fixture
def compiled():
    arguments = np.arange(100.0), np.empty(100)
    return compile_object(_busy.dispatcher, arguments, "covarion_busy")[1]


def _call(address, values):
    out = np.zeros(values.size)
    slots = []
    loading._flatten((values, out), [], slots)
    assert loading._function(address)(struct.pack(f"{len(slots)}q", *slots), None) == 0
    return out


def test_image_and_llvm_give_the_same_bits(compiled):
    values = np.random.default_rng(1).random(1000)
    by_llvm, _ = loading._load_object(compiled, "covarion_busy")
    expected = _call(by_llvm, values)
    np.testing.assert_allclose(expected, _plain(values), rtol=1e-12)
    image = linking.linked(compiled, "covarion_busy")
    if image is None:
        pytest.skip("not linked on this processor")
    for _ in range(2):  # each time at another place
        address, _memory = linking.load(image)
        np.testing.assert_array_equal(_call(address, values), expected)


def _plain(values):
    out = np.zeros(values.size)
    _busy.py_func(values, out)
    return out


_BOTH = """
import numba, numpy as np
from numba.core.codegen import JITCodeLibrary
from dca import weights
from dca.compiling import compile_object

if {before}:
    numba.njit(lambda x: np.zeros(3) + x)(1.0)
planes = np.zeros((1, 5, 8), np.uint64)
arguments = np.zeros((2, 3), np.int8), np.zeros(2, np.int64), planes
optimise = JITCodeLibrary._optimize_final_module
compile_object(weights._pack.dispatcher, arguments, "covarion_pack")
assert JITCodeLibrary._optimize_final_module is optimise

@numba.njit
def half(values):
    return values.reshape(2, -1).sum(axis=0) / 2

@numba.njit
def chain(values):  # a version of another function, work space, an exception, recursion
    if values.size == 0:
        raise ValueError("nothing")
    return half(np.sort(values)).max() + depth(3)

@numba.njit
def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)

assert chain(np.arange(6.0)[::-1]) == 3.5 + 3
try:
    chain(np.empty(0))
except ValueError as error:
    assert str(error) == "nothing"
else:
    raise SystemExit(1)
print("whole")
"""


@pytest.mark.parametrize("before", [False, True])
def test_other_functions_of_numba_run_after_a_kernel_was_compiled(before):
    done = subprocess.run(
        [sys.executable, "-c", _BOTH.format(before=before)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr


def test_other_formats_and_addresses_are_left_to_llvm(compiled):
    if linking.linked(compiled, "covarion_busy") is None:
        pytest.skip("not linked on this processor")
    assert linking.linked(b"\xcf\xfa\xed\xfe" + compiled[4:], "covarion_busy") is None
    other = bytearray(compiled)
    struct.pack_into("<H", other, 18, 183)  # AArch64
    assert linking.linked(bytes(other), "covarion_busy") is None
    sections, names = linking._sections(compiled)
    text = next(s for s, name in zip(sections, names, strict=True) if name.startswith(".rela.l"))
    short = bytearray(compiled)
    struct.pack_into("<I", short, text.offset + 8, 10)  # R_X86_64_32: four bytes
    assert linking.linked(bytes(short), "covarion_busy") is None


def test_kernels_that_are_not_linked_run_all_the_same(tmp_path):
    script = (
        "import sys\nimport numpy as np\nfrom dca import linking\n"
        "if sys.argv[1] == 'object': linking.linked = lambda data, entry: None\n"
        "from dca.weights import sequence_weights\n"
        "print(sequence_weights(np.eye(30, dtype=np.int8)).sum(), 'llvmlite' in sys.modules)\n"
    )

    def run(kind):
        variables = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / kind), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", script, kind]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        return done.stdout.split()

    first = [run("object"), run("object"), run("image")]
    assert [loaded for _, loaded in first] == ["True"] * 3
    assert len({total for total, _ in first}) == 1
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        assert run("image") == [first[0][0], "False"]  # found and mapped, without LLVM


def test_a_function_that_is_not_there_is_left_to_llvm(compiled, monkeypatch):
    image = linking.linked(compiled, "covarion_busy")
    if image is None:
        pytest.skip("not linked on this processor")
    with pytest.raises(OSError, match="asks for lug, which this system lacks"):
        linking.load(image.replace(b" log:", b" lug:", 1))
    monkeypatch.setattr(linking, "_library", object)
    assert linking.linked(compiled, "covarion_busy") is None


def test_what_is_kept_and_does_not_load_is_compiled_again(compiled, monkeypatch, tmp_path):
    if linking.linked(compiled, "covarion_busy") is None:
        pytest.skip("not linked on this processor")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    values, kept = np.arange(50.0), []
    monkeypatch.setattr(loading.kernel_cache, "keep", lambda path, content: kept.append(content))
    monkeypatch.setattr(loading.kernel_cache, "read", lambda path: None)
    loading.Kernel(_busy.py_func, False)(values, np.empty(50))
    lost = kept[0].replace(b" log:", b" lug:", 1)
    assert lost != kept[0]
    monkeypatch.setattr(loading.kernel_cache, "read", lambda path: lost)
    out = np.empty(50)
    loading.Kernel(_busy.py_func, False)(values, out)
    np.testing.assert_allclose(out, _plain(values), rtol=1e-12)
    assert kept[1] == kept[0]
