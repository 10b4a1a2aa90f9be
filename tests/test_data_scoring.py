"""Scores equal those of a twin that nobody could get wrong, and tables come back as they were."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.contacts import Truth
from data.errors import CovarionError, MapError
from data.scoring import (
    COLUMNS,
    CUTS,
    DEPTH_BINS,
    RANGES,
    average_precision,
    bootstrap_mean,
    depth_bin,
    read_scores,
    score_files,
    score_map,
    write_scores,
)
from data.store import save_arrays
from data.truth_file import save_truth


def truth_of(distance, resolved=None):
    distance = np.asarray(distance, dtype=np.float32)
    resolved = np.ones(len(distance), dtype=bool) if resolved is None else resolved
    distance = np.where(resolved[:, None] & resolved[None, :], distance, np.nan)
    labels = np.array([str(i + 1) for i in range(len(distance))])
    return Truth(distance, resolved, labels, 1.0, 1.0, "A", "1abc", [])


def random_case(length, seed, levels=0):
    """Symmetric scores (few different values where `levels` is given) and distances, some unresolved."""
    rng = np.random.default_rng(seed)
    score = rng.integers(levels, size=(length, length)) if levels else rng.normal(size=(length, length))
    distance = rng.uniform(4, 24, size=(length, length))
    resolved = rng.random(length) < 0.85
    return np.triu(score, 1) + np.triu(score, 1).T, truth_of(
        np.triu(distance) + np.triu(distance, 1).T, resolved
    )


def naive_scores(score, truth):
    """(range, cut) -> (k, precision, ceiling, pairs, contacts), by sorting a list of pairs."""
    length = len(score)
    found = {}
    for name, (low, high) in {
        "short": (6, 11), "medium": (12, 23), "long": (24, 10**6), "medium+long": (12, 10**6),
    }.items():  # fmt: skip
        pairs = []
        for i in range(length):
            for j in range(i + 1, length):
                if low <= j - i <= high and truth.resolved[i] and truth.resolved[j]:
                    pairs.append((-score[i, j], i, j))
        pairs.sort()
        hits = [truth.distance[i, j] < 8.0 for _, i, j in pairs]
        contacts = sum(hits)
        for cut, divisor in {"L/10": 10, "L/5": 5, "L/2": 2, "L": 1}.items():
            k = max(1, round(length / divisor))
            used = min(k, len(pairs))
            precision = sum(hits[:k]) / used if used else math.nan
            found[name, cut] = (
                k,
                precision,
                min(1.0, contacts / used) if used else math.nan,
                len(pairs),
                contacts,
            )
        at = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
        mean = sum(at) / len(at) if at else math.nan
        found[name, "AP"] = (len(pairs), mean, 1.0 if at else math.nan, len(pairs), contacts)
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 45), st.integers(0, 10**6), st.sampled_from([0, 2, 5]))
def test_scores_equal_the_naive_twin(length, seed, levels):
    score, truth = random_case(length, seed, levels)
    rows = score_map(score, truth, "P", "m")
    expected = naive_scores(score, truth)
    assert len(rows) == len(expected) == 20
    for row in rows:
        found = tuple(row[name] for name in ("k", "precision", "ceiling", "pairs", "contacts"))
        assert found == pytest.approx(expected[row["range"], row["cut"]], nan_ok=True)


def test_a_case_by_hand():
    distance = np.full((30, 30), 20.0)
    for i, j in [(0, 6), (0, 24), (1, 26), (2, 29)]:
        distance[i, j] = distance[j, i] = 5.0
    score = np.zeros((30, 30))
    for rank, (i, j) in enumerate([(0, 24), (0, 25), (1, 26)]):
        score[i, j] = 9 - rank
    rows = {(row["range"], row["cut"]): row for row in score_map(score, truth_of(distance), "P", "m")}
    tenth = rows["long", "L/10"]
    assert (tenth["k"], tenth["pairs"], tenth["contacts"]) == (3, 21, 3)
    assert tenth["precision"] == pytest.approx(2 / 3)
    assert tenth["ceiling"] == 1.0
    assert rows["long", "L/2"]["ceiling"] == pytest.approx(3 / 15)
    # L = 30 pairs are asked for, 21 exist
    assert (rows["long", "L"]["k"], rows["long", "L"]["precision"]) == (30, pytest.approx(3 / 21))
    # After three scored pairs the order is that of (i, j): (2, 29) is the 15th of 21
    assert rows["long", "AP"]["precision"] == pytest.approx((1 + 2 / 3 + 3 / 15) / 3)
    assert rows["medium", "L"]["contacts"] == 0
    assert rows["medium", "L"]["precision"] == 0.0
    assert math.isnan(rows["medium", "AP"]["precision"])
    # Of equal scores the first pair is ranked first: (0, 6)
    assert rows["short", "AP"]["precision"] == 1.0


def test_perfect_maps_reach_their_ceiling():
    _, truth = random_case(60, 3)
    for row in score_map(-np.nan_to_num(truth.distance, nan=0.0), truth, "P", "m"):
        assert row["precision"] == pytest.approx(row["ceiling"])


def test_short_proteins_have_no_pairs_in_a_range():
    score, truth = random_case(10, 0)
    row = next(row for row in score_map(score, truth, "P", "m") if row["range"] == "long")
    assert row["pairs"] == 0
    assert math.isnan(row["precision"])
    assert math.isnan(row["ceiling"])


def test_maps_that_cannot_be_scored():
    score, truth = random_case(30, 0)
    with pytest.raises(MapError, match=r"P, method m: .*differ in shape; found: \(29, 29\) and \(30, 30\)"):
        score_map(score[1:, 1:], truth, "P", "m")
    score[3, 17] = np.nan
    with pytest.raises(MapError, match=r"pair \(3, 17\), 0-based: the map holds NaN; found: 1 pairs"):
        score_map(score, truth, "P", "m")


def test_average_precision_by_hand():
    assert average_precision(np.array([True, False, True, False])) == pytest.approx((1 + 2 / 3) / 2)
    assert math.isnan(average_precision(np.zeros(4, dtype=bool)))


def test_table_of_scores_comes_back(tmp_path):
    score, truth = random_case(20, 5)
    rows = score_map(score, truth, "P", "mean-field_di")
    write_scores(tmp_path / "s.tsv", rows)
    assert (tmp_path / "s.tsv").read_text().splitlines()[0].split("\t") == list(COLUMNS)
    again = read_scores(tmp_path / "s.tsv")
    assert len(again) == len(rows) == len(RANGES) * (len(CUTS) + 1)
    for before, after in zip(rows, again, strict=True):
        assert after == pytest.approx(before, abs=1e-6, nan_ok=True)
        assert [type(after[name]) for name in COLUMNS] == [type(before[name]) for name in COLUMNS]


@pytest.mark.parametrize(
    "text", ["", "a\tb\n1\t2\n", "\t".join(COLUMNS) + "\nP\tm\tlong\tL\tx\t1\t1\t1\t1\n"]
)
def test_files_that_are_no_table_of_scores(tmp_path, text):
    (tmp_path / "s.tsv").write_text(text)
    with pytest.raises(CovarionError, match=r"s\.tsv: not a table of scores"):
        read_scores(tmp_path / "s.tsv")
    with pytest.raises(CovarionError, match=r"nowhere\.tsv"):
        read_scores(tmp_path / "nowhere.tsv")


def test_every_map_of_the_files_is_scored_but_raw_ones(tmp_path):
    score, truth = random_case(30, 2)
    save_truth(tmp_path / "truth.npz", truth)
    save_arrays(tmp_path / "maps.npz", plm=score, plm_raw=score, mi=-score)
    save_arrays(tmp_path / "refined-demo.npz", contact=score, distance=np.zeros((30, 30, 4)), weights="w")
    save_arrays(tmp_path / "foreign.npz", contact=score)
    files = [tmp_path / name for name in ("maps.npz", "refined-demo.npz", "foreign.npz")]
    score_files("P", tmp_path / "truth.npz", files, tmp_path / "s.tsv")
    rows = read_scores(tmp_path / "s.tsv")
    assert [row["method"] for row in rows[::20]] == ["plm", "mi", "refined-demo", "contact"]
    assert {row["protein"] for row in rows} == {"P"}


def test_bootstrap_draws_whole_clusters():
    rng = np.random.default_rng(0)
    values = np.array([0.0] * 50 + [1.0] * 50)
    by_value = bootstrap_mean(values, [f"c{i}" for i in range(100)], rng=rng)
    two_clusters = bootstrap_mean(values, ["a"] * 50 + ["b"] * 50, rng=rng)
    assert by_value[0] == two_clusters[0] == 0.5
    # Binomial: 0.5 +- 1.96 * 0.05; two clusters give 0, 0.5 or 1
    assert by_value[1:] == pytest.approx((0.4, 0.6), abs=0.02)
    assert two_clusters[1:] == (0.0, 1.0)


def test_bootstrap_leaves_out_nan_and_separates_unnamed_clusters():
    assert bootstrap_mean([0.25, math.nan, 0.75], ["", "", ""])[0] == 0.5
    assert bootstrap_mean([0.0, 1.0] * 20, [""] * 40)[1] > 0.2
    assert all(math.isnan(number) for number in bootstrap_mean([math.nan], ["a"]))
    assert bootstrap_mean([0.3, 0.5], ["a", "b"]) == bootstrap_mean([0.3, 0.5], ["a", "b"])
    with pytest.raises(ValueError, match="2 values for 1 clusters"):
        bootstrap_mean([0.1, 0.2], ["a"])


@pytest.mark.parametrize(
    ("neff", "place"),
    [(1, 0), (29.9, 0), (30, 1), (100, 2), (299, 2), (300, 3), (1000, 4), (3000, 4), (3000.1, 5), (1e5, 5)],
)
def test_depth_bins(neff, place):
    assert depth_bin(neff) == DEPTH_BINS[place]
