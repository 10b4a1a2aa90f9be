"""Weighted one- and two-site frequencies of an alignment."""

import numpy as np

from data.alphabet import Q
from dca.accelerate import folded, in_parallel, jit
from dca.space import shaped, space


@jit
def _count_pairs(
    lo: int, hi: int, columns: np.ndarray, weights: np.ndarray, first: np.ndarray, counts: np.ndarray
) -> None:
    """Tables of all pairs i < j; column i + 1 starts at pair first[i].

    One pass per pair over two contiguous columns, into tables that stay in the first-level cache: four in
    turn, since sequences of one family often hit the same cell, and would wait for each other.
    """
    length, rows = columns.shape
    q = counts.shape[1]
    for k in range(lo, hi):
        i = folded(k, length - 1)
        tables = space((4, q * q), np.float32)
        flat = shaped(tables, (4 * q * q,))
        one = space((rows,), np.uint32)
        for n in range(rows):
            one[n] = np.uint32(columns[i, n]) * np.uint32(q)
        for j in range(i + 1, length):
            two = columns[j]
            for cell in range(4 * q * q):
                flat[cell] = np.float32(0.0)
            for n in range(0, rows - 3, 4):
                tables[0, one[n] + two[n]] += weights[n]
                tables[1, one[n + 1] + two[n + 1]] += weights[n + 1]
                tables[2, one[n + 2] + two[n + 2]] += weights[n + 2]
                tables[3, one[n + 3] + two[n + 3]] += weights[n + 3]
            for n in range(rows - rows % 4, rows):
                tables[0, one[n] + two[n]] += weights[n]
            table = shaped(counts[first[i] + j - i - 1], (q * q,))
            for cell in range(q * q):
                table[cell] = tables[0, cell] + tables[1, cell] + tables[2, cell] + tables[3, cell]


def site_frequencies(tokens: np.ndarray, weights: np.ndarray, letters: int = Q) -> np.ndarray:
    """Weighted frequency of each letter in each column.

    Parameters
    ----------
    tokens : int8 [N, L]
        Codes 0 .. letters - 1.
    weights : float32 [N]
        Sequence weights, their sum is Neff.

    Returns
    -------
    float64 [L, letters]
        Rows sum to 1.
    """
    counts, share = np.empty((tokens.shape[1], letters)), weights.astype(np.float64)
    for i in range(len(counts)):
        counts[i] = np.bincount(tokens[:, i], share, letters)
    return counts / counts.sum(axis=1, keepdims=True)


def pair_frequencies(tokens: np.ndarray, weights: np.ndarray, letters: int = Q) -> np.ndarray:
    """Weighted frequency of each pair of letters in each pair of columns.

    Parameters
    ----------
    tokens : int8 [N, L]
    weights : float32 [N]

    Returns
    -------
    float32 [P, letters, letters]
        Pairs i < j in packed order; each table sums to 1.
    """
    length = tokens.shape[1]
    columns = np.ascontiguousarray(tokens.T).view(np.uint8)
    starts = np.arange(length, dtype=np.int64)
    counts = np.empty((length * (length - 1) // 2, letters, letters), dtype=np.float32)
    # Normalised before counting: float32 sums of many weights then stay near 1 and keep their digits.
    share = (weights / weights.sum(dtype=np.float64)).astype(np.float32)
    first = starts * length - starts * (starts + 1) // 2
    in_parallel(_count_pairs, length - 1, columns, share, first, counts)
    return counts
