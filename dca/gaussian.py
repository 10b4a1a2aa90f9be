"""Couplings of Gaussian models of the one-hot alignment, regularised in two ways.

`ridge` adds a constant to the diagonal of the covariance; `gaussian` takes the covariance that a
normal-inverse-Wishart prior expects after the alignment, which is mean-field's.
"""

import numpy as np

from data.alphabet import Q
from dca.couplings import Couplings
from dca.covariance import covariance, inverse_of_positive, negative_inverse_blocks
from dca.frequencies import pair_frequencies, site_frequencies
from dca.mean_field import mean_field

SHRINKAGE = 4.5
PRIOR_WEIGHT = 0.8


def ridge(tokens: np.ndarray, weights: np.ndarray, shrinkage: float = SHRINKAGE) -> Couplings:
    """Negative shrunk precision matrix of the alignment.

    Source: the regularisation is that of Yang et al. 2020, PNAS 117:1496 (trRosetta's input): covariance of
    the indicators of 21 letters with weights at 80 % identity, plus 4.5 / sqrt(sum of weights) on the
    diagonal.

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
    blocks = negative_inverse_blocks(_shrunk_covariance(tokens, weights, sites, shrinkage), Q, Q)
    smooth = (neff * sites + 1 / Q) / (neff + 1)
    return Couplings(np.log(smooth / smooth[:, -1:]).astype(np.float32), blocks)


def shrunk_inverse(tokens: np.ndarray, weights: np.ndarray, shrinkage: float = SHRINKAGE) -> np.ndarray:
    """The precision matrix whose negative blocks are the couplings of `ridge`, diagonal blocks included.

    Parameters
    ----------
    tokens, weights, shrinkage
        As for `ridge`.

    Returns
    -------
    float32 [L q, L q]
    """
    sites = site_frequencies(tokens, weights)
    return inverse_of_positive(_shrunk_covariance(tokens, weights, sites, shrinkage))


def _shrunk_covariance(
    tokens: np.ndarray, weights: np.ndarray, sites: np.ndarray, shrinkage: float
) -> np.ndarray:
    neff = float(weights.sum(dtype=np.float64))
    # The weighted estimate's denominator, as trRosetta has it: sum(w) - sqrt(mean(w)).
    scale = neff / max(neff - np.sqrt(neff / weights.size), 1e-6)
    # The frequencies have no name: they are gone before the inverse needs the room.
    return covariance(sites, pair_frequencies(tokens, weights), Q, scale, shrinkage / np.sqrt(neff))


def gaussian(tokens: np.ndarray, weights: np.ndarray, prior_weight: float = PRIOR_WEIGHT) -> Couplings:
    """Couplings of the multivariate Gaussian model with a normal-inverse-Wishart prior.

    Source: Baldassi et al. 2014, PLoS ONE 9:e92721. The indicators of the 20 amino acids of all columns are
    taken as Gaussian. Their prior is normal-inverse-Wishart with the mean eta and the expected covariance U
    of uniform, independent columns; with f and C the weighted mean and covariance of the alignment,
    prior_weight = kappa / (kappa + Neff) and the paper's nu = 20 L + kappa + 1, the posterior's expected
    covariance is

        prior_weight U + (1 - prior_weight) C + prior_weight (1 - prior_weight) (f - eta) (f - eta)^T.

    This is the covariance of a mixture (within plus between its parts) of uniform sequences and the
    alignment, which is what a pseudocount makes of the frequencies. So the model *is* mean-field DCA
    with ``pseudocount = prior_weight``, and is computed as that; only the default weight differs
    (0.8, the paper's for the Frobenius score; Morcos et al. take 0.5).

    Parameters
    ----------
    tokens : int8 [N, L]
    weights : float32 [N]
    prior_weight : float
        The prior's share of the posterior covariance, in (0, 1].

    Returns
    -------
    Couplings
        In the gauge where the gap's couplings are zero. The fields are not the Gaussian's but those of
        independent sites, log f_i(a) / f_i(gap) with the pseudocount, as for mean-field.

    Raises
    ------
    ValueError
        The weight lies outside (0, 1].
    """
    if not 0 < prior_weight <= 1:
        raise ValueError(f"prior_weight must lie in (0, 1], got {prior_weight}")
    return mean_field(tokens, weights, pseudocount=prior_weight)
