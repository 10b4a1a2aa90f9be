"""The zero-sum (Ising) gauge: the one in which couplings are smallest and fields carry all they can."""

import numpy as np

from dca.accelerate import jit
from dca.couplings import Couplings


def zero_sum(model: Couplings) -> Couplings:
    """The same model with sum_a J_ij(a, b) = sum_b J_ij(a, b) = sum_a h_i(a) = 0.

    Energies change by a constant only: what a coupling loses goes to the fields of both sites
    (Ekeberg et al. 2013, Phys Rev E 87:012707, equation 15 and its text).
    """
    length, q = model.fields.shape
    couplings = np.empty_like(model.couplings)
    over_b, over_a = np.empty((len(couplings), q)), np.empty((len(couplings), q))
    _centre(model.couplings, couplings, over_b, over_a)
    first, second = np.triu_indices(length, 1)
    overall = over_b.mean(axis=1, keepdims=True)
    over_b -= overall  # in place: the two are a good third of the couplings
    over_a -= overall
    fields = model.fields.astype(np.float64)
    np.add.at(fields, first, over_b)
    np.add.at(fields, second, over_a)
    fields -= fields.mean(axis=1, keepdims=True)
    return Couplings(fields.astype(np.float32), couplings)


@jit(fastmath=True)
def _centre(couplings: np.ndarray, out: np.ndarray, over_b: np.ndarray, over_a: np.ndarray) -> None:
    """out = couplings without the means of their rows (over_b) and columns (over_a)."""
    q = couplings.shape[1]
    for p in range(couplings.shape[0]):
        block = couplings[p]
        for b in range(q):
            over_a[p, b] = 0.0
        overall = 0.0
        for a in range(q):
            total = 0.0
            for b in range(q):
                total += block[a, b]
                over_a[p, b] += block[a, b] / q
            over_b[p, a] = total / q
            overall += total / (q * q)
        for a in range(q):
            for b in range(q):
                out[p, a, b] = block[a, b] - over_b[p, a] - over_a[p, b] + overall
