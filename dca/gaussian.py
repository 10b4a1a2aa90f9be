"""Couplings of the Gaussian model: the shrunk inverse covariance of the one-hot alignment (ridge).

Source: the regularisation is that of Yang et al. 2020, PNAS 117:1496 (trRosetta's input): covariance of the
21 q-letter indicators with weights at 80 % identity, plus 4.5 / sqrt(sum of weights) on the diagonal.
"""

import numpy as np

from data.alphabet import Q
from dca.couplings import Couplings
from dca.covariance import covariance, negative_inverse_blocks
from dca.frequencies import pair_frequencies, site_frequencies

SHRINKAGE = 4.5


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
    # The weighted estimate's denominator, as trRosetta has it: sum(w) - sqrt(mean(w)).
    scale = neff / max(neff - np.sqrt(neff / weights.size), 1e-6)
    blocks = negative_inverse_blocks(covariance(sites, pairs, Q, scale, shrinkage / np.sqrt(neff)), Q, Q)
    smooth = (neff * sites + 1 / Q) / (neff + 1)
    return Couplings(np.log(smooth / smooth[:, -1:]).astype(np.float32), blocks)
