"""The vector operations equal loops over single letters, compiled and interpreted."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from dca import accelerate, chains
from dca.accelerate import jit
from dca.vector import (
    LIMIT,
    WIDTH,
    collect_run,
    combine_rows,
    comes_first,
    expand_run,
    gather_rows,
    has_written,
    residual_row,
    scatter_row,
    wait_for_first,
    weigh_rows,
)

ROOT = Path(__file__).parent.parent


@jit
def _gather(out, at, table, o):
    gather_rows(out, at, table, (o[0], o[1], o[2], o[3]))
    gather_rows(out, at, table, (o[4],))


@jit
def _scatter(out, o, table, at):
    scatter_row(out, (o[0], o[1], o[2], o[3]), table, at)
    scatter_row(out, (o[4],), table, at)


@jit
def _expand(table, left, rights, lo, hi, shift):
    expand_run(table, left, rights, lo, hi, shift)


@jit
def _collect(table, left, rights, lo, hi, shift):
    collect_run(table, left, rights, lo, hi, shift)


@jit
def _residual(out, at, field, letter, weight):
    residual_row(out, at, field, letter, weight)


@jit
def _combine(out, at, factors, table):
    combine_rows(out, at, factors, table)


@jit
def _weigh(out, table, factors):
    weigh_rows(out, table, factors)


@jit
def _share(values, marks, done, out):
    """Write to each place or add to it, whichever is left to do there; go on when both have been there."""
    for place in range(marks.size):
        first = comes_first(marks, place)
        if not first:
            wait_for_first(marks, place)
        for k in range(values.size):
            out[place, k] = values[k] if first else out[place, k] + values[k]
        if first:
            has_written(marks, place)
            wait_for_first(done, place)
        else:
            has_written(done, place)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def rows_of(rng, count):
    return rng.normal(size=count * WIDTH).astype(np.float32)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_two_threads_share_places(rng):
    one, two = rng.normal(size=(2, 200)).astype(np.float32)
    places = 3 if accelerate._interpreted else 500
    begun = time.monotonic()
    for _ in range(40):
        marks, done = np.zeros((2, places), np.int32)
        out = np.full((places, one.size), np.nan, np.float32)
        with ThreadPoolExecutor(2) as pool:
            for run in [pool.submit(_share, values, marks, done, out) for values in (one, two)]:
                run.result()
        np.testing.assert_array_equal(out, np.tile(one + two, (places, 1)))
        np.testing.assert_array_equal(marks, 3)
        if time.monotonic() - begun > 2:  # threads that share one core take their turns slowly
            break


def test_gather_rows_twin(rng):
    table, out = rows_of(rng, 40), rows_of(rng, 3)
    picked = np.array([3, 39, 0, 3, 17], dtype=np.uint16)
    expected = out.astype(float)
    for row in picked:
        for a in range(WIDTH):
            expected[WIDTH + a] += table[int(row) * WIDTH + a]
    _gather(out, 1, table, picked)
    close(out, expected)


def test_scatter_row_twin(rng):
    table, out = rows_of(rng, 3), rows_of(rng, 40)
    picked = np.array([3, 39, 0, 3, 3], dtype=np.uint16)  # the same row thrice
    expected = out.astype(float)
    for row in picked:
        for a in range(WIDTH):
            expected[int(row) * WIDTH + a] += table[WIDTH + a]
    _scatter(out, picked, table, 1)
    close(out, expected)


def test_expand_run_twin(rng):
    table, rights = rows_of(rng, 12), np.array([7, 7, 2, 4, 0], dtype=np.uint16)
    expected = table.copy()
    for w in (1, 2, 3):
        for a in range(WIDTH):
            expected[(w + 7) * WIDTH + a] = table[5 * WIDTH + a] + table[int(rights[w]) * WIDTH + a]
    _expand(table, 5, rights, 1, 4, 7)
    close(table, expected)


def test_collect_run_twin(rng):
    table, rights = rows_of(rng, 12), np.array([7, 4, 2, 4, 0], dtype=np.uint16)
    expected = table.astype(float)
    for w in (1, 2, 3):
        for a in range(WIDTH):
            expected[5 * WIDTH + a] += table[(w + 7) * WIDTH + a]
            expected[int(rights[w]) * WIDTH + a] += table[(w + 7) * WIDTH + a]
    _collect(table, 5, rights, 1, 4, 7)
    close(table, expected)


def test_collect_is_the_transpose_of_expand(rng):
    """<expand x, y> = <x, collect y> for the words' rows."""
    rights = np.array([0, 1, 1], dtype=np.uint16)
    x, y = rows_of(rng, 6), rows_of(rng, 6)
    x[3 * WIDTH :] = 0
    y[: 3 * WIDTH] = 0
    words = y.copy()
    expanded = x.copy()
    _expand(expanded, 2, rights, 0, 3, 3)
    _collect(y, 2, rights, 0, 3, 3)
    assert expanded[3 * WIDTH :] @ words[3 * WIDTH :] == pytest.approx(
        x[: 3 * WIDTH] @ y[: 3 * WIDTH], rel=1e-4
    )


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_residual_row_twin(rng, scale):
    out, field = scale * rows_of(rng, 3), rows_of(rng, 1)
    energies = np.clip(out[WIDTH : 2 * WIDTH] + field, -LIMIT, LIMIT).astype(float)
    factors = np.exp(energies - energies.max())
    expected = out.astype(float)
    expected[WIDTH : 2 * WIDTH] = 0.4 * factors / factors.sum()
    expected[WIDTH + 20] -= 0.4
    _residual(out, 1, field, 20, np.float32(0.4))
    np.testing.assert_allclose(out, expected, rtol=2e-5, atol=1e-6)


def test_residuals_sum_to_nothing(rng):
    out, field = rows_of(rng, 1), np.full(WIDTH, -LIMIT, np.float32)
    field[:21] = rows_of(rng, 1)[:21]
    out[21:] = 0
    _residual(out, 0, field, 3, np.float32(1.0))
    assert out.sum() == pytest.approx(0, abs=1e-6)
    assert not out[21:].round(30).any()  # the letters that pad a row


def test_combine_rows_twin(rng):
    table, factors, out = rows_of(rng, WIDTH), rows_of(rng, 6), rows_of(rng, 6)
    expected = out.astype(float).reshape(6, WIDTH)
    left, right = factors.reshape(6, WIDTH), table.reshape(WIDTH, WIDTH)
    for row in (3, 4, 5):
        for a in range(WIDTH):
            expected[row, a] = sum(float(left[row, c]) * right[c, a] for c in range(WIDTH))
    _combine(out, 3, factors, table)
    close(out, expected.ravel())


def test_weigh_rows_twin(rng):
    table, factors, out = rows_of(rng, 9), rng.normal(size=7).astype(np.float32), rows_of(rng, 2)
    expected = out.astype(float)
    for a in range(WIDTH):
        expected[a] = sum(float(factors[r]) * table[r * WIDTH + a] for r in range(7))
    _weigh(out, table, factors)
    close(out, expected)


def test_exponentials_twin():
    values = np.concatenate([np.linspace(-90, 90, 1000), [0.0, -1e30, 1e30]]).astype(np.float32)
    expected = np.exp(np.clip(values.astype(float), -LIMIT, LIMIT))
    bits = np.empty(values.size, dtype=np.int32)
    chains._exponentials(values, bits, bits.view(np.float32))
    np.testing.assert_allclose(values, expected, rtol=2e-5)  # at 80 one rounding of x is 4e-6 of exp(x)
    small = slice(480, 520)
    np.testing.assert_allclose(values[small], expected[small], rtol=1e-6)


@pytest.mark.skipif("NUMBA_DISABLE_JIT" in os.environ, reason="this is the inner run")
def test_operations_and_words_run_interpreted():
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    files = [__file__, str(Path(__file__).with_name("test_dca_words.py"))]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.split("\n")[0].count(".") >= 20, done.stdout
