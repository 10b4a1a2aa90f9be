"""From couplings and frequencies to one score per pair: Frobenius norm, direct information, APC."""

import logging

import numpy as np

from data.alphabet import GAP
from dca.accelerate import in_parallel, jit
from dca.couplings import Couplings, square
from dca.frequencies import pair_frequencies, site_frequencies
from dca.space import space

logger = logging.getLogger(__name__)

_LEAST_ENERGY = -500.0  # below a pair's largest coupling: exp(-500) is nothing to see
_MOST_ROUNDS = 10_000  # of rescaling, where letters hardly mix
_SETTLED = 1e-8  # largest change of a factor, the exponential of a field


def frobenius(model: Couplings) -> np.ndarray:
    """Frobenius norm of each pair's couplings over the 20 amino acids, the gap left out.

    Call it on zero-sum couplings (Ekeberg et al. 2013); leaving out the gap follows the same paper.

    Returns
    -------
    float32 [L, L]
        Symmetric, zero diagonal.
    """
    amino = model.couplings[:, :GAP, :GAP]
    return square(np.sqrt(np.einsum("pab,pab->p", amino, amino)), model.length)


def apc(raw: np.ndarray) -> np.ndarray:
    """Average product correction: S_ij - S_i S_j / S, with means over the off-diagonal (Dunn et al. 2008).

    The published form leaves the diagonal out of the means, as here; some programs count it as zeros.

    Parameters
    ----------
    raw : float [L, L]
        Symmetric, zero diagonal.

    Returns
    -------
    float32 [L, L]
        Symmetric, zero diagonal; a map without any signal is returned as it is.
    """
    length = raw.shape[0]
    if length < 2 or not raw.any():
        return raw.astype(np.float32)
    mean = raw.sum(axis=0, dtype=np.float64) / (length - 1)
    corrected = raw - np.outer(mean, mean) / mean.mean()
    np.fill_diagonal(corrected, 0.0)
    return corrected.astype(np.float32)


def mutual_information(tokens: np.ndarray, weights: np.ndarray, pseudocount: float = 1.0) -> np.ndarray:
    """Mutual information of each pair of columns over the 21 letters, in nats.

    Frequencies get `pseudocount` sequences spread evenly over the q x q cells, so that shallow
    alignments do not score pairs by their empty cells.

    Returns
    -------
    float32 [L, L]
        Symmetric, not negative, zero diagonal.
    """
    pairs = pair_frequencies(tokens, weights)
    neff = float(weights.sum(dtype=np.float64))
    q = pairs.shape[1]
    share = pseudocount / (neff + pseudocount)
    pairs *= np.float32(1 - share)
    pairs += np.float32(share / q**2)
    information = np.zeros(pairs.shape[0], dtype=np.float32)
    in_parallel(_information, len(pairs), pairs, information)
    return square(information, tokens.shape[1])


@jit
def _information(lo: int, hi: int, pairs: np.ndarray, information: np.ndarray) -> None:
    q = pairs.shape[1]
    for p in range(lo, hi):
        one, two = space((q,), np.float64), space((q,), np.float64)
        for a in range(q):
            one[a], two[a] = 0.0, 0.0
        for a in range(q):
            for b in range(q):
                one[a] += pairs[p, a, b]
                two[b] += pairs[p, a, b]
        total = 0.0
        for a in range(q):
            for b in range(q):
                total += pairs[p, a, b] * np.log(pairs[p, a, b] / (one[a] * two[b]))
        information[p] = max(total, 0.0)


def direct_information(
    model: Couplings, tokens: np.ndarray, weights: np.ndarray, pseudocount: float = 0.5
) -> np.ndarray:
    """Direct information of each pair: mutual information of the two-site model, in nats.

    The two-site model has the pair's couplings and the fields that reproduce both one-site
    frequencies (Morcos et al. 2011, PNAS 108:E1293, equations 9-11 of its text). Invariant to the gauge.

    Returns
    -------
    float32 [L, L]
        Symmetric, zero diagonal. A warning says for how many pairs the search for these fields gave up, as
        it may where couplings are in the tens and hundreds.
    """
    sites = site_frequencies(tokens, weights)
    sites = (1 - pseudocount) * sites + pseudocount / sites.shape[1]
    first, second = np.triu_indices(model.length, 1)
    information = np.zeros(first.size, dtype=np.float32)
    change = np.zeros(first.size, dtype=np.float32)
    in_parallel(_direct_information, first.size, model.couplings, sites, first, second, information, change)
    unsettled = int(np.count_nonzero(change > _SETTLED))
    if unsettled:
        logger.warning(
            "direct information of %d of %d pairs is not settled after %d rounds of rescaling (factors "
            "still change by up to %.1g): couplings are too strong, raise the penalty or the pseudocount",
            unsettled, first.size, _MOST_ROUNDS, change.max(),
        )  # fmt: skip
    return square(information, model.length)


@jit
def _direct_information(
    lo: int,
    hi: int,
    couplings: np.ndarray,
    sites: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    information: np.ndarray,
    change: np.ndarray,
) -> None:
    """Loops instead of np.dot, for which numba loads scipy."""
    q = sites.shape[1]
    for p in range(lo, hi):
        one, two = sites[first[p]], sites[second[p]]
        boltzmann = space((q, q), np.float64)
        left, right = space((q,), np.float64), space((q,), np.float64)
        largest = couplings[p, 0, 0]
        for a in range(q):
            left[a], right[a] = 1.0 / q, 1.0 / q
            for b in range(q):
                largest = max(largest, couplings[p, a, b])
        for a in range(q):
            for b in range(q):
                boltzmann[a, b] = np.exp(max(float(couplings[p, a, b]) - float(largest), _LEAST_ENERGY))
        moved, rounds = 1.0, 0
        # Alternate rescaling of rows and columns converges for positive matrices
        while moved > _SETTLED and rounds < _MOST_ROUNDS:
            moved = max(_rescale(boltzmann, one, right, left), _rescale(boltzmann.T, two, left, right))
            rounds += 1
        change[p] = moved
        norm = 0.0
        for a in range(q):
            for b in range(q):
                norm += left[a] * boltzmann[a, b] * right[b]
        total = 0.0
        for a in range(q):
            for b in range(q):
                joint = left[a] * boltzmann[a, b] * right[b] / norm
                if joint > 0.0:  # a letter without a frequency and a pseudocount has none
                    total += joint * np.log(joint / one[a] / two[b])
        information[p] = total


@jit
def _rescale(boltzmann: np.ndarray, wanted: np.ndarray, other: np.ndarray, factor: np.ndarray) -> float:
    """factor = wanted / (boltzmann other), scaled to a sum of 1; returns its largest change."""
    q = wanted.shape[0]
    new = space((q,), np.float64)
    total = 0.0
    for a in range(q):
        reached = 0.0
        for b in range(q):
            reached += boltzmann[a, b] * other[b]
        new[a] = wanted[a] / reached
        total += new[a]
    change = 0.0
    for a in range(q):
        change = max(change, abs(new[a] / total - factor[a]))
        factor[a] = new[a] / total
    return change
