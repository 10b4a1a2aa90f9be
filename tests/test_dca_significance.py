"""p- and q-values: counting against loops, a null that is uniform, planted couplings that are found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dca.maps import apc, mutual_information
from dca.significance import (
    BINS,
    coupling_significance,
    empirical_p,
    merge_strata,
    pair_strata,
    site_entropy,
)
from dca.simulate import _add_gaps, simulate_family, yule_tree
from dca.site_process import SiteProcess, evolve_sites
from dca.weights import sequence_weights


def score(tokens, weights):
    return apc(mutual_information(tokens, weights))


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.int64, 8, elements=st.integers(-3, 3)),
    arrays(np.int64, 15, elements=st.integers(-3, 3)),
    arrays(np.int64, 23, elements=st.integers(0, 1)),
)
def test_empirical_p_counts_ties(observed, null, strata):
    """Integers, so that there are ties: a null score as high counts."""
    p, sizes = empirical_p(observed, strata[:8], null, strata[8:])
    for k in range(8):
        same = [value for value, name in zip(null, strata[8:], strict=True) if name == strata[k]]
        assert p[k] == pytest.approx((1 + sum(v >= observed[k] for v in same)) / (1 + len(same)))
        assert sizes[strata[k]] == len(same)


def test_strata_are_symmetric_bins_of_both_entropies():
    upper = np.triu_indices(4, 1)
    found = pair_strata(np.array([0.1, 2.5, 1.5, 0.2]), np.array([1.0, 2.0]), upper)
    bins = [0, 2, 1, 0]
    expected = [BINS * min(bins[i], bins[j]) + max(bins[i], bins[j]) for i, j in zip(*upper, strict=True)]
    assert found.tolist() == expected


@settings(max_examples=50, deadline=None)
@given(arrays(np.int64, BINS * BINS, elements=st.integers(0, 3000)))
def test_merged_strata_are_large_enough(sizes):
    low, high = np.divmod(np.arange(BINS * BINS), BINS)
    sizes[low > high] = 0
    merged = merge_strata(sizes, 1000)
    total = np.bincount(merged, weights=sizes)
    assert set(merged) == set(range(merged.max() + 1))
    assert merged.max() == 0 or total.min() >= 1000


def test_large_strata_stay_apart():
    low, high = np.divmod(np.arange(BINS * BINS), BINS)
    merged = merge_strata(np.where(low <= high, 2000, 0), 1000)
    assert len(set(merged[low <= high])) == BINS * (BINS + 1) // 2


def test_entropy_of_known_columns():
    tokens = np.array([[0, 0, 20], [0, 1, 20], [0, 0, 20], [0, 1, 20]], dtype=np.int8)
    np.testing.assert_allclose(site_entropy(tokens, np.ones(4, np.float32)), [0, np.log(2), 0], atol=1e-12)


@pytest.fixture(scope="module")
def uncoupled():
    """Independent sites of different rates along a tree, with runs of gaps."""
    rng = np.random.default_rng(3)
    rates = rng.gamma(2.0, 0.5, size=40)
    profile = rng.dirichlet(np.full(20, 0.3), size=40)
    process = SiteProcess(yule_tree(200, 1.5, rng), profile, rates / rates.mean())
    tokens = _add_gaps(evolve_sites(process, rng), 0.1, rng)
    return tokens, sequence_weights(tokens)


def test_p_is_uniform_without_couplings(uncoupled):
    found = coupling_significance(*uncoupled, score, np.random.default_rng(4), nulls=10)
    p = found.p[np.triu_indices(40, 6)]
    assert 0.02 < (p <= 0.05).mean() < 0.09
    assert 0.42 < np.median(p) < 0.58
    assert found.q[np.triu_indices(40, 6)].min() > 0.05


def test_phylogeny_alone_would_be_called_coupled_without_the_tree(uncoupled):
    """The same alignment against a star: what the tree is there for."""
    tokens, weights = uncoupled
    shuffled = tokens.copy()
    rng = np.random.default_rng(5)
    for i in range(40):
        rows = np.flatnonzero(tokens[:, i] < 20)
        shuffled[rows, i] = tokens[rng.permutation(rows), i]
    upper = np.triu_indices(40, 6)
    bar = np.quantile(score(shuffled, weights)[upper], 0.95)
    assert (score(tokens, weights)[upper] > bar).mean() > 0.1


@pytest.fixture(scope="module")
def coupled():
    contacts = np.zeros((40, 40), dtype=bool)
    for i in range(0, 20, 2):
        contacts[i, i + 20] = contacts[i + 20, i] = True
    tokens, _ = simulate_family(contacts, 500, np.random.default_rng(6), depth=4.0, gap_share=0.1)
    return tokens, sequence_weights(tokens), contacts


def test_planted_couplings_are_found(coupled):
    tokens, weights, contacts = coupled
    steps = []
    found = coupling_significance(
        tokens, weights, score, np.random.default_rng(7), 20, progress=lambda *s: steps.append(s)
    )
    named = np.triu(found.q <= 0.1)
    assert (named & contacts).sum() >= 3
    assert (named & ~contacts).sum() <= 1
    assert steps == [(k, 20) for k in range(1, 21)]


def test_shape_of_the_answer(coupled):
    tokens, weights, _ = coupled
    observed = score(tokens, weights)
    found = coupling_significance(tokens, weights, score, np.random.default_rng(8), 3, observed)
    again = coupling_significance(tokens, weights, score, np.random.default_rng(8), 3)
    far = np.abs(np.subtract.outer(np.arange(40), np.arange(40))) >= 6
    for values in (found.p, found.q):
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, values.T)
        np.testing.assert_array_equal(np.isfinite(values), far)
    np.testing.assert_array_equal(found.p, again.p)
    assert found.nulls == 3
    assert (found.q[far] >= found.p[far]).all()
    assert found.p[far].min() >= np.float32(found.smallest_p)
    # float32 of the p-values themselves; three nulls of 595 pairs in all
    assert 1 / (1 + 3 * 595) <= found.smallest_p <= found.coarsest_p
    assert 1 <= found.strata <= 6


def test_p_stays_uniform_with_few_representatives(uncoupled):
    found = coupling_significance(*uncoupled, score, np.random.default_rng(9), nulls=10, representatives=60)
    p = found.p[np.triu_indices(40, 6)]
    assert 0.02 < (p <= 0.05).mean() < 0.1
    assert 0.4 < np.median(p) < 0.6
    assert found.q[np.triu_indices(40, 6)].min() > 0.05


def test_bad_input(coupled):
    tokens, weights, _ = coupled
    with pytest.raises(ValueError, match="got 0"):
        coupling_significance(tokens, weights, score, np.random.default_rng(0), nulls=0)
    with pytest.raises(ValueError, match="0 pairs"):
        coupling_significance(tokens, weights, score, np.random.default_rng(0), min_separation=40)
