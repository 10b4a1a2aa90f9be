"""Operations on rows of channels, in Python: their definition, and what runs with ``NUMBA_DISABLE_JIT``.

They are what a 3 x 3 convolution by minimal filtering is made of: Winograd's F(4, 3) in each direction, in
the form of Lavin & Gray 2016, CVPR, 4013. Four results in a row take six products in place of twelve, so
that 4 x 4 results take 36 and not 144.

Compiled kernels have the operations of `dca.tile_llvm` in their place, which work in vector registers.
Arrays are flat, float32; a row is `count` floats from a place on, a multiple of `LANES`.
"""

import numpy as np

from dca.vector import LANES

TOGETHER = 6  # rows that multiply_rows makes at once: their sums fill the registers, and hide their latency
PANEL = 2 * LANES  # columns that it makes at once
POINTS = 6  # products of four results
RESULTS = 4
# What the three weights are multiplied with; and below, what six inputs and six products are
WEIGHTS = np.array(
    [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6],
     [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]
)  # fmt: skip
_INPUTS = np.array(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0],
     [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], dtype=np.float32
)  # fmt: skip
_PRODUCTS = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=np.float32
)


def _rows(array: np.ndarray, place: int, apart: int, number: int, count: int) -> list[np.ndarray]:
    return [array[place + k * apart : place + k * apart + count] for k in range(number)]


def _transform(
    matrix: np.ndarray,
    out: np.ndarray,
    at: int,
    apart: int,
    source: np.ndarray,
    place: int,
    gap: int,
    count: int,
) -> None:
    made = matrix @ np.stack(_rows(source, place, gap, POINTS, count))
    for row, value in zip(_rows(out, at, apart, len(matrix), count), made, strict=True):
        row[:] = value


def spread_six(
    out: np.ndarray, at: int, apart: int, source: np.ndarray, place: int, gap: int, count: int
) -> None:
    """Six rows of out from `at` on, `apart` floats apart = what six rows of source are multiplied as."""
    _transform(_INPUTS, out, at, apart, source, place, gap, count)


def gather_four(
    out: np.ndarray, at: int, apart: int, source: np.ndarray, place: int, gap: int, count: int
) -> None:
    """Four rows of out, the results of six rows of products."""
    _transform(_PRODUCTS, out, at, apart, source, place, gap, count)


def write_row(
    out: np.ndarray, at: int, source: np.ndarray, place: int, shift: np.ndarray, least: float, count: int
) -> None:
    """A row of out = a row of source plus the shift, and no number below the least."""
    out[at : at + count] = np.maximum(source[place : place + count] + shift[:count], np.float32(least))


def add_scaled(
    out: np.ndarray, at: int, source: np.ndarray, place: int, scale: np.ndarray, shift: np.ndarray, count: int
) -> None:
    """A row of out += a row of source times the scale plus the shift."""
    out[at : at + count] += source[place : place + count] * scale[:count] + shift[:count]


def add_squares(
    out: np.ndarray, at: int, source: np.ndarray, place: int, middle: np.ndarray, count: int
) -> None:
    """A row of out += the squares of a row of source less the middle."""
    out[at : at + count] += np.square(source[place : place + count] - middle[:count])


def elu_row(
    out: np.ndarray, at: int, source: np.ndarray, place: int, scale: np.ndarray, shift: np.ndarray, count: int
) -> None:
    """A row of out = exponential linear units of a row of source times the scale plus the shift."""
    row = source[place : place + count] * scale[:count] + shift[:count]
    out[at : at + count] = np.where(row > 0, row, np.exp(np.minimum(row, 0)) - np.float32(1))


def normalise_row(
    out: np.ndarray, at: int, source: np.ndarray, place: int, scale: np.ndarray, shift: np.ndarray,
    small: float, count: int,
) -> None:  # fmt: skip
    """A row of out = what is above 0 of a row of source, normalised, scaled and shifted."""
    row = source[place : place + count]
    row = row - row.mean()
    row = row / np.sqrt(np.square(row).mean() + np.float32(small)) * scale[:count] + shift[:count]
    out[at : at + count] = np.maximum(row, np.float32(0))


def multiply_rows(
    out: np.ndarray,
    at: int,
    apart: int,
    left: np.ndarray,
    place: int,
    right: np.ndarray,
    panel: int,
    depth: int,
) -> None:
    """`TOGETHER` rows of `PANEL` floats of out = as many rows of left, `depth` long, times a panel of right.

    The rows of left follow each other, and so do the `depth` rows of the panel, of `PANEL` floats each.
    """
    factors = np.stack(_rows(left, place, depth, TOGETHER, depth))
    made = factors @ right[panel : panel + depth * PANEL].reshape(depth, PANEL)
    for row, value in zip(_rows(out, at, apart, TOGETHER, PANEL), made, strict=True):
        row[:] = value
