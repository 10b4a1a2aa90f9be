"""Mean-field DCA: couplings as the negative inverse of the regularised covariance.

Source: Morcos et al. 2011, PNAS 108:E1293, equations S3-S7 of its supplement. Deviation: the inverse is
taken in single precision through a Cholesky factor, since the pseudocount keeps the matrix well conditioned.
"""

import numpy as np

from dca.couplings import Couplings
from dca.covariance import covariance, negative_inverse_blocks
from dca.frequencies import pair_frequencies, site_frequencies


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
    kept = sites.shape[1] - 1  # the gap is the reference letter of the lattice gas
    matrix = covariance(sites, pairs, kept)
    del pairs  # the inverse needs the room
    blocks = negative_inverse_blocks(matrix, kept, kept + 1)
    fields = np.log(sites / sites[:, -1:]).astype(np.float32)
    return Couplings(fields, blocks)
