"""The bootstrap over clusters: clusters, weights, and statistics against numpy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dca.couplings import Couplings
from dca.maps import apc, mutual_information
from dca.methods import infer
from dca.pseudolikelihood import PlmSettings
from dca.simulate import simulate_family
from dca.uncertainty import bootstrap, identity_clusters, plm_scores, resampled_weights
from dca.weights import sequence_weights


def naive_clusters(tokens, identity):
    founders, cluster = [], []
    for row in tokens:
        for k, founder in enumerate(founders):
            if sum(int(a == b) for a, b in zip(row, founder, strict=True)) >= identity * len(row) - 1e-9:
                cluster.append(k)
                break
        else:
            cluster.append(len(founders))
            founders.append(row)
    return np.array(cluster)


@pytest.mark.parametrize(
    ("rows", "length", "identity"), [(1, 3, 0.8), (30, 5, 0.6), (60, 70, 0.5), (20, 130, 1.0)]
)
def test_clusters_twin(rows, length, identity):
    rng = np.random.default_rng(rows)
    tokens = rng.integers(0, 21, size=(rows, length)).astype(np.int8)
    for n in range(1, rows):  # relatives at all distances
        kept = rng.random(length) < rng.random()
        tokens[n, kept] = tokens[rng.integers(n), kept]
    expected = naive_clusters(tokens, identity)
    np.testing.assert_array_equal(identity_clusters(tokens, identity), expected)
    assert rows == 1 or identity == 1.0 or expected.max() + 1 < rows


def test_many_rows_cross_tiles():
    rng = np.random.default_rng(3)
    ancestors = rng.integers(0, 21, size=(1500, 40)).astype(np.int8)
    origin = np.concatenate([np.arange(1500), rng.integers(0, 1500, size=1000)])
    np.testing.assert_array_equal(identity_clusters(ancestors[origin]), origin)


@settings(max_examples=30, deadline=None)
@given(arrays(np.int8, (12, 7), elements=st.integers(0, 3)))
def test_founders_differ_and_members_resemble_their_founder(tokens):
    cluster = identity_clusters(tokens, 0.7)
    founders = [int(np.flatnonzero(cluster == k)[0]) for k in range(cluster.max() + 1)]
    needed = math.ceil(0.7 * 7)
    same = (tokens[:, None] == tokens[None]).sum(axis=-1)
    assert (same[np.arange(12), np.array(founders)[cluster]] >= needed).all()
    between = same[np.ix_(founders, founders)]
    assert (between[~np.eye(len(founders), dtype=bool)] < needed).all()


def test_clusters_are_drawn_whole_and_keep_their_number():
    weights = np.array([0.5, 0.5, 1.0, 1.0], dtype=np.float32)
    cluster = np.array([0, 0, 1, 2])
    rng = np.random.default_rng(1)
    drawn = np.array([resampled_weights(weights, cluster, 3, rng) for _ in range(4000)])
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    times = drawn / weights
    np.testing.assert_array_equal(times[:, [0, 2, 3]].sum(axis=1), 3)
    np.testing.assert_allclose(times.mean(axis=0), 1, atol=0.06)
    # binomial with 3 draws of probability 1/3 each
    np.testing.assert_allclose(times.var(axis=0), 2 / 3, atol=0.06)


def recorded(length, seed):
    """A method that returns random maps and remembers them and its arguments."""
    rng = np.random.default_rng(seed)
    maps, seen = [], []

    def draw(tokens, weights, start):
        half = np.triu(rng.normal(5, 1, size=(length, length)), 1)
        maps.append((half + half.T).astype(np.float32))
        seen.append((tokens, weights, start))
        return None, maps[-1]

    return draw, maps, seen


def test_statistics_are_those_of_the_replicates():
    tokens = np.random.default_rng(0).integers(0, 21, size=(20, 12)).astype(np.int8)
    weights = sequence_weights(tokens)
    draw, maps, seen = recorded(12, 1)
    start = Couplings(np.zeros((12, 21), np.float32), np.zeros((66, 21, 21), np.float32))
    steps = []
    found = bootstrap(
        tokens, weights, draw, 9, np.random.default_rng(2), start, top=4, progress=lambda *s: steps.append(s)
    )
    np.testing.assert_allclose(found.mean, np.mean(maps, axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.standard_deviation, np.std(maps, axis=0, ddof=1), rtol=1e-5, atol=1e-7)
    frequency = np.zeros((12, 12))
    for one in maps:
        far = [(one[i, j], i, j) for i in range(12) for j in range(i + 6, 12)]
        for _, i, j in sorted(far, reverse=True)[:4]:
            frequency[i, j] += 1 / 9
            frequency[j, i] += 1 / 9
    np.testing.assert_allclose(found.top_frequency, frequency, atol=1e-6)
    assert all(one[0] is tokens and one[2] is start for one in seen)  # no copies, always the same start
    assert len({one[1].tobytes() for one in seen}) > 1
    assert steps == [(k, 9) for k in range(1, 10)]
    assert (found.replicates, found.clusters, found.top) == (9, 20, 4)
    for values in (found.mean, found.standard_deviation, found.top_frequency):
        assert values.dtype == np.float32


def score_mi(tokens, weights, start):
    return None, apc(mutual_information(tokens, weights))


def family(rows=400):
    rng = np.random.default_rng(7)
    contacts = np.zeros((24, 24), dtype=bool)
    for i in range(0, 12, 3):
        contacts[i, i + 12] = contacts[i + 12, i] = True
    return simulate_family(contacts, rows, rng, depth=4.0)[0], contacts


def test_copies_in_one_cluster_add_no_certainty():
    tokens, _ = family(60)
    once = bootstrap(tokens, sequence_weights(tokens), score_mi, 40, np.random.default_rng(3))
    copies = np.repeat(tokens, 5, axis=0)
    again = bootstrap(copies, sequence_weights(copies), score_mi, 40, np.random.default_rng(3))
    assert once.clusters == again.clusters
    np.testing.assert_allclose(again.standard_deviation, once.standard_deviation, atol=1e-4)


def test_more_sequences_give_smaller_deviations_and_coupled_pairs_stay_on_top():
    tokens, contacts = family(800)
    few, many = (
        bootstrap(tokens[:n], sequence_weights(tokens[:n]), score_mi, 20, np.random.default_rng(4), top=4)
        for n in (100, 800)
    )
    upper = np.triu_indices(24, 6)
    assert many.standard_deviation[upper].mean() < 0.7 * few.standard_deviation[upper].mean()
    assert many.top_frequency[contacts].mean() > 0.5  # by chance 4 of 171
    assert many.top_frequency[upper].sum() == pytest.approx(4, abs=1e-4)


def test_same_seed_same_result():
    tokens, _ = family(50)
    weights = sequence_weights(tokens)
    one, two, other = (
        bootstrap(tokens, weights, score_mi, 3, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one.mean, two.mean)
    assert (one.mean != other.mean).any()


def test_plm_scores_are_those_of_the_method():
    tokens, _ = family(100)
    weights = sequence_weights(tokens)
    model, score = plm_scores(tokens, weights)
    np.testing.assert_array_equal(score, infer(tokens, weights, "plm")[1]["plm"])
    assert model.length == 24


def test_a_warm_start_ends_where_a_cold_one_does():
    tokens, _ = family(200)
    weights = sequence_weights(tokens)
    full, _ = plm_scores(tokens, weights)
    cluster = identity_clusters(tokens)
    drawn = resampled_weights(weights, cluster, int(cluster.max()) + 1, np.random.default_rng(1))
    exact = plm_scores(tokens, drawn, settings=PlmSettings(tolerance=0.001))[1]
    warm = plm_scores(tokens, drawn, full)[1]
    upper = np.triu_indices(24, 6)
    assert np.abs(warm - exact)[upper].max() < 0.05 * exact[upper].std() + 0.01
    slope = np.polyfit(exact[upper], warm[upper], 1)[0]
    assert slope == pytest.approx(1, abs=0.03)


def test_bad_input():
    tokens, _ = family(10)
    with pytest.raises(ValueError, match="got 1"):
        bootstrap(tokens, sequence_weights(tokens), score_mi, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"1\.5"):
        identity_clusters(tokens, 1.5)
    with pytest.raises(ValueError, match=r"\(0, 3\)"):
        identity_clusters(np.zeros((0, 3), dtype=np.int8))
