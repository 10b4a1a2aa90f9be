"""Reliability of probabilities, against a case that can be counted by hand."""

import numpy as np
import pytest

from data.store import save_arrays
from report.reliability import expected_error, reliability, reliability_text

LENGTH = 30


def write(folder, probability, distance):
    folder.mkdir()
    save_arrays(folder / "refined.npz", contact=probability)
    save_arrays(folder / "truth.npz", distance=distance)


def test_bins_hold_the_mean_and_the_share_in_contact(tmp_path):
    probability = np.full((LENGTH, LENGTH), 0.25, dtype=np.float32)
    distance = np.full((LENGTH, LENGTH), 20.0, dtype=np.float32)
    upper = np.triu_indices(LENGTH, 6)
    count = len(upper[0])  # 300
    distance[upper[0][:60], upper[1][:60]] = 5.0  # a fifth of them touch
    write(tmp_path / "p", probability, distance)
    (row,) = reliability(tmp_path, ["p", "absent"])
    assert (row.low, row.high, row.pairs) == (0.2, 0.3, count)
    assert row.predicted == pytest.approx(0.25)
    assert row.observed == pytest.approx(60 / count)
    assert expected_error([row]) == pytest.approx(abs(0.25 - 60 / count))
    assert "| 0.2 to 0.3 | 300 | 0.250 | 0.200 |" in reliability_text([row])


def test_unresolved_pairs_do_not_count_and_one_is_in_the_last_bin(tmp_path):
    probability = np.ones((LENGTH, LENGTH), dtype=np.float32)
    distance = np.full((LENGTH, LENGTH), 5.0, dtype=np.float32)
    distance[3] = distance[:, 3] = np.nan
    write(tmp_path / "p", probability, distance)
    (row,) = reliability(tmp_path, ["p"])
    lost = (LENGTH - 1 - 3) - 5  # partners of residue 3 at separation 6 and more, none below it
    assert row.pairs == (LENGTH - 6) * (LENGTH - 5) // 2 - lost
    assert (row.low, row.high) == (0.9, 1.0)


def test_predicted_models_calibrate_nothing(tmp_path):
    ones = np.ones((LENGTH, LENGTH), dtype=np.float32)
    write(tmp_path / "p", ones, 5 * ones)
    assert reliability(tmp_path, ["p"])
    save_arrays(tmp_path / "p" / "truth.npz", distance=5 * ones, kind=np.array("model"))
    assert reliability(tmp_path, ["p"]) == []


def test_without_files_there_are_no_bins(tmp_path):
    assert reliability(tmp_path, ["p"]) == []
