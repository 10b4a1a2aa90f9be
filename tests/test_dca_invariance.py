"""Maps of every method follow the columns, and do not depend on the order of sequences or on copies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dca.methods import METHODS, infer

QUICK = settings(derandomize=True, max_examples=8, deadline=None)
AGREES = 5e-5  # of the largest score; single precision leaves up to 6e-6
# trRosetta's estimate of a covariance counts the sequences beside their weights: 1e-3
COPIES = {"ridge": 5e-3, "ridge_raw": 5e-3}

of_methods = pytest.mark.parametrize("method", [name for name in METHODS if name != "boltzmann"])
given_family = given(rows=st.integers(20, 60), length=st.integers(6, 12), seed=st.integers(0, 10**6))


def random_family(rows, length, seed):
    """Sequences with two coupled pairs of columns and uneven weights, and a generator for more."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 21, size=(rows, length)).astype(np.int8)
    tokens[: rows // 2, 1] = (tokens[: rows // 2, 0] + 3) % 21
    tokens[rows // 3 :, 4] = tokens[rows // 3 :, 2]
    return tokens, rng.uniform(0.2, 1, size=rows).astype(np.float32), rng


def assert_same(found, expected, looser=None):
    assert found.keys() == expected.keys()
    for name, score in expected.items():
        allowed = (looser or {}).get(name, AGREES)
        np.testing.assert_allclose(found[name], score, rtol=0, atol=allowed * np.abs(score).max())


@of_methods
@QUICK
@given_family
def test_the_order_of_sequences_does_not_matter(method, rows, length, seed):
    tokens, weights, rng = random_family(rows, length, seed)
    order = rng.permutation(rows)
    _, expected = infer(tokens, weights, method)
    _, found = infer(tokens[order], weights[order], method)
    assert_same(found, expected)


@of_methods
@QUICK
@given_family
def test_the_map_follows_the_columns(method, rows, length, seed):
    tokens, weights, rng = random_family(rows, length, seed)
    order = rng.permutation(length)
    _, expected = infer(tokens, weights, method)
    _, found = infer(np.ascontiguousarray(tokens[:, order]), weights, method)
    moved = {name: score[np.ix_(order, order)] for name, score in expected.items()}
    assert_same(found, moved)


@of_methods
@QUICK
@given_family
def test_a_sequence_may_come_twice_with_half_its_weight(method, rows, length, seed):
    tokens, weights, rng = random_family(rows, length, seed)
    chosen = rng.integers(rows)
    shared = weights.copy()
    shared[chosen] /= 2
    _, expected = infer(tokens, weights, method)
    _, found = infer(np.append(tokens, tokens[[chosen]], axis=0), np.append(shared, shared[chosen]), method)
    assert_same(found, expected, COPIES)


@of_methods
def test_what_is_asked_for_could_differ(method):
    """The scores of these families change where order and weights do matter."""
    tokens, weights, _ = random_family(40, 9, 0)
    _, maps = infer(tokens, weights, method)
    turned = {name: np.roll(score, 1, axis=(0, 1)) for name, score in maps.items()}
    _, twice = infer(np.append(tokens, tokens[:1], axis=0), np.append(weights, weights[0]), method)
    _, uneven = infer(tokens, weights[::-1].copy(), method)
    for others, looser in ((turned, {}), (twice, COPIES), (uneven, {})):
        for name in maps:
            with pytest.raises(AssertionError):
                assert_same({name: others[name]}, {name: maps[name]}, looser)
