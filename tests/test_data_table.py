"""A table is read whole or refused with everything that is wrong with it."""

import json
from pathlib import Path

import jsonschema
import pytest

from data.errors import TableError
from data.table import COLUMNS, ProteinRow, read_proteins

SCHEMA = json.loads(
    (Path(__file__).parent.parent / "workflow" / "schemas" / "proteins.schema.json").read_text()
)


@pytest.fixture
def folder(tmp_path):
    for name in ("a.fasta", "a.pdb", "q.fasta", "m.rr", "n.rr"):
        (tmp_path / name).write_text("x")
    return tmp_path


def table(folder, *rows, header=COLUMNS):
    path = folder / "proteins.tsv"
    path.write_text("\n".join(["\t".join(header), *("\t".join(row) for row in rows)]) + "\n")
    return path


def read(path, **keywords):
    return read_proteins(path, schema=SCHEMA, **keywords)


def row(protein="P1", alignment="a.fasta", **cells):
    found = {"protein": protein, "alignment": alignment} | cells
    return [found.get(name, "") for name in COLUMNS]


def test_a_full_row(folder):
    cells = row(
        structure="a.pdb", chain="A", query="q.fasta", region="3-90", first_index="-4",
        maps="ccmpred=m.rr; tr-1=n.rr", split="val", cluster="c7",
    )  # fmt: skip
    rows, problems = read(table(folder, cells))
    assert problems == []
    assert rows == [
        ProteinRow(
            "P1", str(folder / "a.fasta"), str(folder / "a.pdb"), "A", str(folder / "q.fasta"), "3-90", -4,
            (("ccmpred", str(folder / "m.rr")), ("tr-1", str(folder / "n.rr"))), "val", "c7", 2,
        )
    ]  # fmt: skip


def test_two_columns_are_enough(folder):
    rows, _ = read(table(folder, ["P1", "pfam:PF00072"], header=["protein", "alignment"]))
    assert rows == [ProteinRow("P1", "pfam:PF00072", line=2)]
    assert (rows[0].first_index, rows[0].maps, rows[0].structure) == (1, (), "")


def test_order_of_columns_blank_lines_and_remarks(folder):
    path = folder / "proteins.tsv"
    path.write_text("\ufeff# remark\nalignment\tprotein\n\na.fasta\tP1\n# remark\na.fasta\tP2\n")
    rows, _ = read(path)
    assert [(found.protein, found.line) for found in rows] == [("P1", 4), ("P2", 6)]


def test_queries_are_names_sequences_or_files(folder):
    long = "MKVLWE" * 100
    rows, _ = read(
        table(folder, row("P1", query="GLPG_ECOLI/1-90"), row("P2", query=long), row("P3", query="q"))
    )
    assert [found.query for found in rows] == ["GLPG_ECOLI/1-90", long, "q"]


BAD = {
    "name with a slash": (row("P/1"), "protein: 'P/1'; a name of letters"),
    "name with a dot": (row(".P1"), "protein: '.P1'; a name of letters"),
    "name with a blank": (row("P 1"), "protein: 'P 1'"),
    "no name": (row(""), "protein: empty"),
    "reserved name": (row("model"), "protein: 'model' is a name that the results use"),
    "no alignment": (row(alignment=""), "alignment: empty"),
    "missing alignment": (row(alignment="b.fasta"), "alignment: no such file 'b.fasta'"),
    "missing structure": (row(structure="b.pdb"), "structure: no such file 'b.pdb'"),
    "accession": (row(alignment="pfam:PF7"), "alignment: 'pfam:PF7'; a malformed accession; write it as"),
    "source": (row(alignment="pdb:2NRF"), "alignment: 'pdb:2NRF'; the source pdb has no alignments"),
    "unknown source": (row(structure="scop:d1"), "structure: 'scop:d1'; no such source"),
    "package": (row(alignment="package:numpy:x"), "alignment: 'package:numpy:x'; the package numpy"),
    "chain alone": (row(chain="A"), "chain: 'A' without a structure"),
    "region": (row(region="0-4"), "region: '0-4'; FIRST-LAST"),
    "first index": (row(first_index="1.5"), "first_index: '1.5'; a whole number"),
    "map without name": (row(maps="m.rr"), "maps: 'm.rr'; write NAME=PATH"),
    "map without path": (row(maps="a="), "maps: 'a='; write NAME=PATH"),
    "map not there": (row(maps="a=x.rr"), "maps: no such file 'x.rr'"),
    "map twice": (row(maps="a=m.rr;a=n.rr"), "maps: 'a' stands there twice"),
    "map of our own": (row(maps="plm=m.rr"), "maps: 'plm' is a name that the program itself uses"),
    "map that numpy reserves": (row(maps="file=m.rr"), "maps: 'file' is a name that the program itself uses"),
    "map named as refined": (row(maps="refined=m.rr"), "maps: 'refined' is a name"),
    "map named as raw": (row(maps="x_raw=m.rr"), "maps: 'x_raw' is a name"),
    "split": (row(split="test"), "split: 'test'; train, tune, val"),
    "cluster": (row(cluster="a b"), "cluster: 'a b'; a name of letters, digits, _ . and -"),
    "too many cells": ([*row(), "x"], f"{len(COLUMNS) + 1} cells"),
}


@pytest.mark.parametrize("case", BAD)
def test_each_wrong_row_is_named(folder, case):
    cells, problem = BAD[case]
    path = table(folder, row("good"), cells)
    with pytest.raises(TableError) as caught:
        read(path)
    assert f"line 3 ({cells[0]}): {problem}" in str(caught.value)
    assert caught.value.file == str(path)
    assert "1 problems" in caught.value.problem
    rows, problems = read(path, skip_bad_rows=True)
    assert [found.protein for found in rows] == ["good"]
    assert len(problems) == 1


def test_all_problems_are_listed_at_once(folder):
    wrong = [cells for cells, _ in BAD.values()]
    with pytest.raises(TableError) as caught:
        read(table(folder, *wrong))
    for number, (cells, problem) in enumerate(BAD.values(), 2):
        assert f"line {number} ({cells[0]})" in str(caught.value)
        assert problem in str(caught.value)


def test_a_row_may_have_several_problems(folder):
    _, problems = read(
        table(folder, row("good"), row("P1", "b.fasta", region="x", split="y")), skip_bad_rows=True
    )
    assert len(problems) == 3
    assert all(problem.startswith("line 3 (P1): ") for problem in problems)


def test_names_are_unique(folder):
    path = table(folder, row("P1"), row("P2"), row("P1"))
    with pytest.raises(TableError, match=r"line 4 \(P1\): protein: 'P1' stands in line 2 already"):
        read(path)
    rows, _ = read(path, skip_bad_rows=True)
    assert [found.line for found in rows] == [2, 3]


@pytest.mark.parametrize(
    ("header", "pattern"),
    [
        (["protein", "alignment", "color"], r"line 1: unknown columns in the header; found: 'color'"),
        (["protein"], "missing columns in the header; found: 'alignment'"),
        (["protein", "alignment", "alignment"], "repeated columns"),
        (["protein alignment"], "unknown columns"),
    ],
)
@pytest.mark.parametrize("skip", [False, True])
def test_headers_that_are_wrong(folder, header, pattern, skip):
    with pytest.raises(TableError, match=pattern):
        read(table(folder, ["P1", "a.fasta", "x"], header=header), skip_bad_rows=skip)


@pytest.mark.parametrize("names", [("abc", "ABC"), ("P1", "p1"), ("P1", "P1")])
def test_names_that_share_a_folder(folder, names):
    with pytest.raises(
        TableError, match=f"line 3 .{names[1]}.: protein: '{names[1]}' stands in line 2"
    ) as caught:
        read(table(folder, *(row(name) for name in names)))
    assert ("ignore case" in str(caught.value)) == (names[0] != names[1])


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "cp1252"])
def test_tables_that_are_not_utf8(folder, encoding):
    path = table(folder, row("P1"), row("P2", query="é"))
    path.write_bytes(path.read_text().encode(encoding))
    with pytest.raises(TableError, match="save it as UTF-8") as caught:
        read(path)
    assert caught.value.place.startswith("line ")
    if encoding in ("latin-1", "cp1252"):
        assert caught.value.place == "line 3"


def test_line_ends_of_all_systems_and_no_others(folder):
    path = table(folder, row("P1"), row("P2"))
    text = path.read_text()
    for end in ("\r\n", "\r"):
        path.write_bytes(text.replace("\n", end).encode())
        assert [found.protein for found in read(path)[0]] == ["P1", "P2"]
    path.write_text(text.replace("P2", "P2\x0bP3"))
    with pytest.raises(TableError, match="line 3"):
        read(path)


@pytest.mark.parametrize("cell", ["~nobody-is-called-so/x", "x" * 5000, "a/" * 3000, "~"])
def test_paths_that_cannot_be(folder, cell):
    with pytest.raises(TableError, match="no such file"):
        read(table(folder, row("P1", cell)))


@pytest.mark.parametrize("column", ["alignment", "structure", "maps"])
def test_a_word_in_angle_brackets_would_be_a_variable_of_snakemake(folder, column):
    for name in ("<b>x", "x <b y>"):
        (folder / name).write_text((folder / "a.fasta").read_text())
    named = {name: f"m={name}" if column == "maps" else name for name in ("<b>x", "x <b y>")}
    with pytest.raises(TableError, match=f"line 2 .P1.: {column}: .*rename <b>") as caught:
        read(table(folder, row("P1", **{column: named["<b>x"]}), row("P2", **{column: named["x <b y>"]})))
    assert "P2" not in str(caught.value)


@pytest.mark.parametrize("column", ["alignment", "structure", "maps", "query"])
def test_braces_would_be_a_wildcard_of_snakemake(folder, column):
    (folder / "a{x}.fasta").write_text((folder / "a.fasta").read_text())
    cell = "m=a{x}.fasta" if column == "maps" else "a{x}.fasta"
    with pytest.raises(TableError, match=rf"line 2 .P1.: {column}: .*rename {{"):
        read(table(folder, row("P1", **{column: cell})))


def test_tables_without_rows(folder):
    with pytest.raises(TableError, match="the table has no rows"):
        read(table(folder))
    with pytest.raises(TableError, match="1 problems"):
        read(table(folder, row(".")), skip_bad_rows=True)
    (folder / "empty.tsv").write_text("\n")
    with pytest.raises(TableError, match="the table is empty"):
        read(folder / "empty.tsv")
    with pytest.raises(TableError, match=r"nowhere\.tsv: cannot be read"):
        read(folder / "nowhere.tsv")


def test_schema_is_valid_closed_and_knows_every_column():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == set(COLUMNS)
    assert SCHEMA["additionalProperties"] is False
    assert all("description" in column for column in SCHEMA["properties"].values())


def test_empty_cells_at_the_end_may_be_left_out(folder):
    path = table(folder, row("good"), row("short")[:2])
    rows, problems = read(path)
    assert problems == []
    assert rows[1].protein == "short"
    assert rows[1].cluster == ""
