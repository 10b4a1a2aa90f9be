"""Kernels called through object files take and give what the same functions take and give in Python."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dca import accelerate
from dca.accelerate import jit
from dca.space import shaped, space

pytestmark = pytest.mark.skipif(accelerate._interpreted, reason="kernels are Python there")


class Pair(NamedTuple):
    """Two arrays that go together."""

    first: np.ndarray
    second: np.ndarray


@jit
def _twice(value):
    return value + value


@jit
def _several(flag, whole, real):
    return _twice(whole), _twice(real), not flag


@jit
def _add(pair, factor, out):
    for k in range(out.shape[0]):
        out[k] = factor * pair.first[k] + pair.second[k, 0]


@jit
def _through_work_space(values, out):
    """A copy by way of arrays of a kernel's own, and views of them in other shapes."""
    turned = np.zeros((values.shape[1], values.shape[0]))
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            turned[j, i] += values[i, j]
    flat = space((values.size,), np.float64)
    cells = shaped(turned, (turned.size,))
    for k in range(flat.size):
        flat[k] = cells[k]
    again = shaped(flat, (values.shape[1], values.shape[0]))
    for i in range(values.shape[0]):
        out[i] = again[:, i].sum()


@jit
def _aligned(count):
    most = 0
    for k in range(count):
        one, two = space((k + 1,), np.float32), np.empty((k + 1, 3), dtype=np.int8)
        most = max(most, one.ctypes.data % 64, two.ctypes.data % 64)
    return most


@jit
def _as_real(value):
    return float(value)


@jit
def _three():
    return 3


@jit
def _flat_sum(values):
    total = 0.0
    for value in shaped(values, (values.size,)):
        total += value
    return total


@jit
def _nested(value):
    return value, (value, value)


@jit
def _of_a_module(value):
    return value + accelerate._FINEST


@jit
def _sorted(values):
    return np.sort(values)[0]


@jit
def _reshaped(values, rows, columns):
    return shaped(values, (rows, columns))[rows - 1, columns - 1]


@jit
def _written(values):
    shaped(values, (3, 2))[0, 0] = 1.0


@jit
def _of_rows(first):  # what numba itself does it with is not there
    return first.reshape((2, 3))[1, 2]


@jit
def _huge(count):
    return np.empty(count)[0]


@jit
def _huge_space(count):
    return space((count, 1), np.float64)[0, 0]


def test_numbers_keep_their_types():
    assert _several(True, 3, 0.5) == (6, 1.0, False)
    assert _several(False, 2**62 - 1, -1e300) == (2**63 - 2, -2e300, True)
    assert _twice(np.uint64(2**63 - 1)) == 2**64 - 2
    assert _twice(np.float32(0.1)) == np.float32(0.2)
    assert [type(_twice(value)) for value in (1, 1.0)] == [int, float]
    assert _twice(np.int64(-3)) == -6


def test_whole_numbers_of_both_kinds():
    assert _as_real(2**63) == 2.0**63
    assert _as_real(-4) == -4.0
    assert _three() == 3


def test_named_tuples_and_strides():
    first, second = np.arange(6.0)[::2], np.arange(12, dtype=np.int8).reshape(2, 6).T[:3]
    out = np.zeros((3, 2))[:, 1]
    _add(Pair(first, second), 0.5, out)
    np.testing.assert_array_equal(out, 0.5 * first + second[:, 0])


@given(arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5),
                     elements=st.integers(-9, 9)), st.sampled_from("CF"), st.booleans())  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_work_space_and_other_shapes(values, order, writeable):
    values = np.array(values, order=order)
    values.flags.writeable = writeable
    out = np.full(values.shape[0], np.nan)
    _through_work_space(values, out)
    if order == "C":
        assert _flat_sum(values) == values.sum()
    np.testing.assert_array_equal(out, values.sum(axis=1))


def test_work_space_begins_with_a_cache_line():
    assert _aligned(50) == 0


def test_threads_that_meet_a_kernel_first_get_one_result():
    @jit
    def own(lo, hi, out):
        for k in range(lo, hi):
            out[k] += k

    out = np.zeros(1000)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(own, k, k + 10, out) for k in range(0, 1000, 10)]:
            done.result()
    np.testing.assert_array_equal(out, np.arange(1000))


def test_functions_of_one_name_are_told_apart():
    one, ten = jit(lambda value: value + 1), jit(lambda value: value + 10)
    assert (one(0), ten(0)) == (1, 10)


@jit
def _falling(value):
    return value if value < 1 else _falling(value - 1)


@jit
def _even(value):
    return True if value == 0 else _odd(value - 1)


@jit
def _odd(value):
    return False if value == 0 else _even(value - 1)


@jit
def _four_times(value):  # by two ways to the same kernel, which is no circle
    return _twice(_doubled(value))


@jit
def _doubled(value):
    return _twice(value)


def test_a_kernel_that_calls_itself_is_refused_with_the_way_round():
    for _ in range(2):  # a refusal leaves nothing behind
        with pytest.raises(TypeError, match=r"cannot call itself: _falling calls _falling; write a loop"):
            _falling(3)
        with pytest.raises(
            TypeError, match=r"cannot call itself: _even calls _odd calls _even; write a loop"
        ):
            _even(3)
    assert _four_times(3) == 12


def test_what_a_kernel_cannot_take_or_use_is_said():
    with pytest.raises(TypeError, match=r"arrays of numbers, numbers and tuples of them, got .*list"):
        _twice([1, 2])
    with pytest.raises(TypeError, match=r"got .*MaskedArray"):
        _flat_sum(np.ma.masked_array(np.arange(3.0), [False, True, False]))
    with pytest.raises(RuntimeError, match="a tuple of numbers, not"):
        _nested(1)
    with pytest.raises(TypeError, match="names the module accelerate: import from it"):
        _of_a_module(1)
    factor = 2
    with pytest.raises(TypeError, match="depends on more than its arguments"):
        jit(lambda value: value * factor)
    with pytest.raises(RuntimeError, match=r"_sorted needs \w+ of numba's runtime"):
        _sorted(np.arange(3.0))
    with pytest.raises(RuntimeError, match=r"_of_rows needs \w+reshape of numba's runtime"):
        _of_rows(np.arange(6.0))
    for kernel in (_huge, _huge_space):
        for count in (2**57, 2**60, 2**61, -1):  # 2^60 and more: more bytes than there are numbers for them
            with pytest.raises(RuntimeError, match=rf"{kernel.__name__} failed: no memory for work space"):
                kernel(count)
    assert _reshaped(np.arange(6.0), 2, 3) == 5
    for rows, columns in ((2, 4), (-2, -3), (2**32, 2**32 + 3)):
        with pytest.raises(RuntimeError, match="shapes that do not fit"):
            _reshaped(np.arange(6.0), rows, columns)
    with pytest.raises(Exception, match="expected an array in C order"):
        _reshaped(np.arange(12.0)[::2], 2, 3)
    fixed = np.arange(6.0)
    fixed.flags.writeable = False
    with pytest.raises(Exception, match="readonly"):
        _written(fixed)


@pytest.mark.parametrize(("values", "shape"), [(np.arange(12.0)[::2], (2, 3)), (np.arange(6.0), (-1, 3))])
def test_other_shapes_in_python_are_as_strict(values, shape):
    with pytest.raises(ValueError, match=r"no shape \("):
        shaped(values, shape)
