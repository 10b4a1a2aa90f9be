"""The Potts model that every method returns, with its couplings packed by pair."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Couplings:
    """Fields and couplings of a Potts model on L columns with q letters.

    Attributes
    ----------
    fields : float32 [L, q]
        h_i(a); the energy of a sequence is -sum_i h_i - sum_{i<j} J_ij.
    couplings : float32 [P, q, q]
        J_ij(a, b) of the P = L (L - 1) / 2 pairs i < j, in the order of ``np.triu_indices(L, 1)``.
    """

    fields: np.ndarray
    couplings: np.ndarray

    def __post_init__(self) -> None:
        length, letters = self.fields.shape
        expected = (length * (length - 1) // 2, letters, letters)
        if self.couplings.shape != expected:
            raise ValueError(f"couplings have shape {self.couplings.shape}, expected {expected}")

    @property
    def length(self) -> int:
        """Number of columns L."""
        return self.fields.shape[0]


def pair_index(i: np.ndarray | int, j: np.ndarray | int, length: int) -> np.ndarray | int:
    """Place of the pair i < j in the packed order of ``np.triu_indices(length, 1)``."""
    return i * length - i * (i + 1) // 2 + j - i - 1


def square(packed: np.ndarray, length: int) -> np.ndarray:
    """Symmetric [L, L] map with a zero diagonal from one value per packed pair."""
    full = np.zeros((length, length), dtype=packed.dtype)
    full[np.triu_indices(length, 1)] = packed
    return full + full.T
