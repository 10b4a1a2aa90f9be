"""Samplers against exact enumeration; trees; planted couplings come back."""

import naive
import numpy as np
import pytest

from dca import accelerate
from dca.accelerate import get_threads, set_threads
from dca.couplings import Couplings
from dca.methods import infer
from dca.simulate import Tree, contact_potts, sample_independent, sample_tree, simulate_family, yule_tree
from dca.weights import sequence_weights

L, Q = 4, 3


@pytest.fixture(scope="module")
def tiny():
    rng = np.random.default_rng(4)
    return Couplings(
        rng.normal(size=(L, Q)).astype(np.float32), 0.8 * rng.normal(size=(6, Q, Q)).astype(np.float32)
    )


def exact_statistics(model):
    states, chance = naive.boltzmann(model.fields, model.couplings)
    return naive.site_frequencies(states, chance, Q), naive.pair_frequencies(states, chance, Q)


def assert_follows(tokens, model, sigmas=5):
    """One- and two-site frequencies within `sigmas` standard errors of the exact ones."""
    ones = np.ones(len(tokens))
    for found, exact in zip(
        (naive.site_frequencies(tokens, ones, Q), naive.pair_frequencies(tokens, ones, Q)),
        exact_statistics(model),
        strict=True,
    ):
        error = np.sqrt(exact * (1 - exact) / len(tokens))
        assert (np.abs(found - exact) < sigmas * error + 1e-9).all()


def test_independent_samples_follow_the_model(tiny):
    tokens = sample_independent(tiny, 20000, np.random.default_rng(1), sweeps=30)
    assert_follows(tokens, tiny)


def test_a_wrong_model_is_noticed(tiny):
    tokens = sample_independent(tiny, 20000, np.random.default_rng(1), sweeps=30)
    with pytest.raises(AssertionError):
        assert_follows(tokens, Couplings(tiny.fields, 0.8 * tiny.couplings))


def test_leaves_of_trees_follow_the_model(tiny):
    """A star of unrelated short chains: each leaf is a sample wherever the root was."""
    leaves = 20000
    parent = np.concatenate([[-1], np.zeros(leaves)]).astype(np.int32)
    length = np.concatenate([[0.0], np.full(leaves, 12.0)])
    tree = Tree(parent, length, np.arange(1, leaves + 1, dtype=np.int32))
    assert_follows(sample_tree(tiny, tree, np.random.default_rng(2)), tiny)


def test_inner_branches_keep_the_distribution(tiny):
    """One short branch from exact samples: the distribution must not move."""
    rng = np.random.default_rng(3)
    pairs = [sample_tree(tiny, yule_tree(2, 0.3, rng), rng, burn_in=20) for _ in range(1500)]
    assert_follows(np.concatenate([pair[:1] for pair in pairs]), tiny)
    same = np.mean([np.mean(pair[0] == pair[1]) for pair in pairs])
    assert same > 0.7  # related, unlike independent samples
    assert same < 0.98


def test_zero_depth_gives_copies(tiny):
    rng = np.random.default_rng(5)
    tokens = sample_tree(tiny, yule_tree(20, 0.0, rng), rng)
    assert tokens.shape == (20, L)
    assert (tokens == tokens[0]).all()


@pytest.mark.parametrize("leaves", [1, 2, 17])
def test_yule_tree_is_a_binary_tree_of_one_height(leaves):
    tree = yule_tree(leaves, 3.0, np.random.default_rng(leaves))
    assert tree.leaves.size == leaves
    assert tree.parent.size == 2 * leaves - 1
    assert (tree.parent[1:] < np.arange(1, tree.parent.size)).all()
    children = np.bincount(tree.parent[1:], minlength=tree.parent.size)
    assert set(children[tree.leaves]) == {0}
    assert (np.delete(children, tree.leaves) == 2).all()
    for leaf in tree.leaves:
        height, node = 0.0, leaf
        while node >= 0:
            height += tree.length[node]
            node = tree.parent[node]
        assert height == pytest.approx(3.0)


def test_bad_trees_and_modes():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="-1"):
        yule_tree(3, -1.0, rng)
    with pytest.raises(ValueError, match="forest"):
        simulate_family(np.eye(3, dtype=bool), 5, rng, mode="forest")
    with pytest.raises(ValueError, match="symmetric"):
        contact_potts(np.triu(np.ones((3, 3), dtype=bool), 1), rng)


def random_contacts(length, count, seed):
    rng = np.random.default_rng(seed)
    contacts = np.zeros((length, length), dtype=bool)
    while contacts.sum() < 2 * count:
        i, j = rng.integers(0, length, size=2)
        contacts[i, j] = contacts[j, i] = abs(i - j) >= 6
    return contacts


def test_couplings_live_on_contacts_and_are_zero_sum():
    contacts = random_contacts(30, 20, 1)
    model = contact_potts(contacts, np.random.default_rng(1), coupling_strength=5.0)
    norms = np.linalg.norm(model.couplings, axis=(1, 2))
    np.testing.assert_array_equal(norms > 0, contacts[np.triu_indices(30, 1)])
    assert 3 < np.median(norms[norms > 0]) < 8
    np.testing.assert_allclose(model.couplings.sum(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(model.couplings.sum(axis=2), 0, atol=1e-5)


def test_preferences_attract_opposite_charges():
    contacts = random_contacts(30, 20, 1)
    model = contact_potts(contacts, np.random.default_rng(1), preference=1.0)
    block = model.couplings[np.linalg.norm(model.couplings, axis=(1, 2)).argmax()]
    d, k, leucine = 2, 8, 9
    assert block[d, k] > 0 > block[d, d]
    assert block[leucine, leucine] > 0 > block[leucine, k]


def test_same_seed_same_family_for_any_threads(monkeypatch):
    monkeypatch.setattr(accelerate, "_AVAILABLE", 2)  # also where there is one core
    contacts = random_contacts(20, 10, 2)
    found = []
    for threads in (1, 2):
        set_threads(threads)
        assert get_threads() == threads
        for mode in ("tree", "independent"):
            found.append(simulate_family(contacts, 50, np.random.default_rng(9), mode)[0])
    set_threads(1)
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])
    assert (found[0] != found[1]).any()


def test_gaps_spare_the_query():
    contacts = random_contacts(60, 30, 3)
    tokens, _ = simulate_family(contacts, 300, np.random.default_rng(3), gap_share=0.2)
    assert (tokens[0] < 20).all()
    assert 0.1 < (tokens[1:] == 20).mean() < 0.3
    assert tokens.max() == 20


@pytest.mark.parametrize(("mode", "expected"), [("independent", 0.75), ("tree", 0.5)])
def test_planted_contacts_are_recovered(mode, expected):
    contacts = random_contacts(80, 80, 6)
    tokens, _ = simulate_family(contacts, 1000, np.random.default_rng(6), mode)
    _, maps = infer(tokens, sequence_weights(tokens), "plm")
    upper = np.triu_indices(80, 6)
    best = np.argsort(-maps["plm"][upper])[:80]
    assert contacts[upper][best].mean() > expected
    assert contacts[upper][best[:16]].mean() > 0.9


def share_recovered(rows, seed, length=40, planted=40):
    """Share of contacts among plm's best pairs, as many as were planted, from the first so many sequences."""
    contacts = random_contacts(length, planted, seed)
    rng = np.random.default_rng(seed)
    tokens = sample_independent(contact_potts(contacts, rng), max(rows), rng)
    upper = np.triu_indices(length, 3)
    found = []
    for count in rows:
        _, maps = infer(tokens[:count], np.ones(count, np.float32), "plm")
        best = np.argsort(-maps["plm"][upper])[:planted]
        found.append(contacts[upper][best].mean())
    return found


def test_more_sequences_recover_more_of_the_couplings():
    """By chance one pair in nineteen is a contact; four models, since one of 40 contacts alone is uneven."""
    few, some, many = np.mean([share_recovered((100, 400, 1600), seed) for seed in range(4)], axis=0)
    assert few > 0.25
    assert some > few + 0.15
    assert many > some + 0.1
    assert many > 0.82
