"""The zero-sum (Ising) gauge: the one in which couplings are smallest and fields carry all they can."""

import numpy as np

from dca.accelerate import in_parallel, jit
from dca.couplings import Couplings
from dca.space import space


def zero_sum(model: Couplings) -> Couplings:
    """The same model with sum_a J_ij(a, b) = sum_b J_ij(a, b) = sum_a h_i(a) = 0.

    Energies change by a constant only: what a coupling loses goes to the fields of both sites
    (Ekeberg et al. 2013, Phys Rev E 87:012707, equation 15 and its text).
    """
    length, q = model.fields.shape
    couplings = np.empty_like(model.couplings)
    fields = model.fields + mean_energies(model.couplings, np.full((length, q), 1 / q, dtype=np.float32))
    fields -= fields.mean(axis=1, keepdims=True)
    in_parallel(_centre, len(couplings), model.couplings, couplings)
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
    means = np.empty(frequencies.shape)
    in_parallel(_add_means, len(means), couplings, frequencies, means)
    return means


@jit(fastmath=True)
def _add_means(lo: int, hi: int, couplings: np.ndarray, frequencies: np.ndarray, means: np.ndarray) -> None:
    """Rows of means one by one, so that threads share none: each pair's couplings are read for both sites."""
    length, q = frequencies.shape
    sums = space((q,), np.float64)
    for i in range(lo, hi):
        for a in range(q):
            sums[a] = 0.0
        for j in range(i):
            block = couplings[j * length - j * (j + 1) // 2 + i - j - 1]
            for b in range(q):
                factor = frequencies[j, b]
                for a in range(q):
                    sums[a] += block[b, a] * factor
        for j in range(i + 1, length):
            block = couplings[i * length - i * (i + 1) // 2 + j - i - 1]
            for a in range(q):
                total = 0.0
                for b in range(q):
                    total += block[a, b] * frequencies[j, b]
                sums[a] += total
        for a in range(q):
            means[i, a] = sums[a]


@jit(fastmath=True)
def _centre(lo: int, hi: int, couplings: np.ndarray, out: np.ndarray) -> None:
    """out = couplings without the means of their rows and columns."""
    q = couplings.shape[1]
    over_b, over_a = space((q,), np.float64), space((q,), np.float64)
    for p in range(lo, hi):
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
            for b in range(q):
                out[p, a, b] = block[a, b] - over_b[a] - over_a[b] + overall
