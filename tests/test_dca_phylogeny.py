"""Trees from similarities: kernels against twins, known trees come back, every row is a leaf."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dca import phylogeny
from dca.phylogeny import group_similarity, similarity_tree, spread_rows, timed_tree
from dca.simulate import Tree, yule_tree
from dca.site_process import SiteProcess, evolve_sites

ROOT = Path(__file__).parent.parent
GAP = 20


def naive_similarity(one, two, chance):
    excess = possible = 0.0
    for a, b, h in zip(one, two, chance, strict=True):
        if a != GAP and b != GAP:
            excess += (a == b) - h
            possible += 1 - h
    return excess / max(possible, 5.0)


def random_rows(seed, rows, length):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 21, size=(rows, length)).astype(np.int8)
    for n in range(1, rows):
        kept = rng.random(length) < rng.random()
        tokens[n, kept] = tokens[rng.integers(n), kept]
    return tokens, rng.uniform(0.05, 0.6, size=length)


@pytest.mark.parametrize("groups", [12, 4])
def test_group_similarity_twin(groups):
    """Sums over all pairs of rows; with one row in each group, the similarity of two rows."""
    tokens, chance = random_rows(1, 12, 30)
    group = np.arange(12) % groups
    found = group_similarity(tokens, group, chance.astype(np.float32))
    expected = []
    for k in range(groups):
        for m in range(k + 1, groups):
            pairs = [
                (tokens[a], tokens[b]) for a in range(12) for b in range(12) if (group[a], group[b]) == (k, m)
            ]
            one, two = (np.concatenate(rows) for rows in zip(*pairs, strict=True))
            expected.append(naive_similarity(one, two, np.tile(chance, len(pairs))))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_count_letters_twin():
    tokens, _ = random_rows(2, 15, 10)
    group = np.arange(15) % 4
    found, expected = np.zeros((4, 10, 20), np.float32), np.zeros((4, 10, 20))
    phylogeny._count_letters(tokens, group, found)
    for k, row in zip(group, tokens, strict=True):
        for i, letter in enumerate(row):
            if letter != GAP:
                expected[k, i, letter] += 1
    np.testing.assert_array_equal(found, expected)


def test_rows_without_a_shared_column_are_unrelated():
    tokens = np.full((2, 8), GAP, dtype=np.int8)
    tokens[0, :4], tokens[1, 4:] = 3, 3
    assert group_similarity(tokens, np.arange(2), np.full(8, 0.1, np.float32)).tolist() == [0.0]


def test_spread_rows_twin():
    tokens, chance = random_rows(3, 30, 25)
    chosen = [0]
    for _ in range(6):
        closest = [max(naive_similarity(row, tokens[k], chance) for k in chosen) for row in tokens]
        chosen.append(min((v, n) for n, v in enumerate(closest) if n not in chosen)[1])
    found, nearest = spread_rows(tokens, chance.astype(np.float32), 7)
    assert found.tolist() == chosen
    for n in range(30):
        values = [naive_similarity(tokens[n], tokens[k], chance) for k in chosen]
        if n in chosen:
            values[chosen.index(n)] = np.inf  # itself, whatever else is as similar
        assert values[nearest[n]] == pytest.approx(max(values), abs=1e-6)  # ties go either way
    for one in spread_rows(tokens, chance.astype(np.float32), 30):
        assert one.tolist() == list(range(30))


def test_cap_by_parent_twin():
    parent = np.array([3, 3, 4, 4, 5, -1], dtype=np.int32)
    similarity = np.array([1.0, 1.0, 1.0, 0.2, 0.5, 0.1])
    phylogeny._cap_by_parent(parent, similarity)
    assert similarity.tolist() == [1.0, 1.0, 1.0, 0.5, 0.5, 0.1]


def test_levels_twin():
    parent = np.array([3, 3, 4, 4, -1], dtype=np.int32)
    levels = np.zeros(5, dtype=np.int64)
    phylogeny._count_levels(parent, levels)
    assert levels.tolist() == [2, 2, 1, 1, 0]


def check_tree(parent, similarity, rows):
    assert parent.size == similarity.size == 2 * rows - 1
    assert (parent < 0).sum() == 1
    children = np.bincount(parent[parent >= 0], minlength=parent.size)
    assert (children[:rows] == 0).all()
    assert (children[rows:] == 2).all()
    for node in range(parent.size):
        if parent[node] >= 0:
            assert similarity[parent[node]] <= similarity[node] + 1e-9


@settings(max_examples=40, deadline=None)
@given(arrays(np.int8, (9, 6), elements=st.sampled_from([0, 1, 2, GAP])), st.integers(2, 12))
def test_every_row_is_a_leaf_of_a_binary_tree(tokens, representatives):
    repeat = np.full(6, 0.4)
    parent, similarity = similarity_tree(tokens, repeat, representatives)
    check_tree(parent, similarity, 9)
    tree = timed_tree(parent, similarity, 9, repeat, np.ones(6))
    assert (tree.parent[1:] < np.arange(1, 17)).all()
    assert tree.parent[0] == -1
    assert (tree.length >= 0).all()
    np.testing.assert_allclose(heights(tree), heights(tree)[0])


def heights(tree):
    """Distance of each leaf from the root."""
    depth = np.zeros(tree.parent.size)
    for node in range(1, tree.parent.size):
        depth[node] = depth[tree.parent[node]] + tree.length[node]
    return depth[tree.leaves]


def pair_times(tree):
    """Time from the present to the common ancestor of each pair of leaves, times two; float64 [n, n]."""
    lineages = []
    for leaf in tree.leaves:
        node, lineage = leaf, []
        while node >= 0:
            lineage.append(node)
            node = tree.parent[node]
        lineages.append(lineage)
    depth = np.zeros(tree.parent.size)
    for node in range(1, tree.parent.size):
        depth[node] = depth[tree.parent[node]] + tree.length[node]
    count = len(lineages)
    times = np.zeros((count, count))
    for n in range(count):
        for m in range(n + 1, count):
            joint = max(set(lineages[n]) & set(lineages[m]), key=lambda node: depth[node])
            times[n, m] = times[m, n] = depth[tree.leaves[n]] + depth[tree.leaves[m]] - 2 * depth[joint]
    return times


@pytest.mark.parametrize("representatives", [40, 12])
def test_a_known_tree_comes_back(representatives):
    """Long sequences that evolved along a Yule tree: times between rows are found again."""
    rng = np.random.default_rng(5)
    truth = yule_tree(40, 0.8, rng)
    profile = rng.dirichlet(np.full(20, 0.5), size=6000)
    tokens = evolve_sites(SiteProcess(truth, profile, np.ones(6000)), rng)
    tokens[rng.random(tokens.shape) < 0.1] = GAP
    repeat = (profile**2).sum(axis=1)
    found = timed_tree(*similarity_tree(tokens, repeat, representatives), 40, repeat, np.ones(6000))
    expected, times = pair_times(truth), pair_times(found)
    off = ~np.eye(40, dtype=bool)
    np.testing.assert_allclose(times[off], expected[off], rtol=0.15, atol=0.02)
    assert np.corrcoef(times[off], expected[off])[0, 1] > (0.99 if representatives == 40 else 0.95)


def test_heights_follow_the_curve():
    parent = np.array([2, 2, -1], dtype=np.int32)
    for s in (0.9, 0.3):
        tree = timed_tree(parent, np.array([1.0, 1.0, s]), 2, np.full(4, 0.2), np.ones(4))
        np.testing.assert_allclose(tree.length[tree.leaves], -np.log(s) / 2, rtol=1e-3)
    rates, repeat = np.array([0.2, 1.8]), np.array([0.5, 0.1])
    tree = timed_tree(parent, np.array([1.0, 1.0, 0.4]), 2, repeat, rates)
    curve = ((1 - repeat) * np.exp(-rates * 2 * tree.length[tree.leaves[0]])).sum() / (1 - repeat).sum()
    assert curve == pytest.approx(0.4, abs=1e-3)
    unrelated = timed_tree(parent, np.array([1.0, 1.0, -0.2]), 2, np.full(4, 0.2), np.ones(4))
    assert np.isfinite(unrelated.length).all()


def test_copies_are_joined_at_the_present():
    tokens = np.tile(np.arange(12, dtype=np.int8), (3, 1))
    parent, similarity = similarity_tree(tokens, np.full(12, 0.1))
    tree = timed_tree(parent, similarity, 3, np.full(12, 0.1), np.ones(12))
    assert isinstance(tree, Tree)
    np.testing.assert_allclose(tree.length, 0, atol=1e-6)


@pytest.mark.skipif("NUMBA_DISABLE_JIT" in os.environ, reason="this is the inner run")
def test_twins_hold_without_compilation():
    files = [f"tests/test_dca_{name}.py" for name in ("phylogeny", "site_process", "uncertainty")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", "twin"]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]
    assert run.stdout.split("\n")[0].count(".") >= 12, run.stdout
