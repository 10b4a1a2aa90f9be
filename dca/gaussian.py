"""Couplings of the Gaussian model: the shrunk inverse covariance of the one-hot alignment (ridge).

Source: the regularisation is that of Yang et al. 2020, PNAS 117:1496 (trRosetta's input): covariance of the
21 q-letter indicators with weights at 80 % identity, plus 4.5 / sqrt(sum of weights) on the diagonal.
"""

import numpy as np

from data.alphabet import Q
from dca.accelerate import jit, prange
from dca.couplings import Couplings
from dca.frequencies import pair_frequencies, site_frequencies
from dca.inverse import inverse_of_positive

SHRINKAGE = 4.5


@jit(parallel=True)
def _fill_full_covariance(
    sites: np.ndarray,
    pairs: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    scale: float,
    ridge: float,
    matrix: np.ndarray,
) -> None:
    length, q = sites.shape
    for p in prange(first.shape[0]):
        i, j = first[p], second[p]
        for a in range(q):
            for b in range(q):
                value = scale * (pairs[p, a, b] - sites[i, a] * sites[j, b])
                matrix[i * q + a, j * q + b] = value
                matrix[j * q + b, i * q + a] = value
    for i in prange(length):
        for a in range(q):
            for b in range(q):
                matrix[i * q + a, i * q + b] = -scale * sites[i, a] * sites[i, b]
            matrix[i * q + a, i * q + a] += scale * sites[i, a] + ridge


@jit(parallel=True)
def _copy_blocks(
    matrix: np.ndarray, q: int, first: np.ndarray, second: np.ndarray, blocks: np.ndarray
) -> None:
    for p in prange(first.shape[0]):
        i, j = first[p], second[p]
        for a in range(q):
            for b in range(q):
                blocks[p, a, b] = -matrix[i * q + a, j * q + b]


def ridge(tokens: np.ndarray, weights: np.ndarray, shrinkage: float = SHRINKAGE) -> Couplings:
    """Negative shrunk precision matrix of the alignment.

    Parameters
    ----------
    tokens : int8 [N, L]
    weights : float32 [N]
    shrinkage : float
        The diagonal gets shrinkage / sqrt(Neff).

    Returns
    -------
    Couplings
        All 21 letters, no gauge applied (the ridge fixes it); fields are log frequencies against the gap's,
        with one pseudo-sequence.
    """
    neff = float(weights.sum(dtype=np.float64))
    sites = site_frequencies(tokens, weights)
    pairs = pair_frequencies(tokens, weights)
    length = sites.shape[0]
    first, second = np.triu_indices(length, 1)
    covariance = np.empty((length * Q, length * Q), dtype=np.float32)
    # The weighted estimate's denominator, as trRosetta has it: sum(w) - sqrt(mean(w)).
    scale = neff / max(neff - np.sqrt(neff / weights.size), 1e-6)
    _fill_full_covariance(sites, pairs, first, second, scale, shrinkage / np.sqrt(neff), covariance)
    blocks = np.empty((first.size, Q, Q), dtype=np.float32)
    _copy_blocks(inverse_of_positive(covariance), Q, first, second, blocks)
    smooth = (neff * sites + 1 / Q) / (neff + 1)
    return Couplings(np.log(smooth / smooth[:, -1:]).astype(np.float32), blocks)
