"""The zero-sum (Ising) gauge: the one in which couplings are smallest and fields carry all they can."""

import numpy as np

from dca.couplings import Couplings


def zero_sum(model: Couplings) -> Couplings:
    """The same model with sum_a J_ij(a, b) = sum_b J_ij(a, b) = sum_a h_i(a) = 0.

    Energies change by a constant only: what a coupling loses goes to the fields of both sites
    (Ekeberg et al. 2013, Phys Rev E 87:012707, equation 15 and its text).
    """
    first, second = np.triu_indices(model.length, 1)
    over_b = model.couplings.mean(axis=2)  # [P, q]: mean over the second site's letter
    over_a = model.couplings.mean(axis=1)  # [P, q]: mean over the first site's letter
    overall = over_b.mean(axis=1)  # [P]
    couplings = model.couplings - over_b[:, :, None] - over_a[:, None, :] + overall[:, None, None]
    fields = model.fields.astype(np.float64)
    np.add.at(fields, first, over_b - overall[:, None])
    np.add.at(fields, second, over_a - overall[:, None])
    fields -= fields.mean(axis=1, keepdims=True)
    return Couplings(fields.astype(np.float32), couplings)
