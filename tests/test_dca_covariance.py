"""The inverse of a covariance, large and badly conditioned as those of real alignments are."""

import numpy as np
import pytest

from dca.covariance import inverse_of_positive


def positive(condition, size, rng):
    """Symmetric, with eigenvalues from 1 down to 1 / condition."""
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    return (basis * np.geomspace(1, 1 / condition, size)) @ basis.T


@pytest.mark.parametrize(("condition", "tolerance"), [(10, 1e-5), (2e4, 1e-2)])
def test_inverse_in_single_precision(condition, tolerance):
    matrix = positive(condition, 701, np.random.default_rng(1))
    exact = np.linalg.inv(matrix)
    found = inverse_of_positive(matrix.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, found.T)
    assert np.abs(found - exact).max() < tolerance * np.abs(exact).max()


def test_what_is_not_positive_definite_is_refused():
    matrix = positive(10, 300, np.random.default_rng(2))
    matrix[5, 5] = -1.0
    with pytest.raises(np.linalg.LinAlgError, match=r"300 variables.*pseudocount"):
        inverse_of_positive(matrix.astype(np.float32))
