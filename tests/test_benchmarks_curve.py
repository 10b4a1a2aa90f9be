"""The learning curve and the paired tests: closed forms and an independent program's numbers."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from benchmarks.curve import PowerLaw, extrapolate, fit, signed_rank


def test_a_power_law_is_found_again():
    clusters = np.array([12.0, 24.0, 47.0])
    law = PowerLaw(1.3, 0.4)
    found = fit(clusters, np.array([law.precision(n) for n in clusters]))
    assert found == pytest.approx(law)


def test_the_last_column_is_not_fitted():
    clusters = np.array([12.0, 24.0, 47.0, 94.0])
    rng = np.random.default_rng(1)
    precision = 1 - (0.9 + 0.2 * rng.random((30, 1))) * clusters**-0.2
    found = extrapolate(clusters, precision)
    assert found.promised == pytest.approx(found.observed, abs=1e-9)
    assert found.low < found.promised < found.high
    lower = precision.copy()
    lower[:, -1] -= 0.1
    again = extrapolate(clusters, lower)
    assert again.promised == found.promised
    assert again.observed == pytest.approx(found.observed - 0.1)


def test_signed_rank_with_holms_correction():
    rng = np.random.default_rng(2)
    differences = {name: rng.normal(shift, 1, 20) for name, shift in (("a", 0.0), ("b", 1.5), ("c", 0.5))}
    found = signed_rank(differences)
    raw = {name: wilcoxon(values).pvalue for name, values in differences.items()}
    assert {name: p for name, (p, _) in found.items()} == pytest.approx(raw)
    small, middle, large = sorted(raw, key=lambda name: raw[name])
    assert found[small][1] == pytest.approx(min(1, 3 * raw[small]))
    assert found[middle][1] == pytest.approx(max(found[small][1], min(1, 2 * raw[middle])))
    assert found[large][1] == pytest.approx(max(found[middle][1], raw[large]))


def test_no_difference_at_all_is_no_evidence():
    assert signed_rank({"same": np.zeros(8)}) == {"same": (1.0, 1.0)}
