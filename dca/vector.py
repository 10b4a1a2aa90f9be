"""Operations on padded float rows, in Python: their definition, and what runs with ``NUMBA_DISABLE_JIT``.

Compiled kernels have those of `dca.vector_llvm` in their place, which work in vector registers.

Arrays are flat, float32; row r of one is its floats 24 r .. 24 r + 23.

The last three let two threads write to one place in turn; marks are int32, 0 before either comes.
"""

import threading
import time

import numpy as np

LANES = 8  # floats of a vector register
WIDTH = 24  # 21 letters and the gap, padded to whole vectors
TRIPLE = 3  # rows that combine_rows makes at once: nine sums hide each other's latency, and fit the registers
LIMIT = 80.0  # energies are held within +-LIMIT: exp stays finite in float32, regularised ones stay far below
LOG2E = 1.4426950408889634
# 2^f on [-1/2, 1/2], Taylor terms ln(2)^k / k!; relative error 2e-7
POWERS = (0.6931471805599453, 0.2402265069591007, 0.05550410866482158, 0.009618129107628477,
          0.0013333558146428443, 0.0001540353039338161)  # fmt: skip


def _row(array: np.ndarray, row: int) -> np.ndarray:
    return array[int(row) * WIDTH : (int(row) + 1) * WIDTH]


def gather_rows(out: np.ndarray, at: int, table: np.ndarray, rows: tuple[int, ...]) -> None:
    """Row `at` of out += sum of these rows of the table, whose number is a power of two."""
    for row in rows:
        _row(out, at)[:] += _row(table, row)


def scatter_row(out: np.ndarray, rows: tuple[int, ...], table: np.ndarray, at: int) -> None:
    """Each of these rows of out += row `at` of the table."""
    for row in rows:
        _row(out, row)[:] += _row(table, at)


def expand_run(table: np.ndarray, left: int, rights: np.ndarray, lo: int, hi: int, shift: int) -> None:
    """Row w + shift = row left + row rights[w], for words w from lo to hi - 1."""
    for w in range(lo, hi):
        _row(table, w + shift)[:] = _row(table, left) + _row(table, rights[w])


def collect_run(table: np.ndarray, left: int, rights: np.ndarray, lo: int, hi: int, shift: int) -> None:
    """Rows left and rights[w] += row w + shift, for words w from lo to hi - 1."""
    for w in range(lo, hi):
        _row(table, left)[:] += _row(table, w + shift)
        _row(table, rights[w])[:] += _row(table, w + shift)


def residual_row(out: np.ndarray, at: int, field: np.ndarray, letter: int, weight: float) -> None:
    """Row `at` of energies, to which the field is added, to weight (P(a) - [a = letter])."""
    factors = np.exp(np.clip(_row(out, at) + field[:WIDTH], -LIMIT, LIMIT))
    _row(out, at)[:] = weight * factors / factors.sum()
    _row(out, at)[int(letter)] -= weight


def combine_rows(out: np.ndarray, at: int, factors: np.ndarray, table: np.ndarray) -> None:
    """Rows at, at + 1, at + 2 of out = these rows of factors times the table, all WIDTH x WIDTH."""
    chosen = slice(int(at) * WIDTH, (int(at) + TRIPLE) * WIDTH)
    out[chosen] = (factors[chosen].reshape(TRIPLE, WIDTH) @ table.reshape(WIDTH, WIDTH)).ravel()


def weigh_rows(out: np.ndarray, table: np.ndarray, factors: np.ndarray) -> None:
    """Row 0 of out = sum of factors[r] times row r of the table."""
    out[:WIDTH] = factors @ table[: factors.size * WIDTH].reshape(-1, WIDTH)


_marking = threading.Lock()


def comes_first(marks: np.ndarray, place: int) -> bool:
    """Whether nobody, this thread included, has asked this of the place before."""
    with _marking:
        first = marks[place] == 0
        marks[place] |= 1
        return bool(first)


def has_written(marks: np.ndarray, place: int) -> None:
    """What the first thread says when it is done there."""
    with _marking:
        marks[place] |= 2


def wait_for_first(marks: np.ndarray, place: int) -> None:
    """Until the first thread is done there, which it is soon."""
    while marks[place] < 2:
        time.sleep(0)
