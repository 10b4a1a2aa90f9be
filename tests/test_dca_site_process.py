"""Independent sites on a tree: kernels against twins, closed forms, a fit that reproduces its alignment."""

import itertools
import math

import naive
import numpy as np
import pytest

from dca import site_process
from dca.accelerate import set_threads
from dca.phylogeny import timed_tree
from dca.simulate import Tree, yule_tree
from dca.site_process import (
    SiteProcess,
    amino_frequencies,
    evolve_sites,
    fit_process,
    kinship,
    mixed_profile,
    site_rates,
)
from dca.weights import sequence_weights

GAP = 20
# root 0; inner 1; leaves 2 (of the root), 3, 4, 5 (of 1)
TREE = Tree(
    np.array([-1, 0, 0, 1, 1, 1], np.int32),
    np.array([0.0, 0.3, 0.9, 0.5, 0.1, 0.7]),
    np.array([4, 2, 3, 5], np.int32),
)


def chance(tree, profile, rate, letters):
    """Probability of all nodes' letters."""
    total = profile[letters[0]]
    for node in range(1, tree.parent.size):
        kept = math.exp(-rate * tree.length[node])
        same = letters[node] == letters[tree.parent[node]]
        total *= kept * same + (1 - kept) * profile[letters[node]]
    return total


def test_likelihood_twin():
    """Pruning against the sum over all letters of all nodes, a gap being any letter."""
    rng = np.random.default_rng(1)
    profile = rng.dirichlet(np.ones(3), size=4)
    columns = np.array([[0, 1, 2, 0], [1, 1, 1, 1], [2, GAP, 0, 2], [GAP, GAP, GAP, GAP]], dtype=np.int8)
    rates = np.array([0.3, 2.0])
    found = np.empty((4, 2))
    site_process._likelihoods(
        0, len(columns), columns, TREE.parent, TREE.length, TREE.leaves, profile, rates, found
    )
    for i, k in itertools.product(range(4), range(2)):
        total = 0.0
        for letters in itertools.product(range(3), repeat=6):
            seen = [letters[leaf] for leaf in TREE.leaves]
            if all(c in (GAP, s) for c, s in zip(columns[i], seen, strict=True)):
                total += chance(TREE, profile[i], rates[k], letters)
        assert found[i, k] == pytest.approx(math.log(total), abs=1e-9)


def test_evolve_twin():
    rng = np.random.default_rng(2)
    profile = rng.dirichlet(np.ones(20), size=5)
    rates = rng.uniform(0.2, 3, size=5)
    seeds = rng.integers(0, 2**64, size=5, dtype=np.uint64)
    columns = np.empty((5, 6), dtype=np.int8)
    with np.errstate(over="ignore"):
        site_process._evolve_columns(
            0, len(columns), TREE.parent, TREE.length, np.cumsum(profile, axis=1), rates, seeds, columns
        )
    for i in range(5):
        generator = naive.SplitMix64(seeds[i])
        letters = []
        for node in range(6):
            if node and generator.uniform() < math.exp(-rates[i] * TREE.length[node]):
                letters.append(letters[TREE.parent[node]])
                continue
            mark = generator.uniform() * np.cumsum(profile[i])[-1]
            letters.append(next(a for a in range(20) if a == 19 or np.cumsum(profile[i])[a] > mark))
        assert columns[i].tolist() == letters


def leaf_times(tree):
    depth, lineages = np.zeros(tree.parent.size), []
    for node in range(1, tree.parent.size):
        depth[node] = depth[tree.parent[node]] + tree.length[node]
    for leaf in tree.leaves:
        lineage = [int(leaf)]
        while tree.parent[lineage[-1]] >= 0:
            lineage.append(int(tree.parent[lineage[-1]]))
        lineages.append(lineage)
    times = np.zeros((len(lineages), len(lineages)))
    for n, m in itertools.product(range(len(lineages)), repeat=2):
        joint = next(node for node in lineages[n] if node in lineages[m])
        times[n, m] = depth[tree.leaves[n]] + depth[tree.leaves[m]] - 2 * depth[joint]
    return times


def test_kinship_twin():
    rng = np.random.default_rng(3)
    tree = yule_tree(7, 1.5, rng)
    tokens = rng.integers(0, 20, size=(7, 4)).astype(np.int8)
    tokens[rng.random((7, 4)) < 0.3] = GAP
    tokens[:, 3] = GAP
    weights = rng.uniform(0.2, 1, size=7).astype(np.float32)
    rates = rng.uniform(0.3, 2, size=4)
    found, times = kinship(tokens, weights, tree, rates), leaf_times(tree)
    for i in range(3):
        there = np.flatnonzero(tokens[:, i] != GAP)
        total = sum(weights[n] * weights[m] * math.exp(-rates[i] * times[n, m]) for n in there for m in there)
        assert found[i] == pytest.approx(total / weights[there].sum(dtype=float) ** 2)
    assert found[3] == 0


def test_mixed_profile_reaches_its_aim():
    rng = np.random.default_rng(4)
    frequencies = rng.dirichlet(np.full(20, 0.3), size=30)
    background = np.full(20, 0.05)
    related = np.full(30, 0.1)
    found = mixed_profile(frequencies, background, related)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    observed = (frequencies**2).sum(axis=1)
    reachable = (observed - 0.1) / 0.9 >= 0.05
    assert reachable.sum() > 20
    own = (found**2).sum(axis=1)
    np.testing.assert_allclose((own + (1 - own) * 0.1)[reachable], observed[reachable])
    np.testing.assert_allclose(found[~reachable], 0.05, atol=1e-9)
    np.testing.assert_allclose(mixed_profile(frequencies, background, np.zeros(30)), frequencies)
    conserved = np.eye(20)[:1]
    np.testing.assert_allclose(mixed_profile(conserved, background, related[:1]), conserved, atol=1e-9)


def test_kinship_predicts_the_diversity_of_evolved_columns():
    """E[sum of squared frequencies] = h + (1 - h) c, over many columns that evolved alike."""
    rng = np.random.default_rng(5)
    tree = yule_tree(30, 1.0, rng)
    profile = np.tile(rng.dirichlet(np.ones(20)), (4000, 1))
    tokens = evolve_sites(SiteProcess(tree, profile, np.ones(4000)), rng)
    weights = rng.uniform(0.2, 1, size=30).astype(np.float32)
    observed = (amino_frequencies(tokens, weights)[0] ** 2).sum(axis=1)
    related, own = kinship(tokens, weights, tree, np.ones(4000)), (profile[0] ** 2).sum()
    np.testing.assert_allclose(related, related[0])
    error = observed.std() / math.sqrt(4000)
    assert abs(observed.mean() - (own + (1 - own) * related[0])) < 4 * error
    assert observed.mean() - own > 10 * error  # relatedness matters here


def test_slow_and_fast_sites_are_told_apart():
    rng = np.random.default_rng(6)
    tree = yule_tree(200, 2.0, rng)
    truth = np.repeat([0.3, 1.7], 40)
    profile = rng.dirichlet(np.ones(20), size=80)
    tokens = evolve_sites(SiteProcess(tree, profile, truth), rng)
    found = site_rates(tokens, tree, profile)
    assert found.mean() == pytest.approx(1)
    assert np.median(found[:40]) == pytest.approx(0.3, rel=0.3)
    assert np.median(found[40:]) == pytest.approx(1.7, rel=0.3)


def test_a_branch_keeps_letters_as_its_length_says():
    parent, similarity = np.array([2, 2, -1], np.int32), np.array([1.0, 1.0, 0.5])
    tree = timed_tree(parent, similarity, 2, np.full(3, 0.05), np.ones(3))
    profile = np.full((20000, 20), 0.05)
    tokens = evolve_sites(SiteProcess(tree, profile, np.ones(20000)), np.random.default_rng(7))
    assert (tokens[0] == tokens[1]).mean() == pytest.approx(0.05 + 0.95 * 0.5, abs=0.015)


def entropy(tokens):
    frequencies = amino_frequencies(tokens, np.ones(len(tokens), np.float32))[0]
    return -(frequencies * np.log(frequencies + 1e-300)).sum(axis=1)


@pytest.mark.parametrize("representatives", [300, 60])
def test_a_fitted_process_reproduces_identities_and_entropies(representatives):
    rng = np.random.default_rng(8)
    profile = rng.dirichlet(np.full(20, 0.3), size=80)
    rates = rng.gamma(2.0, 0.5, size=80)
    truth = SiteProcess(yule_tree(300, 1.5, rng), profile, rates / rates.mean())
    gaps = rng.random((300, 80)) < 0.1
    tokens = evolve_sites(truth, rng, gaps)
    weights = sequence_weights(tokens)
    again = evolve_sites(fit_process(tokens, weights, representatives), rng, gaps)
    np.testing.assert_array_equal(again == GAP, gaps)
    upper = np.triu_indices(300, 1)
    one, two = ((rows[:, None] == rows[None]).mean(axis=-1)[upper] for rows in (tokens, again))
    shares = [0.05, 0.5, 0.95, 0.99]
    np.testing.assert_allclose(np.quantile(two, shares), np.quantile(one, shares), atol=0.04)
    assert entropy(again).mean() == pytest.approx(entropy(tokens).mean(), rel=0.05)
    assert np.corrcoef(entropy(again), entropy(tokens))[0, 1] > 0.9
    assert sequence_weights(again).sum() == pytest.approx(weights.sum(), rel=0.15)


def test_columns_of_gaps_do_no_harm():
    rng = np.random.default_rng(9)
    tokens = rng.integers(0, 20, size=(12, 8)).astype(np.int8)
    tokens[:, 3] = GAP
    tokens[5] = GAP
    process = fit_process(tokens, np.ones(12, np.float32))
    for values in (process.profile, process.rates, process.tree.length):
        assert np.isfinite(values).all()
    np.testing.assert_allclose(process.profile.sum(axis=1), 1)


def test_same_seed_same_alignment_for_any_threads():
    profile = np.random.default_rng(0).dirichlet(np.ones(20), size=30)
    process = SiteProcess(yule_tree(20, 1.0, np.random.default_rng(1)), profile, np.ones(30))
    found = []
    for threads in (1, 2):
        set_threads(threads)
        found.append(evolve_sites(process, np.random.default_rng(2)))
    set_threads(1)
    np.testing.assert_array_equal(*found)


def test_bad_input():
    tokens = np.zeros((1, 4), dtype=np.int8)
    with pytest.raises(ValueError, match="got 1"):
        fit_process(tokens, np.ones(1, np.float32))
