"""Families of the same depth: the numbers are those of docs/results.md, and a page shows them."""

import re
from pathlib import Path

import numpy as np
from report_fixtures import write_protein

from data.store import save_arrays
from nets.shipped import DEFAULT
from report.comparable import CUTS, MISSED, PRECISION, RELATED, comparable
from report.page import write_page

TEXT = (Path(__file__).parent.parent / "docs" / "results.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if "|" in line]
NAMES = {"refined": "covarion-5"}  # the table of precisions was made with these weights


def numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, re.findall(r"[-+]?\d\.\d+", text)))


def test_the_precisions_are_those_of_the_results():
    told = {
        (row[0], NAMES.get(row[1], row[1])): (int(row[2]), *(numbers(cell.split(";")[0]) for cell in row[3:]))
        for row in ROWS
        if len(row) == 3 + len(CUTS) and row[0] in PRECISION
    }
    for depth, methods in PRECISION.items():
        for method, values in methods.items():
            assert told[depth, method] == values


def test_the_errors_of_expectation_are_those_of_the_results():
    told = {
        (row[0], row[1]): (int(row[3]), *numbers(row[7]))
        for row in ROWS
        if len(row) == 8 and row[2] == ">= 24"
    }
    assert DEFAULT in MISSED
    for weights, depths in MISSED.items():
        for depth, values in depths.items():
            assert told[weights, depth] == values


def test_only_measured_weights_and_depths_are_told_of():
    found = comparable("30-100", ["covarion-2", "mine"])
    assert [row[:2] for row in found.rows] == [("plm", 6), ("covarion-5", 6)]
    text = "What covarion-2 expected at L was off by 0.08 on average (15 maps of this depth)"
    assert found.missed == [f"{text}, 0.07 too low in the mean."]
    assert comparable("< 30", ["mine"]).rows == comparable("< 30", ["mine"]).missed == []


def test_remote_kin_of_families_is_told():
    assert sum(RELATED.values()) == 5  # as docs/results.md says
    assert set(RELATED) <= set(PRECISION)
    assert comparable("1,000-3,000", []).related.startswith("1 of them has remote kin")
    assert comparable("> 3,000", []).related.startswith("2 of them have remote kin")
    assert comparable("30-100", []).related == ""


def test_a_page_shows_families_of_its_depth(tmp_path):
    files = write_protein(tmp_path / "p", truth=False)
    del files["weights"]  # 12 sequences
    write_page("few", files, {}, {}, tmp_path / "few.html")
    assert 'id="comparable"' not in (tmp_path / "few.html").read_text()
    write_page("more", files | {"weights": _deep(tmp_path)}, {}, {}, tmp_path / "more.html")
    text = (tmp_path / "more.html").read_text()
    assert "Families of Neff 30-100" in text
    _, (_, low, high), *_ = PRECISION["30-100"]["plm"]
    assert f"{low:.2f} to {high:.2f}" in text


def _deep(folder: Path) -> Path:
    save_arrays(folder / "deep.npz", weights=np.full(12, 4, np.float32), neff=np.float32(48))
    return folder / "deep.npz"
