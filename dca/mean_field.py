"""Mean-field DCA: couplings as the negative inverse of the regularised covariance.

Source: Morcos et al. 2011, PNAS 108:E1293, equations S3-S7 of its supplement. Deviation: the inverse is
taken in single precision through a Cholesky factor, since the pseudocount keeps the matrix well conditioned.
"""

import numpy as np

from dca.accelerate import jit, prange
from dca.couplings import Couplings
from dca.frequencies import pair_frequencies, site_frequencies
from dca.inverse import inverse_of_positive


def with_pseudocount(
    sites: np.ndarray, pairs: np.ndarray, pseudocount: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mix frequencies with the uniform distribution, weight `pseudocount` for the uniform part.

    Parameters
    ----------
    sites : float64 [L, q]
    pairs : float32 [P, q, q]
    pseudocount : float
        0 keeps the data, 1 forgets them; Morcos et al. use 0.5.
    """
    q = sites.shape[1]
    return (
        (1 - pseudocount) * sites + pseudocount / q,
        (1 - pseudocount) * pairs + np.float32(pseudocount / q**2),
    )


@jit(parallel=True)
def _fill_covariance(
    sites: np.ndarray, pairs: np.ndarray, first: np.ndarray, second: np.ndarray, matrix: np.ndarray
) -> None:
    length, letters = sites.shape
    kept = letters - 1  # the gap is the reference letter of the lattice gas
    for p in prange(first.shape[0]):
        i, j = first[p], second[p]
        for a in range(kept):
            for b in range(kept):
                value = pairs[p, a, b] - sites[i, a] * sites[j, b]
                matrix[i * kept + a, j * kept + b] = value
                matrix[j * kept + b, i * kept + a] = value
    for i in prange(length):
        for a in range(kept):
            for b in range(kept):
                same = sites[i, a] if a == b else 0.0
                matrix[i * kept + a, i * kept + b] = same - sites[i, a] * sites[i, b]


@jit(parallel=True)
def _unpack_blocks(
    matrix: np.ndarray, kept: int, first: np.ndarray, second: np.ndarray, blocks: np.ndarray
) -> None:
    for p in prange(first.shape[0]):
        i, j = first[p], second[p]
        for a in range(kept):
            for b in range(kept):
                blocks[p, a, b] = -matrix[i * kept + a, j * kept + b]


def mean_field(tokens: np.ndarray, weights: np.ndarray, pseudocount: float = 0.5) -> Couplings:
    """Couplings of mean-field DCA in the gauge where the gap's are zero.

    Parameters
    ----------
    tokens : int8 [N, L]
    weights : float32 [N]
    pseudocount : float
        Share of the uniform distribution in the frequencies.

    Returns
    -------
    Couplings
        Fields are those of the independent-site model, log f_i(a) / f_i(gap).
    """
    sites, pairs = with_pseudocount(
        site_frequencies(tokens, weights), pair_frequencies(tokens, weights), pseudocount
    )
    length, letters = sites.shape
    first, second = np.triu_indices(length, 1)
    size = length * (letters - 1)
    covariance = np.empty((size, size), dtype=np.float32)
    _fill_covariance(sites, pairs, first, second, covariance)
    inverse = inverse_of_positive(covariance)
    blocks = np.zeros((first.size, letters, letters), dtype=np.float32)
    _unpack_blocks(inverse, letters - 1, first, second, blocks)
    fields = np.log(sites / sites[:, -1:]).astype(np.float32)
    return Couplings(fields, blocks)
