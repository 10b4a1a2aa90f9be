"""How precision grows with the number of training clusters, and tests of paired differences.

Both work on the rows of `benchmarks/ablation.py`, where they are printed by ``--table``.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import wilcoxon

DRAWS = 2000


class PowerLaw(NamedTuple):
    """Shortfall ``1 - precision = scale * clusters ** -exponent``."""

    scale: float
    exponent: float

    def precision(self, clusters: float) -> float:
        """Precision that the law promises."""
        return float(1 - self.scale * clusters**-self.exponent)


class Extrapolation(NamedTuple):
    """A law fitted on few clusters, and what it says of all of them."""

    law: PowerLaw
    low: float  # 95 % interval of the promised precision over proteins
    high: float
    promised: float
    observed: float


def fit(clusters: np.ndarray, precision: np.ndarray) -> PowerLaw:
    """Least squares of the logarithms.

    Parameters
    ----------
    clusters : float [K]
        Numbers of training clusters, two different ones at least.
    precision : float [K]
        Mean precision, below 1.
    """
    slope, height = np.polyfit(np.log(clusters), np.log(1 - precision), 1)
    return PowerLaw(float(np.exp(height)), float(-slope))


def extrapolate(clusters: np.ndarray, precision: np.ndarray, seed: int = 1) -> Extrapolation:
    """Fit the law on all columns but the last, and check it there.

    Parameters
    ----------
    clusters : float [K]
        Numbers of training clusters, rising.
    precision : float [proteins, K]
        Precision of each held-out protein, a mean over seeds.
    """
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(precision), size=(DRAWS, len(precision)))
    promised = [_promise(clusters, precision[draw].mean(axis=0)) for draw in draws]
    low, high = np.quantile(promised, [0.025, 0.975])
    mean = precision.mean(axis=0)
    return Extrapolation(fit(clusters[:-1], mean[:-1]), low, high, _promise(clusters, mean), float(mean[-1]))


def _promise(clusters: np.ndarray, mean: np.ndarray) -> float:
    return fit(clusters[:-1], mean[:-1]).precision(clusters[-1])


def signed_rank(differences: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Wilcoxon's signed-rank test of each set of paired differences, with Holm's correction over the sets.

    Returns
    -------
    dict of str to (float, float)
        p and the corrected p; 1 where all differences are zero.
    """
    found = {
        name: float(wilcoxon(values).pvalue) if np.any(values) else 1.0
        for name, values in differences.items()
    }
    corrected, largest = {}, 0.0
    for rank, name in enumerate(sorted(found, key=lambda name: found[name])):
        largest = max(largest, min(1.0, (len(found) - rank) * found[name]))
        corrected[name] = largest
    return {name: (found[name], corrected[name]) for name in found}
