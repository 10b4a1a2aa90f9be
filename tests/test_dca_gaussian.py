"""The Gaussian model against a naive normal-inverse-Wishart posterior written from its paper."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dca.gaussian import gaussian
from dca.mean_field import with_pseudocount

Q = 20


def indicators(tokens):
    """One-hot rows [N, 20 L]; the gap has no indicator."""
    rows, length = tokens.shape
    matrix = np.zeros((rows, length * Q))
    for n in range(rows):
        for i in range(length):
            if tokens[n, i] < Q:
                matrix[n, i * Q + tokens[n, i]] = 1
    return matrix


def posterior_covariance(tokens, weights, kappa):
    """E[Sigma] = Lambda' / (nu' - 20 L - 1) of Baldassi et al. 2014, parameter by parameter."""
    x = indicators(tokens)
    variables = x.shape[1]
    count = weights.sum(dtype=float)
    mean = np.zeros(variables)
    for n in range(len(x)):
        mean += weights[n] * x[n] / count
    scatter = np.zeros((variables, variables))
    for n in range(len(x)):
        scatter += weights[n] * np.outer(x[n] - mean, x[n] - mean)
    eta = np.full(variables, 1 / (Q + 1))
    uniform = np.kron(np.eye(tokens.shape[1]), (np.eye(Q) - 1 / (Q + 1)) / (Q + 1))
    nu = variables + kappa + 1
    scale = (nu - variables - 1) * uniform  # so that the prior expects `uniform`
    scale = scale + scatter + kappa * count / (kappa + count) * np.outer(mean - eta, mean - eta)
    return scale / (nu + count - variables - 1)


def random_alignment(seed, rows=25, length=4):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, Q + 1, size=(rows, length)).astype(np.int8)
    tokens[: rows // 2, 1] = tokens[: rows // 2, 0]
    return tokens, rng.uniform(0.1, 1, size=rows).astype(np.float32)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.95))
def test_posterior_is_the_covariance_with_a_pseudocount(seed, share):
    tokens, weights = random_alignment(seed)
    kappa = share / (1 - share) * weights.sum(dtype=float)
    frequencies = naive.site_frequencies(tokens, weights), naive.pair_frequencies(tokens, weights)
    mixed = naive.covariance(*with_pseudocount(*frequencies, share), Q)
    np.testing.assert_allclose(mixed, posterior_covariance(tokens, weights, kappa), atol=1e-7)


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_couplings_twin(share):
    tokens, weights = random_alignment(3)
    kappa = share / (1 - share) * weights.sum(dtype=float)
    expected = -np.linalg.inv(posterior_covariance(tokens, weights, kappa))
    blocks = expected.reshape(4, Q, 4, Q).transpose(0, 2, 1, 3)[np.triu_indices(4, 1)]
    found = gaussian(tokens, weights, share).couplings
    np.testing.assert_allclose(found[:, :Q, :Q], blocks, atol=1e-4 * np.abs(blocks).max())
    assert not found[:, Q].any()
    assert not found[:, :, Q].any()


def test_default_is_the_weight_of_the_frobenius_score():
    tokens, weights = random_alignment(4)
    np.testing.assert_array_equal(
        gaussian(tokens, weights).couplings, gaussian(tokens, weights, 0.8).couplings
    )


def test_prior_alone_has_no_couplings():
    assert np.abs(gaussian(*random_alignment(5), 1.0).couplings).max() < 1e-4


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_bad_weight(share):
    with pytest.raises(ValueError, match="prior_weight"):
        gaussian(*random_alignment(6), share)
