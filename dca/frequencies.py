"""Weighted one- and two-site frequencies of an alignment."""

import numpy as np

from data.alphabet import Q
from dca.accelerate import jit, prange


@jit
def _count_sites(columns: np.ndarray, weights: np.ndarray, counts: np.ndarray) -> None:
    for i in range(columns.shape[0]):
        for n in range(columns.shape[1]):
            counts[i, columns[i, n]] += weights[n]


@jit(parallel=True)
def _count_pairs(
    columns: np.ndarray, weights: np.ndarray, first: np.ndarray, second: np.ndarray, counts: np.ndarray
) -> None:
    # One pass per pair over two contiguous columns; the q x q table stays in the first-level cache.
    for p in prange(first.shape[0]):
        one = columns[first[p]]
        two = columns[second[p]]
        table = counts[p]
        for n in range(one.shape[0]):
            table[one[n], two[n]] += weights[n]


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
    columns = np.ascontiguousarray(tokens.T)
    counts = np.zeros((tokens.shape[1], letters))
    _count_sites(columns, weights.astype(np.float64), counts)
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
    first, second = np.triu_indices(length, 1)
    columns = np.ascontiguousarray(tokens.T)
    counts = np.zeros((first.size, letters, letters), dtype=np.float32)
    # Normalised before counting: float32 sums of many weights then stay near 1 and keep their digits.
    share = (weights / weights.sum(dtype=np.float64)).astype(np.float32)
    _count_pairs(columns, share, first, second, counts)
    return counts
