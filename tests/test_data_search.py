"""Alignments built by a search of a local database, on made-up families."""

import gzip
import json

import numpy as np
import pytest
from data_fixtures import write_text

from data.errors import AlignmentError, TableError
from data.jackhmmer import _placed
from data.msa import read_alignment
from data.search import SearchSettings, search
from data.table import read_proteins

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
LENGTH = 80


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """A query, and a database of 60 relatives, 20 far relatives of theirs and 200 strangers."""
    rng = np.random.default_rng(5)

    def mutated(letters, share):
        return np.where(rng.random(letters.size) < share, rng.choice(LETTERS, letters.size), letters)

    query = rng.choice(LETTERS, LENGTH)
    rows = [(f"relative{n}", mutated(query, 0.4)) for n in range(60)]
    rows += [(f"tail{n}", mutated(query, 0.3)[60:]) for n in range(5)]
    long = mutated(query, 0.3)
    rows.append(("longer", np.concatenate([long[:40], list("GGWGG"), long[40:]])))
    rows += [(f"stranger{n}", rng.choice(LETTERS, 150)) for n in range(200)]
    path = tmp_path_factory.mktemp("database") / "proteins.fasta.gz"
    with gzip.open(path, "wt") as stream:
        stream.write("".join(f">{name} of something\n{''.join(row)}\n" for name, row in rows))
    return "".join(query), path


def test_relatives_are_found_and_strangers_are_not(family, tmp_path):
    query, database = family
    provenance = search(query, database, tmp_path / "p.a3m.gz")
    alignment = read_alignment(tmp_path / "p.a3m.gz")
    assert alignment.query == query
    found = {name.split("/")[0] for name in alignment.names[1:]}
    assert len(found & {f"relative{n}" for n in range(60)}) > 55
    assert "longer" in found
    assert not any(name.startswith(("stranger", "tail")) for name in found)  # tails cover a quarter
    row = alignment.tokens[[name.startswith("longer") for name in alignment.names]][0]
    assert (row == alignment.tokens[0]).mean() > 0.6  # what lies between columns shifts none of them
    assert json.loads((tmp_path / "p.a3m.gz.json").read_text()) == provenance
    assert provenance["search"]["database_sequences"] == 266
    assert provenance["search"]["evalue"] == 1e-3
    assert provenance["source"] == "jackhmmer"


def test_coverage_decides_about_short_rows(family, tmp_path):
    query, database = family
    search(query, database, tmp_path / "p.a3m.gz", SearchSettings(iterations=1, min_coverage=0.1))
    names = read_alignment(tmp_path / "p.a3m.gz").names
    assert any(name.startswith("tail") for name in names)


def test_query_from_a_file_and_a_plain_database(family, tmp_path):
    query, database = family
    plain = tmp_path / "db.fasta"
    plain.write_bytes(gzip.decompress(database.read_bytes()))
    fasta = write_text(tmp_path / "q.fasta", f">q\n{query}\n")
    search(str(fasta), plain, tmp_path / "p.a3m.gz", SearchSettings(iterations=1))
    assert read_alignment(tmp_path / "p.a3m.gz").query == query


def test_nothing_found(family, tmp_path):
    _, database = family
    with pytest.raises(AlignmentError, match=r"found nothing; found: E-value 0\.001, coverage 0\.5"):
        search("MKVLWEMKVLWEMKVLWE", database, tmp_path / "p.a3m.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"", "cannot be read|no sequence"),
        (b">a\nMK1\n", "cannot be read"),
        (b"nothing like it", "cannot be read"),
        (gzip.compress(b">a\nMKVLWE\n", mtime=0)[:-9], "cannot be read"),
    ],
)
def test_databases_that_are_none(tmp_path, content, pattern):
    path = tmp_path / "db.fasta"
    path.write_bytes(content)
    with pytest.raises(AlignmentError, match=pattern) as caught:
        search("MKVLWE", path, tmp_path / "p.a3m.gz")
    assert caught.value.file == str(path)
    assert not (tmp_path / "p.a3m.gz").exists()


@pytest.mark.parametrize("query", ["", "M", "MKV1", "no/such/file.fasta"])
def test_queries_that_are_none(family, tmp_path, query):
    with pytest.raises(AlignmentError, match="needs the sequence of a protein"):
        search(query, family[1], tmp_path / "p.a3m.gz")


def test_letters_between_columns_are_lower_case():
    assert "".join(_placed([True, False, True, False], "A-CD")) == "ACd"
    assert "".join(_placed([True, False, True, False], "-wC-")) == "-wC"


def test_rows_that_search_need_a_query(tmp_path):
    write_text(tmp_path / "db.fasta", ">a\nMKVLWE\n")
    header = "protein\talignment\tquery\n"
    table = write_text(tmp_path / "t.tsv", header + "p\tjackhmmer:db.fasta\tMKVLWE\n")
    rows, _ = read_proteins(table)
    assert rows[0].alignment == f"jackhmmer:{tmp_path / 'db.fasta'}"
    bad = write_text(tmp_path / "bad.tsv", header + "p\tjackhmmer:db.fasta\t\nq\tjackhmmer:no.fasta\tMKV\n")
    with pytest.raises(TableError) as caught:
        read_proteins(bad)
    assert "line 2 (p): query: empty; a search needs the query's sequence" in str(caught.value)
    assert "line 3 (q): alignment: no such file 'no.fasta'" in str(caught.value)


def test_one_endless_sequence_does_not_cost_the_search(family, tmp_path, caplog):
    query, database = family
    path = tmp_path / "more.fasta"
    path.write_bytes(gzip.decompress(database.read_bytes()) + b">endless\n" + b"MKLV" * 30_000 + b"\n")
    provenance = search(query, path, tmp_path / "p.a3m.gz", SearchSettings(iterations=1))
    assert provenance["content"]["rows"] > 55
    assert provenance["search"]["database_sequences"] == 266
    assert "1 sequences of more than 100000 residues are left out" in caplog.text


def test_names_of_a_database_in_any_encoding(family, tmp_path):
    query, _ = family
    path = tmp_path / "names.fasta"
    names = ["\u65e5\u672c".encode(), "caf\u00e9".encode("latin-1"), b"plain"]
    path.write_bytes(b"".join(b">%s \xff\n%s\n" % (name, query.encode()) for name in names))
    search(query, path, tmp_path / "p.a3m.gz", SearchSettings(iterations=1))
    found = {name.split("/")[0] for name in read_alignment(tmp_path / "p.a3m.gz").names[1:]}
    assert found == {"\u65e5\u672c", "sequence2", "plain"}
