"""Numbers of independent programs on the tiny alignment; commands in tests/fixtures/golden/README.md."""

import golden
import naive
import numpy as np
import pytest

from benchmarks.objective import ccmpred_weights
from dca.couplings import square
from dca.gauge import zero_sum
from dca.maps import apc, direct_information
from dca.mean_field import mean_field
from dca.methods import infer
from dca.pseudolikelihood import PlmSettings, pseudolikelihood
from dca.weights import effective_number, sequence_weights

UPPER = np.triu_indices(golden.COLUMNS, 1)


@pytest.fixture(scope="module")
def tiny():
    tokens = golden.tiny_alignment()
    return tokens, sequence_weights(tokens, 0.8)


def correlation(one, two):
    return np.corrcoef(one[UPPER], two[UPPER])[0, 1]


def test_effective_number_is_that_of_plmc_and_pydca(tiny):
    assert effective_number(tiny[1]) == pytest.approx(243.0, abs=1e-3)


def test_mean_field_couplings_equal_those_of_pydca(tiny):
    """pydca takes the norm in the zero-sum gauge of the 20 amino acids; ours is that of all 21 letters."""
    blocks = mean_field(*tiny).couplings[:, :20, :20]
    blocks = blocks - blocks.mean(axis=1, keepdims=True)
    blocks -= blocks.mean(axis=2, keepdims=True)
    expected = golden.pair_column("pydca_mean_field.tsv", 2, skip=1, first=0)
    np.testing.assert_allclose(np.linalg.norm(blocks, axis=(1, 2)), expected[UPPER], rtol=1e-5)


def test_direct_information_equals_that_of_pydca_without_gaps(tiny):
    """pydca leaves the gap out of the last sum; ours counts all 21 letters, as the paper does."""
    sites = 0.5 * naive.site_frequencies(*tiny) + 0.5 / 21
    couplings = mean_field(*tiny).couplings
    expected = golden.pair_column("pydca_mean_field.tsv", 4, skip=1, first=0)[UPPER]
    np.testing.assert_allclose(naive.direct_information(couplings, sites, letters=20), expected, atol=2e-3)
    np.testing.assert_allclose(
        direct_information(mean_field(*tiny), *tiny)[UPPER],
        naive.direct_information(couplings, sites),
        atol=2e-3,
    )


@pytest.mark.parametrize(
    ("name", "column", "least"),
    [("mean-field_raw", 2, 0.9999), ("mean-field", 3, 0.9999), ("mean-field_di", 5, 0.9997)],
)
def test_mean_field_maps_follow_pydca(tiny, name, column, least):
    _, maps = infer(*tiny, "mean-field")
    expected = golden.pair_column("pydca_mean_field.tsv", column, skip=1, first=0)
    assert correlation(maps[name], expected) > least
    np.testing.assert_allclose(maps[name][UPPER], expected[UPPER], atol=0.05)


def test_apc_equals_that_of_pydca():
    raw, corrected = (golden.pair_column("pydca_mean_field.tsv", c, skip=1, first=0) for c in (4, 5))
    np.testing.assert_allclose(apc(raw), corrected, atol=1e-6)


def norms(model, letters):
    """Map of the zero-sum couplings' norms over the first so many letters."""
    blocks = zero_sum(model).couplings[:, :letters, :letters]
    return square(np.linalg.norm(blocks, axis=(1, 2)), model.length)


def off_plmc(tokens, weights, **penalties):
    """Largest difference to plmc as a share of its best score; plmc counts the gap in its norm."""
    model = pseudolikelihood(tokens, weights, PlmSettings(tolerance=1e-3, **penalties))
    expected = golden.pair_column("plmc.txt", 5, skip=0, first=1)
    return np.abs(apc(norms(model, 21)) - expected)[UPPER].max() / expected.max()


def off_ccmpred(tokens, weights, **penalties):
    """The same for CCMpred before APC; it leaves the gap out of its norm."""
    model = pseudolikelihood(tokens, weights, PlmSettings(tolerance=1e-3, **penalties))
    expected = np.loadtxt(golden.FOLDER / "ccmpred_raw.mat")
    return np.abs(norms(model, 20) - expected)[UPPER].max() / expected.max()


OF_PLMC, OF_CCMPRED = 2e-3, 6e-3  # found: 0.5e-3 and 3.2e-3; CCMpred gives the gap no field


@pytest.fixture(scope="module")
def as_ccmpred(tiny):
    """The alignment with the weights of CCMpred."""
    weights = ccmpred_weights(tiny[0]).astype(np.float32)
    assert weights.sum() == pytest.approx(266, abs=1e-3)
    return tiny[0], weights


def test_pseudolikelihood_equals_that_of_plmc(tiny):
    assert off_plmc(*tiny) < OF_PLMC


def test_pseudolikelihood_equals_that_of_ccmpred(as_ccmpred):
    assert off_ccmpred(*as_ccmpred) < OF_CCMPRED


@pytest.mark.parametrize(
    "penalties", [{"coupling_penalty": 0.1}, {"coupling_penalty": 0.4}, {"field_penalty": 1.0}]
)
def test_other_penalties_would_be_noticed(tiny, as_ccmpred, penalties):
    assert off_plmc(*tiny, **penalties) > 5 * OF_PLMC
    assert off_ccmpred(*as_ccmpred, **penalties) > 2 * OF_CCMPRED


def test_other_weights_would_be_noticed(tiny, as_ccmpred):
    assert off_plmc(*as_ccmpred) > 5 * OF_PLMC
    assert off_ccmpred(*tiny) > 4 * OF_CCMPRED
    alike = tiny[0], np.ones(golden.ROWS, np.float32)
    assert off_plmc(*alike) > 5 * OF_PLMC
    assert off_ccmpred(*alike) > 5 * OF_CCMPRED


def test_pseudolikelihood_as_it_is_run_follows_both(tiny, as_ccmpred):
    """It stops earlier than the two programs did, and leaves the gap out of its norm as CCMpred does."""
    expected = golden.pair_column("plmc.txt", 5, skip=0, first=1)
    found = infer(*tiny, "plm")[1]["plm"]
    assert correlation(found, expected) > 0.996
    assert np.abs(found - expected)[UPPER].max() < 0.05 * expected.max()
    expected = np.loadtxt(golden.FOLDER / "ccmpred_raw.mat")
    found = infer(*as_ccmpred, "plm")[1]["plm_raw"]
    assert correlation(found, expected) > 0.9995
    assert np.abs(found - expected)[UPPER].max() < 0.05 * expected.max()


@pytest.mark.parametrize("method", ["mi", "mean-field", "ridge", "plm"])
def test_planted_pairs_come_first(tiny, method):
    _, maps = infer(*tiny, method)
    best = np.argsort(-maps[method][UPPER])[:5]
    assert {(UPPER[0][k], UPPER[1][k]) for k in best} == set(golden.PLANTED)
