"""Internal repeats: planted copies are found at their place and period, and none where there is none."""

import os
from pathlib import Path

import numpy as np
import pytest

from data.msa import read_alignment
from dca.weights import sequence_weights
from report.evidence import profile
from report.explain import explained, reason_masks
from report.repeats import MIN_PERIOD, column_scores, find_repeats, repeat_words

FAMILIES = Path(__file__).resolve().parent.parent.parent / "shared" / "families"
NEFF = 200.0


def columns(rng, length):
    """Shares of residues of unrelated columns, some conserved and some not; float64 [length, 20]."""
    background = rng.dirichlet(np.full(20, 5.0))
    return np.stack([rng.dirichlet(background * strength) for strength in rng.uniform(2, 40, length)])


def repeated(rng, unit=30, copies=4, lead=25, noise=0.3):
    """A profile with `copies` of a unit behind unrelated columns, each blurred with other columns."""
    block = columns(rng, unit)
    parts = [(1 - noise) * block + noise * columns(rng, unit) for _ in range(copies)]
    return np.concatenate([columns(rng, lead), *parts, columns(rng, lead)])


def test_planted_repeats_are_found():
    shares = repeated(np.random.default_rng(1))
    found = find_repeats(shares, NEFF)
    assert {one.period % 30 for one in found.segments} == {0}
    assert {30, 60, 90} <= {one.period for one in found.segments}
    inside = np.arange(25, 25 + 120)
    truth = np.zeros_like(found.same)
    for i in inside:
        truth[i, inside[(inside - i) % 30 == 0]] = True
    np.fill_diagonal(truth, False)
    assert (found.same & truth).sum() > 0.9 * truth.sum()
    assert (found.same & ~truth).sum() < 0.1 * truth.sum()
    assert (found.same == found.same.T).all()


@pytest.mark.parametrize("kind", ["unrelated", "helical", "short"])
def test_profiles_without_repeats_have_none(kind):
    """The periods of helices (3.6 residues) and of coiled coils (7) are no repeats."""
    flagged = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shares = columns(rng, 40 if kind == "short" else 160)
        if kind == "helical":
            greasy, polar = rng.dirichlet(np.full(20, 0.5), 2)
            inward = (0.5 + 0.5 * np.cos(2 * np.pi * np.arange(160) / 3.6))[:, None]
            shares = 0.6 * shares + 0.4 * (inward * greasy + (1 - inward) * polar)
        flagged += bool(find_repeats(shares, NEFF).segments)
    assert flagged == 0


def test_column_scores_are_those_of_the_formula():
    shares = columns(np.random.default_rng(0), 5)
    shares[2] = 0  # a column of gaps takes the mean composition
    mean = (shares.mean(0) + 1e-4) / (shares.mean(0) + 1e-4).sum()
    score = column_scores(shares, 30.0)
    for i in range(5):
        for j in range(5):
            p, q = ((30.0 * shares[k] + 10 * mean) / (30.0 * shares[k].sum() + 10) for k in (i, j))
            assert score[i, j] == pytest.approx(np.log2((p * q / mean).sum()))
    assert score[2] == pytest.approx(np.zeros(5), abs=1e-9)


def test_repeats_explain_pairs_of_mixed_up_copies():
    """Two copies of a unit of 30; a contact (5, 20) within the first is predicted as (5, 50) and (20, 35)."""
    length = 60
    same = np.eye(length, k=30, dtype=bool) | np.eye(length, k=-30, dtype=bool)
    distance = np.full((length, length), 20.0)
    distance[5, 20] = distance[20, 5] = 6.0
    np.fill_diagonal(distance, 0)
    masks = reason_masks(distance, np.ones(length, bool), np.zeros(length), same=same)
    moved = {tuple(pair) for pair in np.argwhere(np.triu(masks["moved"][1]))}
    assert moved == {(5, 50), (20, 35)}
    near_phase = {(i, i + period) for period in (29, 30, 31) for i in range(length - period)}
    assert {tuple(pair) for pair in np.argwhere(np.triu(masks["repeat"][1]))} == near_phase
    values = np.zeros((length, length))
    for i, j in ((5, 50), (20, 35), (10, 40), (11, 25)):
        values[i, j] = values[j, i] = 1
    reasons = {one.name: one for one in explained("plm", values, distance, masks, 6).reasons}
    assert (reasons["repeat"].count, reasons["moved"].count) >= (1, 2)
    assert reasons["moved"].background < 0.05


def test_no_repeat_no_reason():
    masks = reason_masks(
        np.full((20, 20), 9.0), np.ones(20, bool), np.zeros(20), same=np.zeros((20, 20), bool)
    )
    assert not {"repeat", "moved"} & set(masks)


def test_repeats_are_told_in_the_numbers_of_the_query():
    found = find_repeats(repeated(np.random.default_rng(2), copies=2), NEFF)
    assert f"{found.segments[0].first + 101} to " in repeat_words(found, 101)
    assert "30 residues later" in repeat_words(found, 101)
    assert repeat_words(find_repeats(columns(np.random.default_rng(0), 80), NEFF), 1) == ""
    assert MIN_PERIOD < 30


@pytest.mark.slow
@pytest.mark.skipif(not FAMILIES.is_dir(), reason=f"no folder {os.fspath(FAMILIES)}")
@pytest.mark.parametrize("name", ["s_1s70B_q8531_103-275", "s_1k1aA_q2049"])
def test_ankyrin_repeats_are_found(name):
    """MYPT1 and Bcl-3, whose structures are ankyrin repeats of 33 residues (PDB 1S70, 1K1A)."""
    tokens = read_alignment(FAMILIES / name / "msa.a3m.gz").tokens[:1000]
    weights = sequence_weights(tokens, 0.8)
    found = find_repeats(profile(tokens, weights)[0], float(weights.sum()))
    assert 33 in {one.period for one in found.segments}
