"""The tiny alignment that tests/fixtures/golden was computed from, and readers of its numbers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "fixtures" / "golden"
PLANTED = ((0, 11), (2, 13), (4, 19), (7, 16), (9, 22))
COLUMNS = 24
ROWS = 300
FAMILY = 200  # rows from here on are near copies of earlier ones, so that weights matter


def _numbers(state: int = 12345) -> Iterator[int]:
    while True:
        state = (1103515245 * state + 12345) % 2**31
        yield state >> 8


def tiny_alignment() -> np.ndarray:
    """Codes of 300 sequences with five coupled pairs of columns and some gaps; int8 [300, 24]."""
    draw = _numbers()
    ancestor = [next(draw) % 20 for _ in range(COLUMNS)]
    rows: list[list[int]] = []
    tokens = np.empty((ROWS, COLUMNS), dtype=np.int8)
    for n in range(ROWS):
        rows.append(_copy(rows[n - FAMILY], draw) if n >= FAMILY else _fresh(ancestor, draw))
        for k, letter in enumerate(rows[n]):
            tokens[n, k] = 20 if n and next(draw) % 100 < 4 else letter
    return tokens


def _copy(row: list[int], draw: Iterator[int]) -> list[int]:
    return [next(draw) % 20 if next(draw) % 100 < 12 else letter for letter in row]


def _fresh(ancestor: list[int], draw: Iterator[int]) -> list[int]:
    row = [letter if next(draw) % 100 < 25 else next(draw) % 20 for letter in ancestor]
    for i, j in PLANTED:
        if next(draw) % 100 < 75:
            row[j] = (row[i] * 7 + 3) % 20
    return row


def pair_column(name: str, column: int, skip: int, first: int) -> np.ndarray:
    """A map [24, 24] from a column of a table with one line per pair whose indices begin at `first`."""
    lines = (FOLDER / name).read_text().splitlines()[skip:]
    full = np.zeros((COLUMNS, COLUMNS))
    for cells in (line.split() for line in lines):
        i, j = (int(cells[0]), int(cells[1])) if first == 0 else (int(cells[0]) - 1, int(cells[2]) - 1)
        full[i, j] = full[j, i] = float(cells[column])
    return full
