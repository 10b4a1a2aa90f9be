"""The zero-sum (Ising) gauge: the one in which couplings are smallest and fields carry all they can."""

import numpy as np

from dca.accelerate import jit
from dca.couplings import Couplings


def zero_sum(model: Couplings) -> Couplings:
    """The same model with sum_a J_ij(a, b) = sum_b J_ij(a, b) = sum_a h_i(a) = 0.

    Energies change by a constant only: what a coupling loses goes to the fields of both sites
    (Ekeberg et al. 2013, Phys Rev E 87:012707, equation 15 and its text).
    """
    couplings, fields = np.empty_like(model.couplings), model.fields.astype(np.float64)
    _centre(model.couplings, couplings, fields)
    fields -= fields.mean(axis=1, keepdims=True)
    return Couplings(fields.astype(np.float32), couplings)


def mean_energies(couplings: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """What the couplings add to a letter's field on average: sum_j sum_b J_ij(a, b) f_j(b).

    Parameters
    ----------
    couplings : float32 [P, q, q]
        Pairs i < j in packed order.
    frequencies : float32 [L, q]

    Returns
    -------
    float64 [L, q]
    """
    means = np.zeros(frequencies.shape)
    _add_means(couplings, frequencies, means)
    return means


@jit
def _add_means(couplings: np.ndarray, frequencies: np.ndarray, means: np.ndarray) -> None:
    length, q = frequencies.shape
    p = 0
    for i in range(length):
        for j in range(i + 1, length):
            for a in range(q):
                for b in range(q):
                    means[i, a] += couplings[p, a, b] * frequencies[j, b]
                    means[j, b] += couplings[p, a, b] * frequencies[i, a]
            p += 1


@jit(fastmath=True)
def _centre(couplings: np.ndarray, out: np.ndarray, fields: np.ndarray) -> None:
    """out = couplings without the means of their rows and columns, which the fields of both sites take."""
    length, q = fields.shape
    over_b, over_a = np.empty(q), np.empty(q)
    p = 0
    for i in range(length):
        for j in range(i + 1, length):
            block = couplings[p]
            for b in range(q):
                over_a[b] = 0.0
            overall = 0.0
            for a in range(q):
                total = 0.0
                for b in range(q):
                    total += block[a, b]
                    over_a[b] += block[a, b] / q
                over_b[a] = total / q
                overall += total / (q * q)
            for a in range(q):
                fields[i, a] += over_b[a] - overall
                fields[j, a] += over_a[a] - overall
                for b in range(q):
                    out[p, a, b] = block[a, b] - over_b[a] - over_a[b] + overall
            p += 1
