"""Threads: every part runs once, errors come back, and what waits survives a fork."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dca import accelerate
from dca.accelerate import beside, in_parallel, jit, set_threads


@jit
def _count(lo, hi, counts, step):
    for k in range(lo, hi):
        counts[k] += step


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(accelerate, "_AVAILABLE", 4)
    set_threads(2)
    yield
    set_threads(1)


@pytest.mark.parametrize("kernel", [_count, getattr(_count, "py_func", _count)])
@pytest.mark.parametrize("count", [1, 2, 7, 1000])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_each_part_runs_once(kernel, count, threads):
    set_threads(threads)
    counts = np.zeros(count)
    for _ in range(20):
        in_parallel(kernel, count, counts, 1.0)
    np.testing.assert_array_equal(counts, 20)


@pytest.mark.parametrize(("count", "threads"), [(85, 2), (1000, 4), (100_000, 3), (5, 4)])
def test_parts_get_smaller_so_that_none_waits_long_for_the_last(count, threads):
    sizes = [hi - lo for lo, hi in accelerate._parts(count, threads)]
    assert sum(sizes) == count
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] <= max(1, count / (2 * threads))
    assert sizes[-1] <= max(1, count / (16 * threads))
    assert len(sizes) <= 40 * threads  # each is another call


def test_two_threads_take_parts_and_helpers_are_used_again():
    met, both = set(), threading.Barrier(2, timeout=20)

    def meet(lo, hi):
        if lo in (0, 1):  # the first two parts wait for each other
            both.wait()
        met.add(threading.get_ident())

    for _ in range(3):
        in_parallel(meet, 2)
    assert len(met) == 2


def test_callers_on_several_threads_do_not_disturb_each_other():
    def call(number):
        counts = np.zeros(50)
        for _ in range(20):
            in_parallel(_count, 50, counts, float(number))
        return counts

    with ThreadPoolExecutor(8) as pool:
        for number, counts in enumerate(pool.map(call, range(8))):
            np.testing.assert_array_equal(counts, 20 * number)


@pytest.mark.parametrize("bad", [0, 3, 7])
def test_an_error_of_any_part_is_raised_and_the_next_call_is_whole(bad):
    def fail(lo, hi):
        if lo <= bad < hi:
            raise ValueError(f"part {bad}")

    for _ in range(5):
        with pytest.raises(ValueError, match=f"part {bad}"):
            in_parallel(fail, 8)
    counts = np.zeros(8)
    in_parallel(_count, 8, counts, 1.0)
    np.testing.assert_array_equal(counts, 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_function_beside(threads):
    set_threads(threads)
    calls = []
    result = beside(lambda: calls.append(1) or 7)
    in_parallel(_count, 9, np.zeros(9), 1.0)
    assert (result(), result(), calls) == (7, 7, [1])


def test_an_error_beside_is_raised_where_the_value_is_asked_for():
    def fail():
        raise KeyError("no words")

    for threads in (1, 2):
        set_threads(threads)
        result = beside(fail)
        other = beside(lambda: 7)
        for _ in range(3):  # asked for again it is the same error, and nobody else's value
            with pytest.raises(KeyError, match="no words"):
                result()
        assert (other(), other()) == (7, 7)


def test_a_value_that_several_threads_ask_for():
    gate = threading.Event()
    result = beside(lambda: gate.wait(20) and 7)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(result) for _ in range(4)]
        gate.set()
        assert [found.result(20) for found in asked] == [7] * 4


def test_values_that_nobody_asks_for_keep_no_threads():
    for _ in range(50):
        done = threading.Event()
        beside(done.set)
        assert done.wait(20)
    assert len(accelerate._idle) < 25


def test_no_part_is_begun_after_an_error():
    set_threads(2)
    begun, failed = [], threading.Event()

    def fail(lo, hi):
        begun.append(lo)
        if lo == 0:
            failed.set()
            raise ValueError("the first")
        failed.wait(20)
        time.sleep(0.05)

    with pytest.raises(ValueError, match="the first"):
        in_parallel(fail, 1000)
    assert len(begun) <= 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_starts_threads_of_its_own():
    in_parallel(_count, 9, np.zeros(9), 1.0)
    child = os.fork()
    if child == 0:
        counts = np.zeros(9)
        in_parallel(_count, 9, counts, 1.0)
        os._exit(0 if (counts == 1).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
