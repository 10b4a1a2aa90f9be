"""Gauge, norm, APC and packing: identities that hold for any model."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dca.couplings import Couplings, pair_index, square
from dca.gauge import zero_sum
from dca.maps import apc, direct_information, frobenius, mutual_information


def model_of(seed, length=5, letters=21):
    rng = np.random.default_rng(seed)
    shape = (length * (length - 1) // 2, letters, letters)
    return Couplings(
        rng.normal(size=(length, letters)).astype(np.float32), rng.normal(size=shape).astype(np.float32)
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_gauge_does_not_change_the_zero_sum_model_nor_the_map(seed):
    model = model_of(seed)
    one, two = zero_sum(model), zero_sum(naive.regauged(model, seed + 1))
    np.testing.assert_allclose(one.couplings, two.couplings, atol=1e-4)
    np.testing.assert_allclose(one.fields, two.fields, atol=1e-4)
    np.testing.assert_allclose(frobenius(one), frobenius(two), atol=1e-3)


def test_zero_sum_keeps_the_distribution_and_sums_to_zero():
    model = model_of(3, length=3, letters=4)
    gauged = zero_sum(model)
    chances = [naive.boltzmann(m.fields.astype(float), m.couplings)[1] for m in (model, gauged)]
    np.testing.assert_allclose(chances[0], chances[1], rtol=1e-4)
    for axis in (1, 2):
        np.testing.assert_allclose(gauged.couplings.sum(axis=axis), 0, atol=1e-5)
    np.testing.assert_allclose(gauged.fields.sum(axis=1), 0, atol=1e-5)


def test_direct_information_of_strong_couplings():
    """One letter decides the other: the entropy of the site, however strong the coupling is."""
    tokens = np.repeat(np.arange(21, dtype=np.int8), 2).reshape(21, 2)
    weights = np.ones(21, dtype=np.float32)
    for strength in (60.0, 89.0, 1000.0):
        model = Couplings(np.zeros((2, 21), np.float32), strength * np.eye(21, dtype=np.float32)[None])
        found = direct_information(model, tokens, weights, 1e-300)
        assert found[0, 1] == pytest.approx(np.log(21), rel=1e-6)


def test_direct_information_says_where_it_is_not_settled(caplog):
    rng = np.random.default_rng(1)
    tokens, weights = rng.integers(0, 21, (200, 4)).astype(np.int8), np.ones(200, dtype=np.float32)
    noise = rng.normal(size=(6, 21, 21))
    for strength, warned in ((5, False), (100, True)):
        caplog.clear()
        model = Couplings(np.zeros((4, 21), np.float32), (strength * noise).astype(np.float32))
        assert np.isfinite(direct_information(model, tokens, weights, 0.05)).all()
        assert ("of 6 pairs is not settled" in caplog.text) == warned


def test_letters_that_no_sequence_has_add_nothing():
    tokens = np.array([[0, 1], [1, 0], [0, 1]], dtype=np.int8)
    model = Couplings(np.zeros((2, 21), np.float32), np.zeros((1, 21, 21), np.float32))
    found = direct_information(model, tokens, np.ones(3, dtype=np.float32), 1e-300)
    assert found[0, 1] == pytest.approx(0.0, abs=1e-7)


def test_direct_information_does_not_depend_on_the_gauge():
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, 21, size=(30, 5)).astype(np.int8)
    weights = np.ones(30, np.float32)
    model = model_of(2)
    one, two = (direct_information(m, tokens, weights) for m in (model, naive.regauged(model, 9)))
    np.testing.assert_allclose(one, two, rtol=5e-3)
    assert not np.diag(one).any()


def test_frobenius_leaves_out_the_gap():
    couplings = np.zeros((1, 21, 21), np.float32)
    couplings[0, 20, :] = couplings[0, :, 20] = 5
    couplings[0, 3, 4], couplings[0, 0, 19] = 3, 4
    found = frobenius(Couplings(np.zeros((2, 21), np.float32), couplings))
    np.testing.assert_allclose(found, [[0, 5], [5, 0]])


def test_apc_by_hand():
    raw = np.array([[0, 1, 2], [1, 0, 6], [2, 6, 0]], float)
    mean = np.array([1.5, 3.5, 4.0])  # over the two others
    expected = raw - np.outer(mean, mean) / 3.0
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(apc(raw), expected, rtol=1e-6)


def test_apc_removes_a_product_of_column_factors():
    factor = np.array([1.0, 2.0, 0.5, 1.5, 3.0] * 40)
    raw = np.outer(factor, factor)
    np.fill_diagonal(raw, 0)
    assert np.abs(apc(raw)).max() < 0.1 * raw.max()


@pytest.mark.parametrize("raw", [np.zeros((3, 3)), np.zeros((1, 1))])
def test_apc_of_nothing(raw):
    np.testing.assert_array_equal(apc(raw), raw)


def test_mutual_information_of_copied_and_independent_columns():
    tokens = np.stack(np.meshgrid(np.arange(4), np.arange(4)), axis=-1).reshape(-1, 2).astype(np.int8)
    tokens = np.ascontiguousarray(np.column_stack([tokens, tokens[:, 0]]))
    found = mutual_information(tokens, np.ones(16, np.float32), pseudocount=1e-6)
    assert found[0, 1] == pytest.approx(0, abs=1e-4)
    assert found[0, 2] == pytest.approx(np.log(4), abs=1e-3)


def test_packing():
    first, second = np.triu_indices(7, 1)
    np.testing.assert_array_equal(pair_index(first, second, 7), np.arange(21))
    full = square(np.arange(1.0, 22.0), 7)
    np.testing.assert_array_equal(full, full.T)
    assert full[2, 5] == pair_index(2, 5, 7) + 1


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(3, 21, 21\)"):
        Couplings(np.zeros((4, 21), np.float32), np.zeros((3, 21, 21), np.float32))
