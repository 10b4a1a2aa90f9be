"""The two nulls of the refiner on made-up structures."""

import json

import numpy as np
import pytest

from benchmarks import nulls, precision
from tests.test_benchmarks import families  # noqa: F401 (a fixture)

tmtools = pytest.importorskip("tmtools")


def helix(length: int) -> np.ndarray:
    """C-alpha atoms of an ideal helix with a slow bend, so that no shift maps it onto itself."""
    t = np.arange(length)
    return np.c_[2.3 * np.cos(1.745 * t) + 0.002 * t**2, 2.3 * np.sin(1.745 * t), 1.5 * t]


def points(columns: np.ndarray, position: np.ndarray) -> nulls.Points:
    letters = np.random.default_rng(len(columns)).choice(list("ACDEFGHIKLMNPQRSTVWY"), len(columns))
    return nulls.Points(columns, position, "".join(letters))


def test_a_turned_copy_is_laid_upon_itself():
    own = helix(40)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    columns = np.r_[0:10, 12:42]  # two columns are not resolved
    found = nulls.laid_upon(points(columns, own), points(np.arange(100, 140), own @ turn.T + 7), "copy")
    assert found.tm_score == pytest.approx(1, abs=1e-6)
    assert found.pairs.tolist() == [[c, 100 + k] for k, c in enumerate(columns)]


def test_distances_are_carried_over():
    distance = np.array([[0, 5, 9], [5, 0, np.nan], [9, np.nan, 0]], dtype=np.float32)
    template = nulls.Template("t", 0.7, np.array([[1, 0], [3, 1], [4, 2]]))
    score = nulls.template_map(template, distance, 6)
    assert score[1, 3] == score[3, 1] == -5
    assert score[1, 4] == -9
    assert score[3, 4] == score[0, 1] == score[2, 5] == -1e4


def test_base_rates_are_shares_of_resolved_pairs():
    distance = np.array([[0, 5, 9], [5, 0, np.nan], [9, np.nan, 0]], dtype=np.float32)
    truth = type("Truth", (), {"distance": distance})()
    family = precision.Family(None, None, None, truth)
    rates = nulls.base_rates([family])
    assert rates[1] == 1.0  # of two pairs one is unresolved
    assert rates[2] == 0.0
    score = nulls.separation_map(np.linspace(1, 0, nulls.SEPARATIONS), 5, np.random.default_rng(1))
    assert score[0, 1] > score[0, 2] > score[0, 4]
    assert score[0, 1] == pytest.approx(score[3, 4], abs=1e-8)


def test_the_table_is_resumed(families, tmp_path, capsys):  # noqa: F811
    table = families / "families.tsv"
    table.write_text(table.read_text().replace("two\ttrain", "two\tval"))
    out = tmp_path / "n.tsv"
    whole = ["--families", str(families), "--out", str(out)]
    assert nulls.main(whole) == 0
    before = out.read_text()
    rows = precision.read_rows(out)
    assert {(row["protein"], row["method"]) for row in rows} == {("two", "separation"), ("two", "template")}
    found = json.loads(out.with_suffix(".templates.json").read_text())
    assert found["two"]["template"] == "one"
    assert 0 < found["two"]["tm_score"] <= 1
    assert nulls.main(whole) == 0
    assert out.read_text() == before
    capsys.readouterr()
    assert nulls.main(["--table", str(out), "--weights", "template"]) == 0
    assert "| all | separation | 1 |" in capsys.readouterr().out
