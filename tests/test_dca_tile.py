"""The operations on rows of channels equal loops over single numbers, compiled and interpreted."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dca import accelerate
from dca.accelerate import jit
from dca.tile import (
    PANEL,
    POINTS,
    RESULTS,
    TOGETHER,
    WEIGHTS,
    add_scaled,
    add_squares,
    elu_row,
    gather_four,
    multiply_rows,
    normalise_row,
    spread_six,
    write_row,
)

ROOT = Path(__file__).parent.parent
COUNT = 24  # of a row
AT, PLACE = 5, 3  # rows begin anywhere


@jit
def _spread(out, at, apart, source, place, gap, count):
    spread_six(out, at, apart, source, place, gap, count)


@jit
def _gather(out, at, apart, source, place, gap, count):
    gather_four(out, at, apart, source, place, gap, count)


@jit
def _multiply(out, at, apart, left, place, right, panel, depth):
    multiply_rows(out, at, apart, left, place, right, panel, depth)


@jit
def _write(out, at, source, place, shift, least, count):
    write_row(out, at, source, place, shift, np.float32(least), count)


@jit
def _scale(out, at, source, place, scale, shift, count):
    add_scaled(out, at, source, place, scale, shift, count)


@jit
def _square(out, at, source, place, middle, count):
    add_squares(out, at, source, place, middle, count)


@jit
def _rectify(out, at, source, place, scale, shift, count):
    elu_row(out, at, source, place, scale, shift, count)


@jit
def _normalise(out, at, source, place, scale, shift, small, count):
    for _ in range(2):  # nothing is left of a row before
        normalise_row(out, at, source, place, scale, shift, np.float32(small), count)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def numbers(rng, count):
    return rng.normal(size=count).astype(np.float32)


def close(found, expected, untouched=None):
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
    if untouched is not None:
        np.testing.assert_array_equal(found[untouched], expected[untouched])


def test_six_inputs_times_six_weights_are_four_results(rng):
    """The whole filter: y[i] = sum over k of w[k] x[i + k], by the two transforms and a product."""
    apart, gap = 30, 40
    x, w = numbers(rng, 260), numbers(rng, 3 * COUNT).reshape(3, COUNT)
    spread = numbers(rng, 200)
    before = spread.copy()
    _spread(spread, AT, apart, x, PLACE, gap, COUNT)
    factors = WEIGHTS @ w
    inside = np.zeros(spread.size, bool)
    products = np.zeros(6 * COUNT, np.float32)
    for k in range(POINTS):
        row = slice(AT + k * apart, AT + k * apart + COUNT)
        inside[row] = True
        products[k * COUNT : (k + 1) * COUNT] = spread[row] * factors[k]
    np.testing.assert_array_equal(spread[~inside], before[~inside])
    results = numbers(rng, 150)
    before = results.copy()
    _gather(results, AT, apart, products, 0, COUNT, COUNT)
    expected = before.astype(float)
    for i in range(RESULTS):
        for c in range(COUNT):
            expected[AT + i * apart + c] = sum(w[k, c] * x[PLACE + (i + k) * gap + c] for k in range(3))
    untouched = np.setdiff1d(np.arange(150), np.add.outer(AT + apart * np.arange(RESULTS), np.arange(COUNT)))
    close(results, expected, untouched)


@pytest.mark.parametrize("depth", [1, 16, 33])
def test_multiply_rows_twin(rng, depth):
    apart, panel = PANEL + 3, 7
    left, right = numbers(rng, PLACE + TOGETHER * depth), numbers(rng, panel + depth * PANEL)
    out = numbers(rng, AT + TOGETHER * apart)
    expected = out.astype(float)
    for r in range(TOGETHER):
        for c in range(PANEL):
            expected[AT + r * apart + c] = sum(
                float(left[PLACE + r * depth + d]) * right[panel + d * PANEL + c] for d in range(depth)
            )
    untouched = np.setdiff1d(
        np.arange(out.size), np.add.outer(AT + apart * np.arange(TOGETHER), np.arange(PANEL))
    )
    _multiply(out, AT, apart, left, PLACE, right, panel, depth)
    close(out, expected, untouched)


def rows(rng):
    source, out = numbers(rng, PLACE + COUNT + 4), numbers(rng, AT + COUNT + 6)
    return source, out, numbers(rng, COUNT), numbers(rng, COUNT), out.astype(float)


@pytest.mark.parametrize("least", [0.0, -np.inf])
def test_write_row_twin(rng, least):
    source, out, _, shift, expected = rows(rng)
    for c in range(COUNT):
        expected[AT + c] = max(float(source[PLACE + c]) + shift[c], least)
    _write(out, AT, source, PLACE, shift, least, COUNT)
    close(out, expected)


def test_add_scaled_twin(rng):
    source, out, scale, shift, expected = rows(rng)
    for c in range(COUNT):
        expected[AT + c] += float(source[PLACE + c]) * scale[c] + shift[c]
    _scale(out, AT, source, PLACE, scale, shift, COUNT)
    close(out, expected)


def test_add_squares_twin(rng):
    source, out, middle, _, expected = rows(rng)
    for c in range(COUNT):
        expected[AT + c] += (float(source[PLACE + c]) - middle[c]) ** 2
    _square(out, AT, source, PLACE, middle, COUNT)
    close(out, expected)


def test_elu_row_twin(rng):
    source, out, scale, shift, expected = rows(rng)
    source[PLACE : PLACE + 3] = [-90.0, 90.0, 0.0]
    scale[:3], shift[:3] = 1, 0
    for c in range(COUNT):
        value = float(source[PLACE + c]) * scale[c] + shift[c]
        expected[AT + c] = value if value > 0 else np.expm1(value)
    _rectify(out, AT, source, PLACE, scale, shift, COUNT)
    close(out, expected)
    assert expected[AT : AT + 3] == pytest.approx([-1, 90, 0])


def test_normalise_row_twin(rng):
    source, out, scale, shift, expected = rows(rng)
    own = source[PLACE : PLACE + COUNT] = 3 + 2 * source[PLACE : PLACE + COUNT]
    mean = sum(map(float, own)) / COUNT
    spread = sum((float(value) - mean) ** 2 for value in own) / COUNT
    for c in range(COUNT):
        expected[AT + c] = max(0.0, (own[c] - mean) / np.sqrt(spread + 0.1) * scale[c] + shift[c])
    _normalise(out, AT, source, PLACE, scale, shift, 0.1, COUNT)
    close(out, expected)


@pytest.mark.skipif(accelerate._interpreted, reason="is the interpreted run itself")
def test_interpreted_operations_do_the_same():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    run = subprocess.run(
        command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
