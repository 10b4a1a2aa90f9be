"""CASP RR and CSV files are what their formats say."""

import csv

import numpy as np
import pytest
from report_fixtures import FIRST, LENGTH, QUERY, distances, residue_numbers, symmetric

from data.errors import MapError
from data.store import save_text
from report.exports import CSV_COLUMNS, ranking, read_rr, write_csv, write_rr


@pytest.fixture
def scores():
    return symmetric(np.random.default_rng(3))


def best_pairs_by_loop(values, min_separation):
    pairs = [(i, j) for i in range(len(values)) for j in range(i + min_separation, len(values))]
    return sorted(pairs, key=lambda pair: (-values[pair], pair))


def test_ranking_equals_the_loop_with_ties(scores):
    coarse = np.round(scores)
    ranked = ranking(coarse, 6)
    assert list(zip(ranked.i.tolist(), ranked.j.tolist(), strict=True)) == best_pairs_by_loop(coarse, 6)


def test_ranking_leaves_out_what_is_not_finite(scores):
    scores[2, 20] = scores[20, 2] = np.nan
    ranked = ranking(scores, 6)
    assert (2, 20) not in zip(ranked.i, ranked.j, strict=True)
    assert len(ranked.i) == len(best_pairs_by_loop(scores, 6)) - 1


def test_a_map_that_is_not_square_is_refused():
    with pytest.raises(MapError, match=r"\(3, 4\)"):
        ranking(np.zeros((3, 4)))


def test_scores_come_back_in_order_with_rank_probabilities(tmp_path, scores):
    write_rr(QUERY, scores, tmp_path / "x.rr", "plm", first_index=FIRST, target="hair pin")
    back = read_rr(tmp_path / "x.rr")
    expected = best_pairs_by_loop(scores, 6)[: 3 * LENGTH]
    assert back.sequence == QUERY
    assert list(zip(back.i.tolist(), back.j.tolist(), strict=True)) == expected
    ranks = np.arange(1, len(expected) + 1)
    np.testing.assert_allclose(back.probability, 1 - (ranks - 0.5) / len(ranks), atol=1e-6)
    assert back.header["METHOD"] == "plm"
    assert back.header["TARGET"] == "hair pin"
    assert "rank-normalised" in back.header["REMARK"]
    assert f"residue 1 of this sequence is number {FIRST}" in back.header["REMARK"]


def test_probabilities_are_printed_as_they_are(tmp_path, scores):
    probability = 1 / (1 + np.exp(-scores))
    write_rr(QUERY, probability, tmp_path / "x.rr", "refined", kind="probability", top=25, min_separation=12)
    back = read_rr(tmp_path / "x.rr")
    assert len(back.i) == 25
    assert (back.j - back.i).min() >= 12
    np.testing.assert_allclose(back.probability, probability[back.i, back.j], atol=1e-6)
    assert "rank-normalised" not in back.header["REMARK"]


def test_the_sequence_stands_in_lines_of_fifty(tmp_path):
    query = QUERY * 3
    write_rr(query, np.zeros((len(query),) * 2), tmp_path / "x.rr", "zero", top=1)
    lines = (tmp_path / "x.rr").read_text().splitlines()
    start = lines.index("MODEL 1") + 1
    assert [len(line) for line in lines[start : start + 3]] == [50, 50, 20]
    assert lines[-2:] == ["1 7 0 8 0.500000", "END"]


def test_a_name_cannot_add_records(tmp_path, scores):
    write_rr(QUERY, scores, tmp_path / "x.rr", "a\nEND\nb", target="t\nMODEL 2")
    assert read_rr(tmp_path / "x.rr").header["METHOD"] == "a END b"


def test_a_short_query_has_no_pairs(tmp_path):
    write_rr("MKTA", np.zeros((4, 4)), tmp_path / "x.rr", "plm")
    assert len(read_rr(tmp_path / "x.rr").i) == 0


def test_scores_are_not_taken_for_probabilities(tmp_path, scores):
    with pytest.raises(MapError, match="outside"):
        write_rr(QUERY, scores, tmp_path / "x.rr", "plm", kind="probability")
    with pytest.raises(MapError, match="does not fit"):
        write_rr(QUERY[:-1], scores, tmp_path / "x.rr", "plm")
    assert not (tmp_path / "x.rr").exists()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1 9 0 8", "a contact line is"),
        ("9 1 0 8 0.5", "1 <= i < j"),
        ("1 41 0 8 0.5", "1 <= i < j <= 40"),
        ("1 9 8 0 0.5", "d_min < d_max"),
        ("1 9 0 8 1.5", r"lie in \[0, 1\]"),
        ("1 9 0 8 0.9", "falling"),
        ("2 10 0 8 0.5", "second time"),
    ],
)
def test_the_reader_names_the_line_that_breaks_the_format(tmp_path, line, problem):
    text = ["PFRMAT RR", "TARGET t", "MODEL 1", QUERY, "2 10 0 8 0.6", line, "END"]
    save_text(tmp_path / "x.rr", "\n".join(text) + "\n")
    with pytest.raises(MapError, match=problem) as caught:
        read_rr(tmp_path / "x.rr")
    assert caught.value.place == "line 6"


@pytest.mark.parametrize(("drop", "problem"), [(0, "starts with PFRMAT"), (-1, "closes with END")])
def test_the_reader_wants_both_ends(tmp_path, drop, problem):
    text = ["PFRMAT RR", "MODEL 1", QUERY, "END"]
    del text[drop]
    save_text(tmp_path / "x.rr", "\n".join(text))
    with pytest.raises(MapError, match=problem):
        read_rr(tmp_path / "x.rr")


def test_csv_speaks_both_numberings(tmp_path, scores):
    distance, residue = distances(), residue_numbers()
    scores[3, 30] = scores[30, 3] = 50.0  # residue 3 is not resolved
    scores[7, 33] = scores[33, 7] = 40.0
    write_csv(
        QUERY,
        scores,
        tmp_path / "x.csv",
        probability=1 / (1 + np.exp(-scores)),
        first_index=FIRST,
        residue=residue,
        distance=distance,
    )
    with (tmp_path / "x.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == len(best_pairs_by_loop(scores, 6))
    assert (rows[0]["i"], rows[0]["aa_i"], rows[0]["residue_i"], rows[0]["distance"]) == (
        "14",
        QUERY[3],
        "",
        "",
    )
    assert (rows[1]["i"], rows[1]["j"], rows[1]["residue_i"], rows[1]["residue_j"]) == (
        "18",
        "44",
        "106A",
        "133",
    )
    assert float(rows[1]["distance"]) == np.floor(100 * np.float64(distance[7, 33])) / 100  # never up to 8
    assert float(rows[1]["score"]) == 40.0


def test_both_exports_speak_uniprot_numbers(tmp_path, scores):
    uniprot = np.where(np.arange(LENGTH) % 20 < 15, np.arange(LENGTH) + 201, 0)
    write_csv(QUERY, scores, tmp_path / "x.csv", uniprot=uniprot, first_index=FIRST)
    with (tmp_path / "x.csv").open() as stream:
        for row in csv.DictReader(stream):
            for end in "ij":
                number = uniprot[int(row[end]) - FIRST]
                assert row[f"uniprot_{end}"] == (str(number) if number else "")
    write_rr(QUERY, scores, tmp_path / "x.rr", "plm", uniprot=uniprot, accession="P69905\nEND")
    remarks = read_rr(tmp_path / "x.rr").header["REMARK"].split("\n")
    assert remarks[-2:] == [
        "residues 1 to 15 of this sequence are 201 to 215 of UniProt P69905 END",
        "residues 21 to 35 of this sequence are 221 to 235 of UniProt P69905 END",
    ]


def test_csv_without_a_structure_has_empty_cells(tmp_path, scores):
    write_csv(QUERY, scores, tmp_path / "x.csv", top=3)
    with (tmp_path / "x.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3
    assert {row["probability"] + row["residue_i"] + row["residue_j"] + row["distance"] for row in rows} == {
        ""
    }
