"""Profiles, letter pairs and expected precision against plain loops."""

import math

import numpy as np
import pytest

from data.alphabet import LETTERS, encode
from report.evidence import expected_precision, information, letter_pairs, next_depth, profile

TOKENS = np.stack([encode(row) for row in ("ACD-", "ACE-", "GCD-", "-CDW")])
WEIGHTS = np.array([1.0, 0.5, 0.5, 2.0])


def test_profile_by_hand():
    shares, gaps = profile(TOKENS, WEIGHTS)
    np.testing.assert_allclose(gaps, [0.5, 0, 0, 0.5])
    assert shares[0, LETTERS.index("A")] == pytest.approx(0.75)
    assert shares[0, LETTERS.index("G")] == pytest.approx(0.25)
    assert shares[2, LETTERS.index("E")] == pytest.approx(0.125)
    np.testing.assert_allclose(shares.sum(1), 1)


def test_information_of_the_extremes():
    flat, fixed, none = np.full(20, 0.05), np.eye(20)[0], np.zeros(20)
    bits = information(np.stack([flat, fixed, none]), neff=1e9)
    np.testing.assert_allclose(bits, [0, math.log2(20), 0], atol=1e-6)
    assert information(fixed[None], neff=10)[0] == pytest.approx(math.log2(20) - 19 / (20 * math.log(2)))


def loop_pairs(tokens, weights, i, j):
    total = sum(w for row, w in zip(tokens, weights, strict=True) if row[i] != 20 and row[j] != 20)
    shares = {}
    for row, w in zip(tokens, weights, strict=True):
        if row[i] != 20 and row[j] != 20:
            key = LETTERS[row[i]] + LETTERS[row[j]]
            shares[key] = shares.get(key, 0) + w / total
    return shares


def test_letter_pairs_equal_the_loop():
    rng = np.random.default_rng(4)
    tokens = rng.choice([0, 3, 7, 20], size=(60, 5)).astype(np.int8)
    weights = rng.uniform(0.1, 1, size=60)
    found = letter_pairs(tokens, weights, 1, 3, most=9)
    expected = loop_pairs(tokens, weights, 1, 3)
    assert {p.first + p.second: pytest.approx(p.share) for p in found} == expected
    assert [p.share for p in found] == sorted((p.share for p in found), reverse=True)
    for p in found:
        holds = (tokens[:, 1] == LETTERS.index(p.first)) & (tokens[:, 3] == LETTERS.index(p.second))
        assert p.sequences == holds.sum()
        assert holds[p.example]
        assert weights[p.example] == weights[holds].max()
        alone = [
            sum(v for k, v in expected.items() if k[at] == letter)
            for at, letter in enumerate(p.first + p.second)
        ]
        assert p.expected == pytest.approx(alone[0] * alone[1])


def test_columns_of_gaps_have_no_letter_pairs():
    assert letter_pairs(np.full((3, 2), 20, np.int8), np.ones(3), 0, 1) == []
    assert len(letter_pairs(TOKENS, WEIGHTS, 0, 3)) == 0


def test_expected_precision_is_the_mean_of_the_best():
    rng = np.random.default_rng(5)
    probability = rng.uniform(size=(60, 60))
    probability = (probability + probability.T) / 2
    rows = {row.cut: row for row in expected_precision(probability)}
    best = sorted((probability[i, j] for i in range(60) for j in range(i + 24, 60)), reverse=True)
    assert rows["L/5"].k == 12
    assert rows["L/5"].precision == pytest.approx(np.mean(best[:12]), abs=1e-6)
    spread = math.sqrt(sum(p * (1 - p) for p in best[:60])) / 60
    assert rows["L"].spread == pytest.approx(spread, abs=1e-6)


def test_short_proteins_expect_nothing_at_long_range():
    assert expected_precision(np.zeros((20, 20))) == []


@pytest.mark.parametrize(
    ("neff", "step"),
    [(10, (30, 20)), (30, (100, 70)), (999.5, (1000, 0.5)), (2000, (3000, 1000)), (5000, None)],
)
def test_next_depth(neff, step):
    assert next_depth(neff) == step
