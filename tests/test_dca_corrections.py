"""Entropy correction against naive loops, low-rank and sparse parts of known sums, order of columns."""

import logging
import math

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dca.corrections import _shrink_spectrum, entropy_correction, low_rank_sparse


def naive_entropy_correction(raw, tokens, weights):
    length = len(raw)
    frequencies = naive.site_frequencies(tokens, weights)
    entropy = [0.0] * length
    for i in range(length):
        for a in range(20):
            if frequencies[i, a] > 0:
                entropy[i] -= frequencies[i, a] * math.log2(frequencies[i, a])
    above = below = 0.0
    for i in range(length):
        for j in range(i + 1, length):
            above += raw[i, j] * math.sqrt(entropy[i] * entropy[j])
            below += entropy[i] * entropy[j]
    corrected = np.zeros((length, length))
    for i in range(length):
        for j in range(length):
            if i != j:
                corrected[i, j] = raw[i, j] - above / below * math.sqrt(entropy[i] * entropy[j])
    return corrected


def random_map(rng, length):
    raw = np.triu(rng.gamma(2.0, size=(length, length)), 1)
    return raw + raw.T


def random_alignment(rng, rows, length):
    """Columns from conserved to mixed, with gaps."""
    tokens = rng.integers(0, rng.integers(1, 21, size=length), size=(rows, length)).astype(np.int8)
    tokens[rng.random((rows, length)) < 0.1] = 20
    return tokens, rng.uniform(0.2, 1, size=rows).astype(np.float32)


def planted(rng, length=60, contacts=40):
    """A product of column factors, and spikes on some pairs; both symmetric with a zero diagonal."""
    factor = rng.uniform(0.5, 1.5, size=length)
    background, spikes = np.outer(factor, factor), np.zeros((length, length))
    first, second = np.triu_indices(length, 1)
    chosen = rng.choice(first.size, size=contacts, replace=False)
    spikes[first[chosen], second[chosen]] = rng.uniform(0.5, 2.0, size=contacts)
    np.fill_diagonal(background, 0)
    return background, spikes + spikes.T


@pytest.mark.parametrize("seed", [0, 1])
def test_entropy_correction_twin(seed):
    rng = np.random.default_rng(seed)
    tokens, weights = random_alignment(rng, 30, 7)
    raw = random_map(rng, 7)
    expected = naive_entropy_correction(raw, tokens, weights)
    np.testing.assert_allclose(entropy_correction(raw, tokens, weights), expected, atol=1e-5)


def test_scores_that_entropies_explain_vanish():
    rng = np.random.default_rng(2)
    tokens, weights = random_alignment(rng, 50, 9)
    weights[:] = 1
    entropy = np.zeros(9)
    for i in range(9):
        shares = np.bincount(tokens[:, i], minlength=21)[:20] / 50
        entropy[i] = -sum(f * math.log(f) for f in shares if f > 0)
    raw = 3.7 * np.sqrt(np.outer(entropy, entropy))
    assert np.abs(entropy_correction(raw, tokens, weights)).max() < 1e-5
    np.fill_diagonal(raw, 0)
    raw[2, 5] = raw[5, 2] = raw[2, 5] + 10
    found = entropy_correction(raw, tokens, weights)
    assert np.unravel_index(found.argmax(), found.shape) == (2, 5)


def test_entropy_correction_of_columns_that_do_not_vary():
    raw = random_map(np.random.default_rng(3), 4)
    tokens = np.tile(np.arange(4, dtype=np.int8), (5, 1))
    np.testing.assert_allclose(entropy_correction(raw, tokens, np.ones(5, np.float32)), raw, rtol=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rank_one_and_planted_contacts_come_apart(seed):
    background, spikes = planted(np.random.default_rng(seed))
    found = low_rank_sparse(background + spikes, tolerance=1e-7, max_iterations=5000)
    np.testing.assert_allclose(found, spikes, atol=1e-3)
    assert np.count_nonzero(np.abs(found) > 1e-3) == np.count_nonzero(spikes)


def test_diagonal_costs_nothing():
    """With a price on the diagonal, this map would lose its contacts to the background."""
    background, spikes = planted(np.random.default_rng(0), length=12, contacts=3)
    found = low_rank_sparse(background + spikes, 2 / np.sqrt(12), tolerance=1e-7, max_iterations=5000)
    np.testing.assert_allclose(found, spikes, atol=1e-3)


def test_background_alone_leaves_nothing():
    background, _ = planted(np.random.default_rng(4))
    assert np.abs(low_rank_sparse(background)).max() < 1e-3


def test_contacts_alone_stay():
    _, spikes = planted(np.random.default_rng(5), contacts=20)
    np.testing.assert_allclose(low_rank_sparse(spikes), spikes, atol=1e-3)


def test_more_sparsity_keeps_fewer_pairs():
    raw = random_map(np.random.default_rng(6), 30)
    kept = [np.count_nonzero(low_rank_sparse(raw, sparsity)) for sparsity in (0.1, 0.3, 0.6)]
    assert kept[0] > kept[1] > kept[2]


def test_shrink_spectrum_twin():
    rng = np.random.default_rng(7)
    matrix = rng.normal(size=(12, 12))
    matrix = matrix + matrix.T
    left, values, right = np.linalg.svd(matrix)
    expected = np.zeros((12, 12))
    for k in range(12):
        expected += max(values[k] - 1.5, 0.0) * np.outer(left[:, k], right[k])
    np.testing.assert_allclose(_shrink_spectrum(matrix, 1.5), expected, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), length=st.integers(2, 25))
def test_order_of_columns_moves_the_map_with_it(seed, length):
    rng = np.random.default_rng(seed)
    raw = random_map(rng, length)
    tokens, weights = random_alignment(rng, 20, length)
    order = rng.permutation(length)
    moved = raw[np.ix_(order, order)]
    for one, two in (
        (entropy_correction(raw, tokens, weights), entropy_correction(moved, tokens[:, order], weights)),
        (low_rank_sparse(raw), low_rank_sparse(moved)),
    ):
        np.testing.assert_allclose(two, one[np.ix_(order, order)], atol=1e-4)
        np.testing.assert_allclose(one, one.T, atol=1e-6)
        assert one.dtype == np.float32
        assert not np.diag(one).any()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100))
def test_unit_and_diagonal_of_the_map_do_not_matter(seed, scale):
    rng = np.random.default_rng(seed)
    raw = random_map(rng, 12)
    tokens, weights = random_alignment(rng, 20, 12)
    other = scale * raw + np.diag(rng.normal(size=12))
    for one, two in (
        (entropy_correction(raw, tokens, weights), entropy_correction(other, tokens, weights)),
        (low_rank_sparse(raw), low_rank_sparse(other)),
    ):
        np.testing.assert_allclose(two / scale, one, atol=1e-4)


def test_the_map_that_is_given_stays():
    rng = np.random.default_rng(8)
    raw, (tokens, weights) = random_map(rng, 8) + np.eye(8), random_alignment(rng, 20, 8)
    before = raw.copy()
    entropy_correction(raw, tokens, weights)
    low_rank_sparse(raw)
    np.testing.assert_array_equal(raw, before)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_map_of_nothing(length):
    raw = np.zeros((length, length), np.float32)
    tokens = np.zeros((3, length), np.int8)
    assert not low_rank_sparse(raw).any()
    assert not entropy_correction(raw, tokens, np.ones(3, np.float32)).any()


def test_stopping_early_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        low_rank_sparse(random_map(np.random.default_rng(9), 20), max_iterations=2)
    assert "stopped after 2 iterations" in caplog.text


def test_bad_input():
    tokens, weights = np.zeros((3, 4), np.int8), np.ones(3, np.float32)
    with pytest.raises(ValueError, match=r"\(4, 3\)"):
        entropy_correction(np.zeros((4, 3)), tokens, weights)
    with pytest.raises(ValueError, match="5 columns, the alignment 4"):
        entropy_correction(np.zeros((5, 5)), tokens, weights)
    with pytest.raises(ValueError, match=r"\(4,\)"):
        low_rank_sparse(np.zeros(4))
    with pytest.raises(ValueError, match="sparsity"):
        low_rank_sparse(np.ones((4, 4)), sparsity=0.0)
