"""Reasons of false positives and their background against plain loops."""

import numpy as np
import pytest

from report.explain import explained, reason_masks

LENGTH = 40


@pytest.fixture
def case():
    rng = np.random.default_rng(7)
    position = np.cumsum(rng.normal(size=(LENGTH, 3)) * 3, axis=0)
    resolved = np.ones(LENGTH, bool)
    resolved[[5, 20]] = False
    position[~resolved] = np.nan
    distance = np.linalg.norm(position[:, None] - position[None], axis=-1)
    values = rng.normal(size=(LENGTH, LENGTH))
    values = values + values.T
    gaps = rng.uniform(0, 0.6, size=LENGTH)
    partner = np.abs(rng.normal(size=(LENGTH, LENGTH))) * 20
    return values, distance, resolved, gaps, np.minimum(partner, partner.T)


def covers(name, i, j, distance, resolved, gaps, partner):
    if name == "elsewhere":
        return partner[j, i] < 11
    if name == "near":
        return distance[i, j] < 12
    if name == "assembly":
        return partner[i, j] < 8
    reach, bad = (1, gaps > 0.5) if name == "gaps" else (3, ~resolved)
    return any(bad[max(0, k - reach) : k + reach + 1].any() for k in (i, j))


def test_reasons_equal_the_loop(case):
    values, distance, resolved, gaps, partner = case
    masks = reason_masks(distance, resolved, gaps, partner, partner - 3)
    found = explained("plm", values, distance, masks, 6)
    pairs = [(i, j) for i in range(LENGTH) for j in range(i + 6, LENGTH)]
    best = sorted(pairs, key=lambda pair: (-values[pair], pair))[:LENGTH]
    wrong = [pair for pair in best if distance[pair] >= 8]
    others = [pair for pair in pairs if distance[pair] >= 8]
    assert found.pairs == sum(np.isfinite(distance[pair]) for pair in best)
    assert found.wrong == len(wrong)
    names = ["near", "assembly", "elsewhere", "gaps", "unresolved"]
    assert [reason.name for reason in found.reasons] == [*names, "none"]
    for reason in found.reasons[:-1]:
        hits = [covers(reason.name, *pair, distance, resolved, gaps, partner) for pair in wrong]
        assert reason.count == sum(hits)
        assert reason.share == pytest.approx(np.mean(hits))
        chances = []
        for i, j in wrong:
            alike = [pair for pair in others if abs((pair[1] - pair[0]) - (j - i)) <= 2]
            chances.append(
                np.mean([covers(reason.name, *p, distance, resolved, gaps, partner) for p in alike])
            )
        assert reason.background == pytest.approx(np.mean(chances))
    uncovered = [
        pair for pair in wrong if not any(covers(n, *pair, distance, resolved, gaps, partner) for n in names)
    ]
    assert found.reasons[-1].count == len(uncovered)


def test_without_other_distances_their_reasons_are_not_named(case):
    _, distance, resolved, gaps, _ = case
    assert list(reason_masks(distance, resolved, gaps)) == ["near", "gaps", "unresolved"]


def test_nothing_wrong_has_no_share(case):
    values, distance, resolved, gaps, _ = case
    close = np.where(np.isfinite(distance), 5.0, np.nan)
    found = explained("plm", values, close, reason_masks(close, resolved, gaps), 6)
    assert found.wrong == 0
    assert all(np.isnan(reason.share) for reason in found.reasons)
