"""Sequence weights: conventions, invariances and bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dca.weights import effective_number, sequence_weights


def test_threshold_itself_counts_as_similar():
    tokens = np.zeros((2, 5), dtype=np.int8)
    tokens[1, 4] = 1  # identity 0.8
    assert sequence_weights(tokens, 0.8).tolist() == [0.5, 0.5]
    assert sequence_weights(tokens, 0.81).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("length", [5, 10, 35, 45, 70, 90, 115])
def test_rounding_of_identity_times_length(length):
    tokens = np.zeros((2, length), dtype=np.int8)
    tokens[1, : length // 5] = 3
    assert sequence_weights(tokens, 0.8).tolist() == [0.5, 0.5]
    tokens[1, : length // 5 + 1] = 3
    assert sequence_weights(tokens, 0.8).tolist() == [1.0, 1.0]


def test_gaps_are_letters():
    tokens = np.full((3, 10), 20, dtype=np.int8)
    assert sequence_weights(tokens).tolist() == pytest.approx([1 / 3] * 3)
    assert effective_number(sequence_weights(tokens)) == pytest.approx(1.0)


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.int8, (12, 7), elements=st.integers(0, 3)),
    st.permutations(range(12)),
    st.permutations(range(7)),
)
def test_order_of_rows_and_columns_does_not_matter(tokens, rows, columns):
    found = sequence_weights(np.ascontiguousarray(tokens[rows][:, columns]), 0.7)
    np.testing.assert_array_equal(found, sequence_weights(tokens, 0.7)[rows])


def test_many_rows_cross_tiles_and_chunks():
    rng = np.random.default_rng(3)
    ancestors = rng.integers(0, 21, size=(30, 40)).astype(np.int8)
    origin = rng.integers(0, 30, size=2500)
    weights = sequence_weights(ancestors[origin])
    np.testing.assert_allclose(weights, 1 / np.bincount(origin, minlength=30)[origin], rtol=1e-6)
    assert effective_number(weights) == pytest.approx(30, rel=1e-5)


@pytest.mark.parametrize("identity", [0.0, -1.0, 1.5])
def test_identity_out_of_range(identity):
    with pytest.raises(ValueError, match=str(identity)):
        sequence_weights(np.zeros((2, 3), dtype=np.int8), identity)


def test_empty_alignment():
    with pytest.raises(ValueError, match="empty"):
        sequence_weights(np.zeros((0, 3), dtype=np.int8))
