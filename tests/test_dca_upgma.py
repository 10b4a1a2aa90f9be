"""Average linkage: against a loop over all clusters, and against scipy to the bit."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.cluster.hierarchy import average

from dca.upgma import average_linkage


def packed(count, elements):
    return arrays(np.float64, count * (count - 1) // 2, elements=elements)


@pytest.mark.parametrize("count", [2, 3, 9, 20])
def test_average_linkage_twin(count):
    square = np.zeros((count, count))
    upper = np.triu_indices(count, 1)
    square[upper] = square.T[upper] = np.random.default_rng(count).random(upper[0].size)
    joined, height = average_linkage(square[upper])
    members = [frozenset([k]) for k in range(count)]
    for (one, two), value, (expected, parts) in zip(
        joined, height, naive.average_linkage(square), strict=True
    ):
        assert one < two
        assert {members[one], members[two]} == parts
        assert value == pytest.approx(expected)
        members.append(members[one] | members[two])


@settings(max_examples=100, deadline=None)
@given(
    st.integers(2, 15).flatmap(
        lambda count: st.one_of(packed(count, st.integers(0, 3)), packed(count, st.floats(0, 2, width=32)))
    )
)
def test_the_joins_are_those_of_scipy(distance):
    """Whole numbers, so that many clusters are equally near."""
    expected = average(distance)
    joined, height = average_linkage(distance.copy())
    np.testing.assert_array_equal(joined, expected[:, :2])
    np.testing.assert_array_equal(height, expected[:, 2])


def test_a_distance_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="must be finite"):
        average_linkage(np.array([0.1, np.nan, 0.3]))
